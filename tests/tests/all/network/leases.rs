//! Two gateways on one PostgreSQL database: the one that holds the vendor accounts answers the live reads of the other. And over TLS.

use std::sync::Arc;

use ota_core::clock::SystemClock;
use ota_sim::{FleetShape, Server};
use ota_tests::gateway::keeping_head;
use ota_tests::postgres::Schema;
use ota_tests::vendors::alibaba_sim;
use ota_tests::wire::until;
use ota_tests::{Gateway, PlantedStanding, Relay, Section};

use crate::network::tls::Identity;
use crate::setup::{ALI, World};

/// Starts a gateway on a database that others share.
async fn member(schema: &Schema, sim: &Server) -> (Gateway, Relay) {
    let relay = Relay::start().await;
    let text = format!(
        "{}[mirror]\ndatabase_url = \"{}\"\n[cluster]\nadvertise_url = \"http://{}\"\n{}",
        keeping_head(),
        schema.url(None),
        relay.address(),
        Section::alibaba(ALI, &sim.url()).to_toml(),
    );
    let gateway = Gateway::with_file(&text).await;
    relay.lead_to(gateway.address());
    (gateway, relay)
}

async fn forwarded(gateway: &Gateway) -> f64 {
    let sample = format!("ota_forwarded_reads_total{{provider=\"{ALI}\",result=\"answered\"}}");
    gateway.metric(&sample).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_holder_of_the_lease_answers_for_both() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let sim = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    let jobs = World::jobs_path(ALI);
    let (first, _line) = member(&schema, &sim).await;
    until(async || first.get(&jobs).await.status == 200).await;
    let (second, _other_line) = member(&schema, &sim).await;
    until(async || second.get(&jobs).await.status == 200).await;
    assert_eq!(
        (forwarded(&first).await, forwarded(&second).await),
        (0.0, 1.0)
    );
    let job = format!("{jobs}/{}", sim.fleet().jobs[0].id);
    for path in [job.clone(), format!("{job}/tasks"), format!("{job}/stats")] {
        let (reply, holder) = (second.get(&path).await, first.get(&path).await);
        assert_eq!((reply.status, reply.text()), (200, holder.text()));
        assert_eq!(reply.must("etag"), holder.must("etag"));
    }
    let vendor_calls = second.metrics().await;
    assert!(!vendor_calls.contains("ota_vendor_attempts_total{"));
    // On a graceful end the account moves at once, and the other one answers itself.
    first.stop().await;
    until(async || {
        let fresh = second.ask("GET", &jobs).header("Cache-Control", "no-cache");
        let reply = fresh.send().await;
        reply.status == 200
            && second
                .metrics()
                .await
                .contains("ota_vendor_attempts_total{")
    })
    .await;
    drop(second);
}

#[tokio::test]
async fn a_holder_is_trusted_by_its_ca_alone() {
    let sim = alibaba_sim(FleetShape::uniform(2, 3).frozen()).await;
    let folder = tempfile::tempdir().unwrap();
    let (own, foreign) = (Identity::new(), Identity::new());
    own.write(folder.path());
    let text = crate::network::tls::file(folder.path(), "");
    let section = Section::alibaba(ALI, &sim.url()).to_toml();
    let holder = Gateway::with_file(&(text + &section)).await;
    let jobs = World::jobs_path(ALI);
    for (name, identity, status) in [("own.pem", &own, 200), ("foreign.pem", &foreign, 503)] {
        let ca_file = folder.path().join(name);
        std::fs::write(&ca_file, identity.ca()).unwrap();
        let text = format!(
            "{}[cluster]\nca_file = \"{}\"\n{}",
            keeping_head(),
            ca_file.display(),
            Section::alibaba(ALI, "http://127.0.0.1:1").to_toml()
        );
        let address = format!("https://{}", holder.address());
        let standing = PlantedStanding::not_holder(Some(address));
        let other = Gateway::among(&text, Arc::new(SystemClock), Some(standing)).await;
        assert_eq!(other.get(&jobs).await.status, status, "{name}");
    }
}
