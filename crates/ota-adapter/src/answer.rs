//! Decides what a JSON response is: data, an error of the vendor, or not a response of the vendor's API.

use ota_core::error::Retry;
use ota_core::{Error, ErrorKind, Result};
use ota_http::Response;
use ota_http::json::{self, Unreadable};
use ota_http::redact::Hidden;
use serde_json::{Map, Value};

use crate::error::{Meaning, too_many_rows, vendor_error, with_wait};
use crate::lenient::LenientScalar;
use crate::throttling::asks_to_slow_down;

/// The JSON form of a vendor's errors.
#[derive(Clone, Copy, Debug)]
pub struct ErrorFormat {
    /// The member that holds the code. An answer that has it is a refusal under every status.
    pub code: &'static str,
    /// The member that holds the text.
    pub message: &'static str,
    /// The header that holds the vendor's identifier of the call.
    pub request_id: &'static str,
    /// The adapter's table of documented codes.
    pub documented: fn(code: &str) -> Option<Meaning>,
    /// The meaning of an error with this status whose code is missing or not documented.
    pub undocumented: fn(code: Option<&str>, status: u16) -> Meaning,
}

impl ErrorFormat {
    /// Reads an answer: the body first, then the status. The content type is ignored: proxies and old platforms send valid JSON as plain text.
    ///
    /// `secrets` are removed from what the error repeats of the answer, not from the data. `malformed` is called with the name of each field in which
    /// something was replaced or stays as text.
    ///
    /// # Errors
    /// Why the answer holds no data.
    pub fn read(
        &self,
        response: &Response,
        secrets: &[&str],
        malformed: &dyn Fn(&str),
    ) -> Result<Map<String, Value>> {
        let document = match json::read(&response.body) {
            Ok(document) => document,
            Err(Unreadable::TooMuch) => return Err(too_many_rows()),
            Err(_) => return Err(self.unreadable(response)),
        };
        let hidden = Hidden::new(secrets.iter().copied());
        for field in document.odd.fields() {
            malformed(&hidden.text(field.to_owned()));
        }
        let Value::Object(mut body) = document.value else {
            return Err(self.unreadable(response));
        };
        let code = body.remove(self.code).map(LenientScalar);
        let success = (200..300).contains(&response.status);
        let message = match (&code, success) {
            // Without a code it may be a part of the data.
            (None, true) => return Ok(body),
            _ => body.remove(self.message).map(LenientScalar),
        };
        let code = code.unwrap_or_default();
        if code.is_absent() && success {
            return Ok(body);
        }
        let code = match code.text() {
            _ if code.is_absent() => None,
            Some(text) => Some(text),
            // The code is not documented, but it is an error.
            None => Some("(not a text)".to_owned()),
        };
        let message = message.and_then(|message| message.text());
        Err(self.refusal(response, secrets, code.as_deref(), message.as_deref()))
    }

    /// Returns the error of a refusal that the adapter has taken out of the answer itself.
    #[must_use]
    pub fn refusal(
        &self,
        response: &Response,
        secrets: &[&str],
        code: Option<&str>,
        message: Option<&str>,
    ) -> Error {
        let known = code.and_then(|code| (self.documented)(code.trim()));
        let meaning = known.unwrap_or_else(|| match code {
            Some(code) if asks_to_slow_down(code) => (self.undocumented)(None, 429),
            code => (self.undocumented)(code, response.status),
        });
        let request_id = response.header(self.request_id);
        let error = meaning
            .error()
            .with_vendor(vendor_error(response, secrets, code, message, request_id));
        with_wait(later(error), response.retry_after())
    }

    /// The error for a response that is not one of this API: an HTML page, nothing, an incomplete document.
    fn unreadable(&self, response: &Response) -> Error {
        let html = response.is_html();
        let error = match response.status {
            // Of a 401 nothing is known but that the credential was refused, so another one is worth a try.
            status @ 500..=599 => (self.undocumented)(None, status).error(),
            status @ (401 | 429) if !html => (self.undocumented)(None, status).error(),
            _ if html => Error::new(
                ErrorKind::Protocol,
                "an HTML page came instead of the vendor's response; a proxy or another port answers at `endpoint`",
            ),
            _ => Error::new(
                ErrorKind::Protocol,
                "the vendor's answer cannot be read as JSON",
            ),
        };
        let request_id = response.header(self.request_id);
        let error = error
            .with_vendor(vendor_error(response, &[], None, None, request_id))
            .with_context("body_bytes", response.body.len().to_string());
        with_wait(later(error), response.retry_after())
    }
}

/// A cut answer may come whole the next time, and a proxy's page may be gone; where an endpoint is wrong, a retry costs a few calls.
fn later(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Protocol => error.with_retry(Retry::Later),
        _ => error,
    }
}

/// Replaces every secret in every text of a response's data: any text of the vendor may repeat parts of the request.
#[must_use]
pub fn without_secrets<'a>(
    data: Map<String, Value>,
    secrets: impl IntoIterator<Item = &'a str>,
) -> Map<String, Value> {
    Hidden::new(secrets).members(data)
}
