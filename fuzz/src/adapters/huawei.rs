//! The decoder of Huawei's answers.

use ota_core::clock::{Clock, SystemClock};
use ota_core::configured_fields::{ConfigurableField, ConfiguredFields, FieldPath};
use ota_provider_huawei::internals::{Operation, Read, SECRET, read_with};
use serde_json::{Value, json};

use super::super::target::{Target, hides_the_secret};

pub(super) const TARGETS: [(&str, Target); 1] = [("huawei", huawei)];

/// Answers of Huawei's calls, and rows among good ones.
pub fn huawei(data: &[u8]) {
    let now = SystemClock.monotonic();
    let fields = configured();
    let read = |operation, status, body: &[u8]| read_with(operation, status, body, now, &fields);
    for operation in Operation::ALL {
        hides_the_secret(SECRET, read(operation, 200, data).err());
    }
    hides_the_secret(SECRET, read(Operation::Jobs, 403, data).err());
    let Ok(garbage) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let good = json!({"operationId": "o1", "status": "complete"});
    let page = json!({"data": [good, garbage, good], "totalCount": 3}).to_string();
    let Ok(Read::Jobs(jobs)) = read(Operation::Jobs, 200, page.as_bytes()) else {
        panic!("a row has failed its page");
    };
    let ids = [0, 2].map(|row| jobs[row].as_ref().map(|job| job.id.as_str()));
    assert_eq!(ids, [Some("o1"); 2]);
    assert_eq!(jobs.len(), 3);
}

/// Places that a platform may use, so that every document is also searched.
fn configured() -> ConfiguredFields {
    let paths = [
        (ConfigurableField::PackageName, "extendPara.packages.0.name"),
        (ConfigurableField::PackageVersion, "extendPara.fileVersion"),
        (ConfigurableField::DeviceName, "extendInfo.step"),
    ];
    let paths = paths.into_iter();
    ConfiguredFields::new(paths.filter_map(|(field, path)| {
        let path = FieldPath::parse(path).ok()?;
        Some((field, path))
    }))
}
