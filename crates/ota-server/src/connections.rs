//! Listening and serving connections, until the shutdown.
//!
//! Connections are distributed in turn to threads, each with its own runtime. One runtime for all of them moves tasks between its
//! threads and wakes one thread from another for nearly every request (`docs/performance.md`). Vendors are called on the runtime that
//! listens: reading their responses takes a millisecond or two for a usual page, and much longer for the largest one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ota_api::problem::Code;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::framing::Refusal;
use super::observer::CutOff;
use super::places::{Open, Place, Placed};
use super::service::Service;
use super::socket::{Listener, Overdue, Socket};

/// Grace period beyond the request timeout for requests in flight at shutdown.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// How long no connection is accepted after file descriptors ran out: some of them must be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often the log warns that connections were closed because a limit was reached.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// How long the bytes that a client still sends after the last response are read and discarded. Closing a socket with unread bytes resets the
/// connection, and the client could lose the response.
const LINGER: Duration = Duration::from_secs(2);

/// Maximum number of bytes that are discarded this way.
const LINGER_BYTES: usize = 16 << 20;

/// The threads that serve connections. Without any, connections stay on the current runtime.
#[derive(Debug)]
pub struct Threads<S: Service>(Vec<mpsc::UnboundedSender<Connection<S>>>);

/// A connection, with the channels that signal its end.
struct Connection<S: Service> {
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    end: End<S>,
}

/// Signals a connection to close, and signals the listener when it is closed.
struct End<S: Service> {
    stopping: watch::Receiver<bool>,
    place: Arc<Place<S>>,
    /// Held as long as the connection is open.
    _open: mpsc::Sender<()>,
}

/// Limits how often a log message is written.
#[derive(Debug, Default)]
struct LogThrottle(Option<Instant>);

impl LogThrottle {
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

/// Accepts connections until `stop` is signalled. Then waits until all of them are closed, at most for the request timeout and a grace period.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve<S: Service>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()> + Send,
    mut threads: Threads<S>,
) -> io::Result<()> {
    let drain = service.request_timeout() + DRAIN_MARGIN;
    let tls = service.acceptor().map_err(io::Error::other)?;
    let (stopping, stopped) = watch::channel(false);
    let (open, mut all_closed) = mpsc::channel(1);
    let places = Arc::new(Open::default());
    let mut stop = std::pin::pin!(stop);
    let mut number: u64 = 0;
    let (mut no_descriptors, mut no_room) = (LogThrottle::default(), LogThrottle::default());
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
                service.accept_failed();
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
            // A connection that was closed before it was accepted does not affect the next one.
            Err(error) => {
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        // Small responses must not be delayed (Nagle's algorithm).
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
                service.cut_off(CutOff::Refused);
                if tls.is_none() {
                    let text = service.refuse(Code::Unavailable, None);
                    // If these few bytes cannot be written at once, the client gets no response.
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

impl<S: Service> Threads<S> {
    /// Starts so many threads for the connections of a service; without any, its connections stay on the current runtime.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(count: usize, service: &S) -> io::Result<Self> {
        let threads = (0..count).map(|number| spawn_thread(number, service));
        threads.collect::<io::Result<_>>().map(Self)
    }

    /// Passes a connection to the next thread (round robin), or to the current runtime.
    fn hand_over(&mut self, number: u64, connection: Connection<S>, service: &S) {
        let turn = usize::try_from(number).unwrap_or_default() % self.0.len().max(1);
        let Some(thread) = self.0.get_mut(turn) else {
            tokio::spawn(connection.run(service.clone()));
            return;
        };
        let Err(mpsc::error::SendError(connection)) = thread.send(connection) else {
            return;
        };
        tracing::error!("a thread that serves connections has ended; another takes its place");
        match spawn_thread(turn, service) {
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

/// Starts a thread that serves the connections that it receives, until its channel is closed.
fn spawn_thread<S: Service>(
    number: usize,
    service: &S,
) -> io::Result<mpsc::UnboundedSender<Connection<S>>> {
    let (sender, mut connections) = mpsc::unbounded_channel::<Connection<S>>();
    let service = service.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(format!("connections-{number}"))
        .spawn(move || {
            runtime.block_on(async move {
                let service = service.for_thread();
                while let Some(mut connection) = connections.recv().await {
                    // The socket is registered with the runtime that accepted it, and must be registered with this one.
                    let moved = connection.stream.into_std().and_then(TcpStream::from_std);
                    if let Ok(stream) = moved {
                        connection.stream = stream;
                        // A panic ends only this connection.
                        tokio::spawn(connection.run(service.clone()));
                    }
                }
                // Only the listener sends. Its end closes the channel, after the grace period for open connections.
            });
        })?;
    Ok(sender)
}

/// What one connection needs from its listener.
struct ListenerHandle<S: Service> {
    service: S,
    place: Arc<Place<S>>,
}

impl<S: Service> Listener for ListenerHandle<S> {
    fn refuse(&self, refusal: Refusal) -> Vec<u8> {
        self.service.refuse(refusal.code, refusal.detail)
    }

    fn try_reserve(&self, bytes: usize) -> bool {
        self.place.try_reserve(bytes)
    }
}

impl<S: Service> Connection<S> {
    async fn run(self, service: S) {
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
            () = tokio::time::sleep(limit) => service.cut_off(CutOff::Handshake),
            () = self.end.place.state.evicted.notified() => {}
        }
    }
}

async fn serve_stream<T, S: Service>(stream: T, service: S, end: End<S>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = service.limits().clone();
    let state = Arc::clone(&end.place.state);
    let answering = {
        let (state, service) = (Arc::clone(&state), service.clone());
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let serving = state.serve(!request.body().is_end_stream());
            let is_last = state.is_last();
            let answer = service.call(request, state.client_watch());
            async move {
                let mut answer = answer.await;
                // The library closes the connection after a body that was not read, and the client must be informed.
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
    let listener = ListenerHandle {
        service: service.clone(),
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
    let mut shutdown_signalled = false;
    let mut look = Instant::now() + limits.header_timeout;
    let cut_off = loop {
        tokio::select! {
            // The most frequent event is polled first, and in a fixed order instead of a random one.
            biased;
            // Whether it ended with an error matters only to the client.
            _closed = &mut served => break None,
            _stop = stopping.wait_for(|stop| *stop), if !shutdown_signalled => {
                std::pin::Pin::new(&mut served).graceful_shutdown();
                shutdown_signalled = true;
            }
            () = state.evicted.notified() => return,
            // Most likely, the client has hung up, and the shutdown would wait for a response that is not read.
            () = state.disconnected(), if shutdown_signalled => return,
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
            service.cut_off(CutOff::Slow);
            Some(Refusal::from(Code::RequestTimeout))
        }
        Some(Overdue::Idle) => return service.cut_off(CutOff::Idle),
        Some(Overdue::Write) => return service.cut_off(CutOff::Slow),
    };
    if let Some(refused) = refused {
        let text = service.refuse(refused.code, refused.detail);
        tokio::select! {
            _best_effort = tokio::time::timeout(LINGER, stream.write_all(&text)) => {}
            () = state.evicted.notified() => return,
        }
    }
    tokio::select! {
        _best_effort = tokio::time::timeout(LINGER, linger(&mut stream)) => {}
        // Its place is needed, and the client has had time to read the response.
        () = state.evicted.notified() => {}
    }
}

/// Reads and discards what the client still sends, until it closes its side.
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
    use super::{Threads, serve};
    use crate::service::tests::TestService;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn a_thread_that_has_ended_is_replaced() {
        let service = TestService::new(10);
        // The same as after a panic on the thread itself.
        let (gone, receiver) = mpsc::unbounded_channel();
        drop(receiver);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(
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
}
