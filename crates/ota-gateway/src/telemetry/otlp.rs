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

/// The maximum number of queued spans; further spans are dropped and counted.
const WAITING: usize = 4096;

/// Spans in one message.
const BATCH: usize = 512;

/// How long spans are gathered for one message.
const GATHER: Duration = Duration::from_secs(1);

/// The time limit of a request to the collector.
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

/// The state shared by the exporter and its task.
#[derive(Debug, Default)]
struct State {
    dropped: AtomicU64,
    /// Whether spans are being dropped, so that only the first of several in a row is logged.
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

/// Adapts the gateway's HTTP client for the exporter.
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

    /// Decides by the trace's identifier, so that all gateways make the same decision.
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

    /// Queues a span; it is dropped if the queue is full, so that a slow collector does not slow down requests.
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

    /// The task that sends the spans; there is only one, so it can be taken once.
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
            // At shutdown all queued spans are sent, without waiting for more.
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
mod tests;
