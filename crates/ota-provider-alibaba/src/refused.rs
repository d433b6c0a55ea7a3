//! Credentials that the vendor has refused.
//!
//! While one is not used, its refusal is the result of every call; after that, one call at a time tries it again. What is remembered of a credential
//! is a hash, not the credential.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::after;
use ota_core::random::Random;
use ota_core::{Error, Result};
use ota_http::Secret;
use ota_http::refused::Refused;
use sha2::{Digest as _, Sha256};

use crate::config::Signature;
use crate::credentials::Secrets;
use crate::error::is_signature_refusal;

/// How many credentials are remembered. Those that are renewed leave each one behind.
const MOST: usize = 100;

/// How long the others wait for the one call that tries a credential again; that call may be dropped without an end.
const TRIED_WITHIN: Duration = Duration::from_secs(10);

/// From which refused signature in a row on a credential counts as refused that the vendor has taken before. A single one can come from what was asked: a
/// text that the vendor reads otherwise than it was signed. No one is to shut out all the others by asking for it.
const DOUBTED: u32 = 3;

/// A credential at an endpoint, with the signature that is made with it: a vendor that no longer takes one of the two signatures may take the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(endpoint: &str, signature: Signature, secrets: &Secrets) -> Self {
        let parts = secrets.parts().map(Secret::expose_secret);
        let mut hash = Sha256::new();
        hash.update([u8::from(signature == Signature::HmacSha1)]);
        for part in std::iter::once(endpoint).chain(parts) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// What the vendor has said to the credentials of a process. Providers that use one credential at one endpoint in one way share its refusal through it.
#[derive(Debug, Default)]
pub struct RefusedKeys {
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    key: Key,
    /// Whether the vendor has taken it before.
    taken: bool,
    /// How many signatures in a row it has refused since.
    doubts: u32,
    refused: Option<Refused<()>>,
    /// Until when a call that tries a refused one again is waited for.
    trying_until: Option<Instant>,
}

impl Known {
    fn new(key: Key, taken: bool) -> Self {
        Self {
            key,
            taken,
            doubts: 0,
            refused: None,
            trying_until: None,
        }
    }

    fn answer(&self, now: Instant) -> Option<Error> {
        let refused = self.refused.as_ref()?;
        let trying = self.trying_until.is_some_and(|until| now < until);
        refused
            .answer(&(), now)
            .or_else(|| trying.then(|| refused.error().clone()))
    }
}

impl RefusedKeys {
    /// Creates it without any.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the vendor has refused this credential, and taken no call with it since.
    pub(crate) fn has(&self, key: Key) -> bool {
        let known = self.known();
        let known = known.iter().find(|known| known.key == key);
        known.is_some_and(|known| known.refused.is_some())
    }

    /// Returns the refusal while it is the answer to a call with this credential.
    pub(crate) fn answer(&self, key: Key, now: Instant) -> Option<Error> {
        let known = self.known();
        known.iter().find(|known| known.key == key)?.answer(now)
    }

    /// Begins a call. The first one after a pause tries the credential for all.
    ///
    /// # Errors
    /// The refusal, as [`RefusedKeys::answer`].
    pub(crate) fn begin(&self, key: Key, now: Instant) -> Result<()> {
        let mut known = self.known();
        let known = known.iter_mut().find(|known| known.key == key);
        let Some(known) = known.filter(|known| known.refused.is_some()) else {
            return Ok(());
        };
        if let Some(refusal) = known.answer(now) {
            return Err(refusal);
        }
        known.trying_until = Some(after(now, TRIED_WITHIN));
        Ok(())
    }

    /// Notes a refusal of the credential.
    pub(crate) fn note(&self, key: Key, error: &Error, now: Instant, random: &dyn Random) {
        let mut all = self.known();
        let known = entry(&mut all, key);
        let paused = known
            .refused
            .as_ref()
            .and_then(|last| last.answer(&(), now));
        known.trying_until = None;
        // Calls that were in progress together are refused together, which is one refusal.
        if paused.is_some() {
            return;
        }
        if known.taken && known.refused.is_none() && is_signature_refusal(error) {
            known.doubts = known.doubts.saturating_add(1);
            if known.doubts < DOUBTED {
                return;
            }
        }
        let refused = Refused::new(known.refused.as_ref(), (), error.clone(), now, random);
        let pause = refused.pause(now).as_secs();
        match known.refused {
            None => tracing::error!(
                "the vendor refused the credential; the next call is made when the credential has changed, or after a while ({pause} s, then at most a minute): {error:?}"
            ),
            Some(_) => tracing::debug!("the vendor refused the credential again: {error:?}"),
        }
        known.refused = Some(refused);
    }

    /// Records that the vendor has taken the credential.
    pub(crate) fn taken(&self, key: Key) {
        let mut all = self.known();
        let known = entry(&mut all, key);
        if known.refused.is_some() {
            tracing::info!("the vendor takes the credential again");
        }
        *known = Known::new(key, true);
    }

    /// Ends a call that showed neither.
    pub(crate) fn end(&self, key: Key) {
        let mut known = self.known();
        if let Some(known) = known.iter_mut().find(|known| known.key == key) {
            known.trying_until = None;
        }
    }
}

/// Returns what is known of a credential, in place of the oldest one where there are too many.
fn entry(all: &mut Vec<Known>, key: Key) -> &mut Known {
    let place = match all.iter().position(|known| known.key == key) {
        Some(place) => place,
        None => {
            if all.len() >= MOST {
                all.remove(0);
            }
            all.push(Known::new(key, false));
            all.len() - 1
        }
    };
    &mut all[place]
}
