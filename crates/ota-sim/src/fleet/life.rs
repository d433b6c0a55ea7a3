//! Where every job and task is at a given time: a function of plan, seed and time, with nothing stored.

use super::plan::{Job, Stage};
use super::seed::Stream;

/// Why a task failed. Each vendor has its own text for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The device was not seen in time. Counted as a timeout.
    NeverOnline,
    /// The device did not report a result in time. Counted as a timeout.
    NoReport,
    /// The download broke off.
    Download,
    /// The package is damaged.
    Integrity,
    /// The device went offline.
    Offline,
    /// The package does not fit into the device.
    Storage,
    /// The device gave no further reason.
    Update,
    /// The device runs this version already.
    SameVersion,
}

impl Failure {
    const ALL: [Self; 8] = [
        Self::NeverOnline,
        Self::NoReport,
        Self::Download,
        Self::Integrity,
        Self::Offline,
        Self::Storage,
        Self::Update,
        Self::SameVersion,
    ];

    /// Picks one by any number.
    fn of(number: u64) -> Self {
        Self::ALL[(number % Self::ALL.len() as u64) as usize]
    }

    /// Returns whether a timeout was the cause.
    pub(super) fn is_timeout(self) -> bool {
        matches!(self, Self::NeverOnline | Self::NoReport)
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Planned,
    InProgress,
    Completed,
    Canceled,
}

/// One task at one time. Times are milliseconds since the start of the simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) index: u32,
    pub(crate) stage: Stage,
    /// Hundredths of a percent.
    pub(crate) progress: u32,
    /// Why it failed, where it did.
    pub(crate) failure: Option<Failure>,
    pub(crate) created: i64,
    pub(crate) started: Option<i64>,
    pub(crate) ended: Option<i64>,
    pub(crate) modified: i64,
}

/// Number of tasks per stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    counts: [u64; 7],
    /// Failed tasks whose failure is a timeout.
    pub(crate) timed_out: u64,
}

impl Tally {
    pub(crate) fn count(&self, stage: Stage) -> u64 {
        self.counts[stage as usize]
    }
}

impl Job {
    /// Time of the last task's end; `None` for batches that wait for more devices.
    pub(crate) fn end(&self) -> Option<i64> {
        match (self.cancel_at, self.dynamic_mode, &self.still) {
            (Some(cancel), ..) => Some(cancel),
            (None, Some(_), _) => None,
            (None, None, _) => Some(self.start + self.span),
        }
    }

    pub(crate) fn phase(&self, now: i64) -> Phase {
        if self.cancel_at.is_some_and(|cancel| now >= cancel) {
            Phase::Canceled
        } else if now < self.start {
            Phase::Planned
        } else if self.end().is_some_and(|end| now >= end) {
            Phase::Completed
        } else {
            Phase::InProgress
        }
    }

    /// Time of the last change that the job itself shows.
    pub(crate) fn modified(&self, now: i64) -> i64 {
        match self.phase(now) {
            Phase::Planned => self.created,
            Phase::InProgress => self.start,
            Phase::Completed | Phase::Canceled => self.end().unwrap_or(self.start),
        }
    }

    pub(crate) fn task(&self, seed: u64, index: u32, now: i64) -> Task {
        if let Some(still) = &self.still {
            let (stage, place) = still.stage(index);
            return self.still_task(seed, index, stage, place);
        }
        let mut choice = Stream::of(seed, &[0x7A5C, u64::from(self.index), u64::from(index)]);
        let after_start = |share: f64| self.start + (share * self.span as f64) as i64;

        let confirmed = self.need_confirm.then(|| 0.3 * choice.unit());
        let notified = (0.02 + 0.38 * choice.unit()).max(confirmed.unwrap_or(0.0) + 0.01);
        let running = notified + 0.02 + 0.13 * choice.unit();
        let last = running + 0.05 + 0.2 * choice.unit();
        let straggles = choice.unit() < 0.05;
        let ending = if straggles { 0.97 } else { last };
        let fails = choice.unit() < self.failure_rate;
        let failure = Failure::of(choice.next());
        let reached = choice.unit();
        let (confirmed, notified) = (confirmed.map(after_start), after_start(notified));
        let (running, ending) = (after_start(running), after_start(ending));

        let mut task = Task {
            index,
            stage: Stage::Queued,
            progress: 0,
            failure: None,
            created: self.created,
            started: None,
            ended: None,
            modified: self.created,
        };
        // A canceled dynamic batch leaves its running tasks alone (CancelOTAStrategyByJob).
        if let Some(cancel) = self.cancel_at
            && now >= cancel
            && cancel < ending
            && !(self.dynamic_mode.is_some() && running <= cancel)
        {
            task.stage = Stage::Canceled;
            task.started = (running <= cancel).then_some(running);
            task.ended = Some(cancel);
            task.modified = cancel;
            return task;
        }
        if now >= ending {
            task.started = Some(running);
            task.ended = Some(ending);
            task.modified = ending;
            if fails {
                task.stage = Stage::Failed;
                task.failure = Some(failure);
                // A device that never reported shows no progress.
                task.progress = if reached < 0.3 {
                    0
                } else {
                    (reached * 9_900.0) as u32
                };
            } else {
                task.stage = Stage::Succeeded;
                task.progress = 10_000;
            }
        } else if now >= running {
            let share = (now - running) as f64 / (ending - running).max(1) as f64;
            task.stage = Stage::InProgress;
            task.progress = (share * 9_900.0) as u32;
            task.started = Some(running);
            task.modified = now;
        } else if now >= notified {
            task.stage = Stage::Notified;
            task.modified = notified;
        } else if confirmed.is_some_and(|confirmed| now < confirmed) {
            task.stage = Stage::Confirm;
        } else if let Some(confirmed) = confirmed {
            task.modified = confirmed;
        }
        task
    }

    fn still_task(&self, seed: u64, index: u32, stage: Stage, place: u32) -> Task {
        let mut choice = Stream::of(seed, &[0x57A1, u64::from(self.index), u64::from(index)]);
        let started = self.start + (choice.unit() * self.span as f64 * 0.4) as i64;
        let ended = started + (choice.unit() * self.span as f64 * 0.5) as i64;
        let ran = stage >= Stage::InProgress && stage != Stage::Canceled;
        let over = stage >= Stage::Succeeded;
        Task {
            index,
            stage,
            progress: match stage {
                Stage::Succeeded => 10_000,
                Stage::InProgress | Stage::Failed => (choice.unit() * 9_900.0) as u32,
                Stage::Confirm | Stage::Queued | Stage::Notified | Stage::Canceled => 0,
            },
            failure: (stage == Stage::Failed).then(|| Failure::of(u64::from(place))),
            created: self.created,
            started: ran.then_some(started),
            ended: over.then_some(ended),
            modified: if over {
                ended
            } else if ran {
                started
            } else {
                self.created
            },
        }
    }

    /// Returns the tasks in any of `stages` (all when `None`): how many there are, and `limit` of them from `offset`.
    pub(crate) fn select(
        &self,
        seed: u64,
        now: i64,
        stages: Option<&[Stage]>,
        offset: u64,
        limit: u64,
    ) -> (u64, Vec<Task>) {
        if !self.reversed {
            return self.select_forward(seed, now, stages, offset, limit);
        }
        let (total, _) = self.select_forward(seed, now, stages, 0, 0);
        let end = total.saturating_sub(offset);
        let begin = end.saturating_sub(limit);
        let (_, mut rows) = self.select_forward(seed, now, stages, begin, end - begin);
        rows.reverse();
        (total, rows)
    }

    fn select_forward(
        &self,
        seed: u64,
        now: i64,
        stages: Option<&[Stage]>,
        offset: u64,
        limit: u64,
    ) -> (u64, Vec<Task>) {
        let Some(stages) = stages else {
            let rows = (0..self.tasks)
                .skip(usize::try_from(offset).unwrap_or(usize::MAX))
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .map(|index| self.task(seed, index, now))
                .collect();
            return (u64::from(self.tasks), rows);
        };
        if let Some(still) = &self.still {
            let total = stages
                .iter()
                .map(|stage| u64::from(still.count(*stage)))
                .sum();
            let rows = stages
                .iter()
                .flat_map(|stage| (0..still.count(*stage)).map(|place| (*stage, place)))
                .skip(usize::try_from(offset).unwrap_or(usize::MAX))
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .map(|(stage, place)| self.still_task(seed, still.row(stage, place), stage, place))
                .collect();
            return (total, rows);
        }
        let mut total = 0;
        let mut rows = Vec::new();
        for index in 0..self.tasks {
            let task = self.task(seed, index, now);
            if stages.contains(&task.stage) {
                if total >= offset && (rows.len() as u64) < limit {
                    rows.push(task);
                }
                total += 1;
            }
        }
        (total, rows)
    }

    pub(crate) fn tally(&self, seed: u64, now: i64) -> Tally {
        let mut tally = Tally::default();
        if let Some(still) = &self.still {
            for stage in Stage::ALL {
                tally.counts[stage as usize] = u64::from(still.count(stage));
            }
            tally.timed_out = (0..still.count(Stage::Failed))
                .filter(|place| Failure::of(u64::from(*place)).is_timeout())
                .count() as u64;
            return tally;
        }
        for index in 0..self.tasks {
            let task = self.task(seed, index, now);
            tally.counts[task.stage as usize] += 1;
            tally.timed_out += u64::from(task.failure.is_some_and(Failure::is_timeout));
        }
        tally
    }
}
