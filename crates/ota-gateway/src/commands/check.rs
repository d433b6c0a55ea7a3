//! `ota-gateway check`

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ota_core::clock::{Clock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::random::SystemRandom;
use ota_fleet::{Fleet, Health, HealthState};

use super::Failed;
use crate::config::Config;
use crate::problem::Code;
use crate::providers::{self, Shared};

/// Calls every provider once and returns a table, and whether all of them answered as they should.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn run(config: &Config) -> Result<(String, bool), Failed> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shared = Shared::new(Arc::clone(&clock), Arc::new(SystemRandom));
    let fleet = providers::build(config, &shared)?.fleet;
    Ok(table(&fleet, &*clock, config.server.request_timeout).await)
}

/// Says what is wrong with its causes: whoever runs the command holds the credentials and needs them to mend it.
fn explained(error: &ota_core::Error) -> String {
    let mut text = format!(
        "{}: {error}",
        Code::of_provider_error(error.kind()).as_str()
    );
    if let Some(code) = error.vendor().and_then(|vendor| vendor.code.as_deref()) {
        let _ = write!(text, " ({code})");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

async fn table(fleet: &Fleet, clock: &dyn Clock, timeout: Duration) -> (String, bool) {
    let rows = join_all(fleet.members().map(async |member| {
        let provider = member.provider();
        let start = clock.monotonic();
        let cx = Context::new("check", start + timeout, Priority::Interactive);
        let result = provider.check(&cx).await;
        let took = clock.monotonic().saturating_duration_since(start);
        let (state, problem) = match (
            Health::from_result(result.as_ref().map(drop), clock.now()),
            result,
        ) {
            (_, Ok(())) => (HealthState::Ok, String::new()),
            (health, Err(error)) => (
                health.map_or(HealthState::Degraded, |health| health.state),
                explained(&error),
            ),
        };
        let state_text = state.as_str().to_owned();
        let cells = [
            provider.name().to_string(),
            provider.vendor().to_owned(),
            state_text,
            format!("{} ms", took.as_millis()),
            provider.endpoint().to_owned(),
            problem,
        ];
        (cells, state == HealthState::Ok)
    }))
    .await;
    let head = ["PROVIDER", "VENDOR", "STATE", "TIME", "ENDPOINT", "PROBLEM"].map(str::to_owned);
    // Nothing to check is not what was wanted either.
    let all_ok = !rows.is_empty() && rows.iter().all(|(_, ok)| *ok);
    let lines: Vec<[String; 6]> = std::iter::once(head)
        .chain(rows.into_iter().map(|(cells, _)| cells))
        .collect();
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(row, "{cell:<width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    if lines.len() == 1 {
        text.push_str("(no providers are configured)\n");
    }
    (text, all_ok)
}
