//! A look at a job: what the vendor counts, and then only the rows that can have changed.

use std::collections::{BTreeSet, HashSet};

use futures_util::future::{try_join, try_join_all};
use ota_core::ErrorKind;
use ota_core::capability::{Support, TaskOrder};
use ota_core::filter::{JobFilter, TaskFilter};
use ota_core::id::JobId;
use ota_core::job::{Detail, JobStats, JobStatus};
use ota_core::provider::{Cursor, GetJob, ListJobs};
use ota_core::task::TaskStatus;
use ota_store::record::JobPage;
use time::OffsetDateTime;

use crate::counts::{self, Comparison, Part};
use crate::observer::{Reason, WriteKind};
use crate::open_tasks::{OpenPart, goes_on, open_parts, read_on};
use crate::pages::{counts_in_rows, deep_page, details, missing};
use crate::records::job_record;
use crate::schedule::later;
use crate::state::MirroredState;
use crate::step::{Environment, Failed, Step, is_about_vendor, repeated_page};
use crate::task_pages::{read_all, read_page};

/// The most pages of one status that a look reads because it has grown; where more can have changed, all tasks are read, page by page between other work.
const MOST_PAGES: u64 = 5;

/// What the vendor counts, and the open tasks that came with it.
struct Counted {
    stats: JobStats,
    sent_at: OffsetDateTime,
    open: Vec<OpenPart>,
    /// Whether an open task was not as the mirror had it.
    moved: bool,
}

/// Looks at one job.
pub(crate) async fn look(env: &Environment, of: &MirroredState, job: &JobId) -> Step {
    let manner = of.manner(env.settings);
    let (told, reads_all, before) = {
        let mut state = of.lock();
        let Some(entry) = state.jobs.get_mut(job) else {
            return Ok(());
        };
        let reads_all = !manner.counts_in_rows && manner.reads_all(env.now(), entry);
        (entry.uncompared.take(), reads_all, entry.counts.clone())
    };
    if reads_all {
        return look_at_all(env, of, job).await;
    }
    let counted = match told {
        Some((stats, sent_at)) => Ok(Some(Counted::of(stats, sent_at))),
        None if manner.counts_in_totals => count_parts(env, of, job).await,
        None => ask_counts(env, of, job).await,
    };
    let counted = match counted {
        Err(Failed::Vendor(error)) if error.kind() == ErrorKind::NotFound => {
            missing(env, of, job);
            return Ok(());
        }
        other => other?,
    };
    let Some(mut counted) = counted else {
        // The vendor does not know the job.
        return Ok(());
    };
    let sent_at = counted.sent_at;
    judge_counts(env, of, job, &mut counted, before.as_ref()).await?;
    looked(env, of, job, sent_at).await
}

impl Counted {
    fn of(stats: JobStats, sent_at: OffsetDateTime) -> Self {
        Self {
            stats,
            sent_at,
            open: Vec::new(),
            moved: false,
        }
    }
}

/// Writes what was counted, and reads the rows that can have changed.
async fn judge_counts(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    counted: &mut Counted,
    before: Option<&JobStats>,
) -> Step {
    let stats = counted.stats.clone();
    // Counts that do not add up were counted while tasks moved: not to be shown.
    if stats.total.is_none_or(|total| total >= stats.counted()) {
        let counts = env
            .store
            .write_counts(of.name(), job, counted.sent_at, &stats);
        env.write(WriteKind::Counts, counts).await?;
    }
    let (status, truncated) = {
        let mut state = of.lock();
        let Some(entry) = state.jobs.get_mut(job) else {
            return Ok(());
        };
        entry.counts = Some(stats.clone());
        if counted.moved {
            entry.facts.changed_at = env.now();
        }
        (entry.facts.status, entry.truncated)
    };
    if !status.has_ended() && counts::nothing_open(&stats) && !counts_in_rows(of) {
        details(env, of, job, Reason::RunningJob).await?;
    }
    // Of a job that is not shown in full the rows are never as many as the vendor counts.
    let unchanged = truncated && before == Some(&stats);
    let agrees = unchanged || agrees(env, of, job, &stats).await?;
    let moved = counted.moved || !agrees;
    if !counted.open.is_empty() {
        read_on(env, of, job, &mut counted.open, moved).await?;
    }
    if !agrees {
        changed_rows(env, of, job, counted).await?;
    }
    Ok(())
}

/// Looks at a job whose tasks are so few that reading all of them costs no more than counting them.
async fn look_at_all(env: &Environment, of: &MirroredState, job: &JobId) -> Step {
    let read_at = loop {
        if let Err(failed) = deep_page(env, of, job, Some(Reason::RunningJob)).await {
            // The next look counts.
            read_failed(env, of, job, &failed);
            return Err(failed);
        }
        let mut state = of.lock();
        match state.jobs.get_mut(job) {
            None => return Ok(()),
            Some(entry) if entry.pass.is_none() => break entry.read_at,
            Some(_) => {}
        }
    };
    let own = env.store.job_state(of.name(), job).await?;
    let nothing_open = own.is_some_and(|own| {
        !own.status.has_ended() && counts::nothing_open(&counts::with_total(own.own_counts))
    });
    if nothing_open {
        details(env, of, job, Reason::RunningJob).await?;
    }
    match read_at {
        Some(read_at) => looked(env, of, job, read_at).await,
        None => Ok(()),
    }
}

fn read_failed(env: &Environment, of: &MirroredState, job: &JobId, failed: &Failed) {
    let own = |error: &ota_core::Error| !error.is_local() && !is_about_vendor(error.kind());
    if !matches!(failed, Failed::Vendor(error) if own(error)) {
        return;
    }
    if let Some(entry) = of.lock().jobs.get_mut(job) {
        let now = env.now();
        let waits = entry.read_waits(now, &env.settings);
        entry.reading.failed(now, waits);
    }
}

/// Asks for the counts of a job; none when the vendor does not know it.
async fn ask_counts(env: &Environment, of: &MirroredState, job: &JobId) -> Step<Option<Counted>> {
    if counts_in_rows(of) {
        let found = details(env, of, job, Reason::RunningJob).await?;
        return Ok(found.map(|(job, at)| Counted::of(job.stats.unwrap_or_default(), at)));
    }
    let request = GetJob {
        job_id: job.clone(),
    };
    let member = &of.member;
    let read = env.read(of, Reason::RunningJob, |cx| async move {
        member.job_stats(&cx, request).await
    });
    let answer = read.await?;
    let mut counted = Counted::of(answer.value, answer.as_of.wall);
    for part in open_parts(of) {
        // Without one of them there is nothing to read; one that left is found by the counts.
        if counts::of(&counted.stats, part.status()) == Some(0) {
            continue;
        }
        let (part, page) = OpenPart::read(env, of, job, part, Reason::RunningJob).await?;
        counted.moved |= page.changed;
        counted.open.push(part);
    }
    Ok(Some(counted))
}

/// Counts a job by parts, all at once so that few tasks move between two counts. The open tasks come with their counts.
async fn count_parts(env: &Environment, of: &MirroredState, job: &JobId) -> Step<Option<Counted>> {
    let own = env.store.job_state(of.name(), job).await?;
    let unknown = own.and_then(|own| own.own_counts.unknown).unwrap_or(0) > 0;
    let has_skipped = of.member.provider().capability().fields;
    let has_skipped = has_skipped.job_stats.contains(&"skipped");
    let others = Part::OTHER
        .into_iter()
        .filter(|part| has_skipped || *part != Part::Status(TaskStatus::Skipped));
    let one = |filter: TaskFilter| read_page(env, of, job, (filter, 1), None, Reason::RunningJob);
    let open = open_parts(of).map(|part| async move {
        let (open, page) = OpenPart::read(env, of, job, part, Reason::RunningJob).await?;
        Ok::<_, Failed>((part, page, Some(open)))
    });
    let others = others.map(|part| async move {
        let page = one(part.filter()).await?;
        Ok((part, page, None))
    });
    let (open, others) = try_join(try_join_all(open), try_join_all(others)).await?;
    let mut counted = Counted::of(JobStats::default(), env.now());
    let mut parts = Vec::new();
    for (part, page, read) in open.into_iter().chain(others) {
        counted.sent_at = counted.sent_at.min(page.sent_at);
        counted.moved |= page.changed && read.is_some();
        counted.open.extend(read);
        match page.count() {
            Some(count) => parts.push((part, count)),
            None => return ask_counts(env, of, job).await,
        }
    }
    // The call for all tasks says only whether some are in unknown statuses. With many open tasks it is better spent on a page of them; there, a deep pass finds those.
    let total = match goes_on(&counted.open) && !unknown {
        true => None,
        false => one(TaskFilter::default()).await?.count(),
    };
    counted.stats = counts::sum(&parts, total);
    let status = of.lock().jobs.get(job).map(|entry| entry.facts.status);
    counted.stats.outcome = status.and_then(|status| counted.stats.proven_outcome(status));
    Ok(Some(counted))
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
        entry.looking.well();
        let is_well = entry.reading.is_well() && !entry.truncated;
        if entry.wants_look.is_some_and(|since| since <= sent_at) {
            entry.wants_look = None;
        }
        let every = entry.wanted(now, &env.settings).look;
        if is_well {
            state.doubts.remove(&Some(job.clone()));
        }
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
    counted: &mut Counted,
) -> Step {
    let stats = &counted.stats;
    if of.member.provider().capability().task_filters.status == Support::Native {
        if counted.open.is_empty() {
            for part in open_parts(of) {
                let (part, _) = OpenPart::read(env, of, job, part, Reason::ChangedRows).await?;
                counted.open.push(part);
            }
            read_on(env, of, job, &mut counted.open, true).await?;
        }
        if agrees(env, of, job, stats).await? {
            return changed(env, of, job);
        }
        read_grown(env, of, job, stats).await?;
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
async fn read_grown(env: &Environment, of: &MirroredState, job: &JobId, stats: &JobStats) -> Step {
    let own = env.store.job_state(of.name(), job).await?;
    let own = own.map(|state| state.own_counts).unwrap_or_default();
    let Comparison::Different { grown } = counts::compare(stats, &own) else {
        return Ok(());
    };
    let signs = of.member.provider().capability().change_signs;
    let changed_first = signs.task_order == TaskOrder::ChangedFirst;
    for status in grown {
        // Those in progress have been read.
        let read = matches!(status, TaskStatus::Unknown | TaskStatus::InProgress);
        if !read && (changed_first || is_small(of, counts::of(stats, status))) {
            let filter = Part::Status(status).filter();
            read_all(env, of, job, &filter).await?;
        }
    }
    Ok(())
}

/// Whether a status has few enough tasks to be read whole by a look.
fn is_small(of: &MirroredState, count: Option<u64>) -> bool {
    count.is_some_and(|count| count <= MOST_PAGES * u64::from(of.page_size()))
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
