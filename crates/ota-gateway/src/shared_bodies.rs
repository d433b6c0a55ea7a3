//! The pages that need no token: their bodies are compressed once, and every answer shares the same bytes.
//!
//! Compressing anew costs 10 ms of a processor for the largest file of Swagger UI, and each answer that nobody reads holds a compressor and what it
//! has written. Anybody can ask for these pages, so an answer must cost neither.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::OnceCell;

use crate::problem::{Code, Failure};
use crate::rendered::{self, Coding};

/// The most pages that are shared. There are about twenty; another path for one of them (an escape, say) is answered and not kept.
const MAX_PAGES: usize = 64;

/// The largest body that is shared.
const MAX_BYTES: usize = 8 << 20;

/// A page: what every answer with it says, and its body in each form.
#[derive(Debug)]
struct Page {
    headers: HeaderMap,
    plain: Bytes,
    gzip: OnceCell<Bytes>,
    brotli: OnceCell<Bytes>,
}

/// The pages that have been asked for. Their bodies depend on the path alone.
#[derive(Debug, Default)]
pub(crate) struct SharedBodies(Mutex<HashMap<String, Arc<Page>>>);

impl SharedBodies {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Page>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a page, unless there is one for this path by now, and returns the one that is kept.
    fn keep(&self, path: String, page: Page) -> Arc<Page> {
        let mut pages = self.lock();
        if let Some(known) = pages.get(&path) {
            return Arc::clone(known);
        }
        let page = Arc::new(page);
        if pages.len() < MAX_PAGES && !path.contains('%') {
            pages.insert(path, Arc::clone(&page));
        }
        page
    }
}

/// Answers from the shared bodies; `next` is asked once for each page, and for whatever is none.
pub(crate) async fn serve(
    State(shared): State<Arc<SharedBodies>>,
    mut request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let coding = match Coding::choose(request.headers()) {
        Ok(coding) => coding,
        Err(failure) => return failure.into_response(),
    };
    let path = request.uri().path();
    let known = shared.lock().get(path).map(Arc::clone);
    let page = match known {
        Some(page) => page,
        None => {
            let path = path.to_owned();
            // The library takes the body off the answer to a HEAD.
            *request.method_mut() = Method::GET;
            request.headers_mut().remove(ACCEPT_ENCODING);
            match read(next.run(request).await).await {
                Ok(page) => shared.keep(path, page),
                Err(response) => return response,
            }
        }
    };
    page.respond(coding).await
}

/// Reads the body of a page, or returns the answer when it is none.
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
            gzip: OnceCell::new(),
            brotli: OnceCell::new(),
        }),
        Err(error) => {
            tracing::error!("a page cannot be read: {error}");
            let failure = Failure::new(Code::Internal, "the page cannot be read");
            Err(failure.into_response())
        }
    }
}

impl Page {
    async fn respond(&self, coding: Coding) -> Response {
        let (body, coding) = self.body(coding).await;
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = self.headers.clone();
        if let Some(coding) = coding.header() {
            response.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        response
    }

    /// Returns the body in a form, made at most once, on a thread that serves no connections.
    async fn body(&self, coding: Coding) -> (Bytes, Coding) {
        let slot = match coding {
            Coding::Gzip => &self.gzip,
            Coding::Brotli => &self.brotli,
            Coding::Identity => return (self.plain.clone(), coding),
        };
        let made = slot.get_or_init(|| async {
            let plain = self.plain.clone();
            let packed = tokio::task::spawn_blocking(move || rendered::pack(&plain, coding));
            packed.await.ok().flatten().unwrap_or_default()
        });
        let made = made.await;
        // Where that saves nothing, as with pictures, the plain form is as good.
        match made.is_empty() || made.len() >= self.plain.len() {
            true => (self.plain.clone(), Coding::Identity),
            false => (made.clone(), coding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PAGES, SharedBodies, serve};
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::extract::Path;
    use axum::http::{Request, Response, StatusCode};
    use axum::middleware;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::ServiceExt as _;

    /// A page that writes its body anew each time, and what counts how often.
    fn router() -> (Router, Arc<AtomicUsize>, Arc<SharedBodies>) {
        let (made, shared) = (
            Arc::<AtomicUsize>::default(),
            Arc::<SharedBodies>::default(),
        );
        let count = Arc::clone(&made);
        let page = get(move |Path(name): Path<String>| async move {
            count.fetch_add(1, Ordering::Relaxed);
            match name.as_str() {
                "missing" => (StatusCode::NOT_FOUND, String::new()),
                name => (StatusCode::OK, name.repeat(1000)),
            }
        });
        let layer = middleware::from_fn_with_state(Arc::clone(&shared), serve);
        (
            Router::new().route("/{name}", page).layer(layer),
            made,
            shared,
        )
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
        let (router, made, _) = router();
        for coding in ["gzip", "br", "identity"] {
            let (response, first) = ask(&router, "GET", "/a", coding).await;
            let encoding = response.headers().get("content-encoding");
            let encoding = encoding.map_or("identity", |value| value.to_str().unwrap());
            assert_eq!(encoding, coding);
            assert_eq!(response.headers()["vary"], "accept-encoding");
            for _ in 0..3 {
                let (_, again) = ask(&router, "GET", "/a?x=1", coding).await;
                assert_eq!(again.as_ptr(), first.as_ptr(), "{coding}: compressed anew");
                assert_eq!(again.len(), first.len());
            }
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_no_page_is_asked_for_each_time() {
        let (router, made, shared) = router();
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
        assert!(shared.lock().is_empty());
    }

    #[tokio::test]
    async fn other_names_of_a_page_fill_no_memory() {
        let (router, _, shared) = router();
        for number in 0..2 * MAX_PAGES {
            ask(&router, "GET", &format!("/%61{number}"), "gzip").await;
        }
        assert!(shared.lock().is_empty());
        for number in 0..2 * MAX_PAGES {
            ask(&router, "GET", &format!("/a{number}"), "gzip").await;
        }
        assert_eq!(shared.lock().len(), MAX_PAGES);
    }
}
