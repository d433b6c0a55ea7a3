//! A network link with latency, between the gateway and a simulator on the same machine.
//!
//! Everything that is sent arrives half a round trip later, in both directions. A new connection takes one round trip more, as TCP does; there is no TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::scenario::Outcome;

/// How many pieces of up to 64 KiB may be on the way in one direction; the sender waits when there are more.
const ON_THE_WAY: usize = 64;

/// A running link; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct DelayedLink {
    address: SocketAddr,
    round_trip: Arc<AtomicU64>,
    // Dropped, it ends what runs in it.
    _running: JoinSet<()>,
}

impl DelayedLink {
    /// Starts a link to this address.
    pub(crate) async fn start(to: SocketAddr, round_trip: Duration) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let round_trip = Arc::new(AtomicU64::new(microseconds(round_trip)));
        let mut running = JoinSet::new();
        let shared = Arc::clone(&round_trip);
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _peer)) = listener.accept().await {
                let round_trip = Arc::clone(&shared);
                // A broken connection is closed on both sides.
                connections.spawn(async move { drop(carry(stream, to, &round_trip).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            round_trip,
            _running: running,
        })
    }

    /// Changes the round trip, for what is sent from now on.
    pub(crate) fn set(&self, round_trip: Duration) {
        self.round_trip
            .store(microseconds(round_trip), Ordering::Relaxed);
    }

    /// Returns the URL of its near end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

async fn carry(near: TcpStream, to: SocketAddr, round_trip: &AtomicU64) -> io::Result<()> {
    near.set_nodelay(true)?;
    let half = || Duration::from_micros(round_trip.load(Ordering::Relaxed)) / 2;
    tokio::time::sleep(half() * 2).await;
    let far = TcpStream::connect(to).await?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // Both ends are closed when one direction breaks or the answer's has ended.
    tokio::select! {
        ended = one_way(far_read, near_write, half) => ended,
        broken = async {
            one_way(near_read, far_write, half).await?;
            std::future::pending().await
        } => broken,
    }
}

/// Carries what is sent in one direction, in order.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    half: impl Fn() -> Duration,
) -> io::Result<()> {
    let (sender, mut arrivals) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from.read(&mut buffer).await?;
            let piece = Bytes::copy_from_slice(&buffer[..count]);
            if sender.send((Instant::now() + half(), piece)).await.is_err() || count == 0 {
                return io::Result::Ok(());
            }
        }
    };
    let write = async move {
        while let Some((at, piece)) = arrivals.recv().await {
            tokio::time::sleep_until(at).await;
            match piece.is_empty() {
                true => to.shutdown().await?,
                false => to.write_all(&piece).await?,
            }
        }
        io::Result::Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}
