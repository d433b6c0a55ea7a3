//! `GET /v1/stats/jobs`, `GET /v1/stats/tasks`

use std::collections::BTreeMap;

use serde_json::Value;

use crate::setup::{ALI, HUA, World, all_pages, rows};

/// Counts rows by two members as a client would.
fn counted(rows: &[Value], keys: [&str; 2]) -> BTreeMap<Vec<String>, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        let values = keys.map(|key| row[key].as_str().unwrap_or("-").to_owned());
        *counts.entry(values.to_vec()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn groups_are_what_counting_the_rows_gives() {
    let world = World::mirrored().await;
    for (list, stats, keys) in [
        ("/v1/jobs", "/v1/stats/jobs", ["provider", "status"]),
        ("/v1/jobs", "/v1/stats/jobs", ["outcome", "provider"]),
        ("/v1/tasks", "/v1/stats/tasks", ["provider", "status"]),
        ("/v1/tasks", "/v1/stats/tasks", ["failure", "stage"]),
    ] {
        let rows = rows(&all_pages(&world.gateway, &format!("{list}?page_size=500")).await);
        let question = format!("{stats}?group_by={}&group_by={}", keys[0], keys[1]);
        let answer = world.gateway.get(&question).await.ok();
        assert_eq!(answer["total"], rows.len(), "{question}");
        assert_eq!(answer["truncated"], false);
        let groups = answer["groups"].as_array().unwrap().iter();
        let seen: BTreeMap<Vec<String>, u64> = groups
            .map(|group| {
                let value = |key: &str| group["keys"][key].as_str().unwrap_or("-").to_owned();
                (keys.map(value).to_vec(), group["count"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(seen, counted(&rows, keys), "{question}");
    }
}

#[tokio::test]
async fn filters_narrow_what_is_counted() {
    let world = World::mirrored().await;
    for provider in [ALI, HUA] {
        let jobs = world.sim(provider).fleet().jobs;
        let question = format!("/v1/stats/jobs?group_by=provider&provider={provider}");
        let answer = world.gateway.get(&question).await.ok();
        assert_eq!(answer["total"], jobs.len());
        let failed = jobs.iter().filter(|job| job.failed > 0).count();
        let answer = world
            .gateway
            .get(&format!("{question}&with_failures=true"))
            .await
            .ok();
        assert_eq!(answer["total"], failed);
    }
}
