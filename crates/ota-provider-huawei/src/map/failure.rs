//! Why a device failed, read from the vendor's text.

use ota_adapter::phrase::begins_with;
use ota_core::task::Failure;
use ota_http::redact;

/// The texts of the vendor's FAQ as excerpted in the project's vendor notes, section 1.8, in lower case. A text counts when it is the whole
/// message or begins it: a word of it inside of another text is no reason.
const TEXTS: &[(&str, Failure)] = &[
    ("device abnormal is not online", Failure::Offline),
    ("task conflict", Failure::Conflict),
    ("waiting for the device online timeout", Failure::Timeout),
    ("waiting for report cellid timeout", Failure::Timeout),
    (
        "waiting for report device firmware version timeout",
        Failure::Timeout,
    ),
    (
        "wait for the device to report upgrade result timeout",
        Failure::Timeout,
    ),
    (
        "updating timeout and query device version for check timeout",
        Failure::Timeout,
    ),
    (
        "waiting for device downloaded package timeout",
        Failure::Timeout,
    ),
    (
        "integrity check failure for new downloaded package",
        Failure::Integrity,
    ),
    ("unsupported package type", Failure::Incompatible),
    (
        "not enough storage for the new firmware package",
        Failure::Storage,
    ),
    ("out of memory during downloading process", Failure::Storage),
    (
        "connection lost during downloading process",
        Failure::Download,
    ),
    ("invalid uri", Failure::Download),
    // The device is not at a version that the upgrade starts from: it has the new one already.
    (
        "the current version is the same as the target version",
        Failure::VersionMismatch,
    ),
];

/// Returns why a device failed; text that is not known, or none, is `other`.
pub(crate) fn failure(text: Option<&str>) -> Failure {
    let text = redact::head(text.unwrap_or_default()).to_lowercase();
    TEXTS
        .iter()
        .find(|(known, _)| begins_with(&text, known))
        .map_or(Failure::Other, |(_, failure)| *failure)
}

#[cfg(test)]
mod tests {
    use ota_core::task::Failure;

    use super::failure;

    #[test]
    fn a_part_of_a_text_is_no_reason() {
        for text in [
            "timeout",
            "Firmware update failed with timeout = 30",
            "The device was not online at first, then the update failed",
            "checked: not enough storage is no problem",
            "no task conflict, but the update failed",
            "Invalid URIs ignored",
            "connection lost",
        ] {
            assert_eq!(failure(Some(text)), Failure::Other, "{text}");
        }
        for text in [
            "Task Conflict.",
            " task conflict ",
            "Task Conflict: another task runs",
            "Task Conflict (operationId 5)",
        ] {
            assert_eq!(failure(Some(text)), Failure::Conflict, "{text}");
        }
    }

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
