//! A vendor's adapter against its simulator, as a subject.
//!
//! What is the same for every vendor stands here; a vendor's module says only what is its own ([`Simulated`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ota_conformance::{
    Documented, Example, JobTruth, Newer, Place, Renewal, Subject, TaskExample, Trouble, Truth,
    fields_at_ids,
};
use ota_core::BoxFuture;
use ota_core::id::{JobId, TaskId};
use ota_core::job::JobStatus;
use ota_core::provider::{Dependencies, Provider};
use ota_core::task::TaskStatus;
use ota_sim::{Fault, FaultKind, FleetShape, FleetTruth, Server};
use serde_json::{Map, Value};

use crate::rig::{MAX_CALLS, Rig, Through};
use crate::trouble::faults_of;

/// A vendor that the suite runs for.
pub(crate) struct Vendor {
    /// Its name in configuration, and of its file in `CASES/`.
    pub(crate) name: &'static str,
    /// Its subjects, none of which has been started.
    pub(crate) subjects: fn() -> Vec<Planned>,
}

/// A subject that has not been started.
pub(crate) struct Planned {
    /// The name of the subject.
    pub(crate) name: String,
    start: Box<dyn FnOnce() -> BoxFuture<'static, Subject> + Send>,
}

impl Planned {
    /// Plans a subject; the gate is a part of its name.
    pub(crate) fn new<F: Future<Output = Subject> + Send + 'static>(
        name: &str,
        through: Through,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self {
            name: format!("{name}, {}", through.name()),
            start: Box::new(|| Box::pin(start())),
        }
    }

    /// Plans the subject of an adapter and its simulator.
    pub(crate) fn simulated(
        name: &'static str,
        vendor: impl Simulated,
        fleet: FleetShape,
        through: Through,
    ) -> Self {
        Self::new(name, through, move || async move {
            subject(name, &vendor, fleet, through).await
        })
    }

    /// Starts it.
    pub(crate) async fn start(self) -> Subject {
        (self.start)().await
    }
}

/// What the suite must know about a vendor whose simulator is in `ota-sim`.
#[async_trait::async_trait]
pub(crate) trait Simulated: Send + Sync + 'static {
    /// Starts the simulator with this fleet, no quota, and the clock of the rig.
    async fn start(&self, rig: &Rig, fleet: FleetShape) -> Started;

    /// Settings of a provider without its secrets, as a configuration file has them.
    fn settings(&self, url: &str) -> Value;

    /// The settings that may also be files and that something else renews, in the order in which it writes them.
    fn secrets(&self) -> Vec<SecretSetting>;

    /// Builds a provider from its settings, sharing nothing with others.
    fn build(&self, settings: Value, deps: Dependencies) -> Arc<dyn Provider>;

    /// How the simulator refuses a credential.
    fn refusal(&self) -> FaultKind;

    /// A fault of one part of the list of jobs that has jobs, where the adapter puts the list together from parts.
    fn broken_part(&self, _fleet: &FleetTruth) -> Option<Fault> {
        None
    }

    /// An identifier of the vendor's form that no job has.
    fn unknown_job_id(&self) -> &'static str;

    /// The vendor's values of a job's status, apart from the adapter's table.
    fn job_statuses(&self) -> &'static [(&'static str, JobStatus)];

    /// The vendor's values of a task's status, apart from the adapter's table.
    fn task_statuses(&self) -> &'static [(&'static str, TaskStatus)];

    /// The fields that the vendor's documents have, apart from the adapter's types.
    fn documented(&self) -> Documented {
        Documented::default()
    }

    /// The vendor's names of the identifiers in rows of the job list, and of a job alone, and in rows of the task list.
    fn id_fields(&self) -> (&'static str, &'static str);

    /// The operation whose answers have rows of this place, where the documented fields are given.
    fn operation(&self, _place: Place) -> &'static str {
        ""
    }

    /// Whether the rows of failed tasks say why they failed.
    fn reports_failures(&self) -> bool {
        true
    }

    /// What servers lack that are older than the settings say, where a setting names the version.
    fn newer(&self) -> Newer {
        Newer::default()
    }

    /// The fault with which the simulator refuses what [`Simulated::newer`] names, in the vendor's words for what an older server does not know.
    fn older_server(&self) -> Option<Fault> {
        None
    }

    /// Whether the vendor takes an order in which it gives rows, and promises none to whom does not ask.
    fn takes_an_order(&self) -> bool {
        false
    }

    /// Whether the vendor counts the tasks that timed out.
    fn counts_timeouts(&self) -> bool {
        false
    }

    /// What each filter of the job list finds; one example for each filter at least.
    fn job_examples(&self, fleet: &FleetTruth) -> Vec<Example>;

    /// The same for the task list.
    fn task_examples(&self, fleet: &FleetTruth) -> Vec<TaskExample>;
}

/// A simulator that runs.
pub(crate) struct Started {
    pub(crate) server: Server,
    /// Makes it take only the renewed credential, or with `false` the first one again.
    pub(crate) renew: Box<dyn Fn(bool) + Send + Sync>,
}

/// A secret of the settings.
#[derive(Clone, Copy)]
pub(crate) struct SecretSetting {
    /// Its key; the one of its file has `_file` behind it.
    pub(crate) key: &'static str,
    /// What the simulator takes. `/`, `+` and `=` are percent-encoded, so that a leak is looked for in both forms.
    pub(crate) first: &'static str,
    /// What it takes once it is renewed.
    pub(crate) renewed: &'static str,
    /// Whether no one may see it; an identifier that is renewed with a secret is none.
    pub(crate) hidden: bool,
}

/// Starts a simulator and builds the provider that reads from it.
pub(crate) async fn subject(
    name: &str,
    vendor: &dyn Simulated,
    fleet: FleetShape,
    through: Through,
) -> Subject {
    let rig = Rig::new(through, MAX_CALLS);
    // Other fleets have rows of one kind.
    let documented = (fleet == FleetShape::demo()).then(|| vendor.documented());
    let Started { server, renew } = vendor.start(&rig, fleet.frozen()).await;
    let server = Arc::new(server);
    let (settings, secrets) = (vendor.settings(&server.url()), vendor.secrets());
    let inline = secrets.iter().map(|one| (one.key.to_owned(), one.first));
    let provider = vendor.build(with(&settings, inline), rig.deps.clone());
    let (job_id, task_id) = vendor.id_fields();
    let fields = fields_at_ids(provider.capability(), job_id, task_id);
    let inline = secrets.iter().map(|one| (one.key.to_owned(), one.first));
    let configured = vendor.build(with(&settings, inline), rig.deps_with(fields));
    let mut truth = truth(vendor, &server.fleet());
    truth.documented = documented.unwrap_or_default();
    let broken = vendor.broken_part(&server.fleet());
    let (refusal, older) = (vendor.refusal(), vendor.older_server());
    let hidden = secrets.iter().filter(|one| one.hidden);
    let operations =
        [Place::JobRow, Place::Job, Place::TaskRow].map(|place| (place, vendor.operation(place)));
    let (counting, breaking) = (Arc::clone(&server), Arc::clone(&server));
    let receiving = Arc::clone(&server);
    Subject {
        name: format!("{name}, {}", through.name()),
        provider,
        clock: Arc::new(rig.clock.clone()),
        pass_time: Some(rig.pass_time()),
        gate: through.promise(),
        truth,
        calls: Box::new(move || counting.counters().total_calls()),
        received: Some(Box::new(move |text| {
            let requests = receiving.requests();
            let mut values = requests.iter().flat_map(|request| &request.params);
            values.any(|(_, value)| value == text)
        })),
        max_calls_per_page: MAX_CALLS,
        first_page_extra_calls: 0,
        make_trouble: Some(Box::new(move |trouble| match (trouble, &broken) {
            (Trouble::BrokenPart, Some(fault)) => {
                breaking.set_faults(vec![fault.clone()]);
                true
            }
            (Trouble::OlderServer, _) => {
                breaking.set_faults(older.clone().into_iter().collect());
                older.is_some()
            }
            (Trouble::LeftOut(place, field), _) => {
                let operation = operations.iter().find(|(of, _)| *of == place);
                let fault = Fault::always(FaultKind::LeaveOut).value(field);
                let faults = operation.map(|(_, operation)| fault.on(*operation));
                breaking.set_faults(faults.into_iter().collect());
                true
            }
            _ => faults_of(&breaking, trouble, refusal),
        })),
        configured: Some(configured),
        drift: Some(rig.drift_count()),
        secrets: hidden.map(|one| one.first.to_owned()).collect(),
        renewal: Some(renewal(vendor, &rig, &settings, secrets, renew)),
    }
}

/// Settings with texts added.
fn with(settings: &Value, texts: impl IntoIterator<Item = (String, impl Into<Value>)>) -> Value {
    let mut all: Map<String, Value> = settings.as_object().unwrap().clone();
    all.extend(texts.into_iter().map(|(key, text)| (key, text.into())));
    Value::Object(all)
}

/// A second provider whose secrets are in files, which are replaced one after the other.
fn renewal(
    vendor: &dyn Simulated,
    rig: &Rig,
    settings: &Value,
    secrets: Vec<SecretSetting>,
    renew: Box<dyn Fn(bool) + Send + Sync>,
) -> Renewal {
    let files = SecretFiles::new();
    secrets
        .iter()
        .for_each(|one| files.write(one.key, one.first));
    let paths = secrets.iter().map(|one| {
        let path = files.path(one.key).to_str().unwrap().to_owned();
        (format!("{}_file", one.key), path)
    });
    Renewal {
        provider: vendor.build(with(settings, paths), rig.deps.clone()),
        at_vendor: renew,
        at_provider: Box::new(move |new| {
            for one in &secrets {
                files.write(one.key, if new { one.renewed } else { one.first });
            }
        }),
    }
}

/// What the vendor really holds, in neutral terms.
fn truth(vendor: &dyn Simulated, fleet: &FleetTruth) -> Truth {
    let jobs = fleet.jobs.iter().map(|job| {
        let mut counts = BTreeMap::new();
        for (value, count) in &job.tasks {
            *counts.entry(of(vendor.task_statuses(), value)).or_default() += count;
        }
        JobTruth {
            id: JobId::from(job.id.as_str()),
            status: of(vendor.job_statuses(), &job.status),
            tasks: ids(fleet.task_ids(&job.id)),
            counts,
            not_started: None,
            timed_out: vendor.counts_timeouts().then_some(job.timed_out),
        }
    });
    Truth {
        jobs: jobs.collect(),
        unknown_job_id: JobId::from(vendor.unknown_job_id()),
        job_statuses: neutral(vendor.job_statuses()),
        task_statuses: neutral(vendor.task_statuses()),
        documented: Documented::default(),
        reports_failures: vendor.reports_failures(),
        newer: vendor.newer(),
        takes_an_order: vendor.takes_an_order(),
        job_examples: vendor.job_examples(fleet),
        task_examples: vendor.task_examples(fleet),
    }
}

fn of<T: Copy>(table: &[(&str, T)], value: &str) -> T {
    let found = table.iter().find(|(one, _)| *one == value);
    found
        .unwrap_or_else(|| {
            panic!("the simulator has the status `{value}`, the table of the subject has not")
        })
        .1
}

/// The neutral statuses of a table, each once.
fn neutral<T: Copy + PartialEq>(table: &[(&str, T)]) -> Vec<T> {
    let mut all = Vec::new();
    for (_, status) in table {
        if !all.contains(status) {
            all.push(*status);
        }
    }
    all
}

fn ids(ids: Vec<String>) -> BTreeSet<TaskId> {
    ids.into_iter().map(TaskId::from).collect()
}

/// The jobs of a fleet that a condition holds for.
pub(crate) fn jobs_where(
    fleet: &FleetTruth,
    wanted: impl Fn(&ota_sim::JobTruth) -> bool,
) -> BTreeSet<JobId> {
    let jobs = fleet.jobs.iter().filter(|job| wanted(job));
    jobs.map(|job| JobId::from(job.id.as_str())).collect()
}

/// The tasks of a job for the devices that a condition holds for.
pub(crate) fn tasks_where(
    fleet: &FleetTruth,
    job_id: &str,
    wanted: impl Fn(&ota_sim::DeviceTruth) -> bool,
) -> BTreeSet<TaskId> {
    let devices = fleet.devices(job_id);
    let tasks = fleet.task_ids(job_id).into_iter().zip(devices);
    let tasks = tasks.filter(|(_, device)| wanted(device));
    tasks.map(|(id, _)| TaskId::from(id)).collect()
}

/// Secrets in files, as a provider reads them that something beside the gateway renews.
struct SecretFiles(tempfile::TempDir);

impl SecretFiles {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a file by another one.
    fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }
}
