//! A credential that the operator's command writes to its standard output, as JSON.
//!
//! The forms are those of the vendor's own programs (mode `External`: github.com/aliyun/credentials-go, `external.go`, read 2026-11-27), of the
//! metadata service, and of `credential_process` of other clouds.

use std::process::Stdio;

use ota_core::context::Context;
use ota_core::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::cell::{Fetch, Fetched};
use super::document::{CredentialDocument, MAX_ANSWER_BYTES, unreadable};

/// Runs a command.
pub(super) struct Command(Vec<String>);

/// Its arguments may hold a secret.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.0.first()).finish()
    }
}

impl Command {
    pub(super) fn new(words: Vec<String>) -> Self {
        Self(words)
    }
}

const ADVICE: &str = "run the command of `credentials_command` by hand, as the user of the gateway: it must end with 0 and write a JSON object with access_key_id and access_key_secret, and sts_token and expiration for temporary credentials";

fn failed(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).with_advice(ADVICE)
}

#[async_trait::async_trait]
impl Fetch for Command {
    async fn fetch(&self, _cx: &Context) -> Result<Fetched> {
        let Some((program, arguments)) = self.0.split_first() else {
            return Err(failed(
                ErrorKind::Misconfigured,
                "the command for this provider's credential is empty",
            ));
        };
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // The error output of another program may contain a secret, which must not reach the log.
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // The gateway's own settings contain secrets, so they are not passed to the command.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTA_GATEWAY__") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().map_err(|error| {
            failed(
                ErrorKind::Misconfigured,
                "the command for this provider's credential cannot be run",
            )
            .with_source(error)
        })?;
        let mut output = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES + 1));
        if let Some(stdout) = child.stdout.take() {
            let mut limited = stdout.take(MAX_ANSWER_BYTES as u64 + 1);
            limited.read_to_end(&mut output).await.map_err(|error| {
                failed(
                    ErrorKind::Unavailable,
                    "the output of the command for this provider's credential cannot be read",
                )
                .with_source(error)
            })?;
        }
        if output.len() > MAX_ANSWER_BYTES {
            return Err(unreadable("it is larger than 64 KiB").with_advice(ADVICE));
        }
        let status = child.wait().await.map_err(|error| {
            failed(
                ErrorKind::Unavailable,
                "the command for this provider's credential did not end",
            )
            .with_source(error)
        })?;
        if !status.success() {
            return Err(failed(
                ErrorKind::Unavailable,
                "the command for this provider's credential failed",
            )
            .with_context("status", status.to_string()));
        }
        CredentialDocument::parse(&output)
            .and_then(|document| document.into_fetched(false))
            .map_err(|error| error.with_advice(ADVICE))
    }
}
