//! Background tasks.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use ota_core::BoxFuture;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::instrument::{NO_LABELS, instruments};

instruments! {
    /// Keys and certificates that are refreshed in the background.
    pub(crate) struct BackgroundMetrics {
        /// Attempts to read the keys that tokens are verified with again: ok, failed (the last good ones stay in use).
        key_refreshes: Counter "ota_auth_key_refreshes_total" ["result" = || REFRESH_RESULTS.to_vec()],
        /// When the gateway's own certificate ends, in seconds since 1970; there with TLS only.
        certificate: Gauge "ota_tls_certificate_expiry_seconds" [],
    }
}

/// How an attempt to read the keys again ends.
const REFRESH_RESULTS: [&str; 2] = ["ok", "failed"];

impl BackgroundMetrics {
    /// Records an attempt to read the keys again.
    pub(crate) fn key_refresh(&self, ok: bool) {
        let [good, bad] = REFRESH_RESULTS;
        let result = if ok { good } else { bad };
        self.key_refreshes.with_label_values(&[result]).inc();
    }

    /// Records when the gateway's own certificate ends.
    pub(crate) fn certificate_ends(&self, at: OffsetDateTime) {
        let ends = self.certificate.with_label_values(&NO_LABELS);
        ends.set(at.unix_timestamp());
    }
}

/// The delay before a failed background task is restarted.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long the end of the tasks is waited for. They are dropped where they wait next; only one that computes for so long is left behind.
const LONGEST_END: Duration = Duration::from_secs(5);

/// Runs the background tasks until `stop` resolves, and returns when they have ended. A task that panics is restarted: without it, keys and certificates would
/// become outdated unnoticed.
pub(crate) async fn supervise(
    tasks: impl Fn() -> Vec<BoxFuture<'static, ()>>,
    stop: impl Future<Output = ()>,
) {
    let mut running = JoinSet::new();
    tokio::select! {
        () = stop => {}
        never = keep_running(&mut running, tasks) => match never {},
    }
    if tokio::time::timeout(LONGEST_END, running.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("a task of the background does not end, and is left behind");
    }
}

async fn keep_running(
    running: &mut JoinSet<()>,
    tasks: impl Fn() -> Vec<BoxFuture<'static, ()>>,
) -> Infallible {
    let mut numbers = HashMap::new();
    for (number, task) in tasks().into_iter().enumerate() {
        numbers.insert(running.spawn(task).id(), number);
    }
    while let Some(ended) = running.join_next_with_id().await {
        let Err(error) = ended else { continue };
        let Some(number) = numbers.remove(&error.id()).filter(|_| error.is_panic()) else {
            continue;
        };
        tracing::error!("a task of the background has failed and begins again");
        tokio::time::sleep(RESTART_PAUSE).await;
        if let Some(task) = tasks().into_iter().nth(number) {
            numbers.insert(running.spawn(task).id(), number);
        }
    }
    // There is nothing left to do.
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::supervise;
    use ota_core::BoxFuture;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test(start_paused = true)]
    async fn a_task_of_the_background_that_panics_begins_again() {
        let (begun, again) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let tasks = || {
            let (begun, again) = (Arc::clone(&begun), Arc::clone(&again));
            let panics: BoxFuture<'static, ()> = Box::pin(async move {
                assert!(
                    begun.fetch_add(1, Ordering::Relaxed) > 0,
                    "panics on purpose"
                );
                again.notify_one();
                std::future::pending().await
            });
            vec![panics]
        };
        tokio::select! {
            () = supervise(tasks, std::future::pending()) => panic!("supervise ended although a task is still running"),
            () = again.notified() => {}
        }
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }

    /// Notes when it is dropped.
    struct Noted(Arc<AtomicUsize>);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_end_waits_for_the_tasks() {
        let ended = Arc::<AtomicUsize>::default();
        let begun = Arc::new(tokio::sync::Semaphore::new(0));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let tasks = || {
            let task = |noted: Noted| -> BoxFuture<'static, ()> {
                let begun = Arc::clone(&begun);
                Box::pin(async move {
                    let _noted = noted;
                    begun.add_permits(1);
                    std::future::pending().await
                })
            };
            vec![
                task(Noted(Arc::clone(&ended))),
                task(Noted(Arc::clone(&ended))),
            ]
        };
        let stopped = async { drop(stopped.await) };
        let stop = async {
            let both = begun.acquire_many(2).await;
            both.is_ok() && stop.send(()).is_ok()
        };
        let (sent, ()) = tokio::join!(stop, supervise(tasks, stopped));
        assert!(sent);
        assert_eq!(ended.load(Ordering::Relaxed), 2);
    }
}
