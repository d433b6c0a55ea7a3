//! A reader of the log that has stopped reading: nothing waits for it.

use std::cell::Cell;

use ota_sim::FleetShape;
use ota_tests::gateway::keeping_head;
use ota_tests::token::minted;
use ota_tests::vendors::alibaba_sim;
use ota_tests::{Section, program, wire};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::program::configuration::File;
use crate::setup::ALI;

/// The program with a log that is read only when the test reads it.
struct Running {
    child: Child,
    log: Option<Lines<BufReader<ChildStderr>>>,
    address: std::net::SocketAddr,
    metrics: std::net::SocketAddr,
    _file: File,
}

impl Running {
    async fn start(text: &str) -> Self {
        let file = File::new(text);
        let mut command = program::command(&["serve", "--config", file.path()]);
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut metrics) = (None, None);
        while address.is_none() || metrics.is_none() {
            let line = next(&mut log).await;
            for (what, place) in [
                ("listening on http://", &mut address),
                ("metrics on http://", &mut metrics),
            ] {
                if let Some(at) = line.find(what) {
                    let rest = &line[at + what.len()..];
                    let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
                    *place = rest[..end.unwrap_or(rest.len())].parse().ok();
                }
            }
        }
        Self {
            child,
            log: Some(log),
            address: address.unwrap(),
            metrics: metrics.unwrap(),
            _file: file,
        }
    }

    async fn get(&self, path: &str) -> wire::Reply {
        let headers = [
            ("Host".to_owned(), self.address.to_string()),
            (
                "Authorization".to_owned(),
                format!("Bearer {}", minted("ota:read", None)),
            ),
        ];
        wire::exchange(self.address, &wire::request("GET", path, &headers, b"")).await
    }

    /// How many lines were dropped so far, as the metrics say.
    async fn dropped(&self) -> u64 {
        let headers = [("Host".to_owned(), self.metrics.to_string())];
        let request = wire::request("GET", "/metrics", &headers, b"");
        let text = wire::exchange(self.metrics, &request).await.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ota_log_lines_dropped_total "));
        line.expect("the metric is there from the start")
            .parse()
            .unwrap()
    }

    /// Asks until more lines were dropped than so many; every request and probe is answered all the while.
    async fn until_more_is_dropped(&self, than: u64) -> u64 {
        let end = tokio::time::Instant::now() + 3 * wire::PATIENCE;
        loop {
            for path in [
                "/healthz",
                "/readyz",
                "/v1/providers",
                "/v1/providers/ali/jobs",
            ] {
                assert_eq!(self.get(path).await.status, 200, "{path}");
            }
            let dropped = self.dropped().await;
            if dropped > than {
                return dropped;
            }
            assert!(tokio::time::Instant::now() < end, "the log fills up");
        }
    }

    /// Ends the program as an operator does, while its log is not read.
    async fn end(mut self) {
        let id = self.child.id().unwrap().to_string();
        let sent = tokio::process::Command::new("sh")
            .args(["-c", &format!("kill -TERM {id}")])
            .status();
        assert!(sent.await.unwrap().success());
        let status = tokio::time::timeout(wire::PATIENCE, self.child.wait());
        assert_eq!(status.await.unwrap().unwrap().code(), Some(0));
    }
}

async fn next(log: &mut Lines<BufReader<ChildStderr>>) -> String {
    let line = tokio::time::timeout(wire::PATIENCE, log.next_line());
    line.await.unwrap().unwrap().expect("the log goes on")
}

#[tokio::test]
async fn a_log_that_is_not_read_stops_no_request_no_probe_and_not_the_end() {
    let alibaba = alibaba_sim(FleetShape::uniform(2, 3).frozen()).await;
    let section = Section::alibaba(ALI, &alibaba.url()).to_toml();
    let log = "[log]\nformat = \"json\"\nfilter = \"trace\"\nbuffer_bytes = 16384\n";
    let mut running = Running::start(&format!("{}{log}{section}", keeping_head())).await;
    assert_eq!(running.dropped().await, 0);
    // Many, and the memory is full when it is read again: the line that names them must find room then.
    running.until_more_is_dropped(100).await;

    // Read again, each line is whole, and all that are missing are named.
    let mut log = running.log.take().unwrap();
    let named = Cell::new(0);
    let read = async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log goes on");
            let line: Value = serde_json::from_str(&line).expect("each line is whole");
            if let Some(count) = line["log.dropped"].as_u64() {
                assert_eq!(line["level"], "WARN", "{line}");
                named.set(named.get() + count);
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = wire::until(async || running.dropped().await == named.get()) => {}
    }
    running.log = Some(log);

    // Not read again: the end does not wait for it.
    let before = running.dropped().await;
    running.until_more_is_dropped(before).await;
    running.end().await;
}

#[tokio::test]
async fn a_log_whose_reader_is_gone_stops_nothing() {
    let alibaba = alibaba_sim(FleetShape::uniform(2, 3).frozen()).await;
    let section = Section::alibaba(ALI, &alibaba.url()).to_toml();
    let mut running = Running::start(&format!("{}{section}", keeping_head())).await;
    running.log = None;
    running.until_more_is_dropped(0).await;
    running.end().await;
}
