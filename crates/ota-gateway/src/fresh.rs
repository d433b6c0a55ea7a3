//! How old an answer may be, and how old it is.

use axum::extract::FromRequestParts;
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ota_core::context::{CallSummary, Context, Priority};
use ota_fleet::Answer;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::api::own_timestamp;
use crate::app::App;
use crate::edge::RequestId;
use crate::problem::{Code, Failure};

/// When the answer was true.
pub const OTA_AS_OF: HeaderName = HeaderName::from_static("ota-as-of");

/// Whether it is older than asked for because the vendor did not answer.
pub const OTA_STALE: HeaderName = HeaderName::from_static("ota-stale");

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What the caller says about freshness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `max-age=N`, in seconds.
    pub max_age_s: Option<u64>,
    /// `no-cache`.
    pub no_cache: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
}

impl Wanted {
    /// Reads `Cache-Control`. Directives that mean nothing here, or cannot be read, are passed over as HTTP demands.
    fn from_headers(headers: &HeaderMap) -> Self {
        let mut wanted = Self::default();
        let values = headers
            .get_all(CACHE_CONTROL)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')) {
            let directive = directive.trim().to_ascii_lowercase();
            match directive
                .split_once('=')
                .unwrap_or((directive.as_str(), ""))
            {
                ("no-cache", _) => wanted.no_cache = true,
                ("only-if-cached", _) => wanted.only_if_cached = true,
                ("max-age", seconds) => {
                    if let Ok(seconds) = seconds.trim_matches('"').parse::<u64>() {
                        wanted.max_age_s =
                            Some(wanted.max_age_s.map_or(seconds, |other| other.min(seconds)));
                    }
                }
                _ => {}
            }
        }
        wanted
    }
}

/// A request for something that a vendor knows.
#[derive(Debug)]
pub struct Live {
    /// What travels to the vendor call.
    pub cx: Context,
    /// What the caller says about freshness.
    pub wanted: Wanted,
    if_none_match: Option<String>,
    app: App,
}

impl FromRequestParts<App> for Live {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let request_id = RequestId::of(&parts.extensions);
        let safe = parts.method.is_safe();
        let if_none_match: Vec<&str> = parts
            .headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        Ok(Self {
            cx: Context::new(request_id.0, app.deadline(), Priority::Interactive),
            wanted: Wanted::from_headers(&parts.headers),
            // Other methods do something, so there is nothing that could be unchanged.
            if_none_match: (safe && !if_none_match.is_empty()).then(|| if_none_match.join(",")),
            app: app.clone(),
        })
    }
}

/// How old an answer is and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// The time of the earliest vendor call behind it.
    pub as_of: OffsetDateTime,
    /// Whether it is older than asked for.
    pub stale: bool,
    /// The vendor calls that were made for it.
    pub calls: CallSummary,
}

impl Age {
    /// Reads it from an answer.
    #[must_use]
    pub fn of<T>(answer: &Answer<T>) -> Self {
        Self {
            as_of: answer.as_of,
            stale: answer.stale,
            calls: answer.calls,
        }
    }
}

impl Live {
    /// Returns the failure that a provider's error is to this request.
    #[must_use]
    pub fn failure(&self, error: &ota_core::Error, provider: &str) -> Failure {
        Failure::of_provider(error, provider, &self.cx.request_id)
    }

    /// Refuses what only a cache could answer, after `capability` had its say: what cannot be answered at all is refused as that.
    ///
    /// # Errors
    /// What `capability` says; `nothing_cached` for `only-if-cached`: nothing is kept between requests.
    pub fn may_call(
        &self,
        capability: impl FnOnce() -> ota_core::Result<()>,
        provider: &str,
    ) -> Result<(), Failure> {
        if !self.wanted.only_if_cached {
            return Ok(());
        }
        capability()
            .map_err(|error| Failure::of_provider(&error, provider, &self.cx.request_id))?;
        Err(Failure::new(
            Code::NothingCached,
            "nothing is cached for this request; repeat it without `Cache-Control: only-if-cached`",
        ))
    }

    /// Returns the age of something that the gateway knows by itself.
    #[must_use]
    pub fn own(&self) -> Age {
        Age {
            as_of: self.app.now(),
            stale: false,
            calls: CallSummary::default(),
        }
    }

    /// Writes an answer. `body` writes the content for a time, or without one.
    ///
    /// The ETag covers content and `stale` but not the time, so that a page that did not change is a 304 however often it was asked for.
    ///
    /// # Errors
    /// `internal` when the content cannot be written.
    pub fn answer<T: Serialize>(
        &self,
        age: Age,
        body: impl Fn(Option<String>) -> T,
    ) -> Result<Response, Failure> {
        let write = |as_of| {
            serde_json::to_vec(&body(as_of))
                .map_err(|_| Failure::new(Code::Internal, "the answer could not be written"))
        };
        let etag = etag(&write(None)?, age.stale);
        let as_of = own_timestamp(age.as_of);
        let mut response = if self.is_known(&etag) {
            // The header that the whole answer has.
            (StatusCode::NOT_MODIFIED, [(VARY, "accept-encoding")]).into_response()
        } else {
            ([(CONTENT_TYPE, "application/json")], write(as_of.clone())?).into_response()
        };
        let headers = response.headers_mut();
        let seconds = (self.app.now() - age.as_of).whole_seconds().max(0);
        let text = |text: String| HeaderValue::try_from(text).ok();
        let timing = format!(
            "vendor;desc=\"calls={}\";dur={:.1}",
            age.calls.count,
            age.calls.time.as_secs_f64() * 1000.0
        );
        for (name, value) in [
            (OTA_AS_OF, as_of.and_then(text)),
            (
                OTA_STALE,
                Some(HeaderValue::from_static(if age.stale {
                    "true"
                } else {
                    "false"
                })),
            ),
            (AGE, Some(HeaderValue::from(seconds))),
            (ETAG, text(etag)),
            // A client keeps the answer but asks each time whether it changed.
            (
                CACHE_CONTROL,
                Some(HeaderValue::from_static("private, no-cache")),
            ),
            (SERVER_TIMING, text(timing)),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }

    /// Compares weakly (RFC 9110, section 13.1.2).
    fn is_known(&self, etag: &str) -> bool {
        let opaque = |tag: &str| {
            tag.trim()
                .strip_prefix("W/")
                .unwrap_or(tag.trim())
                .to_owned()
        };
        self.if_none_match.as_deref().is_some_and(|tags| {
            tags.trim() == "*" || tags.split(',').any(|tag| opaque(tag) == opaque(etag))
        })
    }
}

fn etag(content: &[u8], stale: bool) -> String {
    let mut hash = Sha256::new();
    hash.update([u8::from(stale)]);
    hash.update(content);
    let digest = hash.finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    format!("W/\"{:032x}\"", u128::from_be_bytes(short))
}

#[cfg(test)]
mod tests {
    use super::{Wanted, etag};
    use axum::http::header::CACHE_CONTROL;
    use axum::http::{HeaderMap, HeaderValue};

    #[track_caller]
    fn check(value: &'static str, expected: Wanted) {
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
        assert_eq!(Wanted::from_headers(&headers), expected, "{value}");
    }

    #[test]
    fn cache_control_is_read_leniently() {
        check(
            "max-age=5",
            Wanted {
                max_age_s: Some(5),
                ..Wanted::default()
            },
        );
        check(
            "Max-Age=5, max-age=3",
            Wanted {
                max_age_s: Some(3),
                ..Wanted::default()
            },
        );
        check(
            "no-cache, no-transform",
            Wanted {
                no_cache: true,
                ..Wanted::default()
            },
        );
        check(
            "only-if-cached",
            Wanted {
                only_if_cached: true,
                ..Wanted::default()
            },
        );
        check("max-age=-1, max-age, =, ,", Wanted::default());
    }

    #[test]
    fn stale_content_has_another_etag() {
        assert_ne!(etag(b"x", false), etag(b"x", true));
        assert_ne!(etag(b"x", false), etag(b"y", false));
        assert!(etag(b"x", false).starts_with("W/\""));
    }
}
