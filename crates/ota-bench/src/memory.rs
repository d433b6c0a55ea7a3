//! Start, and memory.

use std::sync::Arc;

use ota_sim::{FleetShape, QuotaSetting};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::gateway::{self, Gateway, PROVIDER};
use crate::report::{Goal, Report, median};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "memory";
const MEGABYTE: f64 = 1e6;

/// Number of different cached pages, each of about 33 KB.
const PAGES: usize = 400;

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let connections = if setting.quick { 100 } else { 1000 };
    let sim = gateway::simulated(
        FleetShape::uniform(u32::try_from(PAGES)?, 100).frozen(),
        QuotaSetting::Unlimited,
    )
    .await?;
    let sections = format!(
        "[cache]\nmax_age_s = 3600\n{}",
        gateway::one_section(&sim.url(), "calls = 1000000")?
    );
    let mut starts = Vec::new();
    for _ in 0..5 {
        let gateway = Gateway::start(setting, &sections).await?;
        starts.push(gateway.started_in.as_secs_f64() * 1000.0);
    }
    report.row(
        SCENARIO,
        "from start to the first answer, median of 5",
        median(&mut starts),
        " ms",
        Goal::AtMost(300.0),
    );

    let gateway = Gateway::start(setting, &sections).await?;
    let Some(idle) = gateway.resident_bytes() else {
        report.note(SCENARIO, "memory is left out: this system does not tell it");
        return Ok(());
    };
    report.row(SCENARIO, "idle", idle / MEGABYTE, " MB", Goal::AtMost(30.0));

    let token = gateway.authorization()?;
    let jobs: Vec<String> = sim.fleet().jobs.into_iter().map(|job| job.id).collect();
    // As many at a time as an operating system takes without a limit raised.
    let few = Arc::new(Semaphore::new(32));
    let mut opening = Vec::new();
    for number in 0..connections {
        let url = gateway.url(&format!(
            "{PROVIDER}/jobs/{}/tasks?page_size=100",
            jobs[number % jobs.len()]
        ));
        let (token, few) = (token.clone(), Arc::clone(&few));
        opening.push(tokio::spawn(async move {
            let _turn = few.acquire_owned().await?;
            ask(&url, &token).await
        }));
    }
    let mut open = Vec::new();
    for one in opening {
        open.push(one.await??);
    }
    let warm = gateway.resident_bytes().unwrap_or(f64::NAN);
    report.row(
        SCENARIO,
        "vendor calls for the pages",
        sim.counters().total_calls() as f64,
        "",
        Goal::AtMost(PAGES as f64),
    );
    report.row(
        SCENARIO,
        &format!("{connections} open connections, {PAGES} cached pages"),
        warm / MEGABYTE,
        " MB",
        Goal::AtMost(150.0),
    );
    drop(open);
    Ok(())
}

/// Opens a connection, reads one page over it, and keeps it open.
async fn ask(url: &str, token: &str) -> Outcome<TcpStream> {
    let rest = url.trim_start_matches("http://");
    let (address, path) = rest.split_once('/').ok_or("a URL has a path")?;
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\nAccept-Encoding: gzip\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.ok_or(format!("no length: {head}"))?.trim().parse()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    match head.starts_with("http/1.1 200") {
        true => Ok(stream),
        false => Err(head.into()),
    }
}
