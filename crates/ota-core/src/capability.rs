//! What a provider can do, in plain fields.

use crate::configured_fields::{ConfigurableField, ConfiguredFields};
use crate::error::{Error, ErrorKind, Result};
use crate::fields::FieldSupport;
use crate::filter::{JobFilter, TaskFilter};
use crate::open_enum::open_enum;

open_enum!(
    /// The support of a filter.
    Support {
        /// The vendor filters.
        Native = "native",
        /// The gateway filters the rows that it reads: pages may be short, or empty with a cursor to continue.
        Here = "here",
        /// Refused with `unsupported`, before any call.
        No = "no",
    }
);

open_enum!(
    /// What a vendor's quota counts together.
    QuotaPer {
        /// The calls of one operation by one account.
        AccountAndOperation = "account_and_operation",
        /// All calls of one application.
        Application = "application",
        /// The reads of one account, and apart from them its writes: the operations in [`DocumentedQuota::exceptions`], whose figure is the writes'.
        ReadsAndWrites = "reads_and_writes",
        /// All calls from one network address, for all accounts together.
        ClientAddress = "client_address",
    }
);

/// The capability of one provider. Every field is a fact about the vendor; nothing here changes while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Filters of the job list.
    pub job_filters: JobFilterSupport,
    /// Filters of the job list that require other filters, each with those that it requires.
    pub job_filter_needs: &'static [(&'static str, &'static [&'static str])],
    /// Filters of the task list.
    pub task_filters: TaskFilterSupport,
    /// The largest page of our API that this provider can fill.
    pub max_page_size: u32,
    /// Maximum number of device names in one task filter.
    pub max_device_names: u32,
    /// How job statistics are obtained.
    pub job_stats: StatsSupport,
    /// How a change shows cheaply.
    pub change_signs: ChangeSigns,
    /// The neutral fields that this provider fills.
    pub fields: FieldSupport,
    /// Fields beside these that it fills because the operator has configured where they stand in the vendor's rows. Part of no vendor's capability, only of a
    /// provider's; see [`Capability::with_configured`].
    pub configured_fields: Vec<ConfigurableField>,
    /// Names of the changing operations that this provider has.
    pub actions: Vec<&'static str>,
    /// The quota that the vendor documents.
    pub quota: DocumentedQuota,
}

/// Support of each filter of the job list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is the filter of the same name in `JobFilter`"
)]
pub struct JobFilterSupport {
    pub status: Support,
    pub outcome: Support,
    pub kind: Support,
    pub package_id: Support,
    pub product_id: Support,
    pub device_id: Support,
    pub device_name: Support,
    pub device_type: Support,
    pub model: Support,
    pub manufacturer: Support,
}

/// Support of each filter of the task list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is the filter of the same name in `TaskFilter`"
)]
pub struct TaskFilterSupport {
    pub status: Support,
    pub stage: Support,
    pub device_name: Support,
    pub device_id: Support,
}

/// How job statistics are obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsSupport {
    /// Whether the vendor returns all counts in one call; otherwise the gateway requests each count.
    pub native: bool,
    /// Number of vendor calls per response.
    pub calls: u32,
}

/// How a change of a job shows without reading all its tasks. The mirror chooses from this, from [`StatsSupport`] (counters of a job in one call) and from the
/// filters by status, stage and device name how it looks at a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeSigns {
    /// Whether a row of the job list carries the counts of its tasks by status (`Job::stats`).
    pub counts_in_rows: bool,
    /// Whether one call counts the tasks in one status or one stage: a page of a task list with that filter alone tells how many match (`Page::total`),
    /// whatever its size. Only where the vendor filters by status and by stage, and each pending task has a stage, so that the counts of all add up.
    pub counts_in_totals: bool,
    /// The order of a task list.
    pub task_order: TaskOrder,
}

open_enum!(
    /// The order in which a vendor lists tasks.
    TaskOrder {
        /// The vendor promises none.
        None = "none",
        /// What changed last comes first: behind a page that is as it was nothing has changed.
        ChangedFirst = "changed_first",
    }
);

/// The quota that the vendor documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentedQuota {
    /// Number of calls per window.
    pub calls: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// What is counted together.
    pub per: QuotaPer,
    /// Operations with another number of calls in a window. Where each operation is counted separately, each has its own; where writes are counted apart,
    /// these are the writes, counted together, and the smallest figure holds.
    pub exceptions: &'static [(&'static str, u32)],
}

impl Capability {
    /// Returns the capability of a provider for which the places of these fields are configured. If the name of a device is one of them, the gateway can filter
    /// tasks by it.
    #[must_use]
    pub fn with_configured(mut self, configured: &ConfiguredFields) -> Self {
        self.configured_fields = configured.fields().collect();
        let by_name = &mut self.task_filters.device_name;
        if *by_name == Support::No
            && self
                .configured_fields
                .contains(&ConfigurableField::DeviceName)
        {
            *by_name = Support::Here;
            self.max_device_names = TaskFilter::MAX_DEVICE_NAMES;
        }
        self
    }

    /// Checks that every filter in use is one that this provider has.
    ///
    /// # Errors
    /// `unsupported`, naming the first field that it has not, or has only together with others that are missing; the message names those.
    pub fn check_jobs(&self, filter: &JobFilter) -> Result<()> {
        let support = &self.job_filters;
        let fields = [
            ("status", !filter.status.is_empty(), support.status),
            ("outcome", !filter.outcome.is_empty(), support.outcome),
            ("kind", filter.kind.is_some(), support.kind),
            (
                "package_id",
                filter.package_id.is_some(),
                support.package_id,
            ),
            (
                "product_id",
                filter.product_id.is_some(),
                support.product_id,
            ),
            ("device_id", filter.device_id.is_some(), support.device_id),
            (
                "device_name",
                filter.device_name.is_some(),
                support.device_name,
            ),
            (
                "device_type",
                filter.device_type.is_some(),
                support.device_type,
            ),
            ("model", filter.model.is_some(), support.model),
            (
                "manufacturer",
                filter.manufacturer.is_some(),
                support.manufacturer,
            ),
        ];
        for (field, used, support) in fields {
            refuse(field, used, support)?;
        }
        let is_used = |name: &str| {
            fields
                .iter()
                .any(|(field, used, _)| *field == name && *used)
        };
        for (field, needs) in self.job_filter_needs {
            if is_used(field) && !needs.iter().all(|name| is_used(name)) {
                let needs: Vec<String> = needs.iter().map(|name| format!("`{name}`")).collect();
                let message = format!(
                    "this provider filters jobs by `{field}` only together with {}",
                    needs.join(" and ")
                );
                return Err(Error::unsupported(field, message));
            }
        }
        Ok(())
    }

    /// Checks that every filter in use is one that this provider has.
    ///
    /// # Errors
    /// `unsupported`, naming the first field that it has not, or `invalid_argument` for too many device names.
    pub fn check_tasks(&self, filter: &TaskFilter) -> Result<()> {
        let support = &self.task_filters;
        for (field, used, support) in [
            ("status", !filter.status.is_empty(), support.status),
            ("stage", !filter.stage.is_empty(), support.stage),
            (
                "device_name",
                !filter.device_names.is_empty(),
                support.device_name,
            ),
            ("device_id", filter.device_id.is_some(), support.device_id),
        ] {
            refuse(field, used, support)?;
        }
        if filter.device_names.len() > self.max_device_names as usize {
            let message = format!(
                "`device_name` has {} values; this provider allows {}",
                filter.device_names.len(),
                self.max_device_names
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_field("device_name"));
        }
        Ok(())
    }
}

fn refuse(field: &'static str, used: bool, support: Support) -> Result<()> {
    if used && support == Support::No {
        return Err(Error::unsupported(
            field,
            format!(
                "this provider cannot filter by `{field}`; see its `capabilities` in /v1/providers"
            ),
        ));
    }
    Ok(())
}
