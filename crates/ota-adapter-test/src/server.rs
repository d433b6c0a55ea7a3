//! The server: it answers what a test scripts and remembers what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::watch;

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query, as they were sent.
    pub uri: String,
    /// The path.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// The decoded parameters of the query, and of the body where it is a form.
    pub params: BTreeMap<String, String>,
}

impl Seen {
    fn new(method: &Method, uri: &Uri, headers: HeaderMap, body: String) -> Self {
        let query = uri.query().unwrap_or_default().to_owned();
        let mut params = decoded(&query);
        let form = headers.get("content-type").is_some_and(|kind| {
            kind.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        if form {
            params.extend(decoded(&body));
        }
        Self {
            method: method.to_string(),
            uri: uri.to_string(),
            path: uri.path().to_owned(),
            query,
            headers,
            body,
            params,
        }
    }

    /// Returns a header; empty where it was not sent.
    ///
    /// # Panics
    /// When it is not ASCII text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the value of `Authorization`; empty where it was not sent.
    #[must_use]
    pub fn authorization(&self) -> &str {
        self.header("authorization")
    }

    /// Returns a decoded parameter of query or form; empty where it was not sent.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// Returns a parameter of the query as it was sent.
    #[must_use]
    pub fn raw_param(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&');
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

fn decoded(pairs: &str) -> BTreeMap<String, String> {
    let uri = format!("http://x/?{pairs}").parse().ok();
    let query = uri.and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
    query.into_iter().flat_map(|query| query.0).collect()
}

/// What the server answers.
#[derive(Debug)]
pub struct Reply {
    response: Response,
    hold: Option<watch::Receiver<bool>>,
}

impl Reply {
    /// Creates an answer.
    ///
    /// # Panics
    /// When it is no HTTP status.
    #[must_use]
    pub fn text(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = [("content-type", content_type)];
        (status, headers, body.into()).into_response().into()
    }

    /// Creates an answer in JSON from its text.
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::text(status, "application/json", body)
    }

    /// Creates a successful answer in JSON.
    #[must_use]
    pub fn ok(body: &Value) -> Self {
        Self::json(200, body.to_string())
    }

    /// Holds the answer back until the channel says true.
    #[must_use]
    pub fn held(self, hold: &watch::Sender<bool>) -> Self {
        Self {
            hold: Some(hold.subscribe()),
            ..self
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self {
            response,
            hold: None,
        }
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

#[derive(Clone)]
struct Shared {
    seen: Arc<watch::Sender<Vec<Seen>>>,
    script: Arc<Script>,
}

/// A server on a port of its own. It ends with the value.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    seen: Arc<watch::Sender<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedServer {
    /// Starts a server that answers everything by `script`.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start<R: Into<Reply>>(
        script: impl Fn(&Seen) -> R + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<watch::Sender<Vec<Seen>>>::default();
        let shared = Shared {
            seen: Arc::clone(&seen),
            script: Arc::new(move |seen| script(seen).into()),
        };
        let app = Router::new().fallback(answer).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            seen,
            task,
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its base URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many requests have come.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn has_seen(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        let arrived = seen.wait_for(|seen| seen.len() >= count);
        tokio::time::timeout(PATIENCE, arrived)
            .await
            .unwrap()
            .unwrap();
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let request = Seen::new(&method, &uri, headers, body);
    let reply = (shared.script)(&request);
    shared.seen.send_modify(|seen| seen.push(request));
    if let Some(mut hold) = reply.hold {
        let _ = hold.wait_for(|open| *open).await;
    }
    reply.response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, Method};
    use ota_core::clock::SystemClock;
    use ota_http::{Client, Options, Request};
    use serde_json::json;
    use tokio::sync::watch;

    use super::{Reply, ScriptedServer, Seen};
    use crate::TestDeps;

    fn request(server: &ScriptedServer, target: &str, form: &str) -> Request {
        let mut request = Request::new(Method::POST, format!("{}{target}", server.endpoint()));
        let name = HeaderName::from_static("content-type");
        let kind = "application/x-www-form-urlencoded";
        request.header(name, kind, false).unwrap();
        request.body = form.to_owned().into();
        request
    }

    fn client() -> (Client, TestDeps) {
        let options = Options {
            direct: true,
            tls: None,
            ..Options::default()
        };
        let client = Client::new(&options).unwrap();
        (client, TestDeps::new(Arc::new(SystemClock)))
    }

    #[tokio::test]
    async fn what_is_asked_is_recorded_and_answered_by_the_script() {
        let server = ScriptedServer::start(|seen: &Seen| match seen.path.as_str() {
            "/a" => Reply::ok(&json!({"a": 1})),
            _ => Reply::json(404, "{}"),
        })
        .await;
        let (client, given) = client();
        let cx = given.context();
        let sent = client.send(&cx, request(&server, "/a?x=1%2B&y=z", "b=%20c"));
        let response = sent.await.unwrap();
        assert_eq!(&*response.body, br#"{"a":1}"#);
        let other = client.send(&cx, request(&server, "/b", "")).await.unwrap();
        assert_eq!(other.status, 404);
        server.has_seen(2).await;
        let seen = &server.seen()[0];
        assert_eq!((seen.method.as_str(), seen.param("x")), ("POST", "1+"));
        assert_eq!((seen.param("b"), seen.param("q")), (" c", ""));
        assert_eq!(seen.raw_param("x"), Some("1%2B"));
        assert_eq!(seen.uri, "/a?x=1%2B&y=z");
        assert_eq!(seen.authorization(), "");
    }

    #[tokio::test]
    async fn an_answer_is_held_back_until_the_test_lets_it_go() {
        let (open, _) = watch::channel(false);
        let hold = open.clone();
        let server =
            ScriptedServer::start(move |_: &Seen| Reply::json(200, "{}").held(&hold)).await;
        let (client, given) = client();
        let call = request(&server, "/", "");
        let call = tokio::spawn(async move { client.send(&given.context(), call).await });
        server.has_seen(1).await;
        assert!(!call.is_finished());
        open.send_replace(true);
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
}
