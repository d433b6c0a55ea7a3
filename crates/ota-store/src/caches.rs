//! What questions keep in memory: it answers the next ones, or tells how to answer them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::combination::{Cache, Combination, Numbers};

/// So many writing transactions later another sample is taken.
const WRITES: i64 = 5_000;

/// What is kept, for all connections to one database.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) combinations: Cache<Vec<Combination>>,
    pub(crate) job_counters: Cache<JobCounters>,
    sample: Mutex<Option<Arc<Sample>>>,
}

impl Caches {
    /// Returns the sample of tasks that was taken last.
    pub(crate) fn sample(&self) -> Option<Arc<Sample>> {
        let sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        sample.clone()
    }

    /// Keeps a sample in the place of the one before.
    pub(crate) fn keep_sample(&self, sample: &Arc<Sample>) {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(sample));
    }
}

/// How many tasks of a job have a combination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    /// The place of the job among the jobs.
    pub(crate) job: u32,
    /// The place of the combination among the combinations.
    pub(crate) combination: u32,
    pub(crate) numbers: Numbers,
}

/// The counters of a provider's jobs.
#[derive(Debug, Default)]
pub(crate) struct JobCounters {
    /// The identifiers of the jobs, by their numbers.
    pub(crate) jobs: Vec<String>,
    /// By job.
    pub(crate) counters: Vec<Counter>,
}

/// A task of the sample.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampled {
    pub(crate) combination: i64,
    pub(crate) created_at: i64,
    pub(crate) changed_at: i64,
    pub(crate) device_name: String,
    pub(crate) search: String,
}

/// A sample.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) rows: Vec<Sampled>,
    /// The tasks that it stands for, about.
    pub(crate) tasks: i64,
    /// The number of writes when it was taken.
    writes: i64,
}

impl Sample {
    pub(crate) const fn new(rows: Vec<Sampled>, tasks: i64, writes: i64) -> Self {
        Self {
            rows,
            tasks,
            writes,
        }
    }

    /// Whether it is of a database that was much the same.
    pub(crate) fn is_like(&self, tasks: i64, writes: i64) -> bool {
        (self.tasks - tasks).saturating_mul(10).abs() <= tasks
            && (0..WRITES).contains(&(writes - self.writes))
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn a_sample_is_kept_until_the_database_is_another_one() {
        let sample = Sample {
            tasks: 1_000,
            writes: 10,
            ..Sample::default()
        };
        assert!(sample.is_like(1_050, 4_000));
        assert!(!sample.is_like(1_200, 10));
        assert!(!sample.is_like(1_000, 6_000));
        // Another database in the place of the one before.
        assert!(!sample.is_like(1_000, 3));
        assert!(!sample.is_like(0, 10));
    }
}
