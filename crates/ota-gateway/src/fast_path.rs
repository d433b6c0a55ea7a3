//! The short way of a read that was asked for before.
//!
//! Most requests are polls: the same path and query, answered from what is kept. The first of them goes the long way through routing, the
//! judgement of its parameters and the handler, which leaves behind what its path and query asked for. The next ones are answered here, before the
//! router, as long as nothing but a fresh kept answer is needed. Everything that depends on the caller is decided for each request as on the long
//! way: token, scope, providers that he may see, freshness, form. Whatever is not plain, and every refusal, goes the long way.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use ota_core::context::CallSummary;
use ota_core::id::ProviderName;
use ota_fleet::CacheLimits;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::auth::{self, authorize};
use crate::cached_read::{Freshness, Wishes};
use crate::metrics::HitCounters;
use crate::server::layer::{self as edge, Line};
use crate::server::rate_limit::Allowance;
use crate::state::App;

/// The memory that remembered targets may take, in bytes of text: some thousands.
const MAX_BYTES: u64 = 1 << 20;

/// What a path with its query asks for.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) provider: ProviderName,
    pub(crate) route: MatchedPath,
    pub(crate) counters: HitCounters,
    pub(crate) limits: CacheLimits,
    /// The key of the answer.
    pub(crate) key: String,
}

/// Remembers what was asked for.
pub(crate) struct Hits(Cache<String, Arc<Known>, Weight>);

impl std::fmt::Debug for Hits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hits")
            .field("known", &self.0.len())
            .finish()
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<Known>> for Weight {
    fn weight(&self, target: &String, known: &Arc<Known>) -> u64 {
        (target.len() + known.key.len() + 200) as u64
    }
}

impl Default for Hits {
    fn default() -> Self {
        Self(Cache::with_weighter(1000, MAX_BYTES, Weight))
    }
}

impl Hits {
    pub(crate) fn knows(&self, target: &str) -> bool {
        self.0.peek(target).is_some()
    }

    pub(crate) fn remember(&self, target: &str, known: Known) {
        self.0.insert(target.to_owned(), Arc::new(known));
    }

    /// As [`Hits::find`]. Were there a panic, the long way answers, where it is caught and told.
    pub(crate) fn answer<B>(&self, app: &App, request: &Request<B>) -> Option<Response> {
        let found = AssertUnwindSafe(|| self.find(app, request));
        std::panic::catch_unwind(found).unwrap_or_default()
    }

    /// Answers a request from what is kept, or not at all.
    fn find<B>(&self, app: &App, request: &Request<B>) -> Option<Response> {
        let headers = request.headers();
        let has_body =
            headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        // What a page of another origin may read is decided on the long way.
        let crosses = headers.contains_key(ORIGIN);
        if request.method() != Method::GET || has_body || crosses {
            return None;
        }
        let known = self.0.get(request.uri().path_and_query()?.as_str())?;
        let (start, began) = (app.monotonic(), app.now());
        let caller = authorize(headers, request.uri(), app, auth::READ).ok()?;
        if !caller.sees(known.provider.as_str()) {
            return None;
        }
        let allowance = app.edge().rate_limiter.as_ref();
        let wishes = Wishes::read(request.method(), headers).ok()?;
        let served = app
            .store()
            .lookup(&known.key, wishes.wanted, known.limits)?;
        // Packing a body takes longer than anything else here, so it is left to the long way.
        if !wishes.find_packed(&served.value, served.stale) {
            return None;
        }
        // Counted here and not before, because whoever goes the long way is counted there.
        let allowance = allowance.map(|limiter| limiter.count(caller.name(), start));
        if allowance.as_ref().is_some_and(Allowance::is_used_up) {
            return None;
        }
        let (mut response, made) = wishes.respond(&served.value, Freshness::from(&served));
        if made > 0 {
            app.store().grow(&known.key, &served.value, made);
        }
        let request_id = edge::request_id(headers, app);
        let parent = edge::trace_of(headers);
        // Without a trace of the caller's there is nothing that a log line could be found by, so none is begun only for it.
        let trace = match app.telemetry().is_on() {
            true => app.telemetry().place(parent, app.random()),
            false => parent,
        };
        let headers = response.headers_mut();
        headers.insert(edge::X_REQUEST_ID, request_id.clone());
        if let Some(allowance) = allowance {
            allowance.write(headers);
        }
        if !app.edge().cors_origins.is_empty() {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if app.edge().certificates.is_some() {
            edge::secure_transport(headers);
        }
        let took = app.monotonic().saturating_duration_since(start);
        let unchanged = response.status() == StatusCode::NOT_MODIFIED;
        known.counters.count(unchanged, took);
        Line {
            request_id: request_id.to_str().unwrap_or_default(),
            trace,
            parent,
            caller: Some(&caller),
            method: request.method(),
            route: known.route.as_str(),
            status: response.status(),
            began,
            took,
            calls: CallSummary::default(),
        }
        .write(app);
        Some(response)
    }
}
