//! A vendor that answers what a test tells it, on a plain socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query exactly as received.
    pub target: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Seen {
    /// Returns a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(of, _)| of == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the operation of a call to Alibaba, in either signature.
    #[must_use]
    pub fn action(&self) -> &str {
        let in_query = || {
            let query = self.target.split_once('?')?.1;
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("Action="))
        };
        self.header("x-acs-action")
            .or_else(in_query)
            .unwrap_or_default()
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What the vendor does.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers: status, content type, body.
    Whole(u16, &'static str, String),
    /// Sends these bytes: status line, headers and body.
    Raw(Vec<u8>),
    /// Sends 200 and then a body without announced length, for as long as someone reads.
    Endless,
    /// Takes the request and never answers.
    Silent,
}

impl Answer {
    /// A good answer in JSON.
    #[must_use]
    pub fn json(body: impl Into<String>) -> Self {
        Self::Whole(200, "application/json;charset=utf-8", body.into())
    }

    /// A good answer in XML.
    #[must_use]
    pub fn xml(body: impl Into<String>) -> Self {
        Self::Whole(200, "text/xml;charset=utf-8", body.into())
    }
}

type Tell = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// The running server. Dropping it ends it.
#[derive(Debug)]
pub struct Script {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Script {
    /// Starts a server that answers what `tell` says.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(tell: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("listener has an address");
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (book, tell): (_, Tell) = (Arc::clone(&seen), Arc::new(tell));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (book, tell) = (Arc::clone(&book), Arc::clone(&tell));
                tokio::spawn(async move {
                    // A caller that goes away in the middle is its own affair.
                    let _broken_connection = serve(stream, &book, &tell).await;
                });
            }
        });
        Self {
            address,
            seen,
            accepting,
        }
    }

    /// Returns `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what arrived so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(mut stream: TcpStream, book: &Mutex<Vec<Seen>>, tell: &Tell) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut seen = Seen {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: String::new(),
    };
    let length: usize = seen
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    seen.body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    let answer = tell(&seen);
    book.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen);
    match answer {
        Answer::Whole(status, content_type, body) => {
            let head = format!(
                "HTTP/1.1 {status} Scripted\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
        }
        Answer::Silent => std::future::pending().await,
        Answer::Raw(bytes) => stream.write_all(&bytes).await?,
        Answer::Endless => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{";
            stream.write_all(head.as_bytes()).await?;
            let filler = vec![b' '; 64 * 1024];
            loop {
                stream.write_all(&filler).await?;
            }
        }
    }
    stream.shutdown().await
}
