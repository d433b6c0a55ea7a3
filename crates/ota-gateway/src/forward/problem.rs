//! The problems that the holder answers with, as the errors that they are here.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use ota_api::problem::{self, Code, Failure, VendorProblem};
use ota_core::{Error, ErrorKind};
use ota_http::Response;
use serde::Deserialize;

/// A problem of the holder, which the caller is given as it came. It is the source of the error that the cache sees.
#[derive(Clone, Debug)]
pub(crate) struct HolderProblem(Box<Failure>);

impl HolderProblem {
    /// Returns the problem that an error comes from.
    pub(crate) fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// Returns the failure with which a request of this gateway ends.
    pub(crate) fn failure(&self) -> Failure {
        (*self.0).clone()
    }
}

impl std::fmt::Display for HolderProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the gateway that holds the account answered `{}`",
            self.0.code
        )
    }
}

impl std::error::Error for HolderProblem {}

/// What is read of a problem document. What belongs to the request, or follows from the code, is not.
#[derive(Deserialize)]
struct Document {
    code: String,
    detail: String,
    provider: Option<String>,
    vendor: Option<VendorDocument>,
    retry_after_s: Option<u64>,
    field: Option<String>,
}

#[derive(Deserialize)]
struct VendorDocument {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
}

/// When a client may come back: by then another gateway holds the account, or the holder answers again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An error that another try may not meet, and that says nothing about the vendor.
pub(super) fn away(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
        .with_local()
        .with_retry_after(RETRY_AFTER)
}

/// The error for something that no gateway answers to a request that is passed on.
pub(super) fn foreign(status: u16) -> Error {
    away("the gateway that holds this vendor account gave an answer that cannot be used")
        .with_context("status", status.to_string())
}

/// Reads a response that is not an answer.
pub(super) fn read(response: &Response) -> Error {
    let is_problem = response.header(CONTENT_TYPE.as_str()) == Some(problem::CONTENT_TYPE);
    let document = is_problem.then(|| serde_json::from_slice::<Document>(&response.body).ok());
    let Some(document) = document.flatten() else {
        return foreign(response.status);
    };
    let mut codes = Code::ALL.iter().copied();
    let code = codes.find(|code| code.as_str() == document.code);
    match code.and_then(|code| error(code, document.field.as_deref())) {
        Some((code, error)) => error.with_source(HolderProblem(Box::new(document.failure(code)))),
        None => foreign(response.status).with_context("code", document.code),
    }
}

/// Returns the error that a problem is to the cache; none for one that this request can only meet by a fault or by another configuration of the holder.
fn error(code: Code, field: Option<&str>) -> Option<(Code, Error)> {
    let kind = match code {
        Code::InvalidArgument | Code::InvalidCursor => ErrorKind::InvalidArgument,
        // They concern the caller, and say nothing about others who ask the same.
        Code::Unauthenticated | Code::Forbidden | Code::RateLimited => ErrorKind::InvalidArgument,
        // The provider is there: this gateway has it.
        Code::NotFound if field == Some("provider") => return None,
        Code::NotFound => ErrorKind::NotFound,
        Code::Conflict => ErrorKind::Conflict,
        Code::UnsupportedByProvider => ErrorKind::Unsupported,
        Code::Internal => ErrorKind::Unexpected,
        Code::ProviderAuth => ErrorKind::Auth,
        Code::ProviderRejected => ErrorKind::Rejected,
        Code::ProviderMisconfigured => ErrorKind::Misconfigured,
        Code::ProviderProtocol => ErrorKind::Protocol,
        Code::ProviderThrottled => ErrorKind::Throttled,
        Code::ProviderTimeout => ErrorKind::Timeout,
        Code::ProviderUnavailable | Code::KeysUnavailable | Code::Unavailable => {
            ErrorKind::Unavailable
        }
        Code::MethodNotAllowed
        | Code::NotAcceptable
        | Code::PayloadTooLarge
        | Code::MisdirectedRequest
        | Code::NothingCached
        | Code::UriTooLong
        | Code::HeadersTooLarge
        | Code::RequestTimeout
        | Code::MirrorUnavailable => return None,
    };
    let error = Error::new(kind, code.title());
    let error = match code {
        Code::Unauthenticated | Code::Forbidden | Code::RateLimited => error.with_caller_specific(),
        _ => error,
    };
    Some((code, error))
}

impl Document {
    fn failure(&self, code: Code) -> Failure {
        let vendor = self.vendor.as_ref().map(|vendor| VendorProblem {
            code: vendor.code.clone(),
            message: vendor.message.clone(),
            request_id: vendor.request_id.clone(),
        });
        let usual = Failure::new(code, self.detail.clone());
        Failure {
            field: self.field.clone(),
            provider: self.provider.clone(),
            vendor,
            retry_after_s: usual
                .retry_after_s
                .and(self.retry_after_s)
                .or(usual.retry_after_s),
            // The token was refused: there is one, since this gateway has accepted it.
            challenge: match code {
                Code::Unauthenticated => Some("Bearer error=\"invalid_token\""),
                Code::Forbidden => Some("Bearer error=\"insufficient_scope\""),
                _ => None,
            },
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;
    use axum::http::{HeaderMap, HeaderValue};
    use ota_api::problem::{self, Code};
    use ota_core::{Error, ErrorKind};
    use ota_http::Response;
    use serde_json::{Value, json};

    use super::{HolderProblem, read};

    fn error(status: u16, document: &Value) -> Error {
        let value = HeaderValue::from_static(problem::CONTENT_TYPE);
        read(&Response {
            status,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, value)]),
            body: document.to_string().into(),
        })
    }

    #[test]
    fn a_problem_stays_what_it_is() {
        for code in Code::ALL.iter().copied() {
            let document = json!({
                "code": code.as_str(), "detail": "what happened", "status": code.status().as_u16(),
                "provider": "p", "field": "f", "retry_after_s": 77, "vendor": {"code": "v"},
            });
            let error = error(code.status().as_u16(), &document);
            let Some(problem) = HolderProblem::of(&error) else {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{code}");
                continue;
            };
            let failure = problem.failure();
            assert_eq!((failure.code, &*failure.detail), (code, "what happened"));
            assert_eq!(failure.provider.as_deref(), Some("p"));
            assert_eq!(failure.field.as_deref(), Some("f"));
            let vendor = failure.vendor.and_then(|vendor| vendor.code);
            assert_eq!(vendor.as_deref(), Some("v"));
            let waits = [429, 503].contains(&code.status().as_u16());
            assert_eq!(failure.retry_after_s, waits.then_some(77), "{code}");
            assert_eq!(
                failure.challenge.is_some(),
                [401, 403].contains(&code.status().as_u16())
            );
            // What the cache makes of it is what it makes of the same failure here.
            let own = Code::of_provider_error(error.kind());
            let concerns_the_caller = [401, 403, 429].contains(&code.status().as_u16());
            assert_eq!(error.is_caller_specific(), concerns_the_caller, "{code}");
            if code.as_str().starts_with("provider_") {
                assert_eq!(own, code);
            }
        }
    }

    #[test]
    fn a_problem_that_another_configuration_makes_is_none_of_the_callers() {
        let hidden = json!({"code": "not_found", "detail": "x", "field": "provider"});
        let unknown = json!({"code": "brand_new", "detail": "x"});
        for document in [hidden, unknown, json!({}), json!(3)] {
            let error = error(404, &document);
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{document}");
            assert!(HolderProblem::of(&error).is_none() && error.retry_after().is_some());
        }
    }
}
