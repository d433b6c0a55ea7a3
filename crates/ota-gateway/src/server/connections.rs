//! Listening and answering, until told to stop.
//!
//! Connections are handed round to threads that each serve theirs alone. One runtime for all of them moves tasks between its
//! threads and wakes one thread from the other for nearly every request (`docs/performance.md`). Vendors are called on the runtime that
//! listens: reading what they send takes a millisecond or two for a usual page, and much longer for the largest answer that is read.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ota_core::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::framing::Refusal;
use super::places::{Open, Place, Placed};
use super::socket::{Listener, Overdue, Socket};
use crate::listeners::Service;
use crate::metrics::CutOff;
use crate::problem::Code;
use crate::server::layer as edge;
use crate::state::App;

/// How much longer than a request may take the gateway waits for requests under way once it was told to stop.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// How long the end waits for the last spans to be taken by the collector.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// How long nothing is accepted after the operating system has refused to: some file descriptors must be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often the log tells that connections were ended for want of room.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// How long a task of the background that has failed waits until it begins again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What a client still sends after the last answer is read for this long and thrown away, so that it gets to read the answer: closing a socket with
/// unread bytes takes back what was sent.
const LINGER: Duration = Duration::from_secs(2);

/// The most that is read that way, in bytes.
const LINGER_BYTES: usize = 16 << 20;

/// Answers requests until `stop` comes, on the runtime that it is called on; requests under way are finished, for as long as a request may take.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_api(listener, app, stop, Threads(Vec::new())).await
}

/// As [`serve`], with the connections on so many threads of their own.
///
/// # Errors
/// When the listener cannot be used or a thread cannot be started.
pub async fn serve_on_threads(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
    threads: usize,
) -> io::Result<()> {
    app.call_vendors_on(tokio::runtime::Handle::current());
    let threads = (0..threads).map(|number| spawn_thread(number, app.clone()));
    let threads = Threads(threads.collect::<io::Result<_>>()?);
    serve_api(listener, app, stop, threads).await
}

async fn serve_api(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send,
    threads: Threads,
) -> io::Result<()> {
    // Both end with this function.
    let mut spans = JoinSet::new();
    if let Some(sending) = app.telemetry().run() {
        spans.spawn(sending);
    }
    let accept = accept(listener, Service::api(app.clone()), stop, threads);
    let served = tokio::select! {
        served = accept => served,
        // It ends only when there is nothing to do.
        never = async { supervise(|| app.background()).await; std::future::pending().await } => never,
    };
    app.telemetry().end();
    // A collector that does not answer must not hold the end up.
    let _sent = tokio::time::timeout(LAST_SPANS, spans.join_next()).await;
    served
}

/// Answers `GET /metrics` on a listener of its own, until the future is dropped, on the runtime that it is called on. No token is asked for: who
/// may connect is decided by the address. Connections have the limits of the API's, though there are far fewer of them.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_metrics(listener: TcpListener, app: App) -> io::Result<()> {
    let service = Service::metrics(app);
    accept(
        listener,
        service,
        std::future::pending(),
        Threads(Vec::new()),
    )
    .await
}

/// Where connections are handed to; without threads they stay on the present runtime.
struct Threads(Vec<mpsc::UnboundedSender<Connection>>);

/// A connection with what it must know about its end.
struct Connection {
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    end: End,
}

/// Tells a connection to end, and tells the listener that it has.
struct End {
    stopping: watch::Receiver<bool>,
    place: Arc<Place>,
    /// Held as long as the connection is open.
    _open: mpsc::Sender<()>,
}

/// Runs what must run beside the requests. A task that panics begins again: without it keys and certificates would become old, unnoticed.
async fn supervise(tasks: impl Fn() -> Vec<BoxFuture<'static, ()>>) {
    let mut running = JoinSet::new();
    let mut numbers = HashMap::new();
    for (number, task) in tasks().into_iter().enumerate() {
        numbers.insert(running.spawn(task).id(), number);
    }
    while let Some(ended) = running.join_next_with_id().await {
        let Err(error) = ended else { continue };
        let Some(number) = numbers.remove(&error.id()).filter(|_| error.is_panic()) else {
            continue;
        };
        tracing::error!("a task of the background has failed and begins again");
        tokio::time::sleep(RESTART_PAUSE).await;
        if let Some(task) = tasks().into_iter().nth(number) {
            numbers.insert(running.spawn(task).id(), number);
        }
    }
}

/// Says something in the log, though not each time.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= WARN_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Whether no connection can be accepted because the process (EMFILE) or the machine (ENFILE) has no file descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Accepts connections until `stop` comes, and waits then until all of them are closed.
async fn accept(
    listener: TcpListener,
    service: Service,
    stop: impl Future<Output = ()> + Send,
    mut threads: Threads,
) -> io::Result<()> {
    let app = service.app().clone();
    let drain = app.request_timeout() + DRAIN_MARGIN;
    let tls = service.acceptor().map_err(io::Error::other)?;
    let (stopping, stopped) = watch::channel(false);
    let (open, mut all_closed) = mpsc::channel(1);
    let places = Arc::new(Open::default());
    let mut stop = std::pin::pin!(stop);
    let mut number: u64 = 0;
    let (mut no_descriptors, mut no_room) = (Seldom::default(), Seldom::default());
    loop {
        let accepted = tokio::select! {
            accepted = async {
                places.evicted_are_closed().await;
                listener.accept().await
            } => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_out_of_descriptors(&error) => {
                service.note_accept_failure();
                if no_descriptors.is_due() {
                    tracing::warn!(
                        "no connection can be accepted on {}: {error}; raise the limit of files (`ulimit -n`, LimitNOFILE=) or lower server.max_connections",
                        service.name()
                    );
                }
                places.evict(&service);
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
                    () = &mut stop => break,
                }
            }
            // A connection that was closed before it could be accepted says nothing about the next one.
            Err(error) => {
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        // Small answers must not wait for the next segment.
        let _best_effort = stream.set_nodelay(true);
        number = number.wrapping_add(1);
        let placed = places.place(number, peer.ip(), &service);
        if !matches!(placed, Placed::Free(_)) && no_room.is_due() {
            tracing::warn!(
                "{} has reached its connection limit ({}); connections that wait for their client are closed to make room",
                service.name(),
                service.limits().max_connections
            );
        }
        let place = match placed {
            Placed::Free(place) | Placed::Instead(place) => Arc::new(place),
            Placed::Full => {
                service.note_cut_off(CutOff::Refused);
                if tls.is_none() {
                    let text = edge::refuse(&app, Code::Unavailable, None);
                    // One that does not take these few bytes at once gets nothing.
                    let _best_effort = stream.try_write(&text);
                }
                continue;
            }
        };
        let connection = Connection {
            stream,
            tls: tls.clone(),
            end: End {
                stopping: stopped.clone(),
                place,
                _open: open.clone(),
            },
        };
        threads.hand_over(number, connection, &service);
    }
    drop(listener);
    service.drain();
    stopping.send_replace(true);
    drop((open, stopped));
    tokio::select! {
        _none = all_closed.recv() => {}
        () = tokio::time::sleep(drain) => {
            tracing::warn!("requests were still in flight after {} s and were cut off", drain.as_secs());
        }
    }
    Ok(())
}

impl Threads {
    /// Gives a connection to the thread whose turn it is, or to the present runtime.
    fn hand_over(&mut self, number: u64, connection: Connection, service: &Service) {
        let turn = usize::try_from(number).unwrap_or_default() % self.0.len().max(1);
        let Some(thread) = self.0.get_mut(turn) else {
            tokio::spawn(connection.run(service.clone()));
            return;
        };
        let Err(mpsc::error::SendError(connection)) = thread.send(connection) else {
            return;
        };
        tracing::error!("a thread that serves connections has ended; another takes its place");
        match spawn_thread(turn, service.app().clone()) {
            Ok(another) => {
                *thread = another;
                if let Err(mpsc::error::SendError(connection)) = thread.send(connection) {
                    tokio::spawn(connection.run(service.clone()));
                }
            }
            Err(error) => {
                tracing::error!("no thread can be started: {error}");
                tokio::spawn(connection.run(service.clone()));
            }
        }
    }
}

/// Starts a thread that serves the connections it is sent, until nobody can send it any more.
fn spawn_thread(number: usize, app: App) -> io::Result<mpsc::UnboundedSender<Connection>> {
    let (sender, mut connections) = mpsc::unbounded_channel::<Connection>();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(format!("connections-{number}"))
        .spawn(move || {
            runtime.block_on(async move {
                let service = Service::api(app);
                while let Some(mut connection) = connections.recv().await {
                    // The socket is known to the runtime that accepted it; it must come to know this one.
                    let moved = connection.stream.into_std().and_then(TcpStream::from_std);
                    if let Ok(stream) = moved {
                        connection.stream = stream;
                        // A panic ends this connection and no other.
                        tokio::spawn(connection.run(service.clone()));
                    }
                }
                // Only the listener sends, and it has gone; what it waited for is over.
            });
        })?;
    Ok(sender)
}

/// What one connection asks of its listener.
struct OfListener {
    app: App,
    place: Arc<Place>,
}

impl Listener for OfListener {
    fn refuse(&self, refusal: Refusal) -> Vec<u8> {
        edge::refuse(&self.app, refusal.code, refusal.detail)
    }

    fn may_hold(&self, bytes: usize) -> bool {
        self.place.may_hold(bytes)
    }
}

impl Connection {
    async fn run(self, service: Service) {
        let Some(tls) = self.tls else {
            return serve_stream(self.stream, service, self.end).await;
        };
        let limit = service.limits().header_timeout;
        let mut stopping = self.end.stopping.clone();
        tokio::select! {
            () = async { drop(stopping.wait_for(|stop| *stop).await) } => {}
            shaken = tls.accept(self.stream) => match shaken {
                Ok(stream) => serve_stream(stream, service, self.end).await,
                Err(error) => tracing::debug!("a TLS handshake failed: {error}"),
            },
            () = tokio::time::sleep(limit) => service.note_cut_off(CutOff::Handshake),
            () = self.end.place.state.evicted.notified() => {}
        }
    }
}

async fn serve_stream<S>(stream: S, service: Service, end: End)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let app = service.app().clone();
    let limits = service.limits().clone();
    let state = Arc::clone(&end.place.state);
    let answering = {
        let (state, service) = (Arc::clone(&state), service.clone());
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let serving = state.serve(!request.body().is_end_stream());
            let is_last = state.is_last();
            let answer = service.call(request, &state);
            async move {
                let mut answer = answer.await;
                // The library closes the connection behind a body that was not read, and the client must know.
                let is_last = is_last || serving.has_unread_body();
                if let (true, Ok(answer)) = (is_last, &mut answer) {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                drop(serving);
                answer
            }
        })
    };
    let listener = OfListener {
        app: app.clone(),
        place: Arc::clone(&end.place),
    };
    let socket = Socket::new(
        stream,
        Arc::clone(&state),
        listener,
        limits.max_header_bytes,
    );
    let mut served = http1::Builder::new()
        .max_buf_size(limits.max_header_bytes)
        .serve_connection(TokioIo::new(socket), answering);
    let mut stopping = end.stopping.clone();
    let mut told = false;
    let mut look = Instant::now() + limits.header_timeout;
    let cut_off = loop {
        tokio::select! {
            // What happens nearly always first, and without drawing lots.
            biased;
            // How it ended is the client's affair.
            _closed = &mut served => break None,
            _stop = stopping.wait_for(|stop| *stop), if !told => {
                std::pin::Pin::new(&mut served).graceful_shutdown();
                told = true;
            }
            () = state.evicted.notified() => return,
            // Its answer would most likely be read by nobody, and the end would wait for it.
            () = state.gone(), if told => return,
            () = tokio::time::sleep_until(look) => match state.overdue(&limits) {
                Ok(next) => look = next,
                Err(why) => break Some(why),
            },
        }
    };
    let (mut stream, refused) = served.into_parts().io.into_inner().into_inner();
    let refused = match cut_off {
        None => refused,
        Some(Overdue::Head) => {
            service.note_cut_off(CutOff::Slow);
            Some(Refusal::from(Code::RequestTimeout))
        }
        Some(Overdue::Idle) => return service.note_cut_off(CutOff::Idle),
        Some(Overdue::Write) => return service.note_cut_off(CutOff::Slow),
    };
    if let Some(refused) = refused {
        let text = edge::refuse(&app, refused.code, refused.detail);
        tokio::select! {
            _best_effort = tokio::time::timeout(LINGER, stream.write_all(&text)) => {}
            () = state.evicted.notified() => return,
        }
    }
    tokio::select! {
        _best_effort = tokio::time::timeout(LINGER, linger(&mut stream)) => {}
        // Its place is needed; what it was told it has had the time to read.
        () = state.evicted.notified() => {}
    }
}

/// Reads and throws away what the client still sends, until it has nothing more to say.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut buffer = [0; 4096];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Threads, accept, supervise};
    use crate::config::Config;
    use crate::listeners::Service;
    use ota_core::BoxFuture;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{Notify, mpsc};

    #[tokio::test]
    async fn a_thread_that_has_ended_is_replaced() {
        let secret = "0123456789abcdef0123456789abcdef".to_owned();
        let environment = [("OTA_GATEWAY__AUTH__HS256_SECRET".to_owned(), secret)];
        let config = Config::load(None, environment).unwrap();
        let service = Service::api(crate::assembly::app(&config).unwrap());
        // As after a panic on the thread itself.
        let (gone, receiver) = mpsc::unbounded_channel();
        drop(receiver);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = accept(
            listener,
            service,
            std::future::pending(),
            Threads(vec![gone]),
        );
        let serving = tokio::spawn(serving);
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        }
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_of_the_background_that_panics_begins_again() {
        let (begun, again) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let tasks = || {
            let (begun, again) = (Arc::clone(&begun), Arc::clone(&again));
            let panics: BoxFuture<'static, ()> = Box::pin(async move {
                assert!(begun.fetch_add(1, Ordering::Relaxed) > 0, "told to");
                again.notify_one();
                std::future::pending().await
            });
            vec![panics]
        };
        tokio::select! {
            () = supervise(tasks) => panic!("it ends although a task runs"),
            () = again.notified() => {}
        }
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
