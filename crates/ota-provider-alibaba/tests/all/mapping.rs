//! Whole documents: every field of the vendor's pages arrives where the model has its home.

use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, ProviderName, TaskId};
use ota_core::job::{
    Detail, Group, Job, JobKind, JobPurpose, JobStatus, Overwrite, Package, Policy, Schedule,
    ScheduleMode, Scope, Selection, Target,
};
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, TaskFilter};
use ota_core::task::{Device, Failure, Task, TaskStage, TaskStatus};
use ota_core::vendor::VendorDetail;
use serde_json::{Map, Value, json};
use time::macros::datetime;

use crate::server::{Server, answer, context, json_answer};

fn provider() -> ProviderName {
    ProviderName::parse("aliyun-test").unwrap()
}

fn vendor(status: &str, fields: Value) -> VendorDetail {
    let fields: Map<String, Value> = fields.as_object().unwrap().clone();
    VendorDetail {
        name: "alibaba-iot",
        status: Some(status.into()),
        fields,
    }
}

fn sample_tasks(timeouts: [Option<u64>; 2]) -> Vec<Task> {
    let task = |id: &str, status: &str, mapped, timeout| {
        let mut task = Task::new(
            provider(),
            JobId::from("7glPHmaDYLAYMD1HHutT02****"),
            TaskId::from(id),
            mapped,
            vendor(status, json!({})),
        );
        task.package_id = Some(PackageId::from("q3j9OYBjUAZMv1hlMgdo03****"));
        task.from_version = Some("1.0.0".into());
        task.to_version = Some("1.0.1".into());
        task.timeout_s = timeout;
        task
    };
    let device = |id: &str, name: &str| Device {
        id: Some(DeviceId::from(id)),
        name: Some(DeviceName::from(name)),
        product_id: Some(ProductId::from("a1GUfrM****")),
        product_name: Some("MyProduct".into()),
    };
    let mut failed = task(
        "y3tOmCDNgpR8F9jnVEzC01****",
        "FAILED",
        TaskStatus::Failed,
        timeouts[0],
    );
    failed.device = device("SR8FiTu1R9tlUR2V1bmi00105****", "testDevice1");
    failed.progress_percent = Some(0.0);
    failed.message = Some("report version is not conform".into());
    failed.failure = Some(Failure::VersionMismatch);
    failed.created_at = Some(datetime!(2019-11-04 03:38:15 UTC));
    failed.updated_at = failed.created_at;
    let mut succeeded = task(
        "ZS9sNBb1ahsu6khqr9II01****",
        "SUCCEEDED",
        TaskStatus::Succeeded,
        timeouts[1],
    );
    succeeded.device = device("nadRdeffljdEndlfadgadfse****", "testDevice2");
    succeeded.progress_percent = Some(100.0);
    succeeded.created_at = Some(datetime!(2019-11-04 03:38:22 UTC));
    succeeded.updated_at = succeeded.created_at;
    vec![failed, succeeded]
}

#[tokio::test]
async fn every_sample_of_list_ota_task_by_job_arrives_whole() {
    let with_timeout = [Some(1440 * 60), Some(1000 * 60)];
    for (body, timeouts) in [
        (
            include_str!("../fixtures/list-ota-task-by-job.en.json"),
            with_timeout,
        ),
        (
            include_str!("../fixtures/list-ota-task-by-job.en.xml"),
            with_timeout,
        ),
        (
            include_str!("../fixtures/list-ota-task-by-job.ja.json"),
            with_timeout,
        ),
        (
            include_str!("../fixtures/list-ota-task-by-job.ja.xml"),
            with_timeout,
        ),
        (
            include_str!("../fixtures/list-ota-task-by-job.zh.json"),
            [None, None],
        ),
        (
            include_str!("../fixtures/list-ota-task-by-job.zh.xml"),
            [None, None],
        ),
    ] {
        // XML comes under the content type of JSON here: only the body decides.
        let server = Server::fixed(200, "application/json", body).await;
        let request = ListTasks {
            job_id: JobId::from("7glPHmaDYLAYMD1HHutT02****"),
            filter: TaskFilter::default(),
            page_size: 50,
            cursor: None,
        };
        let page = server
            .provider()
            .list_tasks(&context(), request)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(page.items, sample_tasks(timeouts));
        assert_eq!(
            (page.total, page.next, page.truncated),
            (Some(2), None, false)
        );
        assert!(
            server.drift.snapshot().is_empty(),
            "{:?}",
            server.drift.snapshot()
        );
    }
}

async fn get_job(body: impl Into<String>) -> (Job, Server) {
    let server = Server::fixed(200, "application/json", body).await;
    let request = GetJob {
        job_id: JobId::from("HvKuBpuk3rdk6E92CP****0200"),
    };
    (
        server
            .provider()
            .get_job(&context(), request)
            .await
            .unwrap()
            .unwrap(),
        server,
    )
}

#[tokio::test]
async fn the_sample_of_query_ota_job_arrives_whole() {
    let mut expected = Job::new(
        provider(),
        JobId::from("HvKuBpuk3rdk6E92CP****0200"),
        JobStatus::InProgress,
        Detail::Full,
        vendor("IN_PROGRESS", json!({"MultiModuleMode": true})),
    );
    expected.kind = Some(JobKind::Firmware);
    expected.purpose = Some(JobPurpose::Upgrade);
    expected.description = Some("batch upgrade".into());
    expected.package = Some(Package {
        id: Some(PackageId::from("UfuxnwygsuSkVE0VCN****0100")),
        name: Some("firmware2".into()),
        version: Some("1.0.1".into()),
        product_id: Some(ProductId::from("a19mzPZ****")),
    });
    expected.source_versions = vec!["1.0.0".into()];
    expected.target = Target {
        selection: Some(Selection::Static),
        scope: Some(Scope::Devices),
        product_id: Some(ProductId::from("a19mzPZ****")),
        ..Target::default()
    };
    expected.policy = Policy {
        max_retries: Some(1),
        retry_interval_s: Some(3600),
        timeout_s: Some(300),
        max_devices_per_minute: Some(1000),
        requires_confirmation: Some(true),
        pushed: Some(false),
        overwrite: Some(Overwrite::KeepPending),
        download_protocol: Some("HTTPS".into()),
    };
    expected.created_at = Some(datetime!(2019-12-28 02:43:10 UTC));
    expected.updated_at = expected.created_at;
    expected.started_at = expected.created_at;
    expected.ended_at = Some(datetime!(2019-12-29 02:43:10 UTC));
    let (job, server) = get_job(include_str!("../fixtures/query-ota-job.zh.json")).await;
    assert_eq!(job, expected);
    assert!(server.drift.snapshot().is_empty());
    // In XML a flag without a home stays the text that it is.
    expected.vendor.fields = json!({"MultiModuleMode": "true"})
        .as_object()
        .unwrap()
        .clone();
    let (job, _server) = get_job(include_str!("../fixtures/query-ota-job.zh.xml")).await;
    assert_eq!(job, expected);
}

#[tokio::test]
async fn every_field_of_the_job_table_has_a_home() {
    let (job, server) = get_job(include_str!("../fixtures/query-ota-job.every-field.json")).await;
    let mut expected = Job::new(
        provider(),
        JobId::from("HvKuBpuk3rdk6E92CP****0200"),
        JobStatus::Pending,
        Detail::Full,
        vendor(
            "PLANNED",
            json!({"MultiModuleMode": false, "DynamicMode": 1}),
        ),
    );
    expected.kind = Some(JobKind::Firmware);
    expected.purpose = Some(JobPurpose::Verify);
    expected.description = Some("batch upgrade".into());
    expected.package = Some(Package {
        id: Some(PackageId::from("UfuxnwygsuSkVE0VCN****0100")),
        name: Some("Firmware2".into()),
        version: Some("1.0.1".into()),
        product_id: Some(ProductId::from("a19mzPZ****")),
    });
    expected.source_versions = vec!["1.0.0".into(), "0.9.0".into()];
    expected.target = Target {
        selection: Some(Selection::Dynamic),
        scope: Some(Scope::Percentage),
        percentage: Some(50.0),
        groups: vec![Group {
            id: Some("CtjzCkNuOxUR***".into()),
            name: Some("test".into()),
        }],
        product_id: Some(ProductId::from("a19mzPZ****")),
        ..Target::default()
    };
    expected.schedule = Schedule {
        mode: Some(ScheduleMode::Scheduled),
        starts_at: Some(datetime!(2019-12-29 02:43:10 UTC)),
        ends_at: Some(datetime!(2019-12-30 02:43:10 UTC)),
    };
    expected.policy = Policy {
        max_retries: Some(1),
        retry_interval_s: Some(3600),
        timeout_s: Some(300),
        max_devices_per_minute: Some(1000),
        requires_confirmation: Some(false),
        pushed: Some(true),
        overwrite: Some(Overwrite::ReplacePending),
        download_protocol: Some("HTTPS".into()),
    };
    expected.tags = vec![
        ("key1".into(), "value1".into()),
        ("key2".into(), String::new()),
    ];
    expected.created_at = Some(datetime!(2019-12-28 02:43:10 UTC));
    expected.updated_at = Some(datetime!(2019-12-28 02:43:11 UTC));
    expected.started_at = Some(datetime!(2019-12-29 02:43:12 UTC));
    expected.ended_at = Some(datetime!(2019-12-29 02:43:13.5 UTC));
    assert_eq!(job, expected);
    assert!(server.drift.snapshot().is_empty());
}

#[tokio::test]
async fn a_list_row_gets_name_and_version_from_the_package_of_the_list() {
    let server = Server::start(
        |seen| match (seen.operation.as_str(), seen.param("FirmwareId")) {
            ("ListOTAFirmware", _) => answer(
                200,
                "application/json",
                include_str!("../fixtures/list-ota-firmware.json"),
            ),
            (_, "pkgA0100") => answer(
                200,
                "application/json",
                include_str!("../fixtures/list-ota-job-by-firmware.json"),
            ),
            _ => {
                json_answer(json!({"Success": true, "Total": 0, "Data": {"SimpleOTAJobInfo": []}}))
            }
        },
    )
    .await;
    let request = ListJobs {
        filter: JobFilter::default(),
        page_size: 50,
        cursor: None,
    };
    let page = server
        .provider()
        .list_jobs(&context(), request)
        .await
        .unwrap();
    let mut expected = Job::new(
        provider(),
        JobId::from("jobA10200"),
        JobStatus::Completed,
        Detail::Summary,
        vendor("COMPLETE", json!({})),
    );
    expected.kind = Some(JobKind::Firmware);
    expected.purpose = Some(JobPurpose::Upgrade);
    expected.package = Some(Package {
        id: Some(PackageId::from("pkgA0100")),
        name: Some("Firmware A".into()),
        version: Some("2.0.0".into()),
        product_id: Some(ProductId::from("a1One")),
    });
    expected.target = Target {
        selection: Some(Selection::Static),
        scope: Some(Scope::All),
        product_id: Some(ProductId::from("a1One")),
        ..Target::default()
    };
    expected.tags = vec![("key1".into(), "value1".into())];
    expected.created_at = Some(datetime!(2020-01-02 00:00 UTC));
    expected.updated_at = Some(datetime!(2020-01-03 00:00 UTC));
    expected.started_at = Some(datetime!(2020-01-02 01:00 UTC));
    expected.ended_at = Some(datetime!(2020-01-03 00:00 UTC));
    assert_eq!(page.items, [expected]);
    assert_eq!((page.next, page.total), (None, None));
}

#[tokio::test]
async fn a_row_that_is_not_understood_arrives_as_far_as_it_was() {
    let server = Server::fixed(
        200,
        "application/json",
        json!({"Success": true, "Total": 4, "Data": {"SimpleOTATaskInfo": [
            {"TaskId": "t1", "TaskStatus": "MELTED", "UtcCreate": "yesterday", "Progress": "almost", "Timeout": null, "Colour": "red"},
            {"TaskId": "t2", "TaskStatus": "CONFIRM", "Progress": 12.5, "Timeout": 5, "TaskDesc": "see https://u:p@oss/x?sig=1"},
            "not a row",
            {"TaskId": 3, "TaskStatus": null, "DeviceName": {"deep": true}},
        ]}})
        .to_string(),
    )
    .await;
    let request = ListTasks {
        job_id: JobId::from("j"),
        filter: TaskFilter::default(),
        page_size: 50,
        cursor: None,
    };
    let page = server
        .provider()
        .list_tasks(&context(), request)
        .await
        .unwrap()
        .unwrap();
    // One of the four that the vendor counts is not a row.
    assert_eq!((page.total, page.truncated), (None, true));
    let [first, second, third] = &page.items[..] else {
        panic!("{:?}", page.items)
    };
    assert_eq!(first.status, TaskStatus::Unknown);
    assert_eq!(
        first.vendor,
        vendor(
            "MELTED",
            json!({"UtcCreate": "yesterday", "Progress": "almost", "Colour": "red"})
        )
    );
    assert_eq!(
        (first.created_at, first.progress_percent, first.failure),
        (None, None, None)
    );
    assert_eq!(
        (second.status, second.stage),
        (TaskStatus::Pending, Some(TaskStage::AwaitingConfirmation))
    );
    assert_eq!(
        (second.progress_percent, second.timeout_s),
        (Some(12.5), Some(300))
    );
    assert_eq!(second.message.as_deref(), Some("see https://oss/x"));
    assert_eq!(
        (third.id.as_str(), third.vendor.status.as_deref()),
        ("3", None)
    );
    assert_eq!(
        third.vendor.fields.get("DeviceName"),
        Some(&json!({"deep": true}))
    );
    let drift: Vec<_> = server
        .drift
        .snapshot()
        .into_keys()
        .map(|(kind, _, field)| (kind.as_str(), field))
        .collect();
    for expected in [
        ("word", "TaskStatus"),
        ("field", "Colour"),
        ("value", "UtcCreate"),
        ("value", "Progress"),
    ] {
        assert!(
            drift.contains(&(expected.0, expected.1.to_owned())),
            "{drift:?}"
        );
    }
}

#[tokio::test]
async fn labels_of_one_name_are_kept_as_they_came() {
    let list = json!([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]);
    let body = json!({"Success": true, "NewMember": 1, "Data": {"JobStatus": "PLANNED", "Tags": {"OtaTagDTO": list}}});
    let (job, server) = get_job(body.to_string()).await;
    assert_eq!(job.vendor.fields.get("Tags"), Some(&list));
    let drift: Vec<_> = server
        .drift
        .snapshot()
        .into_keys()
        .map(|(_, _, field)| field)
        .collect();
    assert_eq!(drift, ["NewMember"]);
}

#[tokio::test]
async fn a_job_that_the_vendor_does_not_know_is_none() {
    for body in [
        json!({"Success": false, "Code": "iot.ota.JobNotFound", "ErrorMessage": "x"}),
        json!({"Success": true}),
        json!({"Success": true, "Data": {}}),
        json!({"Success": true, "Data": ""}),
    ] {
        let server = Server::fixed(200, "application/json", body.to_string()).await;
        let job = server
            .provider()
            .get_job(
                &context(),
                GetJob {
                    job_id: JobId::from("j"),
                },
            )
            .await;
        assert!(matches!(job, Ok(None)), "{job:?}");
    }
}
