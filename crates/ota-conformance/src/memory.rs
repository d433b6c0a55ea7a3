//! The reference provider: everything in memory, every filter, injectable trouble.
//!
//! It keeps every rule of the contract in the simplest way, so it is the provider that the suite itself is tested with, and a
//! model for adapters in tests of crates above.

mod difference;
mod provider;
mod vendor;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ota_core::capability::{
    Capability, ChangeSigns, DocumentedQuota, JobFilterSupport, QuotaPer, StatsSupport, Support,
    TaskFilterSupport, TaskOrder,
};
use ota_core::clock::Clock;
use ota_core::fields::FieldSupport;
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId};
use ota_core::job::{JobKind, JobOutcome};
use ota_core::provider::{JobFilter, Provider, TaskFilter};
use ota_core::task::Failure;

use crate::subject::{Documented, Example, GateUnderTest, JobTruth, Subject, TaskExample, Truth};

pub use difference::{Aliases, ServerVersion};
pub use provider::MemoryProvider;
pub use vendor::{MemoryVendor, VENDOR};

/// The secret of the provider, which nothing may show.
pub const SECRET: &str = "memory/secret+1=";

/// What the vendor in memory reports.
const FIELDS: FieldSupport = FieldSupport {
    job_row: &[
        "outcome",
        "kind",
        "name",
        "package.id",
        "package.name",
        "package.version",
        "package.product_id",
        "target.product_id",
        "target.device_type",
        "target.model",
        "target.manufacturer",
        "created_at",
    ],
    job: &[
        "outcome",
        "kind",
        "name",
        "description",
        "package.id",
        "package.name",
        "package.version",
        "package.product_id",
        "target.product_id",
        "target.device_type",
        "target.model",
        "target.manufacturer",
        "created_at",
    ],
    job_stats: &[
        "total",
        "not_started",
        "pending",
        "in_progress",
        "succeeded",
        "failed",
        "canceled",
        "unknown",
        "timed_out",
        "outcome",
    ],
    task: &[
        "device.id",
        "device.name",
        "device.product_id",
        "stage",
        "progress_percent",
        "failure",
        "created_at",
    ],
};

const JOB_ROW_WITHOUT_NAMES: &[&str] = &[
    "outcome",
    "kind",
    "name",
    "package.id",
    "package.product_id",
    "target.product_id",
    "target.device_type",
    "target.model",
    "target.manufacturer",
    "created_at",
];

const JOB_WITHOUT_NAMES: &[&str] = &[
    "outcome",
    "kind",
    "name",
    "description",
    "package.id",
    "package.product_id",
    "target.product_id",
    "target.device_type",
    "target.model",
    "target.manufacturer",
    "created_at",
];

/// Returns the capability that has everything.
#[must_use]
pub fn full_capability() -> Capability {
    Capability {
        job_filters: JobFilterSupport {
            status: Support::Native,
            outcome: Support::Native,
            kind: Support::Native,
            package_id: Support::Native,
            product_id: Support::Native,
            device_id: Support::Native,
            device_name: Support::Native,
            device_type: Support::Native,
            model: Support::Native,
            manufacturer: Support::Native,
        },
        job_filter_needs: &[],
        task_filters: TaskFilterSupport {
            status: Support::Native,
            stage: Support::Native,
            device_name: Support::Native,
            device_id: Support::Native,
        },
        max_page_size: 100,
        max_device_names: 50,
        job_stats: StatsSupport {
            native: true,
            calls: 1,
        },
        change_signs: ChangeSigns {
            counts_in_rows: false,
            counts_in_totals: true,
            task_order: TaskOrder::None,
        },
        fields: FIELDS,
        configured_fields: Vec::new(),
        actions: Vec::new(),
        quota: DocumentedQuota {
            calls: 1000,
            window_s: 1,
            per: QuotaPer::Application,
            exceptions: &[],
        },
    }
}

/// Returns a capability without some filters, one of whose filters needs two others.
#[must_use]
pub fn small_capability() -> Capability {
    let mut capability = full_capability();
    capability.job_filters.outcome = Support::No;
    capability.job_filters.device_name = Support::No;
    capability.job_filters.manufacturer = Support::No;
    capability.job_filters.kind = Support::Here;
    capability.task_filters.device_name = Support::No;
    capability.task_filters.stage = Support::No;
    capability.change_signs.counts_in_totals = false;
    capability.task_filters.device_id = Support::Here;
    capability.max_device_names = 0;
    capability.job_filter_needs = &[("model", &["device_type", "product_id"])];
    capability
}

/// Returns the capability of a vendor whose rows do not say why a task failed.
#[must_use]
pub fn capability_without_failures() -> Capability {
    let mut capability = full_capability();
    capability.fields.task = &[
        "device.id",
        "device.name",
        "device.product_id",
        "stage",
        "progress_percent",
        "created_at",
    ];
    capability
}

/// Returns the capability of a vendor whose rows name neither versions nor devices; an operator may know where they stand.
#[must_use]
pub fn capability_without_names() -> Capability {
    let mut capability = full_capability();
    capability.fields = FieldSupport {
        job_row: JOB_ROW_WITHOUT_NAMES,
        job: JOB_WITHOUT_NAMES,
        task: &[
            "device.id",
            "device.product_id",
            "stage",
            "progress_percent",
            "failure",
            "created_at",
        ],
        ..capability.fields
    };
    capability.task_filters.device_name = Support::No;
    capability.max_device_names = 0;
    capability
}

/// Returns the subject of a provider that reads from `vendor`: a [`MemoryProvider`], or one that is wrapped around it.
#[must_use]
pub fn subject(
    name: &str,
    vendor: &Arc<MemoryVendor>,
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    gate: GateUnderTest,
) -> Subject {
    let truth = truth(vendor, provider.capability());
    let (counting, breaking) = (Arc::clone(vendor), Arc::clone(vendor));
    let receiving = Arc::clone(vendor);
    Subject {
        name: name.to_owned(),
        provider,
        clock,
        pass_time: None,
        gate,
        truth,
        calls: Box::new(move || counting.calls()),
        received: Some(Box::new(move |text| receiving.received(text))),
        max_calls_per_page: 5,
        first_page_extra_calls: 0,
        make_trouble: Some(Box::new(move |trouble| {
            breaking.set_trouble(trouble);
            true
        })),
        renewal: None,
        configured: None,
        drift: None,
        secrets: vec![SECRET.to_owned()],
    }
}

/// Returns what the vendor holds, with examples of the filters that the capability has.
fn truth(vendor: &MemoryVendor, capability: &Capability) -> Truth {
    let jobs = vendor.jobs().iter().map(|job| {
        let tasks = vendor.tasks(&job.id);
        let mut counts = BTreeMap::new();
        for task in tasks {
            *counts.entry(task.status).or_default() += 1;
        }
        let timed_out = tasks
            .iter()
            .filter(|task| task.failure == Some(Failure::Timeout));
        JobTruth {
            id: job.id.clone(),
            status: job.status,
            tasks: tasks.iter().map(|task| task.id.clone()).collect(),
            counts,
            not_started: Some(vendor.not_started(job)),
            timed_out: Some(timed_out.count() as u64),
        }
    });
    Truth {
        jobs: jobs.collect(),
        unknown_job_id: JobId::from("job-404"),
        job_statuses: MemoryVendor::JOB_STATUSES.to_vec(),
        task_statuses: MemoryVendor::TASK_STATUSES.to_vec(),
        documented: documented(capability),
        reports_failures: capability.fields.task.contains(&"failure"),
        newer: difference::newer(capability),
        takes_an_order: true,
        job_examples: job_examples(vendor, capability),
        task_examples: task_examples(vendor, capability),
    }
}

fn documented(capability: &Capability) -> Documented {
    if capability.fields.task.contains(&"device.name") {
        return Documented {
            job_rows: &["name", "created_at", "target.model", "package.version"],
            jobs: &[
                "name",
                "description",
                "created_at",
                "target.model",
                "package.version",
            ],
            task_rows: &["progress", "created_at", "device.name"],
        };
    }
    Documented {
        job_rows: &["name", "created_at", "target.model"],
        jobs: &["name", "description", "created_at", "target.model"],
        task_rows: &["progress", "created_at"],
    }
}

fn job_examples(vendor: &MemoryVendor, capability: &Capability) -> Vec<Example> {
    let none = JobFilter::default;
    let filters = [
        JobFilter {
            outcome: vec![JobOutcome::Partial],
            ..none()
        },
        JobFilter {
            outcome: vec![JobOutcome::Succeeded, JobOutcome::Partial],
            ..none()
        },
        JobFilter {
            kind: Some(JobKind::Software),
            ..none()
        },
        JobFilter {
            package_id: Some(PackageId::from("package-1")),
            ..none()
        },
        JobFilter {
            product_id: Some(ProductId::from("product-2")),
            kind: Some(JobKind::Other),
            ..none()
        },
        JobFilter {
            device_id: Some(DeviceId::from("device-9")),
            ..none()
        },
        JobFilter {
            device_name: Some(DeviceName::from("name-9")),
            ..none()
        },
        JobFilter {
            device_type: Some("Gateway".to_owned()),
            ..none()
        },
        JobFilter {
            model: Some("M1".to_owned()),
            ..none()
        },
        JobFilter {
            device_type: Some("Gateway".to_owned()),
            product_id: Some(ProductId::from("product-0")),
            model: Some("M1".to_owned()),
            ..none()
        },
        JobFilter {
            manufacturer: Some("Example & Co".to_owned()),
            ..none()
        },
        JobFilter {
            package_id: Some(PackageId::from("no-such-package")),
            ..none()
        },
    ];
    let usable = filters
        .into_iter()
        .filter(|filter| capability.check_jobs(filter).is_ok());
    usable
        .map(|filter| {
            let jobs = vendor.jobs().iter();
            let jobs: BTreeSet<JobId> = jobs
                .filter(|job| vendor.job_matches(&filter, job))
                .map(|job| job.id.clone())
                .collect();
            Example { filter, jobs }
        })
        .collect()
}

fn task_examples(vendor: &MemoryVendor, capability: &Capability) -> Vec<TaskExample> {
    let names = |names: &[&str]| names.iter().copied().map(DeviceName::from).collect();
    let filters = [
        TaskFilter {
            device_names: names(&["name-3", "name-9", "name-404"]),
            ..TaskFilter::default()
        },
        TaskFilter {
            device_id: Some(DeviceId::from("device-9")),
            ..TaskFilter::default()
        },
    ];
    let mut examples = Vec::new();
    for filter in filters
        .into_iter()
        .filter(|filter| capability.check_tasks(filter).is_ok())
    {
        for job in vendor.jobs().iter().take(3) {
            let tasks = vendor.tasks(&job.id).iter();
            examples.push(TaskExample {
                job_id: job.id.clone(),
                tasks: tasks
                    .filter(|task| MemoryVendor::task_matches(&filter, task))
                    .map(|task| task.id.clone())
                    .collect(),
                filter: filter.clone(),
            });
        }
    }
    examples
}
