//! Servers of different versions: what a server says that is older than the setting.

use ota_core::error::Retry;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::{Error, ErrorKind};

use crate::cases::{
    get_job, list_jobs, list_tasks, passed, skipped, uses_job_field, uses_task_field,
};
use crate::listing::{ensure, list_all_jobs};
use crate::subject::{Subject, Trouble};
use crate::verdict::Verdict;

/// How often each request is made: enough for a gate to take the refusals for an outage, if it did.
const TIMES: usize = 6;

/// Checks the answer to a request that uses a filter which the server does not have, and what it cost.
fn says_so(what: &str, field: &str, error: Option<Error>, calls: u64) -> Result<(), String> {
    let Some(error) = error else {
        return Err(format!(
            "{what}: the server does not filter by `{field}`, and an answer came"
        ));
    };
    ensure!(
        error.kind() == ErrorKind::Unsupported && error.field() == Some(field),
        "{what}: the server does not filter by `{field}`, and the error is `{}` of {:?}: {error:?}",
        error.kind(),
        error.field()
    );
    ensure!(
        error.operation().is_some() && error.vendor().is_some_and(|vendor| vendor.code.is_some()),
        "{what}: the error names neither the operation nor the vendor's code: {error:?}"
    );
    ensure!(
        error.retry() == Retry::Never,
        "{what}: it is advised to try again what the server does not have: {error:?}"
    );
    ensure!(calls == 1, "{what}: it took {calls} calls to hear it");
    Ok(())
}

/// The filters to ask with: for each field that newer servers have, an example that finds something.
type Asked<F> = Vec<(&'static str, F)>;

fn asked(subject: &Subject) -> Result<(Asked<JobFilter>, Asked<crate::TaskExample>), String> {
    let truth = &subject.truth;
    let jobs = truth.newer.job_filters.iter().map(|field| {
        let mut examples = truth.job_examples.iter();
        let example = examples.find(|one| uses_job_field(&one.filter, field));
        let missing = || format!("the subject has no example of the filter `{field}` of jobs");
        Ok((*field, example.ok_or_else(missing)?.filter.clone()))
    });
    let tasks = truth.newer.task_filters.iter().map(|field| {
        let mut examples = truth.task_examples.iter();
        let example = examples.find(|one| uses_task_field(&one.filter, field));
        let missing = || format!("the subject has no example of the filter `{field}` of tasks");
        Ok((*field, example.ok_or_else(missing)?.clone()))
    });
    Ok((
        jobs.collect::<Result<_, String>>()?,
        tasks.collect::<Result<_, String>>()?,
    ))
}

/// Everything that the older server has is answered as before.
async fn the_rest_is_answered(subject: &Subject) -> Result<(), String> {
    subject.warm_up().await?;
    let reader = subject.reader()?;
    let listed = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    let jobs = &subject.truth.jobs;
    listed.gave_exactly(
        "jobs of an older server",
        jobs.iter().map(|job| job.id.as_str()),
    )?;
    let job = subject.truth.richest_job()?;
    let one = reader.get_job(&subject.context(), get_job(&job.id)).await;
    let tasks = list_tasks(&job.id, TaskFilter::default());
    let tasks = reader.list_tasks(&subject.context(), tasks).await;
    let found = [
        ("get_job", one.map(|job| job.is_some())),
        ("list_tasks", tasks.map(|page| page.is_some())),
    ];
    for (method, found) in found {
        ensure!(
            matches!(found, Ok(true)),
            "{method} fails at an older server, which has it: {found:?}"
        );
    }
    let stats = reader.job_stats(&subject.context(), get_job(&job.id)).await;
    let stats = stats.map_err(|error| format!("job_stats fails at an older server: {error:?}"))?;
    ensure!(stats.is_some(), "job_stats says that there is no job");
    let wrong = stats.is_some_and(|stats| {
        let really = job.timed_out.or(stats.timed_out);
        stats
            .timed_out
            .is_some_and(|reported| Some(reported) != really)
    });
    ensure!(
        !wrong,
        "a count that the older server does not have is reported"
    );
    Ok(())
}

pub(crate) async fn what_an_older_server_lacks_is_unsupported(subject: &Subject) -> Verdict {
    let (jobs, tasks) = asked(subject)?;
    if jobs.is_empty() && tasks.is_empty() {
        return skipped(
            "no filter depends on the server's version, or the setting names the oldest one",
        );
    }
    subject.warm_up().await?;
    let reader = subject.reader()?;
    let capability = subject.provider.capability().clone();
    {
        let Some(_broken) = subject.break_vendor(Trouble::OlderServer) else {
            return skipped("the subject cannot make its server an older one");
        };
        for _ in 0..TIMES {
            for (field, filter) in &jobs {
                let before = subject.calls();
                let page = reader
                    .list_jobs(&subject.context(), list_jobs(filter.clone()))
                    .await;
                says_so("list_jobs", field, page.err(), subject.calls() - before)?;
            }
            for (field, example) in &tasks {
                let before = subject.calls();
                let request = list_tasks(&example.job_id, example.filter.clone());
                let page = reader.list_tasks(&subject.context(), request).await;
                says_so("list_tasks", field, page.err(), subject.calls() - before)?;
            }
        }
        ensure!(
            *subject.provider.capability() == capability,
            "the capability has changed by what the server said; it follows from the setting"
        );
        the_rest_is_answered(subject).await?;
    }
    // The server is brought up to date while the gateway runs.
    for (field, filter) in jobs {
        let page = reader
            .list_jobs(&subject.context(), list_jobs(filter))
            .await;
        ensure!(
            page.is_ok(),
            "`{field}` of jobs is refused at a server that has it: {page:?}"
        );
    }
    for (field, example) in tasks {
        let request = list_tasks(&example.job_id, example.filter);
        let page = reader.list_tasks(&subject.context(), request).await;
        ensure!(
            matches!(page, Ok(Some(_))),
            "`{field}` of tasks is refused at a server that has it: {page:?}"
        );
    }
    passed()
}
