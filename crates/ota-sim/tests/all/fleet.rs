//! The life of the fleet.

use std::time::Duration;

use ota_sim::{FleetShape, FleetTruth};

use crate::client::{Alibaba, Huawei, OPERATIONS};

/// Place of a task status in the life of a task.
fn place(status: &str) -> u32 {
    match status {
        "CONFIRM" => 0,
        "QUEUED" => 1,
        "NOTIFIED" => 2,
        "IN_PROGRESS" => 3,
        "SUCCEEDED" | "FAILED" | "CANCELED" => 4,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_jobs_only_move_forward() {
    let sim = Alibaba::start(|_| {}).await;
    let jobs: Vec<_> = sim
        .server
        .fleet()
        .jobs
        .into_iter()
        .filter(|job| job.total > 0)
        .collect();
    let read = |id: &str| {
        let mut rows = Vec::new();
        for page in ["1", "2", "3", "4"] {
            let answer = sim.ok(
                "ListOTATaskByJob",
                &[("JobId", id), ("PageSize", "100"), ("CurrentPage", page)],
            );
            rows.extend(
                answer["Data"]["SimpleOTATaskInfo"]
                    .as_array()
                    .unwrap()
                    .clone(),
            );
        }
        rows
    };
    let mut before: Vec<_> = jobs.iter().map(|job| read(&job.id)).collect();
    let mut moved = 0;
    for _ in 0..8 {
        sim.clock.advance(Duration::from_secs(9 * 60));
        for (job, old) in jobs.iter().zip(&mut before) {
            let new = read(&job.id);
            for (old, new) in old.iter().zip(&new) {
                assert_eq!(old["TaskId"], new["TaskId"]);
                let (was, is) = (
                    old["TaskStatus"].as_str().unwrap(),
                    new["TaskStatus"].as_str().unwrap(),
                );
                assert!(place(was) <= place(is), "{was} to {is}");
                assert!(
                    place(was) < 4 || was == is,
                    "a finished task stays what it is"
                );
                assert!(old["UtcModified"].as_str() <= new["UtcModified"].as_str());
                assert!(new["UtcCreate"].as_str() <= new["UtcModified"].as_str());
                moved += u32::from(was != is);
            }
            *old = new;
        }
    }
    assert!(moved > 300, "{moved} moves");
    let fleet = sim.server.fleet();
    let ended = |job: &&ota_sim::JobTruth| {
        jobs.iter()
            .any(|old| old.id == job.id && old.status != job.status)
    };
    assert!(
        fleet.jobs.iter().filter(ended).count() >= 3,
        "jobs start and end"
    );
    assert!(fleet.jobs.len() > 13 + 6, "new jobs appear");
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_have_no_open_tasks() {
    let sim = Alibaba::start(|_| {}).await;
    for _ in 0..5 {
        for job in sim.server.fleet().jobs {
            let open: u64 = ["CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS"]
                .iter()
                .map(|status| job.tasks[*status])
                .sum();
            assert!(job.status != "COMPLETED" || open == 0, "{job:?}");
            let started = job.total - job.tasks["CONFIRM"] - job.tasks["QUEUED"];
            assert!(job.status != "PLANNED" || started == 0, "{job:?}");
        }
        sim.clock.advance(Duration::from_secs(1800));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_fleet_stands_still() {
    let sim = Huawei::start(|config| config.fleet = FleetShape::demo().frozen()).await;
    let (token, _) = sim.login();
    let target = format!("{OPERATIONS}?pageNo=0&pageSize=100");
    let before = sim.ok(&token, &target);
    sim.clock.advance(Duration::from_secs(3000));
    assert_eq!(sim.ok(&token, &target), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_seed_and_age_show_the_same_fleet() {
    let show = |fleet: FleetTruth| {
        let ids: Vec<_> = fleet
            .jobs
            .iter()
            .map(|job| fleet.task_ids(&job.id))
            .collect();
        (fleet.jobs, ids)
    };
    let after = async |seed: u64| {
        let sim = Alibaba::start(|config| config.seed = seed).await;
        sim.clock.advance(Duration::from_secs(700));
        let job = sim.some_job();
        let tasks = sim.ok("ListOTATaskByJob", &[("JobId", &job)])["Data"].clone();
        (show(sim.server.fleet()), tasks)
    };
    let (one, other) = (after(5).await, after(5).await);
    assert_eq!(one, other);
    assert_ne!(one, after(6).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn even_fleet_has_jobs_in_every_phase() {
    let sim = Alibaba::start(|config| config.fleet = FleetShape::uniform(20, 500)).await;
    let fleet = sim.server.fleet();
    assert_eq!(fleet.jobs.len(), 20);
    for status in ["PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELED"] {
        assert!(
            fleet.jobs.iter().any(|job| job.status == status),
            "{status}"
        );
    }
    let mut packages: Vec<_> = fleet.jobs.iter().map(|job| &job.package_id).collect();
    packages.sort();
    packages.dedup();
    assert_eq!(packages.len(), 4);
}
