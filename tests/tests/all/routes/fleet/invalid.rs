//! Bad input of the fleet: 400 that names the parameter. The database is not asked, so none is there.

use crate::setup::{World, with};

const JOBS: &str = "/v1/jobs";
const TASKS: &str = "/v1/tasks";

async fn refused(world: &World, path: &str, name: &str, code: &str) {
    let reply = world.gateway.get(path).await;
    let problem = reply.problem(400, code);
    assert_eq!(problem["field"], name, "{path}: {problem}");
}

#[tokio::test]
async fn every_mistake_of_a_filter_names_it() {
    let world = World::small().await;
    let stats = [
        "/v1/stats/jobs?group_by=status",
        "/v1/stats/tasks?group_by=status",
    ];
    let long = "x".repeat(5000);
    let both = [
        "provider",
        "vendor",
        "status",
        "product_id",
        "created_after",
        "created_before",
        "include_vanished",
    ];
    let of_jobs = [
        "outcome",
        "kind",
        "package_id",
        "package_version",
        "updated_after",
        "updated_before",
        "with_failures",
    ];
    let of_tasks = [
        "stage",
        "failure",
        "job_id",
        "device_id",
        "device_name",
        "from_version",
        "to_version",
        "stuck_for_s",
        "changed_after",
        "changed_before",
    ];
    for (paths, own) in [
        ([JOBS, stats[0]], &of_jobs[..]),
        ([TASKS, stats[1]], &of_tasks[..]),
    ] {
        for path in paths {
            for name in both.iter().chain(own) {
                for value in ["", long.as_str(), "%01"] {
                    refused(&world, &with(path, name, value), name, "invalid_argument").await;
                }
            }
            for name in [
                "vendor",
                "status",
                "with_failures",
                "include_vanished",
                "outcome",
                "kind",
                "stage",
                "failure",
            ] {
                if both.contains(&name) || own.contains(&name) {
                    refused(
                        &world,
                        &with(path, name, "nonsense"),
                        name,
                        "invalid_argument",
                    )
                    .await;
                }
            }
            for name in both
                .iter()
                .chain(own)
                .filter(|name| name.ends_with("_after") || name.ends_with("_before"))
            {
                for value in [
                    "yesterday",
                    "2026-11-23",
                    "2026-11-23T08:15:30",
                    "2026-13-23T08:15:30Z",
                    "2026-11-23T08:15:30+08:00",
                ] {
                    refused(&world, &with(path, name, value), name, "invalid_argument").await;
                }
            }
            refused(
                &world,
                &with(path, "nonsense", "1"),
                "nonsense",
                "invalid_argument",
            )
            .await;
        }
    }
    for value in ["-1", "1.5", "1e3", "x", "99999999999", "400000000", "+5"] {
        refused(
            &world,
            &with(TASKS, "stuck_for_s", value),
            "stuck_for_s",
            "invalid_argument",
        )
        .await;
    }
    refused(&world, "/v1/tasks?job_id=1", "job_id", "invalid_argument").await;
    refused(
        &world,
        "/v1/tasks?job_id=1&provider=ali,hua",
        "job_id",
        "invalid_argument",
    )
    .await;
}

#[tokio::test]
async fn orders_groups_sizes_and_texts_are_held_to_their_limits() {
    let world = World::small().await;
    for path in [JOBS, TASKS] {
        for sort in ["created", "", "-id", "-created_at,changed_at"] {
            refused(
                &world,
                &with(path, "sort", sort),
                "sort",
                "invalid_argument",
            )
            .await;
        }
        for size in ["0", "501", "-1", "x", ""] {
            refused(
                &world,
                &with(path, "page_size", size),
                "page_size",
                "invalid_argument",
            )
            .await;
        }
        for text in ["", "x", &"y".repeat(101), &"z".repeat(5000)] {
            refused(&world, &with(path, "q", text), "q", "invalid_argument").await;
        }
        for cursor in [
            "",
            "x",
            "AQAliBw3p0m5oXJ0Y2hYdzEuMy4yNTA",
            &"A".repeat(5000),
        ] {
            refused(
                &world,
                &with(path, "cursor", cursor),
                "cursor",
                "invalid_cursor",
            )
            .await;
        }
    }
    for path in ["/v1/stats/jobs", "/v1/stats/tasks"] {
        refused(&world, path, "group_by", "invalid_argument").await;
        for keys in [
            "",
            "nonsense",
            "provider,vendor,status,product_id",
            "provider,provider",
            "provider,",
        ] {
            refused(
                &world,
                &with(path, "group_by", keys),
                "group_by",
                "invalid_argument",
            )
            .await;
        }
        for name in ["q", "sort", "page_size", "cursor"] {
            let path = with(path, "group_by", "status");
            refused(
                &world,
                &with(&path, name, "device_name"),
                name,
                "invalid_argument",
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_order_filters_and_page_size() {
    let world = World::mirrored().await;
    let path = "/v1/tasks?page_size=2&status=failed";
    let first = world.gateway.get(path).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    world.gateway.get(&with(path, "cursor", cursor)).await.ok();
    for other in [
        "/v1/tasks?page_size=3&status=failed",
        "/v1/tasks?page_size=2&status=pending",
        "/v1/tasks?page_size=2",
        "/v1/tasks?page_size=2&status=failed&sort=changed_at",
        "/v1/tasks?page_size=2&status=failed&q=abc",
        "/v1/tasks?page_size=2&status=failed&provider=ali",
        "/v1/tasks?page_size=2&status=failed&include_vanished=true",
        "/v1/jobs?page_size=2",
    ] {
        refused(
            &world,
            &with(other, "cursor", cursor),
            "cursor",
            "invalid_cursor",
        )
        .await;
    }
    let mut damaged = cursor.to_owned();
    let middle = damaged.len() / 2;
    let letter = if damaged.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    damaged.replace_range(middle..=middle, letter);
    refused(
        &world,
        &with(path, "cursor", &damaged),
        "cursor",
        "invalid_cursor",
    )
    .await;
}
