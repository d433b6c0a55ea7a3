//! Randomness, which is always injected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A source of random bytes.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// Returns an error when the system gives no randomness; nothing may be signed then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;

    /// Returns a nonce: 128 random bits as 32 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// As [`Random::fill`].
    fn nonce(&self) -> Result<String, NoRandomness> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0_u8; 16];
        self.fill(&mut bytes)?;
        // Every request takes one, and the formatting machinery costs several times as much.
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Ok(digits
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect())
    }
}

/// The system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl std::fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the system gave no randomness")
    }
}

impl std::error::Error for NoRandomness {}

/// The system's secure source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where randomness enters"
    )]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}

/// The system's secure source, asked for many bytes at a time: a system call for each identifier of a request costs more than the identifier.
///
/// Each byte is given out once.
#[derive(Debug, Default)]
pub struct BufferedRandom(Mutex<Pool>);

#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
}

/// Does not show the bytes that are not used yet.
impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

/// Number of bytes read at a time.
const POOL_BYTES: usize = 4096;

impl Random for BufferedRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() > pool.bytes.len() {
            if bytes.len() > POOL_BYTES {
                return SystemRandom.fill(bytes);
            }
            pool.bytes.resize(POOL_BYTES, 0);
            if let Err(error) = SystemRandom.fill(&mut pool.bytes) {
                // What was asked for and not filled must not be given out.
                pool.bytes.clear();
                return Err(error);
            }
        }
        let rest = pool.bytes.len() - bytes.len();
        bytes.copy_from_slice(&pool.bytes[rest..]);
        pool.bytes.truncate(rest);
        Ok(())
    }
}

/// A repeatable sequence (SplitMix64), for tests. Not secure.
#[derive(Debug, Default)]
pub struct SequenceRandom(AtomicU64);

impl SequenceRandom {
    /// Creates the sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SequenceRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (z ^ (z >> 31)).to_be_bytes();
            let len = chunk.len();
            chunk.copy_from_slice(&word[..len]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BufferedRandom, POOL_BYTES, Random};
    use std::collections::HashSet;

    #[test]
    fn no_byte_of_the_pool_is_given_out_twice() {
        let random = BufferedRandom::default();
        let nonces: HashSet<String> = (0..5000).map(|_| random.nonce().unwrap()).collect();
        assert_eq!(nonces.len(), 5000);
        for size in [0, 1, 15, POOL_BYTES, POOL_BYTES + 1] {
            let mut bytes = vec![0; size];
            random.fill(&mut bytes).unwrap();
            assert!(size < 15 || bytes.iter().any(|byte| *byte != 0));
        }
        assert!(!format!("{random:?}").contains(char::is_numeric));
    }
}
