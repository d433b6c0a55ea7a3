//! The HTTP server under every simulator: accept loop, transport faults, counting.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{DATE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::body::{Body, finish, foreign_answer, page, with_headers};
use crate::control;
use crate::counters::{Counters, RecordedRequest, Recorder};
use crate::exchange::{Arrival, Vendor, Verdict};
use crate::fault::{Fault, FaultKind};
use crate::faults::Faults;
use crate::fleet::FleetTruth;
use crate::liberty::Liberty;
use crate::setup::Setup;
use crate::state::Shared;
use crate::wire_text::{decode_pairs, http_date};

/// Largest request body that is read.
const MAX_BODY: usize = 1024 * 1024;
/// How long a graceful stop waits for open connections.
const DRAIN: Duration = Duration::from_secs(2);
/// Header values that are recorded; nothing here is a credential.
const RECORDED_HEADERS: [&str; 5] = [
    "accept",
    "accept-encoding",
    "content-length",
    "host",
    "user-agent",
];

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
    /// Starts a vendor's module. The most calls are counted over `counted_window`, which is the window of its quota.
    pub(crate) async fn start(
        title: &'static str,
        setup: Setup,
        counted_window: Duration,
        vendor: Box<dyn Vendor>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(setup.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            title,
            vendor,
            faults: Faults::new(setup.faults, setup.seed),
            liberties: Mutex::default(),
            recorder: Recorder::new(counted_window),
            started: setup.clock.now(),
            clock: setup.clock,
            clock_offset: setup.clock_offset,
        });
        let tls = setup.tls.is_some();
        let (stopping, stopped) = watch::channel(false);
        let acceptor = setup.tls.map(TlsAcceptor::from);
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
        self.shared.recorder.counters()
    }

    /// Returns the last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.requests()
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

    /// Lets every good answer take these liberties, in this order, in place of those before.
    pub fn take_liberties(&self, liberties: &[Liberty]) {
        let present = self.shared.liberties.lock();
        *present.unwrap_or_else(PoisonError::into_inner) = liberties.to_vec();
    }

    /// Hides these jobs, and shows all others: one that is hidden is deleted, or not there yet.
    pub fn hide_jobs(&self, jobs: &[&str]) {
        self.fleet().hide(jobs);
    }

    /// Returns what the simulator holds at this moment.
    #[must_use]
    pub fn fleet(&self) -> FleetTruth {
        self.shared.vendor.fleet(self.shared.now())
    }

    /// Forgets all counters and recorded requests; quota windows, tokens and nonces stay.
    pub fn reset_counters(&self) {
        self.shared.recorder.reset();
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
            .field("vendor", &self.shared.title)
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
    let params = arrival.shown_params(vendor.secret_params());
    let record = recorded(shared, arrival, operation, params.clone());
    shared.recorder.arrived(shared.clock.now(), record);
    let faults = shared
        .faults
        .draw(operation, &params, |kind| vendor.serves(kind));
    shared.recorder.injected(faults.kinds());

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

    let mut answer = vendor.answer(arrival, &faults);
    match answer.verdict {
        Verdict::Answered => {
            shared.recorder.answered(operation);
            answer = shared.take_liberties(answer);
        }
        Verdict::LoggedIn => {
            shared.recorder.answered(operation);
            shared.recorder.logged_in();
        }
        Verdict::Refreshed => {
            shared.recorder.answered(operation);
            shared.recorder.refreshed();
        }
        Verdict::Refused(reason) => shared.recorder.refused(reason),
    }
    Ok(with_headers(finish(answer, &faults), &faults))
}

fn recorded(
    shared: &Shared,
    arrival: &Arrival,
    operation: &str,
    params: Vec<(String, String)>,
) -> RecordedRequest {
    let since = shared.clock.now() - shared.started;
    RecordedRequest {
        operation: operation.to_owned(),
        method: arrival.method.to_string(),
        target: arrival.target.clone(),
        params,
        content_type: arrival.header("content-type").map(str::to_owned),
        headers: RECORDED_HEADERS
            .iter()
            .chain(shared.vendor.recorded_headers())
            .filter_map(|name| Some(((*name).to_owned(), arrival.header(name)?.to_owned())))
            .collect(),
        at: Duration::try_from(since).unwrap_or_default(),
    }
}
