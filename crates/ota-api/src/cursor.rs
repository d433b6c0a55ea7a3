//! The cursor of a list: the provider's own cursor, bound to the list that it came from.
//!
//! A cursor holds a position and grants nothing: a client that changes one only gets another page of a list that it may read. The checksum distinguishes a
//! damaged cursor, or one of another list, from a valid one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ota_core::provider::Cursor;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::problem::{Code, Failure};

const VERSION: u8 = 1;
const CHECK_BYTES: usize = 12;

/// A cursor is valid on the day it was issued (UTC) and the day after: positions change over time.
const LIFE_DAYS: i32 = 1;

/// The longest cursor, in characters; longer ones are refused unread.
pub const MAX_CHARS: usize = 1400 + 40;

/// Writes the cursor of the list that `binding` describes: provider, path, filters and page size.
///
/// It depends on the day and not on the second, so that a page that did not change keeps its ETag.
#[must_use]
pub fn encode(cursor: &Cursor, binding: &str, now: OffsetDateTime) -> String {
    let day = now.to_julian_day();
    let mut bytes = vec![VERSION];
    bytes.extend(day.to_be_bytes());
    bytes.extend(checksum(day, &cursor.0, binding));
    bytes.extend(cursor.0.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor of the list that `binding` describes.
///
/// # Errors
/// `invalid_cursor` when it is damaged, of another list, of other filters, or expired.
pub fn decode(text: &str, binding: &str, now: OffsetDateTime) -> Result<Cursor, Failure> {
    let refused = |detail: &str| Failure {
        field: Some("cursor".to_owned()),
        ..Failure::new(Code::InvalidCursor, detail)
    };
    let other = || {
        refused(
            "the cursor is damaged or belongs to another list, other filters or another page size; start again without `cursor`",
        )
    };
    if text.len() > MAX_CHARS {
        return Err(other());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| other())?;
    let (head, rest) = bytes.split_at_checked(5).ok_or_else(other)?;
    let (check, cursor) = rest.split_at_checked(CHECK_BYTES).ok_or_else(other)?;
    let [VERSION, day @ ..] = head else {
        return Err(other());
    };
    let day = <[u8; 4]>::try_from(day)
        .map(i32::from_be_bytes)
        .map_err(|_| other())?;
    let cursor = std::str::from_utf8(cursor).map_err(|_| other())?;
    if check != checksum(day, cursor, binding) {
        return Err(other());
    }
    let today = now.to_julian_day();
    if day > today.saturating_add(LIFE_DAYS) || day < today.saturating_sub(LIFE_DAYS) {
        return Err(refused(
            "the cursor has expired; start again without `cursor`",
        ));
    }
    Ok(Cursor(cursor.to_owned()))
}

fn checksum(day: i32, cursor: &str, binding: &str) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    hash.update(b"ota-gateway cursor 1");
    hash.update(day.to_be_bytes());
    // Lengths first, so that no two pairs of texts run together to the same bytes.
    hash.update((cursor.len() as u64).to_be_bytes());
    hash.update(cursor.as_bytes());
    hash.update(binding.as_bytes());
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hash.finalize()[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARS, URL_SAFE_NO_PAD, VERSION, checksum, decode, encode};
    use base64::Engine as _;
    use ota_core::provider::Cursor;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use time::Duration;
    use time::macros::datetime;

    const NOW: time::OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    #[test]
    fn a_cursor_lives_until_the_end_of_the_next_day() {
        let text = encode(&Cursor("x".into()), "list", NOW);
        assert_eq!(
            text,
            encode(&Cursor("x".into()), "list", NOW + Duration::hours(3))
        );
        assert!(decode(&text, "list", NOW + Duration::hours(35)).is_ok());
        let expired = decode(&text, "list", NOW + Duration::hours(36)).unwrap_err();
        assert!(expired.detail.contains("expired"));
    }

    /// Provider, list, page size and filter.
    fn binding() -> impl Strategy<Value = (&'static str, &'static str, u32, Option<&'static str>)> {
        (
            proptest::sample::select(vec!["ali", "hua"]),
            proptest::sample::select(vec!["jobs", "tasks", "tasks\n\"1\""]),
            1_u32..4,
            proptest::sample::select(vec![None, Some("1"), Some("failed")]),
        )
    }

    /// As the routes write it.
    fn written_binding(
        (provider, list, page_size, filter): &(&str, &str, u32, Option<&str>),
    ) -> String {
        format!("{provider}\n{list}\n{page_size}\n{filter:?}")
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_for_its_own_list_only(text in ".{0,300}", binding in ".{0,50}", other in ".{0,50}") {
            let cursor = Cursor(text);
            let written = encode(&cursor, &binding, NOW);
            prop_assert_eq!(decode(&written, &binding, NOW).unwrap(), cursor);
            prop_assert_eq!(decode(&written, &other, NOW).is_ok(), other == binding);
        }

        #[test]
        fn a_changed_cursor_is_refused(text in ".{0,60}", at: proptest::sample::Index, to in "[A-Za-z0-9_-]") {
            let written = encode(&Cursor(text), "list", NOW);
            let at = at.index(written.len());
            let mut damaged = written.clone();
            damaged.replace_range(at..=at, &to);
            prop_assert!(damaged == written || decode(&damaged, "list", NOW).is_err());
            prop_assert!(decode(&written[..at], "list", NOW).is_err());
        }

        #[test]
        fn a_cursor_of_another_provider_path_page_size_or_filter_is_refused(
            text in ".{0,60}", one in binding(), other in binding(),
        ) {
            let (one, other) = (written_binding(&one), written_binding(&other));
            let written = encode(&Cursor(text), &one, NOW);
            prop_assert_eq!(decode(&written, &other, NOW).is_ok(), one == other);
        }

        #[test]
        fn any_change_of_its_bytes_is_refused(
            text in ".{0,60}", start: Index, length in 0_usize..6, to in prop::collection::vec(any::<u8>(), 0..6),
        ) {
            let written = encode(&Cursor(text), "list", NOW);
            let bytes = URL_SAFE_NO_PAD.decode(&written).unwrap();
            let mut changed = bytes.clone();
            let start = start.index(bytes.len());
            changed.splice(start..(start + length).min(bytes.len()), to);
            prop_assert_eq!(decode(&URL_SAFE_NO_PAD.encode(&changed), "list", NOW).is_ok(), changed == bytes);
        }

        #[test]
        fn no_text_panics(text: String, bytes in prop::collection::vec(any::<u8>(), 0..200), day: i32) {
            let _ = decode(&text, "list", NOW);
            prop_assert!(decode(&URL_SAFE_NO_PAD.encode(&bytes), "list", NOW).is_err());
            // Whole and of this list, but of any day.
            let mut forged = vec![VERSION];
            forged.extend(day.to_be_bytes());
            forged.extend(checksum(day, &text, "list"));
            forged.extend(text.as_bytes());
            let read = decode(&URL_SAFE_NO_PAD.encode(&forged), "list", NOW);
            let days = i64::from(day) - i64::from(NOW.to_julian_day());
            prop_assert_eq!(read.is_ok(), days.abs() <= 1);
        }

        #[test]
        fn the_longest_cursor_of_a_provider_fits(text in "[a-z]{1024}") {
            let written = encode(&Cursor(text), "list", NOW);
            prop_assert!(written.len() <= MAX_CHARS);
        }
    }
}
