//! The Huawei adapter against its simulator.

use std::collections::BTreeSet;
use std::sync::Arc;

use ota_conformance::{Documented, Example, Place, TaskExample};
use ota_core::id::{DeviceId, JobId};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::provider::{Dependencies, JobFilter, Provider, TaskFilter};
use ota_core::task::TaskStatus;
use ota_provider_huawei::{HuaweiProvider, Settings, TokenPool};
use ota_sim::huawei::{Config, DEMO_APP_ID, operation, start};
use ota_sim::{FaultKind, FleetShape, FleetTruth, Renewed};
use serde_json::{Value, json};

use crate::rig::{Rig, Through, provider_name};
use crate::simulated::{
    Planned, SecretSetting, Simulated, Started, Vendor, jobs_where, tasks_where,
};

const SECRET: SecretSetting = SecretSetting {
    key: "secret",
    first: "conformance/app-secret+1=",
    renewed: "renewed-secret",
    hidden: true,
};

pub(crate) const VENDOR: Vendor = Vendor {
    name: ota_provider_huawei::VENDOR,
    subjects,
};

fn subjects() -> Vec<Planned> {
    let fleet = || FleetShape::uniform(11, 55);
    let each = Through::ALL.map(|through| Planned::simulated("huawei", Huawei, fleet(), through));
    let demo = FleetShape::demo();
    let demo = Planned::simulated("huawei, demo fleet", Huawei, demo, Through::Guard);
    each.into_iter().chain([demo]).collect()
}

struct Huawei;

#[async_trait::async_trait]
impl Simulated for Huawei {
    async fn start(&self, rig: &Rig, fleet: FleetShape) -> Started {
        let renewed = Renewed::default();
        let server = start(Config {
            clock: rig.vendors.clone(),
            fleet,
            quota: None,
            secret: SECRET.first.to_owned(),
            renewed_secret: renewed.clone(),
            ..Config::default()
        })
        .await
        .unwrap();
        let renew = move |new| {
            let secret = if new { SECRET.renewed } else { SECRET.first };
            renewed.set(secret.to_owned());
        };
        Started {
            server,
            renew: Box::new(renew),
        }
    }

    fn settings(&self, url: &str) -> Value {
        json!({"endpoint": url, "allow_http": true, "app_id": DEMO_APP_ID})
    }

    fn secrets(&self) -> Vec<SecretSetting> {
        vec![SECRET]
    }

    fn build(&self, settings: Value, deps: Dependencies) -> Arc<dyn Provider> {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let config = settings.into_config().unwrap();
        // Tokens of its own, so that its first call is a login.
        let tokens = Arc::new(TokenPool::new());
        Arc::new(HuaweiProvider::new(provider_name(), config, deps, tokens).unwrap())
    }

    fn refusal(&self) -> FaultKind {
        FaultKind::TokenExpired
    }

    fn unknown_job_id(&self) -> &'static str {
        "00000000-0000-4000-8000-000000000000"
    }

    fn job_statuses(&self) -> &'static [(&'static str, JobStatus)] {
        &[
            ("wait", JobStatus::Pending),
            ("processing", JobStatus::InProgress),
            ("success", JobStatus::Completed),
            ("failed", JobStatus::Completed),
            ("stop", JobStatus::Canceled),
        ]
    }

    fn task_statuses(&self) -> &'static [(&'static str, TaskStatus)] {
        &[
            ("wait", TaskStatus::Pending),
            ("processing", TaskStatus::InProgress),
            ("success", TaskStatus::Succeeded),
            ("fail", TaskStatus::Failed),
            ("stop", TaskStatus::Canceled),
        ]
    }

    fn documented(&self) -> Documented {
        const TASK: &[&str] = &[
            "operationId",
            "createTime",
            "startTime",
            "stopTime",
            "operateType",
            "targets.deviceGroups",
            "targets.deviceType",
            "targets.model",
            "targets.manufacturerName",
            "targets.devices",
            "policy.executeType",
            "policy.startTime",
            "policy.endTime",
            "policy.retryType",
            "policy.retryTimes",
            "status",
            "staResult.total",
            "staResult.wait",
            "staResult.processing",
            "staResult.success",
            "staResult.fail",
            "staResult.stop",
            "staResult.timeout",
            "extendPara.fileVersion",
        ];
        Documented {
            job_rows: TASK,
            jobs: TASK,
            task_rows: &[
                "subOperationId",
                "createTime",
                "startTime",
                "stopTime",
                "operateType",
                "deviceId",
                "status",
                "detailInfo",
            ],
        }
    }

    fn id_fields(&self) -> (&'static str, &'static str) {
        ("operationId", "subOperationId")
    }

    fn operation(&self, place: Place) -> &'static str {
        match place {
            Place::JobRow => operation::LIST_OPERATIONS,
            Place::Job => operation::GET_OPERATION,
            Place::TaskRow => operation::LIST_SUB_OPERATIONS,
        }
    }

    fn counts_timeouts(&self) -> bool {
        true
    }

    fn job_examples(&self, fleet: &FleetTruth) -> Vec<Example> {
        job_examples(fleet)
    }

    fn task_examples(&self, fleet: &FleetTruth) -> Vec<TaskExample> {
        task_examples(fleet)
    }
}

fn outcome(job: &ota_sim::JobTruth) -> Option<JobOutcome> {
    match job.status.as_str() {
        "success" => Some(JobOutcome::Succeeded),
        "failed" if job.tasks["success"] == 0 => Some(JobOutcome::Failed),
        "failed" => Some(JobOutcome::Partial),
        _ => None,
    }
}

/// Device type, model and manufacturer of the simulator's products. Loggers get software; the last one has names that have to be escaped.
const PRODUCTS: [(&str, &str, &str); 4] = [
    ("Gateway", "GW-200", "Example Works"),
    ("WaterMeter", "NBIoTDevice", "示例科技 & Co"),
    ("Logger", "CL-7", "Example Works"),
    (ODD_TYPE, "model 08 %2F *", "Example, Works; & Söhne"),
];

const ODD_TYPE: &str = "Odd/Type +8";

fn job_examples(fleet: &FleetTruth) -> Vec<Example> {
    let none = JobFilter::default;
    let of_type = |types: &[&str]| -> BTreeSet<JobId> {
        jobs_where(fleet, |job| types.contains(&job.product_key.as_str()))
    };
    let mut examples = vec![
        Example {
            filter: JobFilter {
                kind: Some(JobKind::Firmware),
                ..none()
            },
            jobs: of_type(&["Gateway", "WaterMeter", ODD_TYPE]),
        },
        Example {
            filter: JobFilter {
                kind: Some(JobKind::Software),
                ..none()
            },
            jobs: of_type(&["Logger"]),
        },
        Example {
            filter: JobFilter {
                kind: Some(JobKind::Other),
                ..none()
            },
            jobs: BTreeSet::new(),
        },
        Example {
            filter: JobFilter {
                manufacturer: Some("Example Works".to_owned()),
                ..none()
            },
            jobs: of_type(&["Gateway", "Logger"]),
        },
    ];
    for (device_type, model, manufacturer) in PRODUCTS {
        examples.push(Example {
            filter: JobFilter {
                device_type: Some(device_type.to_owned()),
                ..none()
            },
            jobs: of_type(&[device_type]),
        });
        examples.push(Example {
            filter: JobFilter {
                model: Some(model.to_owned()),
                manufacturer: Some(manufacturer.to_owned()),
                ..none()
            },
            jobs: of_type(&[device_type]),
        });
    }
    for wanted in [
        vec![JobOutcome::Succeeded],
        vec![JobOutcome::Failed],
        vec![JobOutcome::Partial],
        vec![JobOutcome::Partial, JobOutcome::Failed],
        vec![JobOutcome::Partial, JobOutcome::Succeeded],
        JobOutcome::ALL.to_vec(),
    ] {
        examples.push(Example {
            jobs: jobs_where(fleet, |job| {
                outcome(job).is_some_and(|outcome| wanted.contains(&outcome))
            }),
            filter: JobFilter {
                outcome: wanted,
                ..none()
            },
        });
    }
    for job in fleet.jobs.iter().filter(|job| job.total > 0).take(3) {
        let device = fleet.devices(&job.id)[1].id.clone();
        examples.push(Example {
            jobs: jobs_where(fleet, |job| {
                let mut devices = fleet.devices(&job.id).into_iter();
                devices.any(|one| one.id == device)
            }),
            filter: JobFilter {
                device_id: Some(DeviceId::from(device)),
                ..none()
            },
        });
    }
    examples
}

fn task_examples(fleet: &FleetTruth) -> Vec<TaskExample> {
    let jobs = fleet.jobs.iter().filter(|job| job.total > 10).take(3);
    jobs.map(|job| {
        let id = fleet.devices(&job.id)[7].id.clone();
        TaskExample {
            job_id: JobId::from(job.id.as_str()),
            tasks: tasks_where(fleet, &job.id, |device| device.id == id),
            filter: TaskFilter {
                device_id: Some(DeviceId::from(id)),
                ..TaskFilter::default()
            },
        }
    })
    .collect()
}
