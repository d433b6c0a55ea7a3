//! The problem responses: each is described once, and operations refer to it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::examples;
use crate::headers;
use crate::problem::Code;

/// What an operation does, as far as it decides how it can fail.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    /// It asks a vendor.
    pub(super) live: bool,
    /// It takes a cursor.
    pub(super) paged: bool,
}

impl Operation {
    /// The codes that it can answer with.
    fn codes(self) -> BTreeMap<u16, Vec<Code>> {
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
        if self.paged {
            codes.push(Code::InvalidCursor);
        }
        if self.live {
            codes.extend([
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
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in codes {
            let status = code.status().as_u16();
            by_status.entry(status).or_default().push(code);
        }
        by_status
    }
}

/// Adds the problems of one operation, and describes those that are new in `shared`.
pub(super) fn add(operation: &mut Value, of: Operation, shared: &mut Map<String, Value>) {
    for (status, codes) in of.codes() {
        let name = name(&codes);
        operation["responses"][status.to_string()] =
            json!({"$ref": format!("#/components/responses/{name}")});
        shared.entry(name).or_insert_with(|| response(&codes));
    }
}

/// Names a response by its status, and by the operations that it belongs to where others have fewer codes under that status.
fn name(codes: &[Code]) -> String {
    let Some(code) = codes.first() else {
        return String::new();
    };
    let reason = code.status().canonical_reason().unwrap_or_default();
    let reason: String = reason.split([' ', '-']).collect();
    let suffix = match code {
        Code::InvalidArgument if codes.contains(&Code::InvalidCursor) => "InList",
        Code::KeysUnavailable if codes.contains(&Code::ProviderUnavailable) => "WithProvider",
        _ => "",
    };
    format!("{reason}{suffix}")
}

fn response(codes: &[Code]) -> Value {
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
    let status = codes.first().map_or(500, |code| code.status().as_u16());
    json!({
        "description": described.join(" "),
        "headers": headers::of_status(status),
        "content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "examples": examples,
        }},
    })
}
