//! The fleet as rows of the vendor's API.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Config;
use super::vocabulary::{SUB_STATUSES, failure_text};
use super::wire::{
    ExtendPara, OperateDevices, OperatePolicy, OperationInfo, OperationStaResult, PackageInfo,
    SubOperationInfo,
};
use crate::fleet::{Fleet, FleetTruth, Job, JobTruth, Package, Phase, Scope, Stage, Tally, Task};
use crate::wire_text::compact;

/// Devices that `targets.devices` can name.
const MAX_DEVICES: u32 = 256;

/// Builds rows for one moment.
pub(super) struct Rows<'a> {
    pub(super) config: &'a Config,
    pub(super) fleet: &'a Fleet,
    pub(super) age: i64,
}

impl Rows<'_> {
    pub(super) fn tally(&self, job: &Job) -> Tally {
        job.tally(self.fleet.seed, self.age)
    }

    /// Status as filters spell it: a finished task has failed if one of its devices has.
    pub(super) fn status(&self, job: &Job, tally: &Tally) -> &'static str {
        match job.phase(self.age) {
            Phase::Planned => "wait",
            Phase::InProgress => "processing",
            Phase::Completed if tally.count(Stage::Failed) > 0 => "failed",
            Phase::Completed => "success",
            Phase::Canceled => "stop",
        }
    }

    /// Status as answers spell it.
    pub(super) fn shown(&self, status: &str) -> String {
        match (self.config.uppercase_status, status) {
            (false, _) => status.to_owned(),
            (true, "failed") => "FAIL".to_owned(),
            (true, _) => status.to_ascii_uppercase(),
        }
    }

    pub(super) fn operation(&self, job: &Job) -> OperationInfo {
        let tally = self.tally(job);
        let package = self.fleet.package_of(job);
        let end = job.end().filter(|end| self.age >= *end);
        OperationInfo {
            operation_id: job.id.clone(),
            create_time: self.time(job.created),
            start_time: (self.age >= job.start).then(|| self.time(job.start)),
            stop_time: end.map(|end| self.time(end)),
            operate_type: operate_type(package),
            targets: self.targets(job),
            policy: self.policy(job),
            status: self.shown(self.status(job, &tally)),
            sta_result: self.statistics(job, &tally),
            extend_para: (!job.sparse).then_some(ExtendPara {
                file_version: package.version,
            }),
        }
    }

    fn targets(&self, job: &Job) -> OperateDevices {
        let product = self.fleet.product_of(self.fleet.package_of(job));
        let group = match job.scope {
            Scope::Group { name, .. } => Some(name),
            Scope::Specific if job.tasks <= MAX_DEVICES => None,
            Scope::All | Scope::Gray(_) | Scope::Specific => Some("all-devices"),
        };
        match group {
            Some(group) => OperateDevices {
                device_groups: Some(vec![group]),
                device_type: Some(product.device_type),
                model: Some(product.model),
                manufacturer_name: Some(product.manufacturer),
                devices: None,
            },
            None => OperateDevices {
                device_groups: None,
                device_type: None,
                model: None,
                manufacturer_name: None,
                devices: Some(
                    (0..job.tasks)
                        .map(|index| self.fleet.device_id(job, index))
                        .collect(),
                ),
            },
        }
    }

    /// `null` for tasks created without one, as in the vendor's own example.
    fn policy(&self, job: &Job) -> Option<OperatePolicy> {
        let execute_type = if job.scheduled {
            "custom"
        } else if job.when_online {
            "device_online"
        } else if job.retry.is_some() || job.verify {
            "now"
        } else {
            return None;
        };
        let end = job.schedule_end.unwrap_or(job.start + job.span);
        Some(OperatePolicy {
            execute_type,
            start_time: job.scheduled.then(|| self.time(job.start)),
            end_time: job.scheduled.then(|| self.time(end)),
            retry_type: job.retry.is_some(),
            retry_times: job.retry.map(|(count, _)| count),
        })
    }

    fn statistics(&self, job: &Job, tally: &Tally) -> OperationStaResult {
        let count = |word: &str| -> u64 {
            SUB_STATUSES
                .iter()
                .filter(|(status, _)| *status == word)
                .flat_map(|(_, stages)| stages.iter())
                .map(|stage| tally.count(*stage))
                .sum()
        };
        let fail = count("fail");
        OperationStaResult {
            total: u64::from(job.tasks),
            wait: count("wait"),
            processing: count("processing"),
            success: count("success"),
            fail: if self.config.timeout_in_fail {
                fail
            } else {
                fail - tally.timed_out
            },
            stop: count("stop"),
            timeout: tally.timed_out,
        }
    }

    pub(super) fn sub_operation(&self, job: &Job, task: &Task) -> SubOperationInfo {
        SubOperationInfo {
            sub_operation_id: self.fleet.task_id(job, task.index),
            create_time: self.time(task.created),
            start_time: task.started.map(|start| self.time(start)),
            stop_time: task.ended.map(|end| self.time(end)),
            operate_type: operate_type(self.fleet.package_of(job)),
            device_id: self.fleet.device_id(job, task.index),
            status: self.shown(sub_status(task.stage)),
            detail_info: match task.stage {
                Stage::Confirm | Stage::Queued | Stage::Notified => "Waiting to be executed",
                Stage::InProgress => "Waiting for device downloaded package",
                Stage::Succeeded => "Success",
                Stage::Failed => task.failure.map_or("", failure_text),
                Stage::Canceled => "Stopped",
            },
            extend_info: None,
        }
    }

    pub(super) fn package(&self, package: &Package) -> PackageInfo {
        let product = self.fleet.product_of(package);
        let created = self.fleet.time(package.created);
        PackageInfo {
            file_id: package.id.clone(),
            name: package.name,
            version: package.version,
            file_type: file_type(package),
            device_type: product.device_type,
            model: product.model,
            manufacturer_name: product.manufacturer,
            protocol_type: if package.software { "CoAP" } else { "LWM2M" },
            description: package.description,
            date: format!(
                "{}-{}-{}",
                created.year(),
                u8::from(created.month()),
                created.day()
            ),
            upload_time: compact(created),
        }
    }

    fn time(&self, millis: i64) -> String {
        compact(self.fleet.time(millis))
    }
}

pub(super) fn sub_status(stage: Stage) -> &'static str {
    SUB_STATUSES
        .iter()
        .find(|(_, stages)| stages.contains(&stage))
        .map_or("wait", |(status, _)| status)
}

pub(super) fn operate_type(package: &Package) -> &'static str {
    if package.software {
        "software_upgrade"
    } else {
        "firmware_upgrade"
    }
}

pub(super) fn file_type(package: &Package) -> &'static str {
    if package.software {
        "softwarePackage"
    } else {
        "firmwarePackage"
    }
}

/// The fleet with the vendor's status values.
pub(super) fn truth(config: &Config, fleet: &Arc<Fleet>, age: i64) -> FleetTruth {
    let rows = Rows { config, fleet, age };
    let jobs = fleet
        .jobs(age)
        .into_iter()
        .map(|job| {
            let package = fleet.package_of(job);
            let tally = rows.tally(job);
            let tasks: BTreeMap<String, u64> = SUB_STATUSES
                .iter()
                .map(|(status, stages)| {
                    let count = stages.iter().map(|stage| tally.count(*stage)).sum();
                    (rows.shown(status), count)
                })
                .collect();
            JobTruth {
                id: job.id.clone(),
                package_id: package.id.clone(),
                version: package.version.to_owned(),
                product_key: fleet.product_of(package).device_type.to_owned(),
                status: rows.shown(rows.status(job, &tally)),
                total: u64::from(job.tasks),
                tasks,
                failed: tally.count(Stage::Failed),
                timed_out: tally.timed_out,
            }
        })
        .collect();
    FleetTruth::new(Arc::clone(fleet), age, jobs)
}
