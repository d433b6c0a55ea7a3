//! What the sandbox prints works.

use std::net::SocketAddr;
use std::process::Command;

use ota_sandbox::{Options, Sandbox};
use ota_sim::SIMULATORS;
use tokio::sync::oneshot;

/// Runs what is printed in a POSIX shell, as a person does who pastes it.
async fn paste(text: String) -> String {
    tokio::task::spawn_blocking(move || {
        let output = Command::new("sh").args(["-c", &text]).output().unwrap();
        assert!(
            output.status.success(),
            "{text}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    })
    .await
    .unwrap()
}

/// Asks the gateway, and returns the answer as JSON.
async fn ask(sandbox: &str, token: &str, path: &str) -> serde_json::Value {
    let text = paste(format!(
        "curl -sS -H 'Authorization: Bearer {token}' '{sandbox}{path}'"
    ))
    .await;
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_fleet_is_mirrored_soon_and_no_vendor_throttles() {
    let sandbox = Sandbox::start(options()).await.unwrap();
    let (url, token) = (sandbox.url(), sandbox.token().to_owned());
    let greeting = sandbox.greeting();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(sandbox.serve(async {
        let _ = stopped.await;
    }));
    let whole = async {
        loop {
            let path = "/v1/stats/tasks?group_by=provider";
            let answer = ask(&url, &token, path).await;
            let sources = answer["sources"].as_array().unwrap();
            if sources.iter().all(|source| source["state"] == "current") {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
    };
    // Six seconds on an idle machine with two cores.
    let answer = tokio::time::timeout(std::time::Duration::from_secs(60), whole).await;
    let answer = answer.expect("every mirror is current in time");
    // Enough to be worth a filter.
    assert!(answer["total"].as_u64().unwrap() >= 3000, "{answer}");
    assert_eq!(
        answer["groups"].as_array().unwrap().len(),
        SIMULATORS.len(),
        "{answer}"
    );
    // Groups by version span all vendors.
    let path = "/v1/stats/jobs?group_by=provider,package_version";
    let groups = ask(&url, &token, path).await["groups"].clone();
    let groups = groups.as_array().unwrap();
    for one in SIMULATORS {
        let of = groups
            .iter()
            .filter(|group| group["keys"]["provider"] == one.account.provider);
        let mut versions = of.map(|group| &group["keys"]["package_version"]);
        assert!(versions.any(serde_json::Value::is_string), "{groups:?}");
    }
    let simulators = greeting.split("counters at ").skip(1);
    let pages: Vec<&str> = simulators
        .map(|rest| rest.lines().next().unwrap())
        .collect();
    assert_eq!(pages.len(), SIMULATORS.len());
    for page in pages {
        let text = paste(format!("curl -sS {page}counters")).await;
        let counters: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!counters["calls"].as_object().unwrap().is_empty(), "{text}");
        // The simulators keep the vendors' quotas, and count what they turn away.
        assert!(
            counters["refused"].as_object().unwrap().is_empty(),
            "{text}"
        );
    }
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

/// The mirror has jobs and tasks soon after the start, within the vendors' quotas.
async fn answers_from_the_mirror(what: &str, line: &str) {
    let answered = async {
        loop {
            let text = paste(line.to_owned()).await;
            let answer: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}: {text}"));
            assert_eq!(
                answer["sources"].as_array().map(Vec::len),
                Some(SIMULATORS.len()),
                "{what}: {answer}"
            );
            let rows = answer["items"].as_array().or(answer["groups"].as_array());
            // Whether a task has not moved for an hour is up to the fleet.
            if rows.is_some_and(|rows| !rows.is_empty()) || what.contains("an hour") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), answered)
        .await
        .unwrap_or_else(|_| panic!("{what}: no row in time"));
}

fn options() -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options {
        listen: free,
        metrics: free,
        cors_origins: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_printed_line_answers_when_pasted() {
    let sandbox = Sandbox::start(options()).await.unwrap();
    let (greeting, token, lines) = (
        sandbox.greeting(),
        sandbox.token().to_owned(),
        sandbox.curl_lines(),
    );
    // The jobs of each vendor, tasks and statistics of one job, and five questions about all vendors.
    let count = lines.len();
    assert_eq!(count, SIMULATORS.len() + 7);
    assert!(greeting.contains("/docs/"));
    // Once: it is long, and a person finds it.
    assert_eq!(greeting.matches(&token).count(), 1);
    let name_it = format!("TOKEN={token}");
    assert!(greeting.lines().any(|printed| printed == name_it));
    let metrics = greeting
        .lines()
        .find_map(|line| line.trim().strip_prefix("metrics"))
        .unwrap()
        .trim()
        .to_owned();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(sandbox.serve(async {
        let _ = stopped.await;
    }));
    for (what, line) in lines {
        assert!(greeting.lines().any(|printed| printed == line), "{what}");
        if what.starts_with("all vendors") {
            answers_from_the_mirror(&what, &format!("{name_it}\n{line}")).await;
            continue;
        }
        let answer = paste(format!("{name_it}\n{line}")).await;
        let answer: serde_json::Value =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{what}: {answer}"));
        match what.as_str() {
            "its statistics" => assert!(
                answer["failed"].as_u64().is_some_and(|failed| failed > 0),
                "{answer}"
            ),
            _ => assert!(
                answer["items"]
                    .as_array()
                    .is_some_and(|items| !items.is_empty()),
                "{what}: {answer}"
            ),
        }
        if what.contains("failed") {
            assert!(
                answer["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|task| task["status"] == "failed"),
                "{answer}"
            );
        }
    }
    // All from the token on in one go, comments too.
    let (_, block) = greeting.split_once("\nTOKEN=").unwrap();
    let answers = paste(format!("TOKEN={block}")).await;
    let answers: Vec<serde_json::Value> = answers
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let answered = answers.iter().filter(|answer| answer["as_of"].is_string());
    assert_eq!(answered.count(), count, "{answers:?}");
    for comment in block.lines().filter(|line| line.starts_with('#')) {
        assert!(!comment.contains(['\'', '"', '`', '$']), "{comment}");
    }
    let text = paste(format!("curl -sS {metrics}")).await;
    assert!(
        text.contains("ota_vendor_calls_total{"),
        "{metrics}: {text}"
    );
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = Sandbox::start(Options {
        listen: taken.local_addr().unwrap(),
        ..options()
    })
    .await
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("cannot listen on 127.0.0.1:") && error.contains("--listen"),
        "{error}"
    );
}

#[tokio::test]
async fn metrics_take_another_port_where_theirs_is_taken() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap();
    let sandbox = Sandbox::start(Options {
        metrics: taken,
        ..options()
    })
    .await
    .unwrap();
    let greeting = sandbox.greeting();
    assert!(greeting.contains("/metrics") && !greeting.contains(&format!("{taken}/metrics")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_may_call_where_the_sandbox_was_told_of_it() {
    let page = "http://localhost:3000";
    let allowed = async |cors_origins: Vec<String>| {
        let sandbox = Sandbox::start(Options {
            cors_origins,
            ..options()
        })
        .await
        .unwrap();
        let (url, greeting) = (sandbox.url(), sandbox.greeting());
        assert!(greeting.contains(page), "{greeting}");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(sandbox.serve(async {
            let _ = stopped.await;
        }));
        let answer = paste(format!(
            "curl -sSi -X OPTIONS -H 'Origin: {page}' -H 'Access-Control-Request-Method: GET' -H 'Access-Control-Request-Headers: authorization' {url}/v1/providers"
        ))
        .await
        .to_ascii_lowercase();
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        answer.contains(&format!("access-control-allow-origin: {page}\r\n"))
    };
    assert!(!allowed(Vec::new()).await);
    let two = vec!["http://127.0.0.1:3000".to_owned(), page.to_owned()];
    assert!(allowed(two).await);
}

#[test]
fn an_origin_that_no_page_has_is_refused_with_what_to_do() {
    for (origin, advice) in [
        ("null", "http.server"),
        ("localhost:3000", "http://localhost:3000"),
        ("http://localhost:3000/page.html", "http://localhost:3000"),
        ("http://a.lan,http://b.lan", "an option of its own"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ota-sandbox"))
            .args(["--cors-origin", origin])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{origin}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(advice), "{text}");
    }
}
