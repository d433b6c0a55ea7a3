//! What the decoder of every adapter is tested with: any JSON, damaged samples, and rows that can be compared.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::string::string_regex;
use serde_json::Value;

/// Any JSON, with the vendor's `names` and `words` more often than others. `words` is a part of a regular expression: words with `|` between them.
///
/// # Panics
/// When `words` is no such part.
pub fn any_json(
    names: impl Strategy<Value = String> + 'static,
    words: &str,
) -> impl Strategy<Value = Value> {
    let names = names.boxed();
    let texts = format!(r"({words}|18446744073709551615|-1|https://u:p@h/x\?s=1|\PC{{0,8}})");
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        string_regex(&texts).unwrap().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A sample with other bytes in the place of some, and the same sample cut off there.
#[must_use]
pub fn damaged(sample: &str, at: Index, length: usize, to: Vec<u8>) -> [Vec<u8>; 2] {
    let mut body = sample.as_bytes().to_vec();
    let start = at.index(body.len());
    let end = (start + length).min(body.len());
    body.splice(start..end, to);
    let cut = body[..start].to_vec();
    [body, cut]
}

/// Rows as text that can be compared, `None` for what is not a row.
#[must_use]
pub fn shown<T: Debug>(rows: Vec<Option<T>>) -> Vec<Option<String>> {
    let rows = rows.into_iter();
    rows.map(|row| row.map(|row| format!("{row:?}"))).collect()
}
