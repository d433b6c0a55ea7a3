//! How old an answer may be, and how old it is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use ota_core::context::{CallSummary, Context, Moment, Priority};
use ota_fleet::{
    CacheAnswer, CacheDirectives, CacheLimits, ConfiguredProvider, Fetch, Fetched, Source,
};

use crate::cache::response::{Coding, Rendered};
use crate::fast_path::Known;
use crate::metrics::ReadResult;
use crate::problem::{Code, Failure};
use crate::server::ClientWatch;
use crate::server::layer::{Notes, RequestId};
use crate::state::App;

pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Reads `Cache-Control`. Directives that mean nothing here, or cannot be read, are passed over as HTTP demands.
fn wanted(headers: &HeaderMap) -> CacheDirectives {
    let mut wanted = CacheDirectives::default();
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
                if let Ok(seconds) = seconds.trim_matches('"').parse() {
                    let age = Duration::from_secs(seconds);
                    wanted.max_age = Some(wanted.max_age.map_or(age, |other| other.min(age)));
                }
            }
            _ => {}
        }
    }
    wanted
}

/// Returns a tag without its mark of weakness.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a client's tag is our own, or our own with what a proxy appended to it when it compressed the answer.
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

/// What a request says about the answer that it wants.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) wanted: CacheDirectives,
    if_none_match: Vec<HeaderValue>,
    coding: Coding,
}

impl Wishes {
    /// Reads them.
    ///
    /// # Errors
    /// `not_acceptable` when no form of an answer is taken.
    pub(crate) fn read(method: &Method, headers: &HeaderMap) -> Result<Self, Failure> {
        let tags = headers.get_all(IF_NONE_MATCH).iter();
        Ok(Self {
            wanted: wanted(headers),
            // Other methods do something, so there is nothing that could be unchanged.
            if_none_match: match method.is_safe() {
                true => tags.cloned().collect(),
                false => Vec::new(),
            },
            coding: Coding::choose(headers)?,
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
        // A lone star stands for every answer; beside others it is none of the forms.
        let any = matches!(self.if_none_match.as_slice(), [only] if only == "*");
        any || tags.any(|tag| is_same(opaque(tag), own))
    }

    /// Whether nothing has to be packed for the response.
    pub(crate) fn find_packed(&self, rendered: &Rendered, stale: bool) -> bool {
        let form = rendered.form(stale).0;
        form.has(self.coding) || self.know(form.etag())
    }

    /// Sees to it that nothing has to be packed for the response, on a thread that serves no connections, and tells how many bytes had to be made.
    async fn pack(&self, rendered: &Arc<Rendered>, stale: bool) -> usize {
        if self.find_packed(rendered, stale) {
            return 0;
        }
        let (rendered, coding) = (Arc::clone(rendered), self.coding);
        let packing = move || rendered.form(stale).0.pack(coding);
        tokio::task::spawn_blocking(packing).await.unwrap_or(0)
    }

    /// Writes the response, and tells how many bytes had to be made for it. `Age` and the `OTA-` headers are those of now, also on a 304. A body that
    /// has not been packed is sent as it is.
    pub(crate) fn respond(&self, rendered: &Rendered, freshness: Freshness) -> (Response, usize) {
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

/// A request for something that a vendor knows.
#[derive(Debug)]
pub struct Live {
    request_id: RequestId,
    notes: Notes,
    wishes: Wishes,
    /// Its path and query, where the same ones always ask the same: not with a cursor, which expires.
    target: Option<Uri>,
    route: Option<MatchedPath>,
    client: Option<ClientWatch>,
    app: App,
}

impl FromRequestParts<App> for Live {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let has_cursor = parts
            .uri
            .query()
            .is_some_and(|query| query.contains("cursor") || query.contains('%'));
        let repeatable = parts.method == Method::GET && !has_cursor;
        Ok(Self {
            request_id: RequestId::of(&parts.extensions),
            notes: Notes::of(&parts.extensions),
            wishes: Wishes::read(&parts.method, &parts.headers)?,
            target: repeatable.then(|| parts.uri.clone()),
            route: parts.extensions.get::<MatchedPath>().cloned(),
            client: parts.extensions.get::<ClientWatch>().cloned(),
            app: app.clone(),
        })
    }
}

/// What is read, as the cache and the metrics know it.
#[derive(Debug)]
pub struct Read<'a> {
    /// Of which provider.
    pub member: &'a ConfiguredProvider,
    /// Which operation of ours.
    pub operation: &'static str,
    /// Everything that the answer depends on: equal keys are equal questions. What the caller may see is not in it, and was decided before.
    pub key: String,
    /// Whether it is a count, which costs the vendor more and may be older.
    pub is_count: bool,
}

/// How old an answer is and what it cost.
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

/// Returns how old answers of a provider may be.
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

impl Live {
    /// Returns the context of a vendor call for this request.
    #[must_use]
    pub fn context(&self) -> Context {
        let cx = Context::new(
            Arc::clone(&self.request_id.0),
            self.app.deadline(),
            Priority::Interactive,
        );
        self.notes.calls(&cx.calls);
        cx.with_trace(self.notes.trace())
            .with_caller(self.notes.caller_name())
    }

    /// Returns the failure that a provider's error is to this request.
    #[must_use]
    pub fn failure(&self, error: &ota_core::Error, provider: &str) -> Failure {
        Failure::of_provider(error, provider, &self.request_id.0)
    }

    /// Waits for an answer that may cost a vendor call. It is given up when the client has most likely hung up before a call was sent, so that it costs
    /// the quota nothing.
    ///
    /// # Errors
    /// `unavailable` when it is given up.
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
            () = client.gone() => {}
        }
        match is_sent() {
            true => Ok(answer.await),
            false => Err(Failure::new(
                Code::Unavailable,
                "the client closed its side of the connection while the request was waiting for the vendor's quota; keep the connection open",
            )),
        }
    }

    /// Answers from what is kept, from an equal read that is under way, or by `fetch`, which runs as a task of its own.
    ///
    /// # Errors
    /// What the read met; `nothing_cached` for `only-if-cached` when nothing is kept.
    pub async fn read<F>(
        &self,
        read: Read<'_>,
        fetch: impl FnOnce(App, Context) -> F,
    ) -> Result<Response, Failure>
    where
        F: Future<Output = ota_core::Result<(Rendered, Moment)>> + Send + 'static,
    {
        let limits = limits(&self.app, read.member.attempt_timeout(), read.is_count);
        let start = |until| {
            // Others may wait for it who have more time.
            let cx = Context {
                deadline: until,
                ..self.context()
            };
            let calls = Arc::clone(&cx.calls);
            let fetch = fetch(self.app.clone(), cx);
            let run = async move {
                let (value, as_of) = fetch.await?;
                Ok(Fetched {
                    bytes: value.weight(),
                    value,
                    as_of,
                })
            };
            Fetch {
                calls,
                run: Box::pin(run),
            }
        };
        let store = self.app.store();
        let deadline = self.app.deadline();
        let served = store.get(&read.key, self.wishes.wanted, limits, deadline, start);
        let served = self
            .unless_gone(served, || !store.has_sent_nothing(&read.key))
            .await?;
        let provider = read.member.provider().name().as_str();
        let count = |result| {
            self.app.metrics().read(provider, read.operation, result);
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
            Source::Fetched => ReadResult::Fetched,
        });
        let packed = self.wishes.pack(&served.value, served.stale).await;
        let (response, made) = self.wishes.respond(&served.value, Freshness::from(&served));
        if made + packed > 0 {
            store.grow(&read.key, &served.value, made + packed);
        }
        self.remember(read);
        Ok(response)
    }

    /// Remembers what the request asked for, so that the next equal one takes the short way.
    fn remember(&self, read: Read<'_>) {
        let target = self.target.as_ref().and_then(Uri::path_and_query);
        if let (Some(target), Some(route)) = (target, &self.route)
            && !self.app.hits().knows(target.as_str())
        {
            let provider = read.member.provider().name();
            let counters =
                self.app
                    .metrics()
                    .hit_counters(route.as_str(), provider.as_str(), read.operation);
            let known = Known {
                provider: provider.clone(),
                route: route.clone(),
                counters,
                limits: limits(&self.app, read.member.attempt_timeout(), read.is_count),
                key: read.key,
            };
            self.app.hits().remember(target.as_str(), known);
        }
    }

    /// Answers with something that is not kept: what the gateway knows by itself, or what a call has just told.
    ///
    /// # Errors
    /// `internal` when the content cannot be written.
    pub async fn answer<T: serde::Serialize>(
        &self,
        as_of: Moment,
        calls: CallSummary,
        body: &T,
    ) -> Result<Response, Failure> {
        let rendered = Rendered::undated(as_of, body)
            .map_err(|error| Failure::new(Code::Internal, error.message()))?;
        let rendered = Arc::new(rendered);
        self.wishes.pack(&rendered, false).await;
        let freshness = Freshness {
            age: self
                .app
                .monotonic()
                .saturating_duration_since(as_of.monotonic),
            stale: false,
            calls,
            source: Source::Fetched,
        };
        Ok(self.wishes.respond(&rendered, freshness).0)
    }
}

/// Number and time of the vendor calls made for this caller, and how the answer was come by.
fn timing(freshness: Freshness) -> HeaderValue {
    let CallSummary { count, time, .. } = freshness.calls;
    if count == 0 {
        return HeaderValue::from_static(match freshness.source {
            _ if freshness.stale => "vendor;desc=\"calls=0\";dur=0.0, cache;desc=\"stale\"",
            Source::Hit => "vendor;desc=\"calls=0\";dur=0.0, cache;desc=\"hit\"",
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
    use super::{Freshness, Source, Wishes, wanted};
    use crate::cache::response::Rendered;
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
        assert_eq!(wanted(&headers), expected, "{value}");
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
        let rendered = Rendered::undated(Moment::now(&SystemClock), &vec!["row"; 1000]);
        let rendered = Arc::new(rendered.unwrap());
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let wishes = Wishes::read(&Method::GET, &headers).unwrap();
        let freshness = Freshness {
            age: Duration::ZERO,
            stale: false,
            calls: CallSummary::default(),
            source: Source::Hit,
        };
        let coding = || {
            let (response, made) = wishes.respond(&rendered, freshness);
            assert_eq!(made, 0);
            response.headers().get(CONTENT_ENCODING).cloned()
        };
        runtime.block_on(async {
            // The only thread for such work is busy.
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let mut packing = std::pin::pin!(wishes.pack(&rendered, false));
            assert!(packing.as_mut().now_or_never().is_none());
            assert!(!wishes.find_packed(&rendered, false));
            assert_eq!(coding(), None);
            drop(release);
            assert!(packing.await > 0);
            assert!(busy.await.unwrap().is_err());
            assert!(wishes.find_packed(&rendered, false));
            assert_eq!(coding().unwrap(), "gzip");
            assert_eq!(wishes.pack(&rendered, false).await, 0);
        });
    }
}
