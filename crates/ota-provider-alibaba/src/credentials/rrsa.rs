//! The credential of a pod with RRSA (RAM roles for service accounts): the STS exchanges the pod's token for it.
//!
//! Source: "AssumeRoleWithOIDC" of the STS help; the request is that of the vendor's own library (github.com/aliyun/credentials-go, `oidc.go`, read
//! 2026-11-27). It is not signed: the token is the proof.

use std::path::PathBuf;
use std::sync::Arc;

use http::{Method, header};
use ota_core::clock::Clock;
use ota_core::context::Context;
use ota_core::error::VendorError;
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};
use ota_http::encode::query;
use ota_http::file::read_text;
use ota_http::{Client, Request, SecretSource, redact};
use serde::Deserialize;

use super::cell::{Fetch, Fetched};
use super::document::{CredentialDocument, unreadable, with_cause};
use super::ecs::clear;
use crate::config::RrsaSettings;
use crate::sign::{FORM, timestamp};

/// The requested lifetime of a credential, in seconds; the vendor's default.
const LIFETIME_S: &str = "3600";

/// Exchanges the token of a pod for a credential.
#[derive(Debug)]
pub(super) struct Rrsa {
    http: Client,
    endpoint: String,
    role_arn: String,
    provider_arn: String,
    token_file: PathBuf,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Credentials")]
    credentials: Option<CredentialDocument>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Refusal {
    code: String,
    message: String,
    request_id: String,
}

impl Rrsa {
    pub(super) fn new(
        http: Client,
        settings: &RrsaSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            http,
            endpoint: settings.endpoint.base().to_owned(),
            role_arn: settings.role_arn.clone(),
            provider_arn: settings.provider_arn.clone(),
            token_file: settings.token_file.clone(),
            clock,
            random,
        }
    }

    fn request(&self, token: &str) -> Result<Request> {
        let timestamp = timestamp(self.clock.now())?;
        let nonce = self.random.nonce()?;
        let params = query([
            ("Action", "AssumeRoleWithOIDC"),
            ("Version", "2015-04-01"),
            ("Format", "JSON"),
            ("Timestamp", timestamp.as_str()),
            ("SignatureNonce", nonce.as_str()),
        ]);
        let mut request = Request::new(Method::POST, format!("{}/?{params}", self.endpoint));
        request.header(header::CONTENT_TYPE, FORM, false)?;
        request.header(header::ACCEPT, "application/json", false)?;
        request.secret_body(query([
            ("RoleArn", self.role_arn.as_str()),
            ("OIDCProviderArn", self.provider_arn.as_str()),
            ("OIDCToken", token),
            ("RoleSessionName", "ota-gateway"),
            ("DurationSeconds", LIFETIME_S),
        ]));
        Ok(request)
    }
}

#[async_trait::async_trait]
impl Fetch for Rrsa {
    async fn fetch(&self, cx: &Context) -> Result<Fetched> {
        // Read each time: the cluster renews it.
        let token = read_text(&self.token_file, SecretSource::MAX_FILE_BYTES).map_err(|error| {
            Error::new(
                ErrorKind::Misconfigured,
                "the token of the pod cannot be read, so there is no credential",
            )
            .with_advice("`credentials = \"rrsa\"` works in a pod whose service account has RRSA only; it sets ALIBABA_CLOUD_OIDC_TOKEN_FILE, which `oidc_token_file` replaces")
            .with_source(error)
        })?;
        let token = token.trim();
        let cx = Context {
            trace: None,
            ..cx.clone()
        };
        let response = self
            .http
            .send(&cx, self.request(token)?)
            .await
            .map_err(|error| {
                let failed = Error::new(
                    error.kind(),
                    "the STS cannot be reached, so there is no credential",
                );
                let failed = match error.advice() {
                    Some(advice) => failed.with_advice(advice),
                    None => failed.with_advice(
                        "check `sts_endpoint` (by default that of `region`), and the way there",
                    ),
                };
                with_cause(failed, &error)
            })?;
        if response.status == 200 {
            let read: Result<Answer, _> = serde_json::from_slice(&response.body);
            clear(response);
            let credentials = read.ok().and_then(|answer| answer.credentials);
            return credentials
                .ok_or_else(|| unreadable("it has no `Credentials`"))?
                .into_fetched(true);
        }
        let refusal: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
        let clean = |text: &str, max| {
            let text = redact::secrets(text, [token], max);
            Some(text).filter(|text| !text.is_empty())
        };
        let (kind, message) = match response.status {
            429 => (
                ErrorKind::Throttled,
                "the STS asks to slow down, so there is no credential",
            ),
            500.. => (
                ErrorKind::Unavailable,
                "the STS is out of order, so there is no credential",
            ),
            _ => (
                ErrorKind::Auth,
                "the STS refused to change the pod's token for a credential",
            ),
        };
        let error = Error::new(kind, message).with_vendor(VendorError {
            code: clean(&refusal.code, 100),
            message: clean(&refusal.message, 300),
            request_id: clean(&refusal.request_id, 100),
            http_status: Some(response.status),
        });
        Err(match kind {
            ErrorKind::Auth => error.with_advice(
                "check `role_arn` and `oidc_provider_arn` (by default from ALIBABA_CLOUD_ROLE_ARN and ALIBABA_CLOUD_OIDC_PROVIDER_ARN), and that the role trusts this service account",
            ),
            _ => error,
        })
    }
}
