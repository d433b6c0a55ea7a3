use ota_api::problem::Code;

use super::{Listener, Overdue, Phase, Socket, State, bare_refusal};
use crate::framing::Refusal;
use crate::large_heads::PART;
use crate::limits::EdgeLimits;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

#[test]
fn only_a_bare_refusal_is_replaced() {
    let bare =
        "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
    assert_eq!(bare_refusal(bare.as_bytes()), Some(Code::HeadersTooLarge));
    for other in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "HTTP/1.1 4",
        "{\"detail\":\"HTTP/1.1 400 Bad Request\"}",
        "",
    ] {
        assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_own_time() {
    let limits = EdgeLimits {
        max_connections: 1,
        max_header_bytes: 8192,
        max_url_bytes: 1024,
        max_body_bytes: 0,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        write_timeout: Duration::from_secs(30),
    };
    let state = State::new();
    let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
    pass(9).await;
    assert!(state.overdue(&limits).is_ok());
    pass(1).await;
    assert_eq!(
        state.overdue(&limits),
        Err(Overdue::Idle),
        "no request on a new connection"
    );
    state.enter(Phase::Head);
    pass(9).await;
    assert!(state.overdue(&limits).is_ok());
    pass(1).await;
    assert_eq!(state.overdue(&limits), Err(Overdue::Head));
    let state = std::sync::Arc::new(state);
    let serving = state.serve(true);
    pass(1000).await;
    assert!(state.overdue(&limits).is_ok());
    assert_eq!(state.idle_since(), None);
    state
        .half_closed
        .store(1, std::sync::atomic::Ordering::Relaxed);
    assert!(
        state.idle_since().is_some(),
        "the client has most likely hung up"
    );
    state
        .half_closed
        .store(0, std::sync::atomic::Ordering::Relaxed);
    // The body does not arrive: the handler has its own timeout, but another connection may need the place.
    state.client_watch().waits();
    assert!(state.idle_since().is_some());
    pass(1000).await;
    assert!(state.overdue(&limits).is_ok());
    assert!(serving.has_unread_body());
    state.client_watch().waits_no_more(true);
    assert!(!serving.has_unread_body());
    assert_eq!(state.idle_since(), None);
    drop(serving);
    state.enter(Phase::Idle);
    pass(74).await;
    assert!(state.overdue(&limits).is_ok());
    pass(1).await;
    assert_eq!(state.overdue(&limits), Err(Overdue::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_more_has_gone_after_a_while() {
    let state = std::sync::Arc::new(State::new());
    tokio::time::advance(Duration::from_secs(5)).await;
    let watch = state.client_watch();
    let mut gone = std::pin::pin!(watch.disconnected());
    let pass = Duration::from_secs(1000);
    assert!(tokio::time::timeout(pass, &mut gone).await.is_err());
    state.half_close();
    let at = tokio::time::Instant::now();
    gone.await;
    assert_eq!(at.elapsed(), Duration::from_secs(1));
    state.disconnected().await;
    assert_eq!(at.elapsed(), Duration::from_secs(1), "no second wait");
}

/// A socket from which the given bytes can be read, as many at a time as the reader requests.
fn socket(bytes: &[u8]) -> (Socket<Whole, Room>, std::sync::Arc<State>) {
    let state = std::sync::Arc::new(State::new());
    let whole = Whole(bytes.to_vec().into());
    let room = Room(usize::MAX);
    let socket = Socket::new(whole, std::sync::Arc::clone(&state), room, 1 << 16);
    (socket, state)
}

struct Whole(std::collections::VecDeque<u8>);

impl AsyncRead for Whole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = buffer.remaining().min(self.0.len());
        let part: Vec<u8> = self.0.drain(..count).collect();
        buffer.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

/// A listener that grants this many bytes to each connection.
struct Room(usize);

impl Listener for Room {
    fn refuse(&self, refusal: Refusal) -> Vec<u8> {
        panic!("{refusal:?}")
    }

    fn try_reserve(&self, bytes: usize) -> bool {
        bytes <= self.0
    }
}

/// Reads all that the library receives, and checks that each read returns at most [`PART`] bytes.
async fn given(socket: &mut Socket<Whole, Room>) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match socket.read(&mut buffer).await.unwrap() {
            0 => return all,
            count => {
                assert!(count <= PART, "{count}");
                all.extend_from_slice(&buffer[..count]);
            }
        }
    }
}

fn large_head(length: usize) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(length)
    )
}

#[tokio::test]
async fn large_heads_are_given_on_in_parts_with_what_follows_them() {
    for length in [100, 4000, 4096, 8000, 20_000, 65_000] {
        let head = large_head(length);
        let with_body = format!("{}Content-Length: 3\r\n\r\nabc", &head[..head.len() - 2]);
        for requests in [head.clone(), head.repeat(3), with_body.repeat(2)] {
            let (mut socket, state) = socket(requests.as_bytes());
            assert!(given(&mut socket).await == requests.as_bytes(), "{length}");
            assert!(socket.watched.refused.is_none());
            assert_eq!(state.is_last(), length > 32 << 10, "{length}");
        }
    }
}

#[tokio::test]
async fn of_a_large_head_nothing_is_given_on_before_it_is_whole() {
    let head = large_head(60_000);
    let (mut socket, _state) = socket(&head.as_bytes()[..head.len() - 1]);
    let (given, refused) = (given(&mut socket).await, socket.watched.refused);
    assert!(given.len() <= 2 * PART, "{}", given.len());
    assert_eq!(
        refused.map(|refused| refused.code),
        Some(Code::InvalidArgument)
    );
}

#[tokio::test]
async fn large_heads_are_refused_when_there_is_no_room_for_them() {
    for (room, length, is_refused) in [
        (0, 4000, false),
        (0, 9000, true),
        (112 << 10, 65_000, false),
        (111 << 10, 65_000, true),
    ] {
        let (mut socket, _state) = socket(large_head(length).as_bytes());
        socket.listener = Room(room);
        let given = given(&mut socket).await;
        let refused = socket.watched.refused.map(|refused| refused.code);
        assert_eq!(
            refused,
            is_refused.then_some(Code::Unavailable),
            "{room} {length}"
        );
        assert_eq!(given.len() < length, is_refused);
    }
}

#[tokio::test]
async fn what_is_refused_behind_a_large_head_takes_nothing_with_it() {
    let head = large_head(20_000);
    let both = format!("{head}GET / HTTP/1.1\nHost: a\r\n\r\n");
    let (mut socket, _state) = socket(both.as_bytes());
    assert!(given(&mut socket).await == head.as_bytes());
    assert!(socket.watched.refused.is_some());
    let long = large_head(70_000);
    let (mut socket, _state) = self::socket(long.as_bytes());
    assert!(given(&mut socket).await.len() <= 2 * PART);
    let refused = socket.watched.refused.map(|refused| refused.code);
    assert_eq!(refused, Some(Code::HeadersTooLarge));
}

#[tokio::test]
async fn a_body_is_read_in_small_parts() {
    for head in ["Content-Length: 200000", "Transfer-Encoding: chunked"] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n");
        let mut bytes = head.clone().into_bytes();
        bytes.extend(vec![b'x'; 200_000]);
        let (mut socket, _state) = socket(&bytes);
        // The head, as the library reads it.
        let mut buffer = vec![0; head.len()];
        assert_eq!(socket.read(&mut buffer).await.unwrap(), head.len());
        let (mut left, mut buffer) = (200_000, vec![0; 1 << 16]);
        while left > 0 {
            let count = socket.read(&mut buffer).await.unwrap();
            assert!((1..=PART).contains(&count), "{count}");
            left -= count;
        }
    }
}

#[tokio::test]
async fn the_end_is_seen_behind_the_beginning_of_a_next_request() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut socket, state) = socket(format!("{request}GET /next").as_bytes());
    let mut buffer = vec![0; request.len()];
    assert_eq!(socket.read(&mut buffer).await.unwrap(), request.len());
    let _serving = state.serve(false);
    // Nothing is reported to the library while the request is handled.
    let read = socket.read(&mut buffer);
    assert!(futures_util::FutureExt::now_or_never(read).is_none());
    assert_ne!(state.half_closed.load(Ordering::Relaxed), 0);
}
