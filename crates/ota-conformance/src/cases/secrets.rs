//! Secrets never leave.

use std::error::Error as _;

use ota_core::Error;

use crate::cases::{RECOVERY, every_method, passed, skipped};
use crate::listing::ensure;
use crate::subject::{Subject, Trouble};
use crate::verdict::Verdict;

/// Troubles that lead to errors, of which some repeat what was sent. A silent vendor is left to the cases of the gate.
const TROUBLES: [Trouble; 10] = [
    Trouble::Throttle,
    Trouble::ServerError,
    Trouble::ErrorUnder200,
    Trouble::CredentialRefused,
    Trouble::Html,
    Trouble::HtmlError,
    Trouble::CutJson,
    Trouble::CutBody,
    Trouble::EmptyBody,
    Trouble::Drop,
];

/// Everything that an error can show, to logs and to strangers.
pub(crate) fn everything(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n{}\n", error.message());
    for (key, value) in error.context() {
        text.push_str(&format!("{key}={value}\n"));
    }
    if let Some(vendor) = error.vendor() {
        text.push_str(&format!("{vendor:?}\n"));
    }
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("{cause}\n{cause:?}\n"));
        source = cause.source();
    }
    text
}

/// The secret as it is, and percent-encoded once and twice, as URLs and strings-to-sign carry it.
fn forms(secret: &str) -> [String; 3] {
    let encode = |text: &str| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        encoded
    };
    let once = encode(secret);
    let twice = encode(&once);
    [secret.to_owned(), once, twice]
}

fn hides(subject: &Subject, what: &str, text: &str) -> Result<(), String> {
    for (number, secret) in subject.secrets.iter().enumerate() {
        let shown = forms(secret)
            .iter()
            .any(|form| !form.is_empty() && text.contains(form.as_str()));
        // The number and not the text: a report is no place for a secret either.
        ensure!(!shown, "{what} shows secret number {number} of the subject");
    }
    Ok(())
}

pub(crate) async fn no_error_shows_a_secret(subject: &Subject) -> Verdict {
    if subject.secrets.is_empty() {
        return skipped("the subject has no secret");
    }
    subject.warm_up().await?;
    let mut tried = false;
    for trouble in TROUBLES {
        let met = {
            let Some(_broken) = subject.break_vendor(trouble) else {
                continue;
            };
            every_method(subject, || subject.context()).await?
        };
        // The next trouble is to be met by a gate that lets calls through.
        subject.let_time_pass(RECOVERY);
        for (method, error) in met {
            if let Some(error) = error {
                tried = true;
                let what = format!("{trouble:?}: the error of {method}");
                hides(subject, &what, &everything(&error))?;
            }
        }
    }
    if tried {
        passed()
    } else {
        skipped("the subject cannot break the vendor")
    }
}

/// The names before values that open an account for a while: signatures, tokens.
const CREDENTIALS: [&str; 8] = [
    "bearer ",
    "basic ",
    "signature=",
    "signature: ",
    "token=",
    "token: ",
    "token\":\"",
    "credential=",
];

/// Returns what follows the name of a credential, if it is long enough to be one.
fn credential(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    CREDENTIALS.into_iter().find_map(|name| {
        lower.match_indices(name).find_map(|(at, _)| {
            let value = lower.get(at + name.len()..)?;
            let is_part = |c: char| c.is_ascii_alphanumeric() || "/+=%-_.~".contains(c);
            let length = value.find(|c| !is_part(c)).unwrap_or(value.len());
            (length >= 16).then_some(name)
        })
    })
}

/// A vendor that repeats what it was sent repeats the credentials too: those of the settings, and those made of them.
pub(crate) async fn an_echoed_request_shows_no_secret(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let met = {
        let Some(_broken) = subject.break_vendor(Trouble::EchoedRequest) else {
            return skipped("the subject cannot repeat a request");
        };
        every_method(subject, || subject.context()).await?
    };
    subject.let_time_pass(RECOVERY);
    let mut tried = false;
    for (method, error) in met {
        let Some(error) = error else { continue };
        tried = true;
        let (what, text) = (format!("the error of {method}"), everything(&error));
        hides(subject, &what, &text)?;
        let shown = credential(&text);
        ensure!(shown.is_none(), "{what} shows what follows {shown:?}");
    }
    ensure!(
        tried,
        "the vendor refused every request, and no method fails"
    );
    passed()
}

pub(crate) async fn debug_shows_no_secret(subject: &Subject) -> Verdict {
    if subject.secrets.is_empty() {
        return skipped("the subject has no secret");
    }
    subject.warm_up().await?;
    let provider = &subject.provider;
    hides(
        subject,
        "`Debug` of the provider",
        &format!("{provider:?}\n{provider:#?}"),
    )?;
    hides(subject, "the endpoint", provider.endpoint())?;
    passed()
}
