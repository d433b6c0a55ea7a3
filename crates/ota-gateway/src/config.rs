//! The configuration: a TOML file, then the environment.
//!
//! One run reports all detectable mistakes, each with file, line where known, key, and the nearest valid key; no mistake causes a panic
//! and no message contains a secret. A section is read by [`Section::read`], which collects them; see [`Mistakes`].

mod auth;
mod cache;
mod cluster;
mod convert;
mod environment;
mod error;
mod example;
mod fields;
mod limits;
mod log;
mod metrics;
mod mirror;
mod mistakes;
mod origin;
mod section;
mod sections;
mod server;
mod telemetry;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ota_core::id::ProviderName;
use ota_http::file;
use toml::de::DeTable;
use toml::{Table, Value};

pub use auth::{AuthConfig, AuthMode};
pub use cache::CacheConfig;
pub use cluster::ClusterConfig;
pub use error::ConfigError;
pub use example::example;
pub use fields::configured_fields;
pub use limits::{DefaultQuota, Limits};
pub use log::{BUFFER_BYTES, LogConfig, LogFormat};
pub use metrics::MetricsConfig;
pub use mirror::MirrorConfig;
pub use mistakes::Mistakes;
pub use origin::Origin;
pub use section::Section;
pub use server::{ServerConfig, ServerParts, cors_origin};
pub use telemetry::{Collector, TelemetryConfig};

use error::Place;
use mistakes::unknown;
use sections::SECTIONS;

use ota_core::nearest::nearest;

/// The whole configuration, checked as far as one section alone can be.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[cache]`
    pub cache: CacheConfig,
    /// `[mirror]`
    pub mirror: MirrorConfig,
    /// `[cluster]`
    pub cluster: ClusterConfig,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[providers.NAME]`; what is in one belongs to its vendor's adapter.
    pub providers: BTreeMap<ProviderName, Section>,
    /// Where each key comes from, to point at what is found wrong later.
    pub origin: Origin,
    /// Warnings for the operator: settings that are valid but deserve attention.
    pub warnings: Vec<String>,
}

/// What could be read of a configuration, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Draft {
    server: Option<ServerConfig>,
    /// The valid parts of `[server]`, even if other parts of it are wrong.
    pub server_parts: ServerParts,
    auth: Option<AuthConfig>,
    cache: Option<CacheConfig>,
    /// `[mirror]`, when it can be used.
    pub mirror: Option<MirrorConfig>,
    cluster: Option<ClusterConfig>,
    metrics: Option<MetricsConfig>,
    log: Option<LogConfig>,
    /// `[telemetry]`, when it can be used.
    pub telemetry: Option<TelemetryConfig>,
    /// The providers whose names can be used.
    pub providers: BTreeMap<ProviderName, Section>,
    /// Where each key comes from.
    pub origin: Origin,
    /// Warnings for the operator: settings that are valid but deserve attention.
    warnings: Vec<String>,
    /// What is wrong so far.
    pub mistakes: Mistakes,
}

impl Draft {
    /// Reads the file, if one is named, applies the environment variables over it, and reads every section.
    #[must_use]
    pub fn read(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut mistakes = Mistakes::default();
        let file = match path.map(File::read).transpose() {
            Ok(file) => file.unwrap_or_default(),
            Err(error) => {
                mistakes.push(error);
                return Self {
                    mistakes,
                    ..Self::default()
                };
            }
        };
        let mut table = file.table;
        let mut variables = BTreeMap::new();
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let warnings = environment::unread(&environment, &mut mistakes);
        environment::overlay(&mut table, &mut variables, environment, &mut mistakes);
        let origin = Origin::new(path, file.lines, variables);
        Self {
            warnings,
            ..Self::of(table, origin, mistakes)
        }
    }

    fn of(mut table: Table, origin: Origin, mut mistakes: Mistakes) -> Self {
        for key in table.keys().filter(|key| !SECTIONS.contains(&key.as_str())) {
            mistakes.push(origin.error(key, unknown(key, SECTIONS)));
            mistakes.meant(nearest(key, SECTIONS).unwrap_or_default());
        }
        let mut section = |name: &str| -> Result<Section, ConfigError> {
            match table
                .remove(name)
                .unwrap_or_else(|| Value::Table(Table::new()))
            {
                Value::Table(table) => Ok(Section {
                    path: name.to_owned(),
                    table,
                    origin: origin.clone(),
                }),
                _ => Err(origin.error(name, "is a section, written as [section]")),
            }
        };
        // Errors that only follow from a misspelled section name are left out.
        let server = section("server");
        let server_parts = match &server {
            Ok(server) if !mistakes.was_meant("server") => server::parts(server),
            _ => ServerParts::default(),
        };
        let metrics = section("metrics");
        let metrics_listen = match &metrics {
            Ok(metrics) if !mistakes.was_meant("metrics") => metrics::taken(metrics),
            _ => None,
        };
        let mut draft = Self {
            server: mistakes.check(server.and_then(server::read)),
            server_parts,
            cache: mistakes.check(section("cache").and_then(cache::read)),
            mirror: mistakes.check(section("mirror").and_then(mirror::read)),
            cluster: mistakes.check(section("cluster").and_then(cluster::read)),
            metrics: mistakes.check(metrics.and_then(metrics::read)),
            log: mistakes.check(section("log").and_then(log::read)),
            telemetry: mistakes.check(section("telemetry").and_then(telemetry::read)),
            ..Self::default()
        };
        if let (Some(server), Some(metrics)) = (draft.server_parts.listen, metrics_listen)
            && overlap(server, metrics)
        {
            let message = format!(
                "{metrics} is taken by `server.listen` ({server}{}); give `metrics.listen` another port, or set `metrics.enabled = false`",
                origin.hint("server.listen"),
            );
            mistakes.push(origin.error("metrics.listen", message));
        }
        if let Some(mirror) = draft.mirror.as_ref().filter(|mirror| mirror.enabled)
            && let Err(what) = ota_store::place::check_url(mirror.database_url.expose_secret())
        {
            mistakes.push(origin.error(mirror.url_key(), what));
        }
        if let Err(what) = draft.advertised() {
            mistakes.push(origin.error("cluster.advertise_url", what));
        }
        let auth = section("auth").and_then(|auth| auth::read(auth, &draft.server_parts));
        // If `[auth]` is misspelled, only the wrong name is reported, not the missing keys.
        draft.auth = match mistakes.was_meant("auth") {
            true => auth.ok(),
            false => mistakes.check(auth),
        };
        if let Some(section) = mistakes.check(section("providers")) {
            draft.providers = provider_sections(section, &mut mistakes);
        }
        draft.origin = origin;
        draft.mistakes = mistakes;
        draft
    }

    /// Checks that other gateways can reach this one, where there can be others.
    fn advertised(&self) -> Result<(), &'static str> {
        let parts = &self.server_parts;
        match (&self.mirror, &self.cluster, parts.listen) {
            (Some(mirror), Some(cluster), Some(listen)) if mirror.is_shared() => {
                cluster.address(listen, parts.tls.is_some()).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Returns the configuration, if nothing is wrong with it.
    ///
    /// # Errors
    /// All mistakes.
    pub fn finish(self) -> Result<Config, ConfigError> {
        let Self {
            server,
            auth,
            cache,
            mirror,
            cluster,
            metrics,
            log,
            telemetry,
            providers,
            origin,
            mut warnings,
            mistakes,
            ..
        } = self;
        warnings.extend(log.iter().flat_map(|log| log.warnings.clone()));
        mistakes.finish(|| {
            Some(Config {
                server: server?,
                auth: auth?,
                cache: cache?,
                mirror: mirror?,
                cluster: cluster?,
                metrics: metrics?,
                log: log?,
                telemetry: telemetry?,
                providers,
                origin,
                warnings,
            })
        })
    }
}

impl Config {
    /// Reads the file, if one is named, and applies the environment variables over it.
    ///
    /// # Errors
    /// Says what is wrong and where, as far as sections alone can tell.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Draft::read(path, environment).finish()
    }

    /// Returns the error for a database that cannot be opened, and what to do where the text does not say it.
    #[must_use]
    pub fn mirror_refused(&self, text: &str) -> ConfigError {
        let advice = match self.mirror.file().is_some() && !text.contains(';') {
            true => "; name another database, or set `mirror.enabled = false`",
            false => "",
        };
        self.mirror_error(&format!("{text}{advice}"))
    }

    /// Returns an error at the URL of the mirror's database.
    #[must_use]
    pub fn mirror_error(&self, text: &str) -> ConfigError {
        self.origin.error(self.mirror.url_key(), text)
    }
}

/// Whether two listeners cannot have these addresses at once. An address of all interfaces takes the port on each of them, that of IPv6 on those of
/// IPv4 as well.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = |address: SocketAddr, of: SocketAddr| {
        address.ip().is_unspecified() && (address.is_ipv6() || of.is_ipv4())
    };
    let (first, second) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() != 0
        && one.port() == other.port()
        && (first == second || all(one, other) || all(other, one))
}

/// The file as it was parsed.
#[derive(Default)]
struct File {
    table: Table,
    lines: BTreeMap<String, usize>,
}

impl File {
    /// If the text is not valid TOML, only the syntax errors are reported, all of them: the intended content of an invalid line is not known.
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let at_file =
            |message: String| ConfigError::at(Place::File { file: file.clone() }, message);
        let text = read_text(path).map_err(at_file)?;
        let (table, errors) = DeTable::parse_recoverable(&text);
        let mut mistakes = Mistakes::default();
        let mut broken = std::collections::BTreeSet::new();
        for error in &errors {
            let line = error
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            // One mistake can be reported twice; only the first report for a line is used.
            if !broken.insert(line) {
                continue;
            }
            let message = format!("is not valid TOML: {}", error.message());
            mistakes.push(match line {
                Some(line) => ConfigError::at(
                    Place::Line {
                        line,
                        file: file.clone(),
                    },
                    message,
                ),
                None => at_file(message),
            });
        }
        let lines = origin::lines_of(&text, table.get_ref());
        mistakes.finish(|| {
            Some(Self {
                table: text.parse().ok()?,
                lines,
            })
        })
    }
}

/// The maximum size of the configuration file, in bytes; a larger file means that the path is wrong.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The time limit for reading the configuration from a pipe.
const PIPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a whole file, or returns what is wrong with it as the rest of a sentence. A pipe (`--config <(…)`) is read too, but only within a time
/// limit.
fn read_text(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let read = move |path: &Path| {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(format!("is longer than {MAX_FILE_BYTES} bytes"));
        }
        file::no_utf_16(&bytes)?;
        String::from_utf8(bytes).map_err(|_| file::NOT_UTF_8.to_owned())
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_file() || metadata.is_dir() {
        return read(path);
    }
    let (sender, text) = std::sync::mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || sender.send(read(&path)));
    text.recv_timeout(PIPE_TIMEOUT).unwrap_or_else(|_| {
        let seconds = PIPE_TIMEOUT.as_secs();
        Err(format!(
            "is no regular file, and did not end within {seconds} s; give the path of a file"
        ))
    })
}

fn provider_sections(
    mut section: Section,
    mistakes: &mut Mistakes,
) -> BTreeMap<ProviderName, Section> {
    let names: Vec<String> = section.table.keys().cloned().collect();
    let mut providers = BTreeMap::new();
    for name in names {
        let checked = ProviderName::parse(&name).map_err(|message| section.error(&name, message));
        let inner = section.take_section(&name);
        if let (Some(checked), Some(Some(inner))) = (mistakes.check(checked), mistakes.check(inner))
        {
            providers.insert(checked, inner);
        }
    }
    providers
}

#[cfg(test)]
mod tests;
