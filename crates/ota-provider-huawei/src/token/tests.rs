use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::Priority;
use ota_core::error::VendorError;
use ota_core::random::{Random, SequenceRandom};
use ota_core::{Context, Error, ErrorKind, Result};
use ota_http::Secret;
use time::macros::datetime;
use tokio::sync::watch;

use super::{Issued, Issuer, Token, TokenCell};

/// Hands out `access-1`, `access-2` and so on, and can be held or told to fail.
struct FakeIssuer {
    clock: ManualClock,
    life_s: Option<u64>,
    calls: watch::Sender<Vec<String>>,
    failures: Mutex<VecDeque<ErrorKind>>,
    open: watch::Sender<bool>,
    secret: Mutex<Secret>,
    random: SequenceRandom,
}

impl FakeIssuer {
    fn new(life_s: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            clock: ManualClock::new(datetime!(2026-01-01 00:00 UTC)),
            life_s,
            calls: watch::Sender::default(),
            failures: Mutex::default(),
            open: watch::Sender::new(true),
            secret: Mutex::new(Secret::new("one")),
            random: SequenceRandom::new(1),
        })
    }

    fn fail(&self, kind: ErrorKind) {
        self.failures.lock().unwrap().push_back(kind);
    }

    fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    fn context(&self) -> Context {
        let deadline = self.clock.monotonic() + Duration::from_secs(5);
        Context::new("test", deadline, Priority::Interactive)
    }

    /// Answers, or gives up as a gate does at the end of a caller's time.
    async fn within(&self, cx: &Context, call: String) -> Result<Issued> {
        tokio::select! {
            biased;
            answer = self.answer(call) => answer,
            () = self.clock.sleep_until(cx.deadline) => Err(Error::new(ErrorKind::Timeout, "too late")),
        }
    }

    async fn answer(&self, call: String) -> Result<Issued> {
        let since = self.clock.monotonic();
        self.calls.send_modify(|calls| calls.push(call));
        let number = self.calls.borrow().len();
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        if let Some(kind) = self.failures.lock().unwrap().pop_front() {
            let error = Error::new(kind, "told to fail").with_source(Error::new(kind, "deeper"));
            return Err(match kind {
                ErrorKind::Auth => error.with_vendor(VendorError::default()),
                _ => error,
            });
        }
        Ok(Issued {
            access: Secret::new(format!("access-{number}")),
            refresh: Some(Secret::new(format!("refresh-{number}"))),
            life_s: self.life_s,
            since,
        })
    }
}

#[async_trait::async_trait]
impl Issuer for FakeIssuer {
    async fn login(&self, cx: &Context) -> Result<Issued> {
        self.within(cx, "login".to_owned()).await
    }

    async fn refresh(&self, cx: &Context, token: &Secret) -> Result<Issued> {
        let call = format!("refresh {}", token.expose_secret());
        self.within(cx, call).await
    }

    fn credential(&self) -> Option<Secret> {
        Some(self.secret.lock().unwrap().clone())
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn random(&self) -> &dyn Random {
        &self.random
    }
}

async fn current(cell: &Arc<TokenCell>, issuer: &Arc<FakeIssuer>) -> Result<Arc<Token>> {
    let shared: Arc<dyn Issuer> = Arc::<FakeIssuer>::clone(issuer);
    cell.current(&issuer.context(), &shared).await
}

async fn after_refusal(
    cell: &Arc<TokenCell>,
    issuer: &Arc<FakeIssuer>,
    token: &Token,
) -> Result<Arc<Token>> {
    let shared: Arc<dyn Issuer> = Arc::<FakeIssuer>::clone(issuer);
    let refusal = Error::new(ErrorKind::Auth, "the vendor refused the access token");
    cell.refused(token, &refusal, &**issuer);
    cell.after_refusal(&issuer.context(), &shared, token).await
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Returns the token that is there when what was begun beside has ended.
async fn renewed(cell: &Arc<TokenCell>, issuer: &Arc<FakeIssuer>) -> Arc<Token> {
    current(cell, issuer).await.unwrap();
    settle().await;
    current(cell, issuer).await.unwrap()
}

/// Checks that a token is used until `renewed_after` seconds and then renewed.
async fn check_life(life_s: Option<u64>, renewed_after: u64) {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(life_s));
    current(&cell, &issuer).await.unwrap();
    issuer
        .clock
        .advance(Duration::from_secs(renewed_after) - Duration::from_millis(1));
    current(&cell, &issuer).await.unwrap();
    settle().await;
    assert_eq!(issuer.calls(), ["login"], "{life_s:?}");
    issuer.clock.advance(Duration::from_millis(1));
    let token = renewed(&cell, &issuer).await;
    assert_eq!(issuer.calls(), ["login", "refresh refresh-1"], "{life_s:?}");
    assert_eq!(token.access.expose_secret(), "access-2");
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    check_life(Some(3600), 3300).await;
    check_life(Some(600), 300).await;
    check_life(Some(100), 50).await;
    check_life(None, 30).await;
    check_life(Some(0), 30).await;
    check_life(Some(u64::MAX), 24 * 3600 - 300).await;
}

#[tokio::test]
async fn many_callers_share_one_login() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    issuer.open.send_replace(false);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (cell, issuer) = (Arc::clone(&cell), Arc::clone(&issuer));
            tokio::spawn(async move { current(&cell, &issuer).await })
        })
        .collect();
    let mut calls = issuer.calls.subscribe();
    calls.wait_for(|calls| !calls.is_empty()).await.unwrap();
    issuer.open.send_replace(true);
    for caller in callers {
        let token = caller.await.unwrap().unwrap();
        assert_eq!(token.access.expose_secret(), "access-1");
    }
    assert_eq!(issuer.calls(), ["login"]);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_end_the_login() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    issuer.open.send_replace(false);
    let first = {
        let (cell, issuer) = (Arc::clone(&cell), Arc::clone(&issuer));
        tokio::spawn(async move { current(&cell, &issuer).await })
    };
    let mut calls = issuer.calls.subscribe();
    calls.wait_for(|calls| !calls.is_empty()).await.unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = current(&cell, &issuer);
    issuer.open.send_replace(true);
    assert_eq!(second.await.unwrap().access.expose_secret(), "access-1");
    assert_eq!(issuer.calls(), ["login"]);
}

#[tokio::test]
async fn a_failed_refresh_is_followed_by_a_login() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    current(&cell, &issuer).await.unwrap();
    issuer.clock.advance(Duration::from_secs(3300));
    issuer.fail(ErrorKind::Auth);
    let token = renewed(&cell, &issuer).await;
    assert_eq!(token.access.expose_secret(), "access-3");
    assert_eq!(issuer.calls(), ["login", "refresh refresh-1", "login"]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_by_one_login_for_all() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    let old = current(&cell, &issuer).await.unwrap();
    let new = after_refusal(&cell, &issuer, &old).await.unwrap();
    assert_eq!(new.access.expose_secret(), "access-2");
    // Someone whose call with the old token comes back late.
    let late = after_refusal(&cell, &issuer, &old).await.unwrap();
    assert_eq!(late.access.expose_secret(), "access-2");
    assert_eq!(issuer.calls(), ["login", "login"]);
}

#[tokio::test]
async fn tokens_that_are_refused_at_once_cost_a_few_logins_a_minute() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    let first = current(&cell, &issuer).await.unwrap();
    let second = after_refusal(&cell, &issuer, &first).await.unwrap();
    for _ in 0..20 {
        let error = after_refusal(&cell, &issuer, &second).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        let error = current(&cell, &issuer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
    }
    assert_eq!(issuer.calls().len(), 2);
    // Ten minutes of requests, each with a token that is refused.
    for _ in 0..600 {
        issuer.clock.advance(Duration::from_secs(1));
        if let Ok(token) = current(&cell, &issuer).await {
            assert!(after_refusal(&cell, &issuer, &token).await.is_err());
        }
    }
    let logins = issuer.calls().len();
    assert!((10..=24).contains(&logins), "{logins}");
    // One that serves ends it: the next refusal is an ordinary one.
    issuer.clock.advance(Duration::from_secs(60));
    let token = current(&cell, &issuer).await.unwrap();
    cell.accepted(&token);
    after_refusal(&cell, &issuer, &token).await.unwrap();
}

#[tokio::test]
async fn a_failed_login_is_shared_and_not_kept() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    issuer.fail(ErrorKind::Unavailable);
    let (one, two) = tokio::join!(current(&cell, &issuer), current(&cell, &issuer));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            format!("{error:?}").ends_with("told to fail: deeper"),
            "{error:?}"
        );
    }
    assert_eq!(issuer.calls(), ["login"]);
    assert!(current(&cell, &issuer).await.is_ok());
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_used_to_its_end() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    current(&cell, &issuer).await.unwrap();
    issuer.clock.advance(Duration::from_secs(3300));
    for _ in 0..4 {
        issuer.fail(ErrorKind::Unavailable);
    }
    for _ in 0..3 {
        let token = renewed(&cell, &issuer).await;
        assert_eq!(token.access.expose_secret(), "access-1");
    }
    assert_eq!(issuer.calls().len(), 3, "no second renewal at once");
    issuer.clock.advance(Duration::from_secs(300));
    let error = current(&cell, &issuer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn nobody_waits_beyond_the_deadline() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    issuer.open.send_replace(false);
    let waiting = {
        let (cell, issuer) = (Arc::clone(&cell), Arc::clone(&issuer));
        tokio::spawn(async move { current(&cell, &issuer).await })
    };
    let mut calls = issuer.calls.subscribe();
    calls.wait_for(|calls| !calls.is_empty()).await.unwrap();
    issuer.clock.advance(Duration::from_secs(5));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    issuer.open.send_replace(true);
    assert!(current(&cell, &issuer).await.is_ok());
    assert_eq!(issuer.calls(), ["login"]);
}

#[tokio::test]
async fn a_token_does_not_show_itself() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    current(&cell, &issuer).await.unwrap();
    let shown = format!("{cell:?}");
    assert!(
        !shown.contains("access-") && !shown.contains("refresh-"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_login_that_hangs_holds_nobody_up_who_has_a_token() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    current(&cell, &issuer).await.unwrap();
    issuer.open.send_replace(false);
    issuer.clock.advance(Duration::from_secs(3300));
    let now = issuer.clock.monotonic();
    for _ in 0..3 {
        let token = tokio::select! {
            biased;
            token = current(&cell, &issuer) => token.unwrap(),
            () = settle() => panic!("a reader waits although it has a valid token"),
        };
        assert_eq!(token.access.expose_secret(), "access-1");
        settle().await;
    }
    assert_eq!(issuer.clock.monotonic(), now);
    assert_eq!(issuer.calls(), ["login", "refresh refresh-1"]);
    issuer.open.send_replace(true);
    settle().await;
    let token = current(&cell, &issuer).await.unwrap();
    assert_eq!(token.access.expose_secret(), "access-2");
}

#[tokio::test]
async fn everybody_waits_for_a_login_until_his_own_deadline() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    issuer.open.send_replace(false);
    let wait = |seconds| {
        let (cell, issuer) = (Arc::clone(&cell), Arc::clone(&issuer));
        tokio::spawn(async move {
            let start = issuer.clock.monotonic();
            let deadline = start + Duration::from_secs(seconds);
            let cx = Context::new("test", deadline, Priority::Interactive);
            let shared: Arc<dyn Issuer> = Arc::<FakeIssuer>::clone(&issuer);
            let result = cell.current(&cx, &shared).await;
            let waited = issuer.clock.monotonic() - start;
            (
                result.map_err(|error| error.kind()).is_ok(),
                waited.as_secs(),
            )
        })
    };
    let starter = wait(5);
    settle().await;
    let (short, long) = (wait(1), wait(100));
    settle().await;
    for _ in 0..40 {
        issuer.clock.advance(Duration::from_secs(1));
        settle().await;
    }
    assert_eq!(starter.await.unwrap(), (false, 5));
    assert_eq!(short.await.unwrap(), (false, 1));
    // The first login had its time; whoever has more begins another.
    assert_eq!(issuer.calls(), ["login", "login"]);
    issuer.open.send_replace(true);
    assert_eq!(long.await.unwrap(), (true, 40));
}

#[tokio::test]
async fn a_token_stays_in_use_while_logins_are_refused_and_few_are_made() {
    let (cell, issuer) = (Arc::<TokenCell>::default(), FakeIssuer::new(Some(3600)));
    current(&cell, &issuer).await.unwrap();
    issuer.clock.advance(Duration::from_secs(3300));
    for _ in 0..100 {
        issuer.fail(ErrorKind::Auth);
    }
    for _ in 0..299 {
        let token = renewed(&cell, &issuer).await;
        assert_eq!(token.access.expose_secret(), "access-1");
        issuer.clock.advance(Duration::from_secs(1));
    }
    let calls = issuer.calls().len();
    assert!((4..=14).contains(&calls), "{calls}");
    issuer.clock.advance(Duration::from_secs(1));
    for _ in 0..10 {
        let error = current(&cell, &issuer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
    }
    assert!(issuer.calls().len() <= calls + 1);
    // Another secret is tried at once.
    issuer.failures.lock().unwrap().clear();
    *issuer.secret.lock().unwrap() = Secret::new("two");
    assert!(current(&cell, &issuer).await.is_ok());
}
