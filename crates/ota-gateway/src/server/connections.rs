//! Listening and answering, until told to stop.
//!
//! Connections are handed round to threads that each serve theirs alone, vendor calls included. One runtime for all of them moves tasks between its
//! threads and wakes one thread from the other for nearly every request (`docs/performance.md`). Reading a vendor's page takes a millisecond or
//! two of a thread; quotas keep that rare.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::app::{self, App, Service};

/// How much longer than a request may take the gateway waits for requests under way once it was told to stop.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// How long nothing is accepted after an error: most likely all file descriptors are in use, and some must be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// A connection with what it must know about the end.
struct Connection {
    stream: TcpStream,
    end: End,
}

/// Tells a connection to end, and tells the listener that it has.
#[derive(Clone)]
struct End {
    stopping: watch::Receiver<bool>,
    /// Held as long as the connection is open.
    _open: mpsc::Sender<()>,
}

async fn accept(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
    threads: Threads,
) -> io::Result<()> {
    let drain = app.request_timeout() + DRAIN_MARGIN;
    let service = app::service(app);
    let (stopping, stopped) = watch::channel(false);
    let (open, mut all_closed) = mpsc::channel(1);
    let mut stop = std::pin::pin!(stop);
    let mut next = 0;
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
        let end = End {
            stopping: stopped.clone(),
            _open: open.clone(),
        };
        match threads.0.get(next % threads.0.len().max(1)) {
            None => {
                tokio::spawn(connection(stream, service.clone(), end));
            }
            Some(thread) => {
                next = next.wrapping_add(1);
                // A thread ends only with the process; were one gone, the client sees a closed connection and comes again.
                let _gone = thread.send(Connection { stream, end });
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    drop((open, stopped));
    tokio::select! {
        _none = all_closed.recv() => {}
        () = tokio::time::sleep(drain) => {
            tracing::warn!("requests were still under way after {} s and were cut off", drain.as_secs());
        }
    }
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
                while let Some(Connection { stream, end }) = connections.recv().await {
                    // The socket is known to the runtime that accepted it; it must come to know this one.
                    let moved = stream.into_std().and_then(TcpStream::from_std);
                    if let Ok(stream) = moved {
                        tokio::spawn(connection(stream, service.clone(), end));
                    }
                }
                // Only the listener sends, and it has gone; what it waited for is over.
            });
        })?;
    Ok(sender)
}

async fn connection(stream: TcpStream, service: Service, end: End) {
    let service = Arc::new(service);
    let service = service_fn(move |request| service.call(request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let mut stopping = end.stopping.clone();
    tokio::select! {
        // How it ended is the client's affair.
        _closed = served.as_mut() => return,
        _stop = stopping.wait_for(|stop| *stop) => {}
    }
    served.as_mut().graceful_shutdown();
    let _closed = served.await;
}
