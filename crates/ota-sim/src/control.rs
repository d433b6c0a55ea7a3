//! Paths under `/_sim`: faults, counters, fleet and health. Not part of any vendor's API and without any access check.

use std::fmt::Write;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Serialize;

use crate::body::{Body, page, whole};
use crate::exchange::Arrival;
use crate::fault::Fault;
use crate::state::Shared;

pub(crate) fn answer(shared: &Shared, arrival: &Arrival) -> Response<Body> {
    let path = arrival.path.trim_end_matches('/');
    match (path, &arrival.method) {
        ("/_sim", &Method::GET) => overview(shared),
        ("/_sim/health", &Method::GET) => json(&serde_json::json!({
            "status": "ok",
            "simulator": shared.title,
        })),
        ("/_sim/counters", &Method::GET) => json(&shared.recorder.counters()),
        ("/_sim/counters", &Method::DELETE) => {
            shared.recorder.reset();
            empty()
        }
        ("/_sim/fleet", &Method::GET) => json(&shared.vendor.fleet(shared.now())),
        ("/_sim/faults", &Method::GET) => json(&shared.faults.list()),
        ("/_sim/faults", &Method::PUT) => match serde_json::from_slice::<Vec<Fault>>(&arrival.body)
        {
            Ok(faults) => {
                shared.faults.set(faults);
                empty()
            }
            Err(error) => {
                let mut response = json(&serde_json::json!({ "error": error.to_string() }));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        },
        ("/_sim/faults", &Method::DELETE) => {
            shared.faults.set(Vec::new());
            empty()
        }
        ("/_sim" | "/_sim/health" | "/_sim/counters" | "/_sim/fleet" | "/_sim/faults", _) => {
            page(StatusCode::METHOD_NOT_ALLOWED)
        }
        _ => page(StatusCode::NOT_FOUND),
    }
}

fn empty() -> Response<Body> {
    let mut response = Response::new(whole(Vec::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn json(content: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec_pretty(content) {
        Ok(text) => typed(text, "application/json"),
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn typed(text: Vec<u8>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(whole(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A small page for people.
fn overview(shared: &Shared) -> Response<Body> {
    let mut text = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>ota-sim</title><style>\
         body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}\
         table{border-collapse:collapse;margin:.5em 0 1.5em}\
         td,th{border-bottom:1px solid #ccc;padding:.2em .8em;text-align:left}\
         </style></head><body>",
    );
    let counters = shared.recorder.counters();
    let _infallible = write!(
        text,
        "<h1>{} simulator</h1><p>{} calls, {} answered, {} refused. \
         <a href=\"/_sim/counters\">counters</a> · <a href=\"/_sim/fleet\">fleet</a> · \
         <a href=\"/_sim/faults\">faults</a></p>",
        escape(shared.title),
        counters.total_calls(),
        counters.total_answered(),
        counters.total_refused(),
    );
    text.push_str(
        "<h2>Calls</h2><table><tr><th>operation<th>calls<th>answered<th>most in a window</tr>",
    );
    for (operation, calls) in &counters.calls {
        let _infallible = write!(
            text,
            "<tr><td>{}<td>{calls}<td>{}<td>{}</tr>",
            escape(operation),
            counters.answered.get(operation).unwrap_or(&0),
            counters.max_in_window_of(operation),
        );
    }
    text.push_str("</table><h2>Jobs</h2><table><tr><th>id<th>version<th>status<th>tasks</tr>");
    for job in &shared.vendor.fleet(shared.now()).jobs {
        let tasks: Vec<String> = job
            .tasks
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(status, count)| format!("{status} {count}"))
            .collect();
        let _infallible = write!(
            text,
            "<tr><td><code>{}</code><td>{}<td>{}<td>{}</tr>",
            escape(&job.id),
            escape(&job.version),
            escape(&job.status),
            escape(&tasks.join(", ")),
        );
    }
    text.push_str("</table></body></html>");
    typed(text.into_bytes(), "text/html; charset=utf-8")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
