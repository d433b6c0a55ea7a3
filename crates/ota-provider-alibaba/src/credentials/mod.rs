//! The credential that calls are signed with: keys of the settings, or a temporary one that is renewed.

mod cell;
mod command;
mod document;
mod ecs;
mod files;
mod rrsa;
mod secrets;

use std::sync::Arc;

use ota_core::Result;
use ota_core::context::Context;
use ota_core::provider::{Dependencies, SettingError};
use ota_http::{Client, Options};

use crate::config::{Config, CredentialSettings};
use cell::{Cell, Fetch};
use document::MAX_ANSWER_BYTES;
use files::Files;
pub(crate) use secrets::Secrets;

/// Where the credential comes from.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// Keys of the settings, from values or from files that another program renews.
    Keys(Files),
    /// A service or a command that issues temporary credentials.
    Issued(Arc<Cell>),
}

impl Credentials {
    pub(crate) fn new(config: &Config, deps: &Dependencies) -> Result<Self, SettingError> {
        let clock = || Arc::clone(&deps.clock);
        let fetch: Arc<dyn Fetch> = match &config.credentials {
            CredentialSettings::Keys {
                access_key_id,
                access_key_secret,
                security_token,
            } => {
                let files = Files::new(
                    Arc::clone(access_key_id),
                    Arc::clone(access_key_secret),
                    security_token.clone(),
                    clock(),
                );
                return Ok(Self::Keys(files));
            }
            CredentialSettings::EcsRamRole { role, endpoint } => {
                let options = Options {
                    tls: None,
                    max_body_bytes: MAX_ANSWER_BYTES,
                    connect_timeout: std::time::Duration::from_secs(2),
                    // A proxy would request the credential of its own machine.
                    direct: true,
                };
                let http = Client::new(&options)
                    .map_err(|error| SettingError::new("credentials", error.to_string()))?;
                Arc::new(ecs::EcsRamRole::new(http, endpoint, role.clone()))
            }
            CredentialSettings::Rrsa(rrsa) => {
                let options = Options {
                    tls: rrsa.tls.clone(),
                    max_body_bytes: MAX_ANSWER_BYTES,
                    direct: rrsa.endpoint.is_loopback(),
                    ..Options::default()
                };
                let http = Client::new(&options)
                    .map_err(|error| SettingError::new("sts_endpoint", error.to_string()))?;
                Arc::new(rrsa::Rrsa::new(
                    http,
                    rrsa,
                    clock(),
                    Arc::clone(&deps.random),
                ))
            }
            CredentialSettings::Command(words) => Arc::new(command::Command::new(words.clone())),
        };
        Ok(Self::Issued(Arc::new(Cell::new(fetch, clock()))))
    }

    /// Returns a credential to sign with. If there is none yet, it is waited for, as long as the caller has time.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn ready(&self, cx: &Context) -> Result<Arc<Secrets>> {
        match self {
            Self::Keys(files) => files.read(),
            Self::Issued(cell) => cell.current(cx).await,
        }
    }

    /// Returns another credential than the one that the vendor has refused, if there is one meanwhile. Files are read again each time; a service or a command
    /// is called again every few seconds at most.
    pub(crate) async fn newer(&self, cx: &Context, refused: &Secrets) -> Option<Arc<Secrets>> {
        match self {
            Self::Keys(files) => files.newer(refused),
            Self::Issued(cell) => cell.newer(cx, refused).await,
        }
    }

    /// Returns whether there is another credential than the one that the vendor has refused. If one may be written at this moment, it is waited for shortly.
    pub(crate) async fn replaced(&self, cx: &Context, refused: &Secrets) -> bool {
        match self {
            Self::Keys(files) => files.replaced(refused).await,
            Self::Issued(cell) => cell.replaced(cx, refused).await,
        }
    }
}
