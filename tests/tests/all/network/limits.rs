//! Limits of requests, connections and callers; CORS and headers for browsers.

use ota_sim::FleetShape;
use ota_tests::token::{self, claims_with, signed};
use ota_tests::vendors::alibaba_sim;
use ota_tests::{Gateway, contract, wire};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::setup::{ALI, World};

/// A gateway without providers, with these lines in `[server]`.
async fn gateway(lines: &str) -> Gateway {
    let head = ota_tests::gateway::keeping_head();
    Gateway::with_file(&head.replacen("[server]\n", &format!("[server]\n{lines}\n"), 1)).await
}

async fn cut_off(gateway: &Gateway, reason: &str) -> f64 {
    let sample = format!("ota_connections_cut_off_total{{reason=\"{reason}\"}}");
    gateway.metric(&sample).await
}

fn checked(reply: &wire::Reply, status: u16, code: &str) {
    let problem = reply.problem(status, code);
    assert_eq!(reply.must("content-type"), "application/problem+json");
    assert_eq!(problem["status"], status);
    assert_eq!(reply.must("x-request-id"), problem["request_id"]);
    assert!(problem["detail"].as_str().unwrap().len() > 10);
}

#[tokio::test]
async fn what_is_too_large_or_no_request_gets_a_problem_and_others_are_served() {
    let gateway = gateway("").await;
    let head = |line: &str, rest: &str| format!("{line}\r\nHost: localhost\r\n{rest}\r\n");
    let large = |length: usize| "x".repeat(length);
    let megabyte = head(
        "GET /v1/providers HTTP/1.1",
        &format!("X: {}\r\n", large(1 << 20)),
    );
    let many: String = (0..200)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    let many = head("GET /healthz HTTP/1.1", &many);
    let token = format!("Authorization: Bearer {}\r\n", large(20_000));
    let body = "Content-Length: 10485760\r\nConnection: close\r\n";
    let chunks = format!(
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n",
        format!("10000\r\n{}\r\n", large(0x10000)).repeat(160)
    );
    for (request, status, code) in [
        (megabyte, 431, "headers_too_large"),
        (many, 431, "headers_too_large"),
        (
            head(
                &format!("GET /{} HTTP/1.1", large(50_000)),
                "Connection: close\r\n",
            ),
            414,
            "uri_too_long",
        ),
        (
            head(&format!("GET /{} HTTP/1.1", large(65_600)), ""),
            414,
            "uri_too_long",
        ),
        (
            head(
                "GET /v1/providers HTTP/1.1",
                &format!("{token}Connection: close\r\n"),
            ),
            401,
            "unauthenticated",
        ),
        (
            head("POST /v1/providers/x/check HTTP/1.1", body) + &large(10 << 20),
            413,
            "payload_too_large",
        ),
        (
            head("POST /v1/providers/x/check HTTP/1.1", &chunks),
            413,
            "payload_too_large",
        ),
        ("GARBAGE\r\n\r\n".to_owned(), 400, "invalid_argument"),
        (
            "GET /healthz HTTP/3.0\r\n\r\n".to_owned(),
            400,
            "invalid_argument",
        ),
        (
            "GET http:// HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "invalid_argument",
        ),
        (
            head("GET /healthz HTTP/1.1", "bad header\r\n"),
            400,
            "invalid_argument",
        ),
        (
            head(
                "GET /healthz HTTP/1.1",
                "Content-Length: 1\r\nContent-Length: 2\r\n",
            ),
            400,
            "invalid_argument",
        ),
        (
            "\u{16}\u{3}\u{1}TLS?\r\n\r\n".to_owned(),
            400,
            "invalid_argument",
        ),
    ] {
        let reply = wire::exchange(gateway.address(), request.as_bytes()).await;
        checked(&reply, status, code);
        assert_eq!(reply.must("x-content-type-options"), "nosniff");
        gateway.get("/v1/providers").await.ok();
    }
    let small = gateway.ask("POST", "/v1/providers/x/check").body(b"{}");
    small.send().await.problem(404, "not_found");
    let refused = "ota_http_requests_total{route=\"(none)\",status=\"431\"}";
    assert_eq!(gateway.metric(refused).await, 2.0);
}

#[tokio::test]
async fn a_client_that_sends_slowly_is_told_so_and_cut_off() {
    let gateway = gateway("header_timeout_ms = 300").await;
    for begin in [
        "G",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "",
    ] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        tokio::time::timeout(wire::PATIENCE, read)
            .await
            .unwrap()
            .unwrap();
        match begin {
            // A client that sends nothing gets no response.
            "" => assert_eq!(text, ""),
            _ => {
                assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
                assert!(text.contains("\"code\":\"request_timeout\""), "{text}");
            }
        }
    }
    // One that sends a byte now and then, and thereby is always about to be ready.
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let mut answer = Vec::new();
    let drip = async {
        loop {
            let pause = std::time::Duration::from_millis(50);
            tokio::select! {
                read = stream.read_buf(&mut answer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                },
                () = tokio::time::sleep(pause) => {}
            }
            let _closed = stream.write_all(b"x").await;
        }
    };
    tokio::time::timeout(wire::PATIENCE, drip).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408 "));
    let head = "POST /v1/providers/x/check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9\r\n\r\n1234";
    let reply = wire::exchange(gateway.address(), head.as_bytes()).await;
    checked(&reply, 408, "request_timeout");
    gateway.get("/v1/providers").await.ok();
    assert!(cut_off(&gateway, "slow").await >= 3.0);
    assert_eq!(cut_off(&gateway, "idle").await, 1.0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let gateway = gateway("write_timeout_ms = 300").await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
    let send = stream.write_all(request.as_bytes());
    let waiting = wire::until(async || cut_off(&gateway, "slow").await >= 1.0);
    tokio::select! {
        _sent = async { let _broken = send.await; std::future::pending::<()>().await } => {}
        () = waiting => {}
    }
    gateway.get("/v1/providers").await.ok();
}

#[tokio::test]
async fn a_thousand_connections_that_send_nothing_take_no_place_from_others() {
    let gateway = gateway("max_connections = 20").await;
    let mut silent = Vec::new();
    for number in 0..1000 {
        silent.push(TcpStream::connect(gateway.address()).await.unwrap());
        if number % 100 == 0 {
            gateway.get("/v1/providers").await.ok();
        }
    }
    gateway.get("/v1/providers").await.ok();
    assert!(gateway.metric("ota_connections_open").await <= 20.0);
    assert!(cut_off(&gateway, "evicted").await >= 900.0);
    // The places are given back for real, and not only in the count.
    for stream in silent.iter_mut().take(900) {
        let closed = tokio::time::timeout(wire::PATIENCE, stream.read(&mut [0; 8])).await;
        assert_eq!(closed.unwrap().unwrap_or_default(), 0);
    }
    // A connection on which something is asked again and again is kept.
    let mut polling = TcpStream::connect(gateway.address()).await.unwrap();
    for _ in 0..30 {
        silent.push(TcpStream::connect(gateway.address()).await.unwrap());
        let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        polling.write_all(head.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let count = polling.read(&mut buffer).await.unwrap();
        assert!(buffer[..count].starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let gateway = gateway("idle_timeout_ms = 300").await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    tokio::time::timeout(wire::PATIENCE, read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    wire::until(async || cut_off(&gateway, "idle").await == 1.0).await;
}

#[tokio::test]
async fn each_caller_has_its_own_allowance() {
    let gateway = gateway("rate_limit = 3\nrate_limit_window_s = 3600").await;
    let token = |who: &str| signed(token::SECRET, &claims_with(json!({"sub": who})));
    let ask = |who: &str| {
        gateway
            .ask("GET", "/v1/providers")
            .token(&token(who))
            .send()
    };
    for left in (0..3).rev() {
        let reply = ask("one").await;
        reply.ok();
        assert_eq!(reply.must("ratelimit-policy"), "\"caller\";q=3;w=3600");
        let fields = reply.must("ratelimit");
        assert!(
            fields.starts_with(&format!("\"caller\";r={left};t=")),
            "{fields}"
        );
    }
    let refused = ask("one").await;
    let problem = refused.problem(429, "rate_limited");
    let wait: u64 = refused.must("retry-after").parse().unwrap();
    assert!((1..=1200).contains(&wait));
    assert_eq!(problem["retry_after_s"], wait);
    assert!(refused.must("ratelimit").starts_with("\"caller\";r=0;t="));
    ask("two").await.ok();
    // Whoever has no valid token is not counted as anybody.
    let bad = gateway.ask("GET", "/v1/providers").token("x").send().await;
    bad.problem(401, "unauthenticated");
    assert!(bad.header("ratelimit").is_none());
}

#[tokio::test]
async fn kept_answers_count_as_well() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let head = ota_tests::gateway::keeping_head();
    let head = head.replacen(
        "[server]\n",
        "[server]\nrate_limit = 5\nrate_limit_window_s = 3600\n",
        1,
    );
    let section = ota_tests::Section::alibaba(ALI, &alibaba.url());
    let gateway = Gateway::with_file(&(head + &section.to_toml())).await;
    for left in (0..5).rev() {
        let reply = gateway.get(&World::jobs_path(ALI)).await;
        reply.ok();
        assert!(
            reply
                .must("ratelimit")
                .starts_with(&format!("\"caller\";r={left};"))
        );
    }
    let reply = gateway.get(&World::jobs_path(ALI)).await;
    reply.problem(429, "rate_limited");
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_about_one() {
    let gateway = gateway("").await;
    let reply = gateway.get("/v1/providers").await;
    assert!(reply.header("ratelimit").is_none());
    assert!(reply.header("ratelimit-policy").is_none());
}

const PAGE: &str = "https://dashboard.example.com";

#[tokio::test]
async fn only_pages_of_configured_origins_may_call() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let head = ota_tests::gateway::keeping_head();
    let line = format!("[server]\ncors_origins = [\"{PAGE}\", \"http://localhost:3000\"]\n");
    let section = ota_tests::Section::alibaba(ALI, &alibaba.url());
    let text = head.replacen("[server]\n", &line, 1) + &section.to_toml();
    let gateway = Gateway::with_file(&text).await;
    // What a browser requests on its own is not an operation of the document.
    let preflight = async |origin: &str| {
        let headers = [
            ("Host", gateway.address().to_string()),
            ("Origin", origin.to_owned()),
            ("Access-Control-Request-Method", "GET".to_owned()),
            (
                "Access-Control-Request-Headers",
                "authorization, cache-control, if-none-match, traceparent, x-request-id".to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let request = wire::request("OPTIONS", "/v1/providers", &headers, b"");
        wire::exchange(gateway.address(), &request).await
    };
    let list = |reply: &wire::Reply, name: &str| {
        let mut words: Vec<String> = reply
            .must(name)
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase())
            .collect();
        words.sort();
        words
    };
    let reply = preflight(PAGE).await;
    assert_eq!(reply.status, 200, "{}", reply.shown());
    assert_eq!(reply.must("access-control-allow-origin"), PAGE);
    let allowed = list(&reply, "access-control-allow-headers");
    for name in documented_request_headers() {
        assert!(allowed.contains(&name), "{name} is documented: {allowed:?}");
    }
    // What OpenAPI describes elsewhere, and what pages that trace send.
    for name in [
        "authorization",
        "accept",
        "content-type",
        "traceparent",
        "tracestate",
        "baggage",
    ] {
        assert!(allowed.contains(&name.to_owned()), "{name}: {allowed:?}");
    }
    assert!(list(&reply, "access-control-allow-methods").contains(&"get".to_owned()));
    assert!(reply.header("access-control-allow-credentials").is_none());
    for foreign in [
        "https://evil.example",
        "null",
        "https://dashboard.example.com.evil.example",
        "http://dashboard.example.com",
    ] {
        let reply = preflight(foreign).await;
        assert!(
            reply.header("access-control-allow-origin").is_none(),
            "{foreign}"
        );
        let reply = gateway
            .ask("GET", "/v1/providers")
            .header("Origin", foreign)
            .send()
            .await;
        assert!(
            reply.header("access-control-allow-origin").is_none(),
            "{foreign}"
        );
    }
    let path = World::jobs_path(ALI);
    // Read, kept and unchanged answers; refusals too, or a page could not read why.
    for round in 0..3 {
        let reply = gateway
            .ask("GET", &path)
            .header("Origin", PAGE)
            .send()
            .await;
        reply.ok();
        assert_eq!(reply.must("access-control-allow-origin"), PAGE, "{round}");
        let exposed = list(&reply, "access-control-expose-headers");
        for name in documented_response_headers() {
            assert!(exposed.contains(&name), "{name} is documented: {exposed:?}");
        }
        readable(&reply, &exposed);
        let vary: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "vary")
            .map(|(_, value)| value.as_str())
            .collect();
        assert!(
            vary.join(",").to_ascii_lowercase().contains("origin"),
            "{vary:?}"
        );
        let tag = reply.must("etag").to_owned();
        let reply = gateway
            .ask("GET", &path)
            .header("Origin", PAGE)
            .header("If-None-Match", &tag)
            .send()
            .await;
        assert_eq!(reply.status, 304);
        assert_eq!(reply.must("access-control-allow-origin"), PAGE);
    }
    for (method, path, status) in [
        ("GET", "/v1/providers/nope", 404),
        ("GET", "/v1/providers?x=1", 400),
        ("PUT", "/v1/providers", 405),
    ] {
        let reply = gateway
            .ask(method, path)
            .header("Origin", PAGE)
            .send()
            .await;
        assert_eq!(reply.status, status);
        readable(&reply, &list(&reply, "access-control-expose-headers"));
        assert_eq!(reply.must("access-control-allow-origin"), PAGE);
    }
    let reply = gateway
        .ask("GET", "/v1/providers")
        .anonymous()
        .header("Origin", PAGE)
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.must("access-control-allow-origin")),
        (401, PAGE)
    );
    readable(&reply, &list(&reply, "access-control-expose-headers"));
}

#[tokio::test]
async fn a_page_reads_how_much_of_its_limit_is_left() {
    let line = format!("[server]\nrate_limit = 1\ncors_origins = [\"{PAGE}\"]\n");
    let text = ota_tests::gateway::head().replacen("[server]\n", &line, 1);
    let gateway = Gateway::with_file(&text).await;
    for status in [200, 429] {
        let ask = gateway.ask("GET", "/v1/providers");
        let reply = ask.header("Origin", PAGE).send().await;
        assert_eq!(reply.status, status);
        assert!(reply.header("ratelimit").is_some());
        let exposed = reply.must("access-control-expose-headers").to_lowercase();
        let exposed: Vec<String> = exposed.split(',').map(|name| name.trim().into()).collect();
        readable(&reply, &exposed);
    }
}

fn documented_request_headers() -> Vec<String> {
    let mut names = Vec::new();
    for (_, _, operation) in contract::operations(contract::document()) {
        for parameter in operation["parameters"].as_array().unwrap() {
            let parameter = contract::resolved(parameter);
            if parameter["in"] == "header" {
                names.push(parameter["name"].as_str().unwrap().to_ascii_lowercase());
            }
        }
    }
    assert!(names.contains(&"x-request-id".to_owned()));
    names
}

fn documented_response_headers() -> Vec<String> {
    let mut names = Vec::new();
    for (_, _, operation) in contract::operations(contract::document()) {
        for response in operation["responses"].as_object().unwrap().values() {
            let headers = contract::resolved(response)["headers"].as_object().unwrap();
            names.extend(headers.keys().map(|name| name.to_ascii_lowercase()));
        }
    }
    assert!(names.contains(&"ratelimit-policy".to_owned()));
    names
}

/// Holds that a page can read every header of an answer that is meant for it. Browsers show some headers of their own accord, and keep those that
/// are meant for themselves and for the connection.
fn readable(reply: &wire::Reply, exposed: &[String]) {
    const SHOWN_OR_NOT_MEANT: &[&str] = &[
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-security-policy",
        "content-type",
        "date",
        "referrer-policy",
        "transfer-encoding",
        "vary",
        "x-content-type-options",
        "x-frame-options",
    ];
    for (name, _) in &reply.headers {
        let other =
            SHOWN_OR_NOT_MEANT.contains(&name.as_str()) || name.starts_with("access-control-");
        assert!(other || exposed.contains(name), "{name}: {exposed:?}");
    }
}

#[tokio::test]
async fn browsers_are_told_what_they_must_not_do() {
    let world = World::small().await;
    for (method, path) in [
        ("GET", "/v1/providers"),
        ("GET", "/v1/providers/nope"),
        ("GET", "/openapi.json"),
        ("GET", "/docs/"),
        ("GET", "/docs/swagger-ui.css"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/nowhere"),
        ("BREW", "/v1/providers"),
        ("POST", "/v1/providers/ali/check"),
    ] {
        let reply = world.gateway.ask(method, path).send().await;
        assert_eq!(reply.must("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.must("x-frame-options"), "DENY", "{path}");
        assert_eq!(reply.must("referrer-policy"), "no-referrer", "{path}");
        let policy = reply.must("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe-eval") && !policy.contains("script-src 'unsafe"),
            "{policy}"
        );
        assert_eq!(
            policy.contains("script-src 'self'"),
            path.starts_with("/docs"),
            "{path}: {policy}"
        );
        assert!(
            reply.header("strict-transport-security").is_none(),
            "only over TLS"
        );
    }
}

#[tokio::test]
async fn swagger_ui_needs_nothing_that_its_policy_forbids() {
    let gateway = gateway("").await;
    let page = gateway.ask("GET", "/docs/").anonymous().send().await;
    assert_eq!(page.status, 200);
    let html = page.text();
    let mut scripts = 0;
    for tag in html.split("<script").skip(1) {
        let (attributes, rest) = tag.split_once('>').unwrap();
        assert!(
            attributes.contains(" src=\"./"),
            "an inline or foreign script: {attributes}"
        );
        assert!(
            rest.trim_start().starts_with("</script>"),
            "an inline script: {rest}"
        );
        scripts += 1;
    }
    assert!(scripts >= 2, "{html}");
    for handler in [" onclick=", " onload=", "javascript:"] {
        assert!(!html.contains(handler), "{html}");
    }
    for link in html.split("<link").skip(1) {
        let (attributes, _) = link.split_once('>').unwrap();
        assert!(
            !attributes.contains("://"),
            "from another origin: {attributes}"
        );
    }
    let script = gateway.ask("GET", "/docs/initializer.js").anonymous();
    let script = script.send().await.text();
    assert!(script.contains("\"../openapi.json\""), "{script}");
    assert!(!script.contains("eval("), "{script}");
}

#[tokio::test]
async fn a_request_that_was_told_to_continue_is_no_idle_connection() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let head = ota_tests::gateway::head();
    let head = head.replacen(
        "[server]\n",
        "[server]\nheader_timeout_ms = 300\nidle_timeout_ms = 300\n",
        1,
    );
    let section = ota_tests::Section::alibaba(ALI, &alibaba.url());
    let gateway = Gateway::with_file(&(head + &section.to_toml())).await;
    let slow = ota_sim::Fault::always(ota_sim::FaultKind::Delay);
    alibaba.set_faults(vec![slow.delay(std::time::Duration::from_millis(1500))]);
    let headers = [
        ("Host", gateway.address().to_string()),
        ("Expect", "100-continue".to_owned()),
        (
            "Authorization",
            format!("Bearer {}", token::minted("ota:read", None)),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let request = wire::request("GET", &World::jobs_path(ALI), &headers, b"abc");
    let reply = wire::exchange(gateway.address(), &request).await;
    // The first line is that of the answer or of the word to continue.
    let text = reply.text();
    let whole = reply.status == 200 || (reply.status == 100 && text.starts_with("HTTP/1.1 200 OK"));
    assert!(whole, "{}", reply.shown());
}

#[tokio::test]
async fn bodies_that_do_not_come_take_no_place_from_others() {
    let gateway = gateway("max_connections = 8").await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
        gateway.get("/v1/providers").await.ok();
    }
    assert_eq!(cut_off(&gateway, "refused").await, 0.0);
    assert!(cut_off(&gateway, "evicted").await >= 30.0);
}
