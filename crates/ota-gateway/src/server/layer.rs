//! The outermost layer: request identifiers, limits, what browsers are told, problem documents for everything that failed, one log line for each
//! request.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ota_core::context::{CallLog, CallSummary};
use ota_core::trace::TraceParent;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::auth::Caller;
use crate::log;
use crate::metrics::TurnedAway;
use crate::problem::{self, Code, Failure};
use crate::server::ClientWatch;
use crate::server::rate_limit::Allowance;
use crate::server::shares::{self, Account, Share, Shares};
use crate::state::App;

/// The header that carries the identifier of a request, in and out.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Stands for the method of a request that could not be read.
static UNREAD: LazyLock<Method> =
    LazyLock::new(|| Method::from_bytes(b"UNREAD").unwrap_or_default());

/// The identifier of a request.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// Returns the identifier that the outermost layer gave to a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self(Arc::from("unknown")))
    }

    fn new(headers: &HeaderMap, app: &App) -> Self {
        let value = request_id(headers, app);
        Self(Arc::from(value.to_str().unwrap_or(UNKNOWN)))
    }
}

const UNKNOWN: &str = "unknown";

/// Takes the caller's identifier when it is well-formed, else makes one.
pub(crate) fn request_id(headers: &HeaderMap, app: &App) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID);
    let given = given.filter(|value| value.to_str().is_ok_and(is_well_formed));
    if let Some(given) = given {
        return given.clone();
    }
    let made = app.random().nonce().ok();
    made.and_then(|nonce| HeaderValue::try_from(nonce).ok())
        .unwrap_or(HeaderValue::from_static(UNKNOWN))
}

fn is_well_formed(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// What is learnt about a request on its way, for its log line.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Learnt>);

#[derive(Debug, Default)]
struct Learnt {
    caller: OnceLock<Arc<Caller>>,
    allowance: OnceLock<Allowance>,
    calls: OnceLock<Arc<CallLog>>,
    trace: OnceLock<TraceParent>,
    share: OnceLock<Share>,
    given_up: Arc<Notify>,
}

impl Notes {
    /// Returns the notes of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub(crate) fn caller(&self, caller: &Arc<Caller>) {
        let _already = self.0.caller.set(Arc::clone(caller));
    }

    /// Returns who calls, for sharing what there is.
    pub(crate) fn caller_name(&self) -> Option<Arc<str>> {
        self.0.caller.get().map(|caller| Arc::from(caller.name()))
    }

    /// Takes a place among the requests under way, which the request keeps to its end.
    ///
    /// # Errors
    /// `unavailable` or `rate_limited` when there is none for this caller.
    pub(crate) fn take_place(&self, caller: &Account, shares: &Arc<Shares>) -> Result<(), Failure> {
        let share = self.place_for(caller, shares)?;
        let _already = self.0.share.set(share);
        Ok(())
    }

    /// As [`Notes::take_place`], for a part of the request.
    ///
    /// # Errors
    /// As [`Notes::take_place`].
    pub(crate) fn place_for(
        &self,
        caller: &Account,
        shares: &Arc<Shares>,
    ) -> Result<Share, Failure> {
        Ok(shares.take(caller, &self.0.given_up)?)
    }

    pub(crate) fn allowance(&self, allowance: Allowance) {
        let _already = self.0.allowance.set(allowance);
    }

    /// Notes where the vendor calls of the request are counted.
    pub(crate) fn calls(&self, calls: &Arc<CallLog>) {
        let _already = self.0.calls.set(Arc::clone(calls));
    }

    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.0.trace.get().copied()
    }
}

/// The trace that a request says it belongs to.
pub(crate) fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// Wraps every request.
pub async fn wrap(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (start, began) = (app.monotonic(), app.now());
    let running = app.metrics().running();
    let request_id = RequestId::new(request.headers(), &app);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let notes = Notes::default();
    let parent = trace_of(request.headers());
    if let Some(trace) = app.telemetry().place(parent, app.random()) {
        let _first = notes.0.trace.set(trace);
    }
    request.extensions_mut().insert(request_id.clone());
    request.extensions_mut().insert(notes.clone());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        app.metrics().not_let_in(failure.code);
        let kept = response.headers().clone();
        response = problem::render(failure, &request_id.0);
        keep_cors(response.headers_mut(), &kept);
    } else if is_bare_error(&response) {
        let status = response.status();
        let kept = response.headers().clone();
        response = problem::render(bare_failure(status, response.headers()), &request_id.0);
        keep_cors(response.headers_mut(), &kept);
    }
    drop(running);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id.0) {
        headers.insert(X_REQUEST_ID, value);
    }
    secure(headers, app.edge().certificates.is_some());
    if let Some(allowance) = notes.0.allowance.get() {
        allowance.write(headers);
    }
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let took = app.monotonic().saturating_duration_since(start);
    app.metrics()
        .request(route, response.status().as_str(), took);
    let calls = notes.0.calls.get();
    Line {
        request_id: &request_id.0,
        trace: notes.trace(),
        parent,
        caller: notes.0.caller.get().map(Arc::as_ref),
        method: &method,
        route,
        status: response.status(),
        began,
        took,
        calls: calls.map(|calls| calls.summary()).unwrap_or_default(),
    }
    .write(&app);
    response
}

/// The route of a request for a path that is none of ours.
const NO_ROUTE: &str = "(none)";

/// Refuses what is over a limit, and ends a request whose place is needed for another caller. Below the layer for other origins, so that pages can
/// read why.
pub async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let request = match receive(&app, request).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    let notes = Notes::of(request.extensions());
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = notes.0.given_up.notified() => {
            app.metrics().turned_away(TurnedAway::GivenUp);
            shares::given_up().into_response()
        }
    }
}

/// Takes what is over a limit off, and the body, which no operation reads.
async fn receive(app: &App, request: Request) -> Result<Request, Failure> {
    let limits = &app.edge().limits;
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > limits.max_url_bytes) {
        let most = limits.max_url_bytes;
        return Err(Failure::new(
            Code::UriTooLong,
            format!("path and query are longer than {most} bytes"),
        ));
    }
    // The library's buffer grows in steps, so that a head may be read that is up to twice as large.
    let lines = request.headers().iter();
    let head: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if head + target.map_or(0, |target| target.as_str().len()) > limits.max_header_bytes {
        let most = limits.max_header_bytes;
        return Err(Failure::new(
            Code::HeadersTooLarge,
            format!(
                "the headers are larger than {most} bytes; an ordinary request has a few hundred"
            ),
        ));
    }
    let too_large = || {
        let most = limits.max_body_bytes;
        Failure::new(
            Code::PayloadTooLarge,
            format!("the body is larger than {most} bytes; no operation takes one"),
        )
    };
    if request.body().is_end_stream() {
        return Ok(request);
    }
    if request.body().size_hint().lower() > limits.max_body_bytes as u64 {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    let watch = parts.extensions.get::<ClientWatch>();
    if let Some(watch) = watch {
        watch.waits();
    }
    let read = tokio::time::timeout(
        limits.header_timeout,
        thrown_away(Limited::new(body, limits.max_body_bytes)),
    );
    let read = read.await;
    if let Some(watch) = watch {
        watch.waits_no_more(matches!(read, Ok(Ok(()))));
    }
    match read {
        Ok(Ok(())) => Ok(Request::from_parts(parts, Body::empty())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_broken)) => Err(Failure::new(
            Code::InvalidArgument,
            "the body is incomplete",
        )),
        Err(_late) => Err(Failure::new(
            Code::RequestTimeout,
            format!(
                "the body did not arrive within {} ms",
                limits.header_timeout.as_millis()
            ),
        )),
    }
}

/// Reads a body to its end and keeps nothing of it.
async fn thrown_away(mut body: Limited<Body>) -> Result<(), axum::BoxError> {
    while let Some(frame) = body.frame().await {
        drop(frame?);
    }
    Ok(())
}

/// Takes over what the layer for other origins has written: it stands below the one that writes problems.
fn keep_cors(headers: &mut HeaderMap, written: &HeaderMap) {
    let of_cors =
        |name: &HeaderName| name.as_str().starts_with("access-control-") || name == header::VARY;
    for (name, value) in written.iter().filter(|(name, _)| of_cors(name)) {
        headers.append(name.clone(), value.clone());
    }
}

/// What a browser may do with an answer of the API: nothing but show it as text.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What Swagger UI needs: its own scripts, styles and pictures, and the API beside it. It writes styles into its elements.
pub(crate) const PAGES_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Tells browsers what they must not do with an answer.
pub(crate) fn secure(headers: &mut HeaderMap, tls: bool) {
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(DATA_POLICY));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    if tls {
        secure_transport(headers);
    }
}

/// Tells browsers to come over TLS only.
pub(crate) fn secure_transport(headers: &mut HeaderMap) {
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    );
}

/// Writes the whole response to something that cannot be read as a request, or that came too late, and notes it as one. `detail` says what is
/// wrong with it where the code does not.
pub(crate) fn refuse(app: &App, code: Code, detail: Option<&'static str>) -> Vec<u8> {
    let detail = detail.unwrap_or(match code {
        Code::HeadersTooLarge => {
            "the headers are larger than this gateway accepts; an ordinary request has a few hundred bytes"
        }
        Code::UriTooLong => "path and query are longer than this gateway accepts",
        Code::RequestTimeout => "the request did not arrive in time; send it without pauses",
        Code::Unavailable => "the connection limit is reached; try again later",
        _ => "malformed HTTP/1.1 request",
    });
    let began = app.now();
    let request_id = RequestId::new(&HeaderMap::new(), app);
    let failure = Failure::new(code, detail);
    let retry_after = failure.retry_after_s;
    let body = serde_json::to_vec(&failure.into_problem(&request_id.0)).unwrap_or_default();
    let status = code.status();
    let mut headers = HeaderMap::new();
    secure(&mut headers, app.edge().certificates.is_some());
    let mut text = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\ncache-control: no-store\r\n{X_REQUEST_ID}: {}\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        problem::CONTENT_TYPE,
        body.len(),
        request_id.0,
    );
    if let Some(seconds) = retry_after {
        text.push_str(&format!("retry-after: {seconds}\r\n"));
    }
    for (name, value) in &headers {
        text.push_str(&format!(
            "{name}: {}\r\n",
            value.to_str().unwrap_or_default()
        ));
    }
    text.push_str("\r\n");
    let mut text = text.into_bytes();
    text.extend(body);
    app.metrics()
        .request(NO_ROUTE, status.as_str(), Duration::ZERO);
    Line {
        request_id: &request_id.0,
        trace: None,
        parent: None,
        caller: None,
        method: &UNREAD,
        route: NO_ROUTE,
        status,
        began,
        took: Duration::ZERO,
        calls: CallSummary::default(),
    }
    .write(app);
    text
}

/// An error that some library below wrote in a form of its own.
fn is_bare_error(response: &Response) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error())
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_none_or(|value| value != problem::CONTENT_TYPE)
}

fn bare_failure(status: StatusCode, headers: &HeaderMap) -> Failure {
    match status {
        StatusCode::NOT_FOUND => Failure::new(Code::NotFound, "no such path; see /docs"),
        StatusCode::METHOD_NOT_ALLOWED => Failure {
            allow: headers.get(header::ALLOW).cloned(),
            ..Failure::new(
                Code::MethodNotAllowed,
                "method not allowed here; see the header `Allow`",
            )
        },
        StatusCode::NOT_ACCEPTABLE => Failure::new(
            Code::NotAcceptable,
            "`Accept-Encoding` excludes every encoding of the response: identity, gzip and br",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Failure::new(Code::PayloadTooLarge, "the body is too large")
        }
        status if status.is_client_error() => {
            Failure::new(Code::InvalidArgument, "the request is invalid")
        }
        _ => Failure::new(
            Code::Internal,
            "internal error; the gateway's log has the details under this request identifier",
        ),
    }
}

/// Turns a panic into a problem; the log has the text of the panic.
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    // Where it was raised stands in the line of the panic itself.
    let text = log::text_of(&*panic);
    tracing::error!("a handler panicked: {text}");
    Failure::new(
        Code::Internal,
        "internal error; the gateway's log has the details under this request identifier",
    )
    .into_response()
}

/// The one line of a request.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "two of its fields stand in spans only")
)]
pub(crate) struct Line<'a> {
    pub(crate) request_id: &'a str,
    /// The trace, and our span in it.
    pub(crate) trace: Option<TraceParent>,
    /// The span that we were called from.
    pub(crate) parent: Option<TraceParent>,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) method: &'a Method,
    pub(crate) route: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) began: OffsetDateTime,
    pub(crate) took: Duration,
    pub(crate) calls: CallSummary,
}

impl Line<'_> {
    /// Writes it, and the span of the request where traces are exported.
    pub(crate) fn write(&self, app: &App) {
        let trace = self.trace.map(|trace| trace.trace_text());
        let milliseconds = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        let (method, route) = (self.method, self.route);
        tracing::info!(
            request.id = self.request_id,
            trace.id = trace,
            caller = self.caller.map(Caller::name),
            http.method = %method,
            http.route = route,
            http.status = self.status.as_u16(),
            took_ms = milliseconds(self.took),
            vendor.calls = self.calls.count,
            vendor.ms = (self.calls.count > 0).then(|| milliseconds(self.calls.time)),
            "answered {method} {route}",
        );
        app.telemetry().request(self);
    }
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn only_plain_identifiers_are_taken_over() {
        assert!(is_well_formed("abc-123_X.y"));
        for text in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
