//! A wrapper of a connection's socket: it records what the client is doing and since when, and replaces the library's bare error responses with
//! problem documents.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ota_api::problem::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::framing::{Refusal, Scanner, ended_early};
use super::large_heads::{self, Collected};
use super::limits::EdgeLimits;

/// What happens on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Idle: the next request has not begun.
    Idle = 0,
    /// The head of a request is being received.
    Head = 1,
    /// A request is being answered.
    Serving = 2,
    /// A response is being written.
    Answering = 3,
}

/// The connection of a client that reads nothing of its response for this long may be closed to make room for another; short pauses are normal.
const SLOW_READER: Duration = Duration::from_secs(1);

/// A client that has shut down its sending half for this long has most likely hung up: the server cannot distinguish this from a closed connection,
/// and a client that only shuts down its sending half seldom waits long.
const DISCONNECT_GRACE: Duration = Duration::from_secs(1);

/// What the client of a connection does, and since when.
#[derive(Debug)]
pub(super) struct State {
    start: Instant,
    phase: AtomicU8,
    /// Milliseconds since the start.
    since: AtomicU64,
    /// Since when the client reads nothing of a response, in milliseconds since the start plus one; 0 while it reads.
    blocked: AtomicU64,
    /// Whether a handler runs. What is read and written during this time (a body, `100 Continue`) does not change the phase.
    serving: AtomicBool,
    /// Since when the client has shut down its sending half, in milliseconds since the start plus one; 0 if it has not.
    half_closed: AtomicU64,
    /// Wakes the tasks that wait for that.
    half_closes: Notify,
    /// Whether the current request has a body that was not read to its end.
    unread: AtomicBool,
    /// Whether the current request is the last one of the connection.
    last: AtomicBool,
    /// Bytes that are counted for its large heads.
    held: AtomicUsize,
    /// Signals the connection to close, to make room for another.
    pub(super) evicted: Notify,
}

/// Marks that a handler runs, until it has ended or is abandoned.
#[derive(Debug)]
pub(super) struct Serving(Arc<State>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.store(false, Ordering::Relaxed);
    }
}

impl Serving {
    /// Whether the body of the request was not read to its end.
    pub(super) fn has_unread_body(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }
}

/// The interface of handlers to the connection: they report the state of the body, and can wait for the client to hang up.
#[derive(Clone, Debug)]
pub struct ClientWatch(Arc<State>);

impl ClientWatch {
    /// Records that the body has not arrived yet: the connection may be closed to make room for another.
    pub fn waits(&self) {
        self.0.enter(Phase::Head);
    }

    /// Records that the handler no longer waits for the body: it has arrived completely, or it is abandoned.
    pub fn waits_no_more(&self, whole: bool) {
        self.0.enter(Phase::Serving);
        self.0.unread.store(!whole, Ordering::Relaxed);
    }

    /// Returns when the client has most likely hung up.
    pub async fn disconnected(&self) {
        self.0.disconnected().await;
    }
}

/// How long a connection has waited for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Idle {
    /// Only for the short time in which a response is read. Such a connection is closed to make room only if there is no other.
    pub(super) briefly: bool,
    pub(super) since: Instant,
}

/// Why a connection is closed by a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request arrived within the idle timeout.
    Idle,
    /// The head of a request did not arrive in time.
    Head,
    /// The client does not read its response.
    Write,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            serving: AtomicBool::new(false),
            half_closed: AtomicU64::new(0),
            half_closes: Notify::new(),
            unread: AtomicBool::new(false),
            last: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            evicted: Notify::new(),
        }
    }

    /// Records that a handler runs, until the returned value is dropped.
    pub(super) fn serve(self: &Arc<Self>, has_body: bool) -> Serving {
        self.enter(Phase::Serving);
        self.unread.store(has_body, Ordering::Relaxed);
        self.serving.store(true, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    pub(super) fn client_watch(self: &Arc<Self>) -> ClientWatch {
        ClientWatch(Arc::clone(self))
    }

    /// Records that the client sends no more.
    fn half_close(&self) {
        self.half_closed.store(self.now() + 1, Ordering::Relaxed);
        self.half_closes.notify_waiters();
    }

    /// Returns when the sending half of the client has been shut down for [`DISCONNECT_GRACE`].
    pub(super) async fn disconnected(&self) {
        loop {
            // Created before the check, so that no notification in between is missed.
            let half_closes = self.half_closes.notified();
            match self.half_closed.load(Ordering::Relaxed) {
                0 => half_closes.await,
                since => {
                    let since = self.start + Duration::from_millis(since - 1);
                    return tokio::time::sleep_until(since + DISCONNECT_GRACE).await;
                }
            }
        }
    }

    fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        // The other phases have no timeout of their own, and reading the clock is a large part of the cost of this function.
        if matches!(phase, Phase::Idle | Phase::Head) {
            // 0 means that there was no request yet.
            self.since.store(self.now().max(1), Ordering::Relaxed);
        }
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    /// Whether a request is being handled or a response is being written.
    fn is_answering(&self) -> bool {
        self.is(Phase::Serving) || self.is(Phase::Answering)
    }

    /// Returns since when this connection waits for its client, if it does: for a request, for its body, or for the response to be read. A connection
    /// whose client has shut down its sending half counts as well: most likely, the client has hung up.
    pub(super) fn idle_since(&self) -> Option<Idle> {
        let at = |milliseconds| self.start + Duration::from_millis(milliseconds);
        let blocked = self.blocked.load(Ordering::Relaxed);
        if blocked > 0 {
            let since = at(blocked - 1);
            let briefly = since.elapsed() < SLOW_READER;
            return Some(Idle { briefly, since });
        }
        let since = match self.half_closed.load(Ordering::Relaxed) {
            0 if self.is(Phase::Idle) || self.is(Phase::Head) => self.since.load(Ordering::Relaxed),
            0 => return None,
            half_closed => half_closed - 1,
        };
        Some(Idle {
            briefly: false,
            since: at(since),
        })
    }

    /// Returns how many bytes are counted for its large heads.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Records how many bytes are counted for its large heads.
    pub(super) fn set_held(&self, bytes: usize) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    /// Whether the connection must be closed after the current response.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }

    /// Returns which timeout the client has exceeded, or else when to check again.
    pub(super) fn overdue(&self, limits: &EdgeLimits) -> Result<Instant, Overdue> {
        let since = self.since.load(Ordering::Relaxed);
        let blocked = self.blocked.load(Ordering::Relaxed);
        let (since, limit, why) = if blocked > 0 {
            (blocked - 1, limits.write_timeout, Overdue::Write)
        } else if self.is(Phase::Idle) {
            (since, limits.idle_timeout, Overdue::Idle)
        } else if self.is(Phase::Head) && !self.is_serving() {
            (since, limits.header_timeout, Overdue::Head)
        } else {
            // The handler enforces the request timeout. The next phase has not begun yet, so its timeout cannot end before this time.
            let shortest = limits
                .header_timeout
                .min(limits.write_timeout)
                .min(limits.idle_timeout);
            return Ok(Instant::now() + shortest);
        };
        // On a new connection, the first request must arrive within the timeout of a head.
        let limit = match since {
            0 if why == Overdue::Idle => limits.header_timeout,
            _ => limit,
        };
        let end = self.start + Duration::from_millis(since) + limit;
        // A later phase may have a shorter timeout than this one.
        let look = end.min(Instant::now() + limits.header_timeout.min(limits.write_timeout));
        match Instant::now() >= end {
            true => Err(why),
            false => Ok(look),
        }
    }
}

/// A socket that records its events in its [`State`].
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    state: Arc<State>,
    /// What is written instead of a bare error response of the library.
    instead: Option<Instead>,
    scanner: Scanner,
    /// Why nothing more is read.
    refused: Option<Refusal>,
    /// A large head that is not complete, or that the library has not read yet.
    collected: Collected,
    /// What was read while a request was handled, to detect whether the client is still connected.
    ahead: Vec<u8>,
    /// Whether the client has shut down its sending half.
    ended: bool,
}

/// How many bytes are read while a request is handled or a response is written. More stays in the buffers of the operating system until the
/// response has been sent.
const AHEAD: usize = 64;

#[derive(Debug)]
struct Instead {
    text: Vec<u8>,
    written: usize,
}

/// What a connection needs from its listener.
pub(super) trait Listener {
    /// Makes the text of a whole response.
    fn refuse(&self, refusal: Refusal) -> Vec<u8>;

    /// Requests this many bytes of memory in total, until the connection ends. Returns whether they are granted.
    fn try_reserve(&self, bytes: usize) -> bool;
}

/// [`Watched`] with its listener.
#[derive(Debug)]
pub(super) struct Socket<S, L> {
    watched: Watched<S>,
    listener: L,
}

impl<S, L> Socket<S, L> {
    /// Watches a socket on which heads of requests may have `max_head` bytes.
    pub(super) fn new(inner: S, state: Arc<State>, listener: L, max_head: usize) -> Self {
        let watched = Watched {
            inner,
            state,
            instead: None,
            scanner: Scanner::new(max_head),
            refused: None,
            collected: Collected::default(),
            ahead: Vec::new(),
            ended: false,
        };
        Self { watched, listener }
    }

    /// Returns the socket itself, and the bytes that must still be written.
    pub(super) fn into_inner(self) -> (S, Option<Refusal>) {
        (self.watched.inner, self.watched.refused)
    }
}

/// Recognizes the bare error response that the library writes when it cannot read a request: a head without body, and without the request identifier
/// that every response of the gateway has. A response body cannot be confused with one: a write that begins with a body does not begin with a
/// status line, and JSON has no line breaks of this kind.
fn bare_refusal(text: &[u8]) -> Option<Code> {
    let rest = text
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| text.strip_prefix(b"HTTP/1.0 "))?;
    let status = rest.get(..3)?;
    let code = match status {
        b"400" => Code::InvalidArgument,
        b"414" => Code::UriTooLong,
        b"431" => Code::HeadersTooLarge,
        _ => return None,
    };
    let head = String::from_utf8_lossy(text).to_ascii_lowercase();
    let bare = head.ends_with("\r\n\r\n") && !head.contains("x-request-id");
    bare.then_some(code)
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Writes the replacement of a bare error response. Ready when all of it is written.
    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(instead) = &mut self.instead else {
            return Poll::Ready(Ok(()));
        };
        while instead.written < instead.text.len() {
            let rest = &instead.text[instead.written..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => instead.written += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Records whether the client reads what is written.
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let state = &self.state;
        match &written {
            Poll::Pending if state.blocked.load(Ordering::Relaxed) == 0 => {
                state.blocked.store(state.now() + 1, Ordering::Relaxed);
            }
            Poll::Pending => {}
            Poll::Ready(_) => state.blocked.store(0, Ordering::Relaxed),
        }
        written
    }
}

impl<S: AsyncRead + Unpin, L: Listener + Unpin> AsyncRead for Socket<S, L> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { watched, listener } = self.get_mut();
        if watched.collected.is_coming {
            ready!(watched.collect(cx, listener))?;
        }
        if !watched.collected.is_empty() {
            watched.collected.give(buffer);
            return Poll::Ready(Ok(()));
        }
        // Only the library finds the end of a chunked body; the handler reports when the body has arrived.
        let in_body = watched.scanner.in_body() || watched.scanner.in_chunks() && !watched.ended;
        if watched.state.is_answering() && !in_body {
            return watched.look_ahead(cx).map(|never| match never {
                Ok(never) => match never {},
                Err(error) => Err(error),
            });
        }
        watched.read(cx, buffer)
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads what the library asks for, and scans it.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.drain(..count);
        } else if self.ended {
            // No more bytes follow.
        } else {
            let room = buffer.remaining().min(large_heads::PART);
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            buffer.advance(count);
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            self.end();
            // The end of a chunked body may have been read before; then a response will follow.
            let whole = self.scanner.in_chunks() && self.state.is_answering();
            return if whole {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            };
        }
        if self.state.is(Phase::Idle) {
            self.state.enter(Phase::Head);
        }
        if let Err(refused) = self.scanner.scan(read) {
            self.refused = Some(refused.why);
            buffer.set_filled(before + refused.before);
        }
        self.note_last();
        self.collected.is_coming = self.refused.is_none()
            && self.scanner.in_head()
            && large_heads::is_large(self.scanner.head_bytes());
        Poll::Ready(Ok(()))
    }

    /// Records whether the current request is the last one of the connection.
    fn note_last(&self) {
        if self.scanner.in_chunks() || self.scanner.longest_head() > large_heads::LAST {
            self.state.last.store(true, Ordering::Relaxed);
        }
    }

    /// Reads the rest of a large head. Ready when it is complete, or when no more can be read.
    fn collect(&mut self, cx: &mut Context<'_>, listener: &impl Listener) -> Poll<io::Result<()>> {
        while self.collected.is_coming {
            let mut part = [0; large_heads::PART];
            let mut part = ReadBuf::new(&mut part[..self.collected.room()]);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
            let read = part.filled();
            if read.is_empty() {
                self.end();
                self.collected.clear();
                break;
            }
            let whole = match self.scanner.scan(read) {
                Ok(()) => read.len(),
                Err(refused) => {
                    self.refused = Some(refused.why);
                    refused.before
                }
            };
            if whole > 0 && !listener.try_reserve(large_heads::counted(self.scanner.longest_head()))
            {
                self.refused = Some(large_heads::too_many());
                self.collected.clear();
                break;
            }
            match whole {
                // This request itself is rejected, not the one after it.
                0 => self.collected.clear(),
                _ => self.collected.add(&read[..whole]),
            }
            self.note_last();
            self.collected.is_coming &= self.refused.is_none() && self.scanner.in_head();
        }
        Poll::Ready(Ok(()))
    }

    /// While a request is handled or a response is written, detects whether the connection breaks. A client that has only shut down its sending half
    /// waits for the response, so this is reported to the library only after the response has been sent.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<std::convert::Infallible>> {
        while !self.ended && self.refused.is_none() && self.ahead.len() < AHEAD {
            let mut buffer = [0; AHEAD];
            let mut buffer = ReadBuf::new(&mut buffer[self.ahead.len()..]);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
            match buffer.filled() {
                [] => self.end(),
                read => self.ahead.extend_from_slice(read),
            }
        }
        Poll::Pending
    }

    /// Records that the client sends no more.
    fn end(&mut self) {
        if self.scanner.in_head() && self.refused.is_none() {
            self.refused = Some(ended_early());
        }
        if !self.ended {
            self.ended = true;
            self.state.half_close();
        }
    }

    /// Whether the library must read again after a response has been sent.
    fn needs_reread(&self) -> bool {
        self.ended || self.refused.is_some() || !self.ahead.is_empty()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, L: Listener + Unpin> AsyncWrite for Socket<S, L> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(text)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        texts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [only] = texts
            && !this.watched.state.is_serving()
            && !this.watched.state.is(Phase::Serving)
            && let Some(code) = bare_refusal(only)
        {
            this.watched.state.enter(Phase::Answering);
            let text = this.listener.refuse(Refusal::from(code));
            this.watched.instead = Some(Instead { text, written: 0 });
            return Poll::Ready(Ok(only.len()));
        }
        if !this.watched.state.is(Phase::Answering) && !this.watched.state.is_serving() {
            this.watched.state.enter(Phase::Answering);
        }
        let written = Pin::new(&mut this.watched.inner).poll_write_vectored(cx, texts);
        this.watched.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.watched.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut self.get_mut().watched;
        let written = this.write_instead(cx);
        ready!(this.note(written))?;
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        let flushed = this.note(flushed);
        if flushed.is_ready() && this.state.is(Phase::Answering) {
            this.state.enter(match this.scanner.in_head() {
                true => Phase::Head,
                false => Phase::Idle,
            });
            if this.needs_reread() {
                cx.waker().wake_by_ref();
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut self.get_mut().watched;
        ready!(this.write_instead(cx))?;
        match this.refused {
            // The error is written after the responses to earlier requests.
            Some(_) => Pin::new(&mut this.inner).poll_flush(cx),
            None => Pin::new(&mut this.inner).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests;
