//! Listening and answering, until told to stop.
//!
//! Connections are handed round to threads that each serve theirs alone, vendor calls included. One runtime for all of them moves tasks between its
//! threads and wakes one thread from the other for nearly every request (`docs/performance.md`). Reading a vendor's page takes a millisecond or
//! two of a thread; quotas keep that rare.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::socket::{Overdue, Refuse, Socket, State};
use crate::app::{self, App, Service};
use crate::edge;
use crate::metrics::CutOff;
use crate::problem::Code;

/// How much longer than a request may take the gateway waits for requests under way once it was told to stop.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// How long the end waits for the last spans to be taken by the collector.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// How long nothing is accepted after an error: most likely all file descriptors are in use, and some must be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    accept(listener, app, stop, Threads(Vec::new())).await
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
    let threads = (0..threads).map(|number| spawn_thread(number, app.clone()));
    let threads = Threads(threads.collect::<io::Result<_>>()?);
    accept(listener, app, stop, threads).await
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
    place: Place,
    /// Held as long as the connection is open.
    _open: mpsc::Sender<()>,
}

/// The open connections.
#[derive(Default)]
struct Open(Mutex<HashMap<u64, Arc<State>>>);

/// The place of one connection among the open ones, given back when dropped.
struct Place {
    number: u64,
    state: Arc<State>,
    open: Arc<Open>,
    app: App,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.remove(&self.number).is_some() {
            self.app.metrics().connections(open.len());
        }
    }
}

impl Open {
    /// Takes a place. When all are taken, the connection that has been idle for longest gives up its own; none is when every one is being answered.
    fn place(self: &Arc<Self>, number: u64, app: &App) -> Option<Place> {
        let state = Arc::new(State::new());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= app.edge().limits.max_connections {
            let idle = open
                .iter()
                .filter_map(|(number, state)| Some((state.idle_since()?, *number)));
            let (_, longest) = idle.min()?;
            if let Some(evicted) = open.remove(&longest) {
                evicted.evicted.notify_one();
                app.metrics().cut_off(CutOff::Evicted);
            }
        }
        open.insert(number, Arc::clone(&state));
        app.metrics().connections(open.len());
        Some(Place {
            number,
            state,
            open: Arc::clone(self),
            app: app.clone(),
        })
    }
}

async fn accept(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
    threads: Threads,
) -> io::Result<()> {
    let drain = app.request_timeout() + DRAIN_MARGIN;
    let service = app::service(app.clone());
    let tls = match &app.edge().certificates {
        Some(certificates) => Some(certificates.acceptor().map_err(io::Error::other)?),
        None => None,
    };
    // They end with this function.
    let mut background = JoinSet::new();
    for task in app.background() {
        background.spawn(task);
    }
    let mut spans = JoinSet::new();
    if let Some(sending) = app.telemetry().run() {
        spans.spawn(sending);
    }
    let (stopping, stopped) = watch::channel(false);
    let (open, mut all_closed) = mpsc::channel(1);
    let places = Arc::new(Open::default());
    let mut stop = std::pin::pin!(stop);
    let mut number: u64 = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for the next segment.
        let _best_effort = stream.set_nodelay(true);
        number = number.wrapping_add(1);
        let Some(place) = places.place(number, &app) else {
            app.metrics().cut_off(CutOff::Refused);
            if tls.is_none() {
                let text = edge::refuse(&app, Code::Unavailable);
                // One that does not take these few bytes at once gets nothing.
                let _best_effort = stream.try_write(&text);
            }
            continue;
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
        let threads = &threads.0;
        let turn = usize::try_from(number).unwrap_or_default() % threads.len().max(1);
        match threads.get(turn) {
            None => {
                tokio::spawn(connection.run(service.clone()));
            }
            Some(thread) => {
                // A thread ends only with the process; were one gone, the client sees a closed connection and comes again.
                let _gone = thread.send(connection);
            }
        }
    }
    drop(listener);
    app.drain();
    stopping.send_replace(true);
    drop((open, stopped));
    tokio::select! {
        _none = all_closed.recv() => {}
        () = tokio::time::sleep(drain) => {
            tracing::warn!("requests were still under way after {} s and were cut off", drain.as_secs());
        }
    }
    app.telemetry().end();
    // A collector that does not answer must not hold the end up.
    let _sent = tokio::time::timeout(LAST_SPANS, spans.join_next()).await;
    Ok(())
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
                let service = app::service(app);
                while let Some(mut connection) = connections.recv().await {
                    // The socket is known to the runtime that accepted it; it must come to know this one.
                    let moved = connection.stream.into_std().and_then(TcpStream::from_std);
                    if let Ok(stream) = moved {
                        connection.stream = stream;
                        tokio::spawn(connection.run(service.clone()));
                    }
                }
                // Only the listener sends, and it has gone; what it waited for is over.
            });
        })?;
    Ok(sender)
}

/// Makes the refusals of one connection.
struct Refusals(App);

impl Refuse for Refusals {
    fn refuse(&self, code: Code) -> Vec<u8> {
        edge::refuse(&self.0, code)
    }
}

impl Connection {
    async fn run(self, service: Service) {
        let app = service.app().clone();
        let Some(tls) = self.tls else {
            return serve_stream(self.stream, service, &app, self.end).await;
        };
        let limit = app.edge().limits.header_timeout;
        let mut stopping = self.end.stopping.clone();
        tokio::select! {
            () = async { drop(stopping.wait_for(|stop| *stop).await) } => {}
            shaken = tls.accept(self.stream) => match shaken {
                Ok(stream) => serve_stream(stream, service, &app, self.end).await,
                Err(error) => tracing::debug!("a TLS handshake failed: {error}"),
            },
            () = tokio::time::sleep(limit) => app.metrics().cut_off(CutOff::Handshake),
            () = self.end.place.state.evicted.notified() => {}
        }
    }
}

async fn serve_stream<S>(stream: S, service: Service, app: &App, end: End)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &app.edge().limits;
    let state = Arc::clone(&end.place.state);
    let service = {
        let state = Arc::clone(&state);
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let serving = state.serve();
            if !request.body().is_end_stream() {
                request.extensions_mut().insert(state.body_watch());
            }
            let answer = service.call(request);
            async move {
                let answer = answer.await;
                drop(serving);
                answer
            }
        })
    };
    let socket = Socket::new(stream, Arc::clone(&state), Refusals(app.clone()));
    let mut served = http1::Builder::new()
        .max_buf_size(limits.max_header_bytes)
        .serve_connection(TokioIo::new(socket), service);
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
            () = tokio::time::sleep_until(look) => match state.overdue(limits) {
                Ok(next) => look = next,
                Err(why) => break Some(why),
            },
        }
    };
    let mut stream = served.into_parts().io.into_inner().into_inner();
    match cut_off {
        None => {}
        Some(Overdue::Head) => {
            app.metrics().cut_off(CutOff::Slow);
            let text = edge::refuse(app, Code::RequestTimeout);
            tokio::select! {
                _best_effort = tokio::time::timeout(LINGER, stream.write_all(&text)) => {}
                () = state.evicted.notified() => return,
            }
        }
        Some(Overdue::Idle) => {
            app.metrics().cut_off(CutOff::Idle);
            return;
        }
        Some(Overdue::Write) => {
            app.metrics().cut_off(CutOff::Slow);
            return;
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
