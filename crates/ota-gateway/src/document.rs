//! The OpenAPI document: generated from the routes that are served, finished here with what holds for all of them.
//!
//! Examples are values of the types that are served, so they cannot show a field that does not exist.

use ota_api::problem::Problem;
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{LicenseBuilder, OpenApi};
use utoipa::{PartialSchema as _, ToSchema as _};

use ota_api::responses;

use crate::{headers, routes};

mod enumerations;
mod examples;
mod problems;

/// Returns the document as it is served where `server.public_url` is not set.
#[must_use]
pub fn document() -> Value {
    let (_, openapi) = routes::api().split_for_parts();
    finish(openapi, None)
}

/// Writes the document as it is checked in.
#[must_use]
pub fn to_text(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// Adds to a generated document what holds for every operation, and where the API is: at `public_url`, else beside the document.
#[must_use]
pub fn finish(mut openapi: OpenApi, public_url: Option<&str>) -> Value {
    introduce(&mut openapi);
    let mut document = serde_json::to_value(&openapi).unwrap_or_default();
    // Relative to the address of the document, so that it holds under every path prefix.
    document["servers"] = json!([match public_url {
        Some(url) => json!({"url": url, "description": "This gateway."}),
        None => json!({"url": ".", "description": "The gateway that serves this document."}),
    }]);
    document["tags"] = json!([
        {"name": "providers", "description": "The configured vendor accounts: their capabilities and their health."},
        {"name": "jobs", "description": "Firmware jobs and their tasks, one task per device, as one provider's vendor has them now."},
        {"name": "fleet", "description": "Jobs and tasks of all providers at once, answered from the mirror without vendor calls, and how far the mirror is."},
    ]);
    let mut parameters = headers::parameters();
    for (_, operations) in members(&mut document["paths"]) {
        for (_, operation) in members(operations) {
            finish_operation(operation, &mut parameters);
        }
    }
    let components = &mut document["components"];
    components["parameters"] = parameters.into();
    components["responses"] = problems::described().into();
    let statuses = responses::shared().into_iter().map(|shared| shared.status);
    let statuses: Vec<u16> = statuses.chain([OK]).collect();
    components["headers"] = headers::described(&statuses).into();
    finish_schemas(&mut components["schemas"]);
    document
}

/// The status of an answer.
const OK: u16 = 200;

/// Adds the description of the API, and how callers are identified.
fn introduce(openapi: &mut OpenApi) {
    openapi.info.title = "OTA Gateway".to_owned();
    openapi.info.version = "1.0.0".to_owned();
    openapi.info.description = Some(DESCRIPTION.to_owned());
    openapi.info.contact = None;
    openapi.info.license = Some(
        LicenseBuilder::new()
            .name("Apache-2.0")
            .identifier(Some("Apache-2.0"))
            .build(),
    );
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token with the scope `ota:read`, and `ota:admin` for checks and full passes. The sandbox prints one."));
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
}

const DESCRIPTION: &str = "One read-only API over the firmware-update services of several IoT clouds. A **job** updates many devices; a **task** \
is one device of a job.\n\nStatuses and all other enumerations are open: expect new values. Fields that a vendor did not report are left out; \
vendor fields without a neutral counterpart are in `vendor.fields`, verbatim. Every response states the time of its data. Errors are \
`application/problem+json`; branch on `code`. 401 and 403 always concern the caller's token; failures of a vendor are 502, 503 or 504.";

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value
        .as_object_mut()
        .into_iter()
        .flat_map(|members| members.iter_mut())
}

/// Finishes the types: adds those that are in no handler's signature, and to all of them the values of enumerations and examples.
fn finish_schemas(schemas: &mut Value) {
    let mut problems = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut problems);
    for (name, schema) in problems {
        schemas[name] = serde_json::to_value(schema).unwrap_or_default();
    }
    without_null(schemas);
    enumerations::name_values(schemas);
    for (name, schema) in members(schemas) {
        if let Some(example) = examples::of_schema(name) {
            schema["examples"] = json!([example]);
        }
    }
}

/// Removes `null` from the types: a field that was not reported is left out and never null.
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
            // The description next to the reference describes this use of it.
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

/// Completes an operation. Its scope and its responses are declared at its handler.
fn finish_operation(operation: &mut Value, shared: &mut Map<String, Value>) {
    let statuses: Vec<u16> = members(&mut operation["responses"])
        .filter_map(|(status, _)| status.parse().ok())
        .collect();
    finish_parameters(operation, &statuses, shared);
    let status = statuses.iter().find(|status| (OK..300).contains(*status));
    let status = status.copied().unwrap_or(OK);
    let answer = &mut operation["responses"][status.to_string()];
    answer["headers"] = headers::of_status(status);
    let content = &mut answer["content"]["application/json"];
    let schema = content["schema"]["$ref"].as_str();
    let schema = schema.and_then(|reference| reference.rsplit('/').next());
    if let Some(example) = schema.and_then(examples::of_schema) {
        content["example"] = example;
    }
}

/// Adds the headers that an operation with these answers reads. What means the same in every operation is described once, in `shared`.
fn finish_parameters(operation: &mut Value, statuses: &[u16], shared: &mut Map<String, Value>) {
    if operation["parameters"].is_null() {
        operation["parameters"] = json!([]);
    }
    let parameters = operation["parameters"].as_array_mut();
    let Some(parameters) = parameters else {
        return;
    };
    for parameter in parameters.iter_mut() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let place = parameter["in"].as_str().unwrap_or_default();
        if let Some(example) = examples::of_parameter(place, &name) {
            parameter["example"] = example;
        }
        if parameter["in"] == "path" {
            let whole = std::mem::replace(parameter, reference(&name));
            shared.insert(name, whole);
        }
    }
    parameters.extend(headers::parameters_of(statuses).map(reference));
}

fn reference(parameter: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{parameter}")})
}

#[cfg(test)]
mod tests {
    use super::document;
    use serde_json::Value;

    fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
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
                        .is_some_and(
                            |verb| ["list", "get", "check", "count", "start"].contains(&verb)
                        ),
                    "{id}"
                );
                assert!(
                    operation["summary"].is_string() && operation["description"].is_string(),
                    "{id}"
                );
                assert!(
                    operation["security"][0]["bearer"].is_array(),
                    "{id} states no scope"
                );
                let stated = operation["responses"]["401"].is_object();
                assert!(
                    stated,
                    "{id} does not say what it can answer beside its 200"
                );
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let response = resolved(&document, response);
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

    #[test]
    fn a_problem_is_described_once() {
        let document = document();
        let mut uses = 0;
        for operations in document["paths"].as_object().unwrap().values() {
            for operation in operations.as_object().unwrap().values() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    if status != "200" && status != "202" {
                        assert!(response["$ref"].is_string(), "{status}: {response}");
                        uses += 1;
                    }
                }
            }
        }
        let shared = document["components"]["responses"].as_object().unwrap();
        assert!(shared.len() * 4 < uses, "{} for {uses}", shared.len());
        // A shared response must not describe anything that one of its operations cannot answer.
        let path = "/v1/providers";
        let of = |path: &str, status: &str| {
            let response = &document["paths"][path]["get"]["responses"][status];
            resolved(&document, response)["description"].to_string()
        };
        assert!(!of(path, "400").contains("cursor") && !of(path, "503").contains("vendor"));
        let path = "/v1/providers/{provider}/jobs";
        assert!(of(path, "400").contains("cursor") && of(path, "503").contains("vendor"));
    }

    #[test]
    fn the_api_is_beside_the_document_or_at_its_public_address() {
        assert_eq!(document()["servers"][0]["url"], ".");
        let (_, openapi) = crate::routes::api().split_for_parts();
        let document = super::finish(openapi, Some("https://iot.example.com/ota"));
        assert_eq!(document["servers"][0]["url"], "https://iot.example.com/ota");
        assert_eq!(document["servers"].as_array().unwrap().len(), 1);
    }
}
