//! `GET /v1/providers/{provider}/jobs/{job_id}/tasks`

use std::collections::BTreeMap;

use serde_json::Value;

use crate::setup::{ALI, HUA, World, all_pages, ids, rows, with};

fn status(word: &str) -> &'static str {
    match word.to_ascii_lowercase().as_str() {
        "confirm" | "queued" | "notified" | "wait" => "pending",
        "in_progress" | "processing" => "in_progress",
        "succeeded" | "success" => "succeeded",
        "failed" | "fail" => "failed",
        "canceled" | "stop" => "canceled",
        _ => "unknown",
    }
}

#[tokio::test]
async fn tasks_agree_with_what_the_vendor_holds() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        let fleet = world.sim(provider).fleet();
        for truth in &fleet.jobs {
            let path = format!(
                "{}/{}/tasks?page_size=100",
                World::jobs_path(provider),
                truth.id
            );
            let page = world.gateway.get(&path).await.ok();
            assert_eq!(page["total"], truth.total);
            assert_eq!(page["truncated"], false);
            assert_eq!(ids(&page), fleet.task_ids(&truth.id));
            let mut words = BTreeMap::<String, u64>::new();
            let devices = fleet.devices(&truth.id);
            for (task, device) in page["items"].as_array().unwrap().iter().zip(devices) {
                assert_eq!(
                    (&task["provider"], &task["job_id"]),
                    (&provider.into(), &truth.id.clone().into())
                );
                assert_eq!(task["device"]["id"], device.id);
                let word = task["vendor"]["status"].as_str().unwrap();
                *words.entry(word.to_owned()).or_default() += 1;
                assert_eq!(task["status"], status(word));
                assert_eq!(
                    task.get("failure").is_some(),
                    task["status"] == "failed",
                    "{task}"
                );
                let stage = match word {
                    "CONFIRM" => Some("awaiting_confirmation"),
                    "QUEUED" => Some("queued"),
                    "NOTIFIED" => Some("notified"),
                    "IN_PROGRESS" => Some("updating"),
                    _ => None,
                };
                assert_eq!(task["stage"].as_str(), stage);
                if provider == ALI {
                    assert_eq!(task["device"]["name"], device.name);
                    assert_eq!(task["package_id"], truth.package_id);
                    assert_eq!(task["to_version"], truth.version);
                    assert!(task["progress_percent"].is_number());
                }
            }
            let told: BTreeMap<String, u64> = truth
                .tasks
                .clone()
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect();
            assert_eq!(words, told);
        }
    }
}

#[tokio::test]
async fn pages_of_every_size_hold_every_task_once() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        let wanted = world.sim(provider).fleet().task_ids(&world.job(provider));
        for size in [1, 4, 7, 10, 13, 29, 30, 31, 100] {
            let path = with(&world.tasks_path(provider), "page_size", &size.to_string());
            let pages = all_pages(&world.gateway, &path).await;
            let seen: Vec<String> = pages.iter().flat_map(ids).collect();
            assert_eq!(seen, wanted, "{provider}, pages of {size}");
            assert_eq!(pages.len(), wanted.len().div_ceil(size));
            assert!(
                pages
                    .iter()
                    .all(|page| page["total"] == wanted.len() as u64)
            );
        }
        let page = world.gateway.get(&world.tasks_path(provider)).await.ok();
        assert_eq!(
            ids(&page).len(),
            wanted.len().min(50),
            "the default page has 50 rows"
        );
    }
}

#[tokio::test]
async fn status_filters_part_the_tasks_and_lose_none() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for truth in &world.sim(provider).fleet().jobs {
            let all = format!("{}/{}/tasks", World::jobs_path(provider), truth.id);
            let mut sum = 0;
            for word in [
                "pending",
                "in_progress",
                "succeeded",
                "failed",
                "canceled",
                "skipped",
                "unknown",
            ] {
                let path = with(&with(&all, "status", word), "page_size", "7");
                let found = rows(&all_pages(&world.gateway, &path).await);
                assert!(found.iter().all(|task| task["status"] == word), "{path}");
                let held: u64 = truth
                    .tasks
                    .iter()
                    .filter(|(of, _)| status(of) == word)
                    .map(|(_, count)| count)
                    .sum();
                assert_eq!(found.len() as u64, held, "{path}");
                sum += held;
            }
            assert_eq!(sum, truth.total);
            let both = with(&all, "status", "failed,succeeded,in_progress");
            let found = rows(&all_pages(&world.gateway, &with(&both, "page_size", "11")).await);
            let wanted = |of: &str| ["failed", "succeeded", "in_progress"].contains(&status(of));
            let held: u64 = truth
                .tasks
                .iter()
                .filter(|(of, _)| wanted(of))
                .map(|(_, count)| count)
                .sum();
            assert_eq!(found.len() as u64, held, "{both}");
        }
    }
}

#[tokio::test]
async fn devices_are_found_by_name_at_alibaba() {
    let world = World::small().await;
    let job = world.job(ALI);
    let devices = world.alibaba.fleet().devices(&job);
    let escaped = |name: &str| {
        name.bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect::<String>()
    };
    let named = |count: usize| {
        let mut path = world.tasks_path(ALI);
        for device in &devices[..count] {
            path = with(&path, "device_name", &escaped(&device.name));
        }
        path
    };
    for (count, size) in [(1, 50), (7, 50), (30, 100), (30, 7), (30, 1)] {
        let path = with(&named(count), "page_size", &size.to_string());
        let found = rows(&all_pages(&world.gateway, &path).await);
        let found: Vec<&Value> = found.iter().map(|task| &task["device"]["name"]).collect();
        let wanted: Vec<&str> = devices[..count]
            .iter()
            .map(|device| device.name.as_str())
            .collect();
        assert_eq!(found, wanted, "{count} names in pages of {size}");
    }
    let path = with(&world.tasks_path(ALI), "device_name", "no-such-device");
    assert!(rows(&all_pages(&world.gateway, &path).await).is_empty());
    // Together with a status.
    let path = with(&with(&named(30), "status", "failed"), "page_size", "100");
    let found = rows(&all_pages(&world.gateway, &path).await);
    let fleet = world.alibaba.fleet();
    assert_eq!(found.len() as u64, fleet.job(&job).unwrap().tasks["FAILED"]);
}

#[tokio::test]
async fn a_comma_is_part_of_a_device_name() {
    let world = World::small().await;
    let path = with(&world.tasks_path(ALI), "device_name", "a,b%2Cc");
    assert!(ids(&world.gateway.get(&path).await.ok()).is_empty());
    let sent = world.alibaba.requests().last().unwrap().params.clone();
    assert!(
        sent.contains(&("DeviceNames.1".to_owned(), "a,b,c".to_owned())),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_device_is_found_by_its_identifier() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        let fleet = world.sim(provider).fleet();
        let job = world.job(provider);
        let device = &fleet.devices(&job)[17];
        let path = with(&world.tasks_path(provider), "device_id", &device.id);
        let found = rows(&all_pages(&world.gateway, &path).await);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["device"]["id"], device.id);
        assert_eq!(found[0]["id"], fleet.task_ids(&job)[17]);
        let path = with(&world.tasks_path(provider), "device_id", "nobody");
        assert!(rows(&all_pages(&world.gateway, &path).await).is_empty());
    }
}
