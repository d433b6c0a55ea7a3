//! A look at a job: what the vendor counts, and then only the rows that can have changed.

use std::collections::{BTreeSet, HashSet};

use ota_core::ErrorKind;
use ota_core::capability::Support;
use ota_core::filter::{JobFilter, TaskFilter};
use ota_core::id::{DeviceName, JobId};
use ota_core::job::{Detail, JobStats, JobStatus};
use ota_core::provider::{Cursor, GetJob, ListJobs, ListTasks};
use ota_core::task::TaskStatus;
use ota_store::record::{JobPage, TaskPage};
use time::OffsetDateTime;

use crate::counts::{self, Comparison};
use crate::observer::{Reason, WriteKind};
use crate::pages::{counts_in_rows, details, missing};
use crate::records::{job_record, task_record};
use crate::schedule::later;
use crate::state::MirroredState;
use crate::step::{Environment, Failed, Step, repeated_page};

/// The most pages of one status that a look reads; where more can have changed, all tasks are read, page by page between other work.
const MOST_PAGES: u64 = 5;

/// The most tasks that a look asks for by the names of their devices.
const MOST_NAMED: usize = 400;

/// Looks at one job.
pub(crate) async fn look(env: &Environment, of: &MirroredState, job: &JobId) -> Step {
    let told = of
        .lock()
        .jobs
        .get_mut(job)
        .and_then(|entry| entry.uncompared.take());
    let told = match told {
        Some(told) => Some(told),
        None => ask_counts(env, of, job).await?,
    };
    let Some((stats, sent_at)) = told else {
        // The vendor does not know the job.
        return Ok(());
    };
    let counts = env.store.write_counts(of.name(), job, sent_at, &stats);
    env.write(WriteKind::Counts, counts).await?;
    let status = {
        let mut state = of.lock();
        let Some(entry) = state.jobs.get_mut(job) else {
            return Ok(());
        };
        entry.counts = Some(stats.clone());
        entry.facts.status
    };
    if !status.has_ended() && counts::nothing_open(&stats) && !counts_in_rows(of) {
        details(env, of, job, Reason::RunningJob).await?;
    }
    let agrees = agrees(env, of, job, &stats).await?;
    if !agrees {
        changed_rows(env, of, job, &stats).await?;
    }
    looked(env, of, job, sent_at).await
}

/// Asks for the counts of a job; none when the vendor does not know it.
async fn ask_counts(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
) -> Step<Option<(JobStats, OffsetDateTime)>> {
    if counts_in_rows(of) {
        let found = details(env, of, job, Reason::RunningJob).await?;
        return Ok(found.map(|(job, sent_at)| (job.stats.unwrap_or_default(), sent_at)));
    }
    let request = GetJob {
        job_id: job.clone(),
    };
    let member = &of.member;
    let read = env.read(of, Reason::RunningJob, |cx| async move {
        member.job_stats(&cx, request).await
    });
    match read.await {
        Ok(answer) => Ok(Some((answer.value, answer.as_of.wall))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            missing(env, of, job);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the rows of the mirror are as the vendor counts them.
async fn agrees(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    stats: &JobStats,
) -> Step<bool> {
    let own = env.store.job_state(of.name(), job).await?;
    let own = own.map(|state| state.own_counts).unwrap_or_default();
    Ok(matches!(counts::compare(stats, &own), Comparison::Equal))
}

/// Notes that a look has ended whose counts are as of `sent_at`, and when the next one is due.
async fn looked(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    sent_at: OffsetDateTime,
) -> Step {
    let now = env.now();
    let due = {
        let mut state = of.lock();
        state.progress_at = Some(now);
        let Some(entry) = state.jobs.get_mut(job) else {
            return Ok(());
        };
        entry.looked_at = entry.looked_at.max(Some(sent_at));
        entry.well();
        if entry.wants_look.is_some_and(|since| since <= sent_at) {
            entry.wants_look = None;
        }
        let every = entry.wanted(now, &env.settings).look;
        every.map(|every| (job.clone(), later(sent_at, every)))
    };
    if let Some(due) = due {
        env.store.set_due(of.name(), &[due]).await?;
    }
    Ok(())
}

/// Reads the rows that can have changed since the counts were the same; where that does not bring the counts together, all tasks are to be read.
async fn changed_rows(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    stats: &JobStats,
) -> Step {
    let capability = of.member.provider().capability();
    let mut read = BTreeSet::new();
    if capability.task_filters.status == Support::Native {
        let open = [TaskStatus::InProgress];
        // Which tasks the mirror holds for open, before the answers change that.
        let before = env.store.tasks_in(of.name(), job, &open, u32::MAX).await?;
        if is_small(of, counts::of(stats, TaskStatus::InProgress)) {
            let now_open = read_status(env, of, job, TaskStatus::InProgress).await?;
            read.insert(TaskStatus::InProgress);
            let left = before.into_iter().filter(|(id, _)| !now_open.contains(id));
            read_by_name(env, of, job, left.filter_map(|(_, name)| name).collect()).await?;
        }
        if agrees(env, of, job, stats).await? {
            return changed(env, of, job);
        }
        read_grown(env, of, job, stats, &mut read).await?;
        if agrees(env, of, job, stats).await? {
            return changed(env, of, job);
        }
    }
    changed(env, of, job)?;
    if let Some(entry) = of.lock().jobs.get_mut(job) {
        entry.wants_read.get_or_insert(env.now());
    }
    Ok(())
}

fn changed(env: &Environment, of: &MirroredState, job: &JobId) -> Step {
    if let Some(entry) = of.lock().jobs.get_mut(job) {
        entry.facts.changed_at = env.now();
    }
    Ok(())
}

/// Reads the statuses of which the vendor has more tasks than the mirror: a task that moved is in one of them.
async fn read_grown(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    stats: &JobStats,
    read: &mut BTreeSet<TaskStatus>,
) -> Step {
    let own = env.store.job_state(of.name(), job).await?;
    let own = own.map(|state| state.own_counts).unwrap_or_default();
    let Comparison::Different { grown } = counts::compare(stats, &own) else {
        return Ok(());
    };
    for status in grown {
        if status != TaskStatus::Unknown
            && is_small(of, counts::of(stats, status))
            && read.insert(status)
        {
            read_status(env, of, job, status).await?;
        }
    }
    Ok(())
}

/// Whether a status has few enough tasks to be read whole by a look.
fn is_small(of: &MirroredState, count: Option<u64>) -> bool {
    count.is_some_and(|count| count <= MOST_PAGES * u64::from(of.page_size()))
}

/// Reads all tasks in a status; returns their identifiers.
async fn read_status(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    status: TaskStatus,
) -> Step<HashSet<String>> {
    let filter = TaskFilter {
        status: vec![status],
        ..TaskFilter::default()
    };
    read_tasks(env, of, job, filter).await
}

/// Reads tasks by the names of their devices, as many in a call as the vendor allows.
async fn read_by_name(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    names: Vec<String>,
) -> Step {
    let capability = of.member.provider().capability();
    let most = capability.max_device_names as usize;
    if capability.task_filters.device_name != Support::Native
        || most == 0
        || names.len() > MOST_NAMED
    {
        return Ok(());
    }
    for names in names.chunks(most) {
        let filter = TaskFilter {
            device_names: names
                .iter()
                .map(|name| DeviceName::from(name.as_str()))
                .collect(),
            ..TaskFilter::default()
        };
        match read_tasks(env, of, job, filter).await {
            // A device that the vendor does not know any more hides the others. The counts tell whether something is missing.
            Err(Failed::Vendor(error)) if error.kind() == ErrorKind::InvalidArgument => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Reads all tasks that match a filter and writes them; returns their identifiers.
async fn read_tasks(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    filter: TaskFilter,
) -> Step<HashSet<String>> {
    let mut ids = HashSet::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let request = ListTasks {
            job_id: job.clone(),
            filter: filter.clone(),
            page_size: of.page_size(),
            cursor: cursor.clone(),
        };
        let member = &of.member;
        let read = env.read(of, Reason::ChangedRows, |cx| async move {
            member.list_tasks(&cx, request).await
        });
        let answer = read.await?;
        let (sent_at, page) = (answer.as_of.wall, answer.value);
        let new = page
            .items
            .iter()
            .filter(|task| ids.insert(task.id.as_str().to_owned()));
        let rows: Vec<_> = new
            .cloned()
            .map(|task| task_record(&*env.render, task))
            .collect();
        if rows.is_empty() && !page.items.is_empty() {
            return Err(repeated_page().into());
        }
        let record = TaskPage {
            provider: of.name().clone(),
            vendor: of.vendor(),
            job_id: job.clone(),
            sent_at,
            rows,
            pass: None,
        };
        env.write(WriteKind::Tasks, env.store.write_tasks(&record))
            .await?;
        of.lock().progress_at = Some(env.now());
        match page.next {
            None => return Ok(ids),
            next if next == cursor => return Err(repeated_page().into()),
            next => cursor = next,
        }
    }
}

/// Looks at all running jobs by one list, where its rows carry counts. Jobs that it does not hold are looked at one by one.
pub(crate) async fn running_jobs(env: &Environment, of: &MirroredState, jobs: &[JobId]) -> Step {
    let began_at = env.now();
    let statuses: BTreeSet<JobStatus> = {
        let state = of.lock();
        let known = jobs.iter().filter_map(|job| state.jobs.get(job));
        known.map(|entry| entry.facts.status).collect()
    };
    let filter = JobFilter {
        status: statuses.into_iter().collect(),
        ..JobFilter::default()
    };
    let mut ids = HashSet::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let request = ListJobs {
            filter: filter.clone(),
            page_size: of.page_size(),
            cursor: cursor.clone(),
        };
        let member = &of.member;
        let read = env.read(of, Reason::RunningJob, |cx| async move {
            member.list_jobs(&cx, request).await
        });
        let answer = read.await?;
        let (sent_at, page) = (answer.as_of.wall, answer.value);
        let mut rows = page.items;
        let had_rows = !rows.is_empty();
        rows.retain(|job| ids.insert(job.id.clone()));
        if rows.is_empty() && had_rows {
            return Err(repeated_page().into());
        }
        let record = JobPage {
            provider: of.name().clone(),
            vendor: of.vendor(),
            sent_at,
            full: rows.iter().all(|job| job.detail == Detail::Full),
            rows: rows
                .iter()
                .cloned()
                .map(|job| job_record(&*env.render, job))
                .collect(),
            pass: None,
        };
        env.write(WriteKind::Jobs, env.store.write_jobs(&record))
            .await?;
        let now = env.now();
        let mut state = of.lock();
        state.progress_at = Some(now);
        for job in &rows {
            state.saw_job(job, sent_at, now, true);
        }
        drop(state);
        match page.next {
            None => break,
            next if next == cursor => return Err(repeated_page().into()),
            next => cursor = next,
        }
    }
    compare_all(env, of, jobs, &ids, began_at).await
}

/// Compares the counts of the rows with the mirror: what differs, or was not in the list, is looked at one by one.
async fn compare_all(
    env: &Environment,
    of: &MirroredState,
    jobs: &[JobId],
    listed: &HashSet<JobId>,
    began_at: OffsetDateTime,
) -> Step {
    for job in jobs {
        let told = {
            let mut state = of.lock();
            let Some(entry) = state.jobs.get_mut(job) else {
                continue;
            };
            if !listed.contains(job) {
                entry.wants_look.get_or_insert(began_at);
                continue;
            }
            entry.uncompared.clone()
        };
        let Some((stats, sent_at)) = told else {
            continue;
        };
        let agrees = agrees(env, of, job, &stats).await?;
        if let Some(entry) = of.lock().jobs.get_mut(job) {
            if agrees {
                entry.uncompared = None;
                entry.wants_look = None;
            } else {
                entry.wants_look.get_or_insert(began_at);
            }
        }
        if agrees {
            looked(env, of, job, sent_at).await?;
        }
    }
    Ok(())
}
