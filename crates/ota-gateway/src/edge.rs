//! The outermost layer: request identifiers, problem documents for everything that failed, one log line for each request.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::problem::{self, Code, Failure};

/// The header that carries the identifier of a request, in and out.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The largest body of a request, in bytes. No operation takes one.
pub const MAX_BODY_BYTES: u64 = 64 * 1024;

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

/// Wraps every request.
pub async fn wrap(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let start = app.monotonic();
    let running = app.metrics().running();
    let request_id = RequestId::new(request.headers(), &app);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(request_id.clone());
    let mut response = match too_large(request.headers()) {
        true => {
            let detail =
                format!("the body is larger than {MAX_BODY_BYTES} bytes; no operation takes one");
            Failure::new(Code::PayloadTooLarge, detail).into_response()
        }
        false => next.run(request).await,
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = problem::render(failure, &request_id.0);
    } else if is_bare_error(&response) {
        let status = response.status();
        response = problem::render(bare_failure(status, response.headers()), &request_id.0);
    }
    drop(running);
    if let Ok(value) = HeaderValue::from_str(&request_id.0) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let took = app.monotonic().saturating_duration_since(start);
    app.metrics()
        .request(route, response.status().as_str(), took);
    log(&method, route, &response, &request_id.0, took);
    response
}

/// The route of a request for a path that is none of ours.
const NO_ROUTE: &str = "(none)";

fn too_large(headers: &HeaderMap) -> bool {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    length
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| length > MAX_BODY_BYTES)
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
        StatusCode::NOT_FOUND => {
            Failure::new(Code::NotFound, "there is nothing at this path; see /docs")
        }
        StatusCode::METHOD_NOT_ALLOWED => Failure {
            allow: headers.get(header::ALLOW).cloned(),
            ..Failure::new(
                Code::MethodNotAllowed,
                "this path does not know the method; those that it knows stand in the header `Allow`, nearly always GET and HEAD",
            )
        },
        StatusCode::NOT_ACCEPTABLE => Failure::new(
            Code::NotAcceptable,
            "`Accept-Encoding` forbids every form that the answer has: plain, gzip and br",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Failure::new(Code::PayloadTooLarge, "the body is too large")
        }
        status if status.is_client_error() => {
            Failure::new(Code::InvalidArgument, "the request cannot be understood")
        }
        _ => Failure::new(
            Code::Internal,
            "the gateway failed; its log has the request's identifier",
        ),
    }
}

/// Turns a panic into a problem; the log has the text of the panic.
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("(no text)");
    tracing::error!("a handler panicked: {text}");
    Failure::new(
        Code::Internal,
        "the gateway failed; its log has the request's identifier",
    )
    .into_response()
}

/// Writes the one line of a request.
pub(crate) fn log(
    method: &Method,
    route: &str,
    response: &Response,
    request_id: &str,
    took: Duration,
) {
    tracing::info!(
        request.id = request_id,
        http.method = %method,
        http.route = route,
        http.status = response.status().as_u16(),
        took_ms = (took.as_secs_f64() * 10_000.0).round() / 10.0,
        "answered {method} {route}",
    );
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
