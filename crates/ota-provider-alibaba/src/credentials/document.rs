//! The JSON in which services and commands issue a credential, and the errors for one that cannot be used.

use ota_core::{Error, ErrorKind, Result};
use ota_http::Secret;
use ota_http::secret::check_credential;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::cell::Fetched;
use super::secrets::Secrets;

/// The largest answer of a service or command that issues credentials, in bytes; a real one has about 2,000.
pub(super) const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Adds why a service that issues credentials was not reached. The error of the connection names the vendor and `endpoint`, so only its causes are
/// used.
pub(super) fn with_cause(failed: Error, connection: &Error) -> Error {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(connection);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    match causes.is_empty() {
        // Problems of TLS or a proxy are described by the error itself, without names of settings.
        true if matches!(connection.kind(), ErrorKind::Misconfigured) => {
            failed.with_source(std::io::Error::other(connection.message().to_owned()))
        }
        true => failed,
        false => failed.with_source(std::io::Error::other(causes.join(": "))),
    }
}

/// The JSON in which services and commands issue a credential.
#[derive(Deserialize)]
pub(super) struct CredentialDocument {
    #[serde(alias = "AccessKeyId")]
    pub(super) access_key_id: Option<Secret>,
    #[serde(alias = "AccessKeySecret", alias = "SecretAccessKey")]
    pub(super) access_key_secret: Option<Secret>,
    #[serde(
        alias = "SecurityToken",
        alias = "SessionToken",
        alias = "security_token"
    )]
    pub(super) sts_token: Option<Secret>,
    #[serde(alias = "Expiration")]
    pub(super) expiration: Option<String>,
    /// `AK` or `StsToken`, of a command.
    pub(super) mode: Option<String>,
    /// `Success`, of the metadata service.
    #[serde(rename = "Code")]
    pub(super) code: Option<String>,
}

impl CredentialDocument {
    /// Reads a credential from JSON. The text is never repeated: it is a secret.
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        serde_json::from_slice(json).map_err(|error| {
            unreadable(format!(
                "it is no JSON object of a credential (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Checks that the credential is complete.
    pub(super) fn into_fetched(self, temporary: bool) -> Result<Fetched> {
        let present = |secret: Option<Secret>| {
            secret.filter(|secret| !secret.expose_secret().trim().is_empty())
        };
        let (Some(access_key_id), Some(access_key_secret)) =
            (present(self.access_key_id), present(self.access_key_secret))
        else {
            return Err(unreadable("it has no key ID or no key secret"));
        };
        let security_token = present(self.sts_token);
        if security_token.is_none() && (temporary || self.mode.as_deref() == Some("StsToken")) {
            return Err(unreadable("it has no security token"));
        }
        let expires =
            match self.expiration.as_deref().filter(|text| !text.is_empty()) {
                None => None,
                Some(text) => Some(OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                    unreadable("its end is not a time such as 2026-01-01T00:00:00Z")
                })?),
            };
        let secrets = Secrets {
            access_key_id,
            access_key_secret,
            security_token,
        };
        for part in secrets.parts() {
            check_credential(part.expose_secret())
                .map_err(|what| unreadable(format!("a part of it {what}")))?;
        }
        Ok(Fetched { secrets, expires })
    }
}

pub(super) fn unreadable(reason: impl Into<String>) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the answer of this provider's source of credentials cannot be used",
    )
    .with_context("reason", reason.into())
}

#[cfg(test)]
mod tests {
    use super::CredentialDocument;

    #[track_caller]
    fn check(json: &str, temporary: bool, parts: Result<(&str, &str, Option<&str>), &str>) {
        let read = CredentialDocument::parse(json.as_bytes())
            .and_then(|document| document.into_fetched(temporary));
        match (read, parts) {
            (Ok(read), Ok((id, secret, token))) => {
                let secrets = read.secrets;
                let token = token.map(str::to_owned);
                assert_eq!(secrets.access_key_id.expose_secret(), id);
                assert_eq!(secrets.access_key_secret.expose_secret(), secret);
                let own = secrets.security_token.as_ref();
                assert_eq!(own.map(|own| own.expose_secret().to_owned()), token);
            }
            (Err(error), Err(text)) => {
                assert!(format!("{error:?}").contains(text), "{error:?}");
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            }
            (read, _) => panic!("{json}: {:?}", read.is_ok()),
        }
    }

    #[test]
    fn every_form_of_a_credential_is_read() {
        // As the metadata service writes it.
        check(
            r#"{"AccessKeyId":"STS.a","AccessKeySecret":"b","Expiration":"2026-01-01T00:00:00Z","SecurityToken":"c","LastUpdated":"2025-12-31T18:00:00Z","Code":"Success"}"#,
            true,
            Ok(("STS.a", "b", Some("c"))),
        );
        // As a command writes it for Alibaba's own programs (mode `External`).
        check(
            r#"{"mode":"StsToken","access_key_id":"a","access_key_secret":"b","sts_token":"c"}"#,
            false,
            Ok(("a", "b", Some("c"))),
        );
        check(
            r#"{"mode":"AK","access_key_id":"a","access_key_secret":"b","sts_token":""}"#,
            false,
            Ok(("a", "b", None)),
        );
        // As `credential_process` of other clouds.
        check(
            r#"{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"c","Expiration":"2026-01-01T08:00:00+08:00"}"#,
            false,
            Ok(("a", "b", Some("c"))),
        );
    }

    #[test]
    fn what_is_no_credential_is_refused_without_being_shown() {
        let id = r#""access_key_id":"a","access_key_secret":"#;
        check("hunter2", false, Err("no JSON object"));
        check(
            r#"{"access_key_id":"hunter2"}"#,
            false,
            Err("no key secret"),
        );
        check(
            &format!("{{{id}\"hunter2\"}}"),
            true,
            Err("no security token"),
        );
        check(
            &format!("{{\"mode\":\"StsToken\",{id}\"hunter2\"}}"),
            false,
            Err("no security token"),
        );
        check(
            &format!("{{{id}\"hunter2\",\"expiration\":\"soon\"}}"),
            false,
            Err("is not a time"),
        );
        check(&format!("{{{id}\"hunter2 \"}}"), false, Err("a blank"));
    }
}
