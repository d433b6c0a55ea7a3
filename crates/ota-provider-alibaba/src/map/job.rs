//! `QueryOTAJob` and rows of the job lists.

use std::collections::HashSet;

use ota_adapter::{FieldReader, LenientObject, LenientScalar, Source};
use ota_core::id::{JobId, PackageId, ProductId};
use ota_core::job::{
    Detail, Group, Job, JobStatus, Overwrite, Package, Policy, Schedule, ScheduleMode, Scope,
    Selection, Target,
};
use ota_core::vendor::VendorDetail;

use super::TIME;
use super::status::{job_status, job_type};
use crate::wire::{OtaJob, SrcVersions, Tag, Tags};

/// Maps a job. `detail` says whether the wire form was complete.
pub(crate) fn job(source: Source<'_>, wire: OtaJob, detail: Detail) -> Job {
    let mut row = source.row();
    let id = row.identifier("JobId", wire.job_id).unwrap_or_default();
    let status = row.status("JobStatus", wire.job_status, job_status);
    let mut job = Job::new(
        source.provider.clone(),
        JobId::from(id),
        status.unwrap_or(JobStatus::Unknown),
        detail,
        VendorDetail::default(),
    );
    if let Some((kind, purpose)) = row.value("JobType", wire.job_type, job_type) {
        job.kind = Some(kind);
        job.purpose = Some(purpose);
    }
    job.description = row.text("JobDesc", wire.job_desc);
    let product_id = row
        .identifier("ProductKey", wire.product_key)
        .map(ProductId::from);
    job.package = some_package(Package {
        id: row
            .identifier("FirmwareId", wire.firmware_id)
            .map(PackageId::from),
        name: row.text("Name", wire.name),
        version: row.text("DestVersion", wire.dest_version),
        product_id: product_id.clone(),
    });
    job.source_versions = source_versions(&mut row, wire.src_versions);
    job.target = Target {
        selection: row.value("SelectionType", wire.selection_type, selection),
        scope: row.value("TargetSelection", wire.target_selection, scope),
        percentage: row.percent("GrayPercent", wire.gray_percent),
        groups: group(
            row.identifier("GroupId", wire.group_id),
            row.text("GroupName", wire.group_name),
        ),
        product_id,
        ..Target::default()
    };
    let starts_at = row.time("UtcScheduleTime", wire.utc_schedule_time, TIME);
    let ends_at = row.time("UtcScheduleFinishTime", wire.utc_schedule_finish_time, TIME);
    job.schedule = Schedule {
        // The vendor reports the time of scheduled batches only; its absence is not a statement that a batch is immediate.
        mode: starts_at.map(|_| ScheduleMode::Scheduled),
        starts_at,
        ends_at,
    };
    job.policy = Policy {
        max_retries: row.count("RetryCount", wire.retry_count),
        retry_interval_s: row.minutes("RetryInterval", wire.retry_interval),
        timeout_s: row.minutes("TimeoutInMinutes", wire.timeout_in_minutes),
        max_devices_per_minute: row.count("MaximumPerMinute", wire.maximum_per_minute),
        requires_confirmation: row.flag("NeedConfirm", wire.need_confirm),
        pushed: row.flag("NeedPush", wire.need_push),
        overwrite: row.value("OverwriteMode", wire.overwrite_mode, overwrite),
        download_protocol: row.text("DownloadProtocol", wire.download_protocol),
    };
    job.tags = tags(&mut row, wire.tags);
    job.created_at = row.time("UtcCreate", wire.utc_create, TIME);
    job.updated_at = row.time("UtcModified", wire.utc_modified, TIME);
    job.started_at = row.time("UtcStartTime", wire.utc_start_time, TIME);
    job.ended_at = row.time("UtcEndTime", wire.utc_end_time, TIME);
    row.keep("DynamicMode", wire.dynamic_mode);
    row.keep("MultiModuleMode", wire.multi_module_mode);
    row.unknown(wire.other);
    job.vendor = row.finish();
    job
}

fn some_package(package: Package) -> Option<Package> {
    (package != Package::default()).then_some(package)
}

fn source_versions(row: &mut FieldReader<'_>, wire: LenientObject<SrcVersions>) -> Vec<String> {
    let texts = |_: &mut FieldReader<'_>, versions: SrcVersions| {
        let versions = versions.list.0.iter();
        versions.filter_map(LenientScalar::text).collect()
    };
    row.object("SrcVersions", wire, texts).unwrap_or_default()
}

fn tags(row: &mut FieldReader<'_>, wire: LenientObject<Tags>) -> Vec<(String, String)> {
    let LenientObject::Object(Tags { list }) = wire else {
        return row
            .object("Tags", wire, |_, _| Vec::new())
            .unwrap_or_default();
    };
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
        row.keep("Tags", verbatim);
    }
    tags
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

fn selection(value: &str) -> Option<Selection> {
    match value.to_ascii_uppercase().as_str() {
        "STATIC" => Some(Selection::Static),
        "DYNAMIC" => Some(Selection::Dynamic),
        _ => None,
    }
}

/// `GROUP` is documented for creating jobs only, but a job that was created with it may be returned with it.
fn scope(value: &str) -> Option<Scope> {
    match value.to_ascii_uppercase().as_str() {
        "ALL" => Some(Scope::All),
        "SPECIFIC" => Some(Scope::Devices),
        "GRAY" => Some(Scope::Percentage),
        "GROUP" => Some(Scope::Groups),
        _ => None,
    }
}

fn overwrite(value: &str) -> Option<Overwrite> {
    match value {
        "1" => Some(Overwrite::KeepPending),
        "2" => Some(Overwrite::ReplacePending),
        _ => None,
    }
}
