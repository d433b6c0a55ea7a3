//! Why a device failed, read from the vendor's text.

use ota_core::task::Failure;
use ota_http::redact;

/// Parts of the known texts, in lower case; the first that occurs decides.
///
/// The texts are those of the vendor's FAQ as excerpted in the project's vendor notes, section 1.8. The order matters: several texts name both a
/// step and its timeout ("Waiting for device downloaded package timeout"), and the timeout is what happened.
const TEXTS: &[(&str, Failure)] = &[
    ("timeout", Failure::Timeout),
    ("timed out", Failure::Timeout),
    ("not online", Failure::Offline),
    ("task conflict", Failure::Conflict),
    ("integrity check failure", Failure::Integrity),
    ("unsupported package type", Failure::Incompatible),
    ("not enough storage", Failure::Storage),
    ("out of memory", Failure::Storage),
    ("connection lost", Failure::Download),
    ("invalid uri", Failure::Download),
    // The device is not at a version that the upgrade starts from: it has the new one already.
    ("same as the target version", Failure::VersionMismatch),
];

/// Returns why a device failed; text that is not known, or none, is `other`.
pub(crate) fn failure(text: Option<&str>) -> Failure {
    let text = redact::head(text.unwrap_or_default()).to_lowercase();
    TEXTS
        .iter()
        .find(|(part, _)| text.contains(part))
        .map_or(Failure::Other, |(_, failure)| *failure)
}

#[cfg(test)]
mod tests {
    use ota_core::task::Failure;

    use super::failure;

    #[test]
    fn every_known_text_has_its_failure() {
        for (text, expected) in [
            ("Device Abnormal is not online", Failure::Offline),
            ("Task Conflict", Failure::Conflict),
            ("Waiting for the device online timeout", Failure::Timeout),
            ("Waiting for report cellId timeout", Failure::Timeout),
            (
                "Waiting for report device firmware version timeout",
                Failure::Timeout,
            ),
            (
                "Wait for the device to report upgrade result timeout",
                Failure::Timeout,
            ),
            (
                "Updating timeout and query device version for check timeout",
                Failure::Timeout,
            ),
            (
                "Waiting for device downloaded package timeout",
                Failure::Timeout,
            ),
            (
                "Integrity check failure for new downloaded package",
                Failure::Integrity,
            ),
            ("Unsupported package type", Failure::Incompatible),
            (
                "Not enough storage for the new firmware package",
                Failure::Storage,
            ),
            ("Out of memory during downloading process", Failure::Storage),
            (
                "Connection lost during downloading process",
                Failure::Download,
            ),
            ("Invalid URI", Failure::Download),
            ("Firmware update failed", Failure::Other),
            (
                "The current version is the same as the target version",
                Failure::VersionMismatch,
            ),
            ("WAITING FOR THE DEVICE ONLINE TIMEOUT", Failure::Timeout),
            ("升级失败", Failure::Other),
            ("", Failure::Other),
        ] {
            assert_eq!(failure(Some(text)), expected, "{text}");
        }
        assert_eq!(failure(None), Failure::Other);
    }
}
