//! Clients of two gateways who go on while one of them ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::{Clock as _, SystemClock};
use reqwest::Client;
use tokio::task::JoinSet;

use crate::scenario::Outcome;

/// How long a client waits after an answer that was not good.
const PAUSE: Duration = Duration::from_millis(200);

/// How an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    /// 503 of a gateway, which says when to ask again.
    Later,
    /// Anything else, and no answer.
    Bad,
}

/// An answer, when it was there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) at: Instant,
    pub(super) took: Duration,
}

/// Clients that ask until they are dropped.
pub(super) struct Readers {
    _clients: JoinSet<()>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Readers {
    /// Starts so many clients. Each goes through the URLs from a place of its own, `every` so often or as fast as the answers come.
    pub(super) fn start(
        client: &Client,
        token: &str,
        urls: Vec<String>,
        count: usize,
        every: Duration,
    ) -> Self {
        let answers = Arc::<Mutex<Vec<Answer>>>::default();
        let (next, urls) = (Arc::new(AtomicUsize::new(0)), Arc::new(urls));
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let (client, token) = (client.clone(), token.to_owned());
            let (next, urls, answers) =
                (Arc::clone(&next), Arc::clone(&urls), Arc::clone(&answers));
            clients.spawn(async move {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed) % urls.len().max(1);
                    let Some(url) = urls.get(place) else { return };
                    let sent = SystemClock.monotonic();
                    let kind = ask(&client, url, &token).await;
                    let answer = Answer {
                        kind,
                        at: SystemClock.monotonic(),
                        took: sent.elapsed(),
                    };
                    lock(&answers).push(answer);
                    let pause = if kind == Kind::Good { every } else { PAUSE };
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self {
            _clients: clients,
            answers,
        }
    }

    /// Returns the answers so far, in the order in which they came.
    pub(super) fn answers(&self) -> Vec<Answer> {
        lock(&self.answers).clone()
    }

    /// Forgets the answers so far.
    pub(super) fn forget(&self) {
        lock(&self.answers).clear();
    }

    /// Waits for the first good answer.
    pub(super) async fn begin(&self) -> Outcome<()> {
        let good = async {
            while !self.answers().iter().any(|one| one.kind == Kind::Good) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let good = tokio::time::timeout(Duration::from_secs(30), good).await;
        good.map_err(|_| "no reader has an answer".into())
    }
}

fn lock(answers: &Mutex<Vec<Answer>>) -> std::sync::MutexGuard<'_, Vec<Answer>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(client: &Client, url: &str, token: &str) -> Kind {
    let request = client.get(url).header("Authorization", token);
    let Ok(answer) = request.send().await else {
        return Kind::Bad;
    };
    let says_when = answer.headers().contains_key("retry-after");
    let status = answer.status();
    match answer.bytes().await {
        Ok(_) if status.is_success() => Kind::Good,
        Ok(_) if status.as_u16() == 503 && says_when => Kind::Later,
        _ => Kind::Bad,
    }
}

/// Returns the longest time from `begin` on in which no good answer came, in seconds.
pub(super) fn longest_gap(begin: Instant, answers: &[Answer]) -> f64 {
    let good = answers
        .iter()
        .filter(|one| one.kind == Kind::Good && one.at > begin)
        .map(|one| one.at);
    let (longest, _) = good.fold((Duration::ZERO, begin), |(longest, last), at| {
        (longest.max(at.saturating_duration_since(last)), at)
    });
    longest.as_secs_f64()
}
