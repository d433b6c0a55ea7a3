//! The fast path for a repeated read.
//!
//! Most requests are polls: the same path and query, answered from the cache. The first of them takes the full path through routing, the check of its
//! parameters and the handler, which records what its path and query ask for. The next ones are answered here, before the router, as long as
//! nothing but a fresh cached response is needed. Everything that depends on the caller is decided for each request as on the full path: token, scope,
//! visible providers, freshness, encoding. All other requests, and all errors, take the full path.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use ota_auth::READ;
use ota_core::context::CallSummary;
use ota_server::access_log::AccessLogRecord;
use ota_server::rate_limit::Allowance;
use ota_server::request_context::{request_id, trace_of};

use crate::cache::conditional::{ConditionalRequest, Freshness};
use crate::state::App;

/// Answers a request from the cache, or returns nothing. After a panic, the full path answers; there a panic is caught and logged.
pub(crate) fn answer<B>(app: &App, request: &Request<B>) -> Option<Response> {
    let found = AssertUnwindSafe(|| find(app, request));
    std::panic::catch_unwind(found).unwrap_or_default()
}

fn find<B>(app: &App, request: &Request<B>) -> Option<Response> {
    let headers = request.headers();
    let has_body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    // CORS is decided on the full path.
    let crosses = headers.contains_key(ORIGIN);
    if request.method() != Method::GET || has_body || crosses {
        return None;
    }
    let target = app
        .targets()
        .get(request.uri().path_and_query()?.as_str())?;
    let (start, began) = (app.monotonic(), app.now());
    let caller = app.authorize(headers, request.uri(), READ).ok()?;
    if !caller.sees(target.provider.as_str()) {
        return None;
    }
    let conditional = ConditionalRequest::read(request.method(), headers).ok()?;
    let served = app
        .store()
        .lookup(&target.key, conditional.directives, target.limits)?;
    // Compressing a body takes longer than anything else here, so it is left to the full path.
    if !conditional.has_encoding(&served.value, served.stale) {
        return None;
    }
    // Counted here and not before, because a request that takes the full path is counted there.
    let allowance = app
        .rate_limiter()
        .map(|limiter| limiter.count(caller.name(), start));
    if allowance.as_ref().is_some_and(Allowance::is_used_up) {
        return None;
    }
    let (mut response, made) = conditional.respond(&served.value, Freshness::from(&served));
    if made > 0 {
        app.store().grow(&target.key, &served.value, made);
    }
    let parent = trace_of(headers);
    // Without a trace of the caller's, no log line could be found by its trace identifier, so no trace is started only for the log.
    let trace = match app.telemetry().is_on() {
        true => app.telemetry().place(parent, app.random()),
        false => parent,
    };
    if !app.cors_origins().is_empty() {
        let by_origin = HeaderValue::from_static("origin");
        response.headers_mut().append(VARY, by_origin);
    }
    let status = response.status();
    let record = AccessLogRecord {
        request_id: &request_id(headers, app.random()),
        trace,
        parent,
        caller: Some(caller.name()),
        method: request.method(),
        route: target.route.as_str(),
        status,
        began,
        took: Duration::ZERO,
        calls: CallSummary::default(),
    };
    let headers = response.headers_mut();
    app.edge()
        .finish(headers, allowance.as_ref(), start, record, |took| {
            target
                .requests
                .count(status == StatusCode::NOT_MODIFIED, took);
            target.hits.inc();
        });
    Some(response)
}
