//! What a listener serves.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use axum::routing::get;
use futures_util::future::Either;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::config::EdgeLimits;
use crate::metrics::{self, CutOff};
use crate::server::State;
use crate::state::{self, App};

pub use crate::server::{serve, serve_metrics, serve_on_threads};

/// What a listener serves, and within which limits. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    app: App,
    router: Router,
    port: Port,
}

/// Which listener it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    /// That of the API.
    Api,
    /// That of the metrics.
    Metrics,
}

impl Service {
    /// The API and the pages beside it: kept answers by the short way, the rest by the router.
    #[must_use]
    pub(crate) fn api(app: App) -> Self {
        Self {
            router: state::router(app.clone()),
            app,
            port: Port::Api,
        }
    }

    /// The metrics.
    pub(crate) fn metrics(app: App) -> Self {
        let shown = app.clone();
        let metrics = get(move || async move { metrics_response(&shown) });
        Self {
            app,
            router: Router::new()
                .route("/metrics", metrics)
                .fallback(|| async { (StatusCode::NOT_FOUND, "metrics are at /metrics\n") }),
            port: Port::Metrics,
        }
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn limits(&self) -> &EdgeLimits {
        match self.port {
            Port::Api => &self.app.edge().limits,
            Port::Metrics => &self.app.edge().metrics_limits,
        }
    }

    /// Returns the listener's name for the log.
    pub(crate) fn name(&self) -> &'static str {
        match self.port {
            Port::Api => "server.listen",
            Port::Metrics => "metrics.listen",
        }
    }

    /// Returns what makes a connection encrypted, where it is.
    ///
    /// # Errors
    /// When the library supports no version of TLS.
    pub(crate) fn acceptor(&self) -> Result<Option<TlsAcceptor>, rustls::Error> {
        match (self.port, &self.app.edge().certificates) {
            (Port::Api, Some(certificates)) => certificates.acceptor().map(Some),
            (Port::Api, None) | (Port::Metrics, _) => Ok(None),
        }
    }

    /// Notes how many connections are open. Only those of the API are counted: the alarms are about them.
    pub(crate) fn note_open(&self, open: usize) {
        if self.port == Port::Api {
            self.app.metrics().connections(open);
        }
    }

    /// Notes that a connection was ended from this side.
    pub(crate) fn note_cut_off(&self, reason: CutOff) {
        if self.port == Port::Api {
            self.app.metrics().cut_off(reason);
        }
    }

    /// Notes that the operating system had no descriptor for a connection.
    pub(crate) fn note_accept_failure(&self) {
        self.app.metrics().accept_failure();
    }

    /// Notes that no more connections are accepted.
    pub(crate) fn drain(&self) {
        if self.port == Port::Api {
            self.app.drain();
        }
    }

    /// Answers one request of a client that can be watched.
    pub(crate) fn call<B>(
        &self,
        mut request: Request<B>,
        client: &Arc<State>,
    ) -> Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let kept = match self.port {
            Port::Api => self.app.hits().answer(&self.app, &request),
            Port::Metrics => None,
        };
        match kept {
            Some(response) => Either::Left(ready(Ok(response))),
            // The router takes itself as changeable and changes nothing.
            None => {
                request.extensions_mut().insert(client.client_watch());
                Either::Right(self.router.clone().call(request.map(Body::new)))
            }
        }
    }
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
