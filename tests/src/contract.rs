//! Holds answers against the checked-in OpenAPI document.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::wire::Reply;

/// Returns the root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Returns the text of `openapi/gateway.v1.json`.
///
/// # Panics
/// When the file is not there.
#[must_use]
pub fn text() -> String {
    let path = root().join("openapi/gateway.v1.json");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the document.
///
/// # Panics
/// When the file is not JSON.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(&text()).expect("document is JSON"))
}

/// Every operation: method, path template, description.
#[must_use]
pub fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    all
}

/// Checks status, content type and body of an answer.
///
/// # Panics
/// When the document does not allow the answer.
pub fn check(method: &str, target: &str, reply: &Reply) {
    let errors = violations(method, target, reply);
    assert!(
        errors.is_empty(),
        "{method} {target}: {errors:#?}\n{}",
        reply.shown()
    );
}

fn violations(method: &str, target: &str, reply: &Reply) -> Vec<String> {
    let mut errors = Vec::new();
    if reply.header("x-request-id").is_none() {
        errors.push("no X-Request-Id".to_owned());
    }
    if method == "HEAD" || method == "CONNECT" {
        return errors;
    }
    if reply.status >= 400 {
        problem(reply, &mut errors);
    }
    let path = target.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else {
        if path.starts_with("/v1") && reply.status < 400 {
            errors.push("an answer at a path that is not in the document".to_owned());
        }
        return errors;
    };
    let response = resolved(&operation["responses"][reply.status.to_string()]);
    if response.is_null() {
        // A body where none belongs is no part of the operation.
        if reply.status != 413 {
            errors.push(format!("status {} is not documented", reply.status));
        }
        return errors;
    }
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        if reply.header(name).is_none() && resolved(header)["required"] == true {
            errors.push(format!("header {name} is documented and missing"));
        }
    }
    if reply.status == 304 {
        if !reply.body.is_empty() {
            errors.push("a 304 with a body".to_owned());
        }
        return errors;
    }
    let content_type = reply.header("content-type").unwrap_or_default();
    let content = &response["content"][content_type];
    if content.is_null() {
        errors.push(format!("content type `{content_type}` is not documented"));
    } else if reply.header("content-encoding").is_none() {
        match serde_json::from_slice(&reply.body) {
            Ok(body) => matches(&content["schema"], &body, "$", &mut errors),
            Err(error) => errors.push(format!("body is no JSON: {error}")),
        }
    }
    errors
}

/// Every problem has this shape, whatever it is about.
fn problem(reply: &Reply, errors: &mut Vec<String>) {
    if reply.header("content-type") != Some("application/problem+json") {
        errors.push(format!(
            "a problem of type {:?}",
            reply.header("content-type")
        ));
        return;
    }
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        errors.push("a problem that is no JSON".to_owned());
        return;
    };
    for name in ["type", "title", "detail", "code", "request_id"] {
        if body[name].as_str().is_none_or(str::is_empty) {
            errors.push(format!("a problem without {name}"));
        }
    }
    if body["status"] != reply.status {
        errors.push("the problem's status is another one".to_owned());
    }
    if body["request_id"].as_str() != reply.header("x-request-id") {
        errors.push("the problem's request_id is another one".to_owned());
    }
    let waits = body["retry_after_s"].as_u64().map(|wait| wait.to_string());
    if waits.as_deref() != reply.header("retry-after") {
        errors.push("Retry-After and retry_after_s differ".to_owned());
    }
    if let Some(schema) = document()["components"]["schemas"].get("Problem") {
        matches(schema, &body, "$", errors);
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = document()["paths"].as_object()?;
    let (_, operations) = paths.iter().find(|(template, _)| is_at(template, path))?;
    operations.get(method.to_lowercase())
}

fn is_at(template: &str, path: &str) -> bool {
    let template: Vec<&str> = template.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    template.len() == path.len()
        && template
            .iter()
            .zip(path)
            .all(|(of, part)| *of == part || (of.starts_with('{') && !part.is_empty()))
}

/// Compares a value with a schema, as far as this document uses schemas. A field that the document does not name is an error.
pub fn matches(schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    let schema = resolved(schema);
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[key].as_array() {
            let fits = choices.iter().any(|choice| {
                let mut errors = Vec::new();
                matches(choice, value, at, &mut errors);
                errors.is_empty()
            });
            if !fits {
                errors.push(format!("{at}: fits none of {key}"));
            }
            return;
        }
    }
    let mut shape = Shape::default();
    shape.collect(schema);
    if !shape.types.is_empty() && !shape.types.iter().any(|kind| is_a(kind, value)) {
        errors.push(format!("{at}: is {value}, not {:?}", shape.types));
        return;
    }
    match value {
        Value::Object(members) => shape.object(members, at, errors),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                matches(&schema["items"], item, &format!("{at}[{number}]"), errors);
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let low = schema["minimum"]
                .as_f64()
                .is_some_and(|least| number < least);
            let high = schema["maximum"].as_f64().is_some_and(|most| number > most);
            if low || high {
                errors.push(format!("{at}: {number} is out of range"));
            }
        }
        Value::String(text) => {
            let utc = text.ends_with('Z') && OffsetDateTime::parse(text, &Rfc3339).is_ok();
            if schema["format"] == "date-time" && !utc {
                errors.push(format!("{at}: `{text}` is no RFC 3339 time in UTC"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Follows a reference into the document.
///
/// # Panics
/// When it leads nowhere.
#[must_use]
pub fn resolved(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(reference) => document()
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// A schema with everything that `allOf` puts together.
#[derive(Default)]
struct Shape<'a> {
    types: Vec<&'a str>,
    properties: BTreeMap<&'a str, &'a Value>,
    required: Vec<&'a str>,
    open: bool,
}

impl<'a> Shape<'a> {
    fn collect(&mut self, schema: &'a Value) {
        let schema = resolved(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect(part);
        }
        match &schema["type"] {
            Value::String(kind) => self.types.push(kind),
            Value::Array(kinds) => self.types.extend(kinds.iter().filter_map(Value::as_str)),
            _ => {}
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.properties.insert(name, property);
        }
        let required = schema["required"].as_array().into_iter().flatten();
        self.required.extend(required.filter_map(Value::as_str));
        self.open |= !schema["additionalProperties"].is_null();
    }

    fn object(&self, members: &Map<String, Value>, at: &str, errors: &mut Vec<String>) {
        for name in &self.required {
            if !members.contains_key(*name) {
                errors.push(format!("{at}: `{name}` is required"));
            }
        }
        for (name, member) in members {
            match self.properties.get(name.as_str()) {
                Some(schema) => matches(schema, member, &format!("{at}.{name}"), errors),
                None if self.open || self.properties.is_empty() => {}
                None => errors.push(format!("{at}: `{name}` is not documented")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{document, matches, operation};
    use serde_json::{Value, json};

    fn errors(name: &str, change: impl Fn(&mut Value)) -> Vec<String> {
        let schema = &document()["components"]["schemas"][name];
        let mut value = schema["examples"][0].clone();
        change(&mut value);
        let mut errors = Vec::new();
        matches(schema, &value, "$", &mut errors);
        errors
    }

    #[test]
    fn what_the_document_does_not_allow_is_seen() {
        assert!(errors("JobPage", |_| {}).is_empty());
        let changes: [fn(&mut Value); 7] = [
            |page| page["surprise"] = json!(1),
            |page| page["items"][0]["surprise"] = json!(1),
            |page| page["items"][0]["policy"]["surprise"] = json!(1),
            |page| page["items"][0]["status"] = json!(null),
            |page| page["items"][0]["created_at"] = json!("2026-11-22T16:43:10+08:00"),
            |page| page["truncated"] = json!("no"),
            |page| {
                page.as_object_mut().map(|page| page.remove("stale"));
            },
        ];
        for change in changes {
            assert_eq!(errors("JobPage", change).len(), 1);
        }
    }

    #[test]
    fn an_operation_is_found_by_its_path() {
        let name = |method, path| operation(method, path).map(|of| of["operationId"].clone());
        assert_eq!(name("GET", "/v1/providers/x"), Some(json!("get_provider")));
        let tasks = name("GET", "/v1/providers/x/jobs/%2F/tasks");
        assert_eq!(tasks, Some(json!("list_tasks")));
        assert_eq!(name("PUT", "/v1/providers/x"), None);
        assert_eq!(name("GET", "/v1/providers/"), None);
    }
}
