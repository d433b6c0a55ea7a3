//! The claim `providers` limits rows, totals, groups, sources and cursors.

use ota_tests::contract;
use ota_tests::token::minted;

use crate::setup::{ALI, HUA, World, all_pages, rows, with};

/// Every operation about all providers, with what it must be asked.
fn questions() -> Vec<String> {
    let operations = contract::operations(contract::document());
    let fleet = operations.into_iter().filter(|(method, path, _)| {
        method == "GET" && !path.contains('{') && path != "/v1/providers"
    });
    let questions: Vec<String> = fleet
        .map(|(_, path, _)| match path.contains("/stats/") {
            true => with(&path, "group_by", "provider,vendor,status"),
            false => path,
        })
        .collect();
    assert_eq!(questions.len(), 4, "{questions:?}");
    questions
}

#[tokio::test]
async fn a_token_of_one_provider_finds_no_trace_of_another() {
    let world = World::mirrored().await;
    for (own, other) in [(ALI, HUA), (HUA, ALI)] {
        let token = minted("ota:read ota:admin", Some(&[own.to_owned()]));
        let jobs = world.sim(own).fleet().jobs;
        let tasks: u64 = jobs.iter().map(|job| job.total).sum();
        let strangers = world.sim(other).fleet().jobs;
        for question in questions() {
            let of_jobs = question.contains("jobs");
            let total = if of_jobs { jobs.len() as u64 } else { tasks };
            for question in [question.clone(), with(&question, "provider", own)] {
                let ask = world.gateway.ask("GET", &question).token(&token);
                let reply = ask.send().await;
                let text = reply.text();
                assert!(
                    !text.contains(&format!("\"{other}\"")),
                    "{question}: {text}"
                );
                let foreign = strangers
                    .iter()
                    .find(|job| text.contains(&format!("\"{}\"", job.id)));
                let shared = foreign.filter(|job| jobs.iter().all(|own| own.id != job.id));
                assert!(shared.is_none(), "{question}: {shared:?}");
                let answer = reply.ok();
                assert_eq!(answer["total"], total, "{question}");
                assert_eq!(answer["sources"].as_array().unwrap().len(), 1, "{question}");
            }
            for name in [
                other.to_owned(),
                format!("{own},{other}"),
                "nobody".to_owned(),
            ] {
                let path = with(&question, "provider", &name);
                let reply = world.gateway.ask("GET", &path).token(&token).send().await;
                let problem = reply.problem(404, "not_found");
                assert_eq!(problem["field"], "provider", "{path}");
                assert!(!problem.to_string().contains(other), "{problem}");
            }
        }
        let job = world.job(other);
        for (method, path) in [
            ("GET", format!("/v1/providers/{other}/sync")),
            ("POST", format!("/v1/providers/{other}/sync")),
            ("GET", format!("/v1/providers/{other}/jobs/{job}/history")),
        ] {
            let reply = world.gateway.ask(method, &path).token(&token).send().await;
            assert_eq!(reply.problem(404, "not_found")["field"], "provider");
        }
    }
}

#[tokio::test]
async fn a_token_of_no_provider_sees_nothing() {
    let world = World::mirrored().await;
    let token = minted("ota:read", Some(&[]));
    for question in questions() {
        let reply = world
            .gateway
            .ask("GET", &question)
            .token(&token)
            .send()
            .await;
        let answer = reply.ok();
        assert_eq!(answer["total"], 0, "{question}: {answer}");
        assert_eq!(answer["sources"], serde_json::json!([]), "{question}");
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_the_providers_of_its_token() {
    let world = World::mirrored().await;
    let path = "/v1/jobs?page_size=2";
    let first = world.gateway.get(path).await.ok();
    let next = with(path, "cursor", first["next_cursor"].as_str().unwrap());
    let token = minted("ota:read", Some(&[ALI.to_owned()]));
    let reply = world.gateway.ask("GET", &next).token(&token).send().await;
    assert_eq!(reply.problem(400, "invalid_cursor")["field"], "cursor");
    assert_eq!(rows(&all_pages(&world.gateway, path).await).len(), 10);
}
