//! What a dashboard asks: each in one request, without a vendor call.

use std::collections::BTreeMap;

use ota_core::clock::{Clock, SystemClock};
use ota_tests::wire::Reply;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::setup::{ALI, HUA, World};

/// Asks a question and holds against its header that no vendor was called.
async fn asked(world: &World, question: &str) -> Value {
    let reply = world.gateway.get(question).await;
    no_vendor_call(&reply);
    reply.ok()
}

fn no_vendor_call(reply: &Reply) {
    let timing = reply.must("server-timing");
    assert!(timing.contains("calls=0"), "{timing}");
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap()
}

#[tokio::test]
async fn all_running_jobs_with_counts_newest_first() {
    let world = World::mirrored().await;
    let page = asked(&world, "/v1/jobs?status=in_progress&page_size=500").await;
    let mut wanted = Vec::new();
    for provider in [ALI, HUA] {
        let jobs = world.sim(provider).fleet().jobs;
        let running = jobs.iter().filter(|job| {
            let status = job.status.to_ascii_lowercase();
            status == "in_progress" || status == "processing"
        });
        wanted.extend(running.map(|job| (provider.to_owned(), job.id.clone())));
    }
    wanted.sort();
    let text = |job: &Value, name: &str| job[name].as_str().unwrap().to_owned();
    let mut seen: Vec<_> = items(&page)
        .iter()
        .map(|job| (text(job, "provider"), text(job, "id")))
        .collect();
    seen.sort();
    assert!(!wanted.is_empty());
    assert_eq!(seen, wanted);
    assert_eq!(page["total"], wanted.len());
    for job in items(&page) {
        let truth = world.sim(&text(job, "provider")).fleet();
        let truth = truth.job(&text(job, "id")).unwrap();
        assert_eq!(job["stats"]["total"], truth.total, "{job}");
        assert!(job["stats"]["finished_percent"].is_number(), "{job}");
        assert!(job["mirror"]["changed_at"].is_string(), "{job}");
    }
    let created: Vec<_> = items(&page)
        .iter()
        .map(|job| OffsetDateTime::parse(job["created_at"].as_str().unwrap(), &Rfc3339).unwrap())
        .collect();
    assert!(created.is_sorted_by(|one, next| one >= next), "{created:?}");
}

#[tokio::test]
async fn every_job_that_has_ended_says_how() {
    let world = World::mirrored().await;
    let page = asked(&world, "/v1/jobs?status=completed&page_size=500").await;
    assert!(!items(&page).is_empty());
    for job in items(&page) {
        assert!(job["outcome"].is_string(), "{job}");
        assert_eq!(job["outcome"], job["stats"]["outcome"], "{job}");
    }
    let partial = asked(&world, "/v1/jobs?status=completed&outcome=partial").await;
    let with_it = items(&page)
        .iter()
        .filter(|job| job["outcome"] == "partial");
    assert_eq!(partial["total"], with_it.count());
}

#[tokio::test]
async fn failures_by_reason_over_all_vendors() {
    let world = World::mirrored().await;
    let answer = asked(&world, "/v1/stats/tasks?status=failed&group_by=failure").await;
    let wanted: u64 = [ALI, HUA]
        .iter()
        .flat_map(|provider| world.sim(provider).fleet().jobs)
        .map(|job| job.failed)
        .sum();
    assert!(wanted > 0);
    assert_eq!(answer["total"], wanted);
    let groups = answer["groups"].as_array().unwrap();
    let counts: Vec<u64> = groups
        .iter()
        .map(|group| group["count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), wanted);
    assert!(counts.is_sorted_by(|one, next| one >= next));
    assert!(
        groups
            .iter()
            .all(|group| group["keys"]["failure"].is_string())
    );
    let sources = answer["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2);
}

#[tokio::test]
async fn tasks_that_are_stuck_for_an_hour() {
    let world = World::mirrored().await;
    let stuck = asked(&world, "/v1/tasks?stuck_for_s=3600&page_size=500").await;
    let all = asked(&world, "/v1/tasks?status=pending,in_progress&page_size=500").await;
    let hour_ago = SystemClock.now() - Duration::hours(1);
    let is_old = |task: &&Value| {
        let changed = task["mirror"]["changed_at"].as_str().unwrap();
        OffsetDateTime::parse(changed, &Rfc3339).unwrap() <= hour_ago
    };
    let key = |task: &Value| task["id"].as_str().unwrap().to_owned();
    let mut wanted: Vec<_> = items(&all).iter().filter(is_old).map(key).collect();
    let mut seen: Vec<_> = items(&stuck).iter().map(key).collect();
    wanted.sort();
    seen.sort();
    assert_eq!(seen, wanted);
    assert_eq!(stuck["total"], wanted.len());
}

#[tokio::test]
async fn every_task_of_one_device_name() {
    let world = World::mirrored().await;
    let fleet = world.alibaba.fleet();
    let device = fleet.devices(&fleet.jobs[0].id)[0].name.clone();
    let page = asked(
        &world,
        &format!("/v1/tasks?device_name={device}&page_size=500"),
    )
    .await;
    let with_it = fleet
        .jobs
        .iter()
        .filter(|job| fleet.devices(&job.id).iter().any(|one| one.name == device));
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    with_it.for_each(|job| *wanted.entry(&job.id).or_default() += 1);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for task in items(&page).iter().filter(|task| task["provider"] == ALI) {
        assert_eq!(task["device"]["name"], device);
        assert!(task["job"]["status"].is_string(), "{task}");
        *seen.entry(task["job_id"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn jobs_of_the_last_seven_days() {
    let world = World::mirrored().await;
    let from = SystemClock.now() - Duration::days(7);
    let from = from.format(&Rfc3339).unwrap();
    let page = asked(
        &world,
        &format!("/v1/jobs?created_after={from}&page_size=500"),
    )
    .await;
    let all = asked(&world, "/v1/jobs?page_size=500").await;
    let week = |job: &&Value| {
        job["created_at"].as_str().is_some_and(|at| {
            OffsetDateTime::parse(at, &Rfc3339).unwrap()
                >= OffsetDateTime::parse(&from, &Rfc3339).unwrap()
        })
    };
    let wanted: Vec<_> = items(&all)
        .iter()
        .filter(week)
        .map(|job| &job["id"])
        .collect();
    let seen: Vec<_> = items(&page).iter().map(|job| &job["id"]).collect();
    assert_eq!(seen, wanted);
}
