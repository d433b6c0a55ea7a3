//! `ota-gateway mirror status` and `ota-gateway mirror verify`

use std::fmt::Write as _;

use ota_core::clock::{Clock, SystemClock};
use ota_core::escape::escaped;
use ota_store::fleet::ProviderState;
use ota_store::pass::{OpenPass, PassOf};
use ota_store::place::Place;
use ota_store::{About, OpenError, Store, StoreError};
use time::OffsetDateTime;

use super::Failed;
use crate::config::Config;
use crate::mirror::open_settings;

/// What is asked of the mirror.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Command {
    /// Show what the database holds of each provider, and the passes that are running
    Status,
    /// Recount everything that the database keeps counts of; exit code 1 when something differs
    Verify,
}

/// What is shown where there is no mirror.
const SWITCHED_OFF: &str = "the mirror is switched off (mirror.enabled = false)\n";

/// Where the rest is: the database does not hold the failures of a vendor that a running gateway meets.
const RUNNING: &str = "\nA vendor that fails now is in the log of the gateway, and at GET /v1/providers/{provider}/sync.\n";

/// Looks at the database, also while a gateway serves from it, and returns what to print, and whether all is well.
///
/// # Errors
/// When the database cannot be opened or read.
pub async fn run(config: &Config, command: Command) -> Result<(String, bool), Failed> {
    if !config.mirror.enabled {
        return Ok((SWITCHED_OFF.to_owned(), true));
    }
    let place = look(config)?;
    if place == Place::Missing {
        let text = "there is no database yet; `ota-gateway serve` makes it";
        return Err(config.mirror_error(text).into());
    }
    let store = open(config).await?;
    match command {
        Command::Status => Ok((status(&store, place, SystemClock.now()).await?, true)),
        Command::Verify => verify(&store).await,
    }
}

/// Looks where the database is.
///
/// # Errors
/// Exit code 78 for a place that a gateway could not use.
pub(super) fn look(config: &Config) -> Result<Place, Failed> {
    let place = ota_store::place::look(config.mirror.database_url.expose_secret());
    place.map_err(|error| config.mirror_refused(&error.to_string()).into())
}

/// Opens the database to look at it.
///
/// # Errors
/// Exit code 78 for one that cannot be used, 1 for one whose server is away.
async fn open(config: &Config) -> Result<Store, Failed> {
    let settings = open_settings(&config.mirror.database_url, false);
    Store::open(&settings).await.map_err(|error| match error {
        OpenError::Refused(text) => Failed::Config(config.mirror_refused(&text)),
        OpenError::Behind(text) => Failed::Config(config.mirror_error(&text)),
        OpenError::Away(text) => Failed::Other(text),
    })
}

/// Describes a database in one line.
pub(super) fn described(about: &About) -> String {
    // A megabyte in bytes; tenths are exact enough.
    let tenths = about.bytes / 100_000;
    format!(
        "{}, schema {}, {}.{} MB",
        about.engine,
        about.schema,
        tenths / 10,
        tenths % 10
    )
}

fn away(error: StoreError) -> Failed {
    Failed::Other(format!("the mirror's database cannot be read: {error}"))
}

async fn verify(store: &Store) -> Result<(String, bool), Failed> {
    let differences = store.verify().await.map_err(away)?;
    let mut text = String::new();
    for line in &differences {
        let _ = writeln!(text, "{}", escaped(line));
    }
    match differences.len() {
        0 => text.push_str("all counts are those of the rows\n"),
        1 => text.push_str("1 difference\n"),
        count => {
            let _ = writeln!(text, "{count} differences");
        }
    }
    Ok((text, differences.is_empty()))
}

async fn status(store: &Store, place: Place, now: OffsetDateTime) -> Result<String, Failed> {
    let about = store.about().await.map_err(away)?;
    let mut text = format!("{}{}\n", described(&about), used(place));
    let providers = store.providers().await.map_err(away)?;
    if providers.is_empty() {
        text.push_str("(nothing has been mirrored yet)\n");
    }
    for provider in providers {
        let passes = store.open_passes(&provider.provider).await.map_err(away)?;
        text.push_str(&of_provider(&provider, &passes, place, now));
    }
    if place != Place::Free {
        text.push_str(RUNNING);
    }
    Ok(text)
}

/// Says whether a gateway serves from the database, where that can be seen.
fn used(place: Place) -> &'static str {
    match place {
        Place::InUse => ", used by a gateway now",
        Place::Free => ", used by no gateway now",
        Place::Missing | Place::Server => "",
    }
}

fn time_of(at: OffsetDateTime) -> String {
    ota_api::own_timestamp(at).unwrap_or_default()
}

/// Describes what is known of a provider.
fn of_provider(
    provider: &ProviderState,
    passes: &[OpenPass],
    place: Place,
    now: OffsetDateTime,
) -> String {
    let mut text = format!(
        "\n{} ({}): {} jobs, {} tasks\n",
        provider.provider, provider.vendor, provider.jobs, provider.tasks
    );
    let _ = match provider.first_pass_at {
        Some(at) => writeln!(text, "  first pass ended  {}", time_of(at)),
        None => writeln!(text, "  first pass        has not ended: rows are missing"),
    };
    if let Some(at) = provider.last_full_pass_at {
        let _ = writeln!(text, "  last full pass    {}", time_of(at));
    }
    if let Some((problem, since)) = &provider.problem {
        let problem = escaped(problem);
        let _ = writeln!(
            text,
            "  problem           {problem} (since {})",
            time_of(*since)
        );
    }
    for pass in passes {
        let _ = writeln!(text, "  {}", of_pass(pass, place, now));
    }
    text
}

/// Describes a pass that is open: rows, calls and, where it runs and the vendor tells how many rows there are, the time left.
fn of_pass(pass: &OpenPass, place: Place, now: OffsetDateTime) -> String {
    // Without a gateway nothing runs; the next one goes on with it.
    let stopped = place == Place::Free;
    let what = match &pass.of {
        PassOf::Jobs(_) => "reading the jobs: ".to_owned(),
        PassOf::Tasks(_, job) => format!("reading the tasks of {}: ", escaped(job.as_str())),
    };
    let total = pass.last_total.or(pass.first_total);
    let of = total.map_or_else(String::new, |total| format!(" of {total}"));
    let left = total.and_then(|total| left_s(pass, total, now));
    let left = match (stopped, left) {
        (true, _) => "; goes on when a gateway starts".to_owned(),
        (false, Some(left)) => format!(", about {left} s left"),
        (false, None) => String::new(),
    };
    let what = match stopped {
        true => format!("stopped while {what}"),
        false => what,
    };
    format!(
        "{what}{}{of} rows, {} calls since {}{left}",
        pass.seen,
        pass.calls,
        time_of(pass.began_at)
    )
}

/// Returns how long the rest of a pass takes when it goes on as until now.
fn left_s(pass: &OpenPass, total: u64, now: OffsetDateTime) -> Option<u64> {
    let took = u64::try_from((now - pass.began_at).whole_seconds()).ok()?;
    let rest = total.checked_sub(pass.seen)?;
    rest.checked_mul(took)?.checked_div(pass.seen)
}

#[cfg(test)]
mod tests {
    use super::{About, Place, described, of_provider};
    use ota_core::id::{JobId, ProviderName};
    use ota_store::fleet::ProviderState;
    use ota_store::pass::{LeftOut, OpenPass, PassId, PassOf};
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn a_database_is_described_in_one_line() {
        let about = About {
            engine: "sqlite 3.54.1".to_owned(),
            schema: 2,
            bytes: 24_190_000,
        };
        assert_eq!(described(&about), "sqlite 3.54.1, schema 2, 24.1 MB");
    }

    #[test]
    fn a_first_pass_is_shown_with_the_time_left() {
        let began_at = datetime!(2026-11-23 08:15 UTC);
        let name = ProviderName::from("ali");
        let state = ProviderState {
            provider: name.clone(),
            vendor: "alibaba-iot".to_owned(),
            since: began_at,
            first_pass_at: None,
            last_full_pass_at: None,
            as_of: None,
            problem: Some(("no\nanswer".to_owned(), began_at)),
            progress_at: None,
            jobs: 3,
            tasks: 250,
        };
        let pass = |of, total| OpenPass {
            id: PassId(1),
            of,
            began_at,
            cursor: None,
            seen: 250,
            first_total: None,
            last_total: total,
            calls: 3,
            at_end: false,
            left_out: LeftOut::default(),
        };
        let passes = [
            pass(PassOf::Tasks(name.clone(), JobId::from("j")), Some(1000)),
            pass(PassOf::Jobs(name), None),
        ];
        let now = began_at + Duration::seconds(10);
        let text = of_provider(&state, &passes, Place::InUse, now);
        let expected = "\nali (alibaba-iot): 3 jobs, 250 tasks\n  \
             first pass        has not ended: rows are missing\n  \
             problem           no\\nanswer (since 2026-11-23T08:15:00.000Z)\n  \
             reading the tasks of j: 250 of 1000 rows, 3 calls since 2026-11-23T08:15:00.000Z, about 30 s left\n  \
             reading the jobs: 250 rows, 3 calls since 2026-11-23T08:15:00.000Z\n";
        assert_eq!(text, expected);
        // A gateway that was killed has left them.
        let text = of_provider(&state, &passes[..1], Place::Free, now);
        let stopped = "  stopped while reading the tasks of j: 250 of 1000 rows, 3 calls since 2026-11-23T08:15:00.000Z; goes on when a gateway starts\n";
        assert!(text.ends_with(stopped), "{text}");
    }
}
