//! Error codes with which vendors ask to slow down.
//!
//! Beside the codes that each vendor documents, the API gateways in front of their products have codes of their own, and new ones appear
//! without notice. An unknown code would be a final error, although a wait is enough.

/// Parts of codes, in lower case and without what separates their words.
///
/// `FlowControl`, `SystemBusy`, `LastTokenProcessing` and `Throttling` are in the list of codes that a vendor's own Terraform provider repeats; the others
/// are those of the same kind at the gateways of other vendors.
const PARTS: &[&str] = &[
    "throttl",
    "flowcontrol",
    "flowlimit",
    "ratelimit",
    "qpslimit",
    "toomanyrequests",
    "toofrequent",
    "toofast",
    "systembusy",
    "servicebusy",
    "serverbusy",
    "lasttokenprocessing",
];

/// The longest code that is looked at, in bytes.
const MAX_BYTES: usize = 256;

/// Returns whether a vendor's error code asks to slow down and retry.
#[must_use]
pub fn asks_to_slow_down(code: &str) -> bool {
    let word: String = code
        .bytes()
        .take(MAX_BYTES)
        .filter(u8::is_ascii_alphanumeric)
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    PARTS.iter().any(|part| word.contains(part))
}

#[cfg(test)]
mod tests {
    use super::asks_to_slow_down;

    #[test]
    fn words_for_slower_are_known_in_every_form() {
        for code in [
            "Throttling.User",
            "New.Throttling",
            "FlowControlError",
            "iot.ota.FlowControl",
            "SystemBusy",
            "SYSTEM_BUSY",
            "system busy",
            "iot.system.SystemBusy",
            "LastTokenProcessing",
            "ServiceBusy",
            "TooManyRequests",
            "Request.TooFrequent",
            "iot.messagebroker.RateLimit",
        ] {
            assert!(asks_to_slow_down(code), "{code}");
        }
        for code in [
            "",
            "InvalidPageSize",
            "Forbidden",
            "1010005",
            "iot.ota.JobNotFound",
        ] {
            assert!(!asks_to_slow_down(code), "{code}");
        }
        assert!(!asks_to_slow_down(&("x".repeat(1_000_000) + "Throttling")));
    }
}
