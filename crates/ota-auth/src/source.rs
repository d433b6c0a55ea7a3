//! The sources of keys, and how keys are refreshed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{Method, header};
use ota_core::clock::Clock;
use ota_core::context::{Context, Priority};
use ota_http::file::{self, FileVersion};
use ota_http::{Client, Request, SecretSource};
use tokio::sync::{Notify, Semaphore, watch};

use super::algorithm::Algorithms;
use super::jwk::{AllLeftOut, LeftOut};
use super::keys::{KeyError, KeySet, MAX_BYTES};
use super::loopback::is_loopback_host;

/// How often files are checked for changes.
const LOOK: Duration = Duration::from_secs(2);

/// The retry interval after a key server has failed, if the usual interval is longer. An unusable file that does not change is read again at the same
/// interval.
const RETRY: Duration = Duration::from_secs(10);

/// The minimum time between two requests to a key server because of tokens with an unknown key: any client can send such tokens.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);

/// How long a request waits for a key server when its token names an unknown key.
const UNKNOWN_WAIT: Duration = Duration::from_secs(5);

/// The maximum number of requests that wait for a key server at one time. Each of them holds a connection that others may need.
const MAX_WAITING: usize = 64;

/// The time limit of a request to a key server.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The source of keys.
#[derive(Debug)]
pub enum KeySource {
    /// An HS256 secret.
    Secret(Arc<SecretSource>),
    /// Public keys in a PEM file.
    PemFile(PathBuf),
    /// A JSON Web Key Set in a file.
    JwksFile(PathBuf),
    /// A JSON Web Key Set at an address.
    JwksUrl {
        /// The HTTP client that requests it.
        client: Client,
        /// The address. Shown to operators only.
        url: String,
        /// How often it is requested.
        refresh: Duration,
    },
}

impl KeySource {
    /// Reads the keys as they are now. A file is read at once, an address is asked.
    ///
    /// # Errors
    /// Describes what is wrong with them, and names the file or the address.
    pub async fn load(&self, allowed: &Algorithms) -> Result<KeySet, KeyError> {
        match self {
            Self::JwksUrl { client, url, .. } => {
                let text = fetch(client, url).await;
                text.and_then(|text| {
                    KeySet::jwks(&text, allowed).map_err(|error| error.with_advice(OTHER_ANSWER))
                })
                .map_err(|error| KeyError {
                    message: format!("the key set at {}: {error}", shown(url)),
                    ..error
                })
            }
            _ => self.load_file(allowed),
        }
    }

    /// Reads the keys of a file; an address has none to read at once.
    ///
    /// # Errors
    /// As [`KeySource::load`].
    pub fn load_file(&self, allowed: &Algorithms) -> Result<KeySet, KeyError> {
        match self {
            Self::Secret(source) => {
                let secret = source
                    .read()
                    .map_err(|error| KeyError::new(error.to_string()))?;
                KeySet::secret(&secret)
            }
            Self::PemFile(path) => of_file(path, |text| KeySet::pem(text, allowed)),
            Self::JwksFile(path) => of_file(path, |text| KeySet::jwks(text, allowed)),
            Self::JwksUrl { url, .. } => Err(KeyError::new(format!(
                "the key set at {} has not been asked for yet",
                shown(url)
            ))),
        }
    }

    /// Identifies a version of a file.
    fn version(&self) -> Option<FileVersion> {
        match self {
            Self::Secret(source) => source.version(),
            Self::PemFile(path) | Self::JwksFile(path) => file::version(path).ok(),
            Self::JwksUrl { .. } => None,
        }
    }

    fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    fn period(&self) -> Duration {
        match self {
            Self::JwksUrl { refresh, .. } => *refresh,
            _ => LOOK,
        }
    }
}

/// An address without the parts that may be secret.
fn shown(url: &str) -> String {
    ota_http::redact::urls(url)
}

fn of_file(
    path: &Path,
    read: impl Fn(&[u8]) -> Result<KeySet, KeyError>,
) -> Result<KeySet, KeyError> {
    let text = file::read(path, MAX_BYTES).map_err(|error| KeyError::new(error.to_string()))?;
    read(&text)
        .map_err(|error| KeyError::new(file::FileError::new(path, error.to_string()).to_string()))
}

/// Advice if the address answers, but not with a key set.
const OTHER_ANSWER: &str = "what answers there gives no keys: compare `auth.jwks_url` with the `jwks_uri` in the issuer's `/.well-known/openid-configuration`, and look at the answer with `curl -v`";

/// Advice if the address does not answer in time.
const NO_ANSWER: &str = "check the name and port in `auth.jwks_url`, DNS and firewall, for instance with `curl -v` on this machine; where only a proxy leads out, name it in the environment variable HTTPS_PROXY";

async fn fetch(client: &Client, url: &str) -> Result<Vec<u8>, KeyError> {
    let mut request = Request::new(Method::GET, url.to_owned());
    request
        .header(
            header::ACCEPT,
            "application/jwk-set+json, application/json",
            false,
        )
        .map_err(|error| KeyError::new(error.to_string()))?;
    let deadline = (tokio::time::Instant::now() + FETCH_TIMEOUT).into_std();
    // The gate is for vendor calls; this call only needs its own timeout.
    let cx = Context::new("keys", deadline, Priority::Background);
    let answer = tokio::time::timeout(FETCH_TIMEOUT, client.send(&cx, request)).await;
    match answer {
        Err(_) => {
            let seconds = FETCH_TIMEOUT.as_secs();
            Err(KeyError::new(format!("did not answer within {seconds} s")).with_advice(NO_ANSWER))
        }
        Ok(Err(error)) => Err(match (error.kind(), error.advice()) {
            (_, Some(advice)) => KeyError::new(error.to_string()).with_advice(advice),
            // A redirect, a response that is too large, or a content coding; the message names the coding.
            (ota_core::ErrorKind::Protocol, None) => {
                let why = error.message().replace("the vendor's", "the server's");
                let why = why.replace("`endpoint`", "`auth.jwks_url`");
                KeyError::new(format!("cannot be used: {why}")).with_advice(OTHER_ANSWER)
            }
            (_, None) => KeyError::new("cannot be reached").with_advice(NO_ANSWER),
        }),
        Ok(Ok(response)) if response.status != 200 => {
            let message = format!("answered with status {}", response.status);
            Err(KeyError::new(message).with_advice(OTHER_ANSWER))
        }
        Ok(Ok(response)) => Ok(response.body.to_vec()),
    }
}

/// The result of looking for a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookedFor {
    /// The keys have just been read.
    Read,
    /// They were read recently, or are reloaded automatically; a token does not cause another read.
    ReadBefore,
    /// Their source does not answer.
    NoAnswer,
}

/// Attempts to load, which are numbered from 1 as they begin.
#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    begun: u64,
    /// The number of the latest attempt that has ended.
    ended: u64,
}

/// The current keys, and the state of their refresh.
#[derive(Debug)]
pub struct Keys {
    source: KeySource,
    allowed: Algorithms,
    current: RwLock<Option<Arc<KeySet>>>,
    /// The version of the file that was read first: it may change before it is watched.
    first: Option<FileVersion>,
    /// Counts attempts to load, so that a request that waits for one is notified when it ends.
    attempts: watch::Sender<Attempts>,
    asked: Notify,
    /// When the source was asked because of an unknown key, and how many attempts had begun.
    last_asked: Mutex<Option<(Instant, u64)>>,
    /// The permits of requests that wait.
    waiting: Semaphore,
    failing: AtomicBool,
    /// The skipped keys that were logged, and the number of further ones, so that they are logged only once.
    named: Mutex<(HashSet<LeftOut>, usize)>,
}

impl Keys {
    /// Reads the keys of a source; those at an address come with the first refresh.
    ///
    /// # Errors
    /// When a file contains no usable keys.
    pub fn new(source: KeySource, allowed: Algorithms) -> Result<Self, KeyError> {
        let version = source.version();
        let keys = match &source {
            KeySource::JwksUrl { .. } => None,
            file => Some(Arc::new(file.load_file(&allowed)?)),
        };
        Ok(Self {
            source,
            allowed,
            current: RwLock::new(keys),
            first: version,
            attempts: watch::Sender::default(),
            asked: Notify::new(),
            last_asked: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            failing: AtomicBool::new(false),
            named: Mutex::default(),
        })
    }

    /// Returns the present keys; none as long as the source has never answered.
    #[must_use]
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the address that the keys come from, without what may be secret in it; none for files.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        match &self.source {
            KeySource::JwksUrl { url, .. } => Some(shown(url)),
            _ => None,
        }
    }

    /// Returns whether the keys come from an address.
    #[must_use]
    pub fn at_address(&self) -> bool {
        matches!(self.source, KeySource::JwksUrl { .. })
    }

    /// Returns whether the keys come from an address of this machine.
    #[must_use]
    pub fn on_this_machine(&self) -> bool {
        let KeySource::JwksUrl { url, .. } = &self.source else {
            return true;
        };
        let uri: Option<axum::http::Uri> = url.parse().ok();
        uri.as_ref()
            .and_then(axum::http::Uri::host)
            .is_some_and(is_loopback_host)
    }

    /// Returns whether the last attempt to read the source failed.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Reads the source now, and returns whether the keys are others than before. The last good keys stay when it fails.
    ///
    /// # Errors
    /// As [`KeySource::load`].
    pub async fn refresh(&self) -> Result<bool, KeyError> {
        let mut number = 0;
        self.attempts.send_modify(|attempts| {
            attempts.begun += 1;
            number = attempts.begun;
        });
        let loaded = self.source.load(&self.allowed).await;
        let result = loaded.map(|keys| self.replace(keys));
        self.failing.store(result.is_err(), Ordering::Relaxed);
        self.attempts
            .send_modify(|attempts| attempts.ended = attempts.ended.max(number));
        result
    }

    /// Replaces the current keys with those that were read, and logs the differences.
    fn replace(&self, keys: KeySet) -> bool {
        let old = self.current();
        self.name_left_out(keys.left_out());
        let changed = !old.as_ref().is_some_and(|old| old.same_keys(&keys));
        if changed {
            let empty = KeySet::default();
            let (added, removed) = match &old {
                Some(old) => (keys.beyond(old), old.beyond(&keys)),
                None => (keys.beyond(&empty), Vec::new()),
            };
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
            match (old.is_some(), self.source.is_secret()) {
                (true, true) => tracing::info!(
                    "the HS256 secret has changed; tokens that were signed with the old one are refused"
                ),
                (true, false) => tracing::info!(
                    keys.added = added.join(", "),
                    keys.removed = removed.join(", "),
                    "keys for tokens have changed"
                ),
                (false, _) => tracing::info!(
                    keys.added = added.join(", "),
                    "keys for tokens have been read"
                ),
            }
        }
        changed
    }

    /// Logs which keys of the source are not used and why, unless this was logged before.
    pub fn log_left_out(&self) {
        if let Some(keys) = self.current() {
            self.name_left_out(keys.left_out());
        }
    }

    fn name_left_out(&self, left_out: &AllLeftOut) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for key in left_out
            .named()
            .iter()
            .filter(|key| !named.0.contains(*key))
        {
            match key.by_design {
                true => tracing::info!("a key of the set is left out: {key}"),
                false => tracing::warn!("a key of the set is left out: {key}"),
            }
        }
        let more = left_out.more();
        if more > 0 && more != named.1 {
            tracing::warn!(
                keys.more = more,
                "and {more} more keys of the set are left out"
            );
        }
        *named = (left_out.named().iter().cloned().collect(), more);
    }

    /// Refreshes the keys for as long as the future is polled. Files are read when they have changed, an address is requested periodically.
    /// `report` is called with whether the read succeeded: after each attempt; for a secret (read at each check), when it has changed or can be
    /// read again.
    pub async fn keep_fresh(&self, report: impl Fn(bool)) {
        let mut version = self.first;
        let at_address = self.at_address();
        let mut wait = match at_address {
            true => Duration::ZERO,
            false => LOOK,
        };
        let mut was_failing = false;
        // When a file that failed is read again although it looks unchanged: its permissions, or those of its folder, may have been fixed.
        let mut retry = None;
        self.log_left_out();
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.asked.notified() => {}
            }
            wait = self.source.period();
            let now = self.source.version();
            let secret = self.source.is_secret();
            let is_due = now.is_some() && retry.is_some_and(|at| at <= tokio::time::Instant::now());
            // A valid secret is read at each check, which costs one access to its file.
            if !at_address && (was_failing || !secret) && now == version && !is_due {
                continue;
            }
            version = now;
            match self.refresh().await {
                Ok(changed) => {
                    retry = None;
                    if was_failing {
                        tracing::info!("keys for tokens can be read again");
                    }
                    if !secret || changed || was_failing {
                        report(true);
                    }
                    was_failing = false;
                }
                Err(error) => {
                    report(false);
                    let stay = match self.current() {
                        Some(_) => "the last good ones stay in use",
                        None => "no token can be verified until they can",
                    };
                    match was_failing {
                        false => {
                            let advice = error.advice().map(|advice| format!("; {advice}"));
                            let advice = advice.unwrap_or_default();
                            tracing::error!(
                                "keys for tokens cannot be read, {stay}: {error}{advice}"
                            );
                        }
                        true => tracing::debug!("keys for tokens still cannot be read: {error}"),
                    }
                    was_failing = true;
                    wait = wait.min(RETRY);
                    retry = Some(tokio::time::Instant::now() + RETRY);
                }
            }
        }
    }

    /// Asks the source again because of a token that names an unknown key, unless it was asked recently, and waits for a short time. A read that
    /// is already in progress may miss the key, so this waits for the read after it.
    ///
    /// Any client can send such tokens. So few requests wait at one time, and none for a server that did not answer the last time; it is asked again
    /// soon anyway.
    pub async fn look_for_new(&self, clock: &dyn Clock) -> LookedFor {
        if !self.at_address() {
            return LookedFor::ReadBefore;
        }
        if self.failing() {
            return LookedFor::NoAnswer;
        }
        let now = clock.monotonic();
        let mut attempts = self.attempts.subscribe();
        let before = {
            let mut last = self
                .last_asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match *last {
                // Other requests with the new key arrive while it is being fetched; they wait for the same response.
                Some((at, before)) if now.saturating_duration_since(at) < UNKNOWN_PAUSE => {
                    if attempts.borrow().ended > before {
                        return LookedFor::ReadBefore;
                    }
                    before
                }
                _ => {
                    let before = attempts.borrow().begun;
                    *last = Some((now, before));
                    self.asked.notify_one();
                    before
                }
            }
        };
        let Ok(_place) = self.waiting.try_acquire() else {
            return LookedFor::NoAnswer;
        };
        let read = attempts.wait_for(|attempts| attempts.ended > before);
        match tokio::time::timeout(UNKNOWN_WAIT, read).await {
            Ok(Ok(_)) if !self.failing() => LookedFor::Read,
            _ => LookedFor::NoAnswer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ota_core::clock::ManualClock;
    use ota_http::{Client, Options, Secret, SecretSource};
    use time::macros::datetime;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::{Semaphore, mpsc};
    use tokio::time::Instant;

    use super::{Algorithms, KeySet, KeySource, Keys, LOOK, LookedFor, RETRY};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// The example of RFC 8037, appendix A.2.
    const KEY_SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    /// A file becomes invalid, stays invalid, and is fixed. The clock advances only while waiting, so the times are exact.
    async fn mended(good: &str, source: impl FnOnce(&std::path::Path) -> KeySource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, good).unwrap();
        let keys = Keys::new(source(&path), Algorithms::default()).unwrap();
        let (sender, mut reports) = mpsc::unbounded_channel();
        let fresh = keys.keep_fresh(|ok| sender.send((ok, Instant::now())).unwrap());
        let story = async {
            std::fs::write(&path, "short").unwrap();
            let (ok, first) = reports.recv().await.unwrap();
            assert!(!ok);
            let (ok, second) = reports.recv().await.unwrap();
            assert!(!ok);
            assert_eq!(second - first, RETRY);
            std::fs::write(&path, format!("{good}\n")).unwrap();
            let (ok, third) = reports.recv().await.unwrap();
            assert!(ok);
            assert_eq!(third - second, LOOK);
        };
        tokio::select! {
            () = fresh => unreachable!(),
            () = story => {}
            () = tokio::time::sleep(Duration::from_secs(600)) => panic!("no report came"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mended_secret_is_taken_at_the_next_look() {
        mended(SECRET, |path| {
            let source = SecretSource::file(path.to_owned()).unwrap();
            KeySource::Secret(Arc::new(source))
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_mended_key_file_is_taken_at_the_next_look() {
        mended(KEY_SET, |path| KeySource::JwksFile(path.to_owned())).await;
    }

    /// The example of RFC 7517, appendix A.1, beside the other.
    const LATER_KEY_SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

    /// Reads a request and answers it with a key set, once the test allows it.
    async fn answer(listener: &TcpListener, body: &str, may: &Semaphore, came: &Semaphore) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        came.add_permits(1);
        may.acquire().await.unwrap().forget();
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn a_token_of_an_unknown_key_waits_for_keys_that_were_asked_for_after_it_came() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let options = Options {
            tls: None,
            direct: true,
            ..Options::default()
        };
        let source = KeySource::JwksUrl {
            client: Client::new(&options).unwrap(),
            url,
            refresh: Duration::from_secs(3600),
        };
        let allowed = Algorithms::default();
        let keys = Keys::new(source, allowed.clone()).unwrap();
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let (may, came) = (Semaphore::new(0), Semaphore::new(0));
        let server = async {
            answer(&listener, KEY_SET, &may, &came).await;
            answer(&listener, LATER_KEY_SET, &may, &came).await;
            std::future::pending::<()>().await;
        };
        let story = async {
            // The token comes while the keys are being read, and its key is made after that reading.
            came.acquire().await.unwrap().forget();
            let both = async { may.add_permits(2) };
            let (looked, ()) = tokio::join!(keys.look_for_new(&clock), both);
            assert_eq!(looked, LookedFor::Read);
            let later = KeySet::jwks(LATER_KEY_SET.as_bytes(), &allowed).unwrap();
            assert!(keys.current().unwrap().same_keys(&later));
            // They are not read again for the next token.
            assert_eq!(keys.look_for_new(&clock).await, LookedFor::ReadBefore);
        };
        tokio::select! {
            () = keys.keep_fresh(|_| {}) => unreachable!(),
            () = server => unreachable!(),
            () = story => {}
        }
    }

    #[test]
    fn a_secret_of_the_configuration_has_no_version() {
        let source = SecretSource::value(Secret::new(SECRET));
        assert!(KeySource::Secret(Arc::new(source)).version().is_none());
    }
}
