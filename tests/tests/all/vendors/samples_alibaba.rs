//! The sample answers of Alibaba's pages, compared as whole documents.

use ota_tests::{Answer, Gateway, Script, Section};
use serde_json::{Value, json};

use crate::setup::{ALI, World};

/// A vendor that gives every call of an operation the same answer.
async fn vendor(answers: &'static [(&'static str, &'static str)]) -> (Script, Gateway) {
    let script = Script::start(move |seen| {
        let answer = answers
            .iter()
            .find(|(operation, _)| *operation == seen.action());
        match answer {
            Some((_, body)) if body.starts_with('<') => Answer::xml(*body),
            Some((_, body)) => Answer::json(*body),
            None => Answer::Whole(404, "text/plain", String::new()),
        }
    })
    .await;
    let gateway = Gateway::start(&[Section::alibaba(ALI, &script.url())]).await;
    (script, gateway)
}

/// A document without the time of the answer, which was compared with the header on the way.
fn timeless(mut document: Value) -> Value {
    let as_of = document.as_object_mut().unwrap().remove("as_of");
    assert!(as_of.is_none_or(|time| time.is_string()));
    document
}

async fn job(answers: &'static [(&'static str, &'static str)]) -> Value {
    let (_script, gateway) = vendor(answers).await;
    let path = format!("{}/HvKuBpuk3rdk6E92CP****0200", World::jobs_path(ALI));
    gateway.get(&path).await.ok()
}

fn sample_job() -> Value {
    json!({
        "provider": ALI,
        "id": "HvKuBpuk3rdk6E92CP****0200",
        "status": "in_progress",
        "kind": "firmware",
        "purpose": "upgrade",
        "description": "batch upgrade",
        "package": {
            "id": "UfuxnwygsuSkVE0VCN****0100", "name": "firmware2", "version": "1.0.1", "product_id": "a19mzPZ****",
        },
        "source_versions": ["1.0.0"],
        "target": {"selection": "static", "scope": "devices", "product_id": "a19mzPZ****"},
        "policy": {
            "max_retries": 1, "retry_interval_s": 3600, "timeout_s": 300, "max_devices_per_minute": 1000,
            "requires_confirmation": true, "pushed": false, "overwrite": "keep_pending", "download_protocol": "HTTPS",
        },
        "created_at": "2019-12-28T02:43:10Z",
        "updated_at": "2019-12-28T02:43:10Z",
        "started_at": "2019-12-28T02:43:10Z",
        "ended_at": "2019-12-29T02:43:10Z",
        "vendor": {"name": "alibaba-iot", "status": "IN_PROGRESS", "fields": {"MultiModuleMode": true}},
        "detail": "full",
    })
}

#[tokio::test]
async fn the_sample_of_query_ota_job_arrives_whole_in_json() {
    let answers = &[(
        "QueryOTAJob",
        include_str!("../../fixtures/query-ota-job.zh.json"),
    )];
    assert_eq!(job(answers).await, sample_job());
}

#[tokio::test]
async fn the_sample_of_query_ota_job_arrives_whole_in_xml_though_json_was_asked_for() {
    let answers = &[(
        "QueryOTAJob",
        include_str!("../../fixtures/query-ota-job.zh.xml"),
    )];
    let mut expected = sample_job();
    // In XML a flag without a home of ours stays the text that it is.
    expected["vendor"]["fields"]["MultiModuleMode"] = json!("true");
    assert_eq!(job(answers).await, expected);
}

#[tokio::test]
async fn every_field_of_the_table_of_query_ota_job_has_its_home() {
    let answers = &[(
        "QueryOTAJob",
        include_str!("../../fixtures/query-ota-job.every-field.json"),
    )];
    let expected = json!({
        "provider": ALI,
        "id": "HvKuBpuk3rdk6E92CP****0200",
        "status": "pending",
        "kind": "firmware",
        "purpose": "verify",
        "description": "batch upgrade",
        "package": {
            "id": "UfuxnwygsuSkVE0VCN****0100", "name": "Firmware2", "version": "1.0.1", "product_id": "a19mzPZ****",
        },
        "source_versions": ["1.0.0", "0.9.0"],
        "target": {
            "selection": "dynamic", "scope": "percentage", "percentage": 50.0,
            "groups": [{"id": "CtjzCkNuOxUR***", "name": "test"}], "product_id": "a19mzPZ****",
        },
        "schedule": {
            "mode": "scheduled", "starts_at": "2019-12-29T02:43:10Z", "ends_at": "2019-12-30T02:43:10Z",
        },
        "policy": {
            "max_retries": 1, "retry_interval_s": 3600, "timeout_s": 300, "max_devices_per_minute": 1000,
            "requires_confirmation": false, "pushed": true, "overwrite": "replace_pending", "download_protocol": "HTTPS",
        },
        "tags": {"key1": "value1", "key2": ""},
        "created_at": "2019-12-28T02:43:10Z",
        "updated_at": "2019-12-28T02:43:11Z",
        "started_at": "2019-12-29T02:43:12Z",
        "ended_at": "2019-12-29T02:43:13.5Z",
        "vendor": {
            "name": "alibaba-iot", "status": "PLANNED", "fields": {"MultiModuleMode": false, "DynamicMode": 1},
        },
        "detail": "full",
    });
    assert_eq!(job(answers).await, expected);
}

fn sample_tasks() -> Value {
    let row = |changes: Value| -> Value {
        let mut row = json!({
            "provider": ALI,
            "job_id": "7glPHmaDYLAYMD1HHutT02****",
            "package_id": "q3j9OYBjUAZMv1hlMgdo03****",
            "from_version": "1.0.0",
            "to_version": "1.0.1",
        });
        for (name, value) in changes.as_object().unwrap() {
            row[name] = value.clone();
        }
        row
    };
    let device = |id: &str, name: &str| json!({"id": id, "name": name, "product_id": "a1GUfrM****", "product_name": "MyProduct"});
    json!({
        "items": [
            row(json!({
                "id": "y3tOmCDNgpR8F9jnVEzC01****",
                "device": device("SR8FiTu1R9tlUR2V1bmi00105****", "testDevice1"),
                "status": "failed",
                "progress_percent": 0.0,
                "message": "report version is not conform",
                "failure": "version_mismatch",
                "timeout_s": 86400,
                "created_at": "2019-11-04T03:38:15Z",
                "updated_at": "2019-11-04T03:38:15Z",
                "vendor": {"name": "alibaba-iot", "status": "FAILED"},
            })),
            row(json!({
                "id": "ZS9sNBb1ahsu6khqr9II01****",
                "device": device("nadRdeffljdEndlfadgadfse****", "testDevice2"),
                "status": "succeeded",
                "progress_percent": 100.0,
                "timeout_s": 60000,
                "created_at": "2019-11-04T03:38:22Z",
                "updated_at": "2019-11-04T03:38:22Z",
                "vendor": {"name": "alibaba-iot", "status": "SUCCEEDED"},
            })),
        ],
        "total": 2,
        "stale": false,
        "truncated": false,
    })
}

async fn tasks(answers: &'static [(&'static str, &'static str)]) -> Value {
    let (_script, gateway) = vendor(answers).await;
    let path = format!("{}/7glPHmaDYLAYMD1HHutT02****/tasks", World::jobs_path(ALI));
    timeless(gateway.get(&path).await.ok())
}

#[tokio::test]
async fn every_sample_of_list_ota_task_by_job_arrives_whole() {
    const NEWER: [&[(&str, &str)]; 4] = [
        &[(
            "ListOTATaskByJob",
            include_str!("../../fixtures/list-ota-task-by-job.en.json"),
        )],
        &[(
            "ListOTATaskByJob",
            include_str!("../../fixtures/list-ota-task-by-job.en.xml"),
        )],
        &[(
            "ListOTATaskByJob",
            include_str!("../../fixtures/list-ota-task-by-job.ja.json"),
        )],
        &[(
            "ListOTATaskByJob",
            include_str!("../../fixtures/list-ota-task-by-job.ja.xml"),
        )],
    ];
    for answers in NEWER {
        assert_eq!(tasks(answers).await, sample_tasks());
    }
    // The oldest edition has no time limit.
    const OLDEST: [&[(&str, &str)]; 2] = [
        &[(
            "ListOTATaskByJob",
            include_str!("../../fixtures/list-ota-task-by-job.zh.json"),
        )],
        &[(
            "ListOTATaskByJob",
            include_str!("../../fixtures/list-ota-task-by-job.zh.xml"),
        )],
    ];
    let mut expected = sample_tasks();
    for row in expected["items"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("timeout_s");
    }
    for answers in OLDEST {
        assert_eq!(tasks(answers).await, expected);
    }
}

#[tokio::test]
async fn a_list_row_has_name_and_version_of_the_package_that_lists_it() {
    let script = Script::start(|seen| match seen.action() {
        "ListOTAFirmware" => Answer::json(include_str!("../../fixtures/list-ota-firmware.json")),
        "ListOTAJobByFirmware" if seen.target.contains("FirmwareId=pkgA0100") => {
            Answer::json(include_str!("../../fixtures/list-ota-job-by-firmware.json"))
        }
        _ => Answer::json(r#"{"Success": true, "Total": 0, "Data": {"SimpleOTAJobInfo": []}}"#),
    })
    .await;
    let gateway = Gateway::start(&[Section::alibaba(ALI, &script.url())]).await;
    let page = timeless(gateway.get(&World::jobs_path(ALI)).await.ok());
    let expected = json!({
        "items": [{
            "provider": ALI,
            "id": "jobA10200",
            "status": "completed",
            "kind": "firmware",
            "purpose": "upgrade",
            "package": {"id": "pkgA0100", "name": "Firmware A", "version": "2.0.0", "product_id": "a1One"},
            "target": {"selection": "static", "scope": "all", "product_id": "a1One"},
            "tags": {"key1": "value1"},
            "created_at": "2020-01-02T00:00:00Z",
            "updated_at": "2020-01-03T00:00:00Z",
            "started_at": "2020-01-02T01:00:00Z",
            "ended_at": "2020-01-03T00:00:00Z",
            "vendor": {"name": "alibaba-iot", "status": "COMPLETE"},
            "detail": "summary",
        }],
        "stale": false,
        "truncated": false,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn a_url_in_a_vendors_text_loses_its_credentials() {
    let body = r#"{"Success": true, "Total": 1, "Data": {"SimpleOTATaskInfo": [{
        "TaskId": "t1", "TaskStatus": "FAILED",
        "TaskDesc": "GET https://user:pw@oss.example.com/a.bin?Expires=1&Signature=SECRETSIGN gave 403",
        "Url": "https://oss.example.com/a.bin?OSSAccessKeyId=x&Signature=SECRETSIGN"}]}}"#;
    let script = Script::start(move |_| Answer::json(body)).await;
    let gateway = Gateway::start(&[Section::alibaba(ALI, &script.url())]).await;
    let reply = gateway
        .get(&format!("{}/j/tasks", World::jobs_path(ALI)))
        .await;
    let task = reply.ok()["items"][0].clone();
    assert_eq!(
        task["message"],
        "GET https://oss.example.com/a.bin gave 403"
    );
    assert_eq!(
        task["vendor"]["fields"]["Url"],
        "https://oss.example.com/a.bin"
    );
    for hidden in ["SECRETSIGN", "user:pw", "OSSAccessKeyId"] {
        assert!(!reply.text().contains(hidden), "{hidden}");
    }
}
