//! The adapter of __Name__ against its simulator.

use std::sync::Arc;

use ota_conformance::{Documented, Example, Place, TaskExample};
use ota_core::job::JobStatus;
use ota_core::provider::{Dependencies, Provider};
use ota_core::task::TaskStatus;
use ota_provider___snake__::{__Name__Provider, Settings};
use ota_sim::__snake__::{Config, operation, start};
use ota_sim::{FaultKind, FleetShape, FleetTruth, Renewed};
use serde_json::{Value, json};

use crate::rig::{Rig, Through, provider_name};
use crate::simulated::{Planned, SecretSetting, Simulated, Started, Vendor};

const TOKEN: SecretSetting = SecretSetting {
    key: "token",
    first: "conformance/token+1=",
    renewed: "renewed-token",
    hidden: true,
};

pub(crate) const VENDOR: Vendor = Vendor {
    name: ota_provider___snake__::VENDOR,
    subjects,
};

fn subjects() -> Vec<Planned> {
    let fleet = || FleetShape::uniform(11, 55);
    let each =
        Through::ALL.map(|through| Planned::simulated("__name__", __Name__, fleet(), through));
    // The last one has rows with every field.
    let demo = FleetShape::demo();
    let demo = Planned::simulated("__name__, demo fleet", __Name__, demo, Through::Guard);
    each.into_iter().chain([demo]).collect()
}

struct __Name__;

#[async_trait::async_trait]
impl Simulated for __Name__ {
    async fn start(&self, rig: &Rig, fleet: FleetShape) -> Started {
        let renewed = Renewed::default();
        let mut config = Config::without_quota(rig.vendors.clone(), fleet);
        config.token = TOKEN.first.to_owned();
        config.renewed_token = renewed.clone();
        let server = start(config).await.unwrap();
        let renew = move |new| {
            let token = if new { TOKEN.renewed } else { TOKEN.first };
            renewed.set(token.to_owned());
        };
        Started {
            server,
            renew: Box::new(renew),
        }
    }

    fn settings(&self, url: &str) -> Value {
        json!({"endpoint": url})
    }

    fn secrets(&self) -> Vec<SecretSetting> {
        vec![TOKEN]
    }

    fn build(&self, settings: Value, deps: Dependencies) -> Arc<dyn Provider> {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let config = settings.into_config().unwrap();
        Arc::new(__Name__Provider::new(provider_name(), config, deps).unwrap())
    }

    fn refusal(&self) -> FaultKind {
        FaultKind::TokenExpired
    }

    fn unknown_job_id(&self) -> &'static str {
        "00000000-0000-4000-8000-000000000000"
    }

    fn id_fields(&self) -> (&'static str, &'static str) {
        ("id", "id")
    }

    fn job_statuses(&self) -> &'static [(&'static str, JobStatus)] {
        &[
            ("ready", JobStatus::Pending),
            ("running", JobStatus::InProgress),
            ("finished", JobStatus::Completed),
            ("stopped", JobStatus::Canceled),
        ]
    }

    fn task_statuses(&self) -> &'static [(&'static str, TaskStatus)] {
        &[
            ("waiting", TaskStatus::Pending),
            ("running", TaskStatus::InProgress),
            ("finished", TaskStatus::Succeeded),
            ("error", TaskStatus::Failed),
            ("canceled", TaskStatus::Canceled),
        ]
    }

    /// Every field of the documents, by the vendor's names; dots lead into objects. The suite leaves out one after the other, and a field without which no
    /// row changes was dropped.
    fn documented(&self) -> Documented {
        Documented {
            job_rows: &["id", "status"],
            jobs: &["id", "status"],
            task_rows: &["id", "status"],
        }
    }

    fn operation(&self, place: Place) -> &'static str {
        match place {
            Place::JobRow => operation::LIST_JOBS,
            Place::Job => operation::GET_JOB,
            Place::TaskRow => operation::LIST_TASKS,
        }
    }

    /// One example for each filter that the capability has.
    fn job_examples(&self, _: &FleetTruth) -> Vec<Example> {
        Vec::new()
    }

    /// The same for the list of tasks.
    fn task_examples(&self, _: &FleetTruth) -> Vec<TaskExample> {
        Vec::new()
    }
}
