//! The Alibaba adapter against its simulator.

use std::sync::Arc;

use ota_conformance::{Documented, Example, Place, TaskExample, run_case};
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId};
use ota_core::job::{JobKind, JobStatus};
use ota_core::provider::{Dependencies, JobFilter, Provider, TaskFilter};
use ota_core::task::TaskStatus;
use ota_provider_alibaba::{AlibabaProvider, Settings};
use ota_sim::alibaba::{Config, Credential, DEMO_ACCESS_KEY_ID, start};
use ota_sim::{Fault, FaultKind, FleetShape, FleetTruth, Renewed};
use serde_json::{Value, json};

use crate::rig::{Rig, Through, provider_name};
use crate::simulated::{
    Planned, SecretSetting, Simulated, Started, Vendor, jobs_where, subject, tasks_where,
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

pub(crate) const VENDOR: Vendor = Vendor {
    name: ota_provider_alibaba::VENDOR,
    subjects,
};

fn subjects() -> Vec<Planned> {
    let mut planned = Vec::new();
    for through in Through::ALL {
        for (name, dialect) in [
            ("alibaba acs3/json", ACS3_JSON),
            ("alibaba hmac-sha1/xml with STS", HMAC_XML),
        ] {
            let fleet = FleetShape::uniform(11, 55);
            planned.push(Planned::simulated(name, dialect, fleet, through));
        }
    }
    let (name, fleet) = ("alibaba acs3/json, demo fleet", FleetShape::demo());
    planned.push(Planned::simulated(name, ACS3_JSON, fleet, Through::Guard));
    planned
}

#[async_trait::async_trait]
impl Simulated for Dialect {
    async fn start(&self, rig: &Rig, fleet: FleetShape) -> Started {
        let renewed = Renewed::default();
        let server = start(Config {
            renewed: renewed.clone(),
            clock: rig.vendors.clone(),
            fleet,
            quota: None,
            access_key_secret: SECRET.to_owned(),
            security_token: self.sts.then(|| TOKEN.to_owned()),
            ..Config::default()
        })
        .await
        .unwrap();
        let secrets = self.secrets();
        let renew = move |new| {
            let value = |one: &SecretSetting| if new { one.renewed } else { one.first }.to_owned();
            renewed.set(Credential {
                access_key_id: value(&secrets[0]),
                access_key_secret: value(&secrets[1]),
                security_token: secrets.get(2).map(value),
            });
        };
        Started {
            server,
            renew: Box::new(renew),
        }
    }

    fn settings(&self, url: &str) -> Value {
        json!({"endpoint": url, "allow_http": true, "signature": self.signature, "format": self.format})
    }

    fn secrets(&self) -> Vec<SecretSetting> {
        let key = SecretSetting {
            key: "access_key_id",
            first: DEMO_ACCESS_KEY_ID,
            renewed: "renewed-id",
            hidden: false,
        };
        let secret = SecretSetting {
            key: "access_key_secret",
            first: SECRET,
            renewed: "renewed-secret",
            hidden: true,
        };
        let token = SecretSetting {
            key: "security_token",
            first: TOKEN,
            renewed: "renewed-token",
            hidden: true,
        };
        let all = [key, secret, token].into_iter();
        all.take(if self.sts { 3 } else { 2 }).collect()
    }

    fn build(&self, settings: Value, deps: Dependencies) -> Arc<dyn Provider> {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let config = settings.into_config().unwrap();
        Arc::new(AlibabaProvider::new(provider_name(), config, deps).unwrap())
    }

    fn refusal(&self) -> FaultKind {
        FaultKind::EchoSignature
    }

    fn broken_part(&self, fleet: &FleetTruth) -> Option<Fault> {
        // One package that has jobs.
        let package = fleet.jobs.first()?.package_id.clone();
        Some(Fault::always(FaultKind::ProductError).about(package))
    }

    fn unknown_job_id(&self) -> &'static str {
        "aaaaaaaaaaaaaaaaaaaaaa0200"
    }

    fn job_statuses(&self) -> &'static [(&'static str, JobStatus)] {
        &[
            ("PLANNED", JobStatus::Pending),
            ("IN_PROGRESS", JobStatus::InProgress),
            ("COMPLETED", JobStatus::Completed),
            ("CANCELED", JobStatus::Canceled),
        ]
    }

    fn task_statuses(&self) -> &'static [(&'static str, TaskStatus)] {
        &[
            ("CONFIRM", TaskStatus::Pending),
            ("QUEUED", TaskStatus::Pending),
            ("NOTIFIED", TaskStatus::Pending),
            ("IN_PROGRESS", TaskStatus::InProgress),
            ("SUCCEEDED", TaskStatus::Succeeded),
            ("FAILED", TaskStatus::Failed),
            ("CANCELED", TaskStatus::Canceled),
        ]
    }

    fn documented(&self) -> Documented {
        Documented {
            // `FirmwareId` and `ProductKey` are what was asked for.
            job_rows: &[
                "JobId",
                "JobStatus",
                "JobType",
                "SelectionType",
                "TargetSelection",
                "Tags",
                "UtcCreate",
                "UtcModified",
                "UtcStartTime",
                "UtcEndTime",
            ],
            // So is `JobId`.
            jobs: &[
                "FirmwareId",
                "ProductKey",
                "DestVersion",
                "Name",
                "JobStatus",
                "JobType",
                "SelectionType",
                "TargetSelection",
                "MaximumPerMinute",
                "OverwriteMode",
                "SrcVersions",
                "Tags",
                "TimeoutInMinutes",
                "RetryCount",
                "RetryInterval",
                "DynamicMode",
                "GrayPercent",
                "UtcCreate",
                "UtcModified",
                "UtcStartTime",
                "UtcEndTime",
                "UtcScheduleTime",
                "UtcScheduleFinishTime",
                "JobDesc",
                "DownloadProtocol",
                "GroupId",
                "GroupName",
                "NeedPush",
                "NeedConfirm",
                "MultiModuleMode",
            ],
            // `JobId` is what was asked for.
            task_rows: &[
                "TaskId",
                "FirmwareId",
                "ProductKey",
                "ProductName",
                "DeviceName",
                "IotId",
                "SrcVersion",
                "DestVersion",
                "TaskStatus",
                "Progress",
                "TaskDesc",
                "Timeout",
                "UtcCreate",
                "UtcModified",
            ],
        }
    }

    fn id_fields(&self) -> (&'static str, &'static str) {
        ("JobId", "TaskId")
    }

    fn operation(&self, place: Place) -> &'static str {
        match place {
            Place::JobRow => "ListOTAJobByFirmware",
            Place::Job => "QueryOTAJob",
            Place::TaskRow => "ListOTATaskByJob",
        }
    }

    fn job_examples(&self, fleet: &FleetTruth) -> Vec<Example> {
        job_examples(fleet)
    }

    fn task_examples(&self, fleet: &FleetTruth) -> Vec<TaskExample> {
        task_examples(fleet)
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

pub(crate) async fn every_signature_and_format_lists_the_same_fleet() {
    for signature in ["acs3", "hmac-sha1"] {
        for (format, sts) in [("json", false), ("xml", true)] {
            let dialect = Dialect {
                signature,
                format,
                sts,
            };
            let fleet = FleetShape::uniform(11, 60);
            let name = format!("{signature}/{format}");
            let subject = subject(&name, &dialect, fleet, Through::Open).await;
            for case in ota_conformance::CASES {
                if matches!(case.rule, "C20" | "C21" | "C22" | "C24" | "C60") {
                    let verdict = run_case(*case, &subject).await;
                    assert!(verdict.is_ok(), "{}: {case:?}: {verdict:?}", subject.name);
                }
            }
        }
    }
}
