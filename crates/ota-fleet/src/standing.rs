//! What the calls to a provider say about it, one after the other.

use std::time::{Duration, Instant};

use ota_core::{Error, ErrorKind};
use time::OffsetDateTime;

use crate::health::{Health, HealthState};

/// How long after the last answer a job that fails alone is taken for the vendor's trouble: then nothing shows any more that the rest is well.
pub(crate) const ALONE: Duration = Duration::from_secs(60);

/// The most subjects that are known to fail alone.
const MOST_BROKEN: usize = 16;

/// The health of a provider, and what decides whether the next failure changes it.
///
/// A vendor that is well stays so when one job fails: the failure says as much about that job as about the vendor. It changes the health when
/// something else fails without an answer in between, or when nothing was answered for [`ALONE`].
#[derive(Debug, Default)]
pub(crate) struct Standing {
    health: Health,
    /// When the call was sent that told the health.
    sent: Option<Instant>,
    /// When the latest of the answered calls was sent.
    answered: Option<Instant>,
    /// The subject that has failed since that answer.
    suspect: Option<u64>,
    /// The subjects that have failed while something else was answered, the oldest first.
    broken: Vec<u64>,
}

impl Standing {
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Notes what came of calls about `subject`, the last of which was sent at `sent`. The call that was sent last tells how the vendor is, not the
    /// one that took longest to fail.
    pub(crate) fn note(
        &mut self,
        subject: Option<u64>,
        sent: Instant,
        result: Result<(), &Error>,
        now: OffsetDateTime,
    ) {
        let Some(health) = Health::from_result(result, now) else {
            return;
        };
        if self.sent.is_some_and(|before| before > sent) {
            return;
        }
        if health.state == HealthState::Ok {
            self.answer(subject, sent);
        } else if let (Some(subject), Err(error)) = (subject, result)
            && is_doubtful(error)
            && !self.is_confirmed(subject, sent)
        {
            return;
        }
        self.health = health;
        self.sent = Some(sent);
    }

    fn answer(&mut self, subject: Option<u64>, sent: Instant) {
        self.answered = self.answered.max(Some(sent));
        if let Some(suspect) = self.suspect.take() {
            if self.broken.len() >= MOST_BROKEN {
                self.broken.remove(0);
            }
            self.broken.push(suspect);
        }
        self.broken.retain(|broken| Some(*broken) != subject);
    }

    /// Whether a failure about `subject` shows more than that this subject fails.
    fn is_confirmed(&mut self, subject: u64, sent: Instant) -> bool {
        let well = self.health.state == HealthState::Ok;
        let lately = self
            .answered
            .is_some_and(|answered| sent.saturating_duration_since(answered) <= ALONE);
        if !well || !lately {
            return true;
        }
        if self.broken.contains(&subject) {
            return false;
        }
        *self.suspect.get_or_insert(subject) != subject
    }
}

/// Whether a failure may be the trouble of what was asked for alone. What speaks of the account is not, nor is a call that never left.
fn is_doubtful(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Rejected | ErrorKind::Protocol => {
            !error.is_unsent()
        }
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Auth
        | ErrorKind::Throttled
        | ErrorKind::Misconfigured
        | ErrorKind::Unexpected => false,
    }
}
