//! The only place that sends.

use http::Method;
use http::header::{ACCEPT, AUTHORIZATION};
use ota_core::drift::DriftKind;
use ota_core::gate::{self, VendorCall};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, SettingError};
use ota_core::{Context, Error, ErrorKind, Result};
use ota_http::Request;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::FORMAT;

/// Sends the calls of one account.
#[derive(Debug)]
pub(crate) struct Client {
    http: ota_http::Client,
    pub(crate) config: Config,
}

impl Client {
    /// Creates the client.
    ///
    /// # Errors
    /// When the TLS settings cannot be used on this machine.
    pub(crate) fn new(
        name: &ProviderName,
        config: Config,
        deps: &Dependencies,
    ) -> Result<Self, SettingError> {
        Ok(Self {
            http: config.connection.client(name, &*deps.clock)?,
            config,
        })
    }

    /// Makes one reading call. `target` is path and query, percent-encoded (`ota_http::encode`).
    ///
    /// # Errors
    /// What the call met.
    pub(crate) async fn read(
        &self,
        cx: &Context,
        deps: &Dependencies,
        operation: &'static str,
        target: &str,
    ) -> Result<Map<String, Value>> {
        let call = VendorCall::read(operation);
        gate::call(&*deps.gate, cx, call, |_| {
            self.read_once(cx, deps, operation, target)
        })
        .await
    }

    /// One attempt. The token is read again for each, because its file changes.
    async fn read_once(
        &self,
        cx: &Context,
        deps: &Dependencies,
        operation: &'static str,
        target: &str,
    ) -> Result<Map<String, Value>> {
        let token = self.config.token.read().map_err(|error| {
            Error::new(ErrorKind::Misconfigured, "the token cannot be read").with_source(error)
        })?;
        let url = format!("{}{target}", self.config.connection.endpoint.base());
        let mut request = Request::new(Method::GET, url);
        request.header(ACCEPT, "application/json", false)?;
        let authorization = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        request.header(AUTHORIZATION, &authorization, true)?;
        let response = self.http.send(cx, request).await?;
        FORMAT.read(&response, &[token.expose_secret()], &|field| {
            deps.drift.observe(DriftKind::Malformed, operation, field);
        })
    }
}
