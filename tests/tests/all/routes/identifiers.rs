//! Identifiers with characters that have a meaning in paths.

use ota_sim::RecordedRequest;

use crate::setup::{ALI, HUA, World};

/// What is in the path, and what it means.
fn odd() -> Vec<(String, String)> {
    let chinese = "设备升级任务";
    let escaped =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let mut odd: Vec<(String, String)> = [
        ("a%2Fb", "a/b"),
        ("%2F", "/"),
        ("..%2F..%2Fcategory", "../../category"),
        ("x%2FsubOperations", "x/subOperations"),
        ("a%20b", "a b"),
        ("%20", " "),
        ("a+b", "a+b"),
        ("x%3FpageNo=9", "x?pageNo=9"),
        ("x%23frag", "x#frag"),
        (
            "x%26Action%3DDeleteOTAFirmware",
            "x&Action=DeleteOTAFirmware",
        ),
        ("x%253F", "x%3F"),
        ("%25", "%"),
        ("x%3B", "x;"),
        ("...", "..."),
        ("%2E%2E%2E", "..."),
        ("x%5C..%5Cy", "x\\..\\y"),
        ("x%0D%0AHost:%20evil", "x\r\nHost: evil"),
        ("x%00y", "x\0y"),
        ("'%22%3Cscript%3E", "'\"<script>"),
        ("%7Bjob_id%7D", "{job_id}"),
        ("a:b@c", "a:b@c"),
        ("*~!$'()", "*~!$'()"),
    ]
    .map(|(path, id)| (path.to_owned(), id.to_owned()))
    .into();
    odd.push((escaped(chinese), chinese.to_owned()));
    odd.push(("x".repeat(300), "x".repeat(300)));
    odd
}

/// Whether a request is a read of this one job and of nothing else.
fn is_about(provider: &str, request: &RecordedRequest, id: &str) -> bool {
    if provider == ALI {
        let about: Vec<_> = request
            .params
            .iter()
            .filter(|(name, _)| name == "JobId")
            .collect();
        return ["QueryOTAJob", "ListOTATaskByJob"].contains(&request.operation.as_str())
            && request.target.starts_with("/?")
            && about == [&("JobId".to_owned(), id.to_owned())];
    }
    let base = "/iodm/northbound/v1.5.0/operations/";
    let path = request.target.split('?').next().unwrap();
    let Some(rest) = path.strip_prefix(base) else {
        return false;
    };
    let segment = rest.strip_suffix("/subOperations").unwrap_or(rest);
    let unescaped = segment
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte));
    unescaped && once_decoded(segment) == id
}

fn once_decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits: String = rest.by_ref().take(2).map(char::from).collect();
        bytes.push(u8::from_str_radix(&digits, 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn an_odd_identifier_reaches_the_vendor_encoded_once_and_nothing_else_is_reached() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for (path, id) in odd() {
            for suffix in ["", "/stats", "/tasks", "/tasks?page_size=3&status=failed"] {
                world.sim(provider).reset_counters();
                let target = format!("{}/{path}{suffix}", World::jobs_path(provider));
                let reply = world.gateway.get(&target).await;
                let problem = reply.problem(404, "not_found");
                assert_eq!(problem["field"], "job_id", "{target}: {problem}");
                let requests = world.sim(provider).requests();
                let calls = requests
                    .iter()
                    .filter(|request| request.operation != "login");
                for request in calls {
                    assert!(
                        is_about(provider, request, &id),
                        "{target} became {request:?}"
                    );
                }
                let logins = world.sim(provider).counters().calls_of("login");
                assert!(
                    world.sim(provider).counters().total_calls() > logins,
                    "{target} was not asked"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_dot_segment_never_becomes_a_path_of_the_vendor() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for id in ["%2E%2E", "%2e%2E", "%2E", ".%2E"] {
            for suffix in ["", "/stats", "/tasks"] {
                let target = format!("{}/{id}{suffix}", World::jobs_path(provider));
                world.gateway.get(&target).await.problem(404, "not_found");
            }
        }
        for request in world.sim(provider).requests() {
            assert!(
                is_about(provider, &request, "..") || is_about(provider, &request, "."),
                "{request:?}"
            );
            assert!(
                provider == ALI,
                "no encoding keeps `..` a segment: {request:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_identifier_of_5000_characters_is_not_found_without_a_call() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for id in [
            "x".repeat(5000),
            "%E8%AE%BE".repeat(5000),
            "%2F".repeat(5000),
        ] {
            for suffix in ["", "/stats", "/tasks"] {
                let target = format!("{}/{id}{suffix}", World::jobs_path(provider));
                let problem = world.gateway.get(&target).await.problem(404, "not_found");
                assert!(problem["detail"].as_str().unwrap().len() < 500);
            }
        }
        let name = "x".repeat(5000);
        world
            .gateway
            .get(&format!("/v1/providers/{name}/jobs"))
            .await
            .problem(404, "not_found");
        assert_eq!(world.sim(provider).counters().total_calls(), 0);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let world = World::small().await;
    for provider in [ALI, HUA] {
        for id in ["%FF", "a%C3", "%C0%AF", "%ED%A0%80"] {
            for suffix in ["", "/stats", "/tasks"] {
                let target = format!("{}/{id}{suffix}", World::jobs_path(provider));
                world
                    .gateway
                    .get(&target)
                    .await
                    .problem(400, "invalid_argument");
            }
        }
        assert_eq!(world.sim(provider).counters().total_calls(), 0);
    }
    let reply = world.gateway.get("/v1/providers/%FF").await;
    reply.problem(400, "invalid_argument");
}

#[tokio::test]
async fn a_filter_value_reaches_the_vendor_encoded_once() {
    let world = World::small().await;
    for (path, value) in [
        ("a%26pageNo%3D7", "a&pageNo=7"),
        ("a%2Bb+c%20d", "a+b c d"),
        ("%E6%B0%B4%E8%A1%A8%20%3C1%3E", "水表 <1>"),
        ("100%25", "100%"),
        ("a%3Db%2Fc%3Fd%23e", "a=b/c?d#e"),
    ] {
        world.huawei.reset_counters();
        let target = format!("{}?manufacturer={path}", World::jobs_path(HUA));
        world.gateway.get(&target).await.ok();
        let requests = world.huawei.requests();
        let request = requests.last().unwrap();
        assert_eq!(request.operation, "list_operations");
        let sent: Vec<_> = request
            .params
            .iter()
            .filter(|(name, _)| name != "pageNo" && name != "pageSize")
            .collect();
        assert_eq!(sent, [&("manufacturerName".to_owned(), value.to_owned())]);

        world.alibaba.reset_counters();
        let target = format!("{}?device_name={path}", world.tasks_path(ALI));
        world.gateway.get(&target).await.ok();
        let requests = world.alibaba.requests();
        assert_eq!(requests.len(), 1);
        let names = requests[0]
            .params
            .iter()
            .filter(|(name, _)| name.starts_with("DeviceNames"));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [&("DeviceNames.1".to_owned(), value.to_owned())]
        );
        assert_eq!(
            world.alibaba.counters().total_refused(),
            0,
            "the signature covers it"
        );
    }
}
