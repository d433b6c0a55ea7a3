//! What the operations answer.

use std::collections::BTreeSet;

use ota_sim::{FleetShape, JobTruth, alibaba};
use serde_json::Value;

use crate::client::{Alibaba, Raw};

fn check_product(answer: &Raw, code: &str) {
    let content = answer.json();
    assert_eq!(content["Code"], code, "{content}");
    assert_eq!(answer.status, 200);
    assert_eq!(content["Success"], false);
    assert!(content["ErrorMessage"].is_string());
    assert!(content.get("Data").is_none() && content.get("Message").is_none());
}

/// Reads all tasks of a job page by page.
fn all_rows(sim: &Alibaba, job: &str, status: Option<&str>) -> Vec<Value> {
    let mut rows = Vec::new();
    for page in 1.. {
        let page = page.to_string();
        let mut own = vec![("JobId", job), ("CurrentPage", &page), ("PageSize", "100")];
        own.extend(status.map(|status| ("TaskStatus", status)));
        let answer = sim.ok("ListOTATaskByJob", &own);
        let found = answer["Data"]["SimpleOTATaskInfo"]
            .as_array()
            .unwrap()
            .clone();
        assert_eq!(
            answer["PageCount"],
            answer["Total"].as_u64().unwrap().div_ceil(100)
        );
        if found.is_empty() {
            assert_eq!(answer["Total"], rows.len());
            break;
        }
        rows.extend(found);
    }
    rows
}

fn check_job_is_as_it_really_is(sim: &Alibaba, job: &JobTruth) {
    let rows = all_rows(sim, &job.id, None);
    let ids: BTreeSet<_> = rows
        .iter()
        .map(|row| row["TaskId"].as_str().unwrap().to_owned())
        .collect();
    let real: BTreeSet<_> = sim.server.fleet().task_ids(&job.id).into_iter().collect();
    assert_eq!(ids, real);
    assert_eq!(ids.len() as u64, job.total, "ids are unique");
    assert_eq!(job.tasks.values().sum::<u64>(), job.total);
    for (status, count) in &job.tasks {
        let with_status = rows
            .iter()
            .filter(|row| row["TaskStatus"] == **status)
            .count();
        assert_eq!(with_status as u64, *count, "{status} of {}", job.id);
        let filtered = all_rows(sim, &job.id, Some(status));
        assert_eq!(filtered.len() as u64, *count);
        assert!(filtered.iter().all(|row| row["TaskStatus"] == **status));
    }
    let detail = &sim.ok("QueryOTAJob", &[("JobId", &job.id)])["Data"];
    assert_eq!(detail["JobStatus"], job.status);
    assert_eq!(detail["DestVersion"], job.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_of_the_demo_is_consistent() {
    let sim = Alibaba::start(|_| {}).await;
    for job in &sim.server.fleet().jobs {
        check_job_is_as_it_really_is(&sim, job);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_of_an_even_fleet_is_consistent() {
    let sim = Alibaba::start(|config| config.fleet = FleetShape::uniform(7, 230).frozen()).await;
    let fleet = sim.server.fleet();
    assert_eq!(fleet.jobs.len(), 7);
    for job in &fleet.jobs {
        assert_eq!(job.total, 230);
        check_job_is_as_it_really_is(&sim, job);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_covers_the_vocabulary() {
    let sim = Alibaba::start(|_| {}).await;
    let fleet = sim.server.fleet();
    let details: Vec<Value> = fleet
        .jobs
        .iter()
        .map(|job| sim.ok("QueryOTAJob", &[("JobId", &job.id)])["Data"].clone())
        .collect();
    let words = |field: &str| -> BTreeSet<String> {
        details
            .iter()
            .filter_map(|job| Some(job[field].as_str()?.to_owned()))
            .collect()
    };
    let set = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        words("JobStatus"),
        set(&["PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELED"])
    );
    assert_eq!(
        words("JobType"),
        set(&["UPGRADE_FIRMWARE", "VERIFY_FIRMWARE"])
    );
    assert_eq!(words("SelectionType"), set(&["STATIC", "DYNAMIC"]));
    assert_eq!(
        words("TargetSelection"),
        set(&["ALL", "SPECIFIC", "GRAY", "GROUP"])
    );
    assert_eq!(words("DownloadProtocol"), set(&["HTTPS", "MQTT"]));
    assert_eq!(words("GrayPercent"), set(&["33.33", "50.00"]));
    let some = |what: &dyn Fn(&Value) -> bool| details.iter().any(what);
    assert!(some(&|job| job["GroupName"]
        .as_str()
        .is_some_and(|name| name.contains('<'))));
    assert!(some(&|job| job["JobDesc"]
        .as_str()
        .is_some_and(|text| text.contains('&'))));
    assert!(some(&|job| job["Tags"]["OtaTagDTO"]
        .as_array()
        .is_some_and(|tags| tags.len() == 2)));
    assert!(some(
        &|job| job.get("NeedPush").is_none() && job.get("GroupId").is_none()
    ));
    assert!(some(
        &|job| job["GroupId"] == "" && job["NeedConfirm"] == true
    ));
    assert!(some(&|job| job["TimeoutInMinutes"] == 5
        && job["RetryCount"] == 1
        && job["RetryInterval"] == 60));
    assert!(some(&|job| job.get("TimeoutInMinutes").is_none()));
    assert!(some(&|job| job["DynamicMode"] == 1) && some(&|job| job["DynamicMode"] == 2));
    assert!(some(
        &|job| job["UtcScheduleTime"].is_string() && job["UtcScheduleFinishTime"].is_string()
    ));
    assert!(some(
        &|job| job["UtcScheduleTime"].is_string() && job.get("UtcScheduleFinishTime").is_none()
    ));
    assert!(some(
        &|job| job["JobStatus"] == "PLANNED" && job.get("UtcStartTime").is_none()
    ));
    assert!(some(
        &|job| job["JobStatus"] == "IN_PROGRESS" && job["UtcEndTime"].is_string()
    ));
    assert!(some(
        &|job| job["SrcVersions"]["SrcVersion"] == serde_json::json!([])
    ));
    assert!(fleet.jobs.iter().any(|job| job.total == 0));
    for status in [
        "CONFIRM",
        "QUEUED",
        "NOTIFIED",
        "IN_PROGRESS",
        "SUCCEEDED",
        "FAILED",
        "CANCELED",
    ] {
        assert!(
            fleet.jobs.iter().any(|job| job.tasks[status] > 0),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_have_the_documented_types() {
    let sim = Alibaba::start(|_| {}).await;
    let fleet = sim.server.fleet();
    let job = fleet.jobs.iter().find(|job| job.total == 400).unwrap();
    let rows = all_rows(&sim, &job.id, None);
    for row in &rows {
        assert!(
            row["Timeout"].is_null() && row.get("Timeout").is_some(),
            "no time-out is null"
        );
        let progress = row["Progress"].as_str().unwrap();
        let (whole, decimals) = progress.split_once('.').unwrap();
        assert!(whole.parse::<u32>().unwrap() <= 100 && decimals.len() == 2);
        let task = row["TaskId"].as_str().unwrap();
        assert!(task.len() == 26 && task.ends_with("0100"));
        assert!(row["UtcCreate"].as_str().unwrap().ends_with(".000Z"));
    }
    assert!(
        rows.iter()
            .any(|row| row["TaskDesc"] == "report version is not conform")
    );
    assert!(job.id.len() == 26 && job.id.ends_with("0200"));
    let other = fleet.jobs.iter().find(|job| job.total == 120).unwrap();
    assert_eq!(all_rows(&sim, &other.id, None)[0]["Timeout"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn page_limits_are_errors_of_the_product_and_types_of_the_gateway() {
    let sim = Alibaba::start(|config| config.fleet = FleetShape::huge(130_000)).await;
    let fleet = sim.server.fleet();
    let job = fleet.jobs[0].id.as_str();
    let page = |number: &str, size: &str| {
        sim.send(
            "ListOTATaskByJob",
            &[("JobId", job), ("CurrentPage", number), ("PageSize", size)],
        )
    };
    assert_eq!(
        page("1000", "100").json()["Data"]["SimpleOTATaskInfo"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
    for (number, size) in [
        ("1001", "100"),
        ("100001", "1"),
        ("1", "101"),
        ("0", "10"),
        ("1", "0"),
        ("-1", "10"),
    ] {
        check_product(&page(number, size), "iot.common.InvalidPageParams");
    }
    let answer = page("1", "ten");
    assert_eq!(
        (answer.status, answer.json()["Code"].as_str()),
        (400, Some("InvalidPageSize"))
    );

    let firmware = fleet.jobs[0].package_id.as_str();
    let jobs = |size: &str| {
        sim.send(
            "ListOTAJobByFirmware",
            &[
                ("FirmwareId", firmware),
                ("CurrentPage", "1"),
                ("PageSize", size),
            ],
        )
    };
    assert_eq!(jobs("200").json()["Total"], 1);
    check_product(&jobs("201"), "iot.common.InvalidPageParams");
    check_product(
        &sim.send(
            "ListOTAFirmware",
            &[("CurrentPage", "1"), ("PageSize", "101")],
        ),
        "iot.common.InvalidPageParams",
    );
    let missing = sim.send("ListOTAFirmware", &[("CurrentPage", "1")]);
    assert_eq!(
        (missing.status, missing.json()["Code"].as_str()),
        (400, Some("MissingPageSize"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_batch_has_the_given_counts_and_is_read_by_status() {
    let counts = [("SUCCEEDED", 110_000), ("failed", 250), ("QUEUED", 19_750)];
    let sim = Alibaba::start(|config| config.fleet = FleetShape::huge_with(&counts)).await;
    let fleet = sim.server.fleet();
    let job = &fleet.jobs[0];
    assert_eq!((job.total, job.status.as_str()), (130_000, "IN_PROGRESS"));
    for (status, count) in counts {
        let status = status.to_ascii_uppercase();
        let answer = sim.ok(
            "ListOTATaskByJob",
            &[
                ("JobId", &job.id),
                ("TaskStatus", &status),
                ("PageSize", "1"),
            ],
        );
        assert_eq!(answer["Total"], count);
        assert_eq!(job.tasks[&status], u64::from(count));
    }
    let failed = all_rows(&sim, &job.id, Some("FAILED"));
    let ids: BTreeSet<_> = failed
        .iter()
        .map(|row| row["TaskId"].as_str().unwrap().to_owned())
        .collect();
    let all: BTreeSet<_> = fleet.task_ids(&job.id).into_iter().collect();
    assert_eq!((ids.len(), all.len()), (250, 130_000));
    assert!(ids.is_subset(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_status_of_a_huge_fleet_is_an_error_at_the_start() {
    let config = alibaba::Config {
        fleet: FleetShape::huge_with(&[("EXPLODED", 1)]),
        ..alibaba::Config::default()
    };
    let error = alibaba::start(config).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn device_names_override_paging() {
    let sim = Alibaba::start(|_| {}).await;
    let job = sim.some_job();
    let devices = sim.server.fleet().devices(&job);
    let own = [
        ("JobId", job.as_str()),
        ("CurrentPage", "5000"),
        ("PageSize", "100"),
        ("DeviceNames.1", &devices[0].name),
        ("DeviceNames.2", &devices[90].name),
        ("DeviceNames.3", "nobody"),
        ("DeviceNames.5", &devices[3].name),
    ];
    let answer = sim.ok("ListOTATaskByJob", &own);
    let rows = answer["Data"]["SimpleOTATaskInfo"].as_array().unwrap();
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["DeviceName"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [&devices[0].name, &devices[90].name],
        "names end at the gap"
    );
    assert_eq!(
        (&answer["Total"], &answer["CurrentPage"]),
        (&2.into(), &1.into())
    );

    let names: Vec<String> = (1..=51)
        .map(|number| format!("DeviceNames.{number}"))
        .collect();
    let mut own = vec![("JobId", job.as_str())];
    own.extend(names.iter().map(|name| (name.as_str(), "x")));
    check_product(
        &sim.send("ListOTATaskByJob", &own),
        "iot.check.ParameterIsNotLessThanMax",
    );
    assert_eq!(sim.ok("ListOTATaskByJob", &own[..51])["Total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_through_packages_and_devices() {
    let sim = Alibaba::start(|_| {}).await;
    let fleet = sim.server.fleet();
    let paging = [("CurrentPage", "1"), ("PageSize", "100")];
    let packages = sim.ok("ListOTAFirmware", &paging);
    let packages = packages["FirmwareInfo"]["SimpleFirmwareInfo"]
        .as_array()
        .unwrap();
    assert!(
        packages
            .iter()
            .any(|row| row["SrcVersion"].is_null() && row["Type"] == 0)
    );
    assert!(
        packages
            .iter()
            .any(|row| row["SrcVersion"].is_string() && row["Type"] == 1)
    );
    let mut found = BTreeSet::new();
    for package in packages {
        let id = package["FirmwareId"].as_str().unwrap();
        let key = package["ProductKey"].as_str().unwrap();
        let listed = sim.ok(
            "ListOTAJobByFirmware",
            &[paging[0], paging[1], ("FirmwareId", id)],
        );
        for row in listed["Data"]["SimpleOTAJobInfo"].as_array().unwrap() {
            let job = fleet.job(row["JobId"].as_str().unwrap()).unwrap();
            assert_eq!(
                (row["JobStatus"].as_str(), &job.package_id),
                (Some(&*job.status), &id.to_owned())
            );
            found.insert(job.id.clone());
            if let Some(device) = fleet.devices(&job.id).last() {
                let own = [
                    paging[0],
                    paging[1],
                    ("FirmwareId", id),
                    ("ProductKey", key),
                    ("DeviceName", &device.name),
                ];
                let of_device = sim.ok("ListOTAJobByDevice", &own);
                let of_device = of_device["Data"]["SimpleOTAJobInfo"].as_array().unwrap();
                assert!(of_device.iter().any(|row| row["JobId"] == *job.id));
            }
        }
        let detail = &sim.ok("QueryOTAFirmware", &[("FirmwareId", id)])["FirmwareInfo"];
        assert_eq!(detail["DestVersion"], package["DestVersion"]);
        let single = detail["FirmwareUrl"].is_string();
        assert_eq!(single, detail["MultiFiles"].is_null());
        assert_eq!(single, detail["FirmwareSize"].is_u64());
        let of_product = sim.ok(
            "ListOTAFirmware",
            &[paging[0], paging[1], ("ProductKey", key)],
        );
        let rows = of_product["FirmwareInfo"]["SimpleFirmwareInfo"]
            .as_array()
            .unwrap();
        assert!(rows.iter().all(|row| row["ProductKey"] == *key) && !rows.is_empty());
    }
    assert_eq!(found.len(), fleet.jobs.len());

    let unknown = [paging[0], paging[1], ("FirmwareId", "nothing")];
    check_product(
        &sim.send("ListOTAJobByFirmware", &unknown),
        "iot.ota.FirmwareNotFound",
    );
    let id = packages[0]["FirmwareId"].as_str().unwrap();
    let key = packages[0]["ProductKey"].as_str().unwrap();
    let device = |key: &'static str| {
        [
            paging[0],
            paging[1],
            ("FirmwareId", id),
            ("ProductKey", key),
            ("DeviceName", "nobody-1"),
        ]
    };
    check_product(
        &sim.send("ListOTAJobByDevice", &device("a1")),
        "iot.prod.NotExistedProduct",
    );
    let nobody = [
        paging[0],
        paging[1],
        ("FirmwareId", id),
        ("ProductKey", key),
        ("DeviceName", "nobody-1"),
    ];
    check_product(
        &sim.send("ListOTAJobByDevice", &nobody),
        "iot.device.NotExistedDevice",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_job_is_answered_as_configured() {
    for (style, status, code) in [
        (
            alibaba::UnknownJob::ProductError("iot.ota.Custom".into()),
            200,
            Some("iot.ota.Custom"),
        ),
        (
            alibaba::UnknownJob::GatewayError(404, "JobNotFound".into()),
            404,
            Some("JobNotFound"),
        ),
        (alibaba::UnknownJob::EmptyData, 200, None),
    ] {
        let sim = Alibaba::start(|config| config.unknown_job = style).await;
        for action in ["QueryOTAJob", "ListOTATaskByJob"] {
            let answer = sim.send(action, &[("JobId", "nobody")]);
            assert_eq!(
                (answer.status, answer.json()["Code"].as_str()),
                (status, code)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_spellings_can_be_switched_on() {
    let sim = Alibaba::start(|config| {
        config.complete_spelling = true;
        config.verfiy_spelling = true;
        config.old_edition = true;
    })
    .await;
    let fleet = sim.server.fleet();
    let details: Vec<Value> = fleet
        .jobs
        .iter()
        .map(|job| sim.ok("QueryOTAJob", &[("JobId", &job.id)])["Data"].clone())
        .collect();
    assert!(details.iter().any(|job| job["JobStatus"] == "COMPLETE"));
    assert!(
        details
            .iter()
            .any(|job| job["JobType"] == "VERFIY_FIRMWARE")
    );
    assert!(
        details
            .iter()
            .all(|job| job.get("NeedConfirm").is_none() && job.get("JobDesc").is_none())
    );
    for job in &fleet.jobs {
        assert!(!job.tasks.contains_key("CONFIRM"));
        check_job_is_as_it_really_is(&sim, job);
        for row in all_rows(&sim, &job.id, None) {
            assert!(row.get("Timeout").is_none());
        }
    }
    let confirm = sim.send(
        "ListOTATaskByJob",
        &[("JobId", &sim.some_job()), ("TaskStatus", "CONFIRM")],
    );
    check_product(&confirm, "iot.common.InvalidFormattedParameter");
}
