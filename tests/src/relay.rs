//! A line between two programs that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to a server. Its address is known before that of the server is. Dropping it closes all of them.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    server: Arc<OnceLock<String>>,
    is_cut: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Listens; connections are closed until [`Relay::lead_to`] says where they go.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let server = Arc::<OnceLock<String>>::default();
        let is_cut = watch::Sender::new(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&server), is_cut.subscribe()));
        Self {
            address,
            server,
            is_cut,
            _accepting: accepting,
        }
    }

    /// As [`Relay::start`], to this server.
    pub async fn to(server: impl ToString) -> Self {
        let relay = Self::start().await;
        relay.lead_to(server);
        relay
    }

    /// Says where the server is, once.
    ///
    /// # Panics
    /// When that is known already.
    pub fn lead_to(&self, server: impl ToString) {
        let first = self.server.set(server.to_string());
        first.expect("the server of a line is named once");
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through from now on, and closes nothing: both ends see a peer that is silent.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets everything through again, also what was held back.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn accept(
    listener: TcpListener,
    server: Arc<OnceLock<String>>,
    is_cut: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let Some(server) = server.get().cloned() else {
            continue;
        };
        connections.spawn(connect(client, server, is_cut.clone()));
    }
}

async fn connect(client: TcpStream, server: String, mut is_cut: watch::Receiver<bool>) {
    if is_cut.wait_for(|is_cut| !is_cut).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    // When one side closes, the other side is told.
    tokio::select! {
        () = pass(client_reads, server_writes, is_cut.clone()) => {}
        () = pass(server_reads, client_writes, is_cut) => {}
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut is_cut: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if is_cut.wait_for(|is_cut| !is_cut).await.is_err()
            || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
