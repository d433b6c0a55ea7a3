//! Escapes untrusted text for terminals and logs, so that it cannot forge a line.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether a character can end a line, move the cursor, colour a terminal, or change the direction of the text around it.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{2028}' | '\u{2029}'
            // Marks and overrides of direction (the "Trojan source" characters), and what has no width.
            | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Replaces every [unsafe](is_unsafe) character by its escape, such as `\n` or `\u{1b}`.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    match text.contains(is_unsafe) {
        false => Cow::Borrowed(text),
        true => {
            let mut out = String::with_capacity(text.len() + 16);
            let _infallible = Escaping(&mut out).write_str(text);
            Cow::Owned(out)
        }
    }
}

/// [`escaped`], and cut off after `max_chars` characters.
#[must_use]
pub fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((cut, _)) => format!("{}…", escaped(&text[..cut])),
        None => escaped(text).into_owned(),
    }
}

/// Escapes what is written through it.
#[derive(Debug)]
pub struct Escaping<'a, W>(pub &'a mut W);

impl<W: fmt::Write> fmt::Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", c.escape_default())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, shortened};

    #[test]
    fn what_ends_a_line_or_moves_a_cursor_is_escaped() {
        for (text, expected) in [
            (
                "plain `text` \"quoted\" ä 设备",
                "plain `text` \"quoted\" ä 设备",
            ),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2Jok", "\\u{1b}[2Jok"),
            ("\u{9b}31m\u{85}\u{2028}", "\\u{9b}31m\\u{85}\\u{2028}"),
            ("\u{202e}txt\u{200b}", "\\u{202e}txt\\u{200b}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(shortened("äöü\n", 4), "äöü\\n");
        assert_eq!(shortened("äöü\n", 3), "äöü…");
    }
}
