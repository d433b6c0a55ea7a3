//! `GET` and `POST /v1/providers/{provider}/sync`, and what stands when there is no mirror.

use ota_tests::{Gateway, Section};

use crate::setup::{ALI, HUA, MIRROR, World};

#[tokio::test]
async fn the_progress_says_what_the_mirror_holds() {
    let world = World::mirrored().await;
    for provider in [ALI, HUA] {
        let jobs = world.sim(provider).fleet().jobs;
        let tasks: u64 = jobs.iter().map(|job| job.total).sum();
        let path = format!("/v1/providers/{provider}/sync");
        let progress = world.gateway.get(&path).await.ok();
        assert_eq!(progress["state"], "current", "{progress}");
        assert_eq!(progress["rows"]["jobs"], jobs.len(), "{progress}");
        assert_eq!(progress["rows"]["tasks"], tasks, "{progress}");
        assert!(progress["last_full_pass_at"].is_string(), "{progress}");
    }
    let list = world.gateway.get("/v1/providers").await.ok();
    for provider in list["items"].as_array().unwrap() {
        assert_eq!(provider["sync"]["state"], "current");
    }
}

#[tokio::test]
async fn a_full_pass_can_be_asked_for() {
    let world = World::mirrored().await;
    let path = format!("/v1/providers/{ALI}/sync");
    let before = world.gateway.get(&path).await.ok();
    for _ in 0..2 {
        let reply = world.gateway.ask("POST", &path).send().await;
        assert_eq!(reply.status, 202, "{}", reply.shown());
    }
    ota_tests::wire::until(async || {
        let now = world.gateway.get(&path).await.ok();
        now["last_full_pass_at"] != before["last_full_pass_at"]
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_is_left_out_is_off_and_makes_no_call() {
    let alibaba = ota_tests::vendors::alibaba_sim(ota_sim::FleetShape::uniform(2, 3)).await;
    let section = Section::alibaba(ALI, &alibaba.url()).set("mirror = false");
    let text = format!(
        "{}{}{MIRROR}",
        ota_tests::gateway::head(),
        section.to_toml()
    );
    let gateway = Gateway::with_file(&text).await;
    let path = format!("/v1/providers/{ALI}/sync");
    assert_eq!(gateway.get(&path).await.ok()["state"], "off");
    let refused = gateway.ask("POST", &path).send().await;
    refused.problem(409, "conflict");
    let page = gateway.get("/v1/jobs").await;
    assert_eq!(page.must("ota-stale"), "true");
    let page = page.ok();
    assert_eq!(page["items"], serde_json::json!([]));
    assert_eq!(page["sources"][0]["state"], "off");
    assert_eq!(alibaba.counters().total_calls(), 0);
}

/// Without its database the mirror answers 503.
async fn without_database(gateway: &Gateway) {
    for path in [
        "/v1/jobs",
        "/v1/tasks",
        "/v1/stats/jobs?group_by=status",
        "/v1/stats/tasks?group_by=status",
    ] {
        let reply = gateway.get(path).await;
        assert!(reply.must("retry-after").parse::<u64>().unwrap() > 0);
        let problem = reply.problem(503, "mirror_unavailable");
        assert!(!problem.to_string().contains("pass-word"), "{problem}");
    }
}

#[tokio::test]
async fn without_a_mirror_live_reads_go_on() {
    let alibaba = ota_tests::vendors::alibaba_sim(ota_sim::FleetShape::uniform(2, 3)).await;
    let section = Section::alibaba(ALI, &alibaba.url()).to_toml();
    let text = format!(
        "{}{section}[mirror]\nenabled = false\n",
        ota_tests::gateway::head()
    );
    let gateway = Gateway::with_file(&text).await;
    without_database(&gateway).await;
    let live = gateway.get(&World::jobs_path(ALI)).await.ok();
    assert_eq!(live["items"].as_array().unwrap().len(), 2);
}

/// A gateway that has never reached its database answers live reads as one that is alone.
#[tokio::test]
async fn before_the_shared_database_was_reached_live_reads_go_on() {
    let alibaba = ota_tests::vendors::alibaba_sim(ota_sim::FleetShape::uniform(2, 3)).await;
    let section = Section::alibaba(ALI, &alibaba.url()).to_toml();
    let text = format!(
        "{}{section}[mirror]\ndatabase_url = \"postgres://ota:pass-word@127.0.0.1:1/ota\"\n\
         [cluster]\nadvertise_url = \"http://gateway-1.internal:8080\"\n",
        ota_tests::gateway::head()
    );
    let gateway = Gateway::with_file(&text).await;
    without_database(&gateway).await;
    let providers = gateway.get("/v1/providers").await.ok();
    assert_eq!(providers["items"][0]["holder"], false, "{providers}");
    // Nothing is read in the background.
    assert_eq!(alibaba.counters().total_calls(), 0);
    let live = gateway.get(&World::jobs_path(ALI)).await.ok();
    assert_eq!(live["items"].as_array().unwrap().len(), 2);
}
