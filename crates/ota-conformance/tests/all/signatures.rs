//! What the adapter signs is what the simulator verifies, whatever is in the parameters. The two share no code.

use std::time::Duration;

use ota_core::clock::Clock;
use ota_core::context::{Context, Priority};
use ota_core::id::{DeviceName, JobId, PackageId, ProductId};
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, TaskFilter};
use ota_provider_alibaba::{AlibabaProvider, Settings};
use ota_sim::alibaba::{Config, DEMO_ACCESS_KEY_ID, start};
use ota_sim::{FleetShape, Refusal, Server};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::rig::{MAX_CALLS, Rig, Through, provider_name};

const SECRET: &str = "signed/secret+1=~*%&";
const TOKEN: &str = "signed/token+2=*~%2B";

/// Each is about six calls over a real socket.
const CASES: u32 = 64;

/// Refusals that say that a request was not read as it was signed.
const SPOILED: [Refusal; 5] = [
    Refusal::Signature,
    Refusal::Credential,
    Refusal::Nonce,
    Refusal::Clock,
    Refusal::Request,
];

/// Text with what encodings get wrong: spaces, plus signs, stars, tildes, percent signs, separators, other scripts.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ +*~%&=/?#;,.'()!a0-]{1,24}",
        "(%20|%2B|%25|%7E|\\+|%|&Signature=x|=|é|设备|😀|\u{301}){1,8}",
        "\\PC{1,40}",
        any::<String>(),
    ]
}

/// What is asked for; every text goes into a parameter.
#[derive(Debug)]
struct Asked {
    job: String,
    package: String,
    product: String,
    devices: Vec<String>,
}

fn asked() -> impl Strategy<Value = Asked> {
    // Long names make a request that travels in the body.
    let few = proptest::collection::vec(text(), 1..4);
    let long = proptest::collection::vec("[ +*~%é]{400}", 8..10);
    let devices = prop_oneof![3 => few, 1 => long];
    (text(), text(), text(), devices).prop_map(|(job, package, product, devices)| Asked {
        job,
        package,
        product,
        devices,
    })
}

async fn start_sim(rig: &Rig) -> Server {
    let config = Config {
        clock: rig.vendors.clone(),
        fleet: FleetShape::uniform(1, 2).frozen(),
        quota: None,
        access_key_secret: SECRET.to_owned(),
        security_token: Some(TOKEN.to_owned()),
        ..Config::default()
    };
    start(config).await.unwrap()
}

fn provider(rig: &Rig, server: &Server, signature: &str) -> AlibabaProvider {
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": server.url(),
        "allow_http": true,
        "access_key_id": DEMO_ACCESS_KEY_ID,
        "access_key_secret": SECRET,
        "security_token": TOKEN,
        "signature": signature,
    }))
    .unwrap();
    let config = settings.into_config().unwrap();
    AlibabaProvider::new(provider_name(), config, rig.deps.clone()).unwrap()
}

/// Asks, and checks that each text arrived as it was and that nothing was wrong with a signature.
async fn check(rig: &Rig, server: &Server, provider: &AlibabaProvider, asked: Asked) {
    server.reset_counters();
    let (cx, job_id) = (
        Context::new(
            "signatures",
            rig.clock.monotonic() + Duration::from_secs(30),
            Priority::Interactive,
        ),
        JobId::from(asked.job.as_str()),
    );
    // What the vendor answers is not asked: most of these identifiers do not exist.
    let request = GetJob {
        job_id: job_id.clone(),
    };
    let _ = provider.get_job(&cx, request).await;
    let filter = JobFilter {
        package_id: Some(PackageId::from(asked.package.as_str())),
        ..JobFilter::default()
    };
    let _ = provider.list_jobs(&cx, jobs(filter)).await;
    let filter = JobFilter {
        product_id: Some(ProductId::from(asked.product.as_str())),
        ..JobFilter::default()
    };
    let _ = provider.list_jobs(&cx, jobs(filter)).await;
    let request = ListTasks {
        job_id,
        filter: TaskFilter {
            device_names: asked
                .devices
                .iter()
                .map(String::as_str)
                .map(DeviceName::from)
                .collect(),
            ..TaskFilter::default()
        },
        page_size: 100,
        cursor: None,
    };
    let _ = provider.list_tasks(&cx, request).await;

    let counters = server.counters();
    for refusal in SPOILED {
        assert_eq!(counters.refused_for(refusal), 0, "{refusal:?} of {asked:?}");
    }
    let seen = server.requests();
    let arrived = |operation: &str, prefix: &str, value: &str| {
        seen.iter()
            .filter(|request| request.operation == operation)
            .flat_map(|request| &request.params)
            .any(|(name, other)| name.starts_with(prefix) && other == value)
    };
    for (operation, name, value) in [
        ("QueryOTAJob", "JobId", &asked.job),
        ("ListOTAJobByFirmware", "FirmwareId", &asked.package),
        ("ListOTAFirmware", "ProductKey", &asked.product),
        ("ListOTATaskByJob", "JobId", &asked.job),
    ] {
        assert!(
            arrived(operation, name, value),
            "{operation} {name} of {asked:?}"
        );
    }
    for device in &asked.devices {
        let found = arrived("ListOTATaskByJob", "DeviceNames.", device);
        assert!(found, "{device:?} of {asked:?}");
    }
}

fn jobs(filter: JobFilter) -> ListJobs {
    ListJobs {
        filter,
        page_size: 10,
        cursor: None,
    }
}

async fn every_text_is_verified(signature: &str) {
    let rig = Rig::new(Through::Open, MAX_CALLS);
    let server = start_sim(&rig).await;
    let provider = provider(&rig, &server, signature);
    let mut runner = TestRunner::default();
    let mut in_body = false;
    for _ in 0..CASES {
        let asked = asked().new_tree(&mut runner).unwrap().current();
        check(&rig, &server, &provider, asked).await;
        in_body |= server
            .requests()
            .iter()
            .any(|request| request.content_type.is_some());
    }
    assert!(in_body, "no request travelled in a body");
}

pub(crate) async fn every_text_is_signed_with_acs3_as_it_is_verified() {
    every_text_is_verified("acs3").await;
}

pub(crate) async fn every_text_is_signed_with_hmac_sha1_as_it_is_verified() {
    every_text_is_verified("hmac-sha1").await;
}
