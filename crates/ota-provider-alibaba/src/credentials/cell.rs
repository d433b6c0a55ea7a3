//! A temporary credential, and its renewal.
//!
//! There is at most one renewal at a time, in a separate task: a caller that waits for it may be canceled without ending it for the others. The old
//! credential is used until it expires, so callers wait only if there is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use ota_core::clock::{Clock, after};
use ota_core::context::Context;
use ota_core::{Error, ErrorKind, Result};
use time::OffsetDateTime;

use super::secrets::Secrets;

/// How long before its expiration a credential is renewed. If its lifetime is less than twice as long, it is renewed after half of it.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// How long a credential without an expiration is used before it is fetched again.
const USE_WITHOUT_EXPIRATION: Duration = Duration::from_secs(600);

/// The minimum time between two renewals while there is a credential; a service may issue the same one again.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(30);

/// The minimum lifetime. If a new credential seems to have expired, the clock of this machine is wrong; the vendor decides by its own clock.
const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// How long the error of a failed renewal is returned if there is no credential.
const FAILURE_REUSED: Duration = Duration::from_secs(5);

/// How often the source is called again while the vendor refuses what it issued.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Time limit of one renewal.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(15);

/// A credential as it was issued.
pub(super) struct Fetched {
    pub(super) secrets: Secrets,
    pub(super) expires: Option<OffsetDateTime>,
}

/// A source that issues credentials.
#[async_trait::async_trait]
pub(super) trait Fetch: Send + Sync + std::fmt::Debug {
    /// Fetches a credential.
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
    /// The last failure, and until when it is returned.
    failed: Option<(Instant, Error)>,
    failing: bool,
    /// Until when the source is not called again for another credential than a refused one.
    retry_at: Option<Instant>,
}

#[derive(Clone)]
struct Current {
    secrets: Arc<Secrets>,
    renew_at: Instant,
    ends_at: Option<Instant>,
    /// Whether the source issued it again after the vendor had refused it.
    refused_again: bool,
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

    /// Returns the credential. One that is about to expire is renewed in the background; the renewal is waited for only if there is none.
    pub(super) async fn current(self: &Arc<Self>, cx: &Context) -> Result<Arc<Secrets>> {
        let renewal = {
            let mut state = self.state();
            let now = self.clock.monotonic();
            if let Some(current) = state.current.clone()
                && current.ends_at.is_none_or(|end| now < end)
            {
                if now >= current.renew_at && state.renewal.is_none() {
                    // The task continues although nothing waits for it.
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

    /// Returns whether there is another credential than the refused one. If the refused one is the present one, the source is called once for a new one.
    pub(super) async fn replaced(self: &Arc<Self>, cx: &Context, refused: &Secrets) -> bool {
        {
            let mut state = self.state();
            match &state.current {
                Some(current) if *current.secrets != *refused => return true,
                Some(current) if current.refused_again => return false,
                _ => state.retry_at = Some(after(self.clock.monotonic(), RETRY_INTERVAL)),
            }
        }
        self.fetch_another(cx, refused).await.is_some()
    }

    /// Returns another credential than the refused one. The source is called for it again after a while.
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
                _ if state.retry_at.is_some_and(|until| now < until) => return None,
                _ => {}
            }
            state.retry_at = Some(after(now, RETRY_INTERVAL));
        }
        self.fetch_another(cx, refused).await
    }

    /// Fetches another credential than the refused one. A renewal that is in progress began before the refusal: if it returns the refused one again, or
    /// fails, that does not show what the source issues now, so the source is called again.
    async fn fetch_another(
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
                // The second renewal begins when the first has ended.
                let began_before = !second && state.renewal.is_some();
                (self.renewal(&mut state, cx), began_before)
            };
            match self.wait(renewal, cx).await {
                Ok(secrets) if *secrets != *refused => return Some(secrets),
                _ if self.clock.monotonic() >= cx.deadline => return None,
                _ if began_before => {}
                Ok(_) => {
                    self.mark_refused_again(refused);
                    return None;
                }
                Err(_) => return None,
            }
        }
        None
    }

    /// Records that the source issues what the vendor has refused.
    fn mark_refused_again(&self, refused: &Secrets) {
        if let Some(current) = &mut self.state().current
            && *current.secrets == *refused
        {
            current.refused_again = true;
        }
    }

    /// Returns the renewal in progress, or begins one.
    fn renewal(self: &Arc<Self>, state: &mut State, cx: &Context) -> Renewal {
        if let Some(renewal) = &state.renewal {
            return renewal.clone();
        }
        let cx = Context {
            deadline: self.clock.monotonic() + RENEWAL_TIMEOUT,
            ..cx.clone()
        };
        let cell = Arc::clone(self);
        // The new task cannot end before the renewal is stored: its last step needs the lock that the caller holds.
        let task = tokio::spawn(async move {
            let _end = RenewalEnd(&cell);
            let late = cell.clock.sleep_until(cx.deadline);
            let fetched = match select(cell.fetch.fetch(&cx), late).await {
                Either::Left((fetched, _)) => fetched,
                Either::Right(((), _)) => Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "the source of this provider's credential did not answer within {} s",
                        RENEWAL_TIMEOUT.as_secs()
                    ),
                )),
            };
            cell.store(fetched)
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

    fn store(&self, fetched: Result<Fetched>) -> Result<Arc<Secrets>> {
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
                state.failed = Some((now + FAILURE_REUSED, error.clone()));
                if let Some(current) = &mut state.current {
                    current.renew_at = now + MIN_RENEWAL_INTERVAL;
                }
                return Err(error);
            }
        };
        let lifetime = fetched.expires.map(|end| {
            Duration::try_from(end - wall)
                .unwrap_or_default()
                .max(MIN_LIFETIME)
        });
        let used = match lifetime {
            None => USE_WITHOUT_EXPIRATION,
            Some(lifetime) if lifetime < RENEW_BEFORE * 2 => lifetime / 2,
            Some(lifetime) => lifetime - RENEW_BEFORE,
        };
        let secrets = Arc::new(fetched.secrets);
        if state.failing {
            tracing::info!("the credential could be renewed again");
        }
        (state.failing, state.failed) = (false, None);
        state.current = Some(Current {
            secrets: Arc::clone(&secrets),
            renew_at: now + used.max(MIN_RENEWAL_INTERVAL),
            ends_at: lifetime.map(|lifetime| now + lifetime),
            refused_again: false,
        });
        Ok(secrets)
    }

    /// Waits for a renewal, until the caller's deadline.
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

/// Removes the renewal when its task ends, also after a panic.
struct RenewalEnd<'a>(&'a Cell);

impl Drop for RenewalEnd<'_> {
    fn drop(&mut self) {
        self.0.state().renewal = None;
    }
}

#[cfg(test)]
mod tests;
