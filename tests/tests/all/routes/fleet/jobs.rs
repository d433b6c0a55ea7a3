//! `GET /v1/jobs`

use serde_json::Value;

use crate::setup::{ALI, HUA, World, all_pages, rows};

#[tokio::test]
async fn pages_of_every_size_and_order_hold_every_job_once() {
    let world = World::mirrored().await;
    let mut wanted: Vec<String> = [ALI, HUA]
        .iter()
        .flat_map(|provider| world.sim(provider).fleet().jobs)
        .map(|job| job.id)
        .collect();
    wanted.sort();
    for sort in [
        "-created_at",
        "created_at",
        "-changed_at",
        "changed_at",
        "-failed",
    ] {
        for size in [1, 3, 500] {
            let path = format!("/v1/jobs?sort={sort}&page_size={size}");
            let jobs = rows(&all_pages(&world.gateway, &path).await);
            let mut seen: Vec<String> = jobs
                .iter()
                .map(|job| job["id"].as_str().unwrap().to_owned())
                .collect();
            seen.sort();
            assert_eq!(seen, wanted, "{path}");
        }
    }
}

#[tokio::test]
async fn most_failed_tasks_come_first() {
    let world = World::mirrored().await;
    let page = world.gateway.get("/v1/jobs?sort=-failed").await.ok();
    let failed: Vec<u64> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["stats"]["failed"].as_u64().unwrap_or(0))
        .collect();
    assert!(failed.is_sorted_by(|one, next| one >= next), "{failed:?}");
    assert!(failed[0] > 0);
}

#[tokio::test]
async fn an_unchanged_page_is_a_304_whatever_cache_control_says() {
    let world = World::mirrored().await;
    // What the rows of a list leave out of a job is read after the first pass.
    ota_tests::wire::until(async || {
        let page = world.gateway.get("/v1/jobs?status=completed").await.ok();
        let jobs = page["items"].as_array().unwrap();
        jobs.iter().all(|job| job["detail"] == "full")
    })
    .await;
    let first = world.gateway.get("/v1/jobs?status=completed").await;
    assert_eq!(first.must("ota-stale"), "false");
    let etag = first.must("etag").to_owned();
    for cache_control in ["no-cache", "max-age=0", "only-if-cached"] {
        let ask = world.gateway.ask("GET", "/v1/jobs?status=completed");
        let ask = ask.header("If-None-Match", &etag);
        let reply = ask.header("Cache-Control", cache_control).send().await;
        assert_eq!(reply.status, 304, "{}", reply.shown());
        assert!(reply.must("server-timing").contains("calls=0"));
    }
}

#[tokio::test]
async fn a_text_is_looked_for_whatever_characters_it_has() {
    let world = World::mirrored().await;
    let all = world.gateway.get("/v1/jobs?page_size=500").await.ok();
    let count = all["total"].as_u64().unwrap();
    let id = world.job(ALI);
    let found = |page: Value| page["items"].as_array().unwrap().clone();
    let page = world
        .gateway
        .get(&format!("/v1/jobs?q={}", id.to_uppercase()))
        .await
        .ok();
    assert!(found(page).iter().any(|job| job["id"] == id));
    for text in [
        "%25%25",
        "__",
        "%27%27",
        "%22%22",
        "%5C%5C",
        "%E5%9B%BA%E4%BB%B6%E5%90%97",
        "%01%02",
        "%00%00",
    ] {
        let page = world.gateway.get(&format!("/v1/jobs?q={text}")).await.ok();
        assert!(
            found(page).len() < usize::try_from(count).unwrap(),
            "{text} finds everything"
        );
    }
}
