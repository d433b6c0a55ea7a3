//! The vendor's gateway: authentication, signature, quota and response format.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::config::Config;
use super::errors::{Error, Source};
use super::operations::{Call, Operation};
use super::rows::truth;
use super::sign::{
    ACS3, Authorization, acs3_canonical_request, acs3_signature, acs3_string_to_sign,
    rpc_signature, rpc_string_to_sign,
};
use super::xml;
use crate::counters::Refusal;
use crate::exchange::{Answer, Arrival, Vendor, Verdict};
use crate::fault::FaultKind;
use crate::faults::Drawn;
use crate::fleet::{Fleet, FleetTruth, Stream};
use crate::quota::Limiter;

const VERSION: &str = "2018-01-20";
/// Headers that clients add to a request after they have signed it.
const UNSIGNED_ACS: [&str; 2] = ["x-acs-retry-attempts", "x-acs-retry-delay"];
/// Parameters that are never recorded.
const SECRET_PARAMS: [&str; 2] = ["Signature", "SecurityToken"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Xml,
}

/// The simulator behind the server.
pub(super) struct Alibaba {
    config: Config,
    fleet: Arc<Fleet>,
    state: Mutex<State>,
}

struct State {
    limiter: Limiter,
    nonces: Nonces,
    answers: u64,
}

/// Nonces of the time in which their time stamps are still accepted.
#[derive(Default)]
struct Nonces {
    seen: HashMap<String, OffsetDateTime>,
    by_age: VecDeque<(OffsetDateTime, String)>,
}

impl Nonces {
    fn is_new(&mut self, nonce: &str, now: OffsetDateTime, kept: Duration) -> bool {
        while let Some((seen, _)) = self.by_age.front()
            && now - *seen > kept
        {
            if let Some((_, nonce)) = self.by_age.pop_front() {
                self.seen.remove(&nonce);
            }
        }
        if self.seen.contains_key(nonce) {
            return false;
        }
        self.seen.insert(nonce.to_owned(), now);
        self.by_age.push_back((now, nonce.to_owned()));
        true
    }
}

/// What a call says about itself, from parameters or from headers.
struct Claims<'a> {
    action: Option<&'a str>,
    version: Option<&'a str>,
    access_key_id: Option<&'a str>,
    security_token: Option<&'a str>,
    timestamp: Option<&'a str>,
    nonce: Option<&'a str>,
}

impl Alibaba {
    pub(super) fn new(config: Config, fleet: Arc<Fleet>) -> Self {
        Self {
            state: Mutex::new(State {
                limiter: Limiter::new(config.quota),
                nonces: Nonces::default(),
                answers: 0,
            }),
            config,
            fleet,
        }
    }

    /// Admits the call or says why not.
    fn admit(&self, arrival: &Arrival, params: &[(String, String)]) -> Result<Operation, Error> {
        if arrival.method != Method::GET && arrival.method != Method::POST {
            return Err(Error::unsupported_method());
        }
        let authorization = match arrival.header("authorization") {
            Some(header) if header.starts_with(ACS3) => {
                Some(Authorization::parse(header).ok_or_else(Error::incomplete_signature)?)
            }
            _ => None,
        };
        let claims = claims(arrival, params, authorization.as_ref());
        let operation = match claims.action {
            None => return Err(Error::missing("Action", Refusal::Request)),
            Some(action) => Operation::of(action).ok_or_else(Error::unknown_action)?,
        };
        if arrival.path != "/" {
            return Err(Error::unknown_action());
        }
        match claims.version {
            None => return Err(Error::missing("Version", Refusal::Request)),
            Some(VERSION) => {}
            Some(_) => return Err(Error::invalid("Version", Refusal::Request)),
        }
        if authorization.is_none() {
            check_rpc_parameters(params)?;
        }

        let credential = self.config.credential();
        match claims.access_key_id {
            None => return Err(Error::missing("AccessKeyId", Refusal::Credential)),
            Some(id) if id == credential.access_key_id => {}
            Some(_) => return Err(Error::unknown_key()),
        }
        match (&credential.security_token, claims.security_token) {
            (None, None) => {}
            (None, Some(_)) => return Err(Error::security_token("Malformed")),
            (Some(_), None) => return Err(Error::missing("SecurityToken", Refusal::Credential)),
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(_), Some(_)) => return Err(Error::security_token("MismatchWithAccessKey")),
        }
        self.check_time(claims.timestamp, arrival.at)?;

        let secret = &credential.access_key_secret;
        match &authorization {
            Some(authorization) => check_acs3(arrival, authorization, secret)?,
            None => {
                let string = rpc_string_to_sign(arrival.method.as_str(), params);
                let given = param(params, "Signature").unwrap_or_default();
                if given != rpc_signature(secret, &string) {
                    return Err(Error::signature(&string));
                }
            }
        }

        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nonce = claims
            .nonce
            .ok_or_else(|| Error::missing("SignatureNonce", Refusal::Signature))?;
        // A time stamp may be that far in the future and is then accepted for twice the limit.
        let kept = self.config.skew_limit.saturating_mul(2);
        if !state.nonces.is_new(nonce, arrival.at, kept) {
            return Err(Error::nonce());
        }
        state
            .limiter
            .admit_times(operation.name(), arrival.at, operation.quota_factor())
            .map_err(|_| Error::throttled(self.config.throttle_style))?;
        Ok(operation)
    }

    fn check_time(&self, timestamp: Option<&str>, now: OffsetDateTime) -> Result<(), Error> {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let time = timestamp
            .and_then(|text| PrimitiveDateTime::parse(text, format).ok())
            .ok_or_else(Error::malformed_time)?
            .assume_utc();
        if (now - time).unsigned_abs() > self.config.skew_limit {
            return Err(Error::expired_time());
        }
        Ok(())
    }

    /// An error that a fault asks for instead of the normal answer.
    fn injected(
        &self,
        arrival: &Arrival,
        params: &[(String, String)],
        faults: &Drawn,
    ) -> Option<Error> {
        if let Some(fault) = faults.get(FaultKind::Throttle) {
            let mut error = Error::throttled(self.config.throttle_style);
            if let Some(code) = &fault.code {
                error.code.clone_from(code);
            }
            Some(error)
        } else if faults.has(FaultKind::IllegalTimestamp) {
            Some(Error::illegal_timestamp())
        } else if faults.has(FaultKind::GatewayError) {
            Some(Error::service_unavailable())
        } else if faults.has(FaultKind::ProductError) {
            Some(Error::system_exception())
        } else if faults.has(FaultKind::Xml4xx) {
            Some(Error::gateway(
                StatusCode::BAD_REQUEST,
                "InvalidParameter",
                "The specified parameter is not valid.",
                Refusal::Fault,
            ))
        } else if faults.has(FaultKind::BadArgument) {
            Some(Error::bad_argument())
        } else if faults.has(FaultKind::BadDevice) {
            Some(Error::bad_device())
        } else if let Some(text) = arrival.refusal_text(faults) {
            Some(Error::long(text))
        } else if faults.has(FaultKind::EchoSignature) {
            Some(Error::signature(&string_to_sign(arrival, params)))
        } else {
            None
        }
    }

    /// An upper-case UUID, a new one for every answer.
    fn request_id(&self) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers += 1;
        Stream::of(self.config.seed, &[0x4E9, state.answers])
            .uuid()
            .to_ascii_uppercase()
    }

    fn success(&self, format: Format, operation: Operation, mut content: Value) -> Answer {
        let request_id = self.request_id();
        content["RequestId"] = request_id.as_str().into();
        content["Success"] = true.into();
        let body = match format {
            Format::Json => content.to_string(),
            Format::Xml => xml::document(&format!("{}Response", operation.name()), &content),
        };
        answer(StatusCode::OK, format, &request_id, body, Verdict::Answered)
    }

    fn refusal(&self, format: Format, action: &str, error: &Error) -> Answer {
        let request_id = self.request_id();
        let (status, body) = match error.source {
            Source::Gateway(status) => {
                let body = self.gateway_error(format, &request_id, error);
                (status, body)
            }
            Source::Product => {
                let content = json!({
                    "RequestId": request_id,
                    "Success": false,
                    "Code": error.code,
                    "ErrorMessage": error.message,
                });
                let body = match format {
                    Format::Json => content.to_string(),
                    Format::Xml => xml::document(&format!("{action}Response"), &content),
                };
                (StatusCode::OK, body)
            }
        };
        let mut answer = answer(
            status,
            format,
            &request_id,
            body,
            Verdict::Refused(error.refusal),
        );
        if let Some(wait) = error.retry_after_ms {
            let name = HeaderName::from_static("x-acs-retry-after");
            answer.headers.push((name, HeaderValue::from(wait)));
        }
        answer
    }

    fn gateway_error(&self, format: Format, request_id: &str, error: &Error) -> String {
        let host_id = &self.config.host_id;
        let recommend = format!(
            "https://api.aliyun.com/troubleshoot?q={}&product=Iot",
            error.code
        );
        match format {
            Format::Json => json!({
                "RequestId": request_id,
                "HostId": host_id,
                "Code": error.code,
                "Message": error.message,
                "Recommend": recommend,
            })
            .to_string(),
            Format::Xml => {
                xml::gateway_error(request_id, host_id, &error.code, &error.message, &recommend)
            }
        }
    }
}

impl Vendor for Alibaba {
    fn operation(&self, arrival: &Arrival) -> &'static str {
        let params = merged(arrival);
        arrival
            .header("x-acs-action")
            .or_else(|| param(&params, "Action"))
            .and_then(Operation::of)
            .map_or("unknown", Operation::name)
    }

    fn secret_params(&self) -> &'static [&'static str] {
        &SECRET_PARAMS
    }

    fn recorded_headers(&self) -> &'static [&'static str] {
        &[
            "x-acs-action",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-version",
        ]
    }

    fn serves(&self, kind: FaultKind) -> bool {
        kind != FaultKind::TokenExpired
    }

    fn answer(&self, arrival: &Arrival, faults: &Drawn) -> Answer {
        let params = merged(arrival);
        let format = format(arrival, &params, faults);
        if let Some(error) = self.injected(arrival, &params, faults) {
            return self.refusal(format, self.operation(arrival), &error);
        }
        let operation = match self.admit(arrival, &params) {
            Ok(operation) => operation,
            Err(error) => return self.refusal(format, "unknown", &error),
        };
        let call = Call {
            operation,
            params: &params,
            config: &self.config,
            fleet: &self.fleet,
            age: self.fleet.age(arrival.at),
            faults,
        };
        match call.check().and_then(|()| call.answer()) {
            Ok(content) => self.success(format, operation, content),
            Err(error) => self.refusal(format, operation.name(), &error),
        }
    }

    fn fleet(&self, now: OffsetDateTime) -> FleetTruth {
        truth(&self.config, &self.fleet, self.fleet.age(now))
    }
}

/// Query and form body together, as the server merges them.
fn merged(arrival: &Arrival) -> Vec<(String, String)> {
    let mut params = arrival.query.clone();
    params.extend(arrival.form());
    params
}

fn param<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(one, _)| one == name)
        .map(|(_, value)| value.as_str())
}

/// XML unless JSON is asked for: by `Format`, or by `accept` in a V3 call.
fn format(arrival: &Arrival, params: &[(String, String)], faults: &Drawn) -> Format {
    if faults.has(FaultKind::Xml4xx) {
        return Format::Xml;
    }
    let json = match param(params, "Format") {
        Some(format) => format.eq_ignore_ascii_case("JSON"),
        None => {
            is_acs3(arrival)
                && arrival
                    .header("accept")
                    .is_some_and(|accept| accept.contains("application/json"))
        }
    };
    if json { Format::Json } else { Format::Xml }
}

fn is_acs3(arrival: &Arrival) -> bool {
    arrival.header("x-acs-action").is_some()
        || arrival
            .header("authorization")
            .is_some_and(|header| header.starts_with(ACS3))
}

fn claims<'a>(
    arrival: &'a Arrival,
    params: &'a [(String, String)],
    authorization: Option<&Authorization<'a>>,
) -> Claims<'a> {
    match authorization {
        Some(authorization) => Claims {
            action: arrival.header("x-acs-action"),
            version: arrival.header("x-acs-version"),
            access_key_id: Some(authorization.credential),
            security_token: arrival.header("x-acs-security-token"),
            timestamp: arrival.header("x-acs-date"),
            nonce: arrival.header("x-acs-signature-nonce"),
        },
        None => Claims {
            action: param(params, "Action"),
            version: param(params, "Version"),
            access_key_id: param(params, "AccessKeyId"),
            security_token: param(params, "SecurityToken"),
            timestamp: param(params, "Timestamp"),
            nonce: param(params, "SignatureNonce"),
        },
    }
}

/// Common parameters that an RPC call must have, in the order in which the documents list them.
fn check_rpc_parameters(params: &[(String, String)]) -> Result<(), Error> {
    for (name, refusal) in [
        ("AccessKeyId", Refusal::Credential),
        ("Signature", Refusal::Signature),
        ("SignatureMethod", Refusal::Signature),
        ("SignatureVersion", Refusal::Signature),
        ("SignatureNonce", Refusal::Signature),
        ("Timestamp", Refusal::Clock),
    ] {
        if param(params, name).is_none_or(str::is_empty) {
            return Err(Error::missing(name, refusal));
        }
    }
    for (name, only) in [
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
    ] {
        if param(params, name) != Some(only) {
            return Err(Error::invalid(name, Refusal::Signature));
        }
    }
    Ok(())
}

/// Checks a V3 signature over the headers that the client says it signed.
fn check_acs3(
    arrival: &Arrival,
    authorization: &Authorization<'_>,
    secret: &str,
) -> Result<(), Error> {
    let signed = &authorization.signed_headers;
    let must_be_signed = arrival
        .headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| {
            *name == "host"
                || *name == "content-type"
                || (name.starts_with("x-acs-") && !UNSIGNED_ACS.contains(name))
        });
    for name in must_be_signed {
        if !signed.contains(&name) {
            return Err(Error::incomplete_signature());
        }
    }
    for name in ["host", "x-acs-content-sha256"] {
        if !signed.contains(&name) {
            return Err(Error::incomplete_signature());
        }
    }
    let (canonical, string) = acs3_strings(arrival, signed);
    if authorization.signature != acs3_signature(secret, &string) {
        return Err(Error::signature(&format!(
            "{string}, server canonical request is:{canonical}"
        )));
    }
    Ok(())
}

fn acs3_strings(arrival: &Arrival, signed: &[&str]) -> (String, String) {
    let headers: Vec<(&str, String)> = signed
        .iter()
        .map(|name| (*name, header_text(arrival, name)))
        .collect();
    let canonical = acs3_canonical_request(
        arrival.method.as_str(),
        &arrival.path,
        &arrival.query,
        &headers,
        &arrival.body,
    );
    let string = acs3_string_to_sign(&canonical);
    (canonical, string)
}

/// Values of one header; several are joined with a comma.
fn header_text(arrival: &Arrival, name: &str) -> String {
    let values: Vec<String> = arrival
        .headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    values.join(",")
}

/// The string to sign of either scheme, for an echo.
fn string_to_sign(arrival: &Arrival, params: &[(String, String)]) -> String {
    match arrival
        .header("authorization")
        .and_then(Authorization::parse)
    {
        Some(authorization) => {
            let (canonical, string) = acs3_strings(arrival, &authorization.signed_headers);
            format!("{string}, server canonical request is:{canonical}")
        }
        None => rpc_string_to_sign(arrival.method.as_str(), params),
    }
}

fn answer(
    status: StatusCode,
    format: Format,
    request_id: &str,
    body: String,
    verdict: Verdict,
) -> Answer {
    let headers = HeaderValue::from_str(request_id)
        .map(|id| (HeaderName::from_static("x-acs-request-id"), id))
        .into_iter()
        .collect();
    Answer {
        status,
        content_type: match format {
            Format::Json => "application/json;charset=utf-8",
            Format::Xml => "text/xml;charset=utf-8",
        },
        headers,
        body: body.into_bytes(),
        verdict,
    }
}
