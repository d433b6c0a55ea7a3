//! The responses that operations refer to: each is described once.

use ota_api::responses::{self, SharedResponse};
use serde_json::{Map, Value, json};

use super::examples;
use crate::headers;

/// Describes the responses that operations refer to.
pub(super) fn described() -> Map<String, Value> {
    let all = responses::shared().into_iter();
    all.map(|response| (response.name(), described_one(&response)))
        .collect()
}

fn described_one(response: &SharedResponse) -> Value {
    let (status, codes) = (response.status, &response.codes);
    if codes.is_empty() {
        return json!({
            "description": "Unchanged since the response whose ETag was sent in `If-None-Match`; the headers are those of the current response.",
            "headers": headers::of_status(status),
        });
    }
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
    json!({
        "description": described.join(" "),
        "headers": headers::of_status(status),
        "content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "examples": examples,
        }},
    })
}
