//! Why a task failed, read from `TaskDesc`.
//!
//! The vendor documents one text, `report version is not conform`. The others are what devices and the platform are known to write,
//! in English and Chinese; the first row that occurs in the text decides, anything else is `other`.

use ota_core::task::Failure;
use ota_http::redact;

const MARKS: &[(Failure, &[&str])] = &[
    (
        Failure::Timeout,
        &["timeout", "time out", "timed out", "超时"],
    ),
    (
        Failure::Storage,
        &[
            "not enough storage",
            "no space",
            "storage",
            "out of memory",
            "空间不足",
            "存储",
        ],
    ),
    (
        Failure::Integrity,
        &[
            "md5",
            "sha256",
            "checksum",
            "signature",
            "integrity",
            "verify failed",
            "校验",
            "签名",
        ],
    ),
    (
        Failure::Download,
        &["download", "invalid uri", "invalid url", "下载"],
    ),
    (
        Failure::Offline,
        &["offline", "not online", "离线", "不在线"],
    ),
    (
        Failure::Conflict,
        &[
            "conflict",
            "other task",
            "another task",
            "other job",
            "冲突",
        ],
    ),
    (
        Failure::Incompatible,
        &[
            "unsupported",
            "not support",
            "incompatible",
            "not match the product",
            "不支持",
            "不兼容",
        ],
    ),
    (
        Failure::VersionMismatch,
        &[
            "version is not conform",
            "version mismatch",
            "version",
            "版本",
        ],
    ),
    (Failure::Rejected, &["reject", "refuse", "denied", "拒绝"]),
];

pub(super) fn failure(text: Option<&str>) -> Failure {
    let Some(text) = text else {
        return Failure::Other;
    };
    let text = redact::head(text).to_lowercase();
    MARKS
        .iter()
        .find(|(_, marks)| marks.iter().any(|mark| text.contains(mark)))
        .map_or(Failure::Other, |(failure, _)| *failure)
}

#[cfg(test)]
mod tests {
    use super::failure;
    use ota_core::task::Failure;

    #[test]
    fn texts_have_their_reason() {
        for (text, expected) in [
            ("report version is not conform", Failure::VersionMismatch),
            ("Upgrade timeout", Failure::Timeout),
            ("升级超时", Failure::Timeout),
            ("download failed", Failure::Download),
            ("MD5 verify failed after download", Failure::Integrity),
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
