//! `[telemetry]`

use std::path::PathBuf;
use std::sync::Arc;

use ota_http::SecretSource;
use ota_http::endpoint::Endpoint;
use serde::Deserialize;

use super::{ConfigError, Section};

/// Where traces are exported to.
#[derive(Debug)]
pub struct TelemetryConfig {
    /// The collector; none when traces are not exported.
    pub otlp: Option<Collector>,
    /// The share of traces that begin here which are exported, from 0 to 1. A caller who sends `traceparent` decides for his own.
    pub sample_ratio: f64,
    /// The name of this service in traces.
    pub service_name: String,
}

/// An OpenTelemetry collector.
#[derive(Debug)]
pub struct Collector {
    /// Its address.
    pub endpoint: Endpoint,
    /// The value of `Authorization` that it wants.
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

pub(super) fn read(section: Section) -> Result<TelemetryConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    if !(0.0..=1.0).contains(&raw.sample_ratio) {
        return Err(section.error("sample_ratio", "is a number from 0 to 1"));
    }
    let authorization = raw
        .otlp_authorization_file
        .map(|path| SecretSource::file(path).map(Arc::new))
        .transpose()
        .map_err(|error| section.error("otlp_authorization_file", error))?;
    let otlp = match raw.otlp_endpoint {
        None if authorization.is_some() => {
            return Err(section.error(
                "otlp_authorization_file",
                "means something only beside `otlp_endpoint`",
            ));
        }
        None => None,
        Some(text) => {
            // A collector mostly stands beside the gateway; what a password goes to must be encrypted.
            let endpoint = Endpoint::parse(&text, authorization.is_none())
                .map_err(|error| match error.contains("is not encrypted") {
                    true => "is not encrypted; use https where `otlp_authorization_file` is given"
                        .to_owned(),
                    false => error,
                })
                .map_err(|error| section.error("otlp_endpoint", error))?;
            Some(Collector {
                endpoint,
                authorization,
            })
        }
    };
    Ok(TelemetryConfig {
        otlp,
        sample_ratio: raw.sample_ratio,
        service_name: raw.service_name,
    })
}
