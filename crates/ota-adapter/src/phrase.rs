//! Known phrases in texts that vendors and devices write.

/// Returns whether a text is a phrase, or begins with it and goes on behind a mark of punctuation: `download failed: HTTP 403`.
///
/// Both are in lower case. A phrase inside of a longer sentence does not count: the sentence may say that it did not happen.
#[must_use]
pub fn begins_with(text: &str, phrase: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix(phrase) else {
        return false;
    };
    let rest = rest.trim_start();
    rest.is_empty()
        || rest.starts_with([
            ':', '.', ',', ';', '!', '(', '[', '：', '。', '，', '；', '！', '（', '、',
        ])
}

#[cfg(test)]
mod tests {
    use super::begins_with;

    #[test]
    fn a_phrase_is_the_whole_text_or_its_beginning() {
        for (text, expected) in [
            ("download failed", true),
            ("  download failed \n", true),
            ("download failed.", true),
            ("download failed: http 403", true),
            ("download failed (3 of 3)", true),
            ("download failed：网络", true),
            ("download failed twice, then worked", false),
            ("download failedness", false),
            ("no download failed", false),
            ("download", false),
            ("", false),
        ] {
            assert_eq!(begins_with(text, "download failed"), expected, "{text}");
        }
    }
}
