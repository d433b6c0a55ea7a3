//! The plan of a fleet: what exists and when it starts; where it is at a given time is computed in `life`.

/// A product with its devices.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// As the vendor identifies it.
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) device_prefix: &'static str,
    pub(crate) device_type: &'static str,
    pub(crate) model: &'static str,
    pub(crate) manufacturer: &'static str,
}

/// A firmware or software package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// As the vendor identifies it.
    pub(crate) id: String,
    pub(crate) product: usize,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) version: &'static str,
    /// Version that a differential package starts from.
    pub(crate) from_version: Option<&'static str>,
    pub(crate) module: &'static str,
    /// -1 no verification needed, 0 unverified, 1 verified, 2 verifying, 3 failed.
    pub(crate) status: i32,
    pub(crate) files: u32,
    pub(crate) size: u64,
    pub(crate) software: bool,
    /// Milliseconds since the start of the simulator, as all times here.
    pub(crate) created: i64,
}

/// Which devices a batch is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Specific,
    Gray(&'static str),
    Group {
        id: &'static str,
        name: &'static str,
    },
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Confirm,
    Queued,
    Notified,
    InProgress,
    Succeeded,
    Failed,
    Canceled,
}

impl Stage {
    /// Every stage, in the order of a task's life.
    pub(crate) const ALL: [Self; 7] = [
        Self::Confirm,
        Self::Queued,
        Self::Notified,
        Self::InProgress,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    const NAMES: [&str; 7] = [
        "confirm",
        "queued",
        "notified",
        "in_progress",
        "succeeded",
        "failed",
        "canceled",
    ];

    /// Returns its name, which is no vendor's.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Returns the stage of this name, which is no vendor's.
    pub(super) fn named(name: &str) -> Option<Self> {
        let place = Self::NAMES
            .iter()
            .position(|one| one.eq_ignore_ascii_case(name))?;
        Some(Self::ALL[place])
    }
}

/// One job: the update of a number of devices to a package.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) index: u32,
    /// As the vendor identifies it.
    pub(crate) id: String,
    pub(crate) package: usize,
    pub(crate) tasks: u32,
    /// Number of the first device of the product that takes part.
    pub(crate) first_device: u32,
    /// Names of the first devices where they are not made of the product's prefix and the number.
    pub(crate) names: &'static [&'static str],
    pub(crate) verify: bool,
    /// Dynamic batches never end by themselves; 1 or 2.
    pub(crate) dynamic_mode: Option<u8>,
    pub(crate) scope: Scope,
    pub(crate) description: &'static str,
    pub(crate) created: i64,
    pub(crate) start: i64,
    /// From start to the end of the last task.
    pub(crate) span: i64,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) scheduled: bool,
    pub(crate) schedule_end: Option<i64>,
    /// Shows an end time although the batch runs, as the vendor's own sample does.
    pub(crate) early_end_time: bool,
    pub(crate) failure_rate: f64,
    pub(crate) need_confirm: bool,
    pub(crate) need_push: bool,
    pub(crate) timeout_minutes: Option<u32>,
    /// Number of retries and minutes between them.
    pub(crate) retry: Option<(u32, u32)>,
    pub(crate) maximum_per_minute: u32,
    pub(crate) overwrite_mode: u8,
    pub(crate) multi_module: bool,
    pub(crate) protocol: &'static str,
    pub(crate) tags: &'static [(&'static str, &'static str)],
    pub(crate) source_versions: &'static [&'static str],
    /// Answers without the fields of newer documents.
    pub(crate) sparse: bool,
    /// Each task starts when its device comes online.
    pub(crate) when_online: bool,
    /// Rows that stand still, with a number per stage.
    pub(crate) still: Option<Still>,
    /// Its tasks are listed from the last one on.
    pub(crate) reversed: bool,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            index: 0,
            id: String::new(),
            package: 0,
            tasks: 0,
            first_device: 0,
            names: &[],
            verify: false,
            dynamic_mode: None,
            scope: Scope::All,
            description: "batch upgrade",
            created: 0,
            start: 0,
            span: 1,
            cancel_at: None,
            scheduled: false,
            schedule_end: None,
            early_end_time: false,
            failure_rate: 0.08,
            need_confirm: false,
            need_push: true,
            timeout_minutes: Some(1440),
            retry: None,
            maximum_per_minute: 10_000,
            overwrite_mode: 1,
            multi_module: false,
            protocol: "HTTPS",
            tags: &[],
            source_versions: &["1.0.0"],
            sparse: false,
            when_online: false,
            still: None,
            reversed: false,
        }
    }
}

/// A fixed number of rows per stage, spread over the row numbers by a permutation, so that no row has to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Still {
    counts: [u32; 7],
    total: u64,
    factor: u64,
    inverse: u64,
}

impl Still {
    pub(crate) fn new(counts: [u32; 7]) -> Self {
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let modulus = total.max(1);
        // Close to the golden ratio, so that neighbours land far apart.
        let mut factor = (modulus * 618 / 1000).max(1);
        while greatest_common_divisor(factor, modulus) != 1 {
            factor += 1;
        }
        Self {
            counts,
            total,
            factor,
            inverse: modular_inverse(factor, modulus),
        }
    }

    pub(crate) fn count(&self, stage: Stage) -> u32 {
        self.counts[stage as usize]
    }

    /// Returns the stage of row `index` and its number among the rows of that stage.
    pub(crate) fn stage(&self, index: u32) -> (Stage, u32) {
        let modulus = self.total.max(1);
        let mut place = (u64::from(index) * self.factor) % modulus;
        for stage in Stage::ALL {
            let count = u64::from(self.count(stage));
            if place < count {
                return (stage, u32::try_from(place).unwrap_or(u32::MAX));
            }
            place -= count;
        }
        (Stage::Queued, 0)
    }

    /// Returns the row that is number `place` of `stage`.
    pub(crate) fn row(&self, stage: Stage, place: u32) -> u32 {
        let before: u64 = Stage::ALL
            .iter()
            .take_while(|other| **other != stage)
            .map(|other| u64::from(self.count(*other)))
            .sum();
        let row = ((before + u64::from(place)) * self.inverse) % self.total.max(1);
        u32::try_from(row).unwrap_or(u32::MAX)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Inverse of `factor` modulo `modulus` by the extended Euclidean algorithm; the two have no common divisor.
fn modular_inverse(factor: u64, modulus: u64) -> u64 {
    let (mut old, mut new) = (i128::from(factor), i128::from(modulus));
    let (mut old_times, mut new_times) = (1_i128, 0_i128);
    while new != 0 {
        let quotient = old / new;
        (old, new) = (new, old - quotient * new);
        (old_times, new_times) = (new_times, old_times - quotient * new_times);
    }
    u64::try_from(old_times.rem_euclid(i128::from(modulus))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn still_rows_are_a_permutation_with_the_given_counts() {
        for counts in [
            [1, 2, 3, 4, 50, 6, 7],
            [0, 0, 0, 0, 1, 0, 0],
            [0, 9, 0, 0, 91, 0, 0],
        ] {
            let still = Still::new(counts);
            let total: u32 = counts.iter().sum();
            let mut seen = [0_u32; 7];
            for index in 0..total {
                let (stage, place) = still.stage(index);
                assert_eq!(still.row(stage, place), index);
                seen[stage as usize] += 1;
            }
            assert_eq!(seen, counts);
        }
    }
}
