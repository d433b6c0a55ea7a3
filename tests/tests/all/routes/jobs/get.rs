//! `GET /v1/providers/{provider}/jobs/{job_id}`; `list` compares its content with the row of the list.

use crate::setup::{ALI, HUA, World};

#[tokio::test]
async fn a_job_that_does_not_exist_is_not_found() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for path in [
            "nope",
            "nope/stats",
            "nope/tasks",
            "nope/tasks?status=failed",
        ] {
            let path = format!("{}/{path}", World::jobs_path(provider));
            let problem = world.gateway.get(&path).await.problem(404, "not_found");
            assert_eq!(problem["field"], "job_id", "{path}: {problem}");
        }
        // The other vendor's job does not exist at this one.
        let other = if provider == ALI { HUA } else { ALI };
        let path = format!("{}/{}", World::jobs_path(provider), world.job(other));
        world.gateway.get(&path).await.problem(404, "not_found");
    }
}
