//! The front of the API: paths, credential and quota, and what each call answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::config::Config;
use super::vocabulary::{TASK_STATUSES, job_status};
use crate::counters::Refusal;
use crate::exchange::{Answer, Arrival, Vendor, Verdict};
use crate::fault::FaultKind;
use crate::faults::Drawn;
use crate::fleet::{Fleet, FleetTruth, Job, JobTruth, Stage};
use crate::quota::Limiter;

/// The simulator behind the server.
pub(super) struct Front {
    config: Config,
    fleet: Arc<Fleet>,
    limiter: Mutex<Limiter>,
}

/// A refusal: status, the vendor's code, and the reason for the counters.
type Error = (StatusCode, &'static str, Refusal);

const REFUSED_TOKEN: Error = (
    StatusCode::UNAUTHORIZED,
    "Unauthorized",
    Refusal::Credential,
);
const THROTTLED: Error = (
    StatusCode::TOO_MANY_REQUESTS,
    "TooManyRequests",
    Refusal::Throttled,
);
const OUT_OF_ORDER: Error = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "InternalError",
    Refusal::Fault,
);
const BAD_PARAMETER: Error = (
    StatusCode::BAD_REQUEST,
    "InvalidParameter",
    Refusal::Parameter,
);
const NOWHERE: Error = (StatusCode::NOT_FOUND, "NotFound", Refusal::Request);

/// Names of the operations, as counters and faults have them.
pub mod operation {
    /// The list of jobs.
    pub const LIST_JOBS: &str = "list_jobs";
    /// One job.
    pub const GET_JOB: &str = "get_job";
    /// The tasks of a job.
    pub const LIST_TASKS: &str = "list_tasks";
}

const JOBS: &str = "/jobs";
const DEFAULT_PAGE_SIZE: usize = 20;

impl Front {
    pub(super) fn new(config: Config, fleet: Arc<Fleet>) -> Self {
        Self {
            limiter: Mutex::new(Limiter::new(config.quota)),
            config,
            fleet,
        }
    }

    /// Checks what every call is checked for: token, then quota.
    fn admit(&self, arrival: &Arrival) -> Result<(), Error> {
        let given = arrival
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let renewed = self.config.renewed_token.get();
        if given != Some(renewed.as_deref().unwrap_or(&self.config.token)) {
            return Err(REFUSED_TOKEN);
        }
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter
            .admit("account", arrival.at)
            .map_err(|_| THROTTLED)
    }

    fn serve(&self, arrival: &Arrival, faults: &Drawn) -> Result<Value, Error> {
        if faults.has(FaultKind::Throttle) {
            return Err(THROTTLED);
        }
        if faults.has(FaultKind::GatewayError) {
            return Err(OUT_OF_ORDER);
        }
        if faults.has(FaultKind::TokenExpired) {
            return Err(REFUSED_TOKEN);
        }
        self.admit(arrival)?;
        match (&arrival.method, arrival.path.as_str()) {
            (&Method::GET, JOBS) => self.list_jobs(arrival, faults),
            _ => Err(NOWHERE),
        }
    }

    fn list_jobs(&self, arrival: &Arrival, faults: &Drawn) -> Result<Value, Error> {
        let page = number(arrival, "page", 0)?;
        let size = number(arrival, "size", DEFAULT_PAGE_SIZE)?;
        let age = self.fleet.age(arrival.at);
        let jobs = self.fleet.jobs(age);
        let rows = jobs.iter().skip(page.saturating_mul(size)).take(size);
        let mut rows: Vec<Value> = rows
            .map(|job| json!({"id": job.id, "status": job_status(job.phase(age))}))
            .collect();
        // Every answer with rows passes here, so that a field can be left out of them.
        faults.spoil(&mut rows, "status", "created", "note");
        Ok(json!({"items": rows, "page": page, "size": size, "total": jobs.len()}))
    }

    /// A job as it really is.
    fn truth(&self, job: &Job, age: i64) -> JobTruth {
        let package = self.fleet.package_of(job);
        let tally = job.tally(self.fleet.seed, age);
        let count = |stages: &[Stage]| stages.iter().map(|stage| tally.count(*stage)).sum();
        let tasks: BTreeMap<String, u64> = TASK_STATUSES
            .iter()
            .map(|(status, stages)| ((*status).to_owned(), count(stages)))
            .collect();
        JobTruth {
            id: job.id.clone(),
            package_id: package.id.clone(),
            version: package.version.to_owned(),
            product_key: self.fleet.product_of(package).id.clone(),
            status: job_status(job.phase(age)).to_owned(),
            total: u64::from(job.tasks),
            tasks,
            failed: tally.count(Stage::Failed),
            timed_out: tally.timed_out,
        }
    }
}

impl Vendor for Front {
    fn operation(&self, arrival: &Arrival) -> &'static str {
        let path = arrival.path.as_str();
        match path.strip_prefix(JOBS) {
            Some("") => operation::LIST_JOBS,
            Some(job) if job.ends_with("/tasks") => operation::LIST_TASKS,
            Some(job) if job.starts_with('/') => operation::GET_JOB,
            _ => "unknown",
        }
    }

    fn serves(&self, kind: FaultKind) -> bool {
        kind.is_of_transport()
            || matches!(
                kind,
                FaultKind::Throttle
                    | FaultKind::GatewayError
                    | FaultKind::TokenExpired
                    | FaultKind::LeaveOut
                    | FaultKind::UnknownField
                    | FaultKind::UnknownStatus
            )
    }

    fn answer(&self, arrival: &Arrival, faults: &Drawn) -> Answer {
        match self.serve(arrival, faults) {
            Ok(content) => answer(StatusCode::OK, &content, Verdict::Answered),
            Err((status, code, refusal)) => {
                let body = json!({"code": code, "message": "Refused."});
                answer(status, &body, Verdict::Refused(refusal))
            }
        }
    }

    fn fleet(&self, now: OffsetDateTime) -> FleetTruth {
        let age = self.fleet.age(now);
        let jobs = self.fleet.jobs(age).into_iter();
        let jobs = jobs.map(|job| self.truth(job, age)).collect();
        FleetTruth::new(Arc::clone(&self.fleet), age, jobs)
    }
}

fn number(arrival: &Arrival, name: &str, usual: usize) -> Result<usize, Error> {
    let given = arrival.query.iter().find(|(one, _)| one == name);
    given.map_or(Ok(usual), |(_, text)| {
        text.parse().map_err(|_| BAD_PARAMETER)
    })
}

fn answer(status: StatusCode, content: &Value, verdict: Verdict) -> Answer {
    Answer {
        status,
        content_type: "application/json",
        headers: Vec::new(),
        body: content.to_string().into_bytes(),
        verdict,
    }
}
