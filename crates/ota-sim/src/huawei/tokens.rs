//! One valid token per application: every login and every refresh ends the one before it.

use std::time::Duration;

use time::OffsetDateTime;

use crate::fleet::Stream;

/// A pair of tokens as it was handed out.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) refresh: String,
    issued: OffsetDateTime,
}

/// The newest pair and a source of more.
pub(super) struct Tokens {
    newest: Option<Pair>,
    source: Stream,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            newest: None,
            source: Stream::of(seed, &[0x70CE]),
        }
    }

    /// Hands out a new pair and forgets the one before.
    pub(super) fn issue(&mut self, now: OffsetDateTime) -> Pair {
        let pair = Pair {
            access: self.source.hex(32),
            refresh: self.source.hex(32),
            issued: now,
        };
        self.newest = Some(pair.clone());
        pair
    }

    pub(super) fn access_is_valid(&self, token: &str, now: OffsetDateTime, life: Duration) -> bool {
        self.newest
            .as_ref()
            .is_some_and(|pair| pair.access == token && now - pair.issued < life)
    }

    pub(super) fn refresh_is_valid(
        &self,
        token: &str,
        now: OffsetDateTime,
        life: Duration,
    ) -> bool {
        self.newest
            .as_ref()
            .is_some_and(|pair| pair.refresh == token && now - pair.issued < life)
    }
}
