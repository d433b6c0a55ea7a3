//! Examples: values of the types that are served.

use ota_api::fleet::SourceState;
use ota_api::job as api_job;
use ota_api::page::{JobPage, PageEnd, PageProblem, TaskPage};
use ota_api::problem::{Code, Failure, VendorProblem};
use ota_api::provider::{
    Capabilities, Health, HealthProblem, Provider, ProviderList, ProviderSync, Quota,
};
use ota_api::task as api_task;
use ota_core::adapter::Descriptor;
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, ProviderName, TaskId};
use ota_core::job::{
    Detail, Group, Job, JobKind, JobPurpose, JobStats, JobStatus, Overwrite, Package, Policy,
    Schedule, ScheduleMode, Scope, Selection, Target,
};
use ota_core::task::{Device, Failure as TaskFailure, Task, TaskStatus};
use ota_core::vendor::VendorDetail;
use serde_json::{Value, json};
use time::macros::datetime;

use crate::vendors::ADAPTERS;

mod fleet;

const AS_OF: &str = "2026-11-23T08:15:30Z";
/// A job that the sandbox has at every start, so that "Try it out" returns a result.
const JOB_ID: &str = "JbJuHf4v9VIOAu3jgBuvIM0200";

/// The vendor whose provider the examples show: the first one.
fn vendor() -> &'static Descriptor {
    ADAPTERS[0].descriptor()
}

/// Returns the example of a parameter that a request must have. Tools fill it in: an example of a filter would be a filter that nobody asked for.
pub(super) fn of_parameter(place: &str, name: &str) -> Option<Value> {
    Some(match (place, name) {
        ("path", "provider") => json!(vendor().provider),
        ("path", "job_id") => json!(JOB_ID),
        ("query", "group_by") => json!(["provider", "status"]),
        _ => return None,
    })
}

/// Returns the example of a schema.
pub(super) fn of_schema(name: &str) -> Option<Value> {
    let job = job();
    let value = match name {
        "Job" => json!(job),
        "JobPage" => json!(JobPage {
            items: vec![job],
            end: end(Some(12))
        }),
        "PageProblem" => json!(page_problem()),
        "PageEnd" => json!(end(Some(12))),
        "JobStats" => json!(api_job::JobStats {
            counts: counts(),
            as_of: Some(AS_OF.to_owned()),
            stale: false
        }),
        "JobCounts" => json!(counts()),
        "Package" => json!(job.package),
        "Target" => json!(job.target),
        "Group" => json!(api_job::Group {
            id: Some("g-17".to_owned()),
            name: Some("north hall".to_owned())
        }),
        "Schedule" => json!(job.schedule),
        "Policy" => json!(job.policy),
        "Vendor" => json!(job.vendor),
        "Task" => json!(task()),
        "TaskPage" => json!(TaskPage {
            items: vec![task()],
            end: end(Some(137))
        }),
        "Device" => json!(task().device),
        "FleetJob" => json!(fleet::job(job, counts())),
        "FleetJobPage" => json!(fleet::job_page(job, counts())),
        "JobMirror" => json!(fleet::job(job, counts()).mirror),
        "FleetTask" => json!(fleet::task(task(), &job)),
        "FleetTaskPage" => json!(fleet::task_page(task(), &job)),
        "TaskJob" => json!(fleet::task(task(), &job).job),
        "TaskMirror" => json!(fleet::task(task(), &job).mirror),
        "FleetPageEnd" => json!(fleet::end(12)),
        "Sources" => json!(fleet::sources()),
        "Source" => json!(fleet::source()),
        "GroupCounts" => json!(fleet::groups()),
        "CountedGroup" => json!(fleet::groups().groups[0]),
        "JobHistory" => json!(fleet::history(counts())),
        "HistoryPoint" => json!(fleet::history(counts()).points[0]),
        "SyncProgress" => json!(fleet::progress()),
        "MirrorRows" => json!(fleet::progress().rows),
        "Provider" => json!(provider()),
        "ProviderList" => json!(ProviderList {
            items: vec![provider()]
        }),
        "Capabilities" => json!(provider().capabilities),
        "StatsCapability" => json!(provider().capabilities.job_stats),
        "DocumentedQuota" => json!(provider().capabilities.documented_quota),
        "ProviderSync" => json!(provider().sync),
        "Quota" => json!(provider().quota),
        "Health" => json!(health()),
        "HealthProblem" => json!(health().problem),
        "Problem" => problem(Code::ProviderThrottled),
        "VendorProblem" => json!(vendor_problem()),
        _ => return None,
    };
    Some(value)
}

/// Returns the example of a problem.
pub(super) fn problem(code: Code) -> Value {
    let field = match code {
        Code::InvalidArgument => Some("pagesize"),
        Code::InvalidCursor => Some("cursor"),
        Code::NotFound => Some("job_id"),
        Code::UnsupportedByProvider => Some("model"),
        _ => None,
    };
    let vendor_says = match code {
        Code::ProviderAuth => Some(VendorProblem {
            code: Some("Forbidden.RAM".to_owned()),
            message: Some("User not authorized to operate on the specified resource.".to_owned()),
            ..vendor_problem()
        }),
        Code::ProviderThrottled => Some(vendor_problem()),
        _ => None,
    };
    let failure = Failure::new(code, detail(code));
    of_failure(Failure {
        field: field.map(str::to_owned),
        provider: is_of_provider(code).then(|| vendor().provider.to_owned()),
        vendor: vendor_says,
        retry_after_s: match code {
            Code::RateLimited => Some(3),
            _ => failure.retry_after_s,
        },
        ..failure
    })
}

/// Whether a problem names the provider that it is about.
fn is_of_provider(code: Code) -> bool {
    let about_what_it_has = matches!(
        code,
        Code::NotFound | Code::Conflict | Code::UnsupportedByProvider
    );
    about_what_it_has || code.as_str().starts_with("provider_")
}

/// The example text of a problem, by its code.
fn detail(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => {
            "there is no query parameter `pagesize`; did you mean `page_size`?"
        }
        Code::InvalidCursor => "the cursor has expired; start again without `cursor`",
        Code::Unauthenticated => "the token has expired; get a new one",
        Code::Forbidden => "the token does not have the scope `ota:admin`",
        Code::NotFound => "this provider has no job with this identifier",
        Code::MethodNotAllowed => "method not allowed here; see the header `Allow`",
        Code::NotAcceptable => {
            "`Accept-Encoding` excludes every encoding of the response: identity, gzip and br"
        }
        Code::Conflict => {
            "this provider is left out of the mirror; see `mirror` in the gateway's configuration"
        }
        Code::PayloadTooLarge => "the body is larger than 65536 bytes; no operation takes one",
        Code::MisdirectedRequest => {
            "access control is disabled, so only requests to localhost or a loopback address are answered"
        }
        Code::UnsupportedByProvider => {
            "this provider cannot filter by `model`; see its `capabilities` in /v1/providers"
        }
        Code::Internal => {
            "internal error; the gateway's log has the details under this request identifier"
        }
        Code::ProviderAuth => {
            "the vendor account of this provider lacks the permission for this operation"
        }
        Code::ProviderRejected => "the vendor account is overdue",
        Code::ProviderMisconfigured => {
            "the vendor does not find the instance; check `instance_id` (required if the instance has an ID) and `region`"
        }
        Code::ProviderProtocol => "the vendor's answer cannot be read",
        Code::ProviderThrottled => "the vendor asked to slow down",
        Code::ProviderUnavailable => "the vendor cannot be reached",
        Code::ProviderTimeout => "the vendor did not answer within 8000 ms",
        Code::NothingCached => {
            "nothing is cached for this request; repeat it without `Cache-Control: only-if-cached`"
        }
        Code::UriTooLong => "path and query are longer than 49152 bytes",
        Code::HeadersTooLarge => {
            "the headers are larger than this gateway accepts; an ordinary request has a few hundred bytes"
        }
        Code::RequestTimeout => "the request did not arrive within 10000 ms",
        Code::RateLimited => {
            "you have sent more than 600 requests in 60 s; wait, and poll less often"
        }
        Code::KeysUnavailable => {
            "the keys that tokens are verified with are not available at the moment; try again"
        }
        Code::Unavailable => "the connection limit is reached; try again later",
        Code::MirrorUnavailable => {
            "the database of the mirror cannot be used at the moment; what one provider is asked for is still answered"
        }
    }
}

/// Returns the example of a failure.
fn of_failure(failure: Failure) -> Value {
    let problem = failure.into_problem("7d5f0a3c9b1e4f6288aa0c1d2e3f4a5b");
    serde_json::to_value(problem).unwrap_or_default()
}

fn vendor_problem() -> VendorProblem {
    VendorProblem {
        code: Some("Throttling.User".to_owned()),
        message: Some("Request was denied due to user flow control.".to_owned()),
        request_id: Some("4F68A43C-D9DD-4576-868C-7E2FD9F4393E".to_owned()),
    }
}

fn end(total: Option<u64>) -> PageEnd {
    PageEnd {
        next_cursor: Some("AQAliBw3p0m5oXJ0Y2hYdzEuMy4yNTA".to_owned()),
        total,
        as_of: Some(AS_OF.to_owned()),
        stale: false,
        truncated: false,
        problems: Vec::new(),
    }
}

fn page_problem() -> PageProblem {
    PageProblem {
        package_id: "nx3p1q6r1vBbTzwQ5b4y000100".to_owned(),
        product_id: None,
        code: Code::ProviderRejected.as_str().to_owned(),
        detail: "the vendor refused the request".to_owned(),
        vendor: Some(vendor_problem()),
    }
}

fn provider_name() -> ProviderName {
    ProviderName::from(vendor().provider)
}

fn job() -> api_job::Job {
    let fields = json!({"MultiModuleMode": false});
    let vendor = VendorDetail {
        name: vendor().name,
        status: Some("IN_PROGRESS".to_owned()),
        fields: fields.as_object().cloned().unwrap_or_default(),
    };
    let mut job = Job::new(
        provider_name(),
        JobId::from(JOB_ID),
        JobStatus::InProgress,
        Detail::Full,
        vendor,
    );
    job.kind = Some(JobKind::Firmware);
    job.purpose = Some(JobPurpose::Upgrade);
    job.description = Some("autumn release".to_owned());
    let product_id = Some(ProductId::from("a19mzPZKq2r"));
    job.package = Some(Package {
        id: Some(PackageId::from("UfuxnwygsuSkVE0VCN5p0100")),
        name: Some("thermostat".to_owned()),
        version: Some("1.0.1".to_owned()),
        product_id: product_id.clone(),
    });
    job.source_versions = vec!["1.0.0".to_owned()];
    job.target = Target {
        selection: Some(Selection::Static),
        scope: Some(Scope::Groups),
        groups: vec![Group {
            id: Some("g-17".to_owned()),
            name: Some("north hall".to_owned()),
        }],
        product_id,
        ..Target::default()
    };
    job.schedule = Schedule {
        mode: Some(ScheduleMode::Scheduled),
        starts_at: Some(datetime!(2026-11-23 02:00 UTC)),
        ends_at: Some(datetime!(2026-11-24 02:00 UTC)),
    };
    job.policy = Policy {
        max_retries: Some(1),
        retry_interval_s: Some(3600),
        timeout_s: Some(86_400),
        max_devices_per_minute: Some(1000),
        requires_confirmation: Some(false),
        pushed: Some(true),
        overwrite: Some(Overwrite::KeepPending),
        download_protocol: Some("HTTPS".to_owned()),
    };
    job.tags = vec![("release".to_owned(), "autumn".to_owned())];
    job.created_at = Some(datetime!(2026-11-22 16:43:10 UTC));
    job.updated_at = Some(datetime!(2026-11-23 02:00:04 UTC));
    job.started_at = Some(datetime!(2026-11-23 02:00:00 UTC));
    job.into()
}

fn counts() -> api_job::JobCounts {
    JobStats {
        not_started: None,
        total: Some(137),
        pending: Some(20),
        in_progress: Some(9),
        succeeded: Some(101),
        failed: Some(5),
        canceled: Some(2),
        skipped: None,
        unknown: Some(0),
        timed_out: None,
        outcome: None,
    }
    .into()
}

fn task() -> api_task::Task {
    let vendor = VendorDetail {
        name: vendor().name,
        status: Some("FAILED".to_owned()),
        ..VendorDetail::default()
    };
    let mut task = Task::new(
        provider_name(),
        JobId::from(JOB_ID),
        TaskId::from("y3tOmCDNgpR8F9jnVEzC0100"),
        TaskStatus::Failed,
        vendor,
    );
    task.device = Device {
        id: Some(DeviceId::from("SR8FiTu1R9tlUR2V1bmi00105")),
        name: Some(DeviceName::from("thermostat-0042")),
        product_id: Some(ProductId::from("a19mzPZKq2r")),
        product_name: Some("Thermostat".to_owned()),
    };
    task.progress_percent = Some(0.0);
    task.package_id = Some(PackageId::from("UfuxnwygsuSkVE0VCN5p0100"));
    task.from_version = Some("1.0.0".to_owned());
    task.to_version = Some("1.0.1".to_owned());
    task.message = Some("report version is not conform".to_owned());
    task.failure = Some(TaskFailure::VersionMismatch);
    task.timeout_s = Some(86_400);
    task.created_at = Some(datetime!(2026-11-23 02:00:01 UTC));
    task.updated_at = Some(datetime!(2026-11-23 02:07:44 UTC));
    task.into()
}

fn provider() -> Provider {
    let vendor = vendor();
    let capability = (vendor.capability)();
    Provider {
        name: vendor.provider.to_owned(),
        vendor: vendor.name.to_owned(),
        endpoint: vendor.example_of("endpoint").unwrap_or_default(),
        capabilities: Capabilities::from(&capability),
        quota: Quota {
            limit: vendor.default_calls,
            window_s: capability.quota.window_s,
            remaining: None,
        },
        health: Health {
            state: "ok".to_owned(),
            checked_at: Some(AS_OF.to_owned()),
            problem: None,
        },
        sync: ProviderSync {
            state: SourceState::Current.to_string(),
            problem: None,
        },
        holder: true,
    }
}

fn health() -> Health {
    Health {
        state: "down".to_owned(),
        checked_at: Some(AS_OF.to_owned()),
        problem: Some(HealthProblem {
            code: Code::ProviderAuth.as_str().to_owned(),
            detail: "the AccessKey does not exist at the vendor, or it is disabled".to_owned(),
        }),
    }
}
