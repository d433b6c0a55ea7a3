//! The one valid token of an application.
//!
//! Only the newest token is valid: each login kills the token before it, and the vendor forbids logins side by side
//! (northbound API reference, vendor notes section 1.3). So there is one [`TokenCell`] for each application, and in it at most one
//! renewal at a time. A renewal runs as a task of its own: whoever waits may go away without ending it for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use ota_core::clock::Clock;
use ota_core::context::Priority;
use ota_core::{Context, Error, ErrorKind, Result};
use ota_http::Secret;

/// How long before its end a token is renewed, unless it lives shorter than twice as long: then at half of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The life of a token that came without one. Short, so that a wrong guess costs a renewal and no refused call.
const UNTOLD_LIFE: Duration = Duration::from_secs(60);

/// The longest life that is believed; the documented one is an hour.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a renewal may take, whoever began it.
const RENEWAL_TIME: Duration = Duration::from_secs(30);

/// How long a token that is still valid is used further after its renewal has failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The tokens of a process. Providers that use one application at one endpoint share a token through it, so whoever configures them sees to it that
/// they log in alike ([`Login::differences`](crate::Login::differences)).
#[derive(Debug, Default)]
pub struct TokenPool {
    cells: Mutex<HashMap<(String, String), Arc<TokenCell>>>,
}

impl TokenPool {
    /// Creates a pool without tokens.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the token of one application at one endpoint.
    pub(crate) fn cell(&self, endpoint: &str, app_id: &str) -> Arc<TokenCell> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (endpoint.to_owned(), app_id.to_owned());
        Arc::clone(cells.entry(key).or_default())
    }
}

/// Gets tokens from the vendor.
#[async_trait::async_trait]
pub(crate) trait Issuer: Send + Sync {
    /// Logs in with the application's secret; kills the token before.
    async fn login(&self, cx: &Context) -> Result<Issued>;

    /// Renews with a refresh token.
    async fn refresh(&self, cx: &Context, refresh_token: &Secret) -> Result<Issued>;

    /// Returns the clock that lives are measured with.
    fn clock(&self) -> &dyn Clock;
}

/// A token as the vendor gave it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    /// `expiresIn`; zero counts as not told.
    pub(crate) life_s: Option<u64>,
    /// When the request was sent, the safe side of when the life began.
    pub(crate) since: Instant,
}

/// A token in use.
#[derive(Debug)]
pub(crate) struct Token {
    /// Tells a token from the one before.
    generation: u64,
    pub(crate) access: Secret,
    refresh: Option<Secret>,
    renew_at: Instant,
    ends_at: Instant,
}

/// The one valid token of an application, and its renewal when one is under way.
#[derive(Default)]
pub(crate) struct TokenCell {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    generations: u64,
    renewal: Option<Renewal>,
    /// After a failed renewal: until when no other is begun as long as the token is valid.
    paused_until: Option<Instant>,
}

type Renewal = Shared<BoxFuture<'static, Result<Arc<Token>>>>;

impl std::fmt::Debug for TokenCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("TokenCell")
            .field("token", &state.token)
            .field("renewing", &state.renewal.is_some())
            .finish()
    }
}

impl TokenCell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the newest token, however old.
    pub(crate) fn newest(&self) -> Option<Arc<Token>> {
        self.state().token.clone()
    }

    /// Returns a token that is not about to end, renewing it if it is.
    ///
    /// # Errors
    /// Why there is no token; `timeout` when the caller's deadline comes first.
    pub(crate) async fn current(
        self: &Arc<Self>,
        cx: &Context,
        issuer: &Arc<dyn Issuer>,
    ) -> Result<Arc<Token>> {
        let now = issuer.clock().monotonic();
        let (renewal, old) = {
            let mut state = self.state();
            let old = state.token.clone().filter(|token| now < token.ends_at);
            if let Some(token) = &old {
                let paused = state.paused_until.is_some_and(|until| now < until);
                if now < token.renew_at || paused {
                    return Ok(Arc::clone(token));
                }
            }
            let refresh = state.token.as_ref().and_then(|token| token.refresh.clone());
            (self.renewal(&mut state, cx, issuer, refresh), old)
        };
        match (wait(renewal, cx, issuer.clock()).await, old) {
            (Ok(token), _) => Ok(token),
            // The vendor may have killed the old token all the same; then the call is refused and a login follows.
            (Err(error), Some(token)) if error.kind() != ErrorKind::Auth => Ok(token),
            (Err(error), _) => Err(error),
        }
    }

    /// Returns a token to repeat a call with after the vendor has refused `refused`: a newer one that is there already, or the
    /// one of a fresh login.
    ///
    /// # Errors
    /// As [`TokenCell::current`].
    pub(crate) async fn after_refusal(
        self: &Arc<Self>,
        cx: &Context,
        issuer: &Arc<dyn Issuer>,
        refused: &Token,
    ) -> Result<Arc<Token>> {
        let renewal = {
            let mut state = self.state();
            match &state.token {
                Some(token) if token.generation != refused.generation => {
                    return Ok(Arc::clone(token));
                }
                // Nobody else is to try it.
                Some(_) => state.token = None,
                None => {}
            }
            // No refresh: whoever killed the access token has most likely killed its refresh token too.
            self.renewal(&mut state, cx, issuer, None)
        };
        wait(renewal, cx, issuer.clock()).await
    }

    /// Joins the renewal under way or begins one.
    fn renewal(
        self: &Arc<Self>,
        state: &mut State,
        cx: &Context,
        issuer: &Arc<dyn Issuer>,
        refresh: Option<Secret>,
    ) -> Renewal {
        if let Some(renewal) = &state.renewal {
            return renewal.clone();
        }
        let cx = Context {
            // Others may come to wait for it, persons among them and with more time than whoever happened to be first.
            deadline: cx.deadline.max(issuer.clock().monotonic() + RENEWAL_TIME),
            priority: Priority::Interactive,
            ..cx.clone()
        };
        let (cell, issuer) = (Arc::clone(self), Arc::clone(issuer));
        // The new task cannot end before the renewal is noted: its last step needs the lock that the caller holds.
        let task = tokio::spawn(async move {
            let _end = End(&cell);
            let issued = issue(&cx, &*issuer, refresh).await;
            cell.settle(issued, issuer.clock())
        });
        let renewal = async move {
            task.await.unwrap_or_else(|error| {
                let ended = Error::new(
                    ErrorKind::Unexpected,
                    "the login at the vendor ended without a result",
                );
                Err(ended.with_source(error))
            })
        }
        .boxed()
        .shared();
        state.renewal = Some(renewal.clone());
        renewal
    }

    fn settle(&self, issued: Result<Issued>, clock: &dyn Clock) -> Result<Arc<Token>> {
        let mut state = self.state();
        let issued = match issued {
            Ok(issued) => issued,
            Err(error) => {
                state.paused_until = Some(clock.monotonic() + PAUSE_AFTER_FAILURE);
                return Err(error);
            }
        };
        let life = match issued.life_s {
            None | Some(0) => UNTOLD_LIFE,
            Some(seconds) => Duration::from_secs(seconds).min(MAX_LIFE),
        };
        let used = if life < RENEW_BEFORE * 2 {
            life / 2
        } else {
            life - RENEW_BEFORE
        };
        state.generations += 1;
        let token = Arc::new(Token {
            generation: state.generations,
            access: issued.access,
            refresh: issued.refresh,
            renew_at: issued.since + used,
            ends_at: issued.since + life,
        });
        state.token = Some(Arc::clone(&token));
        state.paused_until = None;
        Ok(token)
    }
}

/// Forgets the renewal when its task ends, however it ends, so that nobody joins one that is over.
struct End<'a>(&'a TokenCell);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state().renewal = None;
    }
}

async fn issue(cx: &Context, issuer: &dyn Issuer, refresh: Option<Secret>) -> Result<Issued> {
    if let Some(refresh) = refresh {
        match issuer.refresh(cx, &refresh).await {
            Ok(issued) => return Ok(issued),
            // A throttle is never answered by asking again at once.
            Err(error) if error.kind() == ErrorKind::Throttled => return Err(error),
            // How long a refresh token lives is documented as a month and as a day, so its end is nothing to report.
            Err(error) => tracing::debug!(?error, "token refresh failed, logging in"),
        }
    }
    issuer.login(cx).await
}

/// Waits for a renewal as long as the caller has time.
async fn wait(renewal: Renewal, cx: &Context, clock: &dyn Clock) -> Result<Arc<Token>> {
    match select(renewal, clock.sleep_until(cx.deadline)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(Error::new(
            ErrorKind::Timeout,
            "the login at the vendor took longer than the request may",
        )
        .with_operation("login")),
    }
}

#[cfg(test)]
mod tests;
