//! One page of a pass, written with the progress of its pass in one transaction.
//!
//! A pass that fails goes on from its cursor: the failed page is asked for again. It is begun again only when the vendor refuses the cursor.

use std::collections::HashSet;
use std::time::Duration;

use ota_core::ErrorKind;
use ota_core::id::JobId;
use ota_core::job::{Detail, Job};
use ota_core::provider::{Cursor, GetJob, ListJobs, ListTasks, Page};
use ota_core::task::Task;
use ota_store::pass::{Ended, LeftOut, OpenPass, PassEnd, PassOf};
use ota_store::record::{JobPage, Progress, TaskPage};
use time::OffsetDateTime;

use crate::counts;
use crate::job_entry::not_whole;
use crate::observer::{PassKind, Reason, WriteKind};
use crate::records::{job_record, task_record};
use crate::settings::SyncSettings;
use crate::state::MirroredState;
use crate::step::{Environment, Failed, Step, repeated_page};

/// So many pages in a row without a row that the pass had not seen are no moving rows any more: the vendor repeats itself.
const MOST_STALE_PAGES: u32 = 3;

/// A row that a complete pass missed is looked for again after this time, so that it does not stay for a whole interval.
const CONFIRM_AFTER: Duration = Duration::from_secs(60);

/// The first and the longest wait after a list pass that failed or was not complete.
pub(crate) fn list_waits(settings: &SyncSettings) -> (Duration, Duration) {
    (settings.max_lag, settings.full_pass)
}

/// Reads and writes one page of the list pass of a provider, and ends the pass behind its last page.
pub(crate) async fn list_page(env: &Environment, of: &MirroredState) -> Step {
    let kept = of.lock().list.pass.take();
    let mut pass = match kept {
        Some(pass) => pass,
        None => {
            let begun = PassOf::Jobs(of.name().clone());
            env.store.begin_pass(&begun, env.now()).await?
        }
    };
    of.lock().begin_full(pass.began_at);
    if pass.at_end {
        // The process ended between the last page and the end of the pass.
        let end = end_of(&pass, false);
        return end_list(env, of, pass, &end).await;
    }
    let request = ListJobs {
        filter: Default::default(),
        page_size: of.page_size(),
        cursor: pass.cursor.clone().map(Cursor),
    };
    let reason = reason(of);
    let member = &of.member;
    let read = env.read(of, reason, |cx| async move {
        let answer = member.list_jobs(&cx, request).await?;
        Ok((answer, cx.calls.summary().count))
    });
    let (answer, calls) = match read.await {
        Ok(read) => read,
        Err(error) if error.is_invalid_cursor() && pass.cursor.is_some() => {
            return begin_again(env, of, pass).await;
        }
        Err(error) => return Err(error.into()),
    };
    let (sent_at, page) = (answer.as_of.wall, answer.value);
    let progress = advance(&mut pass, &page, calls)?;
    let full = page.items.iter().all(|job| job.detail == Detail::Full);
    let rows = once(page.items, |job: &Job| job.id.as_str().to_owned());
    let record = JobPage {
        provider: of.name().clone(),
        vendor: of.vendor(),
        sent_at,
        full,
        rows: rows
            .iter()
            .cloned()
            .map(|job| job_record(&*env.render, job))
            .collect(),
        pass: Some((pass.id, progress)),
    };
    let written = env
        .write(WriteKind::Jobs, env.store.write_jobs(&record))
        .await?;
    pass.seen += written.first_seen;
    let now = env.now();
    let stale = {
        let mut state = of.lock();
        let counts_in_rows = counts_in_rows(of);
        for job in &rows {
            state.saw_job(job, sent_at, now, counts_in_rows);
        }
        state.full.jobs_seen = pass.seen;
        state.progress_at = Some(now);
        state.list.stale_pages = match written.first_seen == 0 && !rows.is_empty() {
            true => state.list.stale_pages + 1,
            false => 0,
        };
        state.list.stale_pages >= MOST_STALE_PAGES
    };
    if pass.at_end || stale {
        let end = end_of(&pass, stale);
        return end_list(env, of, pass, &end).await;
    }
    of.lock().list.pass = Some(pass);
    Ok(())
}

async fn begin_again(env: &Environment, of: &MirroredState, pass: OpenPass) -> Step {
    let end = PassEnd::Incomplete { problem: None };
    env.write(
        WriteKind::EndPass,
        env.store.end_pass(pass.id, &end, env.now()),
    )
    .await?;
    env.observer.pass_ended(of.name(), PassKind::List, false);
    let waits = list_waits(&env.settings);
    of.lock().list.retry.refused(env.now(), waits);
    Ok(())
}

async fn end_list(env: &Environment, of: &MirroredState, pass: OpenPass, end: &PassEnd) -> Step {
    let now = env.now();
    let ended = env
        .write(WriteKind::EndPass, env.store.end_pass(pass.id, end, now))
        .await?;
    env.observer
        .pass_ended(of.name(), PassKind::List, ended.complete);
    let mut state = of.lock();
    let problem = problem_of("the list of jobs", end, &ended, &pass);
    match problem {
        Some(problem) => state.doubts.insert(None, problem),
        None => state.doubts.remove(&None),
    };
    let list = &mut state.list;
    list.stale_pages = 0;
    list.last_at = Some(pass.began_at);
    list.reached_end = true;
    if list.requested_at.is_some_and(|at| at <= pass.began_at) {
        list.requested_at = None;
    }
    if ended.complete {
        list.complete_at = Some(pass.began_at);
    }
    if ended.complete || *end == PassEnd::Truncated {
        list.covered_at = Some(pass.began_at);
    }
    let waits = list_waits(&env.settings);
    if ended.missing > 0 || ended.doubted {
        // With rows that are missing for the first time the next pass comes soon, and decides.
        list.retry.confirm(now, CONFIRM_AFTER, waits);
    } else if ended.complete || *end == PassEnd::Truncated {
        list.retry.well();
    } else {
        list.retry.failed(now, waits);
    }
    if list.retry.waits(now) {
        list.requested_at.get_or_insert(now);
    }
    state.after_list(now, &env.settings);
    // What has vanished is not looked at any more: the jobs are read from the database again.
    state.loaded &= ended.vanished == 0;
    Ok(())
}

/// Reads and writes one page of all tasks of a job, and ends the pass behind its last page. `why` is the reason of its calls where it is not a pass of its own.
pub(crate) async fn deep_page(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    why: Option<Reason>,
) -> Step {
    let (kept, summary, read_again) = {
        let mut state = of.lock();
        let Some(entry) = state.jobs.get_mut(job) else {
            return Ok(());
        };
        (entry.pass.take(), entry.summary, entry.read_again)
    };
    let mut pass = match kept {
        Some(pass) => pass,
        None => {
            let begun = PassOf::Tasks(of.name().clone(), job.clone());
            env.store.begin_pass(&begun, env.now()).await?
        }
    };
    // What a detail told by other settings is told again.
    if (summary || read_again) && pass.cursor.is_none() {
        details(env, of, job, Reason::Details).await?;
    }
    if pass.at_end {
        let end = end_of(&pass, false);
        return end_deep(env, of, job, pass, &end).await;
    }
    let request = ListTasks {
        job_id: job.clone(),
        filter: Default::default(),
        page_size: of.page_size(),
        cursor: pass.cursor.clone().map(Cursor),
    };
    let member = &of.member;
    let why = why.unwrap_or_else(|| reason(of));
    let read = env.read(of, why, |cx| async move {
        let answer = member.list_tasks(&cx, request).await?;
        Ok((answer, cx.calls.summary().count))
    });
    let (answer, calls) = match read.await {
        Ok(read) => read,
        Err(error) if error.is_invalid_cursor() && pass.cursor.is_some() => {
            let end = PassEnd::Incomplete { problem: None };
            env.write(
                WriteKind::EndPass,
                env.store.end_pass(pass.id, &end, env.now()),
            )
            .await?;
            env.observer.pass_ended(of.name(), PassKind::Deep, false);
            if let Some(entry) = of.lock().jobs.get_mut(job) {
                let (now, settings) = (env.now(), &env.settings);
                let waits = entry.read_waits(now, settings);
                entry.reading.refused(now, waits);
            }
            return Ok(());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let end = PassEnd::Incomplete { problem: None };
            env.write(
                WriteKind::EndPass,
                env.store.end_pass(pass.id, &end, env.now()),
            )
            .await?;
            missing(env, of, job);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let (sent_at, page) = (answer.as_of.wall, answer.value);
    let progress = advance(&mut pass, &page, calls)?;
    let rows = once(page.items, |task: &Task| task.id.as_str().to_owned());
    let some = !rows.is_empty();
    let record = TaskPage {
        provider: of.name().clone(),
        vendor: of.vendor(),
        job_id: job.clone(),
        sent_at,
        rows: rows
            .into_iter()
            .map(|task| task_record(&*env.render, task))
            .collect(),
        pass: Some((pass.id, progress)),
    };
    let written = env
        .write(WriteKind::Tasks, env.store.write_tasks(&record))
        .await?;
    pass.seen += written.first_seen;
    let now = env.now();
    let stale = {
        let mut state = of.lock();
        state.progress_at = Some(now);
        state.count_tasks(job, pass.id, written.first_seen);
        let Some(entry) = state.jobs.get_mut(job) else {
            return Ok(());
        };
        if written.changed > 0 {
            entry.facts.changed_at = now;
        }
        entry.stale_pages = match written.first_seen == 0 && some {
            true => entry.stale_pages + 1,
            false => 0,
        };
        entry.stale_pages >= MOST_STALE_PAGES
    };
    if pass.at_end || stale {
        let end = end_of(&pass, stale);
        return end_deep(env, of, job, pass, &end).await;
    }
    if let Some(entry) = of.lock().jobs.get_mut(job) {
        entry.pass = Some(pass);
    }
    Ok(())
}

async fn end_deep(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    pass: OpenPass,
    end: &PassEnd,
) -> Step {
    let now = env.now();
    let ended = env
        .write(WriteKind::EndPass, env.store.end_pass(pass.id, end, now))
        .await?;
    env.observer
        .pass_ended(of.name(), PassKind::Deep, ended.complete);
    let counted = env.store.job_state(of.name(), job).await?;
    let mut state = of.lock();
    let what = format!("the tasks of job `{job}`");
    let problem = problem_of(&what, end, &ended, &pass);
    match problem {
        Some(problem) => state.doubts.insert(Some(job.clone()), problem),
        None => state.doubts.remove(&Some(job.clone())),
    };
    let settings = &env.settings;
    let Some(entry) = state.jobs.get_mut(job) else {
        return Ok(());
    };
    entry.stale_pages = 0;
    entry.read_at = Some(pass.began_at);
    entry.truncated = *end == PassEnd::Truncated;
    entry.read_again &= !(ended.complete || entry.truncated);
    if let Some(counted) = counted {
        let own = counts::with_total(counted.own_counts);
        let own = (ended.complete && !counts_in_rows(of)).then_some(own);
        entry.counts = own.or(counted.vendor_counts).or(entry.counts.take());
    }
    if entry.wants_read.is_some_and(|since| since <= pass.began_at) {
        entry.wants_read = None;
    }
    let good = ended.complete || *end == PassEnd::Truncated;
    if good && entry.looked_at.is_none() {
        entry.looked_at = Some(pass.began_at);
    }
    let waits = entry.read_waits(now, settings);
    if ended.missing > 0 || ended.doubted {
        entry.wants_read = Some(now);
        let soon = CONFIRM_AFTER.min(settings.max_lag);
        entry.reading.confirm(now, soon, waits);
    } else if good {
        entry.reading.well();
    } else {
        entry.wants_read = Some(now);
        entry.reading.failed(now, waits);
    }
    Ok(())
}

/// Reads what the rows of a list leave out of a job; returns it as the vendor told it.
pub(crate) async fn details(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    reason: Reason,
) -> Step<Option<(Job, OffsetDateTime)>> {
    let request = GetJob {
        job_id: job.clone(),
    };
    let member = &of.member;
    let read = env.read(of, reason, |cx| async move {
        member.get_job(&cx, request).await
    });
    let answer = match read.await {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            missing(env, of, job);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let (sent_at, found) = (answer.as_of.wall, answer.value);
    let record = JobPage {
        provider: of.name().clone(),
        vendor: of.vendor(),
        sent_at,
        full: found.detail == Detail::Full,
        rows: vec![job_record(&*env.render, found.clone())],
        pass: None,
    };
    env.write(WriteKind::Jobs, env.store.write_jobs(&record))
        .await?;
    let mut state = of.lock();
    let now = env.now();
    state.progress_at = Some(now);
    if let Some(entry) = state.jobs.get_mut(job) {
        // Not through the row of the list: a detail may tell fields that rows leave out, and would differ from it each time.
        if entry.facts.status != found.status {
            entry.facts.status = found.status;
            entry.facts.changed_at = now;
            if found.status.has_ended() {
                entry.wants_read.get_or_insert(now);
            }
        }
        entry.summary = false;
    }
    drop(state);
    Ok(Some((found, sent_at)))
}

/// The vendor does not know a job. That alone proves nothing: a list pass comes soon, and passes decide.
pub(crate) fn missing(env: &Environment, of: &MirroredState, job: &JobId) {
    let now = env.now();
    let mut state = of.lock();
    state.progress_at = Some(now);
    if state.list.pass.is_none() {
        state.list.requested_at.get_or_insert(now);
    }
    if let Some(entry) = state.jobs.get_mut(job) {
        entry.wants_read = None;
        entry.wants_look = Some(now);
        // It cannot be read, and must not keep the first pass open.
        let waits = (CONFIRM_AFTER, env.settings.full_pass);
        entry.reading.failed(now, waits);
        entry.looking.failed(now, waits);
    }
}

/// Whether rows of the list carry counts.
pub(crate) fn counts_in_rows(of: &MirroredState) -> bool {
    of.member
        .provider()
        .capability()
        .change_signs
        .counts_in_rows
}

/// The reason of a page of a pass.
fn reason(of: &MirroredState) -> Reason {
    match of.lock().first_pass_at {
        None => Reason::FirstPass,
        Some(_) => Reason::FullPass,
    }
}

/// Notes a page in its pass, and returns what is written with its rows.
fn advance<T>(
    pass: &mut OpenPass,
    page: &Page<T>,
    calls: u32,
) -> std::result::Result<Progress, Failed> {
    let next = page.next.as_ref().map(|cursor| cursor.0.clone());
    if next.is_some() && next == pass.cursor {
        return Err(repeated_page().into());
    }
    if pass.cursor.is_none() {
        pass.first_total = page.total;
    }
    pass.last_total = page.total.or(pass.last_total);
    pass.calls += u64::from(calls);
    pass.at_end = next.is_none();
    pass.cursor.clone_from(&next);
    pass.left_out.truncated |= page.truncated && !page.missing_named;
    for problem in &page.problems {
        let package = problem.package_id.as_str();
        pass.left_out.add_package(package, problem.message.clone());
    }
    Ok(Progress {
        cursor: next,
        total: page.total,
        calls,
        left_out: pass.left_out.clone(),
    })
}

/// What a pass proves whose end was reached, or that was `stale`.
fn end_of(pass: &OpenPass, stale: bool) -> PassEnd {
    match (stale, pass.left_out.truncated) {
        (true, _) => PassEnd::Incomplete {
            problem: Some(repeated_page().message().to_owned()),
        },
        (false, true) => PassEnd::Truncated,
        (false, false) => PassEnd::Complete,
    }
}

/// The most packages that a problem names.
const MOST_NAMED: usize = 3;

/// Says which packages could not be read.
fn packages(left_out: &LeftOut) -> Option<String> {
    let named = left_out.packages.iter().take(MOST_NAMED);
    let mut named: Vec<String> = named
        .map(|(id, reason)| format!("package `{id}`: {reason}"))
        .collect();
    let more = left_out.packages.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        named.push(format!("{more} more packages"));
    }
    (!named.is_empty()).then(|| named.join("; "))
}

/// Returns what an operator must know about the end of a pass.
fn problem_of(what: &str, end: &PassEnd, ended: &Ended, pass: &OpenPass) -> Option<String> {
    if ended.doubted {
        return Some(format!(
            "{what}: more than half would have vanished; a third pass must agree before that is believed"
        ));
    }
    let skipped = || {
        packages(&pass.left_out)
            .map(|skipped| format!("{what}: {skipped}; their jobs stay as they were"))
    };
    match end {
        PassEnd::Incomplete { problem } => problem.as_ref().map(|text| format!("{what}: {text}")),
        PassEnd::Truncated => Some(skipped().unwrap_or_else(|| not_whole(what))),
        PassEnd::Complete if ended.complete => skipped(),
        PassEnd::Complete => {
            let total = pass.last_total.or(pass.first_total).unwrap_or_default();
            Some(format!(
                "{what}: the vendor counts {total} and returned {}; what it no longer has cannot be told from that",
                pass.seen
            ))
        }
    }
}

/// Leaves each row once, the first one.
fn once<T>(rows: Vec<T>, id: impl Fn(&T) -> String) -> Vec<T> {
    let mut known = HashSet::new();
    let mut rows = rows;
    rows.retain(|row| known.insert(id(row)));
    rows
}
