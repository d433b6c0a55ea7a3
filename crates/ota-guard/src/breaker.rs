//! Circuit breaker: stops calls to a vendor that does not answer.
//!
//! One read that always fails, such as a job that is broken at the vendor, must not open the circuit for all other reads, however often it is repeated.
//! So the failures of one subject count for at most half of the threshold. While the circuit is open, the subjects that failed have a separate probe, so
//! that they cannot use up the probe of all others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::after;
use ota_core::error::Retry;
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// The weight of consecutive failures at which the circuit opens.
///
/// Ten refused connections, or five attempts that timed out. High enough that the circuit stays closed for a vendor that fails every fifth call (a run of
/// ten once in ten million calls), low enough that it opens after four reads of three attempts if the vendor is down.
const THRESHOLD: u32 = 10;

/// The maximum weight of the failures of one subject.
const MAX_WEIGHT_PER_SUBJECT: u32 = THRESHOLD / 2;

/// The maximum number of failed subjects that are known while the circuit is open.
const MAX_SUSPECTS: usize = 16;

/// How long the circuit stays open at first; it doubles with each failed probe.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are sent.
    Closed,
    /// Calls are refused.
    Open,
    /// One call is sent to find out whether the vendor answers again.
    Probing,
}

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Probing];

    /// Returns the state as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// Opens when a vendor does not answer.
#[derive(Debug, Default)]
pub struct Breaker {
    inner: Mutex<Inner>,
    /// Whether calls are refused, for calls that wait for the quota meanwhile.
    is_open: watch::Sender<bool>,
}

/// What a call is about, as a hash; `None` if that is not known.
type Subject = Option<u64>;

#[derive(Debug, Default)]
struct Inner {
    /// The weight of the failures since the last response, by subject.
    failures: Vec<(Subject, u32)>,
    /// When the most recent call with a response was sent.
    answered: Option<Instant>,
    openings: u64,
    /// How many pauses there were; all probes of a pause belong to it.
    pauses: u64,
    /// Set while the circuit is open or probing.
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    /// The subjects that have failed.
    suspects: Vec<u64>,
    /// The probe for them.
    of_suspects: Probe,
    /// The probe for all others.
    of_others: Probe,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    length: Duration,
    until: Instant,
    running: bool,
}

impl Probe {
    fn new(now: Instant) -> Self {
        Self {
            length: FIRST_PAUSE,
            until: after(now, FIRST_PAUSE),
            running: false,
        }
    }

    fn failed(&mut self, now: Instant) {
        self.length = self.length.saturating_mul(2).min(LONGEST_PAUSE);
        self.until = after(now, self.length);
    }
}

impl Pause {
    fn is_suspect(&self, subject: Subject) -> bool {
        subject.is_some_and(|subject| self.suspects.contains(&subject))
    }

    fn probe(&mut self, suspect: bool) -> &mut Probe {
        match suspect {
            true => &mut self.of_suspects,
            false => &mut self.of_others,
        }
    }

    fn suspect(&mut self, subject: Subject) {
        if let Some(subject) = subject
            && !self.suspects.contains(&subject)
        {
            if self.suspects.len() >= MAX_SUSPECTS {
                self.suspects.remove(0);
            }
            self.suspects.push(subject);
        }
    }
}

impl Inner {
    fn weight(&self) -> u32 {
        let of = self.failures.iter().map(|(subject, weight)| match subject {
            Some(_) => (*weight).min(MAX_WEIGHT_PER_SUBJECT),
            None => *weight,
        });
        of.fold(0, u32::saturating_add)
    }

    fn fail(&mut self, subject: Subject, weight: u32) {
        match self.failures.iter_mut().find(|(of, _)| *of == subject) {
            Some((_, known)) => *known = known.saturating_add(weight),
            None => self.failures.push((subject, weight)),
        }
    }

    /// Records the response to a call that was sent at `sent`.
    fn answer(&mut self, sent: Instant) {
        self.failures.clear();
        self.answered = self.answered.max(Some(sent));
    }

    fn refusal(&self, until: Instant, now: Instant) -> Error {
        let left = until.saturating_duration_since(now);
        Error::new(
            ErrorKind::Unavailable,
            "the vendor did not answer recently: the circuit is open, and no call is sent for a while",
        )
        .with_retry(Retry::Never)
        .with_retry_after(left.max(Duration::from_secs(1)))
    }
}

impl Breaker {
    /// Admits a call about `subject`, or refuses it.
    ///
    /// # Errors
    /// `unavailable` while the circuit is open; the error says for how long.
    pub fn admit(&self, now: Instant, subject: Option<u64>) -> Result<Admission<'_>> {
        let mut inner = self.lock();
        let number = inner.pauses;
        let admission = |probe| Admission {
            breaker: self,
            subject,
            probe,
        };
        let Some(pause) = &mut inner.pause else {
            return Ok(admission(None));
        };
        let suspect = pause.is_suspect(subject);
        let probe = pause.probe(suspect);
        if now >= probe.until && !probe.running {
            probe.running = true;
            return Ok(admission(Some((number, suspect))));
        }
        let until = probe.until;
        Err(inner.refusal(until, now))
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match &self.lock().pause {
            None => BreakerState::Closed,
            Some(pause) if pause.of_others.running || pause.of_suspects.running => {
                BreakerState::Probing
            }
            Some(_) => BreakerState::Open,
        }
    }

    /// Returns how often it has opened.
    #[must_use]
    pub fn openings(&self) -> u64 {
        self.lock().openings
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that the breaker has admitted. If a probe is dropped without a result, the next call is the probe.
#[derive(Debug)]
pub struct Admission<'a> {
    breaker: &'a Breaker,
    subject: Subject,
    /// The number of the pause that it is a probe of, and whether it is that of the suspects.
    probe: Option<(u64, bool)>,
}

impl Admission<'_> {
    /// Records how the call ended that was sent at `sent`. Only a vendor that does not answer, or that reports to be unavailable, counts as a failure, and
    /// only if no call that was sent later has succeeded meanwhile.
    pub fn record(self, sent: Instant, now: Instant, result: std::result::Result<(), ErrorKind>) {
        let weight = match result {
            Err(ErrorKind::Timeout) => 2,
            Err(ErrorKind::Unavailable) => 1,
            Ok(()) | Err(_) => 0,
        };
        let mut inner = self.breaker.lock();
        if let Some((pause, suspect)) = self.current(&mut inner) {
            if weight == 0 {
                inner.pause = None;
                inner.answer(sent);
                self.breaker.is_open.send_replace(false);
                return;
            }
            pause.probe(suspect).failed(now);
            if !suspect {
                pause.suspect(self.subject);
                // The failed subjects wait at least as long as the others.
                let (others, suspects) = (pause.of_others, &mut pause.of_suspects);
                suspects.length = suspects.length.max(others.length);
                suspects.until = suspects.until.max(others.until);
            }
            inner.openings += 1;
            return;
        }
        let overtaken = inner.answered.is_some_and(|answered| answered > sent);
        match weight {
            // The response to a call from before the pause is weaker evidence than the result of the probe.
            _ if inner.pause.is_some() => {}
            0 => inner.answer(sent),
            _ if overtaken => {}
            weight => {
                inner.fail(self.subject, weight);
                if inner.weight() >= THRESHOLD {
                    open(self.breaker, &mut inner, now);
                }
            }
        }
    }

    /// As [`Admission::record`], for a failure that does not depend on the subject, such as a refused connection.
    pub fn record_unattributed(
        mut self,
        sent: Instant,
        now: Instant,
        result: std::result::Result<(), ErrorKind>,
    ) {
        self.subject = None;
        self.record(sent, now, result);
    }

    /// Returns the pause that this is a probe of, if it still lasts.
    fn current<'i>(&self, inner: &'i mut Inner) -> Option<(&'i mut Pause, bool)> {
        let (number, suspect) = self.probe?;
        if number != inner.pauses {
            return None;
        }
        inner.pause.as_mut().map(|pause| (pause, suspect))
    }

    /// Waits until the circuit opens, then returns the refusal. Never returns for a probe, which has to be sent.
    pub async fn refused(&self, now: impl Fn() -> Instant) -> Error {
        if self.probe.is_none() {
            let mut is_open = self.breaker.is_open.subscribe();
            if is_open.wait_for(|open| *open).await.is_ok() {
                let now = now();
                let inner = self.breaker.lock();
                let until = inner.pause.as_ref().map(|pause| pause.of_others.until);
                return inner.refusal(until.unwrap_or(now), now);
            }
        }
        std::future::pending().await
    }

    /// Refuses a call if the circuit has opened since the call was admitted.
    ///
    /// # Errors
    /// As [`Breaker::admit`].
    pub fn still_good(&self, now: Instant) -> Result<()> {
        let inner = self.breaker.lock();
        match &inner.pause {
            Some(pause) if self.probe.is_none() => Err(inner.refusal(pause.of_others.until, now)),
            _ => Ok(()),
        }
    }
}

fn open(breaker: &Breaker, inner: &mut Inner, now: Instant) {
    inner.openings += 1;
    inner.pauses += 1;
    let failures = std::mem::take(&mut inner.failures);
    let mut pause = Pause {
        suspects: Vec::new(),
        of_suspects: Probe::new(now),
        of_others: Probe::new(now),
    };
    failures
        .iter()
        .for_each(|(subject, _)| pause.suspect(*subject));
    inner.pause = Some(pause);
    breaker.is_open.send_replace(true);
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        let mut inner = self.breaker.lock();
        if let Some((pause, suspect)) = self.current(&mut inner) {
            pause.probe(suspect).running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerState, FIRST_PAUSE, LONGEST_PAUSE, THRESHOLD};
    use ota_core::ErrorKind;
    use ota_core::clock::{Clock, SystemClock};
    use std::time::{Duration, Instant};

    fn fail(breaker: &Breaker, now: Instant, kind: ErrorKind) {
        breaker
            .admit(now, None)
            .unwrap()
            .record(now, now, Err(kind));
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            assert_eq!(breaker.state(), BreakerState::Closed);
            fail(&breaker, now, ErrorKind::Unavailable);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn a_vendor_that_does_not_answer_opens_the_circuit_and_is_probed() {
        let start = SystemClock.monotonic();
        let breaker = opened(start);
        let refused = breaker.admit(start, None).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.retry_after()),
            (ErrorKind::Unavailable, Some(FIRST_PAUSE))
        );
        let later = start + FIRST_PAUSE;
        let probe = breaker.admit(later, None).unwrap();
        assert!(breaker.admit(later, None).is_err(), "one probe at a time");
        assert_eq!(breaker.state(), BreakerState::Probing);
        probe.record(later, later, Err(ErrorKind::Unavailable));
        assert!(
            breaker.admit(later + FIRST_PAUSE, None).is_err(),
            "the pause doubles"
        );
        let back = later + FIRST_PAUSE * 2;
        breaker
            .admit(back, None)
            .unwrap()
            .record(back, back, Ok(()));
        assert_eq!(
            (breaker.state(), breaker.openings()),
            (BreakerState::Closed, 2)
        );
    }

    #[test]
    fn silence_weighs_more_than_a_quick_failure() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        for _ in 0..THRESHOLD / 2 {
            assert_eq!(breaker.state(), BreakerState::Closed);
            fail(&breaker, now, ErrorKind::Timeout);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn silence_about_a_call_does_not_count_when_a_later_one_was_answered() {
        let (breaker, start) = (Breaker::default(), SystemClock.monotonic());
        let (later, end) = (
            start + Duration::from_secs(1),
            start + Duration::from_secs(8),
        );
        let silent: Vec<_> = (0..THRESHOLD)
            .map(|_| breaker.admit(start, None).unwrap())
            .collect();
        breaker
            .admit(later, None)
            .unwrap()
            .record(later, later, Ok(()));
        for call in silent {
            call.record(start, end, Err(ErrorKind::Timeout));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        for _ in 0..THRESHOLD {
            let admission = breaker.admit(end, None);
            admission
                .map(|call| call.record(end, end, Err(ErrorKind::Timeout)))
                .ok();
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        for kind in ErrorKind::ALL {
            for _ in 1..THRESHOLD / 2 {
                fail(&breaker, now, ErrorKind::Timeout);
            }
            if !matches!(kind, ErrorKind::Timeout | ErrorKind::Unavailable) {
                fail(&breaker, now, *kind);
                assert_eq!(breaker.state(), BreakerState::Closed, "{kind}");
            } else {
                breaker.admit(now, None).unwrap().record(now, now, Ok(()));
            }
        }
    }

    #[test]
    fn a_probe_that_was_dropped_leaves_its_place_to_the_next() {
        let start = SystemClock.monotonic();
        let breaker = opened(start);
        let probe = breaker.admit(start + FIRST_PAUSE, None).unwrap();
        drop(probe);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.admit(start + FIRST_PAUSE, None).is_ok());
    }

    #[test]
    fn answers_to_calls_from_before_the_pause_do_not_end_it() {
        let (breaker, start) = (Breaker::default(), SystemClock.monotonic());
        let (good, bad) = (
            breaker.admit(start, None).unwrap(),
            breaker.admit(start, None).unwrap(),
        );
        for _ in 0..THRESHOLD {
            fail(&breaker, start, ErrorKind::Unavailable);
        }
        good.record(start, start, Ok(()));
        bad.record(start, start, Err(ErrorKind::Timeout));
        assert_eq!(
            (breaker.state(), breaker.openings()),
            (BreakerState::Open, 1)
        );
        let refused = breaker
            .admit(start + Duration::from_millis(1), None)
            .unwrap_err();
        assert!(refused.retry_after().unwrap() < FIRST_PAUSE);
    }

    fn fail_about(breaker: &Breaker, now: Instant, subject: u64) {
        if let Ok(admission) = breaker.admit(now, Some(subject)) {
            admission.record(now, now, Err(ErrorKind::Timeout));
        }
    }

    #[test]
    fn one_broken_job_does_not_close_its_provider() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        for _ in 0..100 {
            fail_about(&breaker, now, 7);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        // One failure of one more subject is not enough either.
        fail_about(&breaker, now, 8);
        assert_eq!(breaker.state(), BreakerState::Closed);
        // A vendor that fails for every request is detected as quickly as before.
        let breaker = Breaker::default();
        for subject in 0..5 {
            assert_eq!(breaker.state(), BreakerState::Closed);
            fail_about(&breaker, now, subject);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        // So is one whose connections are refused, even if there is only one subject.
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            let admission = breaker.admit(now, Some(7)).unwrap();
            admission.record_unattributed(now, now, Err(ErrorKind::Unavailable));
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_probe_is_not_lost_to_the_question_that_failed() {
        let (breaker, start) = (Breaker::default(), SystemClock.monotonic());
        for subject in [1, 2, 1, 2, 1, 2] {
            fail_about(&breaker, start, subject);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        let later = start + FIRST_PAUSE;
        // The broken job comes first, and hangs.
        let slow = breaker.admit(later, Some(1)).unwrap();
        assert!(breaker.admit(later, Some(2)).is_err(), "one for both");
        let good = breaker.admit(later, Some(3)).unwrap();
        let sent = later + Duration::from_millis(1);
        good.record(sent, sent, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
        slow.record(later, later + LONGEST_PAUSE, Err(ErrorKind::Timeout));
        assert_eq!(
            (breaker.state(), breaker.openings()),
            (BreakerState::Closed, 1)
        );

        // When it fails at once, the others need not wait for another pause.
        for subject in [1, 2, 1, 2, 1, 2] {
            fail_about(&breaker, sent, subject);
        }
        let later = sent + FIRST_PAUSE;
        fail_about(&breaker, later, 1);
        assert!(breaker.admit(later, Some(2)).is_err());
        breaker
            .admit(later, Some(3))
            .unwrap()
            .record(later, later, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_of_an_earlier_pause_tells_nothing_about_a_later_one() {
        for result in [Ok(()), Err(ErrorKind::Timeout)] {
            let (breaker, start) = (Breaker::default(), SystemClock.monotonic());
            for subject in 0..5 {
                fail_about(&breaker, start, subject);
            }
            let later = start + FIRST_PAUSE;
            let slow = breaker.admit(later, Some(1)).unwrap();
            breaker
                .admit(later, Some(9))
                .unwrap()
                .record(later, later, Ok(()));
            for subject in 0..5 {
                fail_about(&breaker, later, subject);
            }
            slow.record(later, later, result);
            assert_eq!(
                (breaker.state(), breaker.openings()),
                (BreakerState::Open, 2)
            );
            assert!(breaker.admit(later + FIRST_PAUSE, Some(1)).is_ok());
        }
    }

    #[test]
    fn the_pause_has_an_end_however_long_the_vendor_is_away() {
        let mut now = SystemClock.monotonic();
        let breaker = opened(now);
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            fail(&breaker, now, ErrorKind::Timeout);
        }
        assert!(breaker.admit(now + LONGEST_PAUSE, None).is_ok());
    }

    #[tokio::test]
    async fn waiting_calls_are_refused_when_it_opens() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        let waiting = breaker.admit(now, None).unwrap();
        assert!(waiting.still_good(now).is_ok());
        let reported = async { waiting.refused(|| now).await.kind() };
        let opens = async {
            tokio::task::yield_now().await;
            for _ in 0..THRESHOLD {
                fail(&breaker, now, ErrorKind::Unavailable);
            }
        };
        assert_eq!(tokio::join!(reported, opens).0, ErrorKind::Unavailable);
        assert!(waiting.still_good(now).is_err());
    }
}
