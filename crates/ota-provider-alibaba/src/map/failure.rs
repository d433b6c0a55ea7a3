//! Why a task failed, read from `TaskDesc`.
//!
//! The vendor documents one text, `report version is not conform` (field table of `ListOTATaskByJob`, read 2026-11-23); the field is free text,
//! that devices fill. The other texts in the table, in English and Chinese, say only that one step failed. A text matches if it is the whole message or
//! its beginning. A word inside a longer text is not a reason: "version", "storage" and "signature" are in texts about anything. All other texts are
//! `other`; the text itself is in `message`.

use ota_adapter::phrase::begins_with;
use ota_core::task::Failure;
use ota_http::redact;

const TEXTS: &[(Failure, &[&str])] = &[
    (
        Failure::VersionMismatch,
        &[
            "report version is not conform",
            "version mismatch",
            "版本不一致",
            "版本不匹配",
        ],
    ),
    (
        Failure::Timeout,
        &[
            "timeout",
            "timed out",
            "upgrade timeout",
            "upgrade timed out",
            "download timeout",
            "download timed out",
            "超时",
            "升级超时",
            "下载超时",
        ],
    ),
    (
        Failure::Storage,
        &[
            "not enough storage",
            "not enough space",
            "insufficient storage",
            "no space left",
            "no space left on device",
            "out of memory",
            "空间不足",
            "存储空间不足",
        ],
    ),
    (
        Failure::Integrity,
        &[
            "verify failed",
            "verification failed",
            "checksum mismatch",
            "checksum error",
            "md5 mismatch",
            "md5 verify failed",
            "sha256 mismatch",
            "sha256 verify failed",
            "signature mismatch",
            "signature verify failed",
            "integrity check failed",
            "校验失败",
            "签名校验失败",
        ],
    ),
    (
        Failure::Download,
        &[
            "download failed",
            "download error",
            "invalid uri",
            "invalid url",
            "下载失败",
            "下载升级包失败",
        ],
    ),
    (
        Failure::Offline,
        &[
            "device offline",
            "device not online",
            "设备离线",
            "设备不在线",
        ],
    ),
    (Failure::Conflict, &["task conflict", "任务冲突"]),
    (
        Failure::Incompatible,
        &[
            "unsupported package",
            "incompatible package",
            "升级包不兼容",
        ],
    ),
    (
        Failure::Rejected,
        &["user rejected", "rejected by user", "用户拒绝"],
    ),
];

pub(super) fn failure(text: Option<&str>) -> Failure {
    let text = redact::head(text.unwrap_or_default()).to_lowercase();
    TEXTS
        .iter()
        .find(|(_, known)| known.iter().any(|known| begins_with(&text, known)))
        .map_or(Failure::Other, |(failure, _)| *failure)
}

#[cfg(test)]
mod tests {
    use super::failure;
    use ota_core::task::Failure;

    #[test]
    fn a_word_inside_a_text_is_no_reason() {
        for text in [
            "version",
            "firmware version 2.1 could not be burnt",
            "burn failed at step 3 of version 2",
            "storage controller busy",
            "signature valid, burn failed",
            "MD5 ok, burn failed",
            "download ok, burn failed",
            "timeouts: 3",
            "timeout is set to 30 minutes",
            "offline mode",
            "checked for conflicts",
            "reject list is empty",
            "unsupported options ignored",
            "烧写失败，版本 2.1",
            "签名正确",
            "存储控制器忙",
            "下载完成",
            "not a single download failed before the burn failed",
        ] {
            assert_eq!(failure(Some(text)), Failure::Other, "{text}");
        }
    }

    #[test]
    fn texts_have_their_reason() {
        for (text, expected) in [
            ("report version is not conform", Failure::VersionMismatch),
            ("Upgrade timeout", Failure::Timeout),
            ("升级超时", Failure::Timeout),
            ("download failed", Failure::Download),
            ("MD5 verify failed", Failure::Integrity),
            ("verify failed: MD5 of part 2", Failure::Integrity),
            ("下载升级包失败：网络 <弱>", Failure::Download),
            ("设备离线", Failure::Offline),
            ("Not enough storage", Failure::Storage),
            ("task conflict", Failure::Conflict),
            ("user rejected", Failure::Rejected),
            ("burn failed", Failure::Other),
            ("", Failure::Other),
        ] {
            assert_eq!(failure(Some(text)), expected, "{text}");
        }
        assert_eq!(failure(None), Failure::Other);
    }
}
