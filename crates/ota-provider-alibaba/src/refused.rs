//! Credentials that the vendor has refused.
//!
//! For a while its refusal is the result of every call; after that, one call at a time tries it again. A hash of the credential is stored, not the
//! credential.

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

/// How many credentials are remembered. Each renewal adds one.
const MAX_CREDENTIALS: usize = 100;

/// How long other calls are refused while one tries a credential again. That call may be canceled without a result.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many signatures in a row must be refused before a credential counts as refused that the vendor has accepted before. A single refusal can be caused by
/// the request: a text that the vendor reads otherwise than it was signed. Such a request must not block the calls of all others.
const MAX_REFUSED_SIGNATURES: u32 = 3;

/// Identifies a credential at an endpoint and the signature made with it: a vendor that no longer accepts one of the two signatures may accept the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CredentialKey([u8; 32]);

impl CredentialKey {
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

impl std::fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialKey")
    }
}

/// The credentials of a process that vendors have refused. Providers with the same credential, endpoint and signature share the refusal.
#[derive(Debug, Default)]
pub struct RefusedKeys {
    known: Mutex<Vec<CredentialState>>,
}

#[derive(Debug)]
struct CredentialState {
    key: CredentialKey,
    /// Whether the vendor has accepted it before.
    accepted: bool,
    /// How many signatures in a row the vendor has refused since.
    refused_signatures: u32,
    refused: Option<Refused<()>>,
    /// Until when other calls are refused because one is trying the credential again.
    trial_until: Option<Instant>,
}

impl CredentialState {
    fn new(key: CredentialKey, accepted: bool) -> Self {
        Self {
            key,
            accepted,
            refused_signatures: 0,
            refused: None,
            trial_until: None,
        }
    }

    fn answer(&self, now: Instant) -> Option<Error> {
        let refused = self.refused.as_ref()?;
        let trying = self.trial_until.is_some_and(|until| now < until);
        refused
            .answer(&(), now)
            .or_else(|| trying.then(|| refused.error().clone()))
    }
}

impl RefusedKeys {
    /// Creates it without refused credentials.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn known(&self) -> MutexGuard<'_, Vec<CredentialState>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the vendor has refused this credential, and accepted no call with it since.
    pub(crate) fn is_refused(&self, key: CredentialKey) -> bool {
        let known = self.known();
        let known = known.iter().find(|known| known.key == key);
        known.is_some_and(|known| known.refused.is_some())
    }

    /// Returns the refusal while calls with this credential are not sent.
    pub(crate) fn answer(&self, key: CredentialKey, now: Instant) -> Option<Error> {
        let known = self.known();
        known.iter().find(|known| known.key == key)?.answer(now)
    }

    /// Begins a call. The first one after the pause tries the credential again.
    ///
    /// # Errors
    /// The refusal, as [`RefusedKeys::answer`].
    pub(crate) fn begin(&self, key: CredentialKey, now: Instant) -> Result<()> {
        let mut known = self.known();
        let known = known.iter_mut().find(|known| known.key == key);
        let Some(known) = known.filter(|known| known.refused.is_some()) else {
            return Ok(());
        };
        if let Some(refusal) = known.answer(now) {
            return Err(refusal);
        }
        known.trial_until = Some(after(now, TRIAL_TIMEOUT));
        Ok(())
    }

    /// Records that the vendor has refused the credential.
    pub(crate) fn record_refused(
        &self,
        key: CredentialKey,
        error: &Error,
        now: Instant,
        random: &dyn Random,
    ) {
        let mut all = self.known();
        let known = entry(&mut all, key);
        let paused = known
            .refused
            .as_ref()
            .and_then(|last| last.answer(&(), now));
        known.trial_until = None;
        // Calls that were in progress at the same time count as one refusal.
        if paused.is_some() {
            return;
        }
        if known.accepted && known.refused.is_none() && is_signature_refusal(error) {
            known.refused_signatures = known.refused_signatures.saturating_add(1);
            if known.refused_signatures < MAX_REFUSED_SIGNATURES {
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

    /// Records that the vendor has accepted the credential.
    pub(crate) fn record_accepted(&self, key: CredentialKey) {
        let mut all = self.known();
        let known = entry(&mut all, key);
        if known.refused.is_some() {
            tracing::info!("the vendor takes the credential again");
        }
        *known = CredentialState::new(key, true);
    }

    /// Records the end of a call that showed neither.
    pub(crate) fn record_inconclusive(&self, key: CredentialKey) {
        let mut known = self.known();
        if let Some(known) = known.iter_mut().find(|known| known.key == key) {
            known.trial_until = None;
        }
    }
}

/// Returns the state of a credential. If it is new and there are too many, the oldest one is removed.
fn entry(all: &mut Vec<CredentialState>, key: CredentialKey) -> &mut CredentialState {
    let place = match all.iter().position(|known| known.key == key) {
        Some(place) => place,
        None => {
            if all.len() >= MAX_CREDENTIALS {
                all.remove(0);
            }
            all.push(CredentialState::new(key, false));
            all.len() - 1
        }
    };
    &mut all[place]
}
