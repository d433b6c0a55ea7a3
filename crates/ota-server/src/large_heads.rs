//! Heads of requests that are larger than usual: collected in parts of one size, and counted.
//!
//! The HTTP library reads a head into a buffer that it doubles when it is full, and keeps it as long as the request is answered and the buffer as long
//! as the connection is open. Thousands of clients that send the largest head byte by byte would make all these buffers grow side by side, and
//! what a smaller one leaves behind is too small for the next. So the library is given a large head only when it is whole, and what it takes for it is
//! counted before: all connections of a listener share [`budget`] bytes.

use std::collections::VecDeque;

use ota_api::problem::Code;
use tokio::io::ReadBuf;

use super::framing::Refusal;

/// What the library is given at a time. Reads that do not fill what it asks for (8 KiB at first) never make it ask for more.
pub(super) const PART: usize = 4096;

/// A head that is longer than this when a read ends is collected until it is whole.
const SMALL: usize = PART;

/// What each connection may take without being counted: a head that is not collected fits.
const UNCOUNTED: usize = 16 << 10;

/// The least room that the library makes for a read.
const READ_AHEAD: usize = 8 << 10;

/// A connection on which a head was larger is closed after the answer: the library's buffer would have to hold two of them.
pub(super) const LAST: usize = 32 << 10;

/// How much of the budget there is for each connection that may be open.
const EACH: usize = 64 << 10;

/// Returns how many bytes the connections of a listener may take for large heads, all together.
pub(super) fn budget(max_connections: usize) -> usize {
    max_connections.saturating_mul(EACH)
}

/// Returns how many bytes are counted for a head of this length. The library's buffer is a power of two; the head before this one may still stand before
/// it, unless it was as long or the last.
pub(super) fn counted(head: usize) -> usize {
    let before = head.min(LAST);
    let buffer = head.saturating_add(before).saturating_add(READ_AHEAD);
    let buffer = buffer.checked_next_power_of_two().unwrap_or(usize::MAX);
    buffer.saturating_sub(UNCOUNTED)
}

/// The refusal of a large head for which there is no room.
pub(super) fn too_many() -> Refusal {
    Refusal {
        code: Code::Unavailable,
        detail: Some(
            "the limit for requests with large headers is reached; try again later, or send fewer headers",
        ),
    }
}

/// Whether a head that has this length so far is collected.
pub(super) fn is_large(head: usize) -> bool {
    head > SMALL
}

/// The bytes of a head that were read and not yet given to the library.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// None is longer than [`PART`], and all have room for as much.
    parts: VecDeque<Vec<u8>>,
    /// How much of the first one was given on.
    given: usize,
    /// Whether the rest of the head is still to come.
    pub(super) is_coming: bool,
}

impl Collected {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns how much can be added in one piece.
    pub(super) fn room(&self) -> usize {
        let last = self.parts.back().map_or(PART, Vec::len);
        match PART.saturating_sub(last) {
            0 => PART,
            room => room,
        }
    }

    /// Adds what was read, at most [`Collected::room`].
    pub(super) fn add(&mut self, bytes: &[u8]) {
        match self.parts.back_mut() {
            Some(last) if last.len().saturating_add(bytes.len()) <= PART => {
                last.extend_from_slice(bytes);
            }
            _ => {
                let mut part = Vec::with_capacity(PART);
                part.extend_from_slice(bytes);
                self.parts.push_back(part);
            }
        }
    }

    /// Gives one part, or what of it fits.
    pub(super) fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let Some(first) = self.parts.front() else {
            return;
        };
        let rest = first.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.given += count;
        if self.given >= first.len() {
            self.parts.pop_front();
            self.given = 0;
        }
    }

    /// Gives nothing more on.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Collected, LAST, PART, READ_AHEAD, UNCOUNTED, budget, counted};
    use bytes::{Bytes, BytesMut};
    use tokio::io::ReadBuf;

    /// The library's buffer, used as it uses it (hyper 1.12, `proto/h1/io.rs`): room for a read is made when less is left, and a head that is whole is
    /// cut off at the front.
    #[derive(Default)]
    struct Buffer(BytesMut);

    impl Buffer {
        fn read_head(&mut self, head: usize) -> Bytes {
            let mut left = head;
            while left > 0 {
                if self.0.capacity() - self.0.len() < READ_AHEAD {
                    self.0.reserve(READ_AHEAD);
                }
                let count = left.min(PART);
                self.0.extend_from_slice(&[b'x'; PART][..count]);
                left -= count;
            }
            self.0.split_to(head).freeze()
        }
    }

    #[test]
    fn what_is_counted_is_what_the_library_takes() {
        let step = 1021;
        for first in (1..=LAST).step_by(step) {
            for second in (1..=65_536).step_by(step) {
                let mut buffer = Buffer::default();
                drop(buffer.read_head(first));
                // The head keeps the whole buffer, of which this is the rest.
                let head = buffer.read_head(second);
                let rest = buffer.0.capacity();
                let most = counted(first.max(second)) + UNCOUNTED;
                assert!(head.len() + rest <= most, "{first} {second}");
            }
        }
        assert_eq!(counted(4096), 0);
        assert_eq!(counted(65_536) + UNCOUNTED, 128 << 10);
        assert_eq!(counted(usize::MAX), usize::MAX - UNCOUNTED);
        assert_eq!(budget(usize::MAX), usize::MAX);
    }

    #[test]
    fn what_was_collected_is_given_in_order() {
        let bytes: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
        let mut collected = Collected::default();
        let mut rest = &bytes[..];
        for length in [1, 3000, 1, 4096, 700].into_iter().cycle() {
            let length = rest.len().min(collected.room()).min(length);
            if length == 0 {
                break;
            }
            collected.add(&rest[..length]);
            rest = &rest[length..];
        }
        assert!(collected.parts.iter().all(|part| part.capacity() == PART));
        assert_eq!(collected.parts.len(), bytes.len().div_ceil(PART));
        let mut given = Vec::new();
        for room in [1, 4096, 5000, 100].into_iter().cycle() {
            if collected.is_empty() {
                break;
            }
            let mut room = vec![0; room];
            let mut buffer = ReadBuf::new(&mut room);
            collected.give(&mut buffer);
            assert!(!buffer.filled().is_empty() && buffer.filled().len() <= PART);
            given.extend_from_slice(buffer.filled());
        }
        assert!(given == bytes);
        collected.clear();
        assert_eq!(collected.room(), PART);
    }
}
