//! From a filter to what the vendor is asked.

use ota_core::job::{Job, JobKind, JobOutcome, JobStatus};
use ota_core::paging::Window;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::{Task, TaskStatus};
use ota_core::vendor::VendorDetail;
use ota_http::encode;

use super::VendorStatus;

/// Which lists of the vendor's are read for a job list, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobPlan {
    /// The status of each list; `None` asks for every status. No list at all when nothing can match.
    pub(crate) statuses: Vec<Option<VendorStatus>>,
    /// The outcomes that rows are still filtered by: the vendor has one status for `failed` and `partial`.
    outcomes: Vec<JobOutcome>,
    /// Whether rows are still filtered by status: the vendor cannot be asked for unknown values.
    statuses_here: bool,
}

impl JobPlan {
    pub(crate) fn of(filter: &JobFilter) -> Self {
        let nothing = Self {
            statuses: Vec::new(),
            outcomes: Vec::new(),
            statuses_here: false,
        };
        if filter.kind == Some(JobKind::Other) {
            return nothing;
        }
        if filter.status.is_empty() && filter.outcome.is_empty() {
            return Self {
                statuses: vec![None],
                ..nothing
            };
        }
        // A row in a status that is not known has no outcome either.
        if filter.status.contains(&JobStatus::Unknown) && filter.outcome.is_empty() {
            return Self {
                statuses: vec![None],
                statuses_here: true,
                ..nothing
            };
        }
        let asked = |vendor: &VendorStatus| {
            let status = filter.status.is_empty() || filter.status.contains(&vendor.job_status());
            let outcome = filter.outcome.is_empty()
                || match vendor {
                    VendorStatus::Success => filter.outcome.contains(&JobOutcome::Succeeded),
                    VendorStatus::Failed => failed_outcomes(filter).next().is_some(),
                    VendorStatus::Wait | VendorStatus::Processing | VendorStatus::Stop => false,
                };
            status && outcome
        };
        let statuses: Vec<_> = VendorStatus::ALL
            .into_iter()
            .filter(asked)
            .map(Some)
            .collect();
        let both = failed_outcomes(filter).count() != 1;
        let outcomes = if both || !statuses.contains(&Some(VendorStatus::Failed)) {
            Vec::new()
        } else {
            filter.outcome.clone()
        };
        Self {
            statuses,
            outcomes,
            ..nothing
        }
    }

    /// Returns the status of a list.
    pub(crate) fn status(&self, segment: u32) -> Option<VendorStatus> {
        self.statuses.get(segment as usize).copied().flatten()
    }

    /// Returns whether most rows may be left out here.
    pub(crate) fn filters_here(&self) -> bool {
        !self.outcomes.is_empty() || self.statuses_here
    }

    /// Returns whether a row of the list for `status` is wanted.
    ///
    /// A platform that ignores a filter answers with rows that contradict it; they, and rows in a status that is not known and
    /// was not asked for, are left out.
    pub(crate) fn wants(
        &self,
        filter: &JobFilter,
        status: Option<VendorStatus>,
        job: &Job,
    ) -> bool {
        (status.is_none() || status == status_of(&job.vendor))
            && (!self.statuses_here || filter.status.contains(&job.status))
            && (filter.kind.is_none() || job.kind.is_none() || filter.kind == job.kind)
            && (self.outcomes.is_empty()
                || job
                    .outcome
                    .is_some_and(|outcome| self.outcomes.contains(&outcome)))
    }
}

/// The status of a row that was read.
fn status_of(vendor: &VendorDetail) -> Option<VendorStatus> {
    vendor.status.as_deref().and_then(VendorStatus::read)
}

/// The asked outcomes that the vendor's status of a failed task stands for.
fn failed_outcomes(filter: &JobFilter) -> impl Iterator<Item = JobOutcome> {
    [JobOutcome::Failed, JobOutcome::Partial]
        .into_iter()
        .filter(|outcome| filter.outcome.contains(outcome))
}

/// Which lists of the vendor's are read for a task list, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TaskPlan {
    /// The status of each list; `None` asks for every status. No list at all when nothing can match.
    pub(crate) statuses: Vec<Option<VendorStatus>>,
    /// As for jobs.
    pub(crate) statuses_here: bool,
}

impl TaskPlan {
    pub(crate) fn of(filter: &TaskFilter) -> Self {
        let statuses_here = filter.status.contains(&TaskStatus::Unknown);
        let statuses = if filter.status.is_empty() || statuses_here {
            vec![None]
        } else {
            VendorStatus::ALL
                .into_iter()
                .filter(|vendor| filter.status.contains(&vendor.task_status()))
                .map(Some)
                .collect()
        };
        Self {
            statuses,
            statuses_here,
        }
    }

    /// Returns the status of a list.
    pub(crate) fn status(&self, segment: u32) -> Option<VendorStatus> {
        self.statuses.get(segment as usize).copied().flatten()
    }

    /// Returns whether a row of the list for `status` is wanted; as for jobs, rows that contradict the filter are not.
    pub(crate) fn wants(
        &self,
        filter: &TaskFilter,
        status: Option<VendorStatus>,
        task: &Task,
    ) -> bool {
        (status.is_none() || status == status_of(&task.vendor))
            && (!self.statuses_here || filter.status.contains(&task.status))
            && filter.wants_device_of(task)
    }
}

/// Writes the query of the task list. Filters that are not used are left out, as the vendor's SDKs do (vendor notes, 1.6).
pub(crate) fn job_query(
    filter: &JobFilter,
    status: Option<VendorStatus>,
    window: Window,
) -> String {
    let kind = filter.kind.and_then(|kind| match kind {
        JobKind::Firmware => Some("firmware_upgrade"),
        JobKind::Software => Some("software_upgrade"),
        JobKind::Other => None,
    });
    query(
        [
            ("operationType", kind),
            ("operationStatus", status.map(VendorStatus::of_operation)),
            ("deviceType", filter.device_type.as_deref()),
            ("model", filter.model.as_deref()),
            ("manufacturerName", filter.manufacturer.as_deref()),
            (
                "deviceId",
                filter.device_id.as_ref().map(|device| device.as_str()),
            ),
        ],
        window,
    )
}

/// Writes the query of the list of a task's devices.
pub(crate) fn task_query(status: Option<VendorStatus>, window: Window) -> String {
    query(
        [(
            "subOperationStatus",
            status.map(VendorStatus::of_sub_operation),
        )],
        window,
    )
}

/// The page is always written out: one document says that an absent `pageNo` means the first page, another that it means no
/// paging at all (vendor notes, section 1.6).
fn query<const N: usize>(filters: [(&str, Option<&str>); N], window: Window) -> String {
    let (number, size) = (window.index.to_string(), window.size.to_string());
    let filters = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut pairs: Vec<(&str, &str)> = filters.collect();
    pairs.push(("pageNo", &number));
    pairs.push(("pageSize", &size));
    encode::query(pairs)
}

#[cfg(test)]
mod tests;
