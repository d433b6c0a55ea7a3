//! How far the sync of a provider is: from memory where this process holds the account, from what its holder reported elsewhere.

use std::time::Duration;

use ota_fleet::HealthState;
use ota_store::sync_report::SyncReport;
use time::OffsetDateTime;

use crate::job_entry::JobEntry;
use crate::schedule::age;
use crate::state::{MirroredState, Remote, State};
use crate::status::{Phase, Rows, SourceState, SyncStatus};
use crate::step::Environment;

/// A holder writes a report each few seconds. Without one for so long, no gateway reads the provider.
const SILENCE: Duration = Duration::from_secs(15);

/// How far the sync of a provider is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The time as of which all rows were true.
    pub(crate) as_of: Option<OffsetDateTime>,
    /// Without the rows, which stand in the database.
    pub(crate) status: SyncStatus,
}

/// Returns how far the sync of a provider is; `database` says why the database cannot be used, if so.
pub(crate) fn progress(
    env: &Environment,
    of: &MirroredState,
    database: Option<String>,
) -> Progress {
    let mut state = of.lock();
    let mut progress = match of.is_current(&state) {
        true => own(env, of, &mut state),
        false => {
            drop(state);
            reported(env, of)
        }
    };
    if database.is_some() {
        progress.status.state = SourceState::Unavailable;
        progress.status.problem = database;
    }
    progress
}

/// Returns how late the sync of a provider is.
pub(crate) fn lag(env: &Environment, of: &MirroredState) -> Duration {
    let mut state = of.lock();
    if of.is_current(&state) {
        state.refresh(env.now(), &of.manner(env.settings));
        return state.lag(env.now(), &env.settings);
    }
    drop(state);
    Duration::from_secs(reported(env, of).status.lag_s.unwrap_or_default())
}

/// What this process knows, which holds the account.
fn own(env: &Environment, of: &MirroredState, state: &mut State) -> Progress {
    let now = env.now();
    let settings = &env.settings;
    state.refresh(now, &of.manner(*settings));
    let health = of.member.health();
    let lag = state.lag(now, settings);
    let failing = state
        .failing
        .as_ref()
        .filter(|failing| failing.count > 1 || health.state == HealthState::Down);
    let stuck = state.is_stuck(now).then(|| {
        let why = state
            .failing
            .as_ref()
            .map(|failing| failing.message.clone());
        format!(
            "no progress for five minutes{}",
            why.map_or_else(String::new, |why| format!(": {why}"))
        )
    });
    let word = match () {
        () if failing.is_some() => SourceState::Unavailable,
        () if state.first_pass_at.is_none() => SourceState::Syncing,
        () if lag > settings.max_lag => SourceState::Behind,
        () => SourceState::Current,
    };
    let failing = failing.map(|failing| failing.message.clone());
    Progress {
        as_of: state.as_of(),
        status: SyncStatus {
            provider: of.name().clone(),
            state: word,
            phase: Some(phase(state)),
            started_at: state.full.started_at,
            jobs_seen: state.full.jobs_seen,
            tasks_seen: state.full.tasks_seen,
            tasks_total: state.tasks_total(),
            calls: state.full.calls,
            eta_s: state.eta_s(now),
            last_full_pass_at: state.list.complete_at,
            lag_s: state.first_pass_at.map(|_| lag.as_secs()),
            rows: Rows::default(),
            problem: stuck.or(failing).or_else(|| state.problem()),
        },
    }
}

fn phase(state: &State) -> Phase {
    if state.list.busy || state.list.pass.is_some() {
        return Phase::Jobs;
    }
    let reading = |entry: &JobEntry| {
        entry.busy || entry.pass.is_some() || entry.wants_read.is_some() || entry.read_at.is_none()
    };
    match state.jobs.values().any(reading) {
        true => Phase::Tasks,
        false => Phase::Idle,
    }
}

/// What the holder of the account reported last.
fn reported(env: &Environment, of: &MirroredState) -> Progress {
    let Some(Remote { report, written_at }) = of.remote() else {
        return Progress {
            as_of: None,
            status: SyncStatus {
                phase: Some(Phase::Idle),
                ..SyncStatus::of(of.name(), SourceState::Syncing)
            },
        };
    };
    let since = age(env.now(), written_at);
    let silent = since > SILENCE;
    // Looks are as old as the report is, and a list pass that was not late has become it only if nobody reports any more.
    let lag_s = report.lag_s.map(|lag| match lag == 0 && !silent {
        true => 0,
        false => lag.saturating_add(since.as_secs()),
    });
    let word = SourceState::ALL
        .iter()
        .find(|state| state.as_str() == report.state);
    let late = lag_s.is_some_and(|lag| Duration::from_secs(lag) > env.settings.max_lag);
    let word = match word.copied().unwrap_or(SourceState::Behind) {
        SourceState::Current if late => SourceState::Behind,
        word => word,
    };
    let silence = silent.then(|| {
        let seconds = since.as_secs();
        format!("no gateway has read this provider for {seconds} s: none holds its vendor account")
    });
    let phase = Phase::ALL
        .iter()
        .find(|phase| Some(phase.as_str()) == report.phase.as_deref());
    Progress {
        as_of: report.as_of,
        status: SyncStatus {
            provider: of.name().clone(),
            state: word,
            phase: Some(phase.copied().unwrap_or(Phase::Idle)),
            started_at: report.started_at,
            jobs_seen: report.jobs_seen,
            tasks_seen: report.tasks_seen,
            tasks_total: report.tasks_total,
            calls: report.calls,
            eta_s: report.eta_s,
            last_full_pass_at: report.last_full_pass_at,
            lag_s,
            rows: Rows::default(),
            problem: silence.or(report.problem),
        },
    }
}

/// Returns the report of what this process knows; none where it does not hold the account, or has not read its rows yet.
pub(crate) fn report(env: &Environment, of: &MirroredState) -> Option<SyncReport> {
    let mut state = of.lock();
    if !of.is_current(&state) {
        return None;
    }
    let Progress { as_of, status } = own(env, of, &mut state);
    Some(SyncReport {
        state: status.state.as_str().to_owned(),
        phase: status.phase.map(|phase| phase.as_str().to_owned()),
        as_of,
        lag_s: status.lag_s,
        problem: status.problem,
        started_at: status.started_at,
        jobs_seen: status.jobs_seen,
        tasks_seen: status.tasks_seen,
        tasks_total: status.tasks_total,
        calls: status.calls,
        eta_s: status.eta_s,
        last_full_pass_at: status.last_full_pass_at,
    })
}
