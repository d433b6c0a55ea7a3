//! Fields at places that the operator has configured: `extendPara` and `extendInfo` hold what no document fixes.

use ota_core::ErrorKind;
use ota_core::capability::{Capability, Support};
use ota_core::configured_fields::{ConfigurableField, FieldUse};
use ota_core::job::Job;
use ota_core::provider::{JobReader, Provider, TaskFilter};
use serde_json::{Value, json};

use crate::vendor::{Reply, Subject, Vendor, job, jobs, tasks};

const VERSION: (ConfigurableField, &str) =
    (ConfigurableField::PackageVersion, "extendPara.fileVersion");
const NAME: (ConfigurableField, &str) = (ConfigurableField::PackageName, "extendPara.files.0.name");
const DEVICE: (ConfigurableField, &str) = (ConfigurableField::DeviceName, "extendInfo.deviceName");

/// What different platforms put into `extendPara`, with the version that is found.
fn extensions() -> Vec<(Value, Option<&'static str>)> {
    vec![
        (json!({"fileVersion": "V1.1.10"}), Some("V1.1.10")),
        (json!("{\"fileVersion\": \"V2\"}"), Some("V2")),
        (json!({"fileVersion": 3}), Some("3")),
        (json!({"fileVersion": {"major": 4}}), None),
        (json!({"fileVersion": null}), None),
        (json!({"version": "V5"}), None),
        (json!("{\"fileVersion\": \"V6\""), None),
        (json!(null), None),
        (json!(7), None),
    ]
}

fn row(number: usize, extension: &Value) -> Value {
    json!({"operationId": format!("op-{number}"), "status": "wait", "extendPara": extension})
}

/// A platform whose jobs have each kind of `extendPara`.
async fn platform() -> Vendor {
    Vendor::with_logins(|seen| {
        let extensions = extensions();
        let rows: Vec<Value> = extensions
            .iter()
            .enumerate()
            .map(|(number, (extension, _))| row(number, extension))
            .collect();
        let one = seen.path.rsplit_once("/op-");
        Reply::ok(&match one.and_then(|(_, number)| number.parse().ok()) {
            Some(number) => row(number, &extensions[number].0),
            None => json!({"data": rows, "totalCount": rows.len()}),
        })
    })
    .await
}

fn version(job: &Job) -> Option<&str> {
    job.package.as_ref()?.version.as_deref()
}

#[tokio::test]
async fn the_version_is_in_lists_and_in_single_jobs() {
    let vendor = platform().await;
    let subject = Subject::with_fields(&vendor.endpoint, &[VERSION]);
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(Default::default()))
        .await;
    let page = page.unwrap();
    for (number, (extension, expected)) in extensions().iter().enumerate() {
        let listed = &page.items[number];
        assert_eq!(version(listed), *expected, "{extension}");
        let id = format!("op-{number}");
        let one = subject.provider.get_job(&subject.context(), job(&id)).await;
        let one = one.unwrap().unwrap();
        assert_eq!(&one, listed, "{extension}");
        // What the platform sent stays as it is, and a package without a field is none.
        let kept = one.vendor.fields.get("extendPara");
        assert_eq!(kept, (!extension.is_null()).then_some(extension));
        assert_eq!(one.package.is_some(), expected.is_some(), "{extension}");
    }
    let rows = 2 * extensions().len() as u64;
    let used = FieldUse {
        field: VERSION.0,
        path: VERSION.1.to_owned(),
        rows,
        found: 6,
    };
    assert_eq!(subject.fields.uses(), [used]);
    assert!(subject.drift.snapshot().is_empty(), "no drift");
}

#[tokio::test]
async fn without_a_configured_place_nothing_is_taken_from_extensions() {
    let vendor = platform().await;
    let subject = Subject::new(&vendor.endpoint);
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(Default::default()))
        .await;
    assert!(page.unwrap().items.iter().all(|job| job.package.is_none()));
    let capability: &Capability = subject.provider.capability();
    assert!(capability.configured_fields.is_empty());
    assert_eq!(capability.task_filters.device_name, Support::No);
}

#[tokio::test]
async fn the_vendors_example_has_its_version() {
    let example = include_str!("../fixtures/list_vendor_example.json");
    let vendor = Vendor::with_logins(move |_| Reply::json(200, example)).await;
    let fields = [VERSION, NAME];
    let subject = Subject::with_fields(&vendor.endpoint, &fields);
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(Default::default()))
        .await;
    let package = page.unwrap().items.remove(0).package.unwrap();
    assert_eq!(package.version.as_deref(), Some("V1.1.10"));
    assert_eq!(package.name, None);
    let never: Vec<_> = subject.fields.take_never_found().into_iter().collect();
    assert_eq!(never.len(), 1);
    assert_eq!(never[0].field, ConfigurableField::PackageName);
}

/// A job of five devices, of which four have a name.
async fn devices() -> Vendor {
    Vendor::with_logins(|_| {
        let rows: Vec<Value> = ["a", "b", "a", "", "c"]
            .iter()
            .enumerate()
            .map(|(number, name)| {
                json!({
                    "subOperationId": format!("sub-{number}"), "deviceId": format!("id-{number}"), "status": "wait",
                    "extendInfo": {"deviceName": name},
                })
            })
            .collect();
        Reply::ok(&json!({"data": rows, "totalCount": 5}))
    })
    .await
}

async fn found(subject: &Subject, names: &[&str], device_id: Option<&str>) -> Vec<String> {
    let filter = TaskFilter {
        device_names: names.iter().map(|name| (*name).into()).collect(),
        device_id: device_id.map(Into::into),
        ..TaskFilter::default()
    };
    let page = subject
        .provider
        .list_tasks(&subject.context(), tasks("op", filter))
        .await;
    let page = page.unwrap().unwrap();
    // Rows are left out here, so the vendor's total counts others.
    assert_eq!(
        page.total.is_none(),
        !names.is_empty() || device_id.is_some()
    );
    let ids = page.items.iter().map(|task| task.id.as_str().to_owned());
    ids.collect()
}

#[tokio::test]
async fn tasks_are_filtered_by_a_configured_device_name() {
    let vendor = devices().await;
    let subject = Subject::with_fields(&vendor.endpoint, &[DEVICE]);
    let capability = subject.provider.capability();
    assert_eq!(capability.task_filters.device_name, Support::Here);
    assert_eq!(capability.max_device_names, 50);
    assert_eq!(capability.job_filters.device_name, Support::No);
    assert_eq!(
        capability.configured_fields,
        [ConfigurableField::DeviceName]
    );
    assert_eq!(found(&subject, &[], None).await.len(), 5);
    assert_eq!(found(&subject, &["a"], None).await, ["sub-0", "sub-2"]);
    let both = found(&subject, &["c", "a"], None).await;
    assert_eq!(both, ["sub-0", "sub-2", "sub-4"]);
    assert!(found(&subject, &["A"], None).await.is_empty());
    assert!(found(&subject, &["d"], None).await.is_empty());
    assert_eq!(found(&subject, &["a"], Some("id-2")).await, ["sub-2"]);
    assert!(found(&subject, &["b"], Some("id-2")).await.is_empty());
}

#[tokio::test]
async fn without_a_configured_device_name_the_filter_is_refused() {
    let vendor = devices().await;
    let subject = Subject::with_fields(&vendor.endpoint, &[VERSION]);
    let filter = TaskFilter {
        device_names: vec!["a".into()],
        ..TaskFilter::default()
    };
    let error = subject
        .provider
        .list_tasks(&subject.context(), tasks("op", filter))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(vendor.calls().is_empty());
}

#[tokio::test]
async fn the_check_shows_whether_a_version_stands_there() {
    let vendor = platform().await;
    let subject = Subject::with_fields(&vendor.endpoint, &[VERSION, DEVICE]);
    subject.provider.check(&subject.context()).await.unwrap();
    let uses = subject.fields.uses();
    assert!(uses[0].rows > 0 && uses[0].found > 0, "{uses:?}");
    assert_eq!((uses[1].rows, uses[1].found), (0, 0), "it reads no task");
}
