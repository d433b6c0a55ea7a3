//! The vendor of these tests: a scripted server that knows the names of operations, and a provider that asks it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ota_adapter_test::{ScriptedServer, TestDeps};
use ota_core::clock::{Clock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::drift::DriftCounter;
use ota_core::id::ProviderName;
use ota_provider_alibaba::{AlibabaProvider, Settings};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "test/secret+1234";
pub(crate) const TOKEN: &str = "CAISexampleToken/1==";

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) operation: String,
    request: ota_adapter_test::Seen,
}

impl From<&ota_adapter_test::Seen> for Seen {
    fn from(request: &ota_adapter_test::Seen) -> Self {
        let operation = match request.header("x-acs-action") {
            "" => request.param("Action"),
            action => action,
        };
        Self {
            operation: operation.to_owned(),
            request: request.clone(),
        }
    }
}

impl Deref for Seen {
    type Target = ota_adapter_test::Seen;

    fn deref(&self) -> &Self::Target {
        &self.request
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) drift: Arc<DriftCounter>,
    server: ScriptedServer,
    given: TestDeps,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let server =
            ScriptedServer::start(move |seen: &ota_adapter_test::Seen| script(&seen.into()));
        let server = server.await;
        let given = TestDeps::new(Arc::new(SystemClock));
        Self {
            address: server.address(),
            drift: Arc::clone(&given.drift),
            server,
            given,
        }
    }

    /// Starts a server that gives one body to every request.
    pub(crate) async fn fixed(
        status: u16,
        content_type: &'static str,
        body: impl Into<String>,
    ) -> Self {
        let body = body.into();
        Self::start(move |_| answer(status, content_type, body.clone())).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.server.seen().iter().map(Seen::from).collect()
    }

    pub(crate) fn provider(&self) -> AlibabaProvider {
        self.provider_with(json!({}))
    }

    pub(crate) fn provider_with(&self, change: Value) -> AlibabaProvider {
        self.built(change, &self.given, 5)
    }

    pub(crate) fn provider_of_calls(&self, max_calls_per_page: u32) -> AlibabaProvider {
        self.built(json!({}), &self.given, max_calls_per_page)
    }

    pub(crate) fn provider_on(&self, change: Value, clock: Arc<dyn Clock>) -> AlibabaProvider {
        let given = self.given.clone().with_clock(clock);
        self.built(change, &given, 5)
    }

    fn built(
        &self,
        mut change: Value,
        given: &TestDeps,
        max_calls_per_page: u32,
    ) -> AlibabaProvider {
        let mut settings = json!({
            "region": "cn-shanghai", "endpoint": self.server.endpoint(),
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
        let name = ProviderName::parse("aliyun-test").unwrap();
        AlibabaProvider::new(name, config, given.dependencies(max_calls_per_page)).unwrap()
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
