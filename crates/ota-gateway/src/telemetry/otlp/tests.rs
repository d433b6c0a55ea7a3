//! Exporting to a collector that the test implements.

use super::Exporter;
use crate::config::Config;
use crate::{assembly, listeners};
use ota_auth::{ClaimNames, READ, TokenIssuer};
use ota_core::clock::{Clock as _, SystemClock};
use ota_core::random::SequenceRandom;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A span as the collector reads it.
#[derive(Clone, Debug, Default)]
struct Span {
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    parent_span_id: Vec<u8>,
    name: String,
    kind: u64,
}

const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// The fields of a protobuf message: number, and a number or bytes. An independent reader also detects mistakes of the writing library.
fn fields(mut rest: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, tail) = rest.split_first().unwrap();
            *rest = tail;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, varint(&mut rest), &[][..]));
                continue;
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(varint(&mut rest)).unwrap(),
            other => panic!("wire type {other}"),
        };
        let (bytes, tail) = rest.split_at(length);
        fields.push((key >> 3, 0, bytes));
        rest = tail;
    }
    fields
}

fn inner(message: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(message).into_iter();
    fields
        .filter(|field| field.0 == number)
        .map(|field| field.2)
        .collect()
}

/// Reads `ExportTraceServiceRequest` of opentelemetry-proto 1.
fn spans_of(message: &[u8]) -> Vec<Span> {
    let resources = inner(message, 1);
    let scopes = resources.iter().flat_map(|resource| inner(resource, 2));
    let spans = scopes.flat_map(|scope| inner(scope, 2));
    spans
        .map(|span| {
            let bytes = |number| inner(span, number).concat();
            let kind = fields(span)
                .iter()
                .find(|field| field.0 == 6)
                .map(|field| field.1);
            Span {
                trace_id: bytes(1),
                span_id: bytes(2),
                parent_span_id: bytes(4),
                name: String::from_utf8(bytes(5)).unwrap(),
                kind: kind.unwrap_or_default(),
            }
        })
        .collect()
}

/// Reads one request and answers 200 with this body.
async fn answer(mut stream: TcpStream, body: &str) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let (head, rest) = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            break (head, bytes.split_off(end + 4));
        }
    };
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|text| text.lines().next()?.parse().ok());
    let mut rest = rest;
    while rest.len() < length.unwrap_or(0) {
        stream.read_buf(&mut rest).await.ok()?;
    }
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    Some((head, rest))
}

#[tokio::test]
async fn a_request_and_its_vendor_call_are_spans_of_the_callers_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vendor = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authorization = folder.path().join("otlp");
    std::fs::write(&authorization, "Bearer collector-token").unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[auth]\nhs256_secret = \"{SECRET}\"\n[telemetry]\notlp_endpoint = \"http://{}\"\notlp_authorization_file = \"{}\"\nsample_ratio = 0.0\n[providers.ali]\nvendor = \"alibaba-iot\"\nendpoint = \"http://{}\"\naccess_key_id = \"id\"\naccess_key_secret = \"secret-of-the-vendor\"\n",
        collector.local_addr().unwrap(),
        authorization.display(),
        vendor.local_addr().unwrap(),
    );
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::load(Some(&path), []).unwrap();
    let app = assembly::app(&config).unwrap();
    let spans = Arc::<Mutex<Vec<Span>>>::default();
    let (gathered, told) = (Arc::clone(&spans), tokio::sync::Notify::new());
    let told = Arc::new(told);
    let tell = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((stream, _)) = collector.accept().await {
            let Some((head, body)) = answer(stream, "").await else {
                continue;
            };
            assert!(head.starts_with("post /v1/traces"), "{head}");
            assert!(head.contains("authorization: bearer collector-token"));
            assert!(!String::from_utf8_lossy(&body).contains("secret-of-the-vendor"));
            assert!(String::from_utf8_lossy(&body).contains("service.name"));
            gathered.lock().unwrap().extend(spans_of(&body));
            tell.notify_one();
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = vendor.accept().await {
            answer(stream, "{\"Success\":true,\"Data\":null}").await;
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(listeners::serve(listener, app, std::future::pending()));
    let mint = TokenIssuer {
        secret: &ota_http::Secret::new(SECRET),
        issuer: None,
        audience: None,
        subject: "dashboard",
        scope: READ,
        providers: None,
        ttl_s: 600,
        names: &ClaimNames::default(),
    };
    let token = mint.token(SystemClock.now()).unwrap();
    // The first belongs to a trace that is recorded, the second to one that is not.
    for flag in ["01", "00"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/providers/ali/jobs/j1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-{flag}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    let enough = || spans.lock().unwrap().len() >= 2;
    let wait = async {
        while !enough() {
            told.notified().await;
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, wait).await.unwrap();
    let spans = spans.lock().unwrap().clone();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let of = |kind| spans.iter().find(|span| span.kind == kind).unwrap();
    let (server, client) = (of(SERVER), of(CLIENT));
    assert_eq!(server.name, "GET /v1/providers/{provider}/jobs/{job_id}");
    assert_eq!(client.name, "QueryOTAJob");
    for span in [server, client] {
        let trace: String = span
            .trace_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(trace, TRACE);
    }
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(
        server.parent_span_id,
        [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]
    );
    let shown = format!("{spans:?}");
    assert!(
        !shown.contains(&token) && !shown.contains("secret-of"),
        "{shown}"
    );
}

#[test]
fn the_share_of_traces_is_decided_by_their_identifiers() {
    let text = "[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\"\n[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    for (ratio, least, most) in [("0.0", 0, 0), ("0.25", 200, 300), ("1.0", 1000, 1000)] {
        std::fs::write(&path, format!("{text}sample_ratio = {ratio}\n")).unwrap();
        let config = Config::load(Some(&path), []).unwrap();
        let random = Arc::new(SequenceRandom::new(1));
        let exporter = Exporter::new(&config.telemetry, random).unwrap();
        let sampled = (0..1000u32)
            .filter(|number| {
                let mut id = [1; 16];
                id[12..].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
                exporter.samples(id)
            })
            .count();
        assert!((least..=most).contains(&sampled), "{ratio}: {sampled}");
    }
}
