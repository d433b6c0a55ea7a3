//! `GET /v1/providers/{provider}/jobs`

use ota_sim::{Fault, FaultKind, FleetShape, JobTruth};
use serde_json::Value;

use crate::setup::{ALI, HUA, World, all_pages, ids, rows, with};

/// The neutral status of a vendor's value.
fn status(word: &str) -> &'static str {
    match word.to_ascii_lowercase().as_str() {
        "planned" | "wait" => "pending",
        "in_progress" | "processing" => "in_progress",
        "completed" | "success" | "failed" => "completed",
        "canceled" | "stop" => "canceled",
        _ => "unknown",
    }
}

fn agrees(provider: &str, truth: &JobTruth, job: &Value) {
    assert_eq!(job["provider"], provider);
    assert_eq!(job["id"], truth.id);
    assert_eq!(job["vendor"]["status"], truth.status);
    assert_eq!(job["status"], status(&truth.status), "{truth:?}");
    if provider == ALI {
        assert_eq!(job["package"]["id"], truth.package_id);
        assert_eq!(job["package"]["version"], truth.version);
        assert_eq!(job["package"]["product_id"], truth.product_key);
        assert_eq!(job["vendor"]["name"], "alibaba-iot");
    } else {
        assert_eq!(job["vendor"]["name"], "huawei-iot");
        assert_eq!(job["stats"]["total"], truth.total);
        assert_eq!(job["detail"], "full");
    }
}

#[tokio::test]
async fn a_row_and_the_whole_job_agree_with_what_the_vendor_holds() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        let page = world.gateway.get(&World::jobs_path(provider)).await.ok();
        let fleet = world.sim(provider).fleet();
        assert_eq!(ids(&page).len(), fleet.jobs.len());
        assert!(page.get("next_cursor").is_none());
        assert_eq!(page["truncated"], false);
        for row in page["items"].as_array().unwrap() {
            let truth = fleet.job(row["id"].as_str().unwrap()).unwrap();
            agrees(provider, truth, row);
            let path = format!("{}/{}", World::jobs_path(provider), truth.id);
            let job = world.gateway.get(&path).await.ok();
            agrees(provider, truth, &job);
            assert_eq!(job["detail"], "full");
            // What the row says, the job says too.
            for (name, value) in row.as_object().unwrap() {
                if name == "detail" {
                    continue;
                }
                let same = &job[name];
                let inside = value.as_object().is_some_and(|members| {
                    members.iter().all(|(member, value)| same[member] == *value)
                });
                assert!(inside || same == value, "{name}: {value} and {same}");
            }
        }
    }
}

#[tokio::test]
async fn pages_of_every_size_hold_every_job_once() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        let mut wanted: Vec<String> = world
            .sim(provider)
            .fleet()
            .jobs
            .iter()
            .map(|job| job.id.clone())
            .collect();
        wanted.sort();
        for size in [1, 2, 3, 4, 5, 7, 100] {
            let path = format!("{}?page_size={size}", World::jobs_path(provider));
            let pages = all_pages(&world.gateway, &path).await;
            let mut seen: Vec<String> = pages.iter().flat_map(ids).collect();
            seen.sort();
            assert_eq!(seen, wanted, "{provider}, pages of {size}");
            assert!(pages.iter().all(|page| ids(page).len() <= size));
        }
    }
}

#[tokio::test]
async fn a_status_filter_gives_exactly_the_jobs_in_it() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        let all = all_pages(&world.gateway, &World::jobs_path(provider)).await;
        let all = rows(&all);
        for wanted in [
            &["pending"][..],
            &["in_progress"],
            &["completed"],
            &["canceled"],
            &["paused"],
            &["unknown"],
            &["completed", "canceled"],
            &["pending", "in_progress", "completed", "canceled"],
        ] {
            let comma = with(&World::jobs_path(provider), "status", &wanted.join(","));
            let mut repeated = World::jobs_path(provider);
            for word in wanted {
                repeated = with(&repeated, "status", word);
            }
            for path in [comma, repeated] {
                let found = rows(&all_pages(&world.gateway, &with(&path, "page_size", "2")).await);
                let mut found: Vec<&Value> = found.iter().map(|job| &job["id"]).collect();
                let fits = |job: &&Value| wanted.contains(&job["status"].as_str().unwrap());
                let mut expected: Vec<&Value> =
                    all.iter().filter(fits).map(|job| &job["id"]).collect();
                for list in [&mut found, &mut expected] {
                    list.sort_by_key(|id| id.to_string());
                }
                assert_eq!(found, expected, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_another_status_order_is_the_same_list() {
    let world = World::small().await;
    let path = |words: &str| format!("{}?page_size=1&status={words}", World::jobs_path(ALI));
    let first = world.gateway.get(&path("completed,canceled")).await.ok();
    if let Some(cursor) = first["next_cursor"].as_str() {
        let next = with(&path("canceled,completed"), "cursor", cursor);
        world.gateway.get(&next).await.ok();
    }
}

#[tokio::test]
async fn alibaba_filters_by_package_product_and_device() {
    let world = World::small().await;
    let fleet = world.alibaba.fleet();
    let job = &fleet.jobs[0];
    let device = fleet.devices(&job.id)[0].name.clone();
    let all = World::jobs_path(ALI);
    let of = |fits: &dyn Fn(&JobTruth) -> bool| -> Vec<String> {
        let mut ids: Vec<_> = fleet
            .jobs
            .iter()
            .filter(|job| fits(job))
            .map(|job| job.id.clone())
            .collect();
        ids.sort();
        ids
    };
    let found = async |path: String| {
        let mut found: Vec<String> = all_pages(&world.gateway, &path)
            .await
            .iter()
            .flat_map(ids)
            .collect();
        found.sort();
        found
    };
    let path = with(&all, "package_id", &job.package_id);
    assert_eq!(
        found(path.clone()).await,
        of(&|other| other.package_id == job.package_id)
    );
    let operations = world.alibaba.counters().calls;
    assert!(
        operations.contains_key("ListOTAJobByFirmware"),
        "{operations:?}"
    );
    assert_eq!(
        found(with(&all, "product_id", &job.product_key)).await,
        of(&|other| other.product_key == job.product_key)
    );
    let path = with(
        &with(&path, "product_id", &job.product_key),
        "device_name",
        &device,
    );
    assert!(found(path).await.contains(&job.id));
    assert_eq!(world.alibaba.counters().calls_of("ListOTAJobByDevice"), 1);
    assert_eq!(found(with(&all, "kind", "firmware")).await, of(&|_| true));
    assert!(found(with(&all, "kind", "other")).await.is_empty());
    assert!(
        found(with(&all, "package_id", "no-such-package"))
            .await
            .is_empty()
    );
}

/// Each reply is compared with the document on its way, so the page with problems is.
#[tokio::test]
async fn a_broken_package_is_named_beside_the_jobs_of_the_others() {
    let world = World::of(FleetShape::uniform(11, 6).frozen()).await;
    let fleet = world.alibaba.fleet();
    let (broken, product) = (&fleet.jobs[0].package_id, &fleet.jobs[0].product_key);
    let mut readable: Vec<&str> = fleet
        .jobs
        .iter()
        .filter(|job| job.package_id != *broken)
        .map(|job| job.id.as_str())
        .collect();
    readable.sort_unstable();
    assert!(!readable.is_empty());
    let all = World::jobs_path(ALI);
    // A system error under the vendor's own code, and an answer that cannot be read.
    for (kind, code, vendor) in [
        (
            FaultKind::ProductError,
            "provider_unavailable",
            Some("iot.system.SystemException"),
        ),
        (FaultKind::CutJson, "provider_protocol", None),
    ] {
        let fault = Fault::always(kind).about(broken.as_str());
        world.alibaba.set_faults(vec![fault]);
        let pages = all_pages(&world.gateway, &with(&all, "page_size", "3")).await;
        let mut found: Vec<String> = pages.iter().flat_map(ids).collect();
        found.sort_unstable();
        assert_eq!(found, readable, "{kind:?}");
        let mut problems = Vec::new();
        for page in &pages {
            problems.extend(page["problems"].as_array().into_iter().flatten());
            // From the problem on, to the end.
            assert_eq!(page["truncated"], !problems.is_empty(), "{page}");
            assert!(page.get("total").is_none(), "{page}");
        }
        let [problem] = problems[..] else {
            panic!("{kind:?}: {problems:?}")
        };
        assert_eq!(problem["package_id"], *broken);
        assert_eq!(problem["product_id"], *product);
        assert_eq!(problem["code"], code);
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert_eq!(problem["vendor"]["code"].as_str(), vendor, "{problem}");
        // A request for that package alone gets the error.
        let reply = world.gateway.get(&with(&all, "package_id", broken)).await;
        assert_eq!(reply.json()["code"], code, "{}", reply.text());
        world.alibaba.set_faults(Vec::new());
        let page = world.gateway.get(&with(&all, "page_size", "50")).await.ok();
        assert_eq!(ids(&page).len(), fleet.jobs.len());
        assert!(page.get("problems").is_none(), "{page}");
        assert_eq!(page["truncated"], false);
    }
}

#[tokio::test]
async fn huawei_filters_by_kind_device_type_model_and_maker() {
    // Enough jobs for every product and both kinds.
    let world = World::of(FleetShape::uniform(20, 6).frozen()).await;
    let all = World::jobs_path(HUA);
    let jobs = rows(&all_pages(&world.gateway, &all).await);
    let fleet = world.huawei.fleet();
    let device = fleet.devices(&fleet.jobs[0].id)[0].id.clone();
    for (name, at, value) in [
        ("kind", "/kind", "firmware".to_owned()),
        ("kind", "/kind", "software".to_owned()),
        ("device_type", "/target/device_type", "Gateway".to_owned()),
        ("model", "/target/model", "NBIoTDevice".to_owned()),
        (
            "manufacturer",
            "/target/manufacturer",
            "示例科技 & Co".to_owned(),
        ),
    ] {
        let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = rows(&all_pages(&world.gateway, &with(&all, name, &escaped)).await);
        assert!(found.len() < jobs.len(), "{name}");
        for job in &found {
            // The vendor filters by what a job is for, which not every job shows.
            let shown = job.pointer(at).and_then(Value::as_str);
            assert!(shown.is_none_or(|shown| shown == value), "{name}: {job}");
        }
        let shown = jobs
            .iter()
            .filter(|job| job.pointer(at).and_then(Value::as_str) == Some(&value));
        assert!(found.len() >= shown.count(), "{name}");
        let sent = world.huawei.requests();
        assert!(
            sent.last()
                .unwrap()
                .params
                .iter()
                .any(|(_, sent)| *sent == value || name == "kind")
        );
    }
    let found = all_pages(&world.gateway, &with(&all, "device_id", &device)).await;
    assert!(found.iter().flat_map(ids).any(|id| id == fleet.jobs[0].id));
    for (outcome, word) in [
        ("succeeded", "success"),
        ("failed", "failed"),
        ("partial", "failed"),
    ] {
        let found = rows(&all_pages(&world.gateway, &with(&all, "outcome", outcome)).await);
        for job in &found {
            assert_eq!(job["outcome"], outcome);
            assert_eq!(job["vendor"]["status"], word);
        }
        let expected = jobs.iter().filter(|job| job["outcome"] == outcome).count();
        assert_eq!(found.len(), expected, "{outcome}");
    }
}
