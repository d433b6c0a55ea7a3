//! The two listeners: that of the API and that of the metrics.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use axum::routing::get;
use futures_util::future::Either;
use hyper::body::Incoming;
use ota_api::problem::Code;
use ota_server::limits::EdgeLimits;
use ota_server::{Certificates, ClientWatch, CutOff, Service, Threads};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::background::supervise;
use crate::fast_path;
use crate::metrics;
use crate::router::router;
use crate::state::App;

/// How long shutdown waits for the collector to accept the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Answers requests until `stop` resolves, on the runtime that it is called on; requests in progress are finished, for as long as a request may take. Then the
/// background ends, the calls of the running windows are kept, and the accounts are given back to the other gateways, in this order.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    Api::start(app, 0)?.serve(listener, stop).await
}

/// The API with the threads that its connections are served on. They are started before any connection is accepted: their runtimes need file
/// descriptors, which client connections could use up otherwise.
#[derive(Debug)]
pub struct Api {
    app: App,
    service: ApiService,
    threads: Threads<ApiService>,
}

impl Api {
    /// Starts this many threads for connections; vendor calls stay on the current runtime. With zero threads, everything runs on the current runtime.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(app: App, threads: usize) -> io::Result<Self> {
        if threads > 0 {
            app.call_vendors_on(tokio::runtime::Handle::current());
        }
        let service = ApiService::new(app.clone());
        let threads = Threads::start(threads, &service)?;
        Ok(Self {
            app,
            service,
            threads,
        })
    }

    /// As [`serve`].
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let Self {
            app,
            service,
            threads,
        } = self;
        // Both end with this function.
        let mut spans = JoinSet::new();
        if let Some(sending) = app.telemetry().run() {
            spans.spawn(sending);
        }
        let (closed, end) = oneshot::channel::<()>();
        let serving = async {
            let served = ota_server::serve(listener, service, stop, threads).await;
            // The background waits for this, so it is there.
            let _told = closed.send(());
            served
        };
        let end = async { drop(end.await) };
        let (served, ()) = tokio::join!(serving, supervise(|| app.background(), end));
        // Nothing is read any more by anyone. What was called is handed on.
        app.end().await;
        app.telemetry().end();
        // A collector that does not answer must not delay shutdown.
        let _sent = tokio::time::timeout(LAST_SPANS, spans.join_next()).await;
        served
    }
}

/// Answers `GET /metrics` on a listener of its own, until the future is dropped, on the runtime that it is called on. No token is required: access
/// is restricted by the listen address only. Connections have the same limits as those of the API, but far fewer are allowed.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_metrics(listener: TcpListener, app: App) -> io::Result<()> {
    let service = MetricsService::new(app);
    let threads = Threads::start(0, &service)?;
    ota_server::serve(listener, service, std::future::pending(), threads).await
}

/// The API and the pages beside it: cached responses by the fast path, the rest by the router.
#[derive(Clone, Debug)]
struct ApiService {
    app: App,
    router: Router,
}

impl ApiService {
    fn new(app: App) -> Self {
        Self {
            router: router(app.clone()),
            app,
        }
    }
}

impl Service for ApiService {
    type Answer = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn call(&self, mut request: Request<Incoming>, client: ClientWatch) -> Self::Answer {
        match fast_path::answer(&self.app, &request) {
            Some(response) => Either::Left(ready(Ok(response))),
            // The router requires `&mut self` but changes nothing.
            None => {
                request.extensions_mut().insert(client);
                Either::Right(self.router.clone().call(request.map(Body::new)))
            }
        }
    }

    fn refuse(&self, code: Code, detail: Option<&'static str>) -> Vec<u8> {
        self.app.edge().refuse(code, detail)
    }

    fn for_thread(&self) -> Self {
        Self::new(self.app.clone())
    }

    fn name(&self) -> &'static str {
        "server.listen"
    }

    fn limits(&self) -> &EdgeLimits {
        &self.app.edge().limits
    }

    fn request_timeout(&self) -> Duration {
        self.app.request_timeout()
    }

    fn acceptor(&self) -> Result<Option<TlsAcceptor>, rustls::Error> {
        let certificates = self.app.certificates();
        certificates.map(Certificates::acceptor).transpose()
    }

    fn open_connections(&self, open: usize) {
        self.app.metrics().server.connections(open);
    }

    fn cut_off(&self, reason: CutOff) {
        self.app.metrics().server.cut_off(reason);
    }

    fn accept_failed(&self) {
        self.app.metrics().server.accept_failure();
    }

    fn drain(&self) {
        self.app.drain();
    }
}

/// The metrics. Their connections are not counted: the alarms are about those of the API.
#[derive(Clone, Debug)]
struct MetricsService {
    app: App,
    router: Router,
}

impl MetricsService {
    fn new(app: App) -> Self {
        let shown = app.clone();
        let metrics = get(move || async move { metrics_response(&shown) });
        Self {
            app,
            router: Router::new()
                .route("/metrics", metrics)
                .fallback(|| async { (StatusCode::NOT_FOUND, "metrics are at /metrics\n") }),
        }
    }
}

impl Service for MetricsService {
    type Answer = RouteFuture<Infallible>;

    fn call(&self, request: Request<Incoming>, _client: ClientWatch) -> Self::Answer {
        self.router.clone().call(request.map(Body::new))
    }

    fn refuse(&self, code: Code, detail: Option<&'static str>) -> Vec<u8> {
        self.app.edge().refuse(code, detail)
    }

    fn for_thread(&self) -> Self {
        self.clone()
    }

    fn name(&self) -> &'static str {
        "metrics.listen"
    }

    fn limits(&self) -> &EdgeLimits {
        self.app.metrics_limits()
    }

    fn request_timeout(&self) -> Duration {
        self.app.request_timeout()
    }

    fn acceptor(&self) -> Result<Option<TlsAcceptor>, rustls::Error> {
        Ok(None)
    }

    fn open_connections(&self, _open: usize) {}

    fn cut_off(&self, _reason: CutOff) {}

    fn accept_failed(&self) {
        self.app.metrics().server.accept_failure();
    }

    fn drain(&self) {}
}

fn metrics_response(app: &App) -> Response {
    match app.metrics_text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!("metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
