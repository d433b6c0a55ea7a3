//! Hostile and odd clients: requests that two programs could read differently, connections that take the places of others.

use std::net::SocketAddr;
use std::time::Duration;

use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::token::{self, claims_with, minted, signed};
use ota_tests::vendors::alibaba_sim;
use ota_tests::{Gateway, Section, program, wire};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::setup::{ALI, World};

/// A gateway for these providers, with these lines in `[server]`.
async fn gateway(lines: &str, providers: &[Section]) -> Gateway {
    let head = ota_tests::gateway::keeping_head();
    let mut text = head.replacen("[server]\n", &format!("[server]\n{lines}\n"), 1);
    for provider in providers {
        text.push_str(&provider.to_toml());
    }
    Gateway::with_file(&text).await
}

/// Sends bytes, shuts down the sending half, and reads all that comes.
async fn half_closed(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    read(stream).await
}

async fn read(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let all = stream.read_to_end(&mut text);
    tokio::time::timeout(wire::PATIENCE, all)
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// Opens connections that say nothing.
async fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(TcpStream::connect(address).await.unwrap());
    }
    open
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_are_refused() {
    let gateway = gateway("", &[]).await;
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunks = format!("0\r\n\r\n{smuggled}");
    let head = |rest: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n\r\n");
    let method = "G".repeat(60_000);
    for (request, word) in [
        (
            format!("GET /healthz HTTP/1.1\r\n\r\n{smuggled}"),
            "missing",
        ),
        (head("Host: localhost"), "`Host` is given more than once"),
        (head("HOST: other"), "`Host` is given more than once"),
        (
            head("Transfer-Encoding: chunked, chunked") + &chunks,
            "transfer coding",
        ),
        (
            head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") + &chunks,
            "transfer coding",
        ),
        (
            head("Transfer-Encoding: gzip, chunked") + &chunks,
            "transfer coding",
        ),
        (
            head("Transfer-Encoding: chunked\r\nContent-Length: 4") + &chunks,
            "contradict",
        ),
        (
            head("Content-Length: 4\r\nTransfer-Encoding: chunked") + &chunks,
            "contradict",
        ),
        (
            head("Content-Length: 0\r\nContent-Length: 0") + smuggled,
            "more than once",
        ),
        (head("Content-Length: 0, 0") + smuggled, "not a number"),
        (head("Content-Length : 0") + smuggled, "white space"),
        (head("X: a\r\n folded: b"), "folded"),
        (head("X: a\nY: b"), "line feed"),
        (
            format!("{method} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            "method",
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: loc".to_owned(),
            "before the head",
        ),
    ] {
        for address in [gateway.address(), gateway.metrics_address()] {
            let shown: String = request.chars().take(100).collect();
            let text = half_closed(address, request.as_bytes()).await;
            assert!(text.starts_with("HTTP/1.1 400 "), "{shown:?}: {text}");
            assert!(!text.contains("HTTP/1.1 2"), "{shown:?}: {text}");
            for part in [
                "content-type: application/problem+json",
                "\"code\":\"invalid_argument\"",
                "x-request-id: ",
                "connection: close",
                word,
            ] {
                assert!(text.contains(part), "{shown:?} has no {part}: {text}");
            }
        }
    }
    // Those before it on the connection are answered.
    let good = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = half_closed(
        gateway.address(),
        format!("{good}{good}GET /healthz HTTP/1.1\r\n\r\n{good}").as_bytes(),
    )
    .await;
    let statuses: Vec<&str> = text
        .match_indices("HTTP/1.1 ")
        .filter(|(at, _)| text[at + 9..].starts_with(char::is_numeric))
        .map(|(at, _)| &text[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "200", "400"], "{text}");
    let other = "GET http://other/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let reply = wire::exchange(gateway.address(), other.as_bytes()).await;
    reply.problem(421, "misdirected_request");
    // HTTP/1.0 knows no `Host`.
    let text = half_closed(gateway.address(), b"GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
}

#[tokio::test]
async fn nothing_follows_a_body_in_chunks() {
    let gateway = gateway("", &[]).await;
    let request = "POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   1\r\nx\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = half_closed(gateway.address(), request.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
    assert!(text.contains("connection: close"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    // A body of a known length is no reason to end.
    let request = "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = half_closed(gateway.address(), request.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
    assert!(text.contains("HTTP/1.1 200 "), "{text}");
}

#[tokio::test]
async fn a_client_that_sends_no_more_gets_its_answer() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let gateway = gateway("", &[Section::alibaba(ALI, &alibaba.url())]).await;
    let slow = Fault::always(FaultKind::Delay).delay(Duration::from_millis(300));
    alibaba.set_faults(vec![slow]);
    let host = gateway.address();
    let auth = format!(
        "Host: {host}\r\nAuthorization: Bearer {}\r\n",
        minted("ota:read ota:admin", None)
    );
    let jobs = World::jobs_path(ALI);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{auth}\r\n");
    for request in [
        get("/healthz"),
        // From the vendor, which takes its time; then from what is kept.
        get(&jobs),
        get(&jobs),
        format!("POST /v1/providers/{ALI}/check HTTP/1.1\r\n{auth}Content-Length: 2\r\n\r\n{{}}"),
        format!(
            "POST /v1/providers/{ALI}/check HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        ),
    ] {
        let text = half_closed(host, request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{request}: {text}");
    }
    let both = get("/healthz") + &get(&format!("{jobs}?page_size=7"));
    let text = half_closed(host, both.as_bytes()).await;
    assert_eq!(text.matches("HTTP/1.1 200 ").count(), 2, "{text}");
    // A body that does not come is no answer to wait for.
    let request =
        format!("POST /v1/providers/{ALI}/check HTTP/1.1\r\n{auth}Content-Length: 9\r\n\r\n{{}}");
    let text = half_closed(host, request.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_waits_for_the_quota_leaves_the_queue() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::alibaba(ALI, &alibaba.url())
        .limit("max_concurrent = 1")
        .limit("timeout_ms = 30000");
    let gateway = gateway("request_timeout_ms = 60000", &[section]).await;
    alibaba.set_faults(vec![Fault::always(FaultKind::Hang)]);
    let auth = format!(
        "Host: {}\r\nAuthorization: Bearer {}\r\n",
        gateway.address(),
        minted("ota:read ota:admin", None)
    );
    let connect = async |request: String| {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let get = |name: &str| {
        let path = format!("{}/{name}", World::jobs_path(ALI));
        format!("GET {path} HTTP/1.1\r\n{auth}\r\n")
    };
    // One call takes the only place.
    let mut first = connect(get("first")).await;
    wire::until(async || alibaba.counters().total_calls() > 0).await;
    let mut waiting = Vec::new();
    for number in 0..5 {
        waiting.push(connect(get(&format!("job-{number}"))).await);
    }
    // Two for the same answer, and one check.
    waiting.push(connect(get("job-0")).await);
    waiting.push(
        connect(format!(
            "POST /v1/providers/{ALI}/check HTTP/1.1\r\n{auth}\r\n"
        ))
        .await,
    );
    let queued = format!("ota_quota_waiting{{provider=\"{ALI}\"}}");
    wire::until(async || gateway.metric(&queued).await >= 6.0).await;
    first.shutdown().await.unwrap();
    for stream in &mut waiting {
        stream.shutdown().await.unwrap();
    }
    wire::until(async || gateway.metric(&queued).await == 0.0).await;
    for stream in waiting {
        let text = read(stream).await;
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        assert!(text.contains("\"code\":\"unavailable\""), "{text}");
    }
    // The one whose call was sent is still waited for, until the gateway ends.
    assert_eq!(alibaba.counters().total_calls(), 1);
    assert_eq!(gateway.metric("ota_http_requests_in_flight").await, 1.0);
    gateway.stop().await;
    assert_eq!(read(first).await, "");
}

#[tokio::test]
async fn an_answer_behind_which_the_connection_is_closed_says_so() {
    let gateway = gateway("header_timeout_ms = 300", &[]).await;
    let host = "Host: a\r\nOrigin: https://a.example\r\n";
    for (method, length, body, status) in [
        ("POST", "Content-Length: 200000", "x".repeat(200_000), "413"),
        (
            "POST",
            "Transfer-Encoding: chunked",
            format!("30d40\r\n{}\r\n0\r\n\r\n", "x".repeat(200_000)),
            "413",
        ),
        ("POST", "Content-Length: 9", "1234".to_owned(), "408"),
        ("GET", "Content-Length: 9", "1234".to_owned(), "408"),
    ] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let request =
            format!("{method} /v1/providers/x/check HTTP/1.1\r\n{host}{length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = read(stream).await;
        let shown = format!("{method} {length}: {text}");
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{shown}");
    }
    let short =
        format!("POST /v1/providers/x/check HTTP/1.1\r\n{host}Content-Length: 9\r\n\r\n1234");
    let text = half_closed(gateway.address(), short.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    let long = format!(
        "POST /{} HTTP/1.1\r\n{host}Content-Length: 9\r\n\r\n1234",
        "x".repeat(50_000)
    );
    let text = half_closed(gateway.address(), long.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 414 "), "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    // After a body that was read the connection goes on.
    let whole =
        format!("POST /v1/providers/x/check HTTP/1.1\r\n{host}Content-Length: 4\r\n\r\n1234");
    let text = half_closed(gateway.address(), whole.repeat(2).as_bytes()).await;
    assert_eq!(text.matches("HTTP/1.1 401 ").count(), 2, "{text}");
    assert!(!text.contains("connection: close"), "{text}");
}

#[tokio::test]
async fn large_heads_take_no_more_memory_than_there_is_for_them() {
    // There are 64 KiB for each connection, and such a head is counted with 112 KiB: nine have room.
    let gateway = gateway("max_connections = 16", &[]).await;
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(60_000)
    );
    let (begun, rest) = head.split_at(head.len() - 1);
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        open.push(stream);
        let reply = wire::exchange(
            gateway.address(),
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(reply.await.status, 200, "small ones need no room");
    }
    let evicted = "ota_connections_cut_off_total{reason=\"evicted\"}";
    while gateway.metric(evicted).await < 3.0 {
        tokio::task::yield_now().await;
    }
    // Others go on, and close afterwards.
    let mut answered = 0;
    for mut stream in open {
        if stream.write_all(rest.as_bytes()).await.is_err() {
            continue;
        }
        let mut text = Vec::new();
        let read = tokio::time::timeout(wire::PATIENCE, stream.read_to_end(&mut text));
        if read.await.unwrap().is_ok() && text.starts_with(b"HTTP/1.1 200 ") {
            assert!(String::from_utf8_lossy(&text).contains("\r\nconnection: close\r\n"));
            answered += 1;
        }
    }
    assert_eq!(answered, 9);
    assert_eq!(gateway.metric(evicted).await, 3.0);
}

#[tokio::test]
async fn the_listener_for_metrics_has_limits_of_its_own() {
    let gateway = gateway("header_timeout_ms = 300\nidle_timeout_ms = 300", &[]).await;
    let mut open = silent(gateway.metrics_address(), 300).await;
    // Both listeners answer, and of the silent connections few were kept.
    gateway.get("/v1/providers").await.ok();
    assert_eq!(gateway.metric("ota_connections_open").await, 0.0);
    for stream in open.iter_mut().take(260) {
        let closed = tokio::time::timeout(wire::PATIENCE, stream.read(&mut [0; 8])).await;
        assert_eq!(closed.unwrap().unwrap_or_default(), 0);
    }
    // The last ones are closed in time; so is one that sends slowly, and one on which nothing more is asked.
    for stream in open.iter_mut().skip(260) {
        let closed = tokio::time::timeout(wire::PATIENCE, stream.read(&mut [0; 8])).await;
        assert_eq!(closed.unwrap().unwrap_or_default(), 0);
    }
    for (request, begin) in [
        ("GET /metrics HTTP/1.1\r\nX: ", "HTTP/1.1 408 "),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "),
    ] {
        let mut stream = TcpStream::connect(gateway.metrics_address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = read(stream).await;
        assert!(text.starts_with(begin), "{request}: {text}");
    }
    let large = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let reply = wire::exchange(gateway.metrics_address(), large.as_bytes()).await;
    reply.problem(431, "headers_too_large");
}

#[tokio::test]
async fn one_reader_leaves_room_for_probes_and_others() {
    let alibaba = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    let fast = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let providers = [
        Section::alibaba(ALI, &alibaba.url()),
        Section::alibaba("fast", &fast.url()),
    ];
    let gateway = gateway("max_connections = 24\nreserved_connections = 4", &providers).await;
    alibaba.set_faults(vec![Fault::always(FaultKind::Hang)]);
    let of = |who: &str| signed(token::SECRET, &claims_with(json!({"sub": who})));
    let greedy = of("greedy");
    // More than there are places, each for another job.
    let mut open = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let path = format!("{}/job-{number}", World::jobs_path(ALI));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {greedy}\r\n\r\n",
            gateway.address()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        open.push(stream);
    }
    let full = "ota_requests_turned_away_total{reason=\"full\"}";
    wire::until(async || gateway.metric(full).await >= 1.0).await;
    for path in ["/healthz", "/readyz"] {
        let reply = gateway.ask("GET", path).anonymous().send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.shown());
    }
    for path in ["/v1/providers".to_owned(), World::jobs_path("fast")] {
        let ask = gateway.ask("GET", &path).token(&of("other"));
        ask.send().await.ok();
    }
    // The other caller's places came from the greedy one, whose requests get a problem.
    let given_up = "ota_requests_turned_away_total{reason=\"given_up\"}";
    assert!(gateway.metric(given_up).await >= 1.0);
    assert_eq!(
        gateway
            .metric("ota_connections_cut_off_total{reason=\"refused\"}")
            .await,
        0.0
    );
}

#[tokio::test]
async fn a_lone_caller_may_be_limited() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let providers = [Section::alibaba(ALI, &alibaba.url())];
    let gateway = gateway("max_requests_per_caller = 1", &providers).await;
    alibaba.set_faults(vec![Fault::always(FaultKind::Hang)]);
    let path = |number: u32| format!("{}/job-{number}", World::jobs_path(ALI));
    let first = tokio::spawn(gateway.ask("GET", &path(0)).send());
    wire::until(async || alibaba.counters().total_calls() > 0).await;
    let second = gateway.ask("GET", &path(1)).send().await;
    let problem = second.problem(429, "rate_limited");
    assert!(problem["detail"].as_str().unwrap().contains("in flight"));
    alibaba.set_faults(Vec::new());
    first.abort();
}

#[tokio::test]
async fn a_caller_with_many_calls_waits_behind_others_at_the_vendor() {
    let alibaba = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    // One call at a time, each of which takes a while.
    let section = Section::alibaba(ALI, &alibaba.url()).limit("max_concurrent = 1");
    let gateway = gateway("", &[section]).await;
    let slow = Fault::always(FaultKind::Delay).delay(Duration::from_millis(200));
    alibaba.set_faults(vec![slow]);
    let of = |who: &str| signed(token::SECRET, &claims_with(json!({"sub": who})));
    let greedy: Vec<_> = (0..60)
        .map(|number| {
            let path = format!("{}/job-{number}", World::jobs_path(ALI));
            tokio::spawn(gateway.ask("GET", &path).token(&of("greedy")).send())
        })
        .collect();
    let waiting = format!("ota_quota_waiting{{provider=\"{ALI}\"}}");
    wire::until(async || gateway.metric(&waiting).await >= 40.0).await;
    let ask = gateway.ask("GET", &World::jobs_path(ALI));
    ask.token(&of("other")).send().await.ok();
    // Its calls came between those of the greedy one, most of which still wait.
    assert!(gateway.metric(&waiting).await >= 20.0);
    for task in greedy {
        task.abort();
    }
}

/// The gateway's program where it may open so many files.
struct Limited {
    child: tokio::process::Child,
    api: SocketAddr,
    metrics: SocketAddr,
    folder: tempfile::TempDir,
}

impl Limited {
    async fn start(files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, ota_tests::gateway::keeping_head()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let script = format!("ulimit -n {files} && exec \"$0\" --config \"$1\" serve");
        let child = tokio::process::Command::new("sh")
            .args(["-c", &script])
            .arg(program::path())
            .arg(&path)
            // Where it keeps its database.
            .current_dir(folder.path())
            .stdin(std::process::Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = folder.path().join("log");
        let address = |name: &str| {
            let text = std::fs::read_to_string(&log).unwrap();
            let (_, rest) = text.split_once(name)?;
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c))?;
            rest[..end].parse().ok()
        };
        let (api, metrics) = ("listening on http://", "metrics on http://");
        wire::until(async || address(api).is_some() && address(metrics).is_some()).await;
        let (api, metrics) = (address(api).unwrap(), address(metrics).unwrap());
        Self {
            child,
            api,
            metrics,
            folder,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn get(&self, address: SocketAddr, path: &str) -> wire::Reply {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        wire::exchange(address, request.as_bytes()).await
    }

    /// Whether the API answers a request now.
    async fn is_answered(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(self.api).await?;
            let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await?;
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).await?;
            Ok::<_, std::io::Error>(reply)
        };
        ask.await
            .is_ok_and(|reply| reply.starts_with(b"HTTP/1.1 200"))
    }

    async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn where_files_are_few_connections_leave_some_for_the_rest() {
    let gateway = Limited::start(300).await;
    let _open = (
        silent(gateway.metrics, 400).await,
        silent(gateway.api, 400).await,
    );
    let reply = gateway.get(gateway.api, "/healthz").await;
    assert_eq!(reply.status, 200, "{}", reply.shown());
    let text = gateway.get(gateway.metrics, "/metrics").await.text();
    assert!(text.contains("ota_accept_failures_total 0\n"), "{text}");
    let log = gateway.log();
    assert!(log.contains("may open 300 files"), "{log}");
    for name in ["metrics.listen", "server.listen"] {
        let warning = format!("{name} has reached its connection limit");
        assert!(log.contains(&warning), "{log}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn without_files_the_gateway_warns_and_goes_on() {
    // Fewer than it keeps for other things.
    let gateway = Limited::start(40).await;
    let open = silent(gateway.metrics, 60).await;
    let warning = "no connection can be accepted on metrics.listen";
    wire::until(async || gateway.log().contains(warning)).await;
    drop(open);
    // Until the gateway has closed its side of those, a connection can still be turned away.
    wire::until(async || gateway.is_answered().await).await;
    let text = gateway.get(gateway.metrics, "/metrics").await.text();
    assert!(!text.contains("ota_accept_failures_total 0\n"), "{text}");
    // It says so seldom, not with each attempt.
    assert_eq!(gateway.log().matches(warning).count(), 1);
    gateway.end().await;
}
