//! Malformed values that no serializer writes: they are put into the finished text of an answer, in place of a placeholder.

use serde_json::Value;

use crate::fault::FaultKind;

/// Stands where the odd value goes; private characters, which no other text of an answer has.
const MARK: &str = "\u{e000}odd\u{e001}";

/// Stands in the place of the rows of [`FaultKind::ManyRows`].
const ROWS: &str = "\u{e000}rows\u{e001}";

/// How long the rows of [`FaultKind::ManyRows`] are in all; shorter than what clients usually read of one answer.
const ROWS_BYTES: usize = 7_800_000;

/// How deep [`FaultKind::DeepValue`] nests.
const DEPTH: usize = 10_000;

/// The mark as a value.
pub(crate) fn mark() -> Value {
    MARK.into()
}

/// The mark of many rows as a row.
pub(crate) fn rows() -> Value {
    ROWS.into()
}

/// Puts the odd value of a fault into a finished text.
pub(crate) fn put(body: Vec<u8>, kinds: &[FaultKind]) -> Vec<u8> {
    let as_xml = body.trim_ascii_start().starts_with(b"<");
    let mut body = body;
    for kind in kinds {
        body = match (kind, as_xml) {
            (FaultKind::BadUtf8, true) => {
                replace(&body, MARK, |_| b"broken \xff\xfe text".to_vec())
            }
            (FaultKind::BadUtf8, false) => replace(&body, &quoted(MARK), |_| {
                b"\"broken \xff\xfe text\"".to_vec()
            }),
            (FaultKind::HalfSurrogate, true) => {
                replace(&body, MARK, |_| b"half &#xD83D; pair".to_vec())
            }
            (FaultKind::HalfSurrogate, false) => {
                replace(&body, &quoted(MARK), |_| br#""half \ud83d pair""#.to_vec())
            }
            (FaultKind::HugeNumber, true) => replace(&body, MARK, |_| b"1e999".to_vec()),
            (FaultKind::HugeNumber, false) => replace(&body, &quoted(MARK), |_| b"1e999".to_vec()),
            (FaultKind::DeepValue, true) => replace(&body, MARK, |_| nested("<a>", "</a>")),
            (FaultKind::DeepValue, false) => replace(&body, &quoted(MARK), |_| nested("[", "]")),
            (FaultKind::DoubleName, true) => replace(&body, MARK, |name| {
                format!("one</{name}><{name}>other").into_bytes()
            }),
            (FaultKind::DoubleName, false) => replace(&body, &quoted(MARK), |name| {
                format!("\"one\",\"{name}\":\"other\"").into_bytes()
            }),
            (FaultKind::ManyRows, true) => replace(&body, ROWS, |name| {
                let row = format!("<{name}/>");
                let rows = row.repeat(ROWS_BYTES / row.len());
                format!("</{name}>{rows}<{name}>").into_bytes()
            }),
            (FaultKind::ManyRows, false) => replace(&body, &quoted(ROWS), |_| {
                let mut rows = "{},".repeat(ROWS_BYTES / 3);
                rows.push_str("{}");
                rows.into_bytes()
            }),
            _ => body,
        };
    }
    body
}

fn quoted(mark: &str) -> String {
    format!("\"{mark}\"")
}

fn nested(open: &str, close: &str) -> Vec<u8> {
    format!("{}{}", open.repeat(DEPTH), close.repeat(DEPTH)).into_bytes()
}

/// Replaces a mark. `value` is given the name before it: of the member in JSON, of the element in XML.
fn replace(body: &[u8], mark: &str, value: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let found = body
        .windows(mark.len())
        .position(|window| window == mark.as_bytes());
    let Some(at) = found else {
        return body.to_vec();
    };
    let (before, rest) = body.split_at(at);
    let name = std::str::from_utf8(before).map_or("", name_before);
    [before, &value(name), &rest[mark.len()..]].concat()
}

fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([':', '"', '>']);
    text.rsplit(['"', '<']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{mark, put, rows};
    use crate::fault::FaultKind;
    use serde_json::json;

    #[test]
    fn a_mark_becomes_what_no_serializer_writes() {
        let body = json!({"a": mark(), "b": 1}).to_string().into_bytes();
        for (kind, expected) in [
            (FaultKind::HugeNumber, &b"{\"a\":1e999,\"b\":1}"[..]),
            (
                FaultKind::BadUtf8,
                b"{\"a\":\"broken \xff\xfe text\",\"b\":1}",
            ),
            (
                FaultKind::HalfSurrogate,
                br#"{"a":"half \ud83d pair","b":1}"#,
            ),
            (FaultKind::DoubleName, br#"{"a":"one","a":"other","b":1}"#),
        ] {
            assert_eq!(put(body.clone(), &[kind]), expected, "{kind:?}");
        }
        let body = format!("<R><a>{}</a></R>", mark().as_str().unwrap());
        let put_xml = |kind| put(body.clone().into_bytes(), &[kind]);
        assert_eq!(put_xml(FaultKind::HugeNumber), b"<R><a>1e999</a></R>");
        assert_eq!(
            put_xml(FaultKind::DoubleName),
            b"<R><a>one</a><a>other</a></R>"
        );
        let many = put(
            json!({"l": [rows()]}).to_string().into_bytes(),
            &[FaultKind::ManyRows],
        );
        assert!(many.starts_with(b"{\"l\":[{},{},") && many.ends_with(b",{}]}"));
        assert!(many.len() > 7_000_000);
    }
}
