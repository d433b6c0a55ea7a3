//! What the gateways on one database tell each other about their syncs: the holder of an account reports, the others show its report and leave requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ota_core::clock::after;
use ota_core::id::ProviderName;
use ota_store::StoreError;
use ota_store::sync_report::{SharedSync, SyncReport};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::schedule::age;
use crate::source::report;
use crate::state::{MirroredState, Remote, State};
use crate::step::Environment;

/// How often reports and requests are read.
const EVERY: Duration = Duration::from_secs(1);

/// How often a report is written that says nothing new but how old it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Reads and writes reports until it is dropped. Does nothing where no other gateway uses the database.
pub(crate) async fn exchange(
    env: &Environment,
    mirrored: &BTreeMap<ProviderName, Arc<MirroredState>>,
    wakes: &BTreeMap<ProviderName, Arc<Notify>>,
) {
    if !mirrored.values().any(|of| of.is_shared()) {
        return;
    }
    loop {
        if let Err(error) = env.patiently(once(env, mirrored, wakes)).await {
            // Whoever asks the database a question logs why it fails.
            tracing::debug!("the gateways cannot exchange reports: {error}");
        }
        let until = after(env.clock.monotonic(), EVERY);
        env.clock.sleep_until(until).await;
    }
}

async fn once(
    env: &Environment,
    mirrored: &BTreeMap<ProviderName, Arc<MirroredState>>,
    wakes: &BTreeMap<ProviderName, Arc<Notify>>,
) -> Result<(), StoreError> {
    let shared = env.store.shared_syncs().await?;
    for (name, of) in mirrored {
        let known = shared.iter().find(|known| known.provider == *name);
        if let Some((report, since)) = known.and_then(|known| known.report.clone()) {
            let written_at = env.now().saturating_sub(spent(since));
            of.set_remote(Remote { report, written_at });
        }
        let done = match known {
            Some(known) => answer(env, of, known, wakes.get(name)).await,
            None => Ok(()),
        };
        match done.and(publish(env, of).await) {
            // The account was lost meanwhile.
            Ok(()) | Err(StoreError::Superseded) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Begins the full pass that was asked for, and says when it has been made. One whose holder dies is begun again by the next one.
async fn answer(
    env: &Environment,
    of: &MirroredState,
    known: &SharedSync,
    wake: Option<&Arc<Notify>>,
) -> Result<(), StoreError> {
    let Some(requested) = known.requested else {
        return Ok(());
    };
    let is_made = {
        let mut state = of.lock();
        if !of.is_current(&state) {
            return Ok(());
        }
        let is_new = state.accepted != Some(requested);
        if is_new {
            state.accepted = Some(requested);
            request_full_pass(&mut state, env.now());
        }
        !is_new && !state.full.requested
    };
    if is_made {
        return env.store.full_pass_made(of.name(), requested).await;
    }
    if let Some(wake) = wake {
        wake.notify_one();
    }
    Ok(())
}

/// Makes a full pass due now, or joins the one that runs.
pub(crate) fn request_full_pass(state: &mut State, now: OffsetDateTime) {
    if state.list.pass.is_none() && !state.list.busy {
        state.list.requested_at.get_or_insert(now);
        state.list.retry.not_before = None;
    }
    // Who asks for a pass does not want to wait for what failed before.
    for entry in state.jobs.values_mut() {
        entry.reading.not_before = None;
        entry.looking.not_before = None;
    }
    state.full.requested = true;
}

/// Writes the report of an account that this process holds, if it says something new or the last one has become old.
async fn publish(env: &Environment, of: &MirroredState) -> Result<(), StoreError> {
    let Some(report) = report(env, of) else {
        return Ok(());
    };
    let now = env.now();
    let is_due = match &of.lock().published {
        Some((last, at)) => news(last) != news(&report) || age(now, *at) >= REPORT_EVERY,
        None => true,
    };
    if is_due {
        env.store.report_sync(of.name(), &report).await?;
        of.lock().published = Some((report, now));
    }
    Ok(())
}

/// A report without what changes by time alone.
fn news(report: &SyncReport) -> SyncReport {
    SyncReport {
        lag_s: None,
        eta_s: None,
        ..report.clone()
    }
}

fn spent(since: Duration) -> time::Duration {
    time::Duration::try_from(since).unwrap_or(time::Duration::MAX)
}
