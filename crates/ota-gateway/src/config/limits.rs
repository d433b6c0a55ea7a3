//! `[providers.NAME.limits]`

use std::fmt::Write as _;
use std::time::Duration;

use ota_core::adapter::Descriptor;
use serde::Deserialize;

use super::error::ConfigError;
use super::section::Section;

/// The limits on a provider's calls to its vendor, and their time limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Providers with the same account share one quota.
    pub account: String,
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// The longest time that a call is assumed to travel. If its answer takes longer, the call counts for the window plus this time. If not set, it
    /// counts until one window after its answer.
    pub margin: Option<Duration>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The maximum number of attempts for one call.
    pub max_attempts: u32,
    /// The maximum number of concurrent calls.
    pub max_concurrent: u32,
    /// The maximum number of vendor calls for one page.
    pub max_calls_per_page: u32,
    /// The share of a window's calls that one caller may use while other callers are waiting.
    pub caller_share: f64,
}

const TIMEOUT_MS: u64 = 8000;
const MAX_ATTEMPTS: u32 = 3;
const MAX_CONCURRENT: u32 = 16;
const MAX_CALLS_PER_PAGE: u32 = 5;

/// In a window of this many seconds, a late caller waits no longer than the time limit of a request.
const SHORT_WINDOW_S: u32 = 10;

/// The default share of a longer window that one caller may use while other callers are waiting.
const CALLER_SHARE: f64 = 0.9;

/// Returns the default share of a window of this length that one caller may use.
fn default_caller_share(window_s: u32) -> f64 {
    match window_s {
        0..=SHORT_WINDOW_S => 1.0,
        _ => CALLER_SHARE,
    }
}

/// Writes the section of a provider, named `name`, with every key and its default at this vendor, as the example of a configuration shows it.
pub(super) fn example(name: &str, vendor: &Descriptor) -> String {
    let documented = (vendor.capability)().quota;
    let lines = [
        (format!("account = \"{name}\""), format!("providers of one vendor account share one quota; default: vendor + {}", vendor.account)),
        (format!("calls = {}", vendor.default_calls), format!("per window, counted as the vendor counts; the vendor documents {}", documented.calls)),
        (format!("window_s = {}", documented.window_s), String::new()),
        ("# margin_ms = 100".to_owned(), "no default; without it, a call counts until one window after its response. With it, until one window".to_owned()),
        (String::new(), "plus margin_ms after it was sent, at most".to_owned()),
        (format!("timeout_ms = {TIMEOUT_MS}"), "time limit of one attempt".to_owned()),
        (format!("max_attempts = {MAX_ATTEMPTS}"), "of one call, including the first".to_owned()),
        (format!("max_concurrent = {MAX_CONCURRENT}"), "concurrent calls".to_owned()),
        (format!("max_calls_per_page = {MAX_CALLS_PER_PAGE}"), "vendor calls for one page of a response".to_owned()),
        (
            format!("caller_share = {:?}", default_caller_share(documented.window_s)),
            format!("the share of a window's calls that one caller may use while others wait; default: 1.0, or {CALLER_SHARE} if window_s is over {SHORT_WINDOW_S}"),
        ),
    ];
    let mut text = format!("[providers.{name}.limits]\n");
    for (line, comment) in lines {
        let _infallible = match comment.is_empty() {
            true => writeln!(text, "{line}"),
            false => writeln!(text, "{line:<36}# {comment}"),
        };
    }
    text
}

/// The defaults for a vendor.
#[derive(Clone, Debug)]
pub struct DefaultQuota {
    /// The account.
    pub account: String,
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    account: Option<String>,
    calls: Option<u32>,
    window_s: Option<u32>,
    margin_ms: Option<u64>,
    timeout_ms: Option<u64>,
    max_attempts: Option<u32>,
    max_concurrent: Option<u32>,
    max_calls_per_page: Option<u32>,
    caller_share: Option<f64>,
}

impl Limits {
    /// Reads the section of a provider; what it leaves out is as the vendor documents it.
    ///
    /// # Errors
    /// Names the key that is out of range.
    pub fn read(section: Option<Section>, default: DefaultQuota) -> Result<Self, ConfigError> {
        let (raw, mut mistakes): (Raw, _) = match section {
            Some(section) => section.read()?,
            None => Default::default(),
        };
        let window_s = raw.window_s.unwrap_or(default.window_s);
        let limits = Self {
            caller_share: raw
                .caller_share
                .unwrap_or_else(|| default_caller_share(window_s)),
            account: raw
                .account
                .filter(|account| !account.is_empty())
                .unwrap_or(default.account),
            calls: raw.calls.unwrap_or(default.calls),
            window_s,
            margin: raw.margin_ms.map(Duration::from_millis),
            timeout: Duration::from_millis(raw.timeout_ms.unwrap_or(TIMEOUT_MS)),
            max_attempts: raw.max_attempts.unwrap_or(MAX_ATTEMPTS),
            max_concurrent: raw.max_concurrent.unwrap_or(MAX_CONCURRENT),
            max_calls_per_page: raw.max_calls_per_page.unwrap_or(MAX_CALLS_PER_PAGE),
        };
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            mistakes.range(key, "", value, least..=most);
        };
        range("calls", limits.calls.into(), 1, 1_000_000);
        range("window_s", limits.window_s.into(), 1, 86_400);
        range("margin_ms", raw.margin_ms.unwrap_or_default(), 0, 60_000);
        range(
            "timeout_ms",
            raw.timeout_ms.unwrap_or(TIMEOUT_MS),
            1,
            600_000,
        );
        range("max_attempts", limits.max_attempts.into(), 1, 10);
        range("max_concurrent", limits.max_concurrent.into(), 1, 1000);
        range(
            "max_calls_per_page",
            limits.max_calls_per_page.into(),
            1,
            100,
        );
        if !(limits.caller_share > 0.0 && limits.caller_share <= 1.0) {
            mistakes.add(
                "caller_share",
                "is a share of the calls, more than 0 and at most 1",
            );
        }
        mistakes.finish(|| Some(limits))
    }
}

#[cfg(test)]
mod tests {
    use super::{DefaultQuota, Limits};

    #[test]
    fn a_caller_leaves_a_part_of_a_long_window_to_others() {
        for (window_s, share) in [(1, 1.0), (10, 1.0), (11, 0.9), (60, 0.9)] {
            let default = DefaultQuota {
                account: "a".to_owned(),
                calls: 90,
                window_s,
            };
            let limits = Limits::read(None, default).unwrap();
            assert!((limits.caller_share - share).abs() < f64::EPSILON);
        }
    }
}
