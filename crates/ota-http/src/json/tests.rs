use super::{Budget, Document, MAX_DEPTH, Unreadable, read};
use proptest::prelude::*;
use serde_json::{Value, json};

#[track_caller]
fn check(body: &[u8], expected: Value, odd: &[&str]) {
    let document = read(body).unwrap();
    assert_eq!(document.value, expected);
    assert_eq!(document.odd.fields().collect::<Vec<_>>(), odd);
}

#[test]
fn texts_are_read_whatever_bytes_they_have() {
    check(
        b"{\"a\":\"x\xff\xc3y\",\"b\":\"z\"}",
        json!({"a": "x\u{fffd}\u{fffd}y", "b": "z"}),
        &["a"],
    );
    check(
        br#"{"a":"\ud800","b":"\udc00x","c":"\ud800\ud800"}"#,
        json!({"a": "\u{fffd}", "b": "\u{fffd}x", "c": "\u{fffd}\u{fffd}"}),
        &["a", "b", "c"],
    );
    check(
        br#"["\ud83d\ude00 \u00e9 \u0000 \/\b\f\n\r\t\"\\"]"#,
        json!(["😀 é \0 /\u{8}\u{c}\n\r\t\"\\"]),
        &[],
    );
    check(
        b"{\"a\":\"1\x002\x013\t4\n5\"}",
        json!({"a": "1\u{0}2\u{1}3\t4\n5"}),
        &["a"],
    );
    check(
        br#"{"a":"C:\dir\u12","b":"\x"}"#,
        json!({"a": "C:\\dir\\u12", "b": "\\x"}),
        &["a", "b"],
    );
    check(b"{\"a\xff\":1}", json!({"a\u{fffd}": 1}), &[""]);
}

#[test]
fn a_number_that_no_type_holds_stays_as_its_text() {
    check(
        br#"[1e999,-1e999,1e-999,123456789012345678901234567890,-9223372036854775809]"#,
        json!([
            "1e999",
            "-1e999",
            "1e-999",
            "123456789012345678901234567890",
            "-9223372036854775809"
        ]),
        &[],
    );
    check(
        br#"[0,-0.0,1.5,18446744073709551615,-9223372036854775808,1e3,0e-999,33.33]"#,
        json!([
            0,
            -0.0,
            1.5,
            18446744073709551615_u64,
            i64::MIN,
            1000.0,
            0.0,
            33.33
        ]),
        &[],
    );
    check(
        br#"{"a":NaN,"b":-Infinity,"c":01,"d":+1,"e":.5,"f":1.,"g":True}"#,
        json!({"a": "NaN", "b": "-Infinity", "c": "01", "d": "+1", "e": ".5", "f": "1.", "g": "True"}),
        &["a", "b", "c", "d", "e", "f", "g"],
    );
}

#[test]
fn a_name_that_comes_twice_loses_nothing() {
    check(br#"{"a":1,"a":1}"#, json!({"a": 1}), &["a"]);
    check(
        br#"{"a":1,"a":2}"#,
        json!({"a": 2, "a (second)": 1}),
        &["a"],
    );
    check(
        br#"{"a":1,"a":2,"a":3}"#,
        json!({"a": 3, "a (second)": [1, 2]}),
        &["a", "a"],
    );
    check(
        br#"{"a":[1],"a":[2],"a":null,"a":[]}"#,
        json!({"a": [1, 2]}),
        &["a", "a", "a"],
    );
    check(br#"{"a":null,"a":[1]}"#, json!({"a": [1]}), &["a"]);
    check(
        br#"{"D":{"rows":[1],"n":1},"D":{"rows":[2],"n":2}}"#,
        json!({"D": {"rows": [1, 2], "n": 2, "n (second)": 1}}),
        &["D"],
    );
}

#[test]
fn what_nests_too_deep_stays_as_its_text() {
    let deep = format!("{}\"]\\\"\"{}", "[".repeat(100_000), "]".repeat(100_000));
    let document = read(format!("{{\"a\":{deep},\"b\":1}}").as_bytes()).unwrap();
    assert_eq!(document.value["b"], 1);
    let mut value = &document.value["a"];
    let mut depth = 1;
    while let Some(inner) = value.get(0) {
        value = inner;
        depth += 1;
    }
    assert_eq!(depth, MAX_DEPTH);
    assert!(value.as_str().is_some_and(|text| deep.contains(text)));
    assert_eq!(document.odd.fields().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn what_cannot_be_cut_into_values_is_refused() {
    for body in [
        "{\"a\":1",
        "{\"a\":\"x",
        "[1,2",
        "{\"a\"",
        "{\"a\":\"x\\",
        "[[]",
        "tru",
        "{\"a\":1e99",
        "[\"\\u12",
    ] {
        assert_eq!(
            read(body.as_bytes()).unwrap_err(),
            Unreadable::Cut,
            "{body}"
        );
    }
    for body in [
        "{]",
        "[}",
        "{a:1}",
        "{\"a\" 1}",
        "[1 2]",
        "{} {}",
        "[,1]",
        "[1,,2]",
        "{'a':1}",
        "<html>",
        "{}x",
        "[1;2]",
    ] {
        assert!(
            matches!(read(body.as_bytes()), Err(Unreadable::Syntax { .. })),
            "{body}"
        );
    }
    for body in ["", " ", "\u{feff}", "\u{feff} \n"] {
        assert_eq!(
            read(body.as_bytes()).unwrap_err(),
            Unreadable::Empty,
            "{body:?}"
        );
    }
    let long = format!("[{}]", "x".repeat(100));
    assert!(read(long.as_bytes()).is_err());
}

#[test]
fn what_stands_around_a_document_is_passed_over() {
    for body in [
        &b"\xef\xbb\xbf{}"[..],
        b" \n\xef\xbb\xbf {} \n",
        b"{}\0\0",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
    ] {
        check(body, json!({}), &[]);
    }
    check(b"[1,]", json!([1]), &[]);
    check(b"{\"a\":1,}", json!({"a": 1}), &[]);
}

/// Fills `8 MB` with `part` between `before` and `after`.
fn filled(before: &str, part: &str, after: &str) -> Vec<u8> {
    format!("{before}{}{after}", part.repeat(7_800_000 / part.len())).into_bytes()
}

#[test]
fn what_is_built_of_an_answer_is_bounded() {
    for (before, part, after) in [
        ("{\"data\":[", "{},", "{}]}"),
        ("{\"data\":[", "{\"a\":1},", "{}]}"),
        ("{\"data\":[", "1,", "1]}"),
        ("{\"data\":[", "[],", "[]]}"),
        ("{\"data\":[", "[[]],", "[]]}"),
        ("{\"data\":[", "\"\",", "\"\"]}"),
        ("{", "\"a\":1,", "\"b\":1}"),
        ("{", "\"a\":[1],", "\"b\":1}"),
    ] {
        match read(&filled(before, part, after)) {
            Err(error) => assert_eq!(error, Unreadable::TooMuch, "{part}"),
            Ok(Document { budget, .. }) => {
                assert!(budget.spent() <= Budget::MAX_BYTES, "{part}");
            }
        }
    }
    assert_eq!(
        read(&filled("[", "{},", "{}]")).unwrap_err(),
        Unreadable::TooMuch
    );
    // Different names: each takes its place.
    let names: String = (0..900_000).map(|n| format!("\"{n}\":1,")).collect();
    assert_eq!(
        read(format!("{{{names}\"x\":1}}").as_bytes()).unwrap_err(),
        Unreadable::TooMuch
    );
}

#[test]
fn an_answer_of_the_largest_size_in_the_usual_form_is_read() {
    let ids = filled(
        "{\"targets\":{\"devices\":[",
        "\"c1224afb-e9f0-4916-8220-b6bab568e888\",",
        "\"\"]}}",
    );
    assert!(read(&ids).is_ok());
    let text = filled("{\"text\":\"", "字", "\"}");
    assert!(read(&text).is_ok());
}

#[test]
fn the_places_that_are_noted_are_bounded() {
    let name = "n".repeat(1000);
    let odd = format!("{{\"{name}\":[{}0]}}", "NaN,".repeat(5000));
    let document = read(odd.as_bytes()).unwrap();
    let fields: Vec<&str> = document.odd.fields().collect();
    assert!(fields.len() <= 100 && fields.iter().all(|field| field.len() <= 64));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn good_json_is_read_as_the_library_reads_it(value in any_json(), pretty: bool) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let document = read(text.as_bytes()).unwrap();
        prop_assert_eq!(document.value, value);
        prop_assert_eq!(document.odd.fields().count(), 0);
    }

    #[test]
    fn what_the_library_reads_is_read(text in r#"[\[\]{}:,"\\a0-9eE.+\- tfn]{0,30}"#) {
        if serde_json::from_str::<Value>(&text).is_ok() {
            prop_assert!(read(text.as_bytes()).is_ok(), "{}", text);
        }
    }

    #[test]
    fn no_input_panics(bytes: Vec<u8>, text in r#"([\[\]{}:,"]|\\u[d0-9a-f]{0,4}|[0-9eE.+-]|null|\\){0,60}"#) {
        let _ = read(&bytes);
        let _ = read(text.as_bytes());
    }

    #[test]
    fn a_document_that_is_cut_is_never_read(value in any_json(), at: prop::sample::Index) {
        let text = json!({"a": value}).to_string();
        let at = at.index(text.len());
        prop_assert!(read(&text.as_bytes()[..at]).is_err());
    }
}
