//! The only place that sends.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use ota_adapter::account::PageFormat;
use ota_adapter::error::{too_many_rows, with_wait};
use ota_adapter::{Account, LenientScalar, Meaning};
use ota_core::context::Context;
use ota_core::drift::DriftKind;
use ota_core::error::Retry;
use ota_core::gate::{self, VendorCall};
use ota_core::paging::Window;
use ota_core::provider::SettingError;
use ota_core::{Error, ErrorKind, Result};
use ota_http::encode::query;
use ota_http::redact::Hidden;
use ota_http::{Request, Response, Secret};
use serde_json::Value;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::blame::blame;
use crate::config::{Config, Format, Signature};
use crate::credentials::{Credentials, Secrets};
use crate::error::{
    NO_SUCH_PAGE, OUT_OF_ORDER, SLOW_DOWN, accepts_credential, is_credential_refusal,
    is_time_refusal, refusal, wait_of, with_advice_for,
};
use crate::params::Params;
use crate::refused::{CredentialKey, RefusedKeys};
use crate::sign::{Acs3, FORM, acs3, rpc, sha256_hex, timestamp};
use crate::skew::Skew;
use crate::wire::{self, Decoded, Envelope, Undecodable};

const VERSION: &str = "2018-01-20";

/// Longer parameters are sent in a form body: servers and proxies commonly limit request lines to 8 KiB.
const MAX_QUERY_BYTES: usize = 4096;

/// Sends signed calls to one account.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) account: Account,
    pub(crate) config: Config,
    pub(crate) refused: Arc<RefusedKeys>,
    http: ota_http::Client,
    credentials: Credentials,
    skew: Skew,
}

/// The data of a successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `Data`, or `FirmwareInfo` of `ListOTAFirmware`.
    pub(crate) data: Value,
    /// `Total` of a list.
    pub(crate) total: Option<u64>,
    /// `PageSize` of a list.
    pub(crate) page_size: Option<u32>,
}

/// How the vendor's pages look.
pub(crate) const PAGE: PageFormat = PageFormat {
    size: "PageSize",
    rows: "Data",
    total: "Total",
    no_such_page: &[NO_SUCH_PAGE],
};

/// The vendor counts pages from 1.
pub(crate) fn page_params(window: Window) -> [(String, String); 2] {
    [
        ("CurrentPage".to_owned(), (window.index + 1).to_string()),
        ("PageSize".to_owned(), window.size.to_string()),
    ]
}

impl Client {
    /// Creates the client of an account.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub(crate) fn new(account: Account, config: Config) -> Result<Self, SettingError> {
        let http = config
            .connection
            .client(&account.name, &*account.deps.clock)?;
        Ok(Self {
            credentials: Credentials::new(&config, &account.deps)?,
            account,
            config,
            refused: Arc::default(),
            http,
            skew: Skew::default(),
        })
    }

    /// Calls a reading operation through the gate; every attempt is signed afresh. `callers` names the parameters whose values the
    /// caller sent: the caller can have caused a refusal of these only.
    pub(crate) async fn read(
        &self,
        cx: &Context,
        operation: &'static str,
        params: Params,
        callers: &[&str],
    ) -> Result<Answer> {
        // Before the gate: getting a credential is not a call of the vendor's API, and its failure says nothing about that API. No call is made either while
        // the vendor's last refusal of the credential is recent.
        self.usable(cx, operation).await?;
        let gate = Arc::clone(&self.account.deps.gate);
        gate::call(&*gate, cx, VendorCall::read(operation), |_| {
            self.attempt(cx, operation, &params)
        })
        .await
        .map_err(|error| with_advice_for(blame(error, &params, callers), &self.config.credentials))
    }

    /// Returns the credential to sign with. If the vendor has refused the present one, the source is asked for another one; without one the refusal is
    /// returned until the present one is to be tried again.
    async fn usable(&self, cx: &Context, operation: &'static str) -> Result<Arc<Secrets>> {
        let secrets = self.credentials.ready(cx).await?;
        if !self.refused.is_refused(self.key(&secrets)) {
            return Ok(secrets);
        }
        let secrets = match self.credentials.newer(cx, &secrets).await {
            Some(newer) => newer,
            None => secrets,
        };
        let now = self.account.deps.clock.monotonic();
        match self.refused.answer(self.key(&secrets), now) {
            None => Ok(secrets),
            Some(refusal) => Err(with_advice_for(
                refusal.with_operation(operation),
                &self.config.credentials,
            )),
        }
    }

    fn key(&self, secrets: &Secrets) -> CredentialKey {
        let config = &self.config;
        CredentialKey::new(config.connection.endpoint.base(), config.signature, secrets)
    }

    async fn attempt(
        &self,
        cx: &Context,
        operation: &'static str,
        params: &Params,
    ) -> Result<Answer> {
        // Once more, because the call may have waited in the gate.
        let secrets = self
            .usable(cx, operation)
            .await
            .map_err(Error::with_unsent)?;
        let key = self.key(&secrets);
        self.refused
            .begin(key, self.account.deps.clock.monotonic())
            .map_err(Error::with_unsent)?;
        let result = self.send(cx, operation, params, &secrets).await;
        match &result {
            Err(error) if error.is_superseded() => self.refused.record_inconclusive(key),
            Err(error) if is_credential_refusal(error) => {
                let now = self.account.deps.clock.monotonic();
                self.refused
                    .record_refused(key, error, now, &*self.account.deps.random);
            }
            Err(error) if !accepts_credential(error) => self.refused.record_inconclusive(key),
            _ => self.refused.record_accepted(key),
        }
        result
    }

    /// Signs and sends a call. If its time or its credential is refused, the error says whether a retry may succeed.
    async fn send(
        &self,
        cx: &Context,
        operation: &'static str,
        params: &Params,
        secrets: &Secrets,
    ) -> Result<Answer> {
        let signed_at = self.skew.correct(self.account.deps.clock.now());
        let request = self.request(operation, params, secrets, signed_at)?;
        let response = self.http.send(cx, request).await?;
        let source = self.account.source(operation);
        let result = interpret(&response, secrets, &|kind, field| {
            source.report(kind, field)
        });
        match result {
            Err(error) if is_time_refusal(&error) => {
                let own = self.account.deps.clock.now();
                let corrected = response
                    .believable_date(own)
                    .is_some_and(|vendors| self.skew.learn(own, vendors, signed_at));
                // Retried with the vendor's time or not at all: the same time would be refused again.
                let retry = if corrected { Retry::Once } else { Retry::Never };
                Err(error.with_retry(retry))
            }
            // The refused credential has been replaced meanwhile: the call is signed and sent once more, and the caller does not notice.
            Err(error)
                if is_credential_refusal(&error)
                    && self.credentials.replaced(cx, secrets).await =>
            {
                Err(error.with_superseded().with_retry(Retry::Once))
            }
            other => other,
        }
    }

    fn request(
        &self,
        operation: &'static str,
        params: &Params,
        secrets: &Secrets,
        now: OffsetDateTime,
    ) -> Result<Request> {
        let timestamp = timestamp(now)?;
        let nonce = self.account.deps.random.nonce()?;
        let mut params = params.clone();
        if let Some(instance) = &self.config.instance_id {
            params.push(("IotInstanceId".to_owned(), instance.clone()));
        }
        match self.config.signature {
            Signature::Acs3 => self.acs3_request(operation, &params, secrets, &timestamp, &nonce),
            Signature::HmacSha1 => self.rpc_request(operation, params, secrets, timestamp, nonce),
        }
    }

    fn acs3_request(
        &self,
        operation: &str,
        params: &Params,
        secrets: &Secrets,
        timestamp: &str,
        nonce: &str,
    ) -> Result<Request> {
        let encoded = encode(params);
        let in_body = encoded.len() > MAX_QUERY_BYTES;
        let body = if in_body {
            encoded.clone()
        } else {
            String::new()
        };
        let hash = sha256_hex(body.as_bytes());
        let mut headers = vec![
            ("host", self.config.connection.endpoint.authority()),
            ("x-acs-action", operation),
            ("x-acs-version", VERSION),
            ("x-acs-date", timestamp),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-content-sha256", hash.as_str()),
        ];
        if let Some(token) = &secrets.security_token {
            headers.push(("x-acs-accesskey-id", secrets.access_key_id.expose_secret()));
            headers.push(("x-acs-security-token", token.expose_secret()));
        }
        if in_body {
            headers.push(("content-type", FORM));
        }
        let authorization = acs3(Acs3 {
            method: "POST",
            uri: "/",
            query: if in_body { &[] } else { params },
            headers: &headers,
            hashed_payload: &hash,
            access_key_id: secrets.access_key_id.expose_secret(),
            access_key_secret: secrets.access_key_secret.expose_secret(),
        });
        let target = match (in_body, encoded.is_empty()) {
            (false, false) => format!("{}/?{encoded}", self.config.connection.endpoint.base()),
            _ => format!("{}/", self.config.connection.endpoint.base()),
        };
        let mut request = Request::new(Method::POST, target);
        for (name, value) in headers {
            // The transport writes `Host` itself, from the same endpoint.
            if name != "host" {
                request.header(
                    HeaderName::from_static(name),
                    value,
                    name == "x-acs-security-token",
                )?;
            }
        }
        let accept = match self.config.format {
            Format::Json => "application/json",
            Format::Xml => "application/xml",
        };
        request.header(header::ACCEPT, accept, false)?;
        request.header(header::AUTHORIZATION, &authorization, true)?;
        request.body = Bytes::from(body);
        Ok(request)
    }

    fn rpc_request(
        &self,
        operation: &str,
        params: Params,
        secrets: &Secrets,
        timestamp: String,
        nonce: String,
    ) -> Result<Request> {
        let own_length = encode(&params).len();
        let format = match self.config.format {
            Format::Json => "JSON",
            Format::Xml => "XML",
        };
        // They may contain a token, so they are cleared.
        let mut common: Zeroizing<Params> = Zeroizing::new(Vec::with_capacity(12 + params.len()));
        let always = [
            ("Action", operation),
            ("Version", VERSION),
            ("Format", format),
            ("AccessKeyId", secrets.access_key_id.expose_secret()),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", &nonce),
            ("Timestamp", &timestamp),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        common.extend(always);
        if let Some(region) = &self.config.region {
            common.push(("RegionId".to_owned(), region.clone()));
        }
        if let Some(token) = &secrets.security_token {
            common.push(("SecurityToken".to_owned(), token.expose_secret().to_owned()));
        }
        let all: Zeroizing<Params> =
            Zeroizing::new(common.iter().chain(&params).cloned().collect());
        common.push((
            "Signature".to_owned(),
            rpc("POST", &all, secrets.access_key_secret.expose_secret()),
        ));
        let in_body = own_length > MAX_QUERY_BYTES;
        let mut body = String::new();
        if in_body {
            body = encode(&params);
        } else {
            common.extend(params);
        }
        let encoded = Zeroizing::new(encode(&common));
        let base = self.config.connection.endpoint.base();
        let mut request = Request::new(Method::POST, format!("{base}/?{}", *encoded));
        if in_body {
            request.header(header::CONTENT_TYPE, FORM, false)?;
        }
        request.body = Bytes::from(body);
        Ok(request)
    }
}

fn encode(params: &Params) -> String {
    query(
        params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

/// Reads an answer: the body before the status, since product errors come under HTTP 200.
pub(crate) fn interpret(
    response: &Response,
    secrets: &Secrets,
    drift: &dyn Fn(DriftKind, &str),
) -> Result<Answer> {
    let unreadable = |reason: String| unreadable(response, &reason);
    if response.is_html() {
        return Err(unreadable(
            "it is an HTML page, so a proxy or another server answered".to_owned(),
        ));
    }
    let Decoded { members, odd } = wire::decode(&response.body).map_err(|error| match error {
        Undecodable::Malformed(reason) => unreadable(reason),
        Undecodable::TooMuch => too_many_rows(),
    })?;
    // Any text of the vendor may repeat what was sent to it.
    let hidden = Hidden::new(secrets.parts().map(Secret::expose_secret));
    let mut members = hidden.members(members);
    for field in odd.fields() {
        drift(DriftKind::Malformed, &hidden.text(field.to_owned()));
    }
    // The rows are taken out first, so that they are not copied: they are nearly all of the answer.
    let data = members.remove("Data").unwrap_or_default();
    let firmware_info = members.remove("FirmwareInfo").unwrap_or_default();
    let envelope: Envelope = serde_json::from_value(Value::Object(members))
        .map_err(|_| unreadable("its members have no known form".to_owned()))?;
    let Envelope {
        request_id,
        success,
        code,
        message,
        error_message,
        total,
        page_size,
        other,
    } = envelope;
    for name in other
        .keys()
        .filter(|name| !wire::ENVELOPE_REST.contains(&name.as_str()))
    {
        drift(DriftKind::Field, name);
    }
    let ok_status = (200..300).contains(&response.status);
    let code = code.text();
    if !ok_status
        || success.flag() == Some(false)
        || (code.is_some() && success.flag() != Some(true))
    {
        if code.is_none() && !ok_status {
            return Err(unreadable("it has no error code".to_owned()));
        }
        let text = |scalar: LenientScalar| match scalar.0 {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        };
        let message = text(message).or_else(|| text(error_message));
        let code = code.unwrap_or_default();
        return Err(refusal(
            response,
            secrets,
            &code,
            message,
            request_id.text(),
        ));
    }
    let data = if data.is_null() { firmware_info } else { data };
    if success.flag().is_none() && data.is_null() {
        return Err(unreadable("it has neither `Success` nor `Data`".to_owned()));
    }
    Ok(Answer {
        data,
        total: total.count(),
        page_size: page_size.count().and_then(|size| u32::try_from(size).ok()),
    })
}

/// The error for an answer in none of the vendor's forms. The status says whether the vendor is unavailable or something else answered.
fn unreadable(response: &Response, reason: &str) -> Error {
    let meaning = match response.status {
        429 => SLOW_DOWN,
        500..=599 => OUT_OF_ORDER,
        _ => Meaning::new(ErrorKind::Protocol, "the vendor's answer cannot be read"),
    };
    with_wait(meaning.error(), wait_of(response))
        .with_retry(Retry::Later)
        .with_context("reason", reason)
        .with_context("http_status", response.status.to_string())
        .with_context(
            "content_type",
            response.header("content-type").unwrap_or("(none)"),
        )
        .with_context("bytes", response.body.len().to_string())
}
