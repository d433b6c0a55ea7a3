//! Conditional requests, cache directives and content codings of a request, and the response that follows from them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use ota_api::problem::Failure;
use ota_core::context::CallSummary;
use ota_fleet::{CacheAnswer, CacheDirectives, Source};

use super::response::{CachedResponse, ContentCoding};

/// How the response was obtained.
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Reads `Cache-Control`. Unknown and malformed directives are ignored (RFC 9111, section 5.2).
fn directives(headers: &HeaderMap) -> CacheDirectives {
    let mut directives = CacheDirectives::default();
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
            ("no-cache", _) => directives.no_cache = true,
            ("only-if-cached", _) => directives.only_if_cached = true,
            ("max-age", seconds) => {
                if let Ok(seconds) = seconds.trim_matches('"').parse() {
                    let age = Duration::from_secs(seconds);
                    directives.max_age =
                        Some(directives.max_age.map_or(age, |other| other.min(age)));
                }
            }
            _ => {}
        }
    }
    directives
}

/// Returns a tag without the prefix of a weak tag.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a client's tag is our own, possibly with a suffix that a proxy appended when it compressed the response.
///
/// Apache httpd appends `-gzip` and `-br` (its version 2.2 behind the closing quote), Jetty `--gzip`, others `;gzip` or `:gzip`, and pass the tag on
/// as it is when a client sends it back.
fn is_same(tag: &str, own: &str) -> bool {
    const CODINGS: &[&str] = &["gzip", "br", "deflate", "zstd"];
    if tag == own {
        return true;
    }
    let appended = || {
        let rest = tag.strip_prefix(own.strip_suffix('"')?)?;
        let mark = rest.strip_suffix('"').or_else(|| rest.strip_prefix('"'))?;
        let coding = mark.trim_start_matches(['-', ';', ':']);
        (coding.len() < mark.len()).then_some(coding)
    };
    appended().is_some_and(|coding| CODINGS.contains(&coding))
}

/// The headers of a request that determine its response.
#[derive(Debug)]
pub(crate) struct ConditionalRequest {
    pub(crate) directives: CacheDirectives,
    if_none_match: Vec<HeaderValue>,
    coding: ContentCoding,
}

impl ConditionalRequest {
    /// Reads them.
    ///
    /// # Errors
    /// `not_acceptable` if no encoding is accepted.
    pub(crate) fn read(method: &Method, headers: &HeaderMap) -> Result<Self, Failure> {
        let tags = headers.get_all(IF_NONE_MATCH).iter();
        Ok(Self {
            directives: directives(headers),
            // Other methods have side effects, so a 304 does not apply to them.
            if_none_match: match method.is_safe() {
                true => tags.cloned().collect(),
                false => Vec::new(),
            },
            coding: ContentCoding::choose(headers)?,
        })
    }

    /// Compares weakly (RFC 9110, section 13.1.2).
    fn know(&self, etag: &HeaderValue) -> bool {
        if self.if_none_match.is_empty() {
            return false;
        }
        let Ok(own) = etag.to_str().map(opaque) else {
            return false;
        };
        let mut tags = self
            .if_none_match
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|tags| tags.split(','));
        // A single `*` matches every response; together with other tags it is not valid.
        let any = matches!(self.if_none_match.as_slice(), [only] if only == "*");
        any || tags.any(|tag| is_same(opaque(tag), own))
    }

    /// Whether the response needs no compression.
    pub(crate) fn has_encoding(&self, rendered: &CachedResponse, stale: bool) -> bool {
        let form = rendered.form(stale).0;
        form.has(self.coding) || self.know(form.etag())
    }

    /// Compresses the body if the response needs it, on a thread that serves no connections, and returns the number of bytes added.
    pub(crate) async fn encode(&self, rendered: &Arc<CachedResponse>, stale: bool) -> usize {
        if self.has_encoding(rendered, stale) {
            return 0;
        }
        let (rendered, coding) = (Arc::clone(rendered), self.coding);
        let compression = move || rendered.form(stale).0.compress(coding);
        tokio::task::spawn_blocking(compression).await.unwrap_or(0)
    }

    /// Creates the response, and returns the number of bytes added for it. `Age` and the `OTA-` headers are current, also on a 304. A body that has not been
    /// compressed is sent uncompressed.
    pub(crate) fn respond(
        &self,
        rendered: &CachedResponse,
        freshness: Freshness,
    ) -> (Response, usize) {
        let (form, made) = rendered.form(freshness.stale);
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = form.headers().clone();
        if self.know(form.etag()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let (body, coding) = form.body(self.coding);
            *response.body_mut() = Body::from(body);
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, JSON);
            if let Some(coding) = coding {
                headers.insert(CONTENT_ENCODING, coding);
            }
        }
        let headers = response.headers_mut();
        headers.insert(AGE, HeaderValue::from(freshness.age.as_secs()));
        headers.insert(SERVER_TIMING, timing(freshness));
        (response, made)
    }
}

/// The age of a response and its cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    pub(crate) age: Duration,
    pub(crate) stale: bool,
    pub(crate) calls: CallSummary,
    pub(crate) source: Source,
}

impl<V> From<&CacheAnswer<V>> for Freshness {
    fn from(served: &CacheAnswer<V>) -> Self {
        Self {
            age: served.age,
            stale: served.stale,
            calls: served.calls,
            source: served.source,
        }
    }
}

/// Number and duration of the vendor calls made for this caller, and where the response comes from.
fn timing(freshness: Freshness) -> HeaderValue {
    let CallSummary { count, time, .. } = freshness.calls;
    if count == 0 {
        return HeaderValue::from_static(match freshness.source {
            _ if freshness.stale => "vendor;desc=\"calls=0\";dur=0.0, cache;desc=\"stale\"",
            Source::Hit | Source::OtherCache => {
                "vendor;desc=\"calls=0\";dur=0.0, cache;desc=\"hit\""
            }
            Source::Coalesced => "vendor;desc=\"calls=0\";dur=0.0, cache;desc=\"joined\"",
            Source::Fetched => "vendor;desc=\"calls=0\";dur=0.0",
        });
    }
    let text = format!(
        "vendor;desc=\"calls={count}\";dur={:.1}",
        time.as_secs_f64() * 1000.0
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("vendor"))
}

#[cfg(test)]
mod tests {
    use super::{ConditionalRequest, Freshness, Source, directives};
    use crate::cache::response::CachedResponse;
    use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING};
    use axum::http::{HeaderMap, HeaderValue, Method};
    use futures_util::FutureExt as _;
    use ota_core::clock::SystemClock;
    use ota_core::context::{CallSummary, Moment};
    use ota_fleet::CacheDirectives;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    #[track_caller]
    fn check(value: &'static str, expected: CacheDirectives) {
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))]);
        assert_eq!(directives(&headers), expected, "{value}");
    }

    #[test]
    fn cache_control_is_read_leniently() {
        check(
            "max-age=5",
            CacheDirectives {
                max_age: Some(Duration::from_secs(5)),
                ..CacheDirectives::default()
            },
        );
        check(
            "Max-Age=5, max-age=3",
            CacheDirectives {
                max_age: Some(Duration::from_secs(3)),
                ..CacheDirectives::default()
            },
        );
        check(
            "no-cache, no-transform",
            CacheDirectives {
                no_cache: true,
                ..CacheDirectives::default()
            },
        );
        check(
            "only-if-cached",
            CacheDirectives {
                only_if_cached: true,
                ..CacheDirectives::default()
            },
        );
        check("max-age=-1, max-age, =, ,", CacheDirectives::default());
    }

    #[test]
    fn packing_waits_for_another_thread_and_holds_up_none() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let rendered = CachedResponse::undated(Moment::now(&SystemClock), &vec!["row"; 1000]);
        let rendered = Arc::new(rendered.unwrap());
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let conditional = ConditionalRequest::read(&Method::GET, &headers).unwrap();
        let freshness = Freshness {
            age: Duration::ZERO,
            stale: false,
            calls: CallSummary::default(),
            source: Source::Hit,
        };
        let coding = || {
            let (response, made) = conditional.respond(&rendered, freshness);
            assert_eq!(made, 0);
            response.headers().get(CONTENT_ENCODING).cloned()
        };
        runtime.block_on(async {
            // The only thread for blocking work is busy.
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let mut compression = std::pin::pin!(conditional.encode(&rendered, false));
            assert!(compression.as_mut().now_or_never().is_none());
            assert!(!conditional.has_encoding(&rendered, false));
            assert_eq!(coding(), None);
            drop(release);
            assert!(compression.await > 0);
            assert!(busy.await.unwrap().is_err());
            assert!(conditional.has_encoding(&rendered, false));
            assert_eq!(coding().unwrap(), "gzip");
            assert_eq!(conditional.encode(&rendered, false).await, 0);
        });
    }
}
