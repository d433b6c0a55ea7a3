//! A server that answers what a test tells it and remembers what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ota_core::clock::{Clock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::drift::DriftCounter;
use ota_core::gate::OpenGate;
use ota_core::id::ProviderName;
use ota_core::provider::Dependencies;
use ota_core::random::SequenceRandom;
use ota_provider_alibaba::{AlibabaProvider, Settings};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "test/secret+1234";
pub(crate) const TOKEN: &str = "CAISexampleToken/1==";

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) operation: String,
    /// Decoded parameters of query and body together.
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }
}

type Answer = Box<dyn Fn(&Seen) -> Response + Send + Sync>;

struct Script {
    answer: Answer,
    seen: Mutex<Vec<Seen>>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Arc<Script>,
    pub(crate) drift: Arc<DriftCounter>,
    random: Arc<SequenceRandom>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let script = Arc::new(Script {
            answer: Box::new(answer),
            seen: Mutex::default(),
        });
        let app = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            script,
            drift: Arc::default(),
            random: Arc::default(),
            task,
        }
    }

    /// Starts a server that gives one body to everyone.
    pub(crate) async fn fixed(
        status: u16,
        content_type: &'static str,
        body: impl Into<String>,
    ) -> Self {
        let body = body.into();
        Self::start(move |_| answer(status, content_type, body.clone())).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub(crate) fn provider(&self) -> AlibabaProvider {
        self.provider_with(json!({}))
    }

    pub(crate) fn provider_with(&self, change: Value) -> AlibabaProvider {
        self.built(change, Arc::new(SystemClock), 5)
    }

    pub(crate) fn provider_of_calls(&self, max_calls_per_page: u32) -> AlibabaProvider {
        self.built(json!({}), Arc::new(SystemClock), max_calls_per_page)
    }

    pub(crate) fn provider_on(&self, change: Value, clock: Arc<dyn Clock>) -> AlibabaProvider {
        self.built(change, clock, 5)
    }

    fn built(
        &self,
        mut change: Value,
        clock: Arc<dyn Clock>,
        max_calls_per_page: u32,
    ) -> AlibabaProvider {
        let mut settings = json!({
            "region": "cn-shanghai", "endpoint": format!("http://{}", self.address),
            "access_key_id": "LTAItestkey", "access_key_secret": SECRET,
        });
        settings
            .as_object_mut()
            .unwrap()
            .append(change.as_object_mut().unwrap());
        let config = serde_json::from_value::<Settings>(settings)
            .unwrap()
            .into_config()
            .unwrap();
        let deps = Dependencies {
            gate: Arc::new(OpenGate::new(Arc::clone(&clock))),
            clock,
            random: self.random.clone(),
            drift: self.drift.clone(),
            max_calls_per_page,
        };
        AlibabaProvider::new(ProviderName::parse("aliyun-test").unwrap(), config, deps).unwrap()
    }
}

pub(crate) fn context() -> Context {
    Context::new(
        "test",
        SystemClock.monotonic() + Duration::from_secs(30),
        Priority::Interactive,
    )
}

pub(crate) fn answer(status: u16, content_type: &'static str, body: impl Into<String>) -> Response {
    (
        StatusCode::from_u16(status).unwrap(),
        [("content-type", content_type)],
        body.into(),
    )
        .into_response()
}

pub(crate) fn json_answer(body: Value) -> Response {
    answer(200, "application/json;charset=utf-8", body.to_string())
}

async fn serve(
    State(script): State<Arc<Script>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut params = BTreeMap::new();
    for part in [uri.query().unwrap_or(""), &body] {
        let url = format!("http://x/?{part}");
        let parsed: axum::extract::Query<Vec<(String, String)>> =
            axum::extract::Query::try_from_uri(&url.parse().unwrap()).unwrap();
        params.extend(parsed.0);
    }
    let operation = headers
        .get("x-acs-action")
        .map(|value| value.to_str().unwrap().to_owned())
        .or_else(|| params.get("Action").cloned())
        .unwrap_or_default();
    let seen = Seen {
        operation,
        params,
        uri: uri.to_string(),
        headers,
        body,
    };
    script.seen.lock().unwrap().push(seen.clone());
    (script.answer)(&seen)
}
