//! Secrets that belong together and are renewed by another program, one file after the other, while calls are made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ota_core::clock::Clock;

use crate::file::FileError;
use crate::secret::{Secret, SecretSource};

/// How often files are looked at while a change is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// How long a change is waited for after a refusal: the vendor may know of a renewal before the first file is written.
const MOMENT: Duration = Duration::from_millis(250);

/// How long files must stay as they are before they count as renewed whole.
const SETTLED: Duration = Duration::from_millis(80);

/// The longest wait for a renewal that does not end.
const LONGEST: Duration = Duration::from_secs(2);

/// The parts of one credential, each a value or a file.
#[derive(Debug)]
pub struct SecretGroup {
    sources: Vec<Arc<SecretSource>>,
    clock: Arc<dyn Clock>,
    /// The credential after whose refusal nothing has changed: its next refusal is returned at once.
    hopeless: Mutex<Option<Vec<Secret>>>,
}

impl SecretGroup {
    /// Creates the group.
    #[must_use]
    pub fn new(sources: Vec<Arc<SecretSource>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sources,
            clock,
            hopeless: Mutex::default(),
        }
    }

    /// Returns the parts as they are now, in the order of the sources.
    ///
    /// # Errors
    /// As [`SecretSource::read`].
    pub fn read(&self) -> Result<Vec<Secret>, FileError> {
        self.sources.iter().map(|source| source.read()).collect()
    }

    /// As [`SecretGroup::read`], by [`SecretSource::read_again`]; none where no part comes from a file.
    #[must_use]
    pub fn read_again(&self) -> Option<Vec<Secret>> {
        if !self.sources.iter().any(|source| source.is_file()) {
            return None;
        }
        let parts = self.sources.iter().map(|source| source.read_again());
        parts.collect::<Result<Vec<_>, _>>().ok()
    }

    fn hopeless(&self) -> MutexGuard<'_, Option<Vec<Secret>>> {
        self.hopeless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the files hold another credential than the one that the vendor has refused. A change that is in progress or about to come is waited
    /// for, for a moment; after a refusal without one the same credential is not waited for again.
    pub async fn replaced(&self, refused: &[Secret]) -> bool {
        if !self.sources.iter().any(|source| source.is_file()) {
            return false;
        }
        let now = || self.read_again();
        let known = self.hopeless().as_deref() == Some(refused);
        let max_wait = if known { Duration::ZERO } else { MOMENT };
        let start = self.clock.monotonic();
        let mut last = now();
        let mut since = start;
        loop {
            let time = self.clock.monotonic();
            let changed = last.as_deref().is_some_and(|last| last != refused);
            if changed && time.saturating_duration_since(since) >= SETTLED {
                *self.hopeless() = None;
                return true;
            }
            let waited = time.saturating_duration_since(start);
            if waited >= LONGEST || (!changed && waited >= max_wait) {
                if !changed {
                    *self.hopeless() = last;
                }
                return changed;
            }
            self.clock.sleep_until(time + LOOK).await;
            let next = now();
            if next != last {
                (last, since) = (next, self.clock.monotonic());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SecretGroup;
    use crate::{Secret, SecretSource};
    use ota_core::clock::{Clock, ManualClock};
    use std::sync::Arc;
    use std::time::Duration;
    use time::macros::datetime;

    fn write(path: &std::path::Path, text: &str) {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Asks while the clock is moved.
    async fn replaced(group: &SecretGroup, refused: &[Secret], clock: &ManualClock) -> bool {
        let moving = async {
            loop {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                clock.advance(Duration::from_millis(10));
            }
        };
        tokio::select! {
            answer = group.replaced(refused) => answer,
            () = moving => unreachable!("the clock is moved for ever"),
        }
    }

    #[tokio::test]
    async fn a_renewal_is_waited_for_and_a_refusal_for_good_is_passed_on_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = ["id", "secret", "token"];
        for name in names {
            write(&path(name), "old");
        }
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let source = |name: &str| Arc::new(SecretSource::file(path(name)).unwrap());
        let group = SecretGroup::new(names.map(source).into(), Arc::new(clock.clone()));
        let old = group.read().unwrap();
        let start = clock.monotonic();
        assert!(!replaced(&group, &old, &clock).await);
        let waited = clock.monotonic() - start;
        assert!(
            waited >= super::MOMENT && waited < super::LONGEST,
            "{waited:?}"
        );
        // Known to be refused for good: nothing is waited for.
        let start = clock.monotonic();
        assert!(!group.replaced(&old).await);
        assert_eq!(clock.monotonic(), start);

        // The other files change while they are looked at.
        write(&path("id"), "new");
        let writing = async {
            for name in ["secret", "token"] {
                let step = clock.monotonic() + Duration::from_millis(40);
                clock.sleep_until(step).await;
                write(&path(name), "new");
            }
        };
        let asking = replaced(&group, &old, &clock);
        let (answer, ()) = tokio::join!(asking, writing);
        assert!(answer);
        for part in group.read().unwrap() {
            assert_eq!(part.expose_secret(), "new");
        }
    }

    #[tokio::test]
    async fn values_of_the_settings_never_change() {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let value = Arc::new(SecretSource::value(Secret::new("x")));
        let group = SecretGroup::new(vec![value], Arc::new(clock));
        assert!(!group.replaced(&group.read().unwrap()).await);
    }
}
