//! The router: the operations, the pages beside them, the health paths, and the middleware around all of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ota_api::problem::{Code, Failure};
use ota_auth::Access;
use ota_server::layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::shared_bodies::{self, PagePath};
use crate::state::App;
use crate::{document, headers, log, routes, swagger_ui};

/// Builds the router: the API, its document, Swagger UI, and the two health paths.
pub(crate) fn router(app: App) -> Router {
    let (api, openapi) = routes::api().split_for_parts();
    let openapi = document::finish(openapi, app.public_url());
    let text = document::to_text(&openapi);
    let open = matches!(app.access(), Access::Disabled);
    let pages = Router::new()
        .merge(swagger_ui::router(open))
        .route(
            "/openapi.json",
            get(|| async move {
                let page = Extension(PagePath("/openapi.json"));
                (page, [(CONTENT_TYPE, "application/json")], text)
            }),
        )
        // The responses of the API are compressed where they are cached.
        .layer(middleware::from_fn_with_state(
            app.shared_bodies().clone(),
            shared_bodies::serve,
        ));
    let routes = Router::new()
        .merge(api)
        .merge(pages)
        .route(
            "/healthz",
            get(|| async { axum::Json(serde_json::json!({"status": "ok"})) }),
        )
        .route("/readyz", get(readyz))
        .fallback(|| async {
            Failure::new(Code::NotFound, "no such path; see /docs").into_response()
        });
    finished(routes, app)
}

/// Adds the middleware that all routes share.
///
/// From the inside out: a panic of a handler becomes a response; limits, inside CORS so that pages of other origins can read the error; CORS;
/// and outermost the layer that writes problems, finishes every response and logs it.
fn finished(routes: Router<App>, app: App) -> Router {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app.edge()),
            layer::limit,
        ))
        .layer(tower::util::option_layer(cors(&app)))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app.edge()),
            layer::wrap,
        ))
        // Built once here and not for each connection, which would take 200 KB each.
        .with_state(app)
}

/// Turns a panic into a problem; the log has the text of the panic.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    // The log line of the panic itself has its source location.
    let text = log::text_of(&*panic);
    tracing::error!("a handler panicked: {text}");
    Failure::new(
        Code::Internal,
        "internal error; the gateway's log has the details under this request identifier",
    )
    .into_response()
}

/// Returns whether the gateway is ready. It does not depend on the vendors: another process would call the same ones.
async fn readyz(State(app): State<App>) -> Result<Response, Failure> {
    app.ready()?;
    let mut counts = serde_json::json!({"ok": 0, "degraded": 0, "down": 0, "unknown": 0});
    for member in app.fleet().members() {
        let count = &mut counts[member.health().state.as_str()];
        *count = (count.as_u64().unwrap_or_default() + 1).into();
    }
    let body = serde_json::json!({"status": "ready", "providers": counts});
    Ok(axum::Json(body).into_response())
}

/// Allows web pages of the configured origins to call the API (CORS); if none is configured, browsers block all of them.
fn cors(app: &App) -> Option<CorsLayer> {
    let origins = app.cors_origins();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers(headers::allowed())
            .expose_headers(headers::exposed())
            .max_age(PREFLIGHT_AGE)
    })
}

/// How long browsers may cache the result of a preflight request. Most of them limit it to two hours.
const PREFLIGHT_AGE: Duration = Duration::from_secs(7200);

#[cfg(test)]
mod tests {
    use super::finished;
    use crate::config::Config;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_panic_becomes_a_problem_and_the_next_request_is_answered() {
        let secret = (
            "OTA_GATEWAY__AUTH__HS256_SECRET",
            "0123456789abcdef0123456789abcdef",
        );
        let environment = [(secret.0.to_owned(), secret.1.to_owned())];
        let config = Config::load(None, environment).unwrap();
        let app = crate::assembly::app(&config).unwrap();
        let routes = Router::new()
            .route(
                "/panic",
                get(async || -> &'static str { panic!("{}", "told to") }),
            )
            .route("/well", get(async || "well"));
        let router = finished(routes, app);
        for _ in 0..2 {
            let request = Request::get("/panic").body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500);
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
            let id = response.headers()["x-request-id"].clone();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["code"], "internal");
            assert_eq!(problem["request_id"], id.to_str().unwrap());
            assert!(!problem.to_string().contains("told to"));
        }
        let request = Request::get("/well").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}
