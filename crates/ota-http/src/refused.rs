//! A credential that the vendor has refused is not used for a while.
//!
//! A retry with the same credential gets the same refusal, costs the account's quota, and some vendors lock a key after a few of them. So calls get the
//! refusal until the credential changes, or until the next attempt is due: at first soon, then less often, at most a minute apart, because a credential
//! can also be corrected at the vendor.

use std::time::{Duration, Instant};

use ota_core::Error;
use ota_core::clock::after;
use ota_core::random::Random;

/// The first pause; each further refusal of the same credential doubles it.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The last refusal of a credential.
#[derive(Clone)]
pub struct Refused<C> {
    credential: C,
    error: Error,
    times: u32,
    until: Instant,
}

/// Without the credential, which is a secret.
impl<C> std::fmt::Debug for Refused<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refused")
            .field("error", &self.error)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

impl<C: PartialEq> Refused<C> {
    /// Notes a refusal. `before` is the last one, of any credential. Half of a pause is random, so that several gateways do not retry at the same time.
    #[must_use]
    pub fn new(
        before: Option<&Self>,
        credential: C,
        error: Error,
        now: Instant,
        random: &dyn Random,
    ) -> Self {
        let times = before
            .filter(|before| before.credential == credential)
            .map_or(0, |before| before.times.saturating_add(1));
        let full = FIRST_PAUSE.saturating_mul(1 << times.min(16));
        Self {
            credential,
            error,
            times,
            until: after(now, half_random(full.min(LONGEST_PAUSE), random)),
        }
    }

    /// Returns the refusal when it is the answer to a call with this credential now.
    pub fn answer(&self, credential: &C, now: Instant) -> Option<Error> {
        (now < self.until && self.credential == *credential).then(|| self.error.clone())
    }

    /// Returns whether it was this credential.
    pub fn is_of(&self, credential: &C) -> bool {
        self.credential == *credential
    }

    /// Returns what the vendor said.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns how long the credential is not used.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }
}

/// Takes half of a time, and a random part of the other half.
fn half_random(full: Duration, random: &dyn Random) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness the longest wait is the careful one.
    let part = random.fill(&mut byte).map_or(u8::MAX, |()| byte[0]);
    let half = full / 2;
    half + half * u32::from(part) / 255
}

#[cfg(test)]
mod tests {
    use super::{FIRST_PAUSE, LONGEST_PAUSE, Refused};
    use crate::Secret;
    use ota_core::clock::{Clock, ManualClock};
    use ota_core::random::SequenceRandom;
    use ota_core::{Error, ErrorKind};
    use time::macros::datetime;

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_with_another_credential() {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let random = SequenceRandom::new(1);
        let refuse = |before: Option<&Refused<Secret>>, text: &str| {
            let error = Error::new(ErrorKind::Auth, "refused");
            let now = clock.monotonic();
            Refused::new(before, Secret::new(text), error, now, &random)
        };
        let mut refused = refuse(None, "one");
        let mut full = FIRST_PAUSE;
        for _ in 0..20 {
            let pause = refused.pause(clock.monotonic());
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
            let one = Secret::new("one");
            assert!(refused.answer(&one, clock.monotonic()).is_some());
            assert!(
                refused
                    .answer(&Secret::new("two"), clock.monotonic())
                    .is_none()
            );
            clock.advance(pause);
            assert!(refused.answer(&one, clock.monotonic()).is_none());
            refused = refuse(Some(&refused), "one");
            full = (full * 2).min(LONGEST_PAUSE);
        }
        assert!(refuse(Some(&refused), "two").pause(clock.monotonic()) <= FIRST_PAUSE);
        assert!(!format!("{refused:?}").contains("one"));
    }
}
