//! `GET /openapi.json`

use ota_tests::{Gateway, contract};
use serde_json::Value;

use crate::setup::{ALI, HUA, World, with, with_required};

#[tokio::test]
async fn the_served_document_is_the_checked_in_one() {
    let world = World::small().await;
    let reply = world.gateway.ask("GET", "/openapi.json").anonymous();
    let reply = reply.send().await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.text() == contract::text(),
        "openapi/gateway.v1.json is not what is served; generate it again"
    );
}

#[tokio::test]
async fn the_document_names_the_public_address_of_the_configuration() {
    for (written, url) in [
        ("https://iot.example.com/ota", "https://iot.example.com/ota"),
        (
            "https://iot.example.com/ota/",
            "https://iot.example.com/ota",
        ),
        ("http://gateway.lan:8080", "http://gateway.lan:8080"),
    ] {
        let line = format!("[server]\npublic_url = \"{written}\"\n");
        let text = ota_tests::gateway::head().replacen("[server]\n", &line, 1);
        let gateway = Gateway::with_file(&text).await;
        let reply = gateway.ask("GET", "/openapi.json").anonymous();
        let document: Value = serde_json::from_str(&reply.send().await.text()).unwrap();
        let servers = document["servers"].as_array().unwrap();
        assert_eq!(servers.len(), 1, "{servers:?}");
        assert_eq!(servers[0]["url"], url);
    }
}

#[test]
fn every_reference_and_every_identifier_holds() {
    let document = contract::document();
    assert_eq!(
        document["openapi"].as_str().map(|version| &version[..3]),
        Some("3.1")
    );
    let mut names = Vec::new();
    for (method, path, operation) in contract::operations(document) {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(name.contains('_'), "{name} is no <verb>_<resource>");
        assert!(!names.contains(&name), "{name} is there twice");
        let templates = path.matches('{').count();
        let parameters = operation["parameters"].as_array().unwrap();
        let in_path = parameters
            .iter()
            .map(contract::resolved)
            .filter(|parameter| parameter["in"] == "path");
        assert_eq!(in_path.count(), templates, "{method} {path}");
        names.push(name);
    }
    names.sort();
    assert_eq!(names, route_files());
    references(document);
}

/// The names of the files that hold an operation: each has one, and is called like it.
fn route_files() -> Vec<String> {
    let folder = contract::root().join("crates/ota-gateway/src/routes");
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let operations = paths.filter(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        let count = text.matches("#[utoipa::path(").count();
        assert!(count < 2, "{} has {count} operations", path.display());
        count == 1
    });
    let mut names: Vec<String> = operations
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn references(value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let target = contract::document().pointer(reference.trim_start_matches('#'));
                assert!(target.is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(references);
        }
        Value::Array(items) => items.iter().for_each(references),
        _ => {}
    }
}

/// Examples are what people copy, so they must be as true as answers.
#[test]
fn every_example_fits_its_schema() {
    let document = contract::document();
    let mut errors = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            contract::matches(schema, example, name, &mut errors);
        }
    }
    for (method, path, operation) in contract::operations(document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = contract::resolved(response);
            for content in response["content"].as_object().into_iter().flatten() {
                let at = format!("{method} {path} {status}");
                let (schema, mut examples) = (&content.1["schema"], Vec::new());
                examples.extend(content.1.get("example"));
                let named = content.1["examples"].as_object().into_iter().flatten();
                examples.extend(named.map(|(_, example)| &example["value"]));
                assert!(!examples.is_empty(), "{at} has no example");
                for example in examples {
                    contract::matches(schema, example, &at, &mut errors);
                }
            }
        }
    }
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Asks for everything once with every documented query parameter; what comes is held against the document on the way.
#[tokio::test]
async fn every_documented_parameter_is_taken() {
    let world = World::mirrored().await;
    for (provider, method, path, operation) in [ALI, HUA].into_iter().flat_map(|provider| {
        let all = contract::operations(contract::document());
        all.into_iter()
            .map(move |(method, path, operation)| (provider, method, path, operation))
    }) {
        let path = path
            .replace("{provider}", provider)
            .replace("{job_id}", &world.job(provider));
        let path = with_required(path, &operation);
        let first = world.gateway.ask(&method, &path).send().await;
        assert!((200..300).contains(&first.status), "{}", first.shown());
        for parameter in operation["parameters"].as_array().unwrap() {
            let parameter = contract::resolved(parameter);
            let (name, place) = (parameter["name"].as_str().unwrap(), &parameter["in"]);
            if place != "query" || name == "cursor" || name == "group_by" {
                continue;
            }
            let schema = &parameter["schema"];
            let list = schema["items"]["anyOf"][0]["enum"].as_array();
            let list = list.or(schema["items"]["enum"].as_array());
            let words = schema["enum"].as_array().or(list);
            let values: Vec<String> = match words {
                Some(words) => {
                    let each: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
                    let lists = list.map(|_| [each.join(","), each.join(",%20")]);
                    let lists = lists.into_iter().flatten();
                    each.iter()
                        .map(|word| (*word).to_owned())
                        .chain(lists)
                        .collect()
                }
                None if schema["format"] == "date-time" => vec!["2026-11-23T08:15:30Z".into()],
                None if schema["type"] == "boolean" => vec!["true".into(), "false".into()],
                None if name == "stuck_for_s" => vec!["0".into(), "3600".into()],
                None if name == "provider" => vec![provider.into(), format!("{ALI},{HUA}")],
                None if name == "job_id" => vec![format!("something&provider={provider}")],
                None if name == "page_size" => vec!["1".into(), "100".into()],
                None => vec!["something".into(), "%E8%AE%BE%E5%A4%87%20%26%2B%2F".into()],
            };
            for value in values {
                let target = with(&path, name, &value);
                let reply = world.gateway.ask(&method, &target).send().await;
                match reply.status {
                    // A vendor that does not know what was asked for has none of it.
                    200 => {}
                    404 => {
                        reply.problem(404, "not_found");
                    }
                    _ => {
                        let problem = reply.problem(422, "unsupported_by_provider");
                        assert_eq!(problem["field"], name, "{target}");
                    }
                }
            }
        }
    }
}
