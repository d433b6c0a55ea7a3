//! Upgrade tasks, devices and packages.

use std::collections::BTreeSet;

use ota_sim::{FleetShape, huawei};
use serde_json::Value;

use crate::client::{Huawei, OPERATIONS, encode};

fn rows(answer: &Value) -> &Vec<Value> {
    answer["data"].as_array().unwrap()
}

/// Reads all rows page by page.
fn all_rows(sim: &Huawei, token: &str, target: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for page in 0.. {
        let joint = if target.contains('?') { '&' } else { '?' };
        let answer = sim.ok(token, &format!("{target}{joint}pageNo={page}&pageSize=100"));
        assert_eq!(
            (&answer["pageNo"], &answer["pageSize"]),
            (&page.into(), &100.into())
        );
        if rows(&answer).is_empty() {
            assert_eq!(answer["totalCount"], found.len());
            break;
        }
        found.extend(rows(&answer).clone());
    }
    found
}

async fn check_consistency(change: impl FnOnce(&mut huawei::Config)) {
    let mut timeout_in_fail = true;
    let sim = Huawei::start(|config| {
        change(config);
        timeout_in_fail = config.timeout_in_fail;
    })
    .await;
    let (token, _) = sim.login();
    let fleet = sim.server.fleet();
    let listed = all_rows(&sim, &token, OPERATIONS);
    assert_eq!(listed.len(), fleet.jobs.len());
    let mut timeouts = 0;
    for operation in &listed {
        let id = operation["operationId"].as_str().unwrap();
        assert_eq!(&sim.ok(&token, &format!("{OPERATIONS}/{id}")), operation);
        let job = fleet.job(id).unwrap();
        assert_eq!(operation["status"], job.status);
        let subs = all_rows(&sim, &token, &format!("{OPERATIONS}/{id}/subOperations"));
        let ids: BTreeSet<_> = subs
            .iter()
            .map(|sub| sub["subOperationId"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, fleet.task_ids(id).into_iter().collect());
        let statistics = &operation["staResult"];
        assert_eq!(statistics["total"], subs.len());
        let of_status =
            |status: &str| subs.iter().filter(|sub| sub["status"] == status).count() as u64;
        let timed_out = subs
            .iter()
            .filter(|sub| {
                sub["status"] == "fail" && sub["detailInfo"].as_str().unwrap().contains("timeout")
            })
            .count() as u64;
        timeouts += timed_out;
        assert_eq!(statistics["timeout"], timed_out);
        for status in ["wait", "processing", "success", "stop"] {
            assert_eq!(statistics[status], of_status(status), "{status} of {id}");
        }
        let beside = if timeout_in_fail { 0 } else { timed_out };
        assert_eq!(statistics["fail"], of_status("fail") - beside);
        for status in ["wait", "processing", "success", "fail", "stop"] {
            let target = format!("{OPERATIONS}/{id}/subOperations?subOperationStatus={status}");
            assert_eq!(
                all_rows(&sim, &token, &target).len() as u64,
                of_status(status)
            );
            assert_eq!(job.tasks[status], of_status(status));
        }
    }
    assert!(timeouts > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_agree_with_the_devices() {
    check_consistency(|_| {}).await;
    check_consistency(|config| {
        config.timeout_in_fail = false;
        config.fleet = FleetShape::uniform(5, 130).frozen();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_covers_the_vocabulary() {
    let sim = Huawei::start(|_| {}).await;
    let (token, _) = sim.login();
    let listed = all_rows(&sim, &token, OPERATIONS);
    let statuses: BTreeSet<_> = listed
        .iter()
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        statuses,
        BTreeSet::from(["wait", "processing", "failed", "success", "stop"])
    );
    let types: BTreeSet<_> = listed
        .iter()
        .map(|row| row["operateType"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        BTreeSet::from(["firmware_upgrade", "software_upgrade"])
    );
    let policies: BTreeSet<_> = listed
        .iter()
        .filter_map(|row| row["policy"]["executeType"].as_str())
        .collect();
    assert_eq!(policies, BTreeSet::from(["now", "device_online", "custom"]));
    let some = |what: &dyn Fn(&Value) -> bool| listed.iter().any(what);
    assert!(some(&|row| row["policy"].is_null()));
    assert!(some(
        &|row| row["policy"]["retryType"] == true && row["policy"]["retryTimes"] == 5
    ));
    assert!(some(
        &|row| row["startTime"].is_null() && row["stopTime"].is_null()
    ));
    assert!(some(&|row| row["extendPara"].is_null()));
    assert!(some(&|row| row["extendPara"]["fileVersion"] == "1.0.1"));
    assert!(some(&|row| row["targets"]["deviceGroups"][0]
        == "仓库 <3> & 外场"
        && row["targets"]["devices"].is_null()));
    assert!(some(&|row| row["targets"]["devices"]
        .as_array()
        .is_some_and(|ids| ids.len() == 25)));
    assert!(some(&|row| row["staResult"]["total"] == 300));
    assert!(some(
        &|row| row["status"] == "failed" && row["staResult"]["success"] == 0
    ));
    let time = listed[0]["createTime"].as_str().unwrap();
    assert!(time.len() == 16 && time.ends_with('Z') && time.contains('T'));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select() {
    let sim = Huawei::start(|_| {}).await;
    let (token, _) = sim.login();
    let all = all_rows(&sim, &token, OPERATIONS);
    let count = |filter: &str| all_rows(&sim, &token, &format!("{OPERATIONS}?{filter}")).len();
    for status in ["wait", "processing", "failed", "success", "stop"] {
        let expected = all.iter().filter(|row| row["status"] == status).count();
        assert_eq!(count(&format!("operationStatus={status}")), expected);
    }
    let software = count("operationType=software_upgrade");
    assert_eq!(
        software + count("operationType=firmware_upgrade"),
        all.len()
    );
    assert!(software > 0);
    let meters = count("deviceType=WaterMeter");
    assert!(meters > 0 && meters < all.len());
    assert_eq!(count("model=NBIoTDevice"), meters);
    assert_eq!(
        count(&format!("manufacturerName={}", encode("示例科技 & Co"))),
        meters
    );
    assert_eq!(count("deviceType=WaterMeter&model=GW-200"), 0);
    let fleet = sim.server.fleet();
    let job = fleet.jobs.iter().find(|job| job.total == 25).unwrap();
    let device = &fleet.devices(&job.id)[7].id;
    let with_device = all_rows(&sim, &token, &format!("{OPERATIONS}?deviceId={device}"));
    assert!(with_device.iter().any(|row| row["operationId"] == *job.id));
    assert_eq!(count("deviceId=nobody"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_limits() {
    let sim = Huawei::start(|_| {}).await;
    let (token, _) = sim.login();
    let job = sim.server.fleet().jobs[0].id.clone();
    let paths = [
        OPERATIONS.to_owned(),
        format!("{OPERATIONS}/{job}/subOperations"),
        "/iodm/northbound/v1.5.0/category".to_owned(),
    ];
    for path in &paths {
        for (query, code) in [
            ("pageNo=-1&pageSize=10", "123029"),
            ("pageNo=0&pageSize=0", "123029"),
            ("pageNo=0&pageSize=101", "123029"),
            ("pageNo=x", "120015"),
            ("pageNo=1.5", "120015"),
        ] {
            let answer = sim.get(&token, &format!("{path}?{query}"));
            assert_eq!(
                (answer.status, answer.json()["error_code"].as_str()),
                (400, Some(code)),
                "{path}?{query}"
            );
        }
        let beyond = sim.ok(&token, &format!("{path}?pageNo=9999999999&pageSize=100"));
        assert!(rows(&beyond).is_empty());
    }
    for query in ["operationStatus=fail", "operationType=x"] {
        let answer = sim.get(&token, &format!("{OPERATIONS}?{query}"));
        assert_eq!(
            (answer.status, answer.json()["error_code"].as_str()),
            (400, Some("120015"))
        );
    }
    let long = format!("{OPERATIONS}?deviceId={}", "x".repeat(257));
    assert_eq!(sim.get(&token, &long).json()["error_code"], "120015");
    let failed = format!("{OPERATIONS}/{job}/subOperations?subOperationStatus=failed");
    assert_eq!(sim.get(&token, &failed).json()["error_code"], "120015");
    for path in ["/nobody", "/nobody/subOperations", "/%2F%00%FF"] {
        let answer = sim.get(&token, &format!("{OPERATIONS}{path}"));
        assert_eq!(
            (answer.status, answer.json()["error_code"].as_str()),
            (404, Some("123009"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_page_number_is_read_both_ways() {
    for (reading, expected) in [
        (huawei::AbsentPageNo::ZeroDefault, 10),
        (huawei::AbsentPageNo::Unpaged, 300),
    ] {
        let sim = Huawei::start(|config| {
            config.absent_page_no = reading;
            config.fleet = FleetShape::uniform(300, 2);
        })
        .await;
        let (token, _) = sim.login();
        let answer = sim.ok(&token, OPERATIONS);
        assert_eq!(rows(&answer).len(), expected);
        assert_eq!(answer["totalCount"], 300);
        let second = sim.ok(&token, &format!("{OPERATIONS}?pageNo=1&pageSize=7"));
        assert_eq!(rows(&second).len(), 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spellings_can_be_switched() {
    let sim = Huawei::start(|config| {
        config.uppercase_status = true;
        config.total_name = huawei::TotalName::TotalSize;
        config.ignore_paging = true;
    })
    .await;
    let (token, _) = sim.login();
    let answer = sim.ok(&token, &format!("{OPERATIONS}?pageNo=3&pageSize=2"));
    assert_eq!(answer["totalSize"], rows(&answer).len());
    assert!(answer.get("totalCount").is_none());
    assert!(rows(&answer).iter().any(|row| row["status"] == "FAIL"));
    let failed = rows(&sim.ok(&token, &format!("{OPERATIONS}?operationStatus=failed"))).clone();
    assert!(!failed.is_empty() && failed.iter().all(|row| row["status"] == "FAIL"));
    let id = failed[0]["operationId"].as_str().unwrap();
    let subs = sim.ok(
        &token,
        &format!("{OPERATIONS}/{id}/subOperations?pageNo=0&pageSize=1"),
    );
    assert_eq!(subs["totalCount"], rows(&subs).len());
    assert!(rows(&subs).iter().any(|row| row["status"] == "FAIL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_listed() {
    let sim = Huawei::start(|_| {}).await;
    let (token, _) = sim.login();
    let category = "/iodm/northbound/v1.5.0/category";
    let packages = all_rows(&sim, &token, category);
    assert!(packages.len() >= 4);
    let software = all_rows(
        &sim,
        &token,
        &format!("{category}?fileType=softwarePackage"),
    );
    assert!(!software.is_empty() && software.len() < packages.len());
    let id = packages[0]["fileId"].as_str().unwrap();
    assert_eq!(&sim.ok(&token, &format!("{category}/{id}")), &packages[0]);
    let unknown = sim.get(&token, &format!("{category}/nothing"));
    assert_eq!(
        (unknown.status, unknown.json()["error_code"].as_str()),
        (404, Some("123002"))
    );
}
