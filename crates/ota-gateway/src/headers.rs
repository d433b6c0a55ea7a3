//! The headers of the API, in one list: the document describes them, and pages of other origins may send and read them.

use axum::http::HeaderName;
use serde_json::{Map, Value, json};

use ota_api::problem::Code;

/// A header that a request may carry.
pub(crate) struct RequestHeader {
    name: &'static str,
    parameter: Option<Parameter>,
}

/// How the document describes a request header.
struct Parameter {
    on: Operations,
    description: &'static str,
}

/// The operations that read a request header, by their possible responses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operations {
    All,
    /// Those that can answer 304.
    Unchanged,
    /// Those that can answer that nothing is cached.
    Cached,
}

impl Operations {
    /// Whether an operation with these response statuses is one of them.
    fn have(self, statuses: &[u16]) -> bool {
        match self {
            Self::All => true,
            Self::Unchanged => statuses.contains(&304),
            Self::Cached => statuses.contains(&Code::NothingCached.status().as_u16()),
        }
    }
}

const fn read(name: &'static str, on: Operations, description: &'static str) -> RequestHeader {
    let parameter = Some(Parameter { on, description });
    RequestHeader { name, parameter }
}

/// A header without a parameter in the document.
const fn bare(name: &'static str) -> RequestHeader {
    let parameter = None;
    RequestHeader { name, parameter }
}

/// The request headers that a page of another origin may send.
const REQUEST: &[RequestHeader] = &[
    // OpenAPI ignores parameters of these three names. The first is the security scheme.
    bare("Authorization"),
    bare("Accept"),
    bare("Content-Type"),
    read(
        "If-None-Match",
        Operations::Unchanged,
        "The ETag of the response that the client has; if it is unchanged, the response is a 304.",
    ),
    read(
        "Cache-Control",
        Operations::Cached,
        "`max-age=N` or `no-cache` requests a fresher response, `only-if-cached` one without a vendor call.",
    ),
    read(
        "X-Request-Id",
        Operations::All,
        "Identifies the request in the response and in the gateway's log: 1 to 64 letters, digits, `-`, `_` and `.`. The gateway generates one if it is absent or malformed.",
    ),
    read(
        "traceparent",
        Operations::All,
        "The trace that the request belongs to (W3C Trace Context).",
    ),
    // Not read. Pages with tracing send them together with `traceparent`; if they were not allowed, the browser would block the request.
    bare("tracestate"),
    bare("baggage"),
];

/// A header that a response may carry.
pub(crate) struct ResponseHeader {
    name: &'static str,
    schema: Schema,
    /// Whether each response that is described with the header has it.
    always: bool,
    on: fn(u16) -> bool,
    description: &'static str,
}

#[derive(Clone, Copy)]
enum Schema {
    Text,
    Number,
    Flag,
    Time,
}

/// The response headers that a page of another origin may read.
const RESPONSE: &[ResponseHeader] = &[
    ResponseHeader {
        name: "X-Request-Id",
        schema: Schema::Text,
        always: true,
        on: |_| true,
        description: "The identifier of the request.",
    },
    ResponseHeader {
        name: "OTA-As-Of",
        schema: Schema::Time,
        always: true,
        on: is_answer,
        description: "The time of the earliest vendor call that the response comes from.",
    },
    ResponseHeader {
        name: "OTA-Stale",
        schema: Schema::Flag,
        always: true,
        on: is_answer,
        description: "Whether this is an older cached response, served because the vendor did not answer.",
    },
    ResponseHeader {
        name: "Age",
        schema: Schema::Number,
        always: true,
        on: is_answer,
        description: "Seconds since `OTA-As-Of`.",
    },
    ResponseHeader {
        name: "ETag",
        schema: Schema::Text,
        always: true,
        on: is_answer,
        description: "A weak validator of the content and of `OTA-Stale`; it does not change with `OTA-As-Of`.",
    },
    ResponseHeader {
        name: "Cache-Control",
        schema: Schema::Text,
        always: true,
        on: is_answer,
        description: "`private, no-cache`: a client may store the response and must revalidate it.",
    },
    ResponseHeader {
        name: "Server-Timing",
        schema: Schema::Text,
        always: true,
        on: is_answer,
        description: "Number and duration of the vendor calls made for this response.",
    },
    ResponseHeader {
        name: "Retry-After",
        schema: Schema::Number,
        always: true,
        on: |status| matches!(status, 429 | 503),
        description: "Seconds to wait before a retry.",
    },
    ResponseHeader {
        name: "RateLimit",
        schema: Schema::Text,
        always: false,
        on: |status| is_answer(status) || status == 429,
        description: "What this caller has left: `\"caller\";r=599;t=1` means 599 requests now, and the full limit again in one second. Only if the gateway has a rate limit.",
    },
    ResponseHeader {
        name: "RateLimit-Policy",
        schema: Schema::Text,
        always: false,
        on: |status| is_answer(status) || status == 429,
        description: "The rate limit of a caller: `\"caller\";q=600;w=60` means 600 requests in 60 seconds. Only if the gateway has a rate limit.",
    },
    ResponseHeader {
        name: "WWW-Authenticate",
        schema: Schema::Text,
        always: false,
        on: |status| matches!(status, 401 | 403),
        description: "The challenge (RFC 6750).",
    },
    ResponseHeader {
        name: "Allow",
        schema: Schema::Text,
        always: true,
        on: |status| status == 405,
        description: "The methods of this path.",
    },
];

const fn is_answer(status: u16) -> bool {
    status < 400
}

/// Returns the headers that a page of another origin may send.
pub(crate) fn allowed() -> Vec<HeaderName> {
    names(REQUEST.iter().map(|header| header.name))
}

/// Returns the headers that a page of another origin may read.
pub(crate) fn exposed() -> Vec<HeaderName> {
    names(RESPONSE.iter().map(|header| header.name))
}

fn names(texts: impl Iterator<Item = &'static str>) -> Vec<HeaderName> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Returns the parameters that the document describes, by name.
pub(crate) fn parameters() -> Map<String, Value> {
    let described = REQUEST
        .iter()
        .filter_map(|header| Some((header.name, header.parameter.as_ref()?)));
    described
        .map(|(name, parameter)| {
            let value = json!({
                "name": name, "in": "header", "required": false, "schema": {"type": "string"},
                "description": parameter.description,
            });
            (name.to_owned(), value)
        })
        .collect()
}

/// Returns the names of the parameters of an operation that answers with these statuses.
pub(crate) fn parameters_of(statuses: &[u16]) -> impl Iterator<Item = &'static str> {
    REQUEST.iter().filter_map(|header| {
        let parameter = header.parameter.as_ref()?;
        parameter.on.have(statuses).then_some(header.name)
    })
}

/// Returns the descriptions of all headers that a described response has, by name.
pub(crate) fn described(statuses: &[u16]) -> Map<String, Value> {
    let used = RESPONSE
        .iter()
        .filter(|header| statuses.iter().any(|status| (header.on)(*status)));
    used.map(|header| {
        let schema = match header.schema {
            Schema::Text => json!({"type": "string"}),
            Schema::Number => json!({"type": "integer", "minimum": 0}),
            Schema::Flag => json!({"type": "boolean"}),
            Schema::Time => json!({"type": "string", "format": "date-time"}),
        };
        let mut value = json!({"description": header.description, "schema": schema});
        if header.always {
            value["required"] = json!(true);
        }
        (header.name.to_owned(), value)
    })
    .collect()
}

/// Returns references to the headers of a response with this status.
pub(crate) fn of_status(status: u16) -> Value {
    let on = RESPONSE.iter().filter(|header| (header.on)(status));
    on.map(|header| {
        let reference = format!("#/components/headers/{}", header.name);
        (header.name.to_owned(), json!({"$ref": reference}))
    })
    .collect::<Map<_, _>>()
    .into()
}

#[cfg(test)]
mod tests {
    use axum::http::header::{
        AGE, ALLOW, AUTHORIZATION, CACHE_CONTROL, ETAG, IF_NONE_MATCH, RETRY_AFTER,
        WWW_AUTHENTICATE,
    };

    use super::{REQUEST, RESPONSE, allowed, exposed};
    use crate::cache::conditional::SERVER_TIMING;
    use crate::cache::response::{OTA_AS_OF, OTA_STALE};
    use ota_server::rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY};
    use ota_server::request_context::{TRACEPARENT, X_REQUEST_ID};

    #[test]
    fn the_lists_have_every_header_that_is_read_or_written() {
        assert_eq!(allowed().len(), REQUEST.len());
        assert_eq!(exposed().len(), RESPONSE.len());
        for read in [
            AUTHORIZATION,
            CACHE_CONTROL,
            IF_NONE_MATCH,
            X_REQUEST_ID,
            TRACEPARENT,
        ] {
            assert!(allowed().contains(&read), "{read}");
        }
        for written in [
            AGE,
            ALLOW,
            ETAG,
            RETRY_AFTER,
            WWW_AUTHENTICATE,
            OTA_AS_OF,
            OTA_STALE,
            X_REQUEST_ID,
            SERVER_TIMING,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
        ] {
            assert!(exposed().contains(&written), "{written}");
        }
    }
}
