//! The mirror against simulators that answer otherwise than ours, as far as the vendors' documents allow it: every job and every task is compared with what the
//! simulator holds, not with what an adapter read.

use std::collections::BTreeMap;

use ota_sim::{FleetShape, Liberty};
use ota_tests::wire::until;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::setup::{ALI, HUA, World};

/// What is compared of a task, by provider, job and task.
type Tasks = BTreeMap<(String, String, String), Vec<String>>;

/// What is compared of a job.
type Jobs = BTreeMap<(String, String), Vec<String>>;

fn seconds(time: Option<OffsetDateTime>) -> String {
    time.map_or_else(String::new, |time| time.unix_timestamp().to_string())
}

fn truth(world: &World, liberty: Option<Liberty>) -> (Jobs, Tasks) {
    let (mut jobs, mut tasks) = (Jobs::new(), Tasks::new());
    for provider in [ALI, HUA] {
        let fleet = world.sim(provider).fleet();
        for job in &fleet.jobs {
            let counts = [job.total, job.failed].map(|count| count.to_string());
            jobs.insert((provider.to_owned(), job.id.clone()), counts.to_vec());
            for task in fleet.tasks(&job.id) {
                let nameless =
                    liberty == Some(Liberty::SomeWithoutDevice) && Liberty::leaves_out(&task.id);
                let status = match task.stage {
                    "confirm" | "queued" | "notified" => "pending",
                    other => other,
                };
                // What only one of the vendors tells.
                let (name, progress, version, updated, started, ended) = match provider {
                    ALI => (
                        if nameless {
                            ""
                        } else {
                            task.device.name.as_str()
                        },
                        task.progress.to_string(),
                        task.version.as_str(),
                        seconds(Some(task.modified)),
                        String::new(),
                        String::new(),
                    ),
                    _ => (
                        "",
                        String::new(),
                        "",
                        String::new(),
                        seconds(task.started),
                        seconds(task.ended),
                    ),
                };
                let fields = [
                    status.to_owned(),
                    task.device.id.clone(),
                    name.to_owned(),
                    progress,
                    version.to_owned(),
                    // One vendor's text for some time-outs does not say so.
                    (provider == HUA && task.timed_out).to_string(),
                    seconds(Some(task.created)),
                    updated,
                    started,
                    ended,
                ];
                tasks.insert(
                    (provider.to_owned(), job.id.clone(), task.id),
                    fields.to_vec(),
                );
            }
        }
    }
    (jobs, tasks)
}

/// Every row of a list of the fleet.
async fn rows(world: &World, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{path}?page_size=500&sort=created_at{cursor}");
        let page = world.gateway.get(&path).await.ok();
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn text(row: &Value, pointer: &str) -> String {
    let value = row.pointer(pointer).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

fn time(row: &Value, pointer: &str) -> String {
    let text = text(row, pointer);
    let time = OffsetDateTime::parse(&text, &Rfc3339);
    seconds(time.ok())
}

async fn shown(world: &World) -> (Jobs, Tasks) {
    let (mut jobs, mut tasks) = (Jobs::new(), Tasks::new());
    for job in rows(world, "/v1/jobs").await {
        let counts = ["/stats/total", "/stats/failed"].map(|count| {
            let count = job.pointer(count).and_then(Value::as_u64);
            count.map_or_else(String::new, |count| count.to_string())
        });
        let known = jobs.insert(
            (text(&job, "/provider"), text(&job, "/id")),
            counts.to_vec(),
        );
        assert!(known.is_none(), "twice: {job}");
    }
    for task in rows(world, "/v1/tasks").await {
        let progress = task["progress_percent"].as_f64();
        let fields = [
            text(&task, "/status"),
            text(&task, "/device/id"),
            text(&task, "/device/name"),
            progress.map_or_else(String::new, |share| format!("{:.0}", share * 100.0)),
            text(&task, "/to_version"),
            (task["provider"] == HUA && task["failure"] == "timeout").to_string(),
            time(&task, "/created_at"),
            time(&task, "/updated_at"),
            time(&task, "/started_at"),
            time(&task, "/ended_at"),
        ];
        let key = (
            text(&task, "/provider"),
            text(&task, "/job_id"),
            text(&task, "/id"),
        );
        assert!(
            tasks.insert(key, fields.to_vec()).is_none(),
            "twice: {task}"
        );
    }
    (jobs, tasks)
}

/// Fails with the rows that differ.
async fn equal(world: &World, liberty: Option<Liberty>, what: &str) {
    let (jobs, tasks) = truth(world, liberty);
    let (jobs_shown, tasks_shown) = shown(world).await;
    assert!(!tasks.is_empty());
    assert_eq!(jobs_shown, jobs, "{what}");
    for (key, task) in &tasks {
        assert_eq!(tasks_shown.get(key), Some(task), "{what}: {key:?}");
    }
    assert_eq!(
        tasks_shown.len(),
        tasks.len(),
        "{what}: tasks that are not the vendor's"
    );
}

/// Asks for full passes until the fleet has so many jobs.
async fn until_jobs(world: &World, jobs: usize) {
    until(async || {
        for provider in [ALI, HUA] {
            let path = format!("/v1/providers/{provider}/sync");
            world.gateway.ask("POST", &path).send().await;
        }
        let page = world.gateway.get("/v1/jobs?page_size=1").await.ok();
        page["total"] == jobs
    })
    .await;
}

#[tokio::test]
async fn twenty_jobs_of_five_hundred_tasks_are_mirrored_exactly() {
    let world = World::mirrored_of(FleetShape::uniform(20, 500).frozen()).await;
    equal(&world, None, "after the first pass").await;
    // A job is deleted at each vendor, and comes back.
    let gone = [ALI, HUA].map(|provider| world.job(provider));
    for (provider, job) in [ALI, HUA].into_iter().zip(&gone) {
        world.sim(provider).hide_jobs(&[job]);
    }
    until_jobs(&world, 38).await;
    equal(&world, None, "without a job each").await;
    for provider in [ALI, HUA] {
        world.sim(provider).hide_jobs(&[]);
    }
    until_jobs(&world, 40).await;
    world.synced().await;
    equal(&world, None, "with all jobs again").await;
}

#[tokio::test]
async fn sixty_jobs_in_the_opposite_order_are_mirrored_exactly() {
    let world = World::mirrored_of(FleetShape::uniform(60, 101).reversed().frozen()).await;
    equal(&world, None, "in the opposite order").await;
}

#[tokio::test]
async fn whatever_liberty_a_simulator_takes_the_mirror_is_exact() {
    for liberty in Liberty::ALL {
        let world = World::mirrored_taking(FleetShape::uniform(6, 205).frozen(), &[liberty]).await;
        equal(&world, Some(liberty), &format!("{liberty:?}")).await;
    }
}
