//! `q`: a text is text, whatever characters it has.

use ota_sim::FleetShape;
use serde_json::Value;

use crate::setup::World;

/// What somebody may type: wildcards and quotes of SQL, operators of a full-text search, Chinese words, letters beyond the first plane.
const TYPED: &[&str] = &[
    "%",
    "_",
    "%%",
    "__",
    "_8",
    "%8",
    "valve_8",
    "valve%8",
    "valve%258",
    "valve*",
    "e\\8",
    "'a'",
    "''",
    "\"b\"",
    "\"\"",
    "--",
    "';",
    "100% _*",
    "阀门",
    "阀门-8",
    "升级",
    "弱>",
    "📦",
    "📦-8",
    "第二行",
    "*_",
    "OR",
    "a AND b",
    "NEAR(",
    "^va",
    "valve-8",
    "VALVE-8",
    "Ünï",
    "ünï",
    "ÜNÏ",
    "\\\\",
    "{8",
    "8 8",
    "nothing has this",
];

/// Every row of a list, by pages of 500.
async fn all(world: &World, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world
            .gateway
            .get(&format!("{path}page_size=500{cursor}"))
            .await
            .ok();
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Whether one of these fields of a row has the text, without case.
fn has(row: &Value, fields: &[&str], text: &str) -> bool {
    let text = text.to_lowercase();
    fields.iter().any(|field| {
        let value = row.pointer(field).and_then(Value::as_str);
        value.is_some_and(|value| value.to_lowercase().contains(&text))
    })
}

fn ids(rows: &[Value]) -> Vec<String> {
    let mut ids: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {} {}", row["provider"], row["job_id"], row["id"]))
        .collect();
    ids.sort();
    ids
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asks for each text and holds the answer against the rows that have it; so many texts at least are in some row.
async fn a_text_is_text(world: &World, path: &str, fields: &[&str], least: usize) {
    let rows = all(world, &format!("{path}?")).await;
    let mut found = 0;
    for typed in TYPED.iter().filter(|typed| typed.chars().count() >= 2) {
        let wanted: Vec<_> = rows
            .iter()
            .filter(|row| has(row, fields, typed))
            .cloned()
            .collect();
        let answer = all(world, &format!("{path}?q={}&", encoded(typed))).await;
        assert_eq!(ids(&answer), ids(&wanted), "{path}: {typed}");
        found += usize::from(!wanted.is_empty());
    }
    assert!(found >= least, "only {found} of the texts are anywhere");
    // A single character is refused, not ignored.
    for typed in TYPED.iter().filter(|typed| typed.chars().count() < 2) {
        let path = format!("{path}?q={}", encoded(typed));
        let problem = world
            .gateway
            .get(&path)
            .await
            .problem(400, "invalid_argument");
        assert_eq!(problem["field"], "q");
    }
}

#[tokio::test]
async fn a_text_finds_the_rows_that_have_it_and_no_other() {
    let world = World::mirrored_of(FleetShape::demo().frozen()).await;
    let job = ["/id", "/description", "/package/name", "/package/version"];
    a_text_is_text(&world, "/v1/jobs", &job, 5).await;
    let task = ["/device/name", "/device/id", "/message"];
    a_text_is_text(&world, "/v1/tasks", &task, 7).await;
}
