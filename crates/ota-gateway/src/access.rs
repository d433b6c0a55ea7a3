//! Permissions as extractor types: a handler that takes a [`Reader`] or an [`Admin`] cannot be reached without the scope.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ota_api::problem::{Code, Failure};
use ota_auth::{ADMIN, Access, AuthError, Caller, LookedFor, READ, TokenError};
use ota_server::TurnedAway;
use ota_server::request_context::{RequestContext, RequestId};
use ota_server::shares::Account;

use crate::state::App;

/// A caller with permission to read.
#[derive(Clone, Debug)]
pub struct Reader(pub Arc<Caller>);

/// A caller with permission to start a provider check.
#[derive(Clone, Debug)]
pub struct Admin(pub Arc<Caller>);

impl FromRequestParts<App> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        admit(parts, app, READ).await.map(Self)
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        admit(parts, app, ADMIN).await.map(Self)
    }
}

/// Decides whether a request has this scope. A token with an unknown key makes the gateway fetch the current keys.
async fn admit(parts: &Parts, app: &App, scope: &'static str) -> Result<Arc<Caller>, Failure> {
    let mut authorized = authorize(parts, app, scope);
    if let (Err(AuthError::Token(TokenError::UnknownKey)), Access::Jwt(verifier)) =
        (&authorized, app.access())
    {
        // Any client can name a key that does not exist, and the key server may be slow; all such requests together have the share of one caller.
        let shares = app.shares();
        let _place = RequestContext::of(&parts.extensions)
            .place_for(&Account::Unverified, shares)
            .inspect_err(|_| app.metrics().server.turned_away(TurnedAway::Full))?;
        match verifier.keys().look_for_new(app.clock()).await {
            // The keys may have been refreshed between the first check and this one.
            LookedFor::Read | LookedFor::ReadBefore => {
                authorized = authorize(parts, app, scope);
            }
            // It is unknown whether the key is valid, so the response does not judge the token.
            LookedFor::NoAnswer => authorized = Err(AuthError::Token(TokenError::NoKeys)),
        }
    }
    if let Err(AuthError::Token(TokenError::Foreign { detail, came })) = &authorized {
        let RequestId(request_id) = RequestId::of(&parts.extensions);
        tracing::info!(
            request.id = &*request_id,
            "a token was refused: {detail}; {came}"
        );
    }
    let caller = authorized.map_err(|error| failure_of(&error))?;
    let context = RequestContext::of(&parts.extensions);
    context.set_caller(caller.shared_name());
    if let Some(limiter) = app.rate_limiter() {
        let allowance = limiter.count(caller.name(), app.monotonic());
        context.set_allowance(allowance);
        if let Some(refusal) = allowance.refusal() {
            return Err(refusal);
        }
    }
    context
        .take_place(&Account::of(caller.subject.as_ref()), app.shares())
        .inspect_err(|_| app.metrics().server.turned_away(TurnedAway::Full))?;
    Ok(caller)
}

/// Decides by the credentials in the request.
fn authorize(parts: &Parts, app: &App, scope: &'static str) -> Result<Arc<Caller>, AuthError> {
    app.authorize(&parts.headers, &parts.uri, scope)
}

/// Returns the problem that states why a caller is refused.
fn failure_of(error: &AuthError) -> Failure {
    let (code, challenge) = match error {
        AuthError::Token(TokenError::NoKeys) => (Code::KeysUnavailable, None),
        AuthError::Token(_) => (
            Code::Unauthenticated,
            Some("Bearer error=\"invalid_token\""),
        ),
        AuthError::NoToken(_) => (Code::Unauthenticated, Some("Bearer")),
        AuthError::Scope(_) => (Code::Forbidden, Some("Bearer error=\"insufficient_scope\"")),
        AuthError::NotLoopback => (Code::MisdirectedRequest, None),
        AuthError::OtherOrigin => (Code::Forbidden, None),
    };
    Failure {
        challenge,
        ..Failure::new(code, error.to_string())
    }
}
