//! The Alibaba adapter against its simulator.

use std::collections::BTreeMap;
use std::sync::Arc;

use ota_conformance::{Example, JobTruth, Renewal, Subject, TaskExample, Trouble, Truth, run_case};
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId};
use ota_core::job::{JobKind, JobStatus};
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::TaskStatus;
use ota_provider_alibaba::{AlibabaProvider, Settings};
use ota_sim::alibaba::{Config, Credential, start};
use ota_sim::{Fault, FaultKind, FleetShape, FleetTruth, Renewed};
use serde_json::json;

use crate::rig::{
    MAX_CALLS, Rig, SecretFiles, Through, faults_of, ids, jobs_where, provider_name, tasks_where,
};

const SECRET: &str = "conformance/secret+1=";
const TOKEN: &str = "conformance/sts-token+2=";

/// How requests are signed and answers asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) signature: &'static str,
    pub(crate) format: &'static str,
    pub(crate) sts: bool,
}

pub(crate) const ACS3_JSON: Dialect = Dialect {
    signature: "acs3",
    format: "json",
    sts: false,
};

pub(crate) const HMAC_XML: Dialect = Dialect {
    signature: "hmac-sha1",
    format: "xml",
    sts: true,
};

pub(crate) async fn subject(
    name: &str,
    dialect: Dialect,
    fleet: FleetShape,
    through: Through,
) -> Subject {
    let rig = Rig::new(through, MAX_CALLS);
    let renewed = Renewed::default();
    let server = start(Config {
        renewed: renewed.clone(),
        clock: rig.vendors.clone(),
        fleet: fleet.frozen(),
        quota: None,
        access_key_secret: SECRET.to_owned(),
        security_token: dialect.sts.then(|| TOKEN.to_owned()),
        ..Config::default()
    })
    .await
    .unwrap();
    let server = Arc::new(server);
    let first = Credential {
        access_key_id: ota_sim::alibaba::DEMO_ACCESS_KEY_ID.to_owned(),
        access_key_secret: SECRET.to_owned(),
        security_token: dialect.sts.then(|| TOKEN.to_owned()),
    };
    let renewal = renewal(&rig, &server.url(), dialect, renewed, first);
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": server.url(),
        "allow_http": true,
        "access_key_id": ota_sim::alibaba::DEMO_ACCESS_KEY_ID,
        "access_key_secret": SECRET,
        "security_token": dialect.sts.then_some(TOKEN),
        "signature": dialect.signature,
        "format": dialect.format,
    }))
    .unwrap();
    let config = settings.into_config().unwrap();
    let provider = AlibabaProvider::new(provider_name(), config, rig.deps.clone()).unwrap();
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
        // The look-ahead of a small batch is one call, and comes out of the same purse.
        first_page_extra_calls: 0,
        make_trouble: Some(Box::new(move |trouble| {
            if trouble == Trouble::BrokenPart {
                // One package that has jobs.
                let package = breaking.fleet().jobs[0].package_id.clone();
                let fault = Fault::always(FaultKind::ProductError).about(package);
                breaking.set_faults(vec![fault]);
                return true;
            }
            faults_of(&breaking, trouble, FaultKind::EchoSignature)
        })),
        renewal: Some(renewal),
        drift: Some(rig.drift_count()),
        secrets: vec![SECRET.to_owned(), TOKEN.to_owned()],
    }
}

/// A provider whose key is in files, which are replaced one after the other.
fn renewal(
    rig: &Rig,
    url: &str,
    dialect: Dialect,
    renewed: Renewed<Credential>,
    first: Credential,
) -> Renewal {
    let files = SecretFiles::new(&[
        ("id", &first.access_key_id),
        ("secret", &first.access_key_secret),
        ("token", TOKEN),
    ]);
    let token = files.path("token");
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": url,
        "allow_http": true,
        "access_key_id_file": files.path("id"),
        "access_key_secret_file": files.path("secret"),
        "security_token_file": dialect.sts.then_some(token),
        "signature": dialect.signature,
        "format": dialect.format,
    }))
    .unwrap();
    let config = settings.into_config().unwrap();
    let provider = AlibabaProvider::new(provider_name(), config, rig.deps.clone()).unwrap();
    let next = Credential {
        access_key_id: "renewed-id".to_owned(),
        access_key_secret: "renewed-secret".to_owned(),
        security_token: first
            .security_token
            .as_ref()
            .map(|_| "renewed-token".to_owned()),
    };
    let (here, there) = ((first.clone(), next.clone()), (first, next));
    Renewal {
        provider: Arc::new(provider),
        at_vendor: Box::new(move |new| {
            renewed.set(if new {
                there.1.clone()
            } else {
                there.0.clone()
            });
        }),
        at_provider: Box::new(move |new| {
            let credential = if new { &here.1 } else { &here.0 };
            files.write("id", &credential.access_key_id);
            files.write("secret", &credential.access_key_secret);
            let token = credential.security_token.as_deref();
            files.write("token", token.unwrap_or(TOKEN));
        }),
    }
}

/// The status table once more, apart from the adapter's.
fn job_status(word: &str) -> JobStatus {
    match word {
        "PLANNED" => JobStatus::Pending,
        "IN_PROGRESS" => JobStatus::InProgress,
        "COMPLETED" => JobStatus::Completed,
        "CANCELED" => JobStatus::Canceled,
        other => panic!("the simulator says {other}"),
    }
}

fn task_status(word: &str) -> TaskStatus {
    match word {
        "CONFIRM" | "QUEUED" | "NOTIFIED" => TaskStatus::Pending,
        "IN_PROGRESS" => TaskStatus::InProgress,
        "SUCCEEDED" => TaskStatus::Succeeded,
        "FAILED" => TaskStatus::Failed,
        "CANCELED" => TaskStatus::Canceled,
        other => panic!("the simulator says {other}"),
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
            timed_out: None,
        }
    });
    Truth {
        jobs: jobs.collect(),
        unknown_job_id: JobId::from("aaaaaaaaaaaaaaaaaaaaaa0200"),
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

fn job_examples(fleet: &FleetTruth) -> Vec<Example> {
    let none = JobFilter::default;
    let with_tasks: Vec<_> = fleet.jobs.iter().filter(|job| job.total > 0).collect();
    let (one, other) = (with_tasks[0], with_tasks[with_tasks.len() - 1]);
    let mut examples = vec![
        Example {
            filter: JobFilter {
                kind: Some(JobKind::Firmware),
                ..none()
            },
            jobs: jobs_where(fleet, |_| true),
        },
        Example {
            filter: JobFilter {
                kind: Some(JobKind::Software),
                ..none()
            },
            jobs: jobs_where(fleet, |_| false),
        },
    ];
    for job in [one, other] {
        let package = || Some(PackageId::from(job.package_id.as_str()));
        let product = || Some(ProductId::from(job.product_key.as_str()));
        let device = fleet.devices(&job.id)[1].name.clone();
        examples.push(Example {
            filter: JobFilter {
                package_id: package(),
                ..none()
            },
            jobs: jobs_where(fleet, |other| other.package_id == job.package_id),
        });
        examples.push(Example {
            filter: JobFilter {
                product_id: product(),
                ..none()
            },
            jobs: jobs_where(fleet, |other| other.product_key == job.product_key),
        });
        examples.push(Example {
            filter: JobFilter {
                package_id: package(),
                product_id: product(),
                ..none()
            },
            jobs: jobs_where(fleet, |other| other.package_id == job.package_id),
        });
        examples.push(Example {
            filter: JobFilter {
                package_id: package(),
                product_id: product(),
                device_name: Some(DeviceName::from(device.as_str())),
                ..none()
            },
            jobs: jobs_where(fleet, |other| {
                let mut devices = fleet.devices(&other.id).into_iter();
                other.package_id == job.package_id && devices.any(|one| one.name == device)
            }),
        });
    }
    examples.push(Example {
        filter: JobFilter {
            package_id: Some(PackageId::from(one.package_id.as_str())),
            product_id: Some(ProductId::from("another-product")),
            ..none()
        },
        jobs: jobs_where(fleet, |_| false),
    });
    examples
}

fn task_examples(fleet: &FleetTruth) -> Vec<TaskExample> {
    let mut examples = Vec::new();
    for job in fleet.jobs.iter().filter(|job| job.total > 10).take(3) {
        let devices = fleet.devices(&job.id);
        let wanted = [0, 4, 9].map(|place: usize| devices[place].name.clone());
        let mut names: Vec<DeviceName> = wanted.iter().map(|name| name.as_str().into()).collect();
        names.push(DeviceName::from("no-such-device"));
        examples.push(TaskExample {
            job_id: JobId::from(job.id.as_str()),
            filter: TaskFilter {
                device_names: names,
                ..TaskFilter::default()
            },
            tasks: tasks_where(fleet, &job.id, |device| wanted.contains(&device.name)),
        });
        let id = devices[7].id.clone();
        examples.push(TaskExample {
            job_id: JobId::from(job.id.as_str()),
            tasks: tasks_where(fleet, &job.id, |device| device.id == id),
            filter: TaskFilter {
                device_id: Some(DeviceId::from(id)),
                ..TaskFilter::default()
            },
        });
    }
    examples
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signature_and_format_walks_the_same_fleet() {
    for signature in ["acs3", "hmac-sha1"] {
        for (format, sts) in [("json", false), ("xml", true)] {
            let dialect = Dialect {
                signature,
                format,
                sts,
            };
            let fleet = FleetShape::uniform(11, 60);
            let subject = subject(
                &format!("{signature}/{format}"),
                dialect,
                fleet,
                Through::Open,
            )
            .await;
            for case in ota_conformance::CASES {
                if matches!(case.rule, "C20" | "C21" | "C22" | "C24" | "C60") {
                    let verdict = run_case(*case, &subject).await;
                    assert!(verdict.is_ok(), "{}: {case:?}: {verdict:?}", subject.name);
                }
            }
        }
    }
}
