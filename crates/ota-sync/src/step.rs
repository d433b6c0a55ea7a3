//! What every piece of work needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ota_core::clock::{Clock, after};
use ota_core::context::{Context, Priority};
use ota_core::{Error, ErrorKind};
use ota_store::{Store, StoreError, answered_by};
use time::OffsetDateTime;

use crate::observer::{Observer, Reason, WriteKind};
use crate::records::Render;
use crate::settings::SyncSettings;
use crate::state::MirroredState;

/// A background read waits for its turn in the quota, which may be a whole window away, and then for the vendor.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(180);

/// How long the database is waited for where nothing else ends the wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every piece of work needs.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) render: Arc<dyn Render>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: SyncSettings,
    /// Why the last transaction could not be written, if so. Reads may still work: a full disk, a file that became read-only.
    pub(crate) not_written: Mutex<Option<StoreError>>,
}

/// Why a piece of work ended early. What it had written stays, and it goes on from there.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The database cannot be used.
    Store(StoreError),
    /// The vendor could not be read.
    Vendor(Error),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Vendor(error)
    }
}

pub(crate) type Step<T = ()> = std::result::Result<T, Failed>;

impl Environment {
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Waits for an answer of the database, not for ever: what is done by time alone must go on, and say that the database is away.
    pub(crate) async fn patiently<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let until = after(self.clock.monotonic(), PATIENCE);
        answered_by(&*self.clock, until, answer).await
    }

    /// Waits for a transaction and measures it.
    pub(crate) async fn write<T>(
        &self,
        kind: WriteKind,
        transaction: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let start = self.clock.monotonic();
        let written = transaction.await;
        let took = self.clock.monotonic().saturating_duration_since(start);
        self.observer.wrote(kind, took);
        match &written {
            Ok(_) => self.note_failure(None),
            Err(error @ StoreError::Unavailable { .. }) => self.note_failure(Some(error)),
            Err(_) => {}
        }
        written
    }

    /// Returns why the last transaction could not be written, if so.
    pub(crate) fn write_failure(&self) -> Option<StoreError> {
        let failure = self.not_written.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs only what is new: a full disk fails each attempt, and the log may be on it.
    fn note_failure(&self, failure: Option<&StoreError>) {
        let known = self.not_written.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() == failure {
            return;
        }
        match failure {
            Some(error) => tracing::warn!("the mirror cannot be written: {error}"),
            None => tracing::info!("the mirror can be written again"),
        }
        *known = failure.cloned();
    }

    /// Makes one read with a context of its own, and counts its vendor calls under `reason`, whatever becomes of it.
    pub(crate) async fn read<'a, T, F>(
        &self,
        of: &'a MirroredState,
        reason: Reason,
        read: impl FnOnce(Context) -> F,
    ) -> ota_core::Result<T>
    where
        F: Future<Output = ota_core::Result<T>> + 'a,
    {
        let window = of.quota.limits().window;
        let deadline = SHORTEST_DEADLINE
            .max(window.saturating_mul(3))
            .saturating_add(of.member.attempt_timeout());
        let cx = Context::new(
            format!("mirror-{}-{}", of.name(), reason.as_str()),
            after(self.clock.monotonic(), deadline),
            Priority::Background,
        );
        let calls = Arc::clone(&cx.calls);
        let result = read(cx).await;
        let count = calls.summary().count;
        of.lock().count_calls(count);
        self.observer.calls(of.name(), reason, count);
        result
    }
}

/// Returns the error for a vendor that answers with the same page again.
pub(crate) fn repeated_page() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor returns the same page again and again, so the rest of its list cannot be read",
    )
}

/// Whether an error says that the vendor as a whole cannot be read, and not one list of it.
pub(crate) fn is_about_vendor(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Auth
        | ErrorKind::Throttled
        | ErrorKind::Misconfigured
        | ErrorKind::Timeout
        | ErrorKind::Unavailable => true,
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Rejected
        | ErrorKind::Protocol
        | ErrorKind::Unexpected => false,
    }
}
