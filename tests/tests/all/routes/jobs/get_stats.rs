//! `GET /v1/providers/{provider}/jobs/{job_id}/stats`

use ota_sim::{FleetShape, JobTruth};
use ota_tests::vendors::{alibaba_config, huawei_config};
use ota_tests::{Gateway, Section};
use serde_json::{Value, json};

use crate::setup::{ALI, HUA, World};

/// The counts that a job has, in our words.
pub(crate) fn counts(provider: &str, truth: &JobTruth) -> Value {
    let sum = |words: &[&str]| -> u64 {
        let has = |word: &str| words.iter().any(|of| of.eq_ignore_ascii_case(word));
        truth
            .tasks
            .iter()
            .filter(|(word, _)| has(word))
            .map(|(_, count)| count)
            .sum()
    };
    let mut counts = json!({
        "total": truth.total,
        "pending": sum(&["CONFIRM", "QUEUED", "NOTIFIED", "wait"]),
        "in_progress": sum(&["IN_PROGRESS", "processing"]),
        "succeeded": sum(&["SUCCEEDED", "success"]),
        "failed": sum(&["FAILED", "fail"]),
        "canceled": sum(&["CANCELED", "stop"]),
    });
    if provider == ALI {
        counts["unknown"] = json!(0);
    } else {
        counts["timed_out"] = json!(truth.timed_out);
    }
    counts
}

/// Compares an answer with the counts, leaving out what else it says.
pub(crate) fn check(provider: &str, truth: &JobTruth, stats: &Value) {
    for (name, count) in counts(provider, truth).as_object().unwrap() {
        assert_eq!(stats[name], *count, "{name} of {truth:?}: {stats}");
    }
}

#[tokio::test]
async fn statistics_are_the_counts_that_the_vendor_holds_and_nothing_more() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for truth in &world.sim(provider).fleet().jobs {
            let path = format!("{}/{}/stats", World::jobs_path(provider), truth.id);
            let mut stats = world.gateway.get(&path).await.ok();
            check(provider, truth, &stats);
            let members = stats.as_object_mut().unwrap();
            assert_eq!(members.remove("stale"), Some(json!(false)));
            assert!(members.remove("as_of").is_some_and(|time| time.is_string()));
            // Present only when it is proven: every task has ended.
            if let Some(outcome) = members.remove("outcome") {
                let open = [&members["pending"], &members["in_progress"]];
                assert!(
                    open.iter().all(|count| **count == json!(0)),
                    "{outcome} {stats}"
                );
            }
            let mut expected = counts(provider, truth);
            if let Some(total) = expected["total"].as_f64().filter(|total| *total > 0.0) {
                let parts = ["succeeded", "failed", "canceled"];
                let ended: f64 = parts
                    .iter()
                    .filter_map(|part| expected[part].as_f64())
                    .sum();
                let share = (ended / total * 10_000.0).floor() / 100.0;
                expected["finished_percent"] = json!(share);
            }
            assert_eq!(stats, expected);
        }
    }
}

#[tokio::test]
async fn statistics_never_read_all_tasks() {
    let world = World::of(FleetShape::huge(130_000).frozen()).await;
    for (provider, calls) in [(ALI, 8), (HUA, 1)] {
        let truth = world.sim(provider).fleet().jobs[0].clone();
        let path = format!("{}/{}", World::jobs_path(provider), truth.id);
        world.gateway.get(&path).await.ok();
        world.sim(provider).reset_counters();
        let stats = world.gateway.get(&format!("{path}/stats")).await.ok();
        check(provider, &truth, &stats);
        assert_eq!(world.sim(provider).counters().total_calls(), calls);
    }
    for request in world.alibaba.requests() {
        assert!(
            request
                .params
                .contains(&("PageSize".to_owned(), "1".to_owned())),
            "{:?}",
            request.params
        );
    }
}

#[tokio::test]
async fn an_old_platform_loses_the_number_that_it_refuses_and_no_other() {
    let fleet = FleetShape::huge_with(&[("QUEUED", 7), ("SUCCEEDED", 5), ("FAILED", 2)]).frozen();
    let old = ota_sim::alibaba::Config {
        old_edition: true,
        ..alibaba_config(fleet)
    };
    let alibaba = ota_sim::alibaba::start(old).await.unwrap();
    let gateway = Gateway::start(&[Section::alibaba(ALI, &alibaba.url())]).await;
    let job = alibaba.fleet().jobs[0].id.clone();
    let stats = gateway
        .get(&format!("{}/{job}/stats", World::jobs_path(ALI)))
        .await
        .ok();
    assert_eq!(
        (
            &stats["total"],
            &stats["pending"],
            &stats["succeeded"],
            &stats["failed"]
        ),
        (&json!(14), &json!(7), &json!(5), &json!(2))
    );
    let path = format!("{}/{job}/tasks?status=pending", World::jobs_path(ALI));
    assert_eq!(
        gateway.get(&path).await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
}

#[tokio::test]
async fn failed_holds_the_timeouts_whichever_way_the_platform_counts() {
    let fleet = FleetShape::huge_with(&[("success", 20), ("fail", 16), ("stop", 4)]).frozen();
    for timeout_in_fail in [true, false] {
        let config = ota_sim::huawei::Config {
            timeout_in_fail,
            ..huawei_config(fleet.clone())
        };
        let huawei = ota_sim::huawei::start(config).await.unwrap();
        let gateway = Gateway::start(&[Section::huawei(HUA, &huawei.url())]).await;
        let truth = huawei.fleet().jobs[0].clone();
        assert!(truth.timed_out > 0);
        let stats = gateway
            .get(&format!("{}/{}/stats", World::jobs_path(HUA), truth.id))
            .await
            .ok();
        check(HUA, &truth, &stats);
    }
}
