//! The neutral job: one firmware update of many devices.

use time::OffsetDateTime;

use crate::id::{DeviceId, JobId, PackageId, ProductId, ProviderName};
use crate::open_enum::open_enum;
use crate::vendor::VendorDetail;

open_enum!(
    /// Where a job is in its life.
    ///
    /// A finished status may still change: a canceled dynamic batch can have running tasks, and a failed task can be retried.
    JobStatus {
        /// Created, not started.
        Pending = "pending",
        /// Running.
        InProgress = "in_progress",
        /// Paused by a user.
        Paused = "paused",
        /// Being canceled.
        Canceling = "canceling",
        /// Finished; see [`JobOutcome`].
        Completed = "completed",
        /// Canceled before its end.
        Canceled = "canceled",
        /// A status value of the vendor that this version does not know.
        Unknown = "unknown",
    }
);

impl JobStatus {
    /// Returns whether no more devices can be added to the job: only then do the counts of its tasks prove the outcome.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Completed | Self::Canceled => true,
            Self::Pending | Self::InProgress | Self::Paused | Self::Canceling | Self::Unknown => {
                false
            }
        }
    }
}

open_enum!(
    /// How a finished job ended; present only if the vendor reports it or the counts prove it.
    JobOutcome {
        /// Every device succeeded.
        Succeeded = "succeeded",
        /// No device succeeded.
        Failed = "failed",
        /// Some devices succeeded, some did not.
        Partial = "partial",
    }
);

open_enum!(
    /// What a job installs.
    JobKind {
        /// Firmware of the device or of one of its modules.
        Firmware = "firmware",
        /// Application software.
        Software = "software",
        /// Anything else.
        Other = "other",
    }
);

open_enum!(
    /// What a job is for.
    JobPurpose {
        /// Rolls a version out.
        Upgrade = "upgrade",
        /// Tries a version on a few devices first.
        Verify = "verify",
    }
);

open_enum!(
    /// Whether the set of devices is fixed when the job is created.
    Selection {
        /// Fixed.
        Static = "static",
        /// Devices that match later are added.
        Dynamic = "dynamic",
    }
);

open_enum!(
    /// How the devices of a job were chosen.
    Scope {
        /// All devices of the product.
        All = "all",
        /// Devices that are listed individually.
        Devices = "devices",
        /// Device groups.
        Groups = "groups",
        /// A share of the devices.
        Percentage = "percentage",
    }
);

open_enum!(
    /// When the devices of a job are notified.
    ScheduleMode {
        /// At once.
        Immediate = "immediate",
        /// When a device comes online.
        WhenOnline = "when_online",
        /// At a set time.
        Scheduled = "scheduled",
    }
);

open_enum!(
    /// What happens to a device's task of an earlier job.
    Overwrite {
        /// The waiting task stays.
        KeepPending = "keep_pending",
        /// The waiting task is replaced.
        ReplacePending = "replace_pending",
    }
);

open_enum!(
    /// How complete a job is.
    Detail {
        /// A row of a vendor list that leaves fields out.
        Summary = "summary",
        /// Everything that the vendor reports about the job.
        Full = "full",
    }
);

/// One firmware update of many devices. Fields that the vendor did not report are `None` or empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The configured provider that the job was read from.
    pub provider: ProviderName,
    /// The vendor's identifier.
    pub id: JobId,
    /// Where the job is in its life.
    pub status: JobStatus,
    /// How it ended.
    pub outcome: Option<JobOutcome>,
    /// What it installs.
    pub kind: Option<JobKind>,
    /// What it is for.
    pub purpose: Option<JobPurpose>,
    /// Its name, where the vendor has one beside the description.
    pub name: Option<String>,
    /// Free text given by its creator.
    pub description: Option<String>,
    /// The package that the job installs.
    pub package: Option<Package>,
    /// The versions that the job updates from.
    pub source_versions: Vec<String>,
    /// The devices that the job updates.
    pub target: Target,
    /// When the job runs.
    pub schedule: Schedule,
    /// How the job runs.
    pub policy: Policy,
    /// Counts of the job's tasks, if the vendor returns them together with the job.
    pub stats: Option<JobStats>,
    /// Labels, in the vendor's order.
    pub tags: Vec<(String, String)>,
    /// When it was created.
    pub created_at: Option<OffsetDateTime>,
    /// When it was last changed.
    pub updated_at: Option<OffsetDateTime>,
    /// When it started.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended, or is planned to end: some vendors report it for a running job.
    pub ended_at: Option<OffsetDateTime>,
    /// The vendor's own values.
    pub vendor: VendorDetail,
    /// How complete this job is.
    pub detail: Detail,
}

impl Job {
    /// Creates a job with the required fields only.
    #[must_use]
    pub fn new(
        provider: ProviderName,
        id: JobId,
        status: JobStatus,
        detail: Detail,
        vendor: VendorDetail,
    ) -> Self {
        Self {
            provider,
            id,
            status,
            outcome: None,
            kind: None,
            purpose: None,
            name: None,
            description: None,
            package: None,
            source_versions: Vec::new(),
            target: Target::default(),
            schedule: Schedule::default(),
            policy: Policy::default(),
            stats: None,
            tags: Vec::new(),
            created_at: None,
            updated_at: None,
            started_at: None,
            ended_at: None,
            vendor,
            detail,
        }
    }
}

/// The package that a job installs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The vendor's identifier.
    pub id: Option<PackageId>,
    /// Its name.
    pub name: Option<String>,
    /// The version that a device has after the update.
    pub version: Option<String>,
    /// The product that the package is made for.
    pub product_id: Option<ProductId>,
}

/// The devices that a job is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Whether the set is fixed.
    pub selection: Option<Selection>,
    /// How the set was chosen.
    pub scope: Option<Scope>,
    /// The share of devices, 0 to 100 percent.
    pub percentage: Option<f64>,
    /// The device groups.
    pub groups: Vec<Group>,
    /// The devices that are listed individually.
    pub device_ids: Vec<DeviceId>,
    /// The product of the devices.
    pub product_id: Option<ProductId>,
    /// The device type.
    pub device_type: Option<String>,
    /// The device model.
    pub model: Option<String>,
    /// The manufacturer of the devices.
    pub manufacturer: Option<String>,
}

/// A group of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The vendor's identifier.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// When a job runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What starts it.
    pub mode: Option<ScheduleMode>,
    /// The start of its time range.
    pub starts_at: Option<OffsetDateTime>,
    /// The end of its time range.
    pub ends_at: Option<OffsetDateTime>,
}

/// How a job runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Maximum number of retries for a failed device; 0 if the vendor reports that there are none.
    pub max_retries: Option<u64>,
    /// Time between two attempts, in seconds.
    pub retry_interval_s: Option<u64>,
    /// Time limit per device, in seconds, as the vendor counts it.
    pub timeout_s: Option<u64>,
    /// Maximum number of devices notified per minute.
    pub max_devices_per_minute: Option<u64>,
    /// Whether the update of each device must be confirmed.
    pub requires_confirmation: Option<bool>,
    /// Whether the platform pushes the update to the devices.
    pub pushed: Option<bool>,
    /// What happens to a device's task of an earlier job.
    pub overwrite: Option<Overwrite>,
    /// The download protocol of the devices, in the vendor's spelling.
    pub download_protocol: Option<String>,
}

/// Counts of a job's tasks; each is absent if the vendor does not report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Targets that have no task yet, where the vendor creates tasks as the job goes on. Not a part of `total`, which counts tasks.
    pub not_started: Option<u64>,
    /// All tasks. Absent if the vendor's numbers contradict each other, which can happen while tasks change their status.
    pub total: Option<u64>,
    /// Tasks that have not started.
    pub pending: Option<u64>,
    /// Running tasks.
    pub in_progress: Option<u64>,
    /// Tasks that succeeded.
    pub succeeded: Option<u64>,
    /// Tasks that failed, those that timed out included.
    pub failed: Option<u64>,
    /// Canceled tasks.
    pub canceled: Option<u64>,
    /// Tasks that were removed, superseded or not applicable.
    pub skipped: Option<u64>,
    /// Tasks in a status that this version does not know.
    pub unknown: Option<u64>,
    /// The tasks in `failed` that timed out.
    pub timed_out: Option<u64>,
    /// How the job ended, when the counts prove it.
    pub outcome: Option<JobOutcome>,
}

impl JobStats {
    /// Returns the sum of the counts by status.
    #[must_use]
    pub fn counted(&self) -> u64 {
        let parts = [
            self.pending,
            self.in_progress,
            self.succeeded,
            self.failed,
            self.canceled,
            self.skipped,
            self.unknown,
        ];
        parts.into_iter().flatten().fold(0, u64::saturating_add)
    }

    /// Returns the share of the total that has reached a final status, in hundredths of a percent (0 to 10,000), rounded down, so that the whole is reached
    /// by the last task only.
    ///
    /// `None` when the total is missing or zero, or the tasks that succeeded or failed are not told. Canceled and skipped tasks count where the vendor has them.
    #[must_use]
    pub fn finished_hundredths(&self) -> Option<u16> {
        let total = self.total.filter(|total| *total > 0)?;
        let others = [self.canceled, self.skipped].into_iter().flatten();
        let finished = others.fold(self.succeeded?, u64::saturating_add);
        let finished = finished.saturating_add(self.failed?).min(total);
        let share = u128::from(finished) * 10_000 / u128::from(total);
        u16::try_from(share).ok()
    }

    /// Returns how a job in this status ended as far as the counts prove it.
    ///
    /// They prove nothing while the job runs, for devices may join it or be rolled out later; while a task is pending, running or
    /// unknown, or a target has no task yet; when the total is missing or zero; or when no task either succeeded or failed (a job that was canceled as a whole has
    /// no outcome).
    #[must_use]
    pub fn proven_outcome(&self, status: JobStatus) -> Option<JobOutcome> {
        if !status.has_ended() {
            return None;
        }
        let total = self.total.filter(|total| *total > 0)?;
        let succeeded = self.succeeded?;
        let open = [
            self.pending,
            self.in_progress,
            self.unknown,
            self.not_started,
        ];
        if open.into_iter().flatten().any(|count| count > 0) {
            return None;
        }
        if succeeded == total {
            return Some(JobOutcome::Succeeded);
        }
        let failed = self.failed?;
        let ended = [self.canceled, self.skipped]
            .into_iter()
            .flatten()
            .fold(0_u64, u64::saturating_add);
        if succeeded.saturating_add(failed).saturating_add(ended) < total {
            return None;
        }
        match (succeeded, failed) {
            (0, 0) => None,
            (0, _) => Some(JobOutcome::Failed),
            (_, _) => Some(JobOutcome::Partial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JobOutcome, JobStats, JobStatus};

    #[track_caller]
    fn check(counts: [u64; 5], expected: Option<JobOutcome>) {
        let [pending, in_progress, succeeded, failed, canceled] = counts;
        let stats = JobStats {
            total: Some(counts.iter().sum()),
            pending: Some(pending),
            in_progress: Some(in_progress),
            succeeded: Some(succeeded),
            failed: Some(failed),
            canceled: Some(canceled),
            ..JobStats::default()
        };
        for status in JobStatus::ALL.iter().copied() {
            let ended = matches!(status, JobStatus::Completed | JobStatus::Canceled);
            let expected = expected.filter(|_| ended);
            assert_eq!(
                stats.proven_outcome(status),
                expected,
                "{status} {counts:?}"
            );
        }
    }

    #[test]
    fn counts_prove_an_outcome_only_when_nothing_is_open() {
        check([0, 0, 5, 0, 0], Some(JobOutcome::Succeeded));
        check([0, 0, 0, 5, 0], Some(JobOutcome::Failed));
        check([0, 0, 2, 3, 0], Some(JobOutcome::Partial));
        check([0, 0, 2, 0, 1], Some(JobOutcome::Partial));
        check([0, 0, 0, 0, 5], None);
        check([1, 0, 4, 0, 0], None);
        check([0, 1, 0, 4, 0], None);
        check([0, 0, 0, 0, 0], None);
    }

    #[test]
    fn the_finished_share_is_of_the_total_and_rounded_down() {
        let stats = |total, succeeded, failed, canceled| JobStats {
            total,
            succeeded,
            failed,
            canceled,
            ..JobStats::default()
        };
        for (stats, share) in [
            (stats(Some(3), Some(1), Some(0), None), Some(3333)),
            (stats(Some(3), Some(1), Some(1), Some(1)), Some(10_000)),
            (
                stats(Some(100_000), Some(99_999), Some(0), None),
                Some(9999),
            ),
            (stats(Some(2), Some(2), Some(2), None), Some(10_000)),
            (
                stats(Some(u64::MAX), Some(u64::MAX), Some(1), None),
                Some(10_000),
            ),
            (stats(Some(0), Some(0), Some(0), Some(0)), None),
            (stats(None, Some(1), Some(1), None), None),
            (stats(Some(3), None, Some(1), None), None),
            (stats(Some(3), Some(1), None, None), None),
        ] {
            assert_eq!(stats.finished_hundredths(), share, "{stats:?}");
        }
    }

    #[test]
    fn targets_without_a_task_are_no_part_of_the_total_and_prove_nothing() {
        let mut stats = JobStats {
            total: Some(2),
            succeeded: Some(2),
            not_started: Some(3),
            ..JobStats::default()
        };
        assert_eq!(stats.counted(), 2);
        assert_eq!(stats.proven_outcome(JobStatus::Completed), None);
        stats.not_started = Some(0);
        let proven = stats.proven_outcome(JobStatus::Completed);
        assert_eq!(proven, Some(JobOutcome::Succeeded));
    }
}
