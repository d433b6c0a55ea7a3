//! `ota-gateway check`

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ota_api::problem::Code;
use ota_auth::Keys;
use ota_core::ErrorKind;
use ota_core::clock::{Clock, SystemClock, after};
use ota_core::configured_fields::{FieldUse, RowKind};
use ota_core::context::{Context, Priority};
use ota_core::escape::escaped;
use ota_core::random::SystemRandom;
use ota_fleet::{ConfiguredProvider, Fleet, Health, HealthState};
use ota_store::place::Place;
use ota_store::{OpenError, Store};

use super::Failed;
use crate::assembly;
use crate::config::Config;
use crate::mirror::open_settings;
use crate::vendors;

/// What is checked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Call nothing: check the configuration and every file that it names only, for instance in CI
    #[arg(long)]
    pub offline: bool,
}

/// Calls every provider once, and the place that keys come from, and returns a table of problems and their fixes, and whether all of
/// them answered as they should. Offline nothing is called, and the table says so.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn run(config: &Config, options: &Options) -> Result<(String, bool), Failed> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The whole application is assembled, so that every error that prevents a start also fails this command.
    let app = assembly::app_on(config, Arc::clone(&clock), Arc::new(SystemRandom))?;
    let database = database(config, options).await?;
    let mut rows = match options.offline {
        true => app.fleet().members().map(not_called).collect(),
        false => providers(app.fleet(), &*clock, config.server.request_timeout).await,
    };
    let checked = rows.len();
    for warning in config.warnings.iter().chain(&config.auth.warnings) {
        tracing::warn!("{warning}");
    }
    for warning in ota_http::environment::warnings() {
        tracing::warn!("{warning}");
    }
    if let Some(keys) = config.auth.keys() {
        keys.log_left_out();
    }
    if !options.offline
        && let Some(keys) = config.auth.keys()
        && let Some(address) = keys.address()
    {
        rows.push(tokens(keys, address, &*clock).await);
    }
    // Without providers the check fails too. Offline nothing is called anyway, and `serve` starts with such a configuration.
    let certificate = app.certificate_warning();
    // Clients reject a certificate outside its validity period.
    let served = !certificate.as_ref().is_some_and(|(_, refused)| *refused);
    let all_ok = served
        && (options.offline || checked > 0)
        && rows.iter().all(|row| row.problem.is_none())
        && database.is_ok();
    let mut text = table(&rows);
    if checked == 0 {
        text.push_str("(no providers are configured)\n");
    }
    if let Some((warning, _)) = certificate {
        let _ = writeln!(text, "\nWarning: {warning}");
    }
    if let Ok(line) | Err(line) = &database
        && !line.is_empty()
    {
        let _ = writeln!(text, "\nMirror: {}", escaped(line));
    }
    if rows.iter().any(|row| !row.fields.is_empty()) {
        text.push_str("\nConfigured fields:\n");
        for row in &rows {
            for used in &row.fields {
                let _ = writeln!(text, "  {}: {}", row.name, escaped(&described(used)));
            }
        }
    }
    let mend: Vec<&Row> = rows.iter().filter(|row| row.advice.is_some()).collect();
    if !mend.is_empty() {
        text.push_str("\nHow to fix it:\n");
        for row in mend {
            let advice = row.advice.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  {}: {}", row.name, escaped(advice));
        }
    }
    Ok((text, all_ok))
}

/// Opens the database of the mirror, also while a gateway uses it, and says what it is, or within the result why it cannot be read now. What `serve` makes
/// or migrates is well.
///
/// # Errors
/// What `serve` refuses.
async fn database(config: &Config, options: &Options) -> Result<Result<String, String>, Failed> {
    let mirror = &config.mirror;
    if !mirror.enabled {
        return Ok(Ok(String::new()));
    }
    let place = super::mirror::look(config)?;
    match (place, mirror.file()) {
        (Place::Server, _) if options.offline => {
            return Ok(Ok("the database was not opened".to_owned()));
        }
        (Place::Missing, Some(file)) => {
            let line = format!("{} is not there yet; `serve` makes it", file.display());
            return Ok(Ok(line));
        }
        _ => {}
    }
    let store = match Store::open(&open_settings(&mirror.database_url, false)).await {
        Ok(store) => store,
        Err(OpenError::Refused(text)) => return Err(config.mirror_refused(&text).into()),
        Err(OpenError::Behind(text)) => return Ok(Ok(text)),
        Err(OpenError::Away(text)) => return Ok(Err(text)),
    };
    let about = match store.about().await {
        Ok(about) => super::mirror::described(&about),
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(Ok(about))
}

/// Says whether a configured place holds a field, as far as the rows show that one cheap call brings.
fn described(used: &FieldUse) -> String {
    let FieldUse {
        field, path, rows, ..
    } = used;
    let found = match (used.found, rows, field.row()) {
        (_, 0, RowKind::Job) => "no job was read that could hold it".to_owned(),
        (_, 0, RowKind::Task) => "not looked for; no task was read".to_owned(),
        (0, rows, _) => format!(
            "not found in {rows} row(s); see `vendor.fields` of a row for what the vendor sends"
        ),
        (found, rows, _) => format!("found in {found} of {rows} row(s)"),
    };
    format!("{field} at `{path}`: {found}")
}

/// One line of the table.
struct Row {
    name: String,
    vendor: String,
    state: &'static str,
    called: String,
    took: Duration,
    endpoint: String,
    /// The fields whose place is configured, after the call.
    fields: Vec<FieldUse>,
    problem: Option<String>,
    advice: Option<String>,
}

/// Returns the most likely fix for an error of this kind at this vendor. An error with more specific advice has its own text.
fn advice(kind: ErrorKind, vendor: &str) -> &'static str {
    let of_vendor = vendors::descriptors().find(|known| known.name == vendor);
    of_vendor
        .and_then(|vendor| (vendor.advice)(kind))
        .unwrap_or_else(|| usual_advice(kind))
}

/// Returns the most likely fix for an error of this kind at any vendor.
fn usual_advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => {
            "the vendor refuses the credential or its rights: compare both with the vendor's console, and compare this machine's clock with the time"
        }
        ErrorKind::Misconfigured => {
            "a setting does not fit the vendor: check `endpoint`, and what else of this provider's section says where or what its account is"
        }
        ErrorKind::Throttled => {
            "another program uses up the account's quota: wait and check again; if it stays, lower `limits.calls` to the gateway's share"
        }
        ErrorKind::Rejected => {
            "the vendor account itself needs attention (overdue, service not enabled): look up the code in the vendor's console"
        }
        ErrorKind::Timeout => {
            "no answer came in time: check the way to the endpoint (firewall, proxy), or raise `limits.timeout_ms` for a slow line"
        }
        ErrorKind::Unavailable => {
            "nothing answers at the endpoint: check the name and port in `endpoint`, DNS and firewall, for instance with `curl -v` on this machine; where only a proxy leads out, name it in the environment variable HTTPS_PROXY"
        }
        ErrorKind::Protocol => {
            "something else than the vendor's API answers at the endpoint, perhaps a proxy's page: check scheme, name and port of `endpoint`"
        }
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Unexpected => {
            "the vendor answers, but refuses the call that checks it: look up its code in the vendor's documents"
        }
    }
}

/// Describes an error with its causes: the operator who runs the command has the credentials and needs the causes to fix it.
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

/// The row of a provider whose settings are right and that was not called.
fn not_called(member: &ConfiguredProvider) -> Row {
    let provider = member.provider();
    Row {
        name: provider.name().to_string(),
        vendor: provider.vendor().to_owned(),
        state: "not called",
        called: String::new(),
        took: Duration::ZERO,
        endpoint: provider.endpoint().to_owned(),
        fields: member.fields().uses(),
        problem: None,
        advice: None,
    }
}

async fn providers(fleet: &Fleet, clock: &dyn Clock, timeout: Duration) -> Vec<Row> {
    join_all(fleet.members().map(async |member| {
        let provider = member.provider();
        let start = clock.monotonic();
        let cx = Context::new("check", after(start, timeout), Priority::Interactive);
        let result = provider.check(&cx).await;
        let took = clock.monotonic().saturating_duration_since(start);
        let health = Health::from_result(result.as_ref().map(drop), clock.now());
        let error = result.err();
        let state = match (&error, health) {
            (None, _) => HealthState::Ok,
            (Some(_), health) => health.map_or(HealthState::Degraded, |health| health.state),
        };
        Row {
            name: provider.name().to_string(),
            vendor: provider.vendor().to_owned(),
            state: state.as_str(),
            called: cx.calls.operations().join(", "),
            took,
            endpoint: provider.endpoint().to_owned(),
            fields: member.fields().uses(),
            problem: error.as_ref().map(explained),
            advice: error.as_ref().map(|error| match error.advice() {
                Some(advice) => advice.to_owned(),
                None => advice(error.kind(), provider.vendor()).to_owned(),
            }),
        }
    }))
    .await
}

/// Calls the server that the keys are read from.
async fn tokens(keys: &Keys, address: String, clock: &dyn Clock) -> Row {
    let start = clock.monotonic();
    let result = keys.refresh().await;
    Row {
        name: "(tokens)".to_owned(),
        vendor: "jwks_url".to_owned(),
        state: if result.is_ok() { "ok" } else { "down" },
        called: "GET".to_owned(),
        took: clock.monotonic().saturating_duration_since(start),
        endpoint: address,
        fields: Vec::new(),
        advice: result.as_ref().err().map(|error| {
            let advice = error.advice().unwrap_or(
                "check `auth.jwks_url`, and whether it answers from this machine (`curl -v`)",
            );
            format!("no token can be verified: {advice}")
        }),
        problem: result.err().map(|error| error.to_string()),
    }
}

fn table(rows: &[Row]) -> String {
    let head = [
        "PROVIDER", "VENDOR", "STATE", "CALLED", "TIME", "ENDPOINT", "PROBLEM",
    ]
    .map(str::to_owned);
    let lines: Vec<[String; 7]> = std::iter::once(head)
        .chain(rows.iter().map(|row| {
            [
                row.name.clone(),
                row.vendor.clone(),
                row.state.to_owned(),
                row.called.clone(),
                format!("{} ms", row.took.as_millis()),
                row.endpoint.clone(),
                row.problem.clone().unwrap_or_default(),
            ]
            // Text from a vendor must not change the colours of the operator's terminal or add rows to the table.
            .map(|cell| escaped(&cell).into_owned())
        }))
        .collect();
    let mut widths = [0; 7];
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
    text
}

#[cfg(test)]
mod tests;
