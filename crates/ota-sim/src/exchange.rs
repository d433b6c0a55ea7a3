//! The interface between the server and a vendor's module: a request, read completely, and its answer.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use time::OffsetDateTime;

use crate::counters::Refusal;
use crate::fault::FaultKind;
use crate::faults::Drawn;
use crate::fleet::FleetTruth;
use crate::wire_text::decode_pairs;

/// One request, read completely.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) method: Method,
    /// Path and query as received.
    pub(crate) target: String,
    pub(crate) path: String,
    /// Decoded query.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Time of arrival by the server's own clock, which may be off.
    pub(crate) at: OffsetDateTime,
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns whether the body is of this media type, with any parameters.
    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.header("content-type")
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(media_type))
    }

    /// Returns the text of a refusal that a fault wrote.
    pub(crate) fn refusal_text(&self, faults: &Drawn) -> Option<String> {
        let echo = || faults.has(FaultKind::EchoRequest).then(|| self.echo());
        faults.long_refusal().or_else(echo)
    }

    /// The request as it came, with its credentials.
    fn echo(&self) -> String {
        let mut text = format!("the request is not valid: {} {}", self.method, self.target);
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            text.push_str(&format!("; {name}: {value}"));
        }
        text.push_str("; body: ");
        text.push_str(&String::from_utf8_lossy(&self.body));
        text
    }

    /// Decoded parameters of query and form body, without those of `secret` names.
    pub(crate) fn shown_params(&self, secret: &[&str]) -> Vec<(String, String)> {
        let mut params = self.query.clone();
        params.extend(self.form());
        params.retain(|(name, _)| !secret.contains(&name.as_str()));
        params
    }

    /// Decoded form body; empty when the body is no form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if self.is("application/x-www-form-urlencoded") {
            decode_pairs(&String::from_utf8_lossy(&self.body))
        } else {
            Vec::new()
        }
    }
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answered,
    LoggedIn,
    Refreshed,
    Refused(Refusal),
}

/// A complete answer of a vendor.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// The part of a simulator that a vendor's module implements.
pub(crate) trait Vendor: Send + Sync + 'static {
    /// Returns the name of the operation, `unknown` when there is none. Counters, recorded requests and faults use it.
    fn operation(&self, arrival: &Arrival) -> &'static str;

    /// Answers a call, spoiled by the faults that were drawn for it.
    fn answer(&self, arrival: &Arrival, faults: &Drawn) -> Answer;

    /// Returns what the simulator holds at the server's time `now`.
    fn fleet(&self, now: OffsetDateTime) -> FleetTruth;

    /// Returns the names of parameters that are never recorded: secrets, tokens and signatures.
    fn secret_params(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the names of headers, in lower case, that are recorded beside the usual ones; nothing here may be a
    /// credential.
    fn recorded_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns whether this module serves a kind of fault; one that it does not serve is ignored. By default those of
    /// the transport, which need nothing from the module.
    fn serves(&self, kind: FaultKind) -> bool {
        kind.is_of_transport()
    }
}
