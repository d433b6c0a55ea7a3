//! Reads that must all reach the vendor, on an account of 10 calls a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ota_sim::{FleetShape, QuotaSetting, Refusal};

use crate::gateway::{self, Gateway, PROVIDER, client};
use crate::report::{Goal, Report};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "quota";
const CLIENTS: usize = 24;
const CALLS_A_SECOND: u32 = 10;

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let reads: usize = if setting.quick { 40 } else { 120 };
    let jobs = u32::try_from(reads)?;
    let sim = gateway::simulated(
        FleetShape::uniform(jobs, 3).frozen(),
        QuotaSetting::Changed {
            calls: Some(CALLS_A_SECOND),
            window: Some(Duration::from_secs(1)),
        },
    )
    .await?;
    let gateway = Gateway::start(setting, &gateway::one_section(&sim.url(), "")?).await?;
    let token = gateway.authorization()?;
    let client = client()?;
    let urls: Arc<Vec<String>> = Arc::new(
        sim.fleet()
            .jobs
            .iter()
            .map(|job| gateway.url(&format!("{PROVIDER}/jobs/{}", job.id)))
            .collect(),
    );
    let (next, good) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, token, urls) = (client.clone(), token.clone(), Arc::clone(&urls));
            let (next, good) = (Arc::clone(&next), Arc::clone(&good));
            tokio::spawn(async move {
                while let Some(url) = urls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = client.get(url).header("Authorization", &token).send().await;
                    if answer.is_ok_and(|answer| answer.status().is_success()) {
                        good.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await?;
    }
    let arrivals: Vec<f64> = sim
        .requests()
        .iter()
        .map(|request| request.at.as_secs_f64())
        .collect();
    let first = arrivals.iter().copied().fold(f64::INFINITY, f64::min);
    let last = arrivals.iter().copied().fold(0.0, f64::max);
    let per_second = f64::from(CALLS_A_SECOND);
    // Between the first and the last arrival there was room for that many calls.
    let room = per_second + per_second * (last - first);
    let counters = sim.counters();
    report.row(
        SCENARIO,
        &format!("good answers, of {reads} different reads by {CLIENTS} clients"),
        good.load(Ordering::Relaxed) as f64,
        "",
        Goal::AtLeast(reads as f64),
    );
    report.row(
        SCENARIO,
        "throttled at the vendor",
        counters.refused_for(Refusal::Throttled) as f64,
        "",
        Goal::AtMost(0.0),
    );
    report.row(
        SCENARIO,
        "most calls in any second, as the vendor counts",
        counters.max_in_window_of("QueryOTAJob") as f64,
        "",
        Goal::AtMost(per_second),
    );
    report.row(
        SCENARIO,
        "share of the quota used",
        100.0 * arrivals.len() as f64 / room,
        " %",
        Goal::AtLeast(95.0),
    );
    Ok(())
}
