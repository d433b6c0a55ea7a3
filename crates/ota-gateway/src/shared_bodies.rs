//! The pages that need no token: their bodies are compressed once, and all responses share the same bytes.
//!
//! Compressing the largest file of Swagger UI takes 10 ms of processor time, and a response that the client does not read holds a compressor and its
//! output. Anyone can request these pages, so a response must cost neither.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};
use ota_api::problem::{Code, Failure};
use tokio::sync::Semaphore;

use crate::cache::response::{self, ContentCoding};

/// The largest body that is shared.
const MAX_BYTES: usize = 8 << 20;

/// The path of a page, set as an extension of its response. A page can be requested by other paths too (with escapes); they share its body.
/// A response without it is not a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PagePath(pub(crate) &'static str);

/// A page: the headers of all its responses, and its body in each encoding.
#[derive(Debug)]
struct Page {
    headers: HeaderMap,
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

/// The requested pages, for all threads that serve connections. There are at most as many as values of [`PagePath`]. Clones share one set.
#[derive(Clone, Debug)]
pub(crate) struct SharedBodies {
    pages: Arc<Mutex<HashMap<&'static str, Arc<Page>>>>,
    /// One body is compressed at a time, so that any number of requests uses one processor and the memory of one compression at most.
    compression: Arc<Semaphore>,
}

impl Default for SharedBodies {
    fn default() -> Self {
        Self {
            pages: Arc::default(),
            compression: Arc::new(Semaphore::new(1)),
        }
    }
}

impl SharedBodies {
    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Arc<Page>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a page, unless it has been stored meanwhile, and returns the stored one.
    fn keep(&self, path: PagePath, page: Page) -> Arc<Page> {
        let mut pages = self.lock();
        Arc::clone(pages.entry(path.0).or_insert_with(|| Arc::new(page)))
    }
}

/// Answers from the shared bodies; `next` is called once for each page, for other paths of a page, and for all requests that are not for a page.
pub(crate) async fn serve(
    State(shared): State<SharedBodies>,
    mut request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let coding = match ContentCoding::choose(request.headers()) {
        Ok(coding) => coding,
        Err(failure) => return failure.into_response(),
    };
    let known = shared.lock().get(request.uri().path()).map(Arc::clone);
    let page = match known {
        Some(page) => page,
        None => {
            // The library removes the body of the response to a HEAD request.
            *request.method_mut() = Method::GET;
            request.headers_mut().remove(ACCEPT_ENCODING);
            let response = next.run(request).await;
            let Some(path) = response.extensions().get::<PagePath>().copied() else {
                return response;
            };
            match read(response).await {
                Ok(page) => shared.keep(path, page),
                Err(response) => return response,
            }
        }
    };
    page.respond(coding, &shared.compression).await
}

/// Reads the body of a page, or returns the response if it is not a page.
async fn read(response: Response) -> Result<Page, Response> {
    if response.status() != StatusCode::OK || response.headers().contains_key(CONTENT_ENCODING) {
        return Err(response);
    }
    let (parts, body) = response.into_parts();
    let mut headers = parts.headers;
    headers.remove(CONTENT_LENGTH);
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    match Limited::new(body, MAX_BYTES).collect().await {
        Ok(body) => Ok(Page {
            headers,
            plain: body.to_bytes(),
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }),
        Err(error) => {
            tracing::error!("a page cannot be read: {error}");
            let failure = Failure::new(Code::Internal, "the page cannot be read");
            Err(failure.into_response())
        }
    }
}

impl Page {
    async fn respond(
        self: Arc<Self>,
        coding: ContentCoding,
        compression: &Arc<Semaphore>,
    ) -> Response {
        let (body, coding) = self.body(coding, compression).await;
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = self.headers.clone();
        if let Some(coding) = coding.header() {
            response.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        response
    }

    fn slot(&self, coding: ContentCoding) -> Option<&OnceLock<Bytes>> {
        match coding {
            ContentCoding::Gzip => Some(&self.gzip),
            ContentCoding::Brotli => Some(&self.brotli),
            ContentCoding::Identity => None,
        }
    }

    /// Returns the body in an encoding.
    async fn body(
        self: &Arc<Self>,
        coding: ContentCoding,
        compression: &Arc<Semaphore>,
    ) -> (Bytes, ContentCoding) {
        let plain = || (self.plain.clone(), ContentCoding::Identity);
        let Some(slot) = self.slot(coding) else {
            return plain();
        };
        if slot.get().is_none() {
            self.compress(coding, compression).await;
        }
        match slot.get() {
            // If compression saves nothing, as with images, the uncompressed body is used.
            Some(made) if !made.is_empty() && made.len() < self.plain.len() => {
                (made.clone(), coding)
            }
            _ => plain(),
        }
    }

    /// Compresses the body at most once per encoding, on a thread that serves no connections. It is completed even if the client disconnects, so
    /// that no client can cause the work to be repeated.
    async fn compress(self: &Arc<Self>, coding: ContentCoding, compression: &Arc<Semaphore>) {
        let Ok(permit) = Arc::clone(compression).acquire_owned().await else {
            return;
        };
        let page = Arc::clone(self);
        let Some(slot) = self.slot(coding) else {
            return;
        };
        // Another request may have compressed it while this one waited.
        if slot.get().is_some() {
            return;
        }
        let compressed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if let Some(slot) = page.slot(coding) {
                slot.get_or_init(|| response::compress(&page.plain, coding).unwrap_or_default());
            }
        });
        if compressed.await.is_err() {
            tracing::error!("a page cannot be compressed and is sent as it is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PagePath, serve};
    use crate::config::Config;
    use crate::router::router;
    use crate::state::App;
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::extract::{Extension, Path};
    use axum::http::{Request, Response, StatusCode};
    use axum::middleware;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::ServiceExt as _;

    fn app() -> App {
        let secret = "0123456789abcdef0123456789abcdef".to_owned();
        let environment = [("OTA_GATEWAY__AUTH__HS256_SECRET".to_owned(), secret)];
        crate::assembly::app(&Config::load(None, environment).unwrap()).unwrap()
    }

    /// A page that creates its body for each request, and the counter of these.
    fn pages() -> (Router, Arc<AtomicUsize>, App) {
        let (made, app) = (Arc::<AtomicUsize>::default(), app());
        let count = Arc::clone(&made);
        let page = get(move |Path(name): Path<String>| async move {
            count.fetch_add(1, Ordering::Relaxed);
            match name.as_str() {
                "a" => Ok((Extension(PagePath("/a")), name.repeat(1000))),
                _ => Err(StatusCode::NOT_FOUND),
            }
        });
        let layer = middleware::from_fn_with_state(app.shared_bodies().clone(), serve);
        (Router::new().route("/{name}", page).layer(layer), made, app)
    }

    async fn ask(router: &Router, method: &str, path: &str, coding: &str) -> (Response<()>, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept-encoding", coding)
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), body)
    }

    #[tokio::test]
    async fn every_answer_shares_the_same_bytes() {
        let (router, made, _) = pages();
        for coding in ["gzip", "br", "identity"] {
            let (response, first) = ask(&router, "GET", "/a", coding).await;
            let encoding = response.headers().get("content-encoding");
            let encoding = encoding.map_or("identity", |value| value.to_str().unwrap());
            assert_eq!(encoding, coding);
            assert_eq!(response.headers()["vary"], "accept-encoding");
            for path in ["/a?x=1", "/%61", "/a"] {
                let (_, again) = ask(&router, "GET", path, coding).await;
                assert_eq!(again.as_ptr(), first.as_ptr(), "{coding}, {path}");
                assert_eq!(again.len(), first.len());
            }
        }
        // Once, and each time for the escaped path.
        assert_eq!(made.load(Ordering::Relaxed), 1 + 3);
    }

    #[tokio::test]
    async fn what_is_no_page_is_asked_for_each_time() {
        let (router, made, app) = pages();
        for _ in 0..2 {
            assert_eq!(
                ask(&router, "GET", "/missing", "gzip").await.0.status(),
                404
            );
            assert_eq!(ask(&router, "POST", "/a", "gzip").await.0.status(), 405);
        }
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert_eq!(
            ask(&router, "GET", "/a", "identity;q=0").await.0.status(),
            406
        );
        assert!(app.shared_bodies().lock().is_empty());
    }

    #[tokio::test]
    async fn every_thread_and_every_name_of_a_file_share_its_bytes() {
        let app = app();
        // Each thread that serves connections has a router of its own.
        let threads = [router(app.clone()), router(app.clone())];
        let mut known = 0;
        for (path, other) in [
            ("/docs/swagger-ui.css", "/docs/swagger-ui.c%73s"),
            ("/docs/initializer.js", "/docs/%69nitializer%2Ejs"),
            ("/docs/", "/docs/index.html"),
            ("/docs/", "/docs/index.h%74ml"),
            ("/openapi.json", "/openapi.json?x"),
        ] {
            for coding in ["gzip", "br"] {
                let (response, first) = ask(&threads[0], "GET", path, coding).await;
                assert_eq!(response.headers()["content-encoding"], coding, "{path}");
                for path in [path, other] {
                    let (_, again) = ask(&threads[1], "GET", path, coding).await;
                    assert_eq!(again.as_ptr(), first.as_ptr(), "{coding}, {path}");
                }
            }
            known = app.shared_bodies().lock().len();
        }
        assert_eq!(known, 4);
        for path in ["/docs/%73omething", "/docs/swagger-ui.c%2573s", "/docs/%ff"] {
            let (response, _) = ask(&threads[0], "GET", path, "gzip").await;
            assert!(response.status().is_client_error(), "{path}");
        }
        assert_eq!(app.shared_bodies().lock().len(), known);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_does_not_make_the_work_begin_again() {
        let app = app();
        let router = router(app.clone());
        let path = "/docs/swagger-ui.css";
        let _whole = ask(&router, "GET", path, "identity").await;
        let page = Arc::clone(&app.shared_bodies().lock()[path]);
        // The only permit for compression, which this test holds while requests start and are cancelled.
        let permit = Arc::clone(&app.shared_bodies().compression).acquire_owned();
        let permit = permit.await.unwrap();
        for _ in 0..3 {
            let request = ask(&router, "GET", path, "br");
            tokio::select! {
                biased;
                _answer = request => panic!("answered before its body was compressed"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert!(page.brotli.get().is_none());
        drop(permit);
        let (response, _) = ask(&router, "GET", path, "br").await;
        assert_eq!(response.headers()["content-encoding"], "br");
        assert!(page.brotli.get().is_some());
    }
}
