//! The fleet as rows of the vendor's API.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Config;
use super::vocabulary::{failure_text, task_status};
use super::wire::{
    FirmwareDetail, FirmwareFile, FirmwareRow, JobDetail, JobRow, NewerJobFields, SrcVersions, Tag,
    Tags, TaskRow,
};
use crate::fleet::{Fleet, FleetTruth, Job, JobTruth, Package, Phase, Scope, Stage, Stream, Task};
use crate::wire_text::iso_millis;

/// Builds rows for one moment.
pub(super) struct Rows<'a> {
    pub(super) config: &'a Config,
    pub(super) fleet: &'a Fleet,
    pub(super) age: i64,
}

impl Rows<'_> {
    /// `JobStatus` as this configuration spells it.
    pub(super) fn job_status(&self, job: &Job) -> &'static str {
        match job.phase(self.age) {
            Phase::Planned => "PLANNED",
            Phase::InProgress => "IN_PROGRESS",
            Phase::Completed if self.config.complete_spelling => "COMPLETE",
            Phase::Completed => "COMPLETED",
            Phase::Canceled => "CANCELED",
        }
    }

    /// `TaskStatus`; the oldest documents do not know CONFIRM.
    pub(super) fn task_status(&self, stage: Stage) -> &'static str {
        match stage {
            Stage::Confirm if self.config.old_edition => task_status(Stage::Queued),
            stage => task_status(stage),
        }
    }

    pub(super) fn job(&self, job: &Job) -> JobRow {
        let package = self.fleet.package_of(job);
        JobRow {
            job_id: job.id.clone(),
            firmware_id: package.id.clone(),
            product_key: self.fleet.product_of(package).id.clone(),
            job_status: self.job_status(job),
            job_type: self.job_type(job),
            selection_type: selection_type(job),
            target_selection: target_selection(job),
            tags: tags(job),
            utc_create: self.time(job.created),
            utc_modified: self.time(job.modified(self.age)),
            utc_start_time: self.started(job),
            utc_end_time: self.ended(job),
        }
    }

    pub(super) fn job_detail(&self, job: &Job) -> JobDetail {
        let row = self.job(job);
        let package = self.fleet.package_of(job);
        let (group_id, group_name) = match job.scope {
            Scope::Group { id, name } => (id, name),
            Scope::All | Scope::Specific | Scope::Gray(_) => ("", ""),
        };
        let newer = (!job.sparse && !self.config.old_edition).then_some(NewerJobFields {
            job_desc: job.description,
            download_protocol: job.protocol,
            group_id,
            group_name,
            need_push: job.need_push,
            need_confirm: job.need_confirm,
            multi_module_mode: job.multi_module,
        });
        JobDetail {
            job_id: row.job_id,
            firmware_id: row.firmware_id,
            product_key: row.product_key,
            dest_version: package.version.to_owned(),
            name: package.name.to_owned(),
            job_status: row.job_status,
            job_type: row.job_type,
            selection_type: row.selection_type,
            target_selection: row.target_selection,
            maximum_per_minute: job.maximum_per_minute,
            overwrite_mode: job.overwrite_mode,
            src_versions: SrcVersions {
                src_version: job.source_versions,
            },
            tags: row.tags,
            timeout_in_minutes: job.timeout_minutes,
            retry_count: job.retry.map(|(count, _)| count),
            retry_interval: job.retry.map(|(_, minutes)| minutes),
            dynamic_mode: job.dynamic_mode,
            gray_percent: match job.scope {
                Scope::Gray(percent) => Some(percent),
                Scope::All | Scope::Specific | Scope::Group { .. } => None,
            },
            utc_create: row.utc_create,
            utc_modified: row.utc_modified,
            utc_start_time: row.utc_start_time,
            utc_end_time: row.utc_end_time,
            utc_schedule_time: job.scheduled.then(|| self.time(job.start)),
            utc_schedule_finish_time: job
                .schedule_end
                .filter(|_| job.scheduled)
                .map(|end| self.time(end)),
            newer,
        }
    }

    pub(super) fn task(&self, job: &Job, task: &Task) -> TaskRow {
        let package = self.fleet.package_of(job);
        let product = self.fleet.product_of(package);
        let versions = job.source_versions;
        let src_version = versions
            .get(task.index as usize % versions.len().max(1))
            .copied()
            .unwrap_or("1.0.0");
        TaskRow {
            task_id: self.fleet.task_id(job, task.index),
            job_id: job.id.clone(),
            firmware_id: package.id.clone(),
            product_key: product.id.clone(),
            product_name: product.name,
            device_name: self.fleet.device_name(job, task.index),
            iot_id: self.fleet.device_id(job, task.index),
            src_version,
            dest_version: package.version,
            task_status: self.task_status(task.stage),
            progress: format!("{}.{:02}", task.progress / 100, task.progress % 100),
            task_desc: match task.stage {
                Stage::Failed => task.failure.map_or("", failure_text),
                Stage::Canceled => "job canceled",
                _ => "",
            },
            timeout: (!self.config.old_edition)
                .then(|| job.timeout_minutes.map(|minutes| minutes.to_string())),
            utc_create: self.time(task.created),
            utc_modified: self.time(task.modified),
        }
    }

    pub(super) fn firmware(&self, package: &Package) -> FirmwareRow {
        let product = self.fleet.product_of(package);
        let single = package.files == 1;
        FirmwareRow {
            firmware_id: package.id.clone(),
            firmware_name: package.name,
            firmware_desc: package.description,
            product_key: product.id.clone(),
            product_name: product.name,
            module_name: package.module,
            dest_version: package.version,
            src_version: package.from_version,
            package_type: u8::from(package.from_version.is_some()),
            // -1 is a value of QueryOTAFirmware only.
            status: package.status.max(0),
            firmware_size: single.then_some(package.size),
            firmware_sign: single.then(|| self.digest(package, 0)),
            sign_method: "MD5",
            utc_create: self.time(package.created),
            utc_modified: self.time(package.created + 60_000),
        }
    }

    pub(super) fn firmware_detail(&self, package: &Package) -> FirmwareDetail {
        let single = package.files == 1;
        let files = if single { 0 } else { package.files };
        let url = |file: u32| {
            format!(
                "https://iotx-ota.oss-cn-shanghai.aliyuncs.com/ota/{}/{file}.bin?Expires=1557127390&OSSAccessKeyId=demo&Signature={}",
                package.id,
                self.digest(package, 100 + u64::from(file))
            )
        };
        FirmwareDetail {
            row: FirmwareRow {
                status: package.status,
                ..self.firmware(package)
            },
            firmware_url: single.then(|| url(0)),
            udi: "{}",
            verify_progress: match package.status {
                1 => 100,
                2 => 40,
                _ => 0,
            },
            multi_files: (1..=files)
                .map(|file| FirmwareFile {
                    name: format!("part-{file}.bin"),
                    url: url(file),
                    size: package.size / u64::from(files),
                    file_md5: self.digest(package, u64::from(file)),
                    sign_value: self.digest(package, u64::from(file)),
                })
                .collect(),
        }
    }

    /// Something that looks like an MD5 digest.
    fn digest(&self, package: &Package, number: u64) -> String {
        let place = package.size;
        Stream::of(self.fleet.seed, &[0xD16E, place, number]).hex(32)
    }

    fn job_type(&self, job: &Job) -> &'static str {
        match (job.verify, self.config.verfiy_spelling) {
            (false, _) => "UPGRADE_FIRMWARE",
            (true, false) => "VERIFY_FIRMWARE",
            (true, true) => "VERFIY_FIRMWARE",
        }
    }

    fn started(&self, job: &Job) -> Option<String> {
        (self.age >= job.start).then(|| self.time(job.start))
    }

    fn ended(&self, job: &Job) -> Option<String> {
        let end = job.end()?;
        (job.early_end_time || self.age >= end).then(|| self.time(end))
    }

    fn time(&self, millis: i64) -> String {
        iso_millis(self.fleet.time(millis))
    }
}

fn selection_type(job: &Job) -> &'static str {
    if job.dynamic_mode.is_some() {
        "DYNAMIC"
    } else {
        "STATIC"
    }
}

/// Dynamic batches always say ALL.
fn target_selection(job: &Job) -> &'static str {
    match job.scope {
        _ if job.dynamic_mode.is_some() => "ALL",
        Scope::All => "ALL",
        Scope::Specific => "SPECIFIC",
        Scope::Gray(_) => "GRAY",
        Scope::Group { .. } => "GROUP",
    }
}

fn tags(job: &Job) -> Option<Tags> {
    (!job.tags.is_empty()).then(|| Tags {
        tags: job
            .tags
            .iter()
            .map(|(key, value)| Tag { key, value })
            .collect(),
    })
}

/// The fleet with the vendor's status values.
pub(super) fn truth(config: &Config, fleet: &Arc<Fleet>, age: i64) -> FleetTruth {
    let rows = Rows { config, fleet, age };
    let jobs = fleet
        .jobs(age)
        .into_iter()
        .map(|job| {
            let package = fleet.package_of(job);
            let tally = job.tally(fleet.seed, age);
            let mut tasks = BTreeMap::new();
            for stage in Stage::ALL {
                *tasks.entry(rows.task_status(stage).to_owned()).or_default() += tally.count(stage);
            }
            JobTruth {
                id: job.id.clone(),
                package_id: package.id.clone(),
                version: package.version.to_owned(),
                product_key: fleet.product_of(package).id.clone(),
                status: rows.job_status(job).to_owned(),
                total: u64::from(job.tasks),
                tasks,
                failed: tally.count(Stage::Failed),
                timed_out: tally.timed_out,
            }
        })
        .collect();
    FleetTruth::new(Arc::clone(fleet), age, jobs)
}
