//! `GET /v1/tasks`

use crate::setup::{ALI, HUA, World, all_pages, rows};

#[tokio::test]
async fn pages_of_every_order_hold_every_task_once() {
    let world = World::mirrored().await;
    let wanted: u64 = [ALI, HUA]
        .iter()
        .flat_map(|provider| world.sim(provider).fleet().jobs)
        .map(|job| job.total)
        .sum();
    for sort in [
        "-changed_at",
        "changed_at",
        "-created_at",
        "created_at",
        "device_name",
    ] {
        let path = format!("/v1/tasks?sort={sort}&page_size=37");
        let tasks = rows(&all_pages(&world.gateway, &path).await);
        let mut seen: Vec<String> = tasks
            .iter()
            .map(|task| format!("{} {} {}", task["provider"], task["job_id"], task["id"]))
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len() as u64, wanted, "{path}");
        assert_eq!(tasks.len() as u64, wanted, "{path}: a task comes twice");
    }
}

#[tokio::test]
async fn the_tasks_of_a_job_are_those_of_the_vendor() {
    let world = World::mirrored().await;
    for provider in [ALI, HUA] {
        let job = world.job(provider);
        let truth = world.sim(provider).fleet().job(&job).unwrap().clone();
        let path = format!("/v1/tasks?provider={provider}&job_id={job}&page_size=500");
        let page = world.gateway.get(&path).await.ok();
        assert_eq!(page["total"], truth.total, "{provider}");
        let failed = world
            .gateway
            .get(&format!("{path}&status=failed"))
            .await
            .ok();
        assert_eq!(failed["total"], truth.failed, "{provider}");
        let live = format!("/v1/providers/{provider}/jobs/{job}/tasks?page_size=100");
        for task in rows(&all_pages(&world.gateway, &live).await) {
            let mirrored = page["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["id"] == task["id"])
                .unwrap();
            // What the live row says, the mirrored one says too.
            for (name, value) in task.as_object().unwrap() {
                assert_eq!(&mirrored[name], value, "{name} of {task}");
            }
        }
    }
}
