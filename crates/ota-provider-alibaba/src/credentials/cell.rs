//! A temporary credential, and its renewal.
//!
//! There is at most one renewal at a time, as a task of its own: a caller that waits for it may go away without ending it for the others. The old
//! credential stays in use until it ends, so callers wait only where there is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use ota_core::clock::{Clock, after};
use ota_core::context::Context;
use ota_core::{Error, ErrorKind, Result};
use time::OffsetDateTime;

use super::secrets::Secrets;

/// How long before its end a credential is renewed, unless it lives shorter than twice as long: then at half of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// How long a credential that came without an end is used before it is asked for again.
const ENDLESS: Duration = Duration::from_secs(600);

/// The least time between two renewals while there is a credential; a service may give out the same one again.
const LEAST_PAUSE: Duration = Duration::from_secs(30);

/// The least life that is believed. A credential that seems to have ended already comes with a wrong clock of this machine, and the vendor judges by its own.
const LEAST_LIFE: Duration = Duration::from_secs(60);

/// How long the error of a failed renewal is the answer where there is no credential.
const FAILURE_SHARED: Duration = Duration::from_secs(5);

/// How often the source is asked again while the vendor refuses what it gave out.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long one renewal may take.
const RENEWAL_TIME: Duration = Duration::from_secs(15);

/// A credential as it was given out.
pub(super) struct Fetched {
    pub(super) secrets: Secrets,
    pub(super) expires: Option<OffsetDateTime>,
}

/// What gives out credentials.
#[async_trait::async_trait]
pub(super) trait Fetch: Send + Sync + std::fmt::Debug {
    /// Asks for a credential.
    async fn fetch(&self, cx: &Context) -> Result<Fetched>;
}

/// The present credential of a source.
#[derive(Debug)]
pub(crate) struct Cell {
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    renewal: Option<Renewal>,
    /// The last failure, and until when it is the answer.
    failed: Option<(Instant, Error)>,
    failing: bool,
    /// Until when the source is not asked again for another credential than a refused one.
    asked_until: Option<Instant>,
}

#[derive(Clone)]
struct Current {
    secrets: Arc<Secrets>,
    renew_at: Instant,
    ends_at: Option<Instant>,
    /// Whether the vendor has refused it and the source still gave it out.
    hopeless: bool,
}

type Renewal = Shared<BoxFuture<'static, Result<Arc<Secrets>>>>;

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("present", &self.current.is_some())
            .field("renewing", &self.renewal.is_some())
            .finish_non_exhaustive()
    }
}

impl Cell {
    pub(super) fn new(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self {
            fetch,
            clock,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the credential. One that is about to end is renewed beside; only where there is none is the renewal waited for.
    pub(super) async fn current(self: &Arc<Self>, cx: &Context) -> Result<Arc<Secrets>> {
        let renewal = {
            let mut state = self.state();
            let now = self.clock.monotonic();
            if let Some(current) = state.current.clone()
                && current.ends_at.is_none_or(|end| now < end)
            {
                if now >= current.renew_at && state.renewal.is_none() {
                    // Its task runs without anyone who waits for it.
                    drop(self.renewal(&mut state, cx));
                }
                return Ok(current.secrets);
            }
            match &state.failed {
                Some((until, error)) if now < *until && state.renewal.is_none() => {
                    return Err(error.clone());
                }
                _ => self.renewal(&mut state, cx),
            }
        };
        self.wait(renewal, cx).await
    }

    /// Returns whether there is another credential than the refused one; where it is the present one, the source is asked for a new one, once.
    pub(super) async fn replaced(self: &Arc<Self>, cx: &Context, refused: &Secrets) -> bool {
        {
            let mut state = self.state();
            match &state.current {
                Some(current) if *current.secrets != *refused => return true,
                Some(current) if current.hopeless => return false,
                _ => state.asked_until = Some(after(self.clock.monotonic(), ASK_AGAIN)),
            }
        }
        self.asked_for_another(cx, refused).await.is_some()
    }

    /// Returns another credential than the refused one, asking the source for it again after a while.
    pub(super) async fn newer(
        self: &Arc<Self>,
        cx: &Context,
        refused: &Secrets,
    ) -> Option<Arc<Secrets>> {
        {
            let mut state = self.state();
            let now = self.clock.monotonic();
            match &state.current {
                Some(current) if *current.secrets != *refused => {
                    return Some(Arc::clone(&current.secrets));
                }
                _ if state.asked_until.is_some_and(|until| now < until) => return None,
                _ => {}
            }
            state.asked_until = Some(after(now, ASK_AGAIN));
        }
        self.asked_for_another(cx, refused).await
    }

    /// Asks the source for another credential than the refused one. A renewal that is in progress began before the refusal: it may bring the refused one
    /// once more, or fail, and neither says what the source gives out since. Then it is asked again.
    async fn asked_for_another(
        self: &Arc<Self>,
        cx: &Context,
        refused: &Secrets,
    ) -> Option<Arc<Secrets>> {
        for second in [false, true] {
            let (renewal, began_before) = {
                let mut state = self.state();
                let current = state.current.as_ref().map(|current| &current.secrets);
                if let Some(other) = current.filter(|secrets| ***secrets != *refused) {
                    return Some(Arc::clone(other));
                }
                // The second one begins when the first has ended.
                let began_before = !second && state.renewal.is_some();
                (self.renewal(&mut state, cx), began_before)
            };
            match self.wait(renewal, cx).await {
                Ok(secrets) if *secrets != *refused => return Some(secrets),
                _ if self.clock.monotonic() >= cx.deadline => return None,
                _ if began_before => {}
                Ok(_) => {
                    self.mark_hopeless(refused);
                    return None;
                }
                Err(_) => return None,
            }
        }
        None
    }

    /// Records that the source gives out what the vendor has refused.
    fn mark_hopeless(&self, refused: &Secrets) {
        if let Some(current) = &mut self.state().current
            && *current.secrets == *refused
        {
            current.hopeless = true;
        }
    }

    /// Joins the renewal in progress or begins one.
    fn renewal(self: &Arc<Self>, state: &mut State, cx: &Context) -> Renewal {
        if let Some(renewal) = &state.renewal {
            return renewal.clone();
        }
        let cx = Context {
            deadline: self.clock.monotonic() + RENEWAL_TIME,
            ..cx.clone()
        };
        let cell = Arc::clone(self);
        // The new task cannot end before the renewal is noted: its last step needs the lock that the caller holds.
        let task = tokio::spawn(async move {
            let _end = End(&cell);
            let late = cell.clock.sleep_until(cx.deadline);
            let fetched = match select(cell.fetch.fetch(&cx), late).await {
                Either::Left((fetched, _)) => fetched,
                Either::Right(((), _)) => Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "the source of this provider's credential did not answer within {} s",
                        RENEWAL_TIME.as_secs()
                    ),
                )),
            };
            cell.settle(fetched)
        });
        let renewal = async move {
            task.await.unwrap_or_else(|error| {
                let ended = Error::new(
                    ErrorKind::Unexpected,
                    "the renewal of the credential ended without a result",
                );
                Err(ended.with_source(error))
            })
        }
        .boxed()
        .shared();
        state.renewal = Some(renewal.clone());
        renewal
    }

    fn settle(&self, fetched: Result<Fetched>) -> Result<Arc<Secrets>> {
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        let mut state = self.state();
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                // Only the first failure is logged as a warning; the following ones have the same cause.
                let still_good = state
                    .current
                    .as_ref()
                    .is_some_and(|current| current.ends_at.is_none_or(|end| now < end));
                let stay = if still_good {
                    "the last one stays in use until it ends"
                } else {
                    "calls fail until it can"
                };
                if state.failing {
                    tracing::debug!("the credential still cannot be renewed: {error:?}");
                } else {
                    tracing::error!("the credential cannot be renewed, {stay}: {error:?}");
                }
                state.failing = true;
                state.failed = Some((now + FAILURE_SHARED, error.clone()));
                if let Some(current) = &mut state.current {
                    current.renew_at = now + LEAST_PAUSE;
                }
                return Err(error);
            }
        };
        let life = fetched.expires.map(|end| {
            Duration::try_from(end - wall)
                .unwrap_or_default()
                .max(LEAST_LIFE)
        });
        let used = match life {
            None => ENDLESS,
            Some(life) if life < RENEW_BEFORE * 2 => life / 2,
            Some(life) => life - RENEW_BEFORE,
        };
        let secrets = Arc::new(fetched.secrets);
        if state.failing {
            tracing::info!("the credential could be renewed again");
        }
        (state.failing, state.failed) = (false, None);
        state.current = Some(Current {
            secrets: Arc::clone(&secrets),
            renew_at: now + used.max(LEAST_PAUSE),
            ends_at: life.map(|life| now + life),
            hopeless: false,
        });
        Ok(secrets)
    }

    /// Waits for a renewal as long as the caller has time.
    async fn wait(&self, renewal: Renewal, cx: &Context) -> Result<Arc<Secrets>> {
        match select(renewal, self.clock.sleep_until(cx.deadline)).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => Err(Error::new(
                ErrorKind::Timeout,
                "getting this provider's credential took longer than the request may",
            )),
        }
    }
}

/// Forgets the renewal when its task ends, however it ends.
struct End<'a>(&'a Cell);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state().renewal = None;
    }
}

#[cfg(test)]
mod tests;
