//! The HTTP server under both simulators: accept loop, transport faults, counting.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::control;
use crate::counters::{Counters, Ledger, RecordedRequest, Refusal};
use crate::faults::{Drawn, Fault, FaultKind, Faults, Packing};
use crate::fleet::FleetTruth;
use crate::odd;
use crate::wire_text::{decode_pairs, html_page, http_date};

/// Largest request body that is read.
const MAX_BODY: usize = 1024 * 1024;
/// Default of [`FaultKind::HugeBody`].
const HUGE_BODY: u64 = 100 * 1000 * 1000;
/// How long a graceful stop waits for open connections.
const DRAIN: Duration = Duration::from_secs(2);
/// Header values that are recorded; nothing here is a credential.
const RECORDED_HEADERS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "content-length",
    "host",
    "user-agent",
    "x-acs-action",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One request, read completely.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) method: Method,
    /// Path and query as received.
    pub(crate) target: String,
    pub(crate) path: String,
    /// Decoded query.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Time of arrival by the server's own clock, which may be off.
    pub(crate) at: OffsetDateTime,
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Tells whether the body is of this media type, whatever its parameters.
    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.header("content-type")
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(media_type))
    }

    /// Decoded form body; empty when the body is no form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if self.is("application/x-www-form-urlencoded") {
            decode_pairs(&String::from_utf8_lossy(&self.body))
        } else {
            Vec::new()
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answered,
    LoggedIn,
    Refreshed,
    Refused(Refusal),
}

/// A complete answer of a vendor.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// What a vendor adds to the server.
pub(crate) trait Vendor: Send + Sync + 'static {
    /// Name for people.
    fn name(&self) -> &'static str;
    /// Name of the operation, `unknown` when there is none.
    fn operation(&self, arrival: &Arrival) -> &'static str;
    /// Decoded parameters that are fit to be recorded.
    fn shown_params(&self, arrival: &Arrival) -> Vec<(String, String)>;
    /// Tells whether this vendor knows a kind of fault.
    fn serves(&self, kind: FaultKind) -> bool;
    fn answer(&self, arrival: &Arrival, faults: &Drawn) -> Answer;
    fn fleet(&self) -> FleetTruth;
}

/// Settings of the server that every vendor's configuration has.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) clock: Clock,
    pub(crate) clock_offset: time::Duration,
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
    /// Window over which the most calls are counted.
    pub(crate) counted_window: Duration,
}

pub(crate) struct Shared {
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    clock: Clock,
    clock_offset: time::Duration,
    started: OffsetDateTime,
}

impl Shared {
    /// The server's own time, which the `Date` header shows.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.checked_add(self.clock_offset).unwrap_or(now)
    }
}

/// A running simulator.
///
/// Dropping it ends it at once; [`Server::stop`] lets open calls finish.
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    tls: bool,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(settings: Settings, vendor: Box<dyn Vendor>) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            vendor,
            faults: Faults::new(settings.faults, settings.seed),
            ledger: Ledger::new(settings.counted_window),
            started: settings.clock.now(),
            clock: settings.clock,
            clock_offset: settings.clock_offset,
        });
        let tls = settings.tls.is_some();
        let (stopping, stopped) = watch::channel(false);
        let acceptor = settings.tls.map(TlsAcceptor::from);
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared), stopped));
        Ok(Self {
            shared,
            addr,
            tls,
            stopping,
            accepting,
        })
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns `http://127.0.0.1:PORT`, or `https://…` when it speaks TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Returns the numbers since the start or the last reset.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.ledger.counters()
    }

    /// Returns the last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.ledger.requests()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.faults.set(faults);
    }

    /// Returns the faults that are set, with the injections that are left.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.faults.list()
    }

    /// Returns what the simulator holds at this moment.
    #[must_use]
    pub fn fleet(&self) -> FleetTruth {
        self.shared.vendor.fleet()
    }

    /// Forgets all counters and recorded requests; quota windows, tokens and nonces stay.
    pub fn reset_counters(&self) {
        self.shared.ledger.reset();
    }

    /// Accepts no more connections, lets open calls finish (two seconds at most) and ends.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        let _ended_or_late = tokio::time::timeout(DRAIN, &mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("vendor", &self.shared.vendor.name())
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let acceptor = acceptor.clone();
                    connections.spawn(connection(stream, acceptor, Arc::clone(&shared), stopped.clone()));
                }
                // Out of file descriptors, most likely: give others time to close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let _best_effort = stream.set_nodelay(true);
    match acceptor {
        None => serve(TokioIo::new(stream), shared, stopped).await,
        Some(acceptor) => {
            // A failed handshake is the client's affair: it sees the alert.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(TokioIo::new(stream), shared, stopped).await;
            }
        }
    }
}

async fn serve<I>(io: I, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let service = service_fn(move |request| handle(Arc::clone(&shared), request));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .serve_connection(io, service);
    tokio::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stopped.changed() => {}
    }
    served.as_mut().graceful_shutdown();
    let _broken_connection = served.await;
}

/// Marks a connection that is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection dropped on request")
    }
}

impl std::error::Error for Dropped {}

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let at = shared.now();
    let (head, body) = request.into_parts();
    let mut response = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let target = head
                .uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned());
            let arrival = Arrival {
                method: head.method,
                path: head.uri.path().to_owned(),
                query: decode_pairs(head.uri.query().unwrap_or_default()),
                target,
                headers: head.headers,
                body: body.to_bytes(),
                at,
            };
            if arrival.path.starts_with("/_sim") {
                control::answer(&shared, &arrival)
            } else {
                call(&shared, &arrival).await?
            }
        }
        Err(_) => page(StatusCode::PAYLOAD_TOO_LARGE),
    };
    if let Ok(date) = HeaderValue::from_str(&http_date(shared.now())) {
        response.headers_mut().entry(DATE).or_insert(date);
    }
    Ok(response)
}

/// Serves one vendor call.
async fn call(shared: &Shared, arrival: &Arrival) -> Result<Response<Body>, Dropped> {
    let vendor = &shared.vendor;
    let operation = vendor.operation(arrival);
    shared
        .ledger
        .arrived(shared.clock.now(), recorded(shared, arrival, operation));
    let params = vendor.shown_params(arrival);
    let faults = shared
        .faults
        .draw(operation, &params, |kind| vendor.serves(kind));
    shared.ledger.injected(faults.kinds());

    if let Some(fault) = faults.get(FaultKind::Delay) {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms.unwrap_or(1000))).await;
    }
    if faults.has(FaultKind::Drop) {
        return Err(Dropped);
    }
    if faults.has(FaultKind::Hang) {
        // The connection task ends when the client goes away.
        std::future::pending::<Infallible>().await;
    }
    if let Some(response) = foreign_answer(&faults) {
        return Ok(with_headers(response, &faults));
    }

    let answer = vendor.answer(arrival, &faults);
    match answer.verdict {
        Verdict::Answered => shared.ledger.answered(operation),
        Verdict::LoggedIn => {
            shared.ledger.answered(operation);
            shared.ledger.logged_in();
        }
        Verdict::Refreshed => {
            shared.ledger.answered(operation);
            shared.ledger.refreshed();
        }
        Verdict::Refused(reason) => shared.ledger.refused(reason),
    }
    Ok(with_headers(finish(answer, &faults), &faults))
}

/// Adds the headers that faults ask for.
fn with_headers(mut response: Response<Body>, faults: &Drawn) -> Response<Body> {
    let said = [
        (RETRY_AFTER, faults.said(|fault| fault.retry_after.as_ref())),
        (DATE, faults.said(|fault| fault.date.as_ref())),
    ];
    for (name, value) in said {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn recorded(shared: &Shared, arrival: &Arrival, operation: &str) -> RecordedRequest {
    let since = shared.clock.now() - shared.started;
    RecordedRequest {
        operation: operation.to_owned(),
        method: arrival.method.to_string(),
        target: arrival.target.clone(),
        params: shared.vendor.shown_params(arrival),
        content_type: arrival.header("content-type").map(str::to_owned),
        headers: RECORDED_HEADERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), arrival.header(name)?.to_owned())))
            .collect(),
        at: Duration::try_from(since).unwrap_or_default(),
    }
}

/// Answers that somebody else than the vendor gives.
fn foreign_answer(faults: &Drawn) -> Option<Response<Body>> {
    if faults.has(FaultKind::Html502) {
        return Some(page(StatusCode::BAD_GATEWAY));
    }
    if faults.has(FaultKind::Html200) {
        return Some(page(StatusCode::OK));
    }
    if let Some(fault) = faults.get(FaultKind::Foreign404) {
        let kong = || json!({"message": "no Route matched with those values"});
        let body = fault.value.clone().unwrap_or_else(kong).to_string();
        let mut response = Response::new(whole(body));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        return Some(response);
    }
    if let Some(fault) = faults.get(FaultKind::Redirect) {
        let mut response = page(StatusCode::FOUND);
        let location = fault
            .location
            .as_deref()
            .unwrap_or("http://127.0.0.1:9/login");
        if let Ok(location) = HeaderValue::from_str(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        return Some(response);
    }
    if let Some(fault) = faults.get(FaultKind::HugeBody) {
        return Some(huge_body(fault.size_bytes.unwrap_or(HUGE_BODY)));
    }
    None
}

/// A body of `size` bytes that starts like JSON, streamed, so that only one chunk is in memory.
fn huge_body(size: u64) -> Response<Body> {
    const CHUNK: usize = 64 * 1024;
    let filler = Bytes::from(vec![b' '; CHUNK]);
    let first = Bytes::from_static(b"{").slice(0..usize::from(size > 0));
    let chunks = stream::unfold(size.saturating_sub(1), move |left| {
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = filler.slice(0..length);
        async move { (length > 0).then_some((chunk, left - length as u64)) }
    });
    let body = stream::once(async move { first })
        .chain(chunks)
        .map(|chunk| Ok(Frame::data(chunk)));
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Turns a vendor's answer into a response and spoils it if a fault says so.
fn finish(answer: Answer, faults: &Drawn) -> Response<Body> {
    let Answer {
        status,
        content_type,
        headers,
        mut body,
        ..
    } = answer;
    let kinds: Vec<FaultKind> = faults.kinds().collect();
    body = odd::put(body, &kinds);
    let compress = faults.get(FaultKind::Compress);
    let coding = compress.map(|fault| fault.coding.as_deref().unwrap_or("gzip"));
    if let Some(fault) = compress {
        body = compressed(&body, fault);
    }
    let full_length = body.len();
    if faults.has(FaultKind::CutJson) {
        body.truncate(full_length / 2);
    }
    if faults.has(FaultKind::EmptyBody) {
        body.clear();
    }
    let cut = faults.has(FaultKind::CutBody);
    let mut response = if cut {
        body.truncate(full_length / 2);
        let mut response = Response::new(broken_body(body.into()));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(full_length));
        response
    } else {
        Response::new(whole(body))
    };
    *response.status_mut() = status;
    let content_type = if faults.has(FaultKind::WrongContentType) {
        "text/plain"
    } else {
        content_type
    };
    if !content_type.is_empty() {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response.headers_mut().extend(headers);
    if let Some(Ok(coding)) = coding.map(HeaderValue::from_str) {
        response.headers_mut().insert(CONTENT_ENCODING, coding);
    }
    response
}

/// Compresses a body. What is not gzip only has to be something that cannot be read as it is.
fn compressed(body: &[u8], fault: &Fault) -> Vec<u8> {
    if fault
        .coding
        .as_deref()
        .is_some_and(|coding| coding != "gzip")
    {
        return body.iter().map(|byte| byte ^ 0x5a).collect();
    }
    match fault.packing {
        None => gzip(body),
        Some(Packing::Members) => {
            let third = body.len().div_ceil(3).max(1);
            body.chunks(third).flat_map(gzip).collect()
        }
        Some(Packing::Garbage) => [gzip(body), b"more".to_vec()].concat(),
        Some(Packing::Bomb) => [gzip(body), BLANKS.clone()].concat(),
    }
}

/// Blanks, which no text of an answer minds behind it, in one member of gzip.
static BLANKS: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b' '; 9_000_000]));

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// Sends `head`, lets it reach the wire, and breaks the connection.
fn broken_body(head: Bytes) -> Body {
    let mut head = Some(head);
    let mut flushed = false;
    let frames = stream::poll_fn(move |cx| {
        if let Some(head) = head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        if !flushed {
            // The connection flushes what it has before it asks again.
            flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut on request"))))
    });
    StreamBody::new(frames).boxed_unsync()
}

pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An HTML page that says no more than the status.
pub(crate) fn page(status: StatusCode) -> Response<Body> {
    let title = format!(
        "{} {}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    );
    let mut response = Response::new(whole(html_page(&title)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
