//! What is sent.

use ota_core::id::{DeviceName, JobId, PackageId, ProductId};
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, TaskFilter};
use serde_json::json;

use crate::server::{Seen, Server, TOKEN, context, json_answer};

async fn empty() -> Server {
    Server::start(|_| json_answer(json!({"Success": true, "Total": 0, "Data": {}}))).await
}

async fn one_call(server: &Server, settings: serde_json::Value, job_id: &str) -> Seen {
    let provider = server.provider_with(settings);
    assert!(matches!(
        provider
            .get_job(
                &context(),
                GetJob {
                    job_id: JobId::from(job_id)
                }
            )
            .await,
        Ok(None)
    ));
    server.seen().pop().unwrap()
}

#[tokio::test]
async fn acs3_is_the_default_and_every_attempt_has_its_own_nonce() {
    let server = empty().await;
    let first = one_call(&server, json!({}), "j").await;
    let second = one_call(&server, json!({}), "j").await;
    assert!(
        first.headers["authorization"]
            .to_str()
            .unwrap()
            .starts_with("ACS3-HMAC-SHA256 Credential=LTAItestkey,")
    );
    assert_eq!(first.headers["x-acs-version"], "2018-01-20");
    assert_eq!(first.headers["accept"], "application/json");
    assert_eq!(first.headers["x-acs-signature-nonce"].len(), 32);
    assert_ne!(
        first.headers["authorization"],
        second.headers["authorization"]
    );
    assert_eq!(first.params.keys().collect::<Vec<_>>(), ["JobId"]);
    assert!(!first.headers.contains_key("x-acs-security-token"));
}

#[tokio::test]
async fn an_sts_token_and_an_instance_are_sent_and_signed() {
    let server = empty().await;
    let seen = one_call(
        &server,
        json!({"security_token": TOKEN, "instance_id": "iot-cn-1"}),
        "j",
    )
    .await;
    assert_eq!(seen.headers["x-acs-security-token"], TOKEN);
    assert!(
        seen.headers["authorization"]
            .to_str()
            .unwrap()
            .contains("x-acs-security-token;")
    );
    assert_eq!(seen.param("IotInstanceId"), "iot-cn-1");
    let seen = one_call(
        &server,
        json!({"security_token": TOKEN, "signature": "hmac-sha1", "format": "xml"}),
        "j",
    )
    .await;
    assert_eq!(
        (seen.param("SecurityToken"), seen.param("Format")),
        (TOKEN, "XML")
    );
    assert_eq!(
        (seen.param("RegionId"), seen.param("SignatureMethod")),
        ("cn-shanghai", "HMAC-SHA1")
    );
    assert!(!seen.params.contains_key("IotInstanceId"));
    assert_eq!(seen.params["Signature"].len(), 28);
}

#[tokio::test]
async fn identifiers_arrive_letter_for_letter_and_never_leave_the_path() {
    let server = empty().await;
    let long = "设".repeat(5000);
    for signature in ["acs3", "hmac-sha1"] {
        for id in [
            "a/b",
            "..",
            "../..",
            " a b ",
            "?x=1&JobId=other",
            "设备#1",
            "%2e%2e",
            long.as_str(),
        ] {
            let seen = one_call(&server, json!({"signature": signature}), id).await;
            assert_eq!(seen.param("JobId"), id);
            assert_eq!(seen.uri.split('?').next(), Some("/"));
        }
        // What would make the request line too long travels in the body.
        let seen = one_call(&server, json!({"signature": signature}), &long).await;
        assert!(seen.uri.len() < 8192 && seen.body.contains("JobId="));
        assert_eq!(
            seen.headers["content-type"],
            "application/x-www-form-urlencoded"
        );
    }
}

#[tokio::test]
async fn page_numbers_are_always_sent() {
    let server = empty().await;
    let request = ListTasks {
        job_id: JobId::from("j"),
        filter: TaskFilter::default(),
        page_size: 7,
        cursor: None,
    };
    server
        .provider()
        .list_tasks(&context(), request)
        .await
        .unwrap();
    let seen = server.seen().remove(0);
    assert_eq!(
        (seen.param("CurrentPage"), seen.param("PageSize")),
        ("1", "7")
    );
}

#[tokio::test]
async fn a_package_is_asked_for_alone_and_a_device_by_its_own_operation() {
    let server = empty().await;
    let mut filter = JobFilter {
        package_id: Some(PackageId::from("pkg")),
        ..JobFilter::default()
    };
    let list = |filter: JobFilter| ListJobs {
        filter,
        page_size: 50,
        cursor: None,
    };
    server
        .provider()
        .list_jobs(&context(), list(filter.clone()))
        .await
        .unwrap();
    filter.product_id = Some(ProductId::from("prod"));
    filter.device_name = Some(DeviceName::from("dev"));
    server
        .provider()
        .list_jobs(&context(), list(filter.clone()))
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(
        seen.iter()
            .map(|seen| seen.operation.as_str())
            .collect::<Vec<_>>(),
        ["ListOTAJobByFirmware", "ListOTAJobByDevice"]
    );
    assert_eq!(
        (
            seen[1].param("FirmwareId"),
            seen[1].param("ProductKey"),
            seen[1].param("DeviceName")
        ),
        ("pkg", "prod", "dev")
    );
    filter.package_id = None;
    let error = server
        .provider()
        .list_jobs(&context(), list(filter))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ota_core::ErrorKind::Unsupported, Some("device_name"))
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn device_names_are_asked_in_batches_that_fit_the_page() {
    let server = Server::start(|seen| {
        let names = seen.params.iter().filter(|(name, _)| name.starts_with("DeviceNames."));
        let rows: Vec<_> = names
            .map(|(_, device)| json!({"TaskId": format!("t-{device}"), "DeviceName": device, "TaskStatus": "FAILED"}))
            .collect();
        json_answer(json!({"Success": true, "Total": rows.len(), "Data": {"SimpleOTATaskInfo": rows}}))
    })
    .await;
    let device_names: Vec<_> = (0..45)
        .map(|number| DeviceName::from(format!("d{number}")))
        .collect();
    let mut cursor = None;
    let mut ids = Vec::new();
    loop {
        let filter = TaskFilter {
            device_names: device_names.clone(),
            ..TaskFilter::default()
        };
        let request = ListTasks {
            job_id: JobId::from("j"),
            filter,
            page_size: 20,
            cursor,
        };
        let page = server
            .provider()
            .list_tasks(&context(), request)
            .await
            .unwrap()
            .unwrap();
        assert!(page.items.len() <= 20);
        ids.extend(page.items.into_iter().map(|task| task.id.into_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 45);
    assert_eq!(server.seen().len(), 3);
}
