//! Documents: comparing them, and adding what a row of a list says to what is known in full.

use serde_json::Value;

/// Whether two documents say the same, in whatever order.
pub(crate) fn same(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    // Equal documents have equal lengths, whatever the order of their fields: they come from one renderer.
    a.len() == b.len()
        && match (
            serde_json::from_str::<Value>(a),
            serde_json::from_str::<Value>(b),
        ) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
}

/// Returns the full document with the fields that a row of a list tells put over it. That a row leaves a field out says nothing about it.
pub(crate) fn merge(full: &str, row: &str) -> String {
    let (Ok(mut merged), Ok(row)) = (
        serde_json::from_str::<Value>(full),
        serde_json::from_str::<Value>(row),
    ) else {
        return row.to_owned();
    };
    let detail = merged.get("detail").cloned();
    put_over(&mut merged, row);
    if let (Some(detail), Some(object)) = (detail, merged.as_object_mut()) {
        object.insert("detail".to_owned(), detail);
    }
    merged.to_string()
}

fn put_over(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(known) => put_over(known, value),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (into, from) => *into = from,
    }
}

/// Returns the object of a field, as text; empty where there is none.
pub(crate) fn object(document: &str, field: &str) -> String {
    serde_json::from_str::<Value>(document)
        .ok()
        .and_then(|value| value.get(field).filter(|value| value.is_object()).cloned())
        .map(|value| value.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{merge, object, same};

    #[test]
    fn order_is_no_difference() {
        assert!(same(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#));
        assert!(!same(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#));
    }

    #[test]
    fn a_row_of_a_list_adds_to_what_is_known() {
        let full = r#"{"detail":"full","policy":{"max_retries":3},"tags":["a"],"vendor":{"status":"A","fields":{"x":1}}}"#;
        let row = r#"{"detail":"summary","tags":["b"],"vendor":{"status":"B","fields":{"y":2}}}"#;
        let merged = merge(full, row);
        let expected = r#"{"detail":"full","policy":{"max_retries":3},"tags":["b"],"vendor":{"fields":{"x":1,"y":2},"status":"B"}}"#;
        let values = [merged.as_str(), expected]
            .map(|text| serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
        assert_eq!(values[0], values[1]);
        assert_eq!(merge("no JSON", row), row);
        assert_eq!(object(full, "policy"), r#"{"max_retries":3}"#);
        assert_eq!(object(full, "package"), "");
    }
}
