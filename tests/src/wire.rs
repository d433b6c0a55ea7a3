//! HTTP/1.1 on a plain socket, so that a test can send what no client library would and sees exactly what came back.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::decompression::DecompressionLayer;

/// How long any single exchange may take. Only a broken gateway comes near it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers in the order sent; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without transfer coding; a content coding is still on it.
    pub body: Vec<u8>,
}

/// Waits until something holds.
///
/// # Panics
/// When it does not in time.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it comes true in time");
}

/// Sends bytes and reads until the peer closes the connection.
///
/// # Panics
/// When nothing that looks like HTTP comes back in time.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    let all = async {
        let mut stream = TcpStream::connect(address).await.expect("server listens");
        stream.write_all(request).await.expect("server reads");
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .await
            .expect("server answers");
        bytes
    };
    let bytes = tokio::time::timeout(PATIENCE, all)
        .await
        .expect("an answer comes in time");
    Reply::parse(&bytes)
}

/// Writes a request that asks to close the connection afterwards.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let told = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    if !body.is_empty() && !told("content-length") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = find(bytes, b"\r\n\r\n").unwrap_or_else(|| {
            panic!("no HTTP answer: {:?}", String::from_utf8_lossy(bytes));
        });
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {head}"));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        };
        if reply.header("transfer-encoding") == Some("chunked") {
            reply.body = unchunked(&reply.body);
        }
        reply
    }

    /// Returns the value of a header that came once.
    ///
    /// # Panics
    /// When it came more than once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(of, _)| of.eq_ignore_ascii_case(name));
        let first = values.next();
        assert!(values.next().is_none(), "header `{name}` came twice");
        first.map(|(_, value)| value.as_str())
    }

    /// Returns the value of a header.
    ///
    /// # Panics
    /// When it did not come exactly once.
    #[must_use]
    pub fn must(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("no header `{name}` in {}", self.shown()))
    }

    /// Returns the body as text, decoding a content coding.
    ///
    /// # Panics
    /// When the body is not what its headers say.
    pub async fn decoded(&self) -> String {
        let mut builder = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        let response = builder
            .body(Full::new(Bytes::from(self.body.clone())))
            .expect("headers are well-formed");
        let mut response = Some(response);
        let service = service_fn(move |_: http::Request<Full<Bytes>>| {
            let response = response.take().expect("one request is sent");
            async move { Ok::<_, std::convert::Infallible>(response) }
        });
        let decoding = DecompressionLayer::new().layer(service);
        let response = decoding
            .oneshot(http::Request::new(Full::new(Bytes::new())))
            .await
            .expect("service cannot fail");
        let body = response.into_body().collect().await.expect("body decodes");
        String::from_utf8(body.to_bytes().to_vec()).expect("body is text")
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("body is no JSON ({error}): {}", self.shown()))
    }

    /// Returns the document of a successful answer.
    ///
    /// # Panics
    /// When it is a failure.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.shown());
        self.json()
    }

    /// Returns the problem document of a failure with this code.
    ///
    /// # Panics
    /// When the answer is another one.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.shown());
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", self.shown());
        problem
    }

    /// Returns everything for the message of a failed test.
    #[must_use]
    pub fn shown(&self) -> String {
        let body: String = self.text().chars().take(2000).collect();
        format!("{} {:?} {body}", self.status, self.headers)
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = find(rest, b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(size.trim(), 16).expect("chunk has a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    panic!("the last chunk is missing");
}
