//! The one valid token of an application.
//!
//! Only the newest token is valid: each login kills the token before it, and the vendor forbids logins side by side
//! (northbound API reference, vendor notes section 1.3). So there is one [`TokenCell`] for each application, and in it at most one
//! renewal at a time. A renewal runs in a separate task: a call that waits can be cancelled without ending it for the others.
//!
//! A token that is about to end is renewed beside the calls that are made with it; only where there is none is the login waited for. A login that the
//! vendor has refused is not tried again with each request ([`Refused`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use ota_core::clock::{Clock, after};
use ota_core::context::{CallLog, Priority};
use ota_core::random::Random;
use ota_core::{Context, Error, ErrorKind, Result};
use ota_http::Secret;
use ota_http::refused::Refused;

use crate::error::speaks_of_token;

/// How long before its end a token is renewed, unless it lives shorter than twice as long: then at half of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The life of a token that came without one. Short, so that a wrong guess costs a renewal and no refused call.
const UNTOLD_LIFE: Duration = Duration::from_secs(60);

/// The longest life that is believed; the documented one is an hour.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The time limit of a renewal.
const RENEWAL_TIME: Duration = Duration::from_secs(30);

/// How many tokens in a row may be refused without having served once before logins pause.
const MOST_USELESS: u32 = 2;

/// How long a token that is still valid is used further after its renewal has failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The tokens of a process. Providers that use one application at one endpoint share a token through it, so their configuration must ensure that
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

    /// Returns the secret that a login would be made with now; none where it cannot be read.
    fn credential(&self) -> Option<Secret>;

    /// Returns the clock that lives are measured with.
    fn clock(&self) -> &dyn Clock;

    /// Returns what makes pauses differ.
    fn random(&self) -> &dyn Random;
}

/// A token as the vendor gave it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    /// `expiresIn`; zero counts as not reported.
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
    /// Whether the vendor has answered a call that was made with it.
    accepted: AtomicBool,
}

/// The one valid token of an application, and its renewal when one is in progress.
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
    /// The last refusal of a login, or of the tokens that logins brought, until one succeeds.
    refused: Option<Refused<Option<Secret>>>,
    /// How many tokens in a row the vendor has refused without ever having answered a call with one of them.
    useless: u32,
}

impl State {
    /// Returns the refusal that a login would meet: the vendor has refused the present secret a short while ago.
    fn refusal(&self, issuer: &dyn Issuer, now: Instant) -> Option<Error> {
        // The secret is read only after a refusal: it may be a file.
        let refused = self.refused.as_ref()?;
        refused.answer(&issuer.credential(), now)
    }
}

/// A login or refresh in progress.
#[derive(Clone)]
struct Renewal {
    result: Shared<BoxFuture<'static, Result<Arc<Token>>>>,
    /// How long it may take.
    until: Instant,
}

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

    /// Records that the vendor has answered a call with a token.
    pub(crate) fn accepted(&self, token: &Token) {
        if token.accepted.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        if std::mem::take(&mut state.useless) > 0 {
            state.refused = None;
        }
    }

    /// Whether a token is the one in use, and no login is in progress.
    pub(crate) fn is_newest(&self, token: &Token) -> bool {
        let state = self.state();
        let newest = state.token.as_ref();
        newest.is_some_and(|newest| newest.generation == token.generation)
    }

    /// Records that the vendor has refused a token with this error, and returns whether it was the newest one.
    ///
    /// A platform that refuses the tokens it gives would cost a login for each request; so after two such tokens in a row logins pause as after a refused
    /// one.
    pub(crate) fn refused(&self, token: &Token, error: &Error, issuer: &dyn Issuer) -> bool {
        let mut state = self.state();
        let newest = state.token.as_ref();
        if newest.is_none_or(|newest| newest.generation != token.generation) {
            return false;
        }
        // No one else is to try it.
        state.token = None;
        if !token.accepted.load(Ordering::Relaxed) {
            state.useless = state.useless.saturating_add(1);
        }
        if state.useless >= MOST_USELESS {
            let (now, random) = (issuer.clock().monotonic(), issuer.random());
            let before = state.refused.as_ref();
            let refused = Refused::new(before, issuer.credential(), error.clone(), now, random);
            let pause = refused.pause(now).as_secs();
            tracing::error!(
                "the vendor refuses the tokens that it gives; the next login is made after a while ({pause} s, then at most a minute): {error:?}"
            );
            state.refused = Some(refused);
        }
        true
    }

    /// Returns a token. One that is about to end is renewed beside; only where there is none is the renewal waited for.
    ///
    /// # Errors
    /// Why there is no token; `timeout` when the caller's deadline comes first.
    pub(crate) async fn current(
        self: &Arc<Self>,
        cx: &Context,
        issuer: &Arc<dyn Issuer>,
    ) -> Result<Arc<Token>> {
        self.waited_for(cx, issuer, |state| {
            let now = issuer.clock().monotonic();
            let Some(token) = state.token.clone().filter(|token| now < token.ends_at) else {
                let refresh = state.token.as_ref().and_then(|token| token.refresh.clone());
                return Step::Renew(refresh);
            };
            let paused = state.paused_until.is_some_and(|until| now < until);
            let is_due = now >= token.renew_at && !paused && state.renewal.is_none();
            if is_due && state.refusal(&**issuer, now).is_none() {
                // No caller waits for its call.
                let beside = Context {
                    calls: Arc::new(CallLog::default()),
                    ..cx.clone()
                };
                drop(self.renewal(state, &beside, issuer, token.refresh.clone()));
            }
            Step::Done(token)
        })
        .await
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
        self.waited_for(cx, issuer, |state| match &state.token {
            Some(token) if token.generation != refused.generation => Step::Done(Arc::clone(token)),
            // No refresh: what ended the access token has most likely ended its refresh token too.
            _ => Step::Renew(None),
        })
        .await
    }

    /// Takes the steps that `next` says until there is a token. A caller with more time than a renewal that has ended for want of time begins another.
    async fn waited_for(
        self: &Arc<Self>,
        cx: &Context,
        issuer: &Arc<dyn Issuer>,
        next: impl Fn(&mut State) -> Step,
    ) -> Result<Arc<Token>> {
        loop {
            let renewal = {
                let mut state = self.state();
                let refresh = match next(&mut state) {
                    Step::Done(token) => return Ok(token),
                    Step::Renew(refresh) => refresh,
                };
                let now = issuer.clock().monotonic();
                match state.refusal(&**issuer, now) {
                    Some(refusal) if state.renewal.is_none() => return Err(refusal),
                    _ => self.renewal(&mut state, cx, issuer, refresh),
                }
            };
            let until = renewal.until;
            let error = match wait(renewal, cx, issuer.clock()).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let now = issuer.clock().monotonic();
            let ended_early = match error.kind() {
                ErrorKind::Timeout => now >= until,
                ErrorKind::Throttled => error.is_local(),
                _ => false,
            };
            if !ended_early || until >= cx.deadline || now >= cx.deadline {
                return Err(error);
            }
        }
    }

    /// Joins the renewal in progress or begins one.
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
        let until = cx
            .deadline
            .max(after(issuer.clock().monotonic(), RENEWAL_TIME));
        let cx = Context {
            // Other calls may join it, also interactive ones and with more time than the first one.
            deadline: until,
            priority: Priority::Interactive,
            ..cx.clone()
        };
        // Where the last login was refused, a refresh with the same secret would be one refusal more.
        let refresh = refresh.filter(|_| state.refused.is_none());
        let (cell, issuer) = (Arc::clone(self), Arc::clone(issuer));
        // The new task cannot end before the renewal is noted: its last step needs the lock that the caller holds.
        let task = tokio::spawn(async move {
            let _end = End(&cell);
            let credential = issuer.credential();
            let issued = issue(&cx, &*issuer, refresh).await;
            cell.settle(issued, credential, &*issuer)
        });
        let result = async move {
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
        let renewal = Renewal { result, until };
        state.renewal = Some(renewal.clone());
        renewal
    }

    /// Takes what a renewal brought. `credential` is what the vendor has refused if it refused.
    fn settle(
        &self,
        issued: Result<Issued>,
        credential: Option<Secret>,
        issuer: &dyn Issuer,
    ) -> Result<Arc<Token>> {
        let now = issuer.clock().monotonic();
        let mut state = self.state();
        let issued = match issued {
            Ok(issued) => issued,
            Err(error) => {
                state.paused_until = Some(after(now, PAUSE_AFTER_FAILURE));
                if is_lasting(&error) {
                    let before = state.refused.as_ref();
                    // Only the first refusal of a secret is logged as an error; the following ones have the same cause.
                    let is_new = before.is_none_or(|before| !before.is_of(&credential));
                    let random = issuer.random();
                    let refused = Refused::new(before, credential, error.clone(), now, random);
                    let pause = refused.pause(now).as_secs();
                    match is_new {
                        true => tracing::error!(
                            "the vendor refused the login; the next one is made when the secret has changed, or after a while ({pause} s, then at most a minute): {error:?}"
                        ),
                        false => tracing::debug!("the vendor refused the login again: {error:?}"),
                    }
                    state.refused = Some(refused);
                }
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
            renew_at: after(issued.since, used),
            ends_at: after(issued.since, life),
            accepted: AtomicBool::new(false),
        });
        state.token = Some(Arc::clone(&token));
        state.paused_until = None;
        if state.useless == 0 {
            state.refused = None;
        }
        Ok(token)
    }
}

/// Forgets the renewal when its task ends, however it ends, so that no one joins one that is over.
struct End<'a>(&'a TokenCell);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state().renewal = None;
    }
}

/// What a caller who needs a token does next.
enum Step {
    Done(Arc<Token>),
    /// Waits for the renewal in progress, or begins one, with this refresh token or with a login.
    Renew(Option<Secret>),
}

/// Whether the vendor refused what a login was made with, so that the next one would be refused too.
fn is_lasting(error: &Error) -> bool {
    let refused = matches!(
        error.kind(),
        ErrorKind::Auth | ErrorKind::Misconfigured | ErrorKind::Rejected
    );
    refused && error.vendor().is_some() && !error.is_superseded() && !speaks_of_token(error)
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
    match select(renewal.result, clock.sleep_until(cx.deadline)).await {
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
