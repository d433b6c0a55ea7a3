//! What clients without a token can make the gateway hold.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::report::{Goal, Report};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "hostile";
const MEGABYTE: f64 = 1e6;

/// What `docs/operations.md` says that a gateway without cached responses takes at most: 128 KiB for each of 2048 connections.
const PROMISED: f64 = 2048.0 * 131_072.0 / MEGABYTE;

/// As long as the gateway takes no more, a client has sent what it can.
const SENT: Duration = Duration::from_secs(3);

/// Memory that has not grown for so long grows no more.
const SETTLED: Duration = Duration::from_secs(2);

/// Files beside those of the connections.
const OTHER_FILES: u64 = 200;

/// The requests of one connection, all sent at once.
struct Attack {
    name: String,
    connections: usize,
    request: String,
}

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let few = if setting.quick { 100 } else { 500 };
    let many = if setting.quick { 200 } else { 2000 };
    let most = rlimit::increase_nofile_limit(many as u64 + OTHER_FILES)?;
    if most < many as u64 + OTHER_FILES {
        report.note(
            SCENARIO,
            "left out: too few files may be open (`ulimit -n`)",
        );
        return Ok(());
    }
    let pages = |connections, file: &str, what: &str| {
        let request = format!(
            "GET /docs/{file} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        Attack {
            name: format!("{connections} connections, 12 requests for the largest page each{what}"),
            connections,
            request: request.repeat(12),
        }
    };
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(60_000)
    );
    let heads = |name: &str, request: String| Attack {
        name: format!("{many} connections, {name}"),
        connections: many,
        request,
    };
    let part = head.len() - 4;
    let with_body = |value: usize, length: &str, body: String| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n{length}\r\n\r\n{body}",
            "x".repeat(value)
        )
    };
    let body = |value| with_body(value, "Content-Length: 60000", "x".repeat(59_000));
    let chunks = |value| {
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
        with_body(value, "Transfer-Encoding: chunked", chunk.repeat(15))
    };
    for attack in [
        pages(few, "swagger-ui-bundle.js", ""),
        pages(few, "swagger-ui-bundle.j%73", ", by an escaped name"),
        pages(many, "swagger-ui-bundle.js", ""),
        heads("3 heads of 60 KB each", head.repeat(3)),
        heads("a head of 60 KB that does not end", head[..part].to_owned()),
        heads("a head of 60 KB and a body that does not end", body(60_000)),
        heads("a head of 60 KB and chunks that do not end", chunks(60_000)),
        // As many as have room, with the least that is counted for it.
        heads("a head of 26 KB and chunks that do not end", chunks(26_000)),
        heads("a head of 7 KB and chunks that do not end", chunks(7000)),
    ] {
        measure(setting, report, &attack).await?;
    }
    Ok(())
}

/// Attacks a gateway of its own, as none of the connections reads.
async fn measure(setting: &Setting, report: &mut Report, attack: &Attack) -> Outcome<()> {
    let gateway = Gateway::start(setting, "[log]\nfilter = \"warn\"\n").await?;
    let mut sending = Vec::new();
    for _ in 0..attack.connections {
        let (address, request) = (gateway.address(), attack.request.clone());
        sending.push(tokio::spawn(send(address, request)));
    }
    let mut open = Vec::new();
    for connection in sending {
        open.push(connection.await??);
    }
    let Some(peak) = settled_peak(&gateway).await else {
        report.note(SCENARIO, "memory is left out: this system does not tell it");
        return Ok(());
    };
    let name = &attack.name;
    let goal = Goal::AtMost(PROMISED.round());
    report.row(
        SCENARIO,
        &format!("{name}: most memory"),
        peak / MEGABYTE,
        " MB",
        goal,
    );
    drop(open);
    // The gateway sees them close, one after the other; then it answers again.
    let client = crate::gateway::client()?;
    let url = format!("http://{}/healthz", gateway.address());
    client.get(&url).send().await?.error_for_status()?;
    tokio::time::sleep(SENT).await;
    let after = gateway.resident_bytes().unwrap_or(f64::NAN);
    report.row(
        SCENARIO,
        &format!("{name}: memory after they have closed"),
        after / MEGABYTE,
        " MB",
        goal,
    );
    Ok(())
}

/// Returns the most memory that the gateway has had, once that grows no more: what was sent waits in the operating system until it is read.
async fn settled_peak(gateway: &Gateway) -> Option<f64> {
    let mut peak = gateway.peak_bytes()?;
    for _ in 0..10 {
        tokio::time::sleep(SETTLED).await;
        let now = gateway.peak_bytes()?;
        if now <= peak {
            break;
        }
        peak = now;
    }
    Some(peak)
}

/// Sends as much as the gateway takes, and reads nothing.
async fn send(address: SocketAddr, request: String) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    // Neither that it takes no more nor that it closes the connection is a failure.
    let _sent = tokio::time::timeout(SENT, stream.write_all(request.as_bytes())).await;
    Ok(stream)
}
