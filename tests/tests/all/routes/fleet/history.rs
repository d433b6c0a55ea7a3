//! `GET /v1/providers/{provider}/jobs/{job_id}/history`

use crate::setup::{ALI, HUA, World};

#[tokio::test]
async fn the_last_point_is_what_the_job_has() {
    let world = World::mirrored().await;
    for provider in [ALI, HUA] {
        let truth = world.sim(provider).fleet();
        let truth = truth.job(&world.job(provider)).unwrap().clone();
        let path = format!("{}/history", world.job_path(provider));
        let history = world.gateway.get(&path).await.ok();
        let points = history["points"].as_array().unwrap();
        let last = &points.last().unwrap()["counts"];
        assert_eq!(last["total"], truth.total, "{history}");
        assert_eq!(last["failed"], truth.failed, "{history}");
    }
}

#[tokio::test]
async fn a_job_that_the_mirror_does_not_have_is_404() {
    let world = World::mirrored().await;
    let path = format!("{}/no-such-job/history", World::jobs_path(ALI));
    let problem = world.gateway.get(&path).await.problem(404, "not_found");
    assert_eq!(problem["field"], "job_id");
}
