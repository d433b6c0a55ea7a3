//! What the sandbox prints works.

use std::process::Command;

use ota_sandbox::Sandbox;
use tokio::sync::oneshot;

/// Runs a printed line in a shell, as a person does who pastes it.
async fn paste(line: String) -> String {
    tokio::task::spawn_blocking(move || {
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_printed_line_answers_when_pasted() {
    let free = "127.0.0.1:0".parse().unwrap();
    let sandbox = Sandbox::start(free, free).await.unwrap();
    let (greeting, token, lines) = (
        sandbox.greeting(),
        sandbox.token().to_owned(),
        sandbox.curl_lines(),
    );
    assert_eq!(lines.len(), 4);
    assert!(greeting.contains(&token) && greeting.contains("/docs/"));
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
        let answer = paste(line).await;
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
    let free = "127.0.0.1:0".parse().unwrap();
    let error = Sandbox::start(taken.local_addr().unwrap(), free)
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
    let (free, taken) = ("127.0.0.1:0".parse().unwrap(), taken.local_addr().unwrap());
    let sandbox = Sandbox::start(free, taken).await.unwrap();
    let greeting = sandbox.greeting();
    assert!(greeting.contains("/metrics") && !greeting.contains(&format!("{taken}/metrics")));
}
