//! The exporter: OpenTelemetry's own encoding, sent by the client that vendors are called with.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use ota_core::BoxFuture;
use ota_core::clock::Clock;
use ota_core::context::{Context, Priority};
use ota_core::random::Random;
use ota_core::trace::TraceParent;
use ota_guard::Outcome;
use ota_http::tls::TlsOptions;
use ota_http::{Client, Options, SecretSource};
use ota_server::access_log::AccessLogRecord;
use tokio::sync::{Notify, mpsc};

use crate::config::TelemetryConfig;

/// Spans that wait to be sent; more are dropped, and counted in the log.
const WAITING: usize = 4096;

/// Spans in one message.
const BATCH: usize = 512;

/// How long spans are gathered for one message.
const GATHER: Duration = Duration::from_secs(1);

/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends spans to a collector.
pub(super) struct Exporter {
    sample_ratio: f64,
    random: Arc<dyn Random>,
    scope: InstrumentationScope,
    spans: mpsc::Sender<SpanData>,
    run: Mutex<Option<BoxFuture<'static, ()>>>,
    state: Arc<State>,
}

/// What the exporter and its task share.
#[derive(Debug, Default)]
struct State {
    dropped: AtomicU64,
    /// Whether spans are being dropped, so that the log names the first of a row only.
    dropping: AtomicBool,
    ended: Notify,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter")
            .field("sample_ratio", &self.sample_ratio)
            .finish_non_exhaustive()
    }
}

/// Gives the exporter our client.
struct Transport {
    client: Client,
    authorization: Option<Arc<SecretSource>>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let mut ours = ota_http::Request::new(parts.method, parts.uri.to_string());
        ours.headers = parts.headers;
        ours.body = body;
        if let Some(source) = &self.authorization {
            let value = source.read()?;
            ours.header(
                axum::http::header::AUTHORIZATION,
                value.expose_secret(),
                true,
            )?;
        }
        let deadline = (tokio::time::Instant::now() + TIMEOUT).into_std();
        let cx = Context::new("telemetry", deadline, Priority::Background);
        let answer = tokio::time::timeout(TIMEOUT, self.client.send(&cx, ours)).await??;
        let mut response = Response::new(answer.body);
        *response.status_mut() = axum::http::StatusCode::from_u16(answer.status)?;
        Ok(response)
    }
}

impl Exporter {
    pub(super) fn new(config: &TelemetryConfig, random: Arc<dyn Random>) -> Result<Self, String> {
        let collector = config.otlp.as_ref().ok_or("is missing")?;
        let endpoint = &collector.endpoint;
        let options = Options {
            tls: endpoint.is_https().then(TlsOptions::default),
            max_body_bytes: 64 * 1024,
            connect_timeout: Duration::from_secs(5),
            direct: endpoint.is_loopback(),
        };
        let client = Client::new(&options).map_err(|error| error.to_string())?;
        let transport = Transport {
            client,
            authorization: collector.authorization.clone(),
        };
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(transport)
            .with_endpoint(format!("{}/v1/traces", endpoint.base()))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", config.service_name.clone()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        exporter.set_resource(&resource);
        let (spans, waiting) = mpsc::channel(WAITING);
        let state = Arc::<State>::default();
        Ok(Self {
            sample_ratio: config.sample_ratio,
            random,
            scope: InstrumentationScope::builder("ota-gateway")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            spans,
            run: Mutex::new(Some(Box::pin(send(exporter, waiting, Arc::clone(&state))))),
            state,
        })
    }

    /// Decides by the trace's identifier, so that all gateways decide alike.
    pub(super) fn samples(&self, trace_id: [u8; 16]) -> bool {
        let [.., a, b, c, d] = trace_id;
        let share = f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX);
        self.sample_ratio > 0.0 && share <= self.sample_ratio
    }

    pub(super) fn request(&self, record: &AccessLogRecord<'_>) {
        let Some(trace) = record.trace else { return };
        let began = SystemTime::from(record.began);
        let mut attributes = vec![
            KeyValue::new("http.request.method", record.method.as_str().to_owned()),
            KeyValue::new("http.route", record.route.to_owned()),
            KeyValue::new(
                "http.response.status_code",
                i64::from(record.status.as_u16()),
            ),
            KeyValue::new("ota.request_id", record.request_id().to_owned()),
            KeyValue::new("ota.vendor_calls", i64::from(record.calls.count)),
        ];
        if let Some(caller) = record.caller {
            attributes.push(KeyValue::new("enduser.id", caller.to_owned()));
        }
        let status = match record.status.is_server_error() {
            true => Status::error(""),
            false => Status::Unset,
        };
        self.push(SpanData {
            span_context: context(trace),
            parent_span_id: record
                .parent
                .map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span_id)),
            parent_span_is_remote: record.parent.is_some(),
            span_kind: SpanKind::Server,
            name: Cow::Owned(format!("{} {}", record.method, record.route)),
            start_time: began,
            end_time: began + record.took,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }

    pub(super) fn attempt(
        &self,
        cx: &Context,
        clock: &dyn Clock,
        provider: &str,
        operation: &'static str,
        outcome: Outcome,
        took: Duration,
    ) {
        let Some(parent) = cx.trace else { return };
        let Ok(span) = parent.child(&*self.random) else {
            return;
        };
        let end = SystemTime::from(clock.now());
        let failed = outcome != Outcome::Answered;
        self.push(SpanData {
            span_context: context(span),
            parent_span_id: SpanId::from_bytes(parent.span_id),
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: Cow::Borrowed(operation),
            start_time: end.checked_sub(took).unwrap_or(end),
            end_time: end,
            attributes: vec![
                KeyValue::new("ota.provider", provider.to_owned()),
                KeyValue::new("ota.operation", operation),
                KeyValue::new("ota.outcome", outcome.as_str()),
            ],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match failed {
                true => Status::error(outcome.as_str()),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Hands a span over; one that finds the queue full is lost, so that a slow collector slows no one else.
    fn push(&self, span: SpanData) {
        if self.spans.try_send(span).is_ok() {
            return;
        }
        self.state.dropped.fetch_add(1, Ordering::Relaxed);
        if !self.state.dropping.swap(true, Ordering::Relaxed) {
            tracing::warn!("spans are dropped: the collector does not keep up");
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.state.ended.notify_one();
    }

    /// What sends the spans; there is one, so it is given out once.
    pub(super) fn run(&self) -> Option<BoxFuture<'static, ()>> {
        self.run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

fn context(trace: TraceParent) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(trace.trace_id),
        SpanId::from_bytes(trace.span_id),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    )
}

async fn send(exporter: SpanExporter, mut waiting: mpsc::Receiver<SpanData>, state: Arc<State>) {
    let mut failing = false;
    let mut ended = false;
    while !ended {
        let mut batch = Vec::new();
        tokio::select! {
            count = waiting.recv_many(&mut batch, BATCH) => ended = count == 0,
            () = state.ended.notified() => ended = true,
        }
        if !ended {
            let gathered = async {
                while batch.len() < BATCH {
                    let left = BATCH - batch.len();
                    if waiting.recv_many(&mut batch, left).await == 0 {
                        break;
                    }
                }
            };
            tokio::select! {
                _time_is_up = tokio::time::timeout(GATHER, gathered) => {}
                () = state.ended.notified() => ended = true,
            }
        }
        loop {
            // At the end all that waits is sent, without waiting for more.
            while ended
                && batch.len() < BATCH
                && let Ok(span) = waiting.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                break;
            }
            let count = batch.len() as u64;
            match exporter.export(std::mem::take(&mut batch)).await {
                Ok(()) => {
                    if failing {
                        tracing::info!("the collector takes traces again");
                    }
                    failing = false;
                    state.dropping.store(false, Ordering::Relaxed);
                }
                Err(error) => {
                    state.dropped.fetch_add(count, Ordering::Relaxed);
                    if !failing {
                        tracing::warn!(
                            "traces are lost, the collector does not take them: {error}"
                        );
                    }
                    failing = true;
                }
            }
            if !ended || failing {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// The fields of a protobuf message: number, and a number or bytes. A reader of its own proves more than the library that wrote it.
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
}
