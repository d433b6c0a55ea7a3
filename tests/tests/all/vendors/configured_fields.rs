//! Fields at configured places, over the Huawei simulator: in lists, in single jobs, in the mirror, and in filters.

use std::collections::BTreeMap;

use ota_sim::{FleetShape, Server};
use ota_tests::gateway::{head, keeping_head};
use ota_tests::program::{run, stderr, stdout};
use ota_tests::vendors::huawei_sim;
use ota_tests::wire::until;
use ota_tests::{Gateway, Section};
use serde_json::{Value, json};

use crate::program::configuration::File;
use crate::program::logs_and_traces::Running;
use crate::setup::{HUA, MIRROR, World, all_pages, ids, rows, with};

/// A gateway with a mirror, whose Huawei provider knows where the version and the name of a device stand. The simulator's devices have no names, so that
/// their identifier stands for it.
async fn mirrored() -> (Gateway, Server) {
    let sim = huawei_sim(FleetShape::demo().frozen()).await;
    let section = Section::huawei(HUA, &sim.url())
        .field("package_version", "extendPara.fileVersion")
        .field("device_name", "deviceId");
    let text = format!("{}{}{MIRROR}", head(), section.to_toml());
    let gateway = Gateway::with_file(&text).await;
    until(async || {
        let page = gateway.get("/v1/jobs?page_size=1").await.ok();
        page["sources"][0]["state"] == "current"
    })
    .await;
    (gateway, sim)
}

fn text<'a>(row: &'a Value, pointer: &str) -> Option<&'a str> {
    row.pointer(pointer).and_then(Value::as_str)
}

/// Checks that a row has the version that the vendor sent, and that some rows do.
fn have_their_version(rows: &[Value]) {
    let mut with_version = 0;
    for row in rows {
        let sent = text(row, "/vendor/fields/extendPara/fileVersion");
        assert_eq!(text(row, "/package/version"), sent, "{row}");
        with_version += usize::from(sent.is_some());
    }
    assert!(with_version > 0, "{rows:?}");
}

#[tokio::test]
async fn the_version_stands_in_lists_in_single_jobs_and_in_the_mirror() {
    let (gateway, sim) = mirrored().await;
    let live = rows(&all_pages(&gateway, &World::jobs_path(HUA)).await);
    have_their_version(&live);
    let fleet = rows(&all_pages(&gateway, "/v1/jobs?page_size=500").await);
    have_their_version(&fleet);
    assert_eq!(live.len(), fleet.len());
    let mut versions = BTreeMap::<&str, u64>::new();
    for job in &live {
        let id = job["id"].as_str().unwrap();
        let one = gateway
            .get(&format!("{}/{id}", World::jobs_path(HUA)))
            .await;
        assert_eq!(one.ok()["package"], job["package"], "{id}");
        if let Some(version) = text(job, "/package/version") {
            let truth = sim.fleet().job(id).unwrap().version.clone();
            assert_eq!(version, truth);
            *versions.entry(version).or_default() += 1;
        }
    }
    assert!(versions.len() > 1, "{versions:?}");
    for (version, count) in &versions {
        let path = with("/v1/jobs?page_size=500", "package_version", version);
        let page = gateway.get(&path).await.ok();
        assert_eq!(page["total"], *count, "{page}");
        have_their_version(page["items"].as_array().unwrap());
    }
    let stats = gateway
        .get("/v1/stats/jobs?group_by=package_version")
        .await
        .ok();
    for group in stats["groups"].as_array().unwrap() {
        let Some(version) = text(group, "/keys/package_version") else {
            continue;
        };
        assert_eq!(group["count"], versions[version], "{stats}");
    }
    let found = gateway
        .get(&with("/v1/jobs", "q", versions.keys().next().unwrap()))
        .await
        .ok();
    assert!(!ids(&found).is_empty(), "the search finds a version");
}

#[tokio::test]
async fn tasks_are_found_by_a_configured_device_name() {
    let (gateway, sim) = mirrored().await;
    let fleet = sim.fleet();
    let job = fleet.jobs.iter().find(|job| job.total > 10).unwrap();
    let devices = fleet.devices(&job.id);
    let (one, other) = (&devices[7].id, &devices[2].id);
    let path = format!("{}/{}/tasks", World::jobs_path(HUA), job.id);
    let names = with(&with(&path, "device_name", one), "device_name", other);
    for (path, wanted) in [
        (names.as_str(), 2),
        (&with(&path, "device_name", "none"), 0),
    ] {
        let tasks = rows(&all_pages(&gateway, path).await);
        assert_eq!(tasks.len(), wanted, "{path}");
        for task in tasks {
            let name = text(&task, "/device/name");
            assert!(name == Some(one) || name == Some(other), "{task}");
            assert_eq!(name, text(&task, "/device/id"));
        }
    }
    let everywhere = gateway
        .get(&with("/v1/tasks?page_size=500", "device_name", one))
        .await
        .ok();
    let by_id = gateway
        .get(&with("/v1/tasks?page_size=500", "device_id", one))
        .await
        .ok();
    assert!(
        ids(&everywhere)
            .iter()
            .any(|id| fleet.task_ids(&job.id).contains(id))
    );
    assert_eq!(ids(&everywhere), ids(&by_id));
}

#[tokio::test]
async fn the_capabilities_say_what_is_configured() {
    let sim = huawei_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::huawei(HUA, &sim.url())
        .field("device_name", "extendInfo.name")
        .field("package_version", "extendPara.fileVersion");
    let gateway = Gateway::start(&[section]).await;
    let path = format!("/v1/providers/{HUA}");
    let capabilities = gateway.get(&path).await.ok()["capabilities"].take();
    assert_eq!(
        capabilities["configured_fields"],
        json!(["device.name", "package.version"])
    );
    assert_eq!(capabilities["task_filters"]["device_name"], "here");
    assert_eq!(capabilities["max_device_names"], 50);
    assert_eq!(capabilities["job_filters"]["device_name"], "no");
    let plain = Gateway::start(&[Section::huawei(HUA, &sim.url())]).await;
    let capabilities = plain.get(&path).await.ok()["capabilities"].take();
    assert!(capabilities.get("configured_fields").is_none());
    assert_eq!(capabilities["task_filters"]["device_name"], "no");
}

#[tokio::test]
async fn the_check_says_what_it_found() {
    let sim = huawei_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::huawei(HUA, &sim.url())
        .field("device_name", "extendInfo.name")
        .field("package_name", "extendPara.nmae")
        .field("package_version", "extendPara.fileVersion");
    let file = File::new(&(head() + &section.to_toml()));
    let output = run(&["check", "--config", file.path()]).await;
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}{}", stderr(&output));
    for line in [
        "Configured fields:",
        "  hua: device_name at `extendInfo.name`: not looked for; no task was read",
        "  hua: package_name at `extendPara.nmae`: not found in 1 row(s); see `vendor.fields` of a row for what the vendor sends",
        "  hua: package_version at `extendPara.fileVersion`: found in 1 of 1 row(s)",
    ] {
        assert!(table.lines().any(|shown| shown == line), "{line}\n{table}");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_warned_about_once() {
    let sim = huawei_sim(FleetShape::uniform(2, 3).frozen()).await;
    let section = Section::huawei(HUA, &sim.url())
        .field("package_name", "extendPara.nmae")
        .field("package_version", "extendPara.fileVersion");
    let text = format!("{}{}{MIRROR}", keeping_head(), section.to_toml());
    let gateway = Running::start(&text).await;
    let warned =
        |line: &str| line.contains("`providers.hua.fields.package_name` has found nothing");
    let line = gateway.line(warned).await;
    assert!(
        line.contains("WARN") && line.contains("`extendPara.nmae`"),
        "{line}"
    );
    let log = gateway.end().await;
    assert_eq!(log.lines().filter(|line| warned(line)).count(), 1, "{log}");
    assert!(!log.contains("fields.package_version` has"), "{log}");
}
