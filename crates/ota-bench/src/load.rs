//! Load from `wrk`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::scenario::Outcome;

/// Whether a program is installed.
pub(crate) async fn installed(program: &str, argument: &str) -> bool {
    let run = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.await.is_ok()
}

/// What `wrk` got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) answers: f64,
    pub(crate) a_second: f64,
}

/// Asks over 64 connections as fast as the answers come.
pub(crate) async fn answers_a_second(
    url: &str,
    headers: &[String],
    time: Duration,
) -> Outcome<Load> {
    let mut command = Command::new("wrk");
    command
        .args(["--threads", "1", "--connections", "64", "--duration"])
        .arg(format!("{}s", time.as_secs().max(1)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for header in headers {
        command.arg("--header").arg(header);
    }
    let output = command.arg(url).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.contains("Non-2xx") && !headers.iter().any(|header| header.contains("If-None")) {
        return Err(format!("not every answer was good: {text}").into());
    }
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
    let all = text
        .lines()
        .find_map(|line| line.split_once(" requests in "));
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    match (number(all.map(|(count, _)| count)), number(rate)) {
        (Some(answers), Some(a_second)) => Ok(Load { answers, a_second }),
        _ => Err(format!("wrk says: {text}").into()),
    }
}
