//! Heads of requests that are larger than usual: collected in parts of one size, and counted.
//!
//! The HTTP library reads a head into a buffer that doubles when it is full. It holds the head until the request is answered, and the buffer as long
//! as the connection is open. Thousands of clients that send the largest head byte by byte would make all these buffers grow side by side, and
//! the memory that a smaller one releases is too small for the next. So the library gets a large head only when it is complete, and the memory for
//! it is counted before: all connections of a listener share [`budget`] bytes.

use std::collections::VecDeque;

use ota_api::problem::Code;
use tokio::io::ReadBuf;

use super::framing::Refusal;

/// Maximum number of bytes that the library gets per read. It asks for 8 KiB at first, and for more only after a read that returned all it asked for.
pub(super) const PART: usize = 4096;

/// A head that is longer than this when a read ends is collected until it is whole.
const SMALL: usize = PART;

/// Memory of each connection that is not counted. It is enough for a head that is not collected.
const UNCOUNTED: usize = 16 << 10;

/// The smallest free space that the library reserves for a read.
const READ_AHEAD: usize = 8 << 10;

/// A connection on which a head was larger is closed after the response: otherwise the library's buffer might have to hold two such heads.
pub(super) const LAST: usize = 32 << 10;

/// The share of the budget per connection that may be open.
const BUDGET_PER_CONNECTION: usize = 64 << 10;

/// Returns how many bytes all connections of a listener together may use for large heads.
pub(super) fn budget(max_connections: usize) -> usize {
    max_connections.saturating_mul(BUDGET_PER_CONNECTION)
}

/// Returns how many bytes are counted for a head of this length. The size of the library's buffer is a power of two; the previous head may still be
/// in it, unless it was as long or the last.
pub(super) fn counted(head: usize) -> usize {
    let before = head.min(LAST);
    let buffer = head.saturating_add(before).saturating_add(READ_AHEAD);
    let buffer = buffer.checked_next_power_of_two().unwrap_or(usize::MAX);
    buffer.saturating_sub(UNCOUNTED)
}

/// The error for a large head that exceeds the budget.
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

/// The bytes of a head that were read and not yet passed to the library.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Each has a length of at most [`PART`], and a capacity of [`PART`].
    parts: VecDeque<Vec<u8>>,
    /// How much of the first part was already passed to the library.
    given: usize,
    /// Whether the rest of the head has not arrived yet.
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

    /// Passes on one part, or as much of it as fits.
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

    /// Discards the collected bytes.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Collected, LAST, PART, READ_AHEAD, UNCOUNTED, budget, counted};
    use bytes::{Bytes, BytesMut};
    use tokio::io::ReadBuf;

    /// A model of the library's buffer (hyper 1.12, `proto/h1/io.rs`): space for a read is reserved when less is left, and a complete head is
    /// split off at the front.
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
                // The head keeps the whole buffer allocated; this is the rest of it.
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
