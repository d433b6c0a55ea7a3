//! The health of a provider, derived from its calls.

use std::time::{Duration, Instant};

use ota_core::{Error, ErrorKind};
use time::OffsetDateTime;

use crate::health::{Health, HealthState};

/// How long after the last response the failure of a single job is ignored. After that, nothing shows that the vendor works for other reads.
pub(crate) const ISOLATED_FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// The maximum number of subjects that are known to fail while others succeed.
const MAX_BROKEN: usize = 16;

/// The health of a provider, and the state that decides whether the next failure changes it.
///
/// A healthy vendor stays healthy if one job fails: the failure may concern that job only. The health changes if another subject fails without a response
/// in between, or if no call was answered for [`ISOLATED_FAILURE_WINDOW`].
#[derive(Debug, Default)]
pub(crate) struct HealthTracker {
    health: Health,
    /// When the call was sent that the health comes from.
    sent: Option<Instant>,
    /// When the most recent call with a response was sent.
    answered: Option<Instant>,
    /// The subject that has failed since that response.
    suspect: Option<u64>,
    /// The subjects that have failed while others succeeded, oldest first.
    broken: Vec<u64>,
}

impl HealthTracker {
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Records the result of calls about `subject`, the last of which was sent at `sent`. The health is that of the call that was sent last, not of the call
    /// that took longest to fail.
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
            if self.broken.len() >= MAX_BROKEN {
                self.broken.remove(0);
            }
            self.broken.push(suspect);
        }
        self.broken.retain(|broken| Some(*broken) != subject);
    }

    /// Whether a failure of `subject` shows more than that this subject fails.
    fn is_confirmed(&mut self, subject: u64, sent: Instant) -> bool {
        let well = self.health.state == HealthState::Ok;
        let lately = self.answered.is_some_and(|answered| {
            sent.saturating_duration_since(answered) <= ISOLATED_FAILURE_WINDOW
        });
        if !well || !lately {
            return true;
        }
        if self.broken.contains(&subject) {
            return false;
        }
        *self.suspect.get_or_insert(subject) != subject
    }
}

/// Whether a failure may concern the requested resource only. Errors about the account do not, nor does a call that was not sent.
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
