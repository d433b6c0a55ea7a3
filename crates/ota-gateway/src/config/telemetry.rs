//! `[telemetry]`

use std::path::PathBuf;
use std::sync::Arc;

use ota_http::SecretSource;
use ota_http::endpoint::Endpoint;
use serde::Deserialize;

use super::error::ConfigError;
use super::section::{self, Section};

/// Where traces are exported to.
#[derive(Debug)]
pub struct TelemetryConfig {
    /// The collector; none when traces are not exported.
    pub otlp: Option<Collector>,
    /// The share of the traces started by the gateway that are exported, from 0 to 1. For a request with `traceparent`, the caller decides.
    pub sample_ratio: f64,
    /// The name of this service in traces.
    pub service_name: String,
}

/// An OpenTelemetry collector.
#[derive(Debug)]
pub struct Collector {
    /// Its address.
    pub endpoint: Endpoint,
    /// The value of `Authorization` that it requires.
    pub authorization: Option<Arc<SecretSource>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    otlp_endpoint: Option<String>,
    otlp_authorization_file: Option<PathBuf>,
    sample_ratio: f64,
    service_name: String,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_authorization_file: None,
            sample_ratio: 1.0,
            service_name: "ota-gateway".to_owned(),
        }
    }
}

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

pub(super) fn read(section: Section) -> Result<TelemetryConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.read()?;
    if !(0.0..=1.0).contains(&raw.sample_ratio) {
        mistakes.add("sample_ratio", "is a number from 0 to 1");
    }
    let wants_authorization = raw.otlp_authorization_file.is_some();
    let authorization = match raw.otlp_authorization_file.map(SecretSource::file) {
        None => None,
        Some(Ok(source)) => Some(Arc::new(source)),
        Some(Err(error)) => {
            mistakes.add("otlp_authorization_file", error);
            None
        }
    };
    let otlp = match raw.otlp_endpoint {
        None => {
            if wants_authorization && !mistakes.is_broken("otlp_endpoint") {
                mistakes.add(
                    "otlp_authorization_file",
                    "means something only beside `otlp_endpoint`",
                );
            }
            None
        }
        // A collector usually runs next to the gateway; a connection that carries a password must be encrypted.
        Some(text) => match Endpoint::parse(&text, !wants_authorization) {
            Ok(endpoint) => Some(Collector {
                endpoint,
                authorization,
            }),
            Err(error) => {
                let error = match error.contains("is not encrypted") {
                    true => "is not encrypted; use https where `otlp_authorization_file` is given",
                    false => &error,
                };
                mistakes.add("otlp_endpoint", error);
                None
            }
        },
    };
    mistakes.finish(|| {
        Some(TelemetryConfig {
            otlp,
            sample_ratio: raw.sample_ratio,
            service_name: raw.service_name,
        })
    })
}
