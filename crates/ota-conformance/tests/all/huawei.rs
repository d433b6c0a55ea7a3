//! The Huawei adapter against its simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ota_conformance::{Example, JobTruth, Renewal, Subject, TaskExample, Truth};
use ota_core::id::{DeviceId, JobId};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::TaskStatus;
use ota_provider_huawei::{HuaweiProvider, Settings, TokenPool};
use ota_sim::huawei::{Config, start};
use ota_sim::{FaultKind, FleetShape, FleetTruth, Renewed};
use serde_json::json;

use crate::rig::{
    MAX_CALLS, Rig, SecretFiles, Through, faults_of, ids, jobs_where, provider_name, tasks_where,
};

const SECRET: &str = "conformance/app-secret+1=";

pub(crate) async fn subject(name: &str, fleet: FleetShape, through: Through) -> Subject {
    let rig = Rig::new(through, MAX_CALLS);
    let renewed = Renewed::default();
    let server = start(Config {
        clock: rig.vendors.clone(),
        fleet: fleet.frozen(),
        quota: None,
        secret: SECRET.to_owned(),
        renewed_secret: renewed.clone(),
        ..Config::default()
    })
    .await
    .unwrap();
    let server = Arc::new(server);
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": server.url(),
        "allow_http": true,
        "app_id": ota_sim::huawei::DEMO_APP_ID,
        "secret": SECRET,
    }))
    .unwrap();
    let config = settings.into_config().unwrap();
    let tokens = Arc::new(TokenPool::new());
    let provider = HuaweiProvider::new(provider_name(), config, rig.deps.clone(), tokens).unwrap();
    let renewal = renewal(&rig, &server.url(), renewed);
    let (counting, breaking) = (Arc::clone(&server), Arc::clone(&server));
    Subject {
        name: format!("{name}, {}", through.name()),
        provider: Arc::new(provider),
        clock: Arc::new(rig.clock.clone()),
        pass_time: Some(rig.pass_time()),
        gate: through.promise(),
        truth: truth(&server.fleet()),
        calls: Box::new(move || counting.counters().total_calls()),
        max_calls_per_page: MAX_CALLS,
        first_page_extra_calls: 0,
        make_trouble: Some(Box::new(move |trouble| {
            faults_of(&breaking, trouble, FaultKind::TokenExpired)
        })),
        renewal: Some(renewal),
        drift: Some(rig.drift_count()),
        secrets: vec![SECRET.to_owned()],
    }
}

/// A provider whose secret is in a file, which is replaced.
fn renewal(rig: &Rig, url: &str, renewed: Renewed<String>) -> Renewal {
    let files = SecretFiles::new(&[("secret", SECRET)]);
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": url,
        "allow_http": true,
        "app_id": ota_sim::huawei::DEMO_APP_ID,
        "secret_file": files.path("secret"),
    }))
    .unwrap();
    let config = settings.into_config().unwrap();
    // A token of its own, so that its first call is a login.
    let tokens = Arc::new(TokenPool::new());
    let provider = HuaweiProvider::new(provider_name(), config, rig.deps.clone(), tokens).unwrap();
    Renewal {
        provider: Arc::new(provider),
        at_vendor: Box::new(move |new| {
            renewed.set(if new { "renewed-secret" } else { SECRET }.to_owned());
        }),
        at_provider: Box::new(move |new| {
            files.write("secret", if new { "renewed-secret" } else { SECRET });
        }),
    }
}

/// The status table once more, apart from the adapter's.
fn job_status(word: &str) -> JobStatus {
    match word {
        "wait" => JobStatus::Pending,
        "processing" => JobStatus::InProgress,
        "success" | "failed" => JobStatus::Completed,
        "stop" => JobStatus::Canceled,
        other => panic!("the simulator says {other}"),
    }
}

fn task_status(word: &str) -> TaskStatus {
    match word {
        "wait" => TaskStatus::Pending,
        "processing" => TaskStatus::InProgress,
        "success" => TaskStatus::Succeeded,
        "fail" => TaskStatus::Failed,
        "stop" => TaskStatus::Canceled,
        other => panic!("the simulator says {other}"),
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

fn truth(fleet: &FleetTruth) -> Truth {
    let jobs = fleet.jobs.iter().map(|job| {
        let mut counts = BTreeMap::new();
        for (word, count) in &job.tasks {
            *counts.entry(task_status(word)).or_default() += count;
        }
        JobTruth {
            id: JobId::from(job.id.as_str()),
            status: job_status(&job.status),
            tasks: ids(fleet.task_ids(&job.id)),
            counts,
            timed_out: Some(job.timed_out),
        }
    });
    Truth {
        jobs: jobs.collect(),
        unknown_job_id: JobId::from("00000000-0000-4000-8000-000000000000"),
        job_statuses: vec![
            JobStatus::Pending,
            JobStatus::InProgress,
            JobStatus::Completed,
            JobStatus::Canceled,
        ],
        task_statuses: vec![
            TaskStatus::Pending,
            TaskStatus::InProgress,
            TaskStatus::Succeeded,
            TaskStatus::Failed,
            TaskStatus::Canceled,
        ],
        job_examples: job_examples(fleet),
        task_examples: task_examples(fleet),
    }
}

/// Device type, model and manufacturer of the simulator's products; the last one gets software.
const PRODUCTS: [(&str, &str, &str); 3] = [
    ("Gateway", "GW-200", "Example Works"),
    ("WaterMeter", "NBIoTDevice", "示例科技 & Co"),
    ("Logger", "CL-7", "Example Works"),
];

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
            jobs: of_type(&["Gateway", "WaterMeter"]),
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
