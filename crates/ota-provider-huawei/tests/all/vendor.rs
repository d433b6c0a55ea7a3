//! The vendor of these tests: a scripted server that knows logins, and a provider that asks it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ota_adapter_test::{ScriptedServer, TestDeps};
use ota_core::Context;
use ota_core::clock::ManualClock;
use ota_core::configured_fields::{ConfigurableField, ConfiguredFields, FieldPath};
use ota_core::drift::DriftCounter;
use ota_core::id::ProviderName;
use ota_core::provider::{GetJob, JobFilter, ListJobs, ListTasks, TaskFilter};
use ota_provider_huawei::{HuaweiProvider, Settings, TokenPool};
use serde_json::{Value, json};
use time::macros::datetime;

pub(crate) use ota_adapter_test::{Reply, Seen};

pub(crate) const LOGIN: &str = "/iocm/app/sec/v1.1.0/login";
pub(crate) const REFRESH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
pub(crate) const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";
pub(crate) const SECRET: &str = "s3cret/value+1";

/// A scripted server that knows logins.
pub(crate) struct Vendor {
    pub(crate) endpoint: String,
    server: ScriptedServer,
}

impl Deref for Vendor {
    type Target = ScriptedServer;

    fn deref(&self) -> &ScriptedServer {
        &self.server
    }
}

impl Vendor {
    /// Starts a server that answers everything by `script`.
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let server = ScriptedServer::start(script).await;
        Self {
            endpoint: server.endpoint(),
            server,
        }
    }

    /// Starts a server whose logins work: they give `access-token-0001` and so on.
    pub(crate) async fn with_logins(
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let logins = AtomicU32::new(0);
        Self::start(move |seen| match seen.path.as_str() {
            LOGIN | REFRESH => {
                let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
                Reply::ok(&token(number, &json!(3600)))
            }
            _ => script(seen),
        })
        .await
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
}

/// The answer of login and refresh (vendor notes, section 1.3).
pub(crate) fn token(number: u32, expires_in: &Value) -> Value {
    json!({
        "scope": "default", "tokenType": "Bearer ", "expiresIn": expires_in,
        "accessToken": format!("access-token-{number:04}"), "refreshToken": format!("refresh-token-{number:04}"),
    })
}

/// A provider and what it was built with.
pub(crate) struct Subject {
    pub(crate) provider: HuaweiProvider,
    pub(crate) clock: ManualClock,
    pub(crate) drift: Arc<DriftCounter>,
    /// The fields whose place is configured.
    pub(crate) fields: Arc<ConfiguredFields>,
    given: TestDeps,
}

impl Subject {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self::with(endpoint, json!({}), &Arc::default())
    }

    /// A provider with fields at configured places.
    pub(crate) fn with_fields(endpoint: &str, fields: &[(ConfigurableField, &str)]) -> Self {
        let paths = fields.iter();
        let paths = paths.map(|(field, path)| (*field, FieldPath::parse(path).unwrap()));
        let fields = Arc::new(ConfiguredFields::new(paths));
        Self::built(endpoint, json!({}), &Arc::default(), fields)
    }

    pub(crate) fn with(endpoint: &str, change: Value, tokens: &Arc<TokenPool>) -> Self {
        Self::built(endpoint, change, tokens, Arc::default())
    }

    fn built(
        endpoint: &str,
        mut change: Value,
        tokens: &Arc<TokenPool>,
        fields: Arc<ConfiguredFields>,
    ) -> Self {
        let mut settings = json!({"endpoint": endpoint, "app_id": "app-1", "secret": SECRET});
        settings
            .as_object_mut()
            .unwrap()
            .append(change.as_object_mut().unwrap());
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let given = TestDeps::new(Arc::new(clock.clone()));
        let name = ProviderName::parse("huawei-nb").unwrap();
        let config = settings.into_config().unwrap();
        let mut deps = given.dependencies(5);
        deps.fields = Arc::clone(&fields);
        let provider = HuaweiProvider::new(name, config, deps, Arc::clone(tokens)).unwrap();
        Self {
            provider,
            clock,
            drift: Arc::clone(&given.drift),
            fields,
            given,
        }
    }

    pub(crate) fn context(&self) -> Context {
        self.given.context()
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
pub(crate) fn paged(seen: &Seen, total: u64, status: &str) -> Reply {
    let number: u64 = seen.raw_param("pageNo").unwrap().parse().unwrap();
    let size: u64 = seen.raw_param("pageSize").unwrap().parse().unwrap();
    assert!((1..=100).contains(&size));
    let start = (number * size).min(total);
    Reply::ok(&page(start..(start + size).min(total), status, total))
}
