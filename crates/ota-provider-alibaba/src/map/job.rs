//! `QueryOTAJob` and rows of the job lists.

use std::collections::HashSet;

use ota_adapter::lenient::LenientScalar;
use ota_core::drift::DriftKind;
use ota_core::id::{JobId, PackageId, ProductId};
use ota_core::job::{
    Detail, Group, Job, JobStatus, Overwrite, Package, Policy, Schedule, ScheduleMode, Scope,
    Selection, Target,
};
use ota_core::vendor::VendorDetail;

use super::Source;
use super::reading::Reading;
use super::status::{job_status, job_type};
use crate::config::VENDOR;
use crate::wire::{OtaJob, SrcVersions, Tag, Tags};

/// Maps a job. `detail` tells whether the wire form was complete.
pub(crate) fn job(source: Source<'_>, wire: OtaJob, detail: Detail) -> Job {
    let mut reading = Reading::new(source, wire.other);
    let status_word = wire.job_status.text();
    let status = status_word
        .as_deref()
        .and_then(job_status)
        .unwrap_or_else(|| {
            reading.unknown_status("JobStatus");
            JobStatus::Unknown
        });
    let id = JobId::from(wire.job_id.text().unwrap_or_default());
    let mut job = Job::new(
        source.provider.clone(),
        id,
        status,
        detail,
        VendorDetail::default(),
    );
    if let Some((kind, purpose)) = reading.word("JobType", wire.job_type, job_type) {
        job.kind = Some(kind);
        job.purpose = Some(purpose);
    }
    job.description = reading.text("JobDesc", wire.job_desc);
    let product_id = reading
        .text("ProductKey", wire.product_key)
        .map(ProductId::from);
    job.package = some_package(Package {
        id: reading
            .text("FirmwareId", wire.firmware_id)
            .map(PackageId::from),
        name: reading.text("Name", wire.name),
        version: reading.text("DestVersion", wire.dest_version),
        product_id: product_id.clone(),
    });
    job.source_versions = source_versions(&mut reading, wire.src_versions);
    job.target = Target {
        selection: reading.word("SelectionType", wire.selection_type, selection),
        scope: reading.word("TargetSelection", wire.target_selection, scope),
        percentage: reading.percent("GrayPercent", wire.gray_percent),
        groups: group(
            reading.text("GroupId", wire.group_id),
            reading.text("GroupName", wire.group_name),
        ),
        product_id,
        ..Target::default()
    };
    let starts_at = reading.time("UtcScheduleTime", wire.utc_schedule_time);
    let ends_at = reading.time("UtcScheduleFinishTime", wire.utc_schedule_finish_time);
    job.schedule = Schedule {
        // The vendor tells the time of scheduled batches only; its absence is not a statement that a batch is immediate.
        mode: starts_at.map(|_| ScheduleMode::Scheduled),
        starts_at,
        ends_at,
    };
    job.policy = Policy {
        max_retries: reading.count("RetryCount", wire.retry_count),
        retry_interval_s: reading.minutes("RetryInterval", wire.retry_interval),
        timeout_s: reading.minutes("TimeoutInMinutes", wire.timeout_in_minutes),
        max_devices_per_minute: reading.count("MaximumPerMinute", wire.maximum_per_minute),
        requires_confirmation: reading.flag("NeedConfirm", wire.need_confirm),
        pushed: reading.flag("NeedPush", wire.need_push),
        overwrite: reading.word("OverwriteMode", wire.overwrite_mode, overwrite),
        download_protocol: reading.text("DownloadProtocol", wire.download_protocol),
    };
    job.tags = tags(&mut reading, wire.tags);
    job.created_at = reading.time("UtcCreate", wire.utc_create);
    job.updated_at = reading.time("UtcModified", wire.utc_modified);
    job.started_at = reading.time("UtcStartTime", wire.utc_start_time);
    job.ended_at = reading.time("UtcEndTime", wire.utc_end_time);
    reading.keep("DynamicMode", wire.dynamic_mode);
    reading.keep("MultiModuleMode", wire.multi_module_mode);
    job.vendor = VendorDetail {
        name: VENDOR,
        status: status_word,
        fields: reading.into_fields(),
    };
    job
}

fn some_package(package: Package) -> Option<Package> {
    (package != Package::default()).then_some(package)
}

fn source_versions(reading: &mut Reading<'_>, wire: SrcVersions) -> Vec<String> {
    match wire {
        SrcVersions::Wrapped { list } => list.0.iter().filter_map(LenientScalar::text).collect(),
        SrcVersions::Other(leaf) => {
            reading.odd("SrcVersions", leaf);
            Vec::new()
        }
    }
}

fn tags(reading: &mut Reading<'_>, wire: Tags) -> Vec<(String, String)> {
    match wire {
        Tags::Wrapped { list } => {
            let verbatim = verbatim(&list.0);
            let count = list.0.len();
            let tags: Vec<(String, String)> = list
                .0
                .into_iter()
                .filter_map(|tag| Some((tag.key.text()?, tag.value.text().unwrap_or_default())))
                .collect();
            let names: HashSet<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
            if names.len() < count {
                // A name twice, or none: as labels they cannot all be shown.
                reading.keep("Tags", verbatim);
            }
            tags
        }
        Tags::Other(leaf) => {
            reading.odd("Tags", leaf);
            Vec::new()
        }
    }
}

fn verbatim(tags: &[Tag]) -> LenientScalar {
    let tag = |tag: &Tag| serde_json::json!({"Key": tag.key.0, "Value": tag.value.0});
    LenientScalar(tags.iter().map(tag).collect())
}

fn group(id: Option<String>, name: Option<String>) -> Vec<Group> {
    match (id, name) {
        (None, None) => Vec::new(),
        (id, name) => vec![Group { id, name }],
    }
}

fn selection(word: &str) -> Option<Selection> {
    match word.to_ascii_uppercase().as_str() {
        "STATIC" => Some(Selection::Static),
        "DYNAMIC" => Some(Selection::Dynamic),
        _ => None,
    }
}

/// `GROUP` is documented for creating only, and still to be expected when reading.
fn scope(word: &str) -> Option<Scope> {
    match word.to_ascii_uppercase().as_str() {
        "ALL" => Some(Scope::All),
        "SPECIFIC" => Some(Scope::Devices),
        "GRAY" => Some(Scope::Percentage),
        "GROUP" => Some(Scope::Groups),
        _ => None,
    }
}

fn overwrite(word: &str) -> Option<Overwrite> {
    match word {
        "1" => Some(Overwrite::KeepPending),
        "2" => Some(Overwrite::ReplacePending),
        _ => None,
    }
}

impl Reading<'_> {
    /// Keeps a list that did not come in its documented wrapper.
    fn odd(&mut self, name: &str, leaf: LenientScalar) {
        if !leaf.is_absent() {
            self.observe(DriftKind::Value, name);
            self.keep(name, leaf);
        }
    }
}
