//! The layer around every handler: request identifiers, limits, problem documents for everything that failed, what every response carries, and one
//! access log record for each request.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ota_api::problem::{self, Code, Failure};
use ota_core::clock::Clock;
use ota_core::context::CallSummary;
use ota_core::random::Random;

use super::access_log::AccessLogRecord;
use super::limits::EdgeLimits;
use super::observer::{Observer, TurnedAway};
use super::rate_limit::Allowance;
use super::request_context::{RequestContext, RequestId, X_REQUEST_ID, trace_of};
use super::security_headers::secure;
use super::shares;
use super::socket::ClientWatch;

/// Placeholder for the method of a request that could not be read.
static UNREAD: LazyLock<Method> =
    LazyLock::new(|| Method::from_bytes(b"UNREAD").unwrap_or_default());

/// The route of a request for an unknown path.
const NO_ROUTE: &str = "(none)";

/// What the layer around every handler needs.
#[derive(Debug)]
pub struct Edge {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of random numbers.
    pub random: Arc<dyn Random>,
    /// The observer, which counts requests and exports their spans.
    pub observer: Arc<dyn Observer>,
    /// The limits of clients.
    pub limits: EdgeLimits,
    /// Whether clients connect over TLS.
    pub tls: bool,
}

impl Edge {
    /// Finishes a response, independent of how it was made: adds the headers that every response has, measures how long it `took` since `start`,
    /// counts it by `count`, and writes its access log record and its span.
    pub fn finish(
        &self,
        headers: &mut HeaderMap,
        allowance: Option<&Allowance>,
        start: Instant,
        mut record: AccessLogRecord<'_>,
        count: impl FnOnce(Duration),
    ) {
        headers.insert(X_REQUEST_ID, record.request_id.clone());
        secure(headers, self.tls);
        if let Some(allowance) = allowance {
            allowance.write(headers);
        }
        record.took = self.clock.monotonic().saturating_duration_since(start);
        count(record.took);
        record.write();
        self.observer.answered(&record);
    }

    /// Returns the whole response to bytes that are not a valid request, or that arrived too late, and finishes it like any other response. `detail`
    /// says what is wrong if the code does not.
    pub fn refuse(&self, code: Code, detail: Option<&'static str>) -> Vec<u8> {
        let (start, began) = (self.clock.monotonic(), self.clock.now());
        let failure = Failure::new(code, detail.unwrap_or(detail_of(code)));
        let RequestId(id) = RequestId::new(&HeaderMap::new(), &*self.random);
        let retry_after = failure.retry_after_s;
        let body = serde_json::to_vec(&failure.into_problem(&id)).unwrap_or_default();
        let status = code.status();
        let mut headers = HeaderMap::new();
        let record = AccessLogRecord {
            request_id: &identifier(&id),
            trace: None,
            parent: None,
            caller: None,
            method: &UNREAD,
            route: NO_ROUTE,
            status,
            began,
            took: Duration::ZERO,
            calls: CallSummary::default(),
        };
        self.finish(&mut headers, None, start, record, |took| {
            self.observer.request(NO_ROUTE, status, took);
        });
        let mut text = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\ncache-control: no-store\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            problem::CONTENT_TYPE,
            body.len(),
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
        text
    }
}

/// Returns the error detail for a request that a listener rejects.
fn detail_of(code: Code) -> &'static str {
    match code {
        Code::HeadersTooLarge => {
            "the headers are larger than this gateway accepts; an ordinary request has a few hundred bytes"
        }
        Code::UriTooLong => "path and query are longer than this gateway accepts",
        Code::RequestTimeout => "the request did not arrive in time; send it without pauses",
        Code::Unavailable => "the connection limit is reached; try again later",
        _ => "malformed HTTP/1.1 request",
    }
}

/// Returns the identifier of a request as a header value. Accepted and generated identifiers are valid header values.
fn identifier(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Marks a request as in progress, until it has its response or is abandoned.
struct InFlight<'a>(&'a dyn Observer);

impl<'a> InFlight<'a> {
    fn new(observer: &'a dyn Observer) -> Self {
        observer.begins();
        Self(observer)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// Wraps every request.
pub async fn wrap(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let (start, began) = (edge.clock.monotonic(), edge.clock.now());
    let in_flight = InFlight::new(&*edge.observer);
    let request_id = RequestId::new(request.headers(), &*edge.random);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let context = RequestContext::default();
    let parent = trace_of(request.headers());
    if let Some(trace) = edge.observer.trace(parent) {
        context.set_trace(trace);
    }
    request.extensions_mut().insert(request_id.clone());
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        edge.observer.refused(failure.code);
        let written = response.headers().clone();
        response = problem::render(failure, &request_id.0);
        keep_cors(response.headers_mut(), &written);
    } else if is_bare_error(&response) {
        let status = response.status();
        let written = response.headers().clone();
        response = problem::render(bare_failure(status, response.headers()), &request_id.0);
        keep_cors(response.headers_mut(), &written);
    }
    drop(in_flight);
    let status = response.status();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let record = AccessLogRecord {
        request_id: &identifier(&request_id.0),
        trace: context.trace(),
        parent,
        caller: context.caller().map(|name| &**name),
        method: &method,
        route,
        status,
        began,
        took: Duration::ZERO,
        calls: context.calls(),
    };
    let allowance = context.allowance();
    edge.finish(response.headers_mut(), allowance, start, record, |took| {
        edge.observer.request(route, status, took);
    });
    response
}

/// Rejects requests over a limit, and ends a request whose place is needed for another caller. Inside the CORS layer, so that web pages can read
/// the error.
pub async fn limit(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let request = match receive(&edge.limits, request).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    let context = RequestContext::of(request.extensions());
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = context.given_up() => {
            edge.observer.turned_away(TurnedAway::GivenUp);
            shares::given_up().into_response()
        }
    }
}

/// Rejects oversized requests; discards the body, which no operation reads.
async fn receive(limits: &EdgeLimits, request: Request) -> Result<Request, Failure> {
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > limits.max_url_bytes) {
        let most = limits.max_url_bytes;
        return Err(Failure::new(
            Code::UriTooLong,
            format!("path and query are longer than {most} bytes"),
        ));
    }
    // The library's buffer grows in steps, so a head that is up to twice as large may have been read.
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

/// Reads a body to its end and discards it.
async fn thrown_away(mut body: Limited<Body>) -> Result<(), axum::BoxError> {
    while let Some(frame) = body.frame().await {
        drop(frame?);
    }
    Ok(())
}

/// Copies the headers that the CORS layer has written: it is inside the layer that writes problems.
fn keep_cors(headers: &mut HeaderMap, written: &HeaderMap) {
    let of_cors =
        |name: &HeaderName| name.as_str().starts_with("access-control-") || name == header::VARY;
    for (name, value) in written.iter().filter(|(name, _)| of_cors(name)) {
        headers.append(name.clone(), value.clone());
    }
}

/// An error response that a library below this layer wrote in its own format.
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
