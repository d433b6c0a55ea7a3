//! A server that records what it is asked and answers what a test scripts, and a provider that asks it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use ota_core::Context;
use ota_core::clock::{Clock, ManualClock};
use ota_core::context::Priority;
use ota_core::drift::DriftCounter;
use ota_core::gate::OpenGate;
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, GetJob, JobFilter, ListJobs, ListTasks, TaskFilter};
use ota_core::random::SequenceRandom;
use ota_provider_huawei::{HuaweiProvider, Settings, TokenPool};
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::sync::watch;

pub(crate) const LOGIN: &str = "/iocm/app/sec/v1.1.0/login";
pub(crate) const REFRESH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
pub(crate) const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";
pub(crate) const SECRET: &str = "s3cret/value+1";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn token(&self) -> &str {
        self.header("authorization")
    }

    /// Returns a parameter of the query as it was sent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What the server answers.
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    hold: Option<watch::Receiver<bool>>,
}

impl Answer {
    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            hold: None,
        }
    }

    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::text(status, "application/json", body)
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(200, body.to_string())
    }

    /// Holds the answer back until the channel says true.
    pub(crate) fn held(self, hold: &watch::Sender<bool>) -> Self {
        Self {
            hold: Some(hold.subscribe()),
            ..self
        }
    }
}

type Log = Arc<watch::Sender<Vec<Seen>>>;
type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

pub(crate) struct Vendor {
    pub(crate) endpoint: String,
    seen: Log,
}

impl Vendor {
    /// Starts a server that answers everything by `script`.
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let seen = Log::default();
        let script: Arc<Script> = Arc::new(script);
        let router = Router::new()
            .fallback(answer)
            .with_state((Arc::clone(&seen), script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, seen }
    }

    /// Starts a server whose logins work: they give `access-token-0001` and so on.
    pub(crate) async fn with_logins(
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let logins = std::sync::atomic::AtomicU32::new(0);
        Self::start(move |seen| match seen.path.as_str() {
            LOGIN | REFRESH => {
                let number = logins.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                Answer::ok(&token(number, &json!(3600)))
            }
            _ => script(seen),
        })
        .await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Returns the requests that are neither login nor refresh.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.path != LOGIN && seen.path != REFRESH);
        seen
    }

    /// Returns the number of logins.
    pub(crate) fn logins(&self) -> usize {
        self.seen().iter().filter(|seen| seen.path == LOGIN).count()
    }

    pub(crate) async fn has_seen(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        let arrived = seen.wait_for(|seen| seen.len() >= count);
        tokio::time::timeout(Duration::from_secs(20), arrived)
            .await
            .unwrap()
            .unwrap();
    }
}

/// The answer of login and refresh (vendor notes, section 1.3).
pub(crate) fn token(number: u32, expires_in: &Value) -> Value {
    json!({
        "scope": "default", "tokenType": "Bearer ", "expiresIn": expires_in,
        "accessToken": format!("access-token-{number:04}"), "refreshToken": format!("refresh-token-{number:04}"),
    })
}

async fn answer(
    State((seen, script)): State<(Log, Arc<Script>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    };
    let answer = script(&request);
    seen.send_modify(|seen| seen.push(request));
    if let Some(mut hold) = answer.hold {
        let _ = hold.wait_for(|open| *open).await;
    }
    let status = StatusCode::from_u16(answer.status).unwrap();
    (status, [("content-type", answer.content_type)], answer.body).into_response()
}

/// A provider and what it was built with.
pub(crate) struct Subject {
    pub(crate) provider: HuaweiProvider,
    pub(crate) clock: ManualClock,
    pub(crate) drift: Arc<DriftCounter>,
}

impl Subject {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self::with(endpoint, json!({}), &Arc::default())
    }

    pub(crate) fn with(endpoint: &str, mut change: Value, tokens: &Arc<TokenPool>) -> Self {
        let mut settings = json!({"endpoint": endpoint, "app_id": "app-1", "secret": SECRET});
        settings
            .as_object_mut()
            .unwrap()
            .append(change.as_object_mut().unwrap());
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let drift = Arc::<DriftCounter>::default();
        let deps = Dependencies {
            gate: Arc::new(OpenGate::new(Arc::clone(&shared))),
            clock: shared,
            random: Arc::new(SequenceRandom::new(1)),
            drift: Arc::<DriftCounter>::clone(&drift),
            max_calls_per_page: 5,
        };
        let name = ProviderName::parse("huawei-nb").unwrap();
        let config = settings.into_config().unwrap();
        let provider = HuaweiProvider::new(name, config, deps, Arc::clone(tokens)).unwrap();
        Self {
            provider,
            clock,
            drift,
        }
    }

    pub(crate) fn context(&self) -> Context {
        let deadline = self.clock.monotonic() + Duration::from_secs(3600);
        Context::new("test", deadline, Priority::Interactive)
    }
}

pub(crate) fn jobs(filter: JobFilter) -> ListJobs {
    ListJobs {
        filter,
        page_size: 50,
        cursor: None,
    }
}

pub(crate) fn tasks(job_id: &str, filter: TaskFilter) -> ListTasks {
    ListTasks {
        job_id: job_id.into(),
        filter,
        page_size: 50,
        cursor: None,
    }
}

pub(crate) fn job(job_id: &str) -> GetJob {
    GetJob {
        job_id: job_id.into(),
    }
}

/// A page of tasks `op-{first}` to `op-{first + count - 1}`, all in one status.
pub(crate) fn page(ids: std::ops::Range<u64>, status: &str, total: u64) -> Value {
    let rows: Vec<_> = ids
        .map(|id| json!({"operationId": format!("op-{id}"), "status": status}))
        .collect();
    json!({"data": rows, "pageNo": 0, "pageSize": 100, "totalCount": total})
}

/// Serves `total` rows in the page that was asked for.
pub(crate) fn paged(seen: &Seen, total: u64, status: &str) -> Answer {
    let number: u64 = seen.parameter("pageNo").unwrap().parse().unwrap();
    let size: u64 = seen.parameter("pageSize").unwrap().parse().unwrap();
    assert!((1..=100).contains(&size));
    let start = (number * size).min(total);
    Answer::ok(&page(start..(start + size).min(total), status, total))
}
