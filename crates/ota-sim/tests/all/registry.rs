//! What holds for every simulator of the registry, and for the code that they share.

use std::collections::BTreeSet;
use std::path::Path;

use ota_sim::{SIMULATORS, Setup};

use crate::client::send;

#[test]
fn names_ports_and_vendors_are_their_own() {
    let mut seen = BTreeSet::new();
    for one in SIMULATORS {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(one.name.chars().all(fits), "{}", one.name);
        assert!(!one.account.secrets.is_empty(), "{}", one.name);
        for what in [
            format!("name {}", one.name),
            format!("port {}", one.port),
            format!("vendor {}", one.account.vendor),
            format!("provider {}", one.account.provider),
        ] {
            assert!(seen.insert(what.clone()), "two have {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_starts_without_switches_and_holds_a_fleet() {
    for one in SIMULATORS {
        let server = one.start(Setup::default()).await.unwrap();
        let health = send(server.addr(), "GET", "/_sim/health", &[], b"").unwrap();
        let health = health.text();
        assert!(health.contains(one.title), "{health}");
        let fleet = server.fleet();
        assert!(fleet.jobs.iter().any(|job| job.failed > 0));
        assert_eq!(
            fleet.task_ids(&fleet.jobs[0].id).len() as u64,
            fleet.jobs[0].total
        );
        server.stop().await;
    }
}

/// The registry and the list of modules are the only shared files that may name a vendor.
#[test]
fn shared_files_name_no_vendor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for folder in [src.clone(), src.join("fleet")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() || ["lib.rs", "registry.rs"].contains(&name) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            for one in SIMULATORS {
                assert!(!text.contains(one.name), "{name} names {}", one.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked} files");
}
