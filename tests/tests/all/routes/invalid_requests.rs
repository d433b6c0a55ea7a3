//! Requests with mistakes: none of them reaches a vendor.

use ota_tests::wire;
use serde_json::json;

use crate::setup::{ALI, HUA, World, with};

fn no_vendor_call(world: &World) {
    assert_eq!(
        world.alibaba.counters().total_calls(),
        0,
        "{:?}",
        world.alibaba.counters().calls
    );
    assert_eq!(
        world.huawei.counters().total_calls(),
        0,
        "{:?}",
        world.huawei.counters().calls
    );
}

#[tokio::test]
async fn unknown_providers_and_paths_are_not_found() {
    let world = World::small().await;
    for path in [
        "/v1/providers/nope",
        "/v1/providers/nope/jobs",
        "/v1/providers/nope/jobs/x",
        "/v1/providers/nope/jobs/x/stats",
        "/v1/providers/nope/jobs/x/tasks",
        "/v1",
        "/v1/",
        "/v1/providers/",
        "/v1/providers/ali/",
        "/v1/providers/ali/tasks",
        "/v1/providers/ali/jobs/x/tasks/y",
        "/v1//providers",
        "/V1/providers",
        "/v2/providers",
        "/v1/job",
        "/metrics",
        "/docs/../v1/providers",
        "/v1/providers/../../etc/passwd",
    ] {
        world.gateway.get(path).await.problem(404, "not_found");
    }
    let check = world.gateway.ask("POST", "/v1/providers/nope/check");
    check.send().await.problem(404, "not_found");
    no_vendor_call(&world);
}

#[tokio::test]
async fn an_empty_identifier_is_not_found_without_a_call() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for rest in [
            "jobs/",
            "jobs//stats",
            "jobs//tasks",
            "jobs//",
            "jobs/%20%20/../",
        ] {
            let path = format!("/v1/providers/{provider}/{rest}");
            world.gateway.get(&path).await.problem(404, "not_found");
        }
    }
    for path in [
        "/v1/providers//jobs",
        "/v1/providers//jobs/x",
        "/v1/providers//",
    ] {
        world.gateway.get(path).await.problem(404, "not_found");
    }
    no_vendor_call(&world);
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_answered_with_those_it_knows() {
    let world = World::small().await;
    for (path, known) in [
        ("/v1/providers".to_owned(), "GET"),
        (format!("/v1/providers/{ALI}"), "GET"),
        (format!("/v1/providers/{ALI}/check"), "POST"),
        (World::jobs_path(ALI), "GET"),
        (world.job_path(ALI), "GET"),
        (format!("{}/stats", world.job_path(HUA)), "GET"),
        (world.tasks_path(HUA), "GET"),
        ("/openapi.json".to_owned(), "GET"),
        ("/healthz".to_owned(), "GET"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            if method == known {
                continue;
            }
            let reply = world.gateway.ask(method, &path).send().await;
            reply.problem(405, "method_not_allowed");
            let allow = reply.must("allow");
            assert!(
                allow.split(',').any(|of| of.trim() == known),
                "{method} {path}: {allow}"
            );
        }
    }
    no_vendor_call(&world);
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_with_the_nearest_known_one() {
    let world = World::small().await;
    let (jobs, tasks) = (World::jobs_path(ALI), world.tasks_path(ALI));
    for (path, name, nearest) in [
        (&jobs, "pagesize", Some("page_size")),
        (&jobs, "page-size", Some("page_size")),
        (&jobs, "Status", Some("status")),
        (&jobs, "packageId", Some("package_id")),
        (&jobs, "curser", Some("cursor")),
        (&tasks, "deviceName", Some("device_name")),
        (&tasks, "device_names", Some("device_name")),
        (&tasks, "outcome", None),
        (&jobs, "xyzzy", None),
        (&jobs, "%F0%9F%98%80", None),
    ] {
        let reply = world.gateway.get(&format!("{path}?{name}=1")).await;
        let problem = reply.problem(400, "invalid_argument");
        let detail = problem["detail"].as_str().unwrap();
        match nearest {
            Some(nearest) => assert!(
                detail.contains(&format!("did you mean `{nearest}`")),
                "{detail}"
            ),
            None => assert!(detail.contains("no query parameter"), "{detail}"),
        }
        assert!(problem["field"].is_string());
    }
    let none = [
        "/v1/providers".to_owned(),
        format!("/v1/providers/{ALI}"),
        world.job_path(ALI),
        format!("{}/stats", world.job_path(ALI)),
    ];
    for path in none {
        let reply = world.gateway.get(&format!("{path}?page_size=1")).await;
        let problem = reply.problem(400, "invalid_argument");
        assert_eq!(problem["field"], "page_size");
    }
    let check = format!("/v1/providers/{ALI}/check?force=1");
    world
        .gateway
        .ask("POST", &check)
        .send()
        .await
        .problem(400, "invalid_argument");
    no_vendor_call(&world);
}

#[tokio::test]
async fn a_value_that_cannot_be_used_is_named() {
    let world = World::small().await;
    let (jobs, tasks) = (World::jobs_path(ALI), world.tasks_path(HUA));
    let long = "x".repeat(600);
    let many: String = (0..51)
        .map(|number| format!("&device_name=d{number}"))
        .collect();
    for (path, query, field) in [
        (&jobs, "page_size=0".to_owned(), "page_size"),
        (&jobs, "page_size=101".into(), "page_size"),
        (&jobs, "page_size=x".into(), "page_size"),
        (&jobs, "page_size=".into(), "page_size"),
        (&jobs, "page_size".into(), "page_size"),
        (&jobs, "page_size=-1".into(), "page_size"),
        (&jobs, "page_size=1.5".into(), "page_size"),
        (&jobs, "page_size=%2B5".into(), "page_size"),
        (&jobs, "page_size=5&page_size=5".into(), "page_size"),
        (&jobs, "page_size=99999999999999999999".into(), "page_size"),
        (&tasks, "page_size=0".into(), "page_size"),
        (&jobs, "status=done".into(), "status"),
        (&jobs, "status=".into(), "status"),
        (&jobs, "status=completed,,canceled".into(), "status"),
        (&jobs, "status=COMPLETED".into(), "status"),
        (&jobs, "status=succeeded".into(), "status"),
        (&tasks, "status=completed".into(), "status"),
        (&tasks, "status=failed,broken".into(), "status"),
        (&jobs, "outcome=ok".into(), "outcome"),
        (&jobs, "kind=hardware".into(), "kind"),
        (&jobs, "kind=firmware&kind=software".into(), "kind"),
        (&jobs, "package_id=".into(), "package_id"),
        (&jobs, "package_id=a&package_id=b".into(), "package_id"),
        (&jobs, "product_id=a%00b".into(), "product_id"),
        (&jobs, "product_id=a%0Ab".into(), "product_id"),
        (&jobs, format!("product_id={long}"), "product_id"),
        (&jobs, "product_id=%FF%FE".into(), "product_id"),
        (&jobs, "product_id=%zz".into(), "product_id"),
        (&jobs, "product_id=%".into(), "product_id"),
        (&tasks, many[1..].to_owned(), "device_name"),
        (&jobs, "cursor=a&cursor=b".into(), "cursor"),
    ] {
        let reply = world.gateway.get(&format!("{path}?{query}")).await;
        let problem = reply.problem(400, "invalid_argument");
        assert_eq!(problem["field"], field, "{query}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(field) && detail.len() < 600, "{detail}");
    }
    let endless = format!("{jobs}?package_id={}", "x".repeat(17 * 1024));
    world
        .gateway
        .get(&endless)
        .await
        .problem(400, "invalid_argument");
    no_vendor_call(&world);
}

#[tokio::test]
async fn a_wrong_status_word_is_answered_with_the_words_that_there_are() {
    let world = World::small().await;
    let reply = world
        .gateway
        .get(&with(&World::jobs_path(ALI), "status", "done"))
        .await;
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    for word in [
        "pending",
        "in_progress",
        "paused",
        "canceling",
        "completed",
        "canceled",
        "unknown",
    ] {
        assert!(detail.contains(word), "{detail}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let world = World::small().await;
    let cursor = async |path: &str| {
        let page = world.gateway.get(path).await.ok();
        page["next_cursor"].as_str().unwrap().to_owned()
    };
    let jobs = format!("{}?page_size=1", World::jobs_path(ALI));
    let tasks = format!("{}?page_size=1", world.tasks_path(ALI));
    let hua_jobs = format!("{}?page_size=1", World::jobs_path(HUA));
    let fleet = world.alibaba.fleet();
    let other = fleet
        .jobs
        .iter()
        .find(|job| job.id != world.job(ALI))
        .unwrap();
    let other_tasks = format!("{}/{}/tasks?page_size=1", World::jobs_path(ALI), other.id);
    let (of_jobs, of_tasks, of_huawei) = (
        cursor(&jobs).await,
        cursor(&tasks).await,
        cursor(&hua_jobs).await,
    );
    let jobs_of_two = jobs.replace("page_size=1", "page_size=2");
    let jobs_filtered = with(&jobs, "status", "completed");
    let tasks_filtered = with(&tasks, "status", "failed");
    let before = (
        world.alibaba.counters().total_calls(),
        world.huawei.counters().total_calls(),
    );

    let half = &of_jobs[..of_jobs.len() / 2];
    let mut swapped = of_jobs.clone();
    let last = swapped.pop().unwrap();
    swapped.push(if last == 'A' { 'B' } else { 'A' });
    for (path, cursor) in [
        (&jobs, half),
        (&jobs, &swapped),
        (&jobs, &format!("{of_jobs}A")),
        (&jobs, &format!("{of_jobs}%3D")),
        (&jobs, ""),
        (&jobs, "x"),
        (&jobs, "!!!"),
        (&jobs, "%00"),
        (&jobs, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        (&jobs, &"A".repeat(5000)),
        (&jobs, "0.1"),
        (&jobs, &of_tasks),
        (&jobs, &of_huawei),
        (&jobs_of_two, &of_jobs),
        (&jobs_filtered, &of_jobs),
        (&tasks, &of_jobs),
        (&other_tasks, &of_tasks),
        (&tasks_filtered, &of_tasks),
        (&hua_jobs, &of_jobs),
    ] {
        let reply = world.gateway.get(&with(path, "cursor", cursor)).await;
        let problem = reply.problem(400, "invalid_cursor");
        assert_eq!(problem["field"], "cursor");
    }
    let after = (
        world.alibaba.counters().total_calls(),
        world.huawei.counters().total_calls(),
    );
    assert_eq!(before, after, "a cursor is judged before any vendor call");
    world
        .gateway
        .get(&with(&jobs, "cursor", &of_jobs))
        .await
        .ok();
}

#[tokio::test]
async fn syntax_comes_before_the_cursor_and_the_cursor_before_the_capability() {
    let world = World::small().await;
    let jobs = World::jobs_path(ALI);
    let all = format!("{jobs}?model=m&cursor=junk&page_size=0");
    world
        .gateway
        .get(&all)
        .await
        .problem(400, "invalid_argument");
    let two = format!("{jobs}?model=m&cursor=junk");
    world.gateway.get(&two).await.problem(400, "invalid_cursor");
    let one = format!("{jobs}?model=m");
    world
        .gateway
        .get(&one)
        .await
        .problem(422, "unsupported_by_provider");
    no_vendor_call(&world);
}

#[tokio::test]
async fn a_filter_that_a_vendor_does_not_have_is_refused_without_a_call() {
    let world = World::small().await;
    for (path, name) in [
        (World::jobs_path(ALI), "outcome=failed"),
        (World::jobs_path(ALI), "device_id=d"),
        (World::jobs_path(ALI), "device_type=t"),
        (World::jobs_path(ALI), "model=m"),
        (World::jobs_path(ALI), "manufacturer=m"),
        // The vendor finds jobs of a device only together with package and product.
        (World::jobs_path(ALI), "device_name=d"),
        (World::jobs_path(HUA), "package_id=p"),
        (World::jobs_path(HUA), "product_id=p"),
        (World::jobs_path(HUA), "device_name=d"),
        (world.tasks_path(HUA), "device_name=d"),
    ] {
        let reply = world.gateway.get(&format!("{path}?{name}")).await;
        let problem = reply.problem(422, "unsupported_by_provider");
        let (name, _) = name.split_once('=').unwrap();
        assert_eq!(problem["field"], name);
        assert!(problem["provider"].is_string());
    }
    no_vendor_call(&world);
}

#[tokio::test]
async fn a_word_that_a_vendor_never_uses_gives_an_empty_page_without_a_call() {
    let world = World::small().await;
    for (path, query) in [
        (World::jobs_path(ALI), "status=paused"),
        (World::jobs_path(ALI), "status=canceling,paused"),
        (World::jobs_path(ALI), "kind=software"),
        (World::jobs_path(ALI), "kind=other"),
        (world.tasks_path(ALI), "status=skipped"),
        (World::jobs_path(HUA), "status=paused,canceling"),
        (World::jobs_path(HUA), "kind=other"),
        (World::jobs_path(HUA), "status=pending&outcome=succeeded"),
        (world.tasks_path(HUA), "status=skipped"),
    ] {
        let reply = world.gateway.get(&format!("{path}?{query}")).await;
        let page = reply.ok();
        assert_eq!(page["items"], json!([]), "{query}");
        assert!(page.get("next_cursor").is_none());
        assert_eq!(page["total"], 0);
        assert!(reply.must("server-timing").contains("calls=0"));
    }
    no_vendor_call(&world);
}

#[tokio::test]
async fn a_large_body_is_refused_unread() {
    let world = World::small().await;
    let check = format!("/v1/providers/{ALI}/check");
    for (method, path) in [
        ("POST", check.as_str()),
        ("GET", "/v1/providers"),
        ("POST", "/nowhere"),
    ] {
        for length in ["65537", "100000000000"] {
            let ask = world
                .gateway
                .ask(method, path)
                .header("Content-Length", length);
            ask.send().await.problem(413, "payload_too_large");
        }
    }
    no_vendor_call(&world);
    // A small body, which no one asked for, does no harm.
    let reply = world
        .gateway
        .ask("POST", &check)
        .body(b"{\"a\": 1}")
        .send()
        .await;
    reply.ok();
}

#[tokio::test]
async fn bytes_that_are_no_http_leave_the_gateway_well() {
    let world = World::small().await;
    let address = world.gateway.address();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/providers HTTP/9.9\r\nConnection: close\r\n\r\n",
        b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1/providers HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
    ] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _closed_or_reset =
            tokio::time::timeout(wire::PATIENCE, stream.read_to_end(&mut answer))
                .await
                .unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains(" 200 ") && !text.contains(" 500 "), "{text}");
    }
    world.gateway.get("/v1/providers").await.ok();
}
