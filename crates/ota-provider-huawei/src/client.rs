//! The only place that sends.

use std::sync::{Arc, Mutex, PoisonError};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use ota_adapter::Account;
use ota_adapter::account::PageFormat;
use ota_adapter::answer::without_secrets;
use ota_adapter::error::wrong_shape;
use ota_core::clock::Clock;
use ota_core::drift::DriftKind;
use ota_core::error::Retry;
use ota_core::gate::{self, VendorCall};
use ota_core::provider::SettingError;
use ota_core::random::Random;
use ota_core::{Context, Error, ErrorKind, Result};
use ota_http::renewal::SecretGroup;
use ota_http::{Request, Secret, encode};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::{PAGE_BEYOND_LIMIT, blame, interpret, is_secret_refusal, is_token_refusal};
use crate::token::{Issued, Issuer, Token, TokenCell, TokenPool};
use crate::wire::{RefreshRequest, TokenAnswer};

/// How often a call is repeated because another login has replaced its token meanwhile.
const MAX_REPLACED: u32 = 3;

/// "The value ranges from 1 to 100." (`pageSize` in "Querying an Upgrade Task List", page of 2022-02-24, read 2026-11-23)
pub(crate) const MAX_PAGE_SIZE: u32 = 100;

/// How its pages look.
pub(crate) const PAGE: PageFormat = PageFormat {
    size: "pageSize",
    rows: "data",
    total: "totalCount",
    no_such_page: &[PAGE_BEYOND_LIMIT],
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Sends the calls of one application.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) account: Account,
    pub(crate) config: Config,
    http: ota_http::Client,
    tokens: Arc<TokenCell>,
    secret: SecretGroup,
}

impl Client {
    /// Creates the client; its token is that of the application in `tokens`.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub(crate) fn new(
        account: Account,
        config: Config,
        tokens: &TokenPool,
    ) -> Result<Self, SettingError> {
        let clock = Arc::clone(&account.deps.clock);
        Ok(Self {
            http: config.connection.client(&account.name, &*clock)?,
            tokens: tokens.cell(config.connection.endpoint.base(), &config.app_id),
            secret: SecretGroup::new(vec![Arc::clone(&config.secret)], clock),
            account,
            config,
        })
    }

    /// Makes one reading call. `target` is path and query, percent-encoded.
    ///
    /// A call whose token is refused is repeated once with a newer one; where another login has replaced the token meanwhile, up to [`MAX_REPLACED`]
    /// times more.
    ///
    /// # Errors
    /// What the call, or the login before it, met.
    pub(crate) async fn read(
        self: &Arc<Self>,
        cx: &Context,
        operation: &'static str,
        target: &str,
    ) -> Result<Map<String, Value>> {
        let issuer: Arc<dyn Issuer> = Arc::<Self>::clone(self);
        let mut token = self.tokens.current(cx, &issuer).await?;
        let (mut renewed, mut replaced) = (false, 0);
        loop {
            let (error, refused) = match self.pass(cx, operation, target, token, !renewed).await {
                Ok(body) => return Ok(body),
                Err((error, None)) => return Err(error),
                Err((error, Some(refused))) => (error, refused),
            };
            match self.tokens.refused(&refused, &error, &*issuer) {
                // Another login has ended it, which can happen again before this call has had its turn.
                false if replaced < MAX_REPLACED => replaced += 1,
                _ if !renewed => renewed = true,
                _ => return Err(error),
            }
            tracing::debug!(?error, operation, "token refused, taking a newer one");
            token = self.tokens.after_refusal(cx, &issuer, &refused).await?;
        }
    }

    /// Makes a reading call through the gate. Fails with the token that the vendor refused, if that was the reason. That it has ended, or that another login
    /// has ended it, is no trouble as long as the call can be repeated with a newer one.
    async fn pass(
        &self,
        cx: &Context,
        operation: &'static str,
        target: &str,
        token: Arc<Token>,
        repeatable: bool,
    ) -> Result<Map<String, Value>, (Error, Option<Arc<Token>>)> {
        let refused = Mutex::new(None);
        let (refused_slot, token) = (&refused, &token);
        gate::call(
            &*self.account.deps.gate,
            cx,
            VendorCall::read(operation),
            |_| async move {
                // The gate may have made us wait; a login of someone else has then killed the token that we came with.
                let token = self.tokens.newest().unwrap_or_else(|| Arc::clone(token));
                let result = self.read_once(cx, operation, target, &token.access).await;
                let is_refused = result.as_ref().is_err_and(is_token_refusal);
                if result.is_ok() {
                    self.tokens.accepted(&token);
                }
                let superseded = repeatable || !self.tokens.is_newest(&token);
                *refused_slot.lock().unwrap_or_else(PoisonError::into_inner) =
                    is_refused.then_some(token);
                result.map_err(|error| match is_refused && superseded {
                    true => error.with_superseded(),
                    false => error,
                })
            },
        )
        .await
        .map_err(|error| {
            let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
            (error, refused)
        })
    }

    async fn read_once(
        &self,
        cx: &Context,
        operation: &'static str,
        target: &str,
        token: &Secret,
    ) -> Result<Map<String, Value>> {
        let mut request = self.request(Method::GET, target)?;
        request.header(
            self.config.app_key_header.clone(),
            &self.config.app_id,
            false,
        )?;
        let authorization = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        request.header(AUTHORIZATION, &authorization, true)?;
        let body = self.send(cx, operation, request, &[token]).await?;
        // Here and not in `send`: an answer with tokens must keep them.
        let own = self.config.secret.read().ok();
        let secrets = [token].into_iter().chain(&own).map(Secret::expose_secret);
        Ok(without_secrets(body, secrets))
    }

    fn request(&self, method: Method, target: &str) -> Result<Request> {
        let url = format!("{}{target}", self.config.connection.endpoint.base());
        let mut request = Request::new(method, url);
        request.header(ACCEPT, JSON, false)?;
        Ok(request)
    }

    async fn send(
        &self,
        cx: &Context,
        operation: &'static str,
        request: Request,
        secrets: &[&Secret],
    ) -> Result<Map<String, Value>> {
        let response = self.http.send(cx, request).await?;
        let own = self.config.secret.read().ok();
        let secrets = secrets.iter().copied().chain(&own);
        let secrets: Vec<&str> = secrets.map(Secret::expose_secret).collect();
        let source = self.account.source(operation);
        interpret(&response, &secrets, &|field| {
            source.report(DriftKind::Malformed, field)
        })
    }

    /// Says what follows on a refused login or refresh: another login, if the secret has been replaced or the refresh token was all that was refused.
    async fn after_refusal(&self, error: Error, call: VendorCall, secret: &Secret) -> Error {
        if error.kind() != ErrorKind::Auth {
            return error;
        }
        if !call.repeatable {
            return error.with_superseded();
        }
        let refused = std::slice::from_ref(secret);
        match is_secret_refusal(&error) && self.secret.replaced(refused).await {
            true => error.with_superseded().with_retry(Retry::Once),
            false => error,
        }
    }

    async fn issue(
        &self,
        cx: &Context,
        call: VendorCall,
        path: &str,
        content_type: &str,
        body: impl Fn(&str) -> Result<String> + Sync,
        refresh_token: Option<&Secret>,
    ) -> Result<Issued> {
        let body = &body;
        gate::call(&*self.account.deps.gate, cx, call, |_| async move {
            let since = self.account.deps.clock.monotonic();
            let secret = self.config.secret.read().map_err(|error| {
                Error::new(
                    ErrorKind::Misconfigured,
                    "the application's secret cannot be read",
                )
                .with_source(error)
            })?;
            let mut request = self.request(Method::POST, path)?;
            request.header(CONTENT_TYPE, content_type, false)?;
            request.secret_body(body(secret.expose_secret())?);
            let mut secrets = vec![&secret];
            secrets.extend(refresh_token);
            match self.send(cx, call.operation, request, &secrets).await {
                Ok(answer) => issued(answer, since),
                Err(error) => {
                    // Its fields are all settings: nothing of it can be the caller's fault.
                    let error = blame(error, false);
                    Err(self.after_refusal(error, call, &secret).await)
                }
            }
        })
        .await
    }
}

pub(crate) fn issued(answer: Map<String, Value>, since: std::time::Instant) -> Result<Issued> {
    let answer: TokenAnswer =
        serde_json::from_value(Value::Object(answer)).map_err(|_| wrong_shape("accessToken"))?;
    let access = answer
        .access_token
        .identifier()
        .filter(|token| HeaderValue::from_str(token).is_ok())
        .ok_or_else(|| wrong_shape("accessToken"))?;
    Ok(Issued {
        access: Secret::new(access),
        refresh: answer.refresh_token.identifier().map(Secret::new),
        life_s: answer.expires_in.count(),
        since,
    })
}

#[async_trait::async_trait]
impl Issuer for Client {
    async fn login(&self, cx: &Context) -> Result<Issued> {
        let body = |secret: &str| {
            Ok(encode::query([
                ("appId", self.config.app_id.as_str()),
                ("secret", secret),
            ]))
        };
        // Repeatable: a second login kills the first one's token, which no one has seen.
        let call = VendorCall {
            operation: "login",
            repeatable: true,
        };
        self.issue(cx, call, "/iocm/app/sec/v1.1.0/login", FORM, body, None)
            .await
    }

    async fn refresh(&self, cx: &Context, refresh_token: &Secret) -> Result<Issued> {
        let body = |secret: &str| {
            let request = RefreshRequest {
                app_id: &self.config.app_id,
                secret,
                refresh_token: refresh_token.expose_secret(),
            };
            let texts = [request.app_id, request.secret, request.refresh_token];
            // With room for all of it, each character escaped, so that no piece of the secret stays behind in a buffer that became too small.
            let room = texts.iter().map(|text| text.len() * 6 + 32).sum();
            let mut json = Vec::with_capacity(room);
            // Without a source: it could repeat a part of the body.
            let failed = || Error::new(ErrorKind::Unexpected, "the refresh cannot be written");
            serde_json::to_writer(&mut json, &request).map_err(|_| failed())?;
            String::from_utf8(json).map_err(|_| failed())
        };
        // Not repeatable: the first one may have used the refresh token up. A login follows instead.
        let call = VendorCall {
            operation: "refreshToken",
            repeatable: false,
        };
        let path = "/iocm/app/sec/v1.1.0/refreshToken";
        self.issue(cx, call, path, JSON, body, Some(refresh_token))
            .await
    }

    fn credential(&self) -> Option<Secret> {
        self.config.secret.read_again().ok()
    }

    fn clock(&self) -> &dyn Clock {
        &*self.account.deps.clock
    }

    fn random(&self) -> &dyn Random {
        &*self.account.deps.random
    }
}
