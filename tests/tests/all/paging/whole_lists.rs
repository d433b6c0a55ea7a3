//! Twenty jobs with five hundred tasks each, read through the API to the last row.

use std::collections::BTreeSet;

use ota_sim::{FleetShape, Server};
use ota_tests::vendors::{alibaba_sim, huawei_sim};
use ota_tests::{Gateway, Section};
use serde_json::Value;

use crate::routes::jobs::get_stats;
use crate::setup::{ALI, HUA, World, all_pages, ids, rows};

const JOBS: u32 = 20;
const TASKS: u32 = 500;

fn fleet() -> FleetShape {
    FleetShape::uniform(JOBS, TASKS).frozen()
}

/// Reads everything and holds it against what the simulator has.
async fn everything(gateway: &Gateway, provider: &str, sim: &Server) {
    let truth = sim.fleet();
    assert_eq!(truth.jobs.len(), JOBS as usize);
    let path = format!("{}?page_size=7", World::jobs_path(provider));
    let listed: Vec<String> = all_pages(gateway, &path)
        .await
        .iter()
        .flat_map(ids)
        .collect();
    let distinct: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(
        (listed.len(), distinct.len()),
        (JOBS as usize, JOBS as usize)
    );
    for job in &truth.jobs {
        assert!(distinct.contains(&job.id));
        let path = format!("{}/{}", World::jobs_path(provider), job.id);
        let pages = all_pages(gateway, &format!("{path}/tasks?page_size=100")).await;
        assert!(
            pages
                .iter()
                .all(|page| page["truncated"] == false && page["total"] == u64::from(TASKS))
        );
        let tasks = rows(&pages);
        let read: Vec<&str> = tasks
            .iter()
            .map(|task| task["id"].as_str().unwrap())
            .collect();
        assert_eq!(read, truth.task_ids(&job.id), "{provider} {}", job.id);
        let distinct: BTreeSet<&&str> = read.iter().collect();
        assert_eq!(distinct.len(), TASKS as usize);
        for (word, count) in &job.tasks {
            let of = |task: &&Value| task["vendor"]["status"] == **word;
            assert_eq!(tasks.iter().filter(of).count() as u64, *count, "{word}");
        }
        let stats = gateway.get(&format!("{path}/stats")).await.ok();
        get_stats::check(provider, job, &stats);
        for status in ["pending", "in_progress", "succeeded", "failed", "canceled"] {
            let of = |task: &&Value| task["status"] == *status;
            assert_eq!(
                stats[status],
                tasks.iter().filter(of).count() as u64,
                "{status}"
            );
        }
    }
    assert_eq!(sim.counters().total_refused(), 0, "{:?}", sim.counters());
}

async fn alibaba(signature: &str, format: &str) {
    let sim = alibaba_sim(fleet()).await;
    let section = Section::alibaba(ALI, &sim.url())
        .set(&format!("signature = \"{signature}\""))
        .set(&format!("format = \"{format}\""))
        .set("region = \"cn-shanghai\"");
    let gateway = Gateway::start(&[section]).await;
    everything(&gateway, ALI, &sim).await;
    // The asked signature and format are what was used.
    for request in sim.requests() {
        assert_eq!(
            request.target.contains("SignatureMethod=HMAC-SHA1"),
            signature == "hmac-sha1"
        );
        let accept = request.headers.iter().find(|(name, _)| name == "accept");
        let accept = accept.map(|(_, value)| value.as_str()).unwrap_or_default();
        let asked = request.params.iter().find(|(name, _)| name == "Format");
        let asked = asked.map_or(accept, |(_, value)| value.as_str());
        assert!(asked.to_lowercase().contains(format), "{asked}");
    }
}

#[tokio::test]
async fn alibaba_is_listed_whole_with_acs3_in_json() {
    alibaba("acs3", "json").await;
}

#[tokio::test]
async fn alibaba_is_listed_whole_with_acs3_in_xml() {
    alibaba("acs3", "xml").await;
}

#[tokio::test]
async fn alibaba_is_listed_whole_with_hmac_sha1_in_json() {
    alibaba("hmac-sha1", "json").await;
}

#[tokio::test]
async fn alibaba_is_listed_whole_with_hmac_sha1_in_xml() {
    alibaba("hmac-sha1", "xml").await;
}

#[tokio::test]
async fn huawei_is_listed_whole() {
    let sim = huawei_sim(fleet()).await;
    let gateway = Gateway::start(&[Section::huawei(HUA, &sim.url())]).await;
    everything(&gateway, HUA, &sim).await;
    assert_eq!(sim.counters().logins, 1);
}

/// The living demo fleet has every kind of job; its rows may move while they are read, its jobs do not vanish.
#[tokio::test]
async fn the_demo_fleet_is_listed_whole() {
    let world = World::of(FleetShape::demo().frozen()).await;
    for provider in [ALI, HUA] {
        let truth = world.sim(provider).fleet();
        let path = format!("{}?page_size=3", World::jobs_path(provider));
        let listed: BTreeSet<String> = all_pages(&world.gateway, &path)
            .await
            .iter()
            .flat_map(ids)
            .collect();
        let held: BTreeSet<String> = truth.jobs.iter().map(|job| job.id.clone()).collect();
        assert_eq!(listed, held, "{provider}");
        for job in &truth.jobs {
            let path = format!("{}/{}", World::jobs_path(provider), job.id);
            world.gateway.get(&path).await.ok();
            let tasks =
                rows(&all_pages(&world.gateway, &format!("{path}/tasks?page_size=100")).await);
            assert_eq!(tasks.len() as u64, job.total, "{provider} {}", job.id);
            let stats = world.gateway.get(&format!("{path}/stats")).await.ok();
            get_stats::check(provider, job, &stats);
        }
    }
}
