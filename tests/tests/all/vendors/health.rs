//! The health of providers, as their calls show it.

use ota_sim::{Fault, FaultKind};
use ota_tests::{Gateway, Section};

use crate::setup::{ALI, HUA, World};

#[tokio::test]
async fn one_vendors_trouble_is_not_the_others() {
    let world = World::small().await;
    world
        .alibaba
        .set_faults(vec![Fault::always(FaultKind::Drop)]);
    for _ in 0..3 {
        let reply = world.gateway.get(&World::jobs_path(ALI)).await;
        reply.problem(503, "provider_unavailable");
        world.gateway.get(&World::jobs_path(HUA)).await.ok();
    }
    let list = world.gateway.get("/v1/providers").await.ok();
    assert_eq!(list["items"][0]["health"]["state"], "down");
    assert_eq!(list["items"][1]["health"]["state"], "ok");
    // The gateway itself is well.
    assert_eq!(
        world
            .gateway
            .ask("GET", "/readyz")
            .anonymous()
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn one_broken_job_does_not_move_the_health_of_its_provider() {
    let world = World::small().await;
    let jobs = &world.alibaba.fleet().jobs;
    let (broken, other, third) = (&jobs[0].id, &jobs[1].id, &jobs[2].id);
    let path = |id: &str| format!("{}/{id}", World::jobs_path(ALI));
    let broken_at_the_vendor = |ids: &[&str]| {
        let faults = ids
            .iter()
            .map(|id| Fault::always(FaultKind::ProductError).about(*id));
        world.alibaba.set_faults(faults.collect());
    };
    let health = async || {
        let shown = world.gateway.get(&format!("/v1/providers/{ALI}")).await;
        shown.ok()["health"].clone()
    };
    broken_at_the_vendor(&[broken]);
    world.gateway.get(&path(other)).await.ok();
    for _ in 0..2 {
        for _ in 0..3 {
            let reply = world.gateway.get(&path(broken)).await;
            reply.problem(503, "provider_unavailable");
            assert_eq!(health().await["state"], "ok");
        }
        world.gateway.get(&path(other)).await.ok();
        assert_eq!(health().await["state"], "ok");
    }
    // Another one that fails, too, with no answer in between: it may be the vendor.
    broken_at_the_vendor(&[broken, other, third]);
    for (id, state) in [(other, "ok"), (third, "down")] {
        let reply = world.gateway.get(&path(id)).await;
        reply.problem(503, "provider_unavailable");
        assert_eq!(health().await["state"], state);
    }
    assert_eq!(health().await["problem"]["code"], "provider_unavailable");
    broken_at_the_vendor(&[broken, other]);
    world.gateway.get(&path(third)).await.ok();
    assert_eq!(health().await["state"], "ok");
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_unavailable() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("http://127.0.0.1:{port}");
    let sections = [Section::alibaba(ALI, &url), Section::huawei(HUA, &url)];
    let gateway = Gateway::start(&sections).await;
    for name in [ALI, HUA] {
        let reply = gateway.get(&World::jobs_path(name)).await;
        let problem = reply.problem(503, "provider_unavailable");
        assert_eq!(problem["provider"], name);
        assert!(reply.must("retry-after").parse::<u64>().unwrap() > 0);
    }
}
