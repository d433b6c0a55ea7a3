//! The filters of the fleet, and the questions to the database that follow from them.

use ota_api::fleet_parameters::{
    Instant, JobKey, JobSearch, JobSort, Names, Seconds, TaskKey, TaskSearch, TaskSort,
};
use ota_api::parameters::QueryParameter;
use ota_api::problem::Failure;
use ota_api::query::{self, MAX_LIST, QueryPairs};
use ota_api::query_parameters;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::task::{Failure as TaskFailure, TaskStage, TaskStatus};
use ota_store::fleet as store;
use time::{Duration, OffsetDateTime};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};

use crate::vendors;

query_parameters! {
    /// Which jobs of the fleet.
    #[derive(Clone, Debug)]
    pub struct FleetJobs {
        /// Jobs of these providers; repeat the parameter or separate names by commas. An unknown one is 404.
        provider: Names,
        /// Jobs of these vendors; repeat the parameter or separate names by commas.
        vendor: Vendors,
        /// Jobs in one of these statuses; repeat the parameter or separate values by commas.
        status: Vec<JobStatus>,
        /// Jobs with one of these outcomes; repeat the parameter or separate values by commas.
        outcome: Vec<JobOutcome>,
        /// Jobs that install one of these kinds of packages; repeat the parameter or separate values by commas.
        kind: Vec<JobKind>,
        /// Jobs of this package.
        package_id: Option<String>,
        /// Jobs of this version of a package.
        package_version: Option<String>,
        /// Jobs of this product.
        product_id: Option<String>,
        /// Jobs that were created at this time or later (RFC 3339 with its zone).
        created_after: Option<Instant>,
        /// Jobs that were created before this time.
        created_before: Option<Instant>,
        /// Jobs that the vendor changed at this time or later.
        updated_after: Option<Instant>,
        /// Jobs that the vendor changed before this time.
        updated_before: Option<Instant>,
        /// True: jobs with failed tasks; false: jobs without.
        with_failures: Option<bool>,
        /// Also jobs that the vendor no longer has.
        include_vanished: Option<bool>,
    }
}

query_parameters! {
    /// Which tasks of the fleet.
    #[derive(Clone, Debug)]
    pub struct FleetTasks {
        /// Tasks of these providers; repeat the parameter or separate names by commas. An unknown one is 404.
        provider: Names,
        /// Tasks of these vendors; repeat the parameter or separate names by commas.
        vendor: Vendors,
        /// Tasks in one of these statuses; repeat the parameter or separate values by commas.
        status: Vec<TaskStatus>,
        /// Tasks in one of these steps; repeat the parameter or separate values by commas.
        stage: Vec<TaskStage>,
        /// Tasks that failed for one of these reasons; repeat the parameter or separate values by commas.
        failure: Vec<TaskFailure>,
        /// Tasks of this job; only together with exactly one `provider`.
        job_id: Option<String>,
        /// Tasks of the device with this identifier.
        device_id: Option<String>,
        /// Tasks of the devices with this name.
        device_name: Option<String>,
        /// Tasks of devices of this product.
        product_id: Option<String>,
        /// Tasks of devices that had this version before.
        from_version: Option<String>,
        /// Tasks that update to this version.
        to_version: Option<String>,
        /// Tasks that are pending or in progress and have not changed for so many seconds.
        stuck_for_s: Option<Seconds>,
        /// Tasks that changed at this time or later (RFC 3339 with its zone).
        changed_after: Option<Instant>,
        /// Tasks that changed before this time.
        changed_before: Option<Instant>,
        /// Tasks that were created at this time or later.
        created_after: Option<Instant>,
        /// Tasks that were created before this time.
        created_before: Option<Instant>,
        /// Also tasks that the vendor no longer has.
        include_vanished: Option<bool>,
    }
}

/// The most groups of an answer.
pub(super) const MAX_GROUPS: u32 = 1000;

/// Names of vendors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vendors(Vec<String>);

impl QueryParameter for Vendors {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let known: Vec<String> = vendors::names().into_iter().map(str::to_owned).collect();
        let mut given = Vec::new();
        for value in query.list(name)? {
            if !known.iter().any(|vendor| vendor == value) {
                return Err(query::unknown_word(name, value, &known));
            }
            given.push(value.to_owned());
        }
        given.sort_unstable();
        Ok(Self(given))
    }

    fn schema() -> Schema {
        let vendor = ObjectBuilder::new().schema_type(Type::String);
        let vendor = vendor.enum_values(Some(vendors::names()));
        let list = ArrayBuilder::new().items(vendor);
        list.max_items(Some(MAX_LIST)).build().into()
    }
}

fn time(instant: Option<Instant>) -> Option<OffsetDateTime> {
    instant.map(|Instant(time)| time)
}

impl FleetJobs {
    /// Returns the question to the database, about these providers.
    pub(super) fn query(
        &self,
        providers: &[ProviderName],
        search: Option<&JobSearch>,
    ) -> store::JobQuery {
        let text = search.and_then(|search| search.q.as_ref());
        store::JobQuery {
            providers: providers.to_vec(),
            vendors: self.vendor.0.clone(),
            status: self.status.clone(),
            outcome: self.outcome.clone(),
            kind: self.kind.clone(),
            package_id: self.package_id.clone(),
            package_version: self.package_version.clone(),
            product_id: self.product_id.clone(),
            created_after: time(self.created_after),
            created_before: time(self.created_before),
            updated_after: time(self.updated_after),
            updated_before: time(self.updated_before),
            q: text.map(|text| text.0.clone()),
            with_failures: self.with_failures,
            include_vanished: self.include_vanished.unwrap_or(false),
        }
    }
}

impl FleetTasks {
    /// Refuses a job without its provider: identifiers of jobs are those of their vendors.
    ///
    /// # Errors
    /// `invalid_argument`, naming `job_id`.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match (&self.job_id, self.provider.0.as_slice()) {
            (None, _) | (Some(_), [_]) => Ok(()),
            (Some(_), _) => Err(Failure::invalid(
                "job_id",
                "`job_id` needs exactly one `provider` beside it: identifiers of jobs are the vendors' own",
            )),
        }
    }

    /// Returns the question to the database at this time, about these providers.
    pub(super) fn query(
        &self,
        providers: &[ProviderName],
        search: Option<&TaskSearch>,
        now: OffsetDateTime,
    ) -> store::TaskQuery {
        let text = search.and_then(|search| search.q.as_ref());
        let stuck = self
            .stuck_for_s
            .map(|Seconds(seconds)| Duration::seconds(seconds.into()));
        store::TaskQuery {
            providers: providers.to_vec(),
            vendors: self.vendor.0.clone(),
            status: self.status.clone(),
            stage: self.stage.clone(),
            failure: self.failure.clone(),
            job_id: self.job_id.clone().map(JobId::from),
            device_id: self.device_id.clone(),
            device_name: self.device_name.clone(),
            product_id: self.product_id.clone(),
            from_version: self.from_version.clone(),
            to_version: self.to_version.clone(),
            stuck_since: stuck.map(|stuck| now - stuck),
            changed_after: time(self.changed_after),
            changed_before: time(self.changed_before),
            created_after: time(self.created_after),
            created_before: time(self.created_before),
            q: text.map(|text| text.0.clone()),
            include_vanished: self.include_vanished.unwrap_or(false),
        }
    }
}

/// Returns the order of jobs as the database knows it.
pub(super) fn job_sort(sort: Option<JobSort>) -> store::JobSort {
    match sort {
        None | Some(JobSort::CreatedDescending) => store::JobSort::CreatedDescending,
        Some(JobSort::Created) => store::JobSort::Created,
        Some(JobSort::ChangedDescending) => store::JobSort::ChangedDescending,
        Some(JobSort::Changed) => store::JobSort::Changed,
        Some(JobSort::FailedDescending) => store::JobSort::FailedDescending,
    }
}

/// Returns the order of tasks as the database knows it.
pub(super) fn task_sort(sort: Option<TaskSort>) -> store::TaskSort {
    match sort {
        None | Some(TaskSort::ChangedDescending) => store::TaskSort::ChangedDescending,
        Some(TaskSort::Changed) => store::TaskSort::Changed,
        Some(TaskSort::CreatedDescending) => store::TaskSort::CreatedDescending,
        Some(TaskSort::Created) => store::TaskSort::Created,
        Some(TaskSort::DeviceName) => store::TaskSort::DeviceName,
    }
}

/// Returns a key of jobs as the database knows it.
pub(super) fn job_key(key: JobKey) -> store::JobKey {
    match key {
        JobKey::Provider => store::JobKey::Provider,
        JobKey::Vendor => store::JobKey::Vendor,
        JobKey::Status => store::JobKey::Status,
        JobKey::Outcome => store::JobKey::Outcome,
        JobKey::Kind => store::JobKey::Kind,
        JobKey::ProductId => store::JobKey::ProductId,
        JobKey::PackageId => store::JobKey::PackageId,
        JobKey::PackageVersion => store::JobKey::PackageVersion,
    }
}

/// Returns a key of tasks as the database knows it.
pub(super) fn task_key(key: TaskKey) -> store::TaskKey {
    match key {
        TaskKey::Provider => store::TaskKey::Provider,
        TaskKey::Vendor => store::TaskKey::Vendor,
        TaskKey::Status => store::TaskKey::Status,
        TaskKey::Stage => store::TaskKey::Stage,
        TaskKey::Failure => store::TaskKey::Failure,
        TaskKey::JobId => store::TaskKey::JobId,
        TaskKey::ProductId => store::TaskKey::ProductId,
        TaskKey::FromVersion => store::TaskKey::FromVersion,
        TaskKey::ToVersion => store::TaskKey::ToVersion,
    }
}
