//! The response to one request: from the cache, from an equal read in flight, from the vendor, or from the gateway's own state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::Response;
use ota_api::problem::{Code, Failure};
use ota_core::clock::after;
use ota_core::context::{CallSummary, Context, Moment, Priority};
use ota_core::id::ProviderName;
use ota_core::{BoxFuture, Error, ErrorKind};
use ota_fleet::{CacheAnswer, CacheLimits, ConfiguredProvider, Fetch, Fetched, Provenance, Source};
use ota_server::ClientWatch;
use ota_server::request_context::{RequestContext, RequestId};
use time::OffsetDateTime;

use crate::cache::conditional::{ConditionalRequest, Freshness};
use crate::cache::metrics::ReadResult;
use crate::cache::response::CachedResponse;
use crate::cache::targets::ResolvedTarget;
use crate::forward::{Elsewhere, ForwardedRequest, HolderProblem, OTA_FORWARDED};
use crate::state::App;

/// Makes the response to one request: knows its deadline, its caller, its client and its conditional headers.
#[derive(Debug)]
pub struct Responder {
    request_id: RequestId,
    request: RequestContext,
    conditional: ConditionalRequest,
    /// The path and query, if equal ones always mean the same read; not with a cursor, which expires.
    target: Option<Uri>,
    route: Option<MatchedPath>,
    client: Option<ClientWatch>,
    /// What another gateway is given of the request; none where there is no other.
    to_forward: Option<ForwardedRequest>,
    /// Whether another gateway has passed the request on to this one.
    is_forwarded: bool,
    app: App,
}

impl FromRequestParts<App> for Responder {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let has_cursor = parts
            .uri
            .query()
            .is_some_and(|query| query.contains("cursor") || query.contains('%'));
        let repeatable = parts.method == Method::GET && !has_cursor;
        Ok(Self {
            request_id: RequestId::of(&parts.extensions),
            request: RequestContext::of(&parts.extensions),
            conditional: ConditionalRequest::read(&parts.method, &parts.headers)?,
            target: repeatable.then(|| parts.uri.clone()),
            route: parts.extensions.get::<MatchedPath>().cloned(),
            client: parts.extensions.get::<ClientWatch>().cloned(),
            to_forward: app.forwarder().map(|_| ForwardedRequest::of(parts)),
            is_forwarded: parts.headers.contains_key(OTA_FORWARDED),
            app: app.clone(),
        })
    }
}

/// What is read, as the cache and the metrics identify it.
#[derive(Debug)]
pub struct ReadKey<'a> {
    /// The provider.
    pub member: &'a ConfiguredProvider,
    /// The operation, by its identifier in the API document.
    pub operation: &'static str,
    /// Everything that the response depends on: equal keys are equal reads. It contains nothing of the caller: what the caller may see has been decided before.
    pub key: String,
    /// Whether it is statistics, which cost more vendor calls and may be older.
    pub is_count: bool,
    /// Whether the body of the response states its time, as in [`CachedResponse::dated`].
    pub is_dated: bool,
}

/// Returns the cache limits of a provider.
pub(crate) fn limits(app: &App, attempt_timeout: Duration, is_count: bool) -> CacheLimits {
    let cache = app.cache();
    CacheLimits {
        max_age: if is_count {
            cache.stats_max_age
        } else {
            cache.max_age
        },
        min_age: cache.min_age,
        stale_if_error: cache.stale_if_error,
        error_age: cache.error_age,
        max_wait: attempt_timeout,
    }
}

impl Responder {
    /// Returns the context of a vendor call for this request.
    #[must_use]
    pub fn context(&self) -> Context {
        let cx = Context::new(
            Arc::clone(&self.request_id.0),
            self.deadline(),
            Priority::Interactive,
        );
        self.request.set_calls(&cx.calls);
        cx.with_trace(self.request.trace())
            .with_caller(self.request.caller().cloned())
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.app.now()
    }

    /// Returns the time by which the request is answered. One that another gateway has passed on ends earlier than there, so that its caller learns what
    /// happened here.
    fn deadline(&self) -> Instant {
        let whole = self.app.request_timeout();
        let time = match self.is_forwarded {
            true => whole * 9 / 10,
            false => whole,
        };
        after(self.app.monotonic(), time)
    }

    /// Returns the failure with which this request ends on a provider's error. What the gateway that holds the account has answered stays as it is.
    #[must_use]
    pub fn failure(&self, error: &Error, provider: &str) -> Failure {
        match HolderProblem::of(error) {
            Some(problem) => problem.failure(),
            None => Failure::of_provider(error, provider, &self.request_id.0),
        }
    }

    /// Returns how the request is passed on; none where this gateway calls the vendor itself.
    fn elsewhere(&self, provider: &ProviderName) -> Option<Elsewhere> {
        let forwarder = self.app.forwarder()?;
        forwarder.elsewhere(provider, self.to_forward.as_ref()?)
    }

    /// Waits for a result that may need a vendor call. The wait ends if the client has most likely disconnected before a call was sent, so that no quota is
    /// used.
    ///
    /// # Errors
    /// `unavailable` if the wait ended.
    pub async fn unless_gone<T>(
        &self,
        answer: impl Future<Output = T>,
        is_sent: impl Fn() -> bool,
    ) -> Result<T, Failure> {
        let Some(client) = &self.client else {
            return Ok(answer.await);
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            () = client.disconnected() => {}
        }
        match is_sent() {
            true => Ok(answer.await),
            false => Err(Failure::new(
                Code::Unavailable,
                "the client closed its side of the connection while the request was waiting for the vendor's quota; keep the connection open",
            )),
        }
    }

    /// Responds from the cache, from an equal read in flight, or by `fetch`, which runs in a separate task; where another gateway holds the vendor account,
    /// by its answer.
    ///
    /// # Errors
    /// The error of the read; `nothing_cached` for `only-if-cached` if nothing is cached; `provider_unavailable` if the holder does not answer.
    pub async fn read<F>(
        &self,
        key: ReadKey<'_>,
        fetch: impl FnOnce(App, Context) -> F,
    ) -> Result<Response, Failure>
    where
        F: Future<Output = ota_core::Result<(CachedResponse, Moment)>> + Send + 'static,
    {
        let limits = limits(&self.app, key.member.attempt_timeout(), key.is_count);
        let elsewhere = self.elsewhere(key.member.provider().name());
        let passed_on = elsewhere.is_some();
        let served = match elsewhere {
            Some(elsewhere) if self.is_forwarded => {
                // It joins no read in flight here: that one waits for another gateway, which may be the one that asks.
                let cached = self
                    .app
                    .store()
                    .lookup(&key.key, self.conditional.directives, limits);
                cached.map(Some).ok_or_else(|| elsewhere.refuse())
            }
            elsewhere => self.obtain(&key, limits, elsewhere, fetch).await?,
        };
        let provider = key.member.provider().name().as_str();
        let count = |result| {
            let metrics = &self.app.metrics().cache;
            metrics.read(provider, key.operation, result);
        };
        let served = match served {
            Ok(Some(served)) => served,
            Ok(None) => {
                count(ReadResult::NothingCached);
                return Err(Failure::new(
                    Code::NothingCached,
                    "nothing is cached for this request; repeat it without `Cache-Control: only-if-cached`",
                ));
            }
            Err(error) => {
                count(ReadResult::Failed);
                return Err(self.failure(&error, provider));
            }
        };
        count(match served.source {
            _ if served.stale => ReadResult::Stale,
            Source::Hit => ReadResult::Hit,
            Source::Coalesced => ReadResult::Joined,
            Source::Fetched | Source::OtherCache if passed_on => ReadResult::Forwarded,
            Source::Fetched | Source::OtherCache => ReadResult::Fetched,
        });
        let store = self.app.store();
        let compressed = self.conditional.encode(&served.value, served.stale).await;
        let (response, made) = self
            .conditional
            .respond(&served.value, Freshness::from(&served));
        if made + compressed > 0 {
            store.grow(&key.key, &served.value, made + compressed);
        }
        self.remember(key);
        Ok(response)
    }

    /// Gets a response from the cache, from an equal read in flight, from the vendor, or from the gateway that holds the account.
    async fn obtain<F>(
        &self,
        key: &ReadKey<'_>,
        limits: CacheLimits,
        elsewhere: Option<Elsewhere>,
        fetch: impl FnOnce(App, Context) -> F,
    ) -> Result<ota_core::Result<Option<CacheAnswer<CachedResponse>>>, Failure>
    where
        F: Future<Output = ota_core::Result<(CachedResponse, Moment)>> + Send + 'static,
    {
        let start = |until| {
            // Other requests, with later deadlines, may wait for it.
            let cx = Context {
                deadline: until,
                ..self.context()
            };
            let calls = Arc::clone(&cx.calls);
            let run: BoxFuture<'static, _> = match elsewhere {
                None => Box::pin(from_vendor(fetch(self.app.clone(), cx))),
                Some(elsewhere) => Box::pin(from_holder(elsewhere, cx, key.is_dated)),
            };
            Fetch { calls, run }
        };
        let store = self.app.store();
        let served = store.get(
            &key.key,
            self.conditional.directives,
            limits,
            self.deadline(),
            start,
        );
        self.unless_gone(served, || !store.has_sent_nothing(&key.key))
            .await
    }

    /// Responds with the answer of the gateway that holds the vendor account to a command; none where this gateway calls the vendor itself.
    ///
    /// # Errors
    /// As [`Responder::read`].
    pub async fn command_elsewhere(
        &self,
        member: &ConfiguredProvider,
    ) -> Result<Option<Response>, Failure> {
        let provider = member.provider().name();
        let Some(elsewhere) = self.elsewhere(provider) else {
            return Ok(None);
        };
        if self.is_forwarded {
            return Err(self.failure(&elsewhere.refuse(), provider.as_str()));
        }
        let cx = self.context();
        let calls = Arc::clone(&cx.calls);
        let asked = async move { elsewhere.ask(&cx, Method::POST).await };
        let answer = self
            .unless_gone(self.app.with_vendor(asked), || false)
            .await?;
        let ended = || Error::new(ErrorKind::Unexpected, "the request was not finished");
        let rendered = answer.unwrap_or_else(|| Err(ended())).and_then(|answer| {
            let body =
                CachedResponse::received(&answer.as_of_text, answer.body, false, answer.stale)?;
            Ok((body, answer.as_of))
        });
        let (rendered, as_of) =
            rendered.map_err(|error| self.failure(&error, provider.as_str()))?;
        let response = self.uncached(rendered, as_of, calls.summary()).await;
        Ok(Some(response))
    }

    /// Records the target of the request, so that the next equal one takes the fast path.
    fn remember(&self, key: ReadKey<'_>) {
        let target = self.target.as_ref().and_then(Uri::path_and_query);
        if let (Some(target), Some(route)) = (target, &self.route)
            && !self.app.targets().knows(target.as_str())
        {
            let provider = key.member.provider().name();
            let metrics = self.app.metrics();
            let known = ResolvedTarget {
                provider: provider.clone(),
                route: route.clone(),
                requests: metrics.server.of_route(route.as_str()),
                hits: metrics
                    .cache
                    .of_reads(provider.as_str(), key.operation, ReadResult::Hit),
                limits: limits(&self.app, key.member.attempt_timeout(), key.is_count),
                key: key.key,
            };
            self.app.targets().remember(target.as_str(), known);
        }
    }

    /// Responds with content that is not cached and is of this moment: the gateway's own state, or the result of a call.
    ///
    /// # Errors
    /// `internal` if the content cannot be serialized.
    pub async fn answer<T: serde::Serialize>(
        &self,
        calls: CallSummary,
        body: &T,
    ) -> Result<Response, Failure> {
        let as_of = self.app.moment();
        let rendered = CachedResponse::undated(as_of, body)
            .map_err(|error| Failure::new(Code::Internal, error.message()))?;
        Ok(self.uncached(rendered, as_of, calls).await)
    }

    async fn uncached(
        &self,
        rendered: CachedResponse,
        as_of: Moment,
        calls: CallSummary,
    ) -> Response {
        let rendered = Arc::new(rendered);
        self.conditional.encode(&rendered, false).await;
        let freshness = Freshness {
            age: self
                .app
                .monotonic()
                .saturating_duration_since(as_of.monotonic),
            stale: false,
            calls,
            source: Source::Fetched,
        };
        self.conditional.respond(&rendered, freshness).0
    }
}

/// A response that vendor calls bring.
async fn from_vendor(
    fetch: impl Future<Output = ota_core::Result<(CachedResponse, Moment)>>,
) -> ota_core::Result<Fetched<CachedResponse>> {
    let (value, as_of) = fetch.await?;
    Ok(Fetched {
        bytes: value.weight(),
        value,
        as_of,
        provenance: Provenance::Vendor,
    })
}

/// A response that the gateway which holds the account gives.
async fn from_holder(
    elsewhere: Elsewhere,
    cx: Context,
    is_dated: bool,
) -> ota_core::Result<Fetched<CachedResponse>> {
    let answer = elsewhere.ask(&cx, Method::GET).await?;
    let stale = answer.stale;
    let value = CachedResponse::received(&answer.as_of_text, answer.body, is_dated, stale)?;
    Ok(Fetched {
        bytes: value.weight(),
        value,
        as_of: answer.as_of,
        provenance: match answer.calls {
            _ if stale => Provenance::Stale,
            0 => Provenance::OtherCache,
            _ => Provenance::Vendor,
        },
    })
}
