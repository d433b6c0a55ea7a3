//! In which ways vendors differ, and what the reference provider does about each.

use ota_core::capability::{Capability, Support};
use ota_core::error::VendorError;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::{Error, id::JobId};

use crate::subject::Newer;

/// The version of the vendor's server, as the setting of the provider names it. The capability follows from it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerVersion {
    /// Does not filter jobs by `model` and tasks by `device_id`, and does not count the tasks that ran out of time.
    One,
    /// Does all of it.
    #[default]
    Two,
}

/// What the provider does about a vendor that takes other spellings of an identifier for the same job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aliases {
    /// The vendor takes none, so there is nothing to do.
    #[default]
    NotTaken,
    /// It sends nothing for an identifier that is not in the vendor's own form.
    RefusedByForm,
    /// It compares the identifier in the answer with the one that it asked for.
    ComparedWithTheAnswer,
    /// It takes the answer for the job that it asked for. No provider may; the suite is tested with it.
    Believed,
}

/// The fields of statistics at a server of version one.
const COUNTS_OF_ONE: &[&str] = &[
    "total",
    "not_started",
    "pending",
    "in_progress",
    "succeeded",
    "failed",
    "canceled",
    "unknown",
    "outcome",
];

/// A filter that the older server does not have.
pub(super) const MODEL: &str = "model";
/// As [`MODEL`], of tasks.
pub(super) const DEVICE_ID: &str = "device_id";

impl ServerVersion {
    /// Returns what is left of a capability at this version.
    pub(super) fn of(self, mut capability: Capability) -> Capability {
        if self == Self::One {
            capability.job_filters.model = Support::No;
            capability.task_filters.device_id = Support::No;
            capability.fields.job_stats = COUNTS_OF_ONE;
        }
        capability
    }
}

/// Returns which of the filters of a capability an older server refuses. What is filtered here needs nothing of the server.
pub(super) fn newer(capability: &Capability) -> Newer {
    let native = |support: Support, field: &'static str| {
        let fields = (support == Support::Native).then_some(field);
        fields.into_iter().collect()
    };
    Newer {
        job_filters: native(capability.job_filters.model, MODEL),
        task_filters: native(capability.task_filters.device_id, DEVICE_ID),
    }
}

/// Returns the filter in a request for jobs that only the newer server has.
pub(super) fn newer_job_filter(
    capability: &Capability,
    filter: &JobFilter,
) -> Option<&'static str> {
    let newer = newer(capability).job_filters;
    newer.into_iter().find(|_| filter.model.is_some())
}

/// As [`newer_job_filter`].
pub(super) fn newer_task_filter(
    capability: &Capability,
    filter: &TaskFilter,
) -> Option<&'static str> {
    let newer = newer(capability).task_filters;
    newer.into_iter().find(|_| filter.device_id.is_some())
}

/// The error for the vendor's statement that its server does not know a filter.
pub(super) fn older_server(field: &'static str) -> Error {
    let message = format!(
        "the vendor's server is older than its setting says: it does not filter by `{field}`"
    );
    Error::unsupported(field, message).with_vendor(VendorError {
        code: Some("UnknownParameter".to_owned()),
        ..VendorError::default()
    })
}

impl Aliases {
    /// Whether the vendor takes them.
    pub(super) fn are_taken(self) -> bool {
        self != Self::NotTaken
    }

    /// Whether nothing is sent for this identifier: no job of the vendor has one of this form.
    pub(super) fn refuses(self, id: &JobId) -> bool {
        self == Self::RefusedByForm && !is_in_own_form(id)
    }

    /// Whether an answer about one job is the answer for the job that was asked for.
    pub(super) fn believes(self, asked: &JobId, answered: &JobId) -> bool {
        self != Self::ComparedWithTheAnswer || asked == answered
    }
}

/// Whether an identifier is `job-` and a number without zeros in front.
fn is_in_own_form(id: &JobId) -> bool {
    let number = id.as_str().strip_prefix("job-").unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && (number == "0" || !number.starts_with('0'))
}
