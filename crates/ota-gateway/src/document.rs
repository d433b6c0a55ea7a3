//! The OpenAPI document: generated from the routes that are served, finished here with what holds for all of them.
//!
//! Examples are values of the types that are served, so they cannot show a field that does not exist.

use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::task::TaskStatus;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::problem::{Code, Failure, Problem};
use crate::{auth, routes};

mod examples;

/// Returns the document as it is served.
#[must_use]
pub fn document() -> Value {
    let (_, openapi) = routes::api().split_for_parts();
    finish(openapi)
}

/// Writes the document as it is checked in.
#[must_use]
pub fn to_text(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// Adds to a generated document what holds for every operation.
#[must_use]
pub fn finish(mut openapi: OpenApi) -> Value {
    openapi.info.title = "OTA Gateway".to_owned();
    openapi.info.version = "1.0.0".to_owned();
    openapi.info.description = Some(DESCRIPTION.to_owned());
    openapi.info.contact = None;
    openapi.info.license = Some(
        utoipa::openapi::LicenseBuilder::new()
            .name("Apache-2.0")
            .identifier(Some("Apache-2.0"))
            .build(),
    );
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .description(Some("A token with the scope `ota:read`, and `ota:admin` for checks. The sandbox prints one."))
                .build(),
        ),
    );
    let mut document = serde_json::to_value(&openapi).unwrap_or_default();
    document["tags"] = json!([
        {"name": "providers", "description": "The configured accounts: what they can do and how they are."},
        {"name": "jobs", "description": "Firmware jobs and their tasks, one for each device."},
    ]);
    add_problem_schemas(&mut document);
    for (path, operations) in members(&mut document["paths"]) {
        for (method, operation) in members(operations) {
            finish_operation(path, method, operation);
        }
    }
    without_null(&mut document["components"]["schemas"]);
    for (name, schema) in members(&mut document["components"]["schemas"]) {
        if let Some(example) = examples::of_schema(name) {
            schema["examples"] = json!([example]);
        }
    }
    document
}

const DESCRIPTION: &str = "One API over the firmware-update services of all IoT clouds: a **job** updates many devices, a **task** is one \
device of a job.\n\nStatuses and all other words are open sets: expect new ones. Fields that a vendor did not tell are left out; what has no \
field here stands verbatim in `vendor.fields`. Every answer says as of when it is true. Errors are `application/problem+json`; branch on \
`code`. 401 and 403 only ever speak of your token: what a vendor does is 502, 503 or 504.";

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.iter_mut())
}

/// The problem types are in no handler's signature, since every response can be one.
fn add_problem_schemas(document: &mut Value) {
    use utoipa::{PartialSchema, ToSchema};
    let mut schemas = Vec::new();
    schemas.push((Problem::name().into_owned(), Problem::schema()));
    Problem::schemas(&mut schemas);
    for (name, schema) in schemas {
        document["components"]["schemas"][name] = serde_json::to_value(schema).unwrap_or_default();
    }
}

/// Takes `null` out of the types: a field that was not told is left out and never null.
fn without_null(schema: &mut Value) {
    if let Some(kinds) = schema.get("type").and_then(Value::as_array) {
        let mut kinds: Vec<Value> = kinds
            .iter()
            .filter(|kind| *kind != "null")
            .cloned()
            .collect();
        if kinds.len() == 1 {
            schema["type"] = kinds.remove(0);
        }
    }
    if let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [only] = choices.as_slice() {
            let mut only = only.clone();
            // What stands beside the reference describes this use of it.
            if let (Some(of), Value::Object(own)) = (only.as_object_mut(), schema.take()) {
                of.extend(own.into_iter().filter(|(name, _)| name != "oneOf"));
            }
            *schema = only;
        }
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(without_null),
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The codes that an operation can answer with, as far as whether it asks a vendor decides it.
fn codes(live: bool) -> Vec<Code> {
    let mut codes = vec![
        Code::InvalidArgument,
        Code::Unauthenticated,
        Code::Forbidden,
        Code::NotFound,
        Code::NotAcceptable,
        Code::PayloadTooLarge,
        Code::MisdirectedRequest,
        Code::RequestTimeout,
        Code::UriTooLong,
        Code::RateLimited,
        Code::HeadersTooLarge,
        Code::Internal,
        Code::KeysUnavailable,
        Code::Unavailable,
    ];
    if live {
        codes.extend([
            Code::InvalidCursor,
            Code::UnsupportedByProvider,
            Code::ProviderAuth,
            Code::ProviderRejected,
            Code::ProviderMisconfigured,
            Code::ProviderProtocol,
            Code::ProviderThrottled,
            Code::ProviderUnavailable,
            Code::ProviderTimeout,
            Code::NothingCached,
        ]);
    }
    codes
}

fn finish_operation(path: &str, method: &str, operation: &mut Value) {
    let scope = if method == "get" {
        auth::READ
    } else {
        auth::ADMIN
    };
    // OpenAPI 3.1 lets any scheme list the roles that it needs.
    operation["security"] = json!([{"bearer": [scope]}]);
    let live = path.contains("/jobs");
    finish_parameters(operation, method, path);
    let schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next())
        .map(str::to_owned);
    if let Some(example) = schema.as_deref().and_then(examples::of_schema) {
        operation["responses"]["200"]["content"]["application/json"]["example"] = example;
    }
    operation["responses"]["200"]["headers"] = headers();
    if method == "get" {
        operation["responses"]["304"] = json!({
            "description": "Unchanged since the answer whose ETag was sent in `If-None-Match`; the headers are those of the fresh answer.",
            "headers": headers(),
        });
    }
    add_problems(operation, &codes(live));
}

fn add_problems(operation: &mut Value, codes: &[Code]) {
    let mut by_status: std::collections::BTreeMap<u16, Vec<Code>> =
        std::collections::BTreeMap::new();
    for code in codes {
        by_status
            .entry(code.status().as_u16())
            .or_default()
            .push(*code);
    }
    for (status, codes) in by_status {
        let described: Vec<String> = codes
            .iter()
            .map(|code| format!("`{}`: {}.", code.as_str(), code.title()))
            .collect();
        let examples: Map<String, Value> = codes
            .iter()
            .map(|code| {
                (
                    code.as_str().to_owned(),
                    json!({"summary": code.title(), "value": examples::problem(*code)}),
                )
            })
            .collect();
        let mut response = json!({
            "description": described.join(" "),
            "headers": {"X-Request-Id": header("string", "The identifier of the request.")},
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": examples,
            }},
        });
        if status == 503 || status == 429 {
            response["headers"]["Retry-After"] =
                header("integer", "Seconds to wait before trying again.");
        }
        if status == 429 {
            response["headers"]["RateLimit"] = header("string", RATE_LIMIT);
            response["headers"]["RateLimit-Policy"] = header("string", RATE_LIMIT_POLICY);
        }
        if status == 401 || status == 403 {
            response["headers"]["WWW-Authenticate"] = header("string", "The challenge (RFC 6750).");
        }
        operation["responses"][status.to_string()] = response;
    }
}

const RATE_LIMIT: &str = "What is left for this caller: `\"caller\";r=599;t=1` means 599 requests, and the whole allowance again in a second. Only where the gateway limits callers.";

const RATE_LIMIT_POLICY: &str = "What a caller may send: `\"caller\";q=600;w=60` means 600 requests in 60 seconds. Only where the gateway limits callers.";

fn header(kind: &str, description: &str) -> Value {
    json!({"description": description, "schema": {"type": kind}})
}

fn headers() -> Value {
    json!({
        "X-Request-Id": header("string", "The identifier of the request."),
        "OTA-As-Of": {
            "description": "The time of the earliest vendor call behind the answer.",
            "schema": {"type": "string", "format": "date-time"},
        },
        "OTA-Stale": header("boolean", "Whether the answer is older than asked for because the vendor did not answer."),
        "Age": header("integer", "Seconds since `OTA-As-Of`."),
        "ETag": header("string", "A weak validator over content and staleness, not over the time."),
        "Cache-Control": header("string", "`private, no-cache`: keep it, and ask whether it changed."),
        "Server-Timing": header("string", "Number and time of the vendor calls made for this answer."),
    })
}

fn finish_parameters(operation: &mut Value, method: &str, path: &str) {
    let tasks = path.ends_with("/tasks");
    let words = |name: &str| -> Option<Vec<&'static str>> {
        match name {
            "status" if tasks => Some(TaskStatus::ALL.iter().map(|word| word.as_str()).collect()),
            "status" => Some(JobStatus::ALL.iter().map(|word| word.as_str()).collect()),
            "outcome" => Some(JobOutcome::ALL.iter().map(|word| word.as_str()).collect()),
            "kind" => Some(JobKind::ALL.iter().map(|word| word.as_str()).collect()),
            _ => None,
        }
    };
    if operation["parameters"].is_null() {
        operation["parameters"] = json!([]);
    }
    let Some(parameters) = operation["parameters"].as_array_mut() else {
        return;
    };
    for parameter in parameters.iter_mut() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if parameter["in"] == "query" {
            // A parameter that is left out is not `null` in a query.
            let schema = &mut parameter["schema"];
            if let Some(kinds) = schema["type"].as_array() {
                schema["type"] = kinds
                    .iter()
                    .find(|kind| *kind != "null")
                    .cloned()
                    .unwrap_or_default();
            }
            let value = if schema["type"] == "array" {
                &mut schema["items"]
            } else {
                schema
            };
            match words(&name) {
                Some(words) => value["enum"] = json!(words),
                None if value["type"] == "string" && name != "cursor" => {
                    value["minLength"] = json!(1);
                    value["maxLength"] = json!(crate::query::MAX_VALUE_CHARS);
                    value["pattern"] = json!(crate::query::VALUE_PATTERN);
                }
                None => {}
            }
        }
        if let Some(example) = examples::of_parameter(&name) {
            parameter["example"] = example;
        }
    }
    if method == "get" {
        parameters.push(json!({
            "name": "If-None-Match", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The ETag of the answer that the caller has; an unchanged answer is a 304.",
        }));
    }
    if method == "get" && path.contains("/jobs") {
        parameters.push(json!({
            "name": "Cache-Control", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "`max-age=N` or `no-cache` asks for a fresher answer, `only-if-cached` for one without a vendor call.",
        }));
    }
}

/// Returns the example of a failure.
fn problem(failure: Failure) -> Value {
    serde_json::to_value(failure.into_problem("7d5f0a3c9b1e4f6288aa0c1d2e3f4a5b"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::document;
    use crate::routes::{list_jobs, list_tasks};
    use serde_json::Value;

    fn names(document: &Value, path: &str) -> Vec<String> {
        let parameters = document["paths"][path]["get"]["parameters"]
            .as_array()
            .unwrap();
        let query = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query");
        query
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_documented_parameters_are_those_that_are_read() {
        let document = document();
        assert_eq!(
            names(&document, "/v1/providers/{provider}/jobs"),
            list_jobs::KNOWN
        );
        assert_eq!(
            names(&document, "/v1/providers/{provider}/jobs/{job_id}/tasks"),
            list_tasks::KNOWN
        );
    }

    #[test]
    fn every_schema_and_every_response_has_an_example() {
        let document = document();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(schema["examples"].is_array(), "{name}");
        }
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(
                    id.split('_')
                        .next()
                        .is_some_and(|verb| ["list", "get", "check"].contains(&verb)),
                    "{id}"
                );
                assert!(
                    operation["summary"].is_string() && operation["description"].is_string(),
                    "{id}"
                );
                assert!(operation["security"][0]["bearer"].is_array(), "{id}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    for (kind, content) in response["content"].as_object().into_iter().flatten() {
                        let shown =
                            content["example"].is_object() || content["examples"].is_object();
                        assert!(shown, "{method} {path} {status} {kind}");
                    }
                    assert!(
                        status == "304" || response["content"].is_object(),
                        "{method} {path} {status}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_document_is_openapi_3_1() {
        assert_eq!(document()["openapi"], "3.1.0");
    }
}
