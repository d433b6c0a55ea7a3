//! What a listener serves.

use std::convert::Infallible;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use ota_api::problem::Code;
use tokio_rustls::TlsAcceptor;

use super::limits::EdgeLimits;
use super::observer::CutOff;
use super::socket::ClientWatch;

/// What a listener serves, its limits, and the callbacks for the events of its connections. Clones are cheap.
pub trait Service: Clone + std::fmt::Debug + Send + Sync + Unpin + 'static {
    /// The future of a response.
    type Answer: Future<Output = Result<Response, Infallible>> + Send;

    /// Answers one request. `client` reports when the client of the request hangs up.
    fn call(&self, request: Request<Incoming>, client: ClientWatch) -> Self::Answer;

    /// Returns the whole response to bytes that are not a valid request. `detail` says what is wrong if the code does not.
    fn refuse(&self, code: Code, detail: Option<&'static str>) -> Vec<u8>;

    /// Returns the same service for another thread, sharing as little as possible with this one.
    #[must_use]
    fn for_thread(&self) -> Self;

    /// Returns the listener's name for the log.
    fn name(&self) -> &'static str;

    /// Returns the limits of clients.
    fn limits(&self) -> &EdgeLimits;

    /// Returns how long a request may take.
    fn request_timeout(&self) -> std::time::Duration;

    /// Returns the TLS configuration, if connections are encrypted.
    ///
    /// # Errors
    /// When the library supports no version of TLS.
    fn acceptor(&self) -> Result<Option<TlsAcceptor>, rustls::Error>;

    /// Records how many connections are open.
    fn open_connections(&self, open: usize);

    /// Records that the server closed a connection.
    fn cut_off(&self, reason: CutOff);

    /// Records that no file descriptor was available for a connection.
    fn accept_failed(&self);

    /// Records that no more connections are accepted.
    fn drain(&self);
}

#[cfg(test)]
pub(super) mod tests {
    use super::{ClientWatch, Code, CutOff, EdgeLimits, Incoming, Request, Response, Service};
    use axum::body::Body;
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::time::Duration;
    use tokio_rustls::TlsAcceptor;

    /// Answers every request with 200.
    #[derive(Clone, Debug)]
    pub(crate) struct TestService(EdgeLimits);

    impl TestService {
        pub(crate) fn new(max_connections: usize) -> Self {
            let second = Duration::from_secs(1);
            Self(EdgeLimits {
                max_connections,
                max_header_bytes: 65_536,
                max_url_bytes: 8192,
                max_body_bytes: 65_536,
                header_timeout: second * 10,
                idle_timeout: second * 75,
                write_timeout: second * 30,
            })
        }
    }

    impl Service for TestService {
        type Answer = Ready<Result<Response, Infallible>>;

        fn call(&self, _request: Request<Incoming>, _client: ClientWatch) -> Self::Answer {
            ready(Ok(Response::new(Body::from("ok"))))
        }

        fn refuse(&self, code: Code, _detail: Option<&'static str>) -> Vec<u8> {
            format!("HTTP/1.1 {}\r\n\r\n", code.status()).into_bytes()
        }

        fn for_thread(&self) -> Self {
            self.clone()
        }

        fn name(&self) -> &'static str {
            "test"
        }

        fn limits(&self) -> &EdgeLimits {
            &self.0
        }

        fn request_timeout(&self) -> Duration {
            Duration::from_secs(30)
        }

        fn acceptor(&self) -> Result<Option<TlsAcceptor>, rustls::Error> {
            Ok(None)
        }

        fn open_connections(&self, _open: usize) {}

        fn cut_off(&self, _reason: CutOff) {}

        fn accept_failed(&self) {}

        fn drain(&self) {}
    }
}
