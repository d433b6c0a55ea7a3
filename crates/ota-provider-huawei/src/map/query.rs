//! From a filter to what the vendor is asked.

use ota_core::job::{Job, JobKind, JobOutcome, JobStatus};
use ota_core::paging::Window;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::{Task, TaskStatus};
use ota_http::encode;

use super::{Mapped, Word};

/// Which lists of the vendor's are walked for a job list, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobPlan {
    /// The status word of each list; `None` asks for every status. No list at all when nothing can match.
    pub(crate) words: Vec<Option<Word>>,
    /// The outcomes that rows are still filtered by: the vendor has one word for `failed` and `partial`.
    outcomes: Vec<JobOutcome>,
    /// Whether rows are still filtered by status: the vendor cannot be asked for words that nobody knows.
    statuses_here: bool,
}

impl JobPlan {
    pub(crate) fn of(filter: &JobFilter) -> Self {
        let nothing = Self {
            words: Vec::new(),
            outcomes: Vec::new(),
            statuses_here: false,
        };
        if filter.kind == Some(JobKind::Other) {
            return nothing;
        }
        if filter.status.is_empty() && filter.outcome.is_empty() {
            return Self {
                words: vec![None],
                ..nothing
            };
        }
        // A row in a status that is not known has no outcome either.
        if filter.status.contains(&JobStatus::Unknown) && filter.outcome.is_empty() {
            return Self {
                words: vec![None],
                statuses_here: true,
                ..nothing
            };
        }
        let asked = |word: &Word| {
            let status = filter.status.is_empty() || filter.status.contains(&word.job_status());
            let outcome = filter.outcome.is_empty()
                || match word {
                    Word::Success => filter.outcome.contains(&JobOutcome::Succeeded),
                    Word::Failed => failed_outcomes(filter).next().is_some(),
                    Word::Wait | Word::Processing | Word::Stop => false,
                };
            status && outcome
        };
        let words: Vec<_> = Word::ALL.into_iter().filter(asked).map(Some).collect();
        let both = failed_outcomes(filter).count() != 1;
        let outcomes = if both || !words.contains(&Some(Word::Failed)) {
            Vec::new()
        } else {
            filter.outcome.clone()
        };
        Self {
            words,
            outcomes,
            ..nothing
        }
    }

    /// Returns whether most rows may be left out here.
    pub(crate) fn filters_here(&self) -> bool {
        !self.outcomes.is_empty() || self.statuses_here
    }

    /// Returns whether a row of the list for `word` is wanted.
    ///
    /// A platform that ignores a filter answers with rows that contradict it; they, and rows in a status that is not known and
    /// was not asked for, are left out.
    pub(crate) fn wants(&self, filter: &JobFilter, word: Option<Word>, row: &Mapped<Job>) -> bool {
        let job = &row.item;
        (word.is_none() || word == row.word)
            && (!self.statuses_here || filter.status.contains(&job.status))
            && (filter.kind.is_none() || job.kind.is_none() || filter.kind == job.kind)
            && (self.outcomes.is_empty()
                || job
                    .outcome
                    .is_some_and(|outcome| self.outcomes.contains(&outcome)))
    }
}

/// The asked outcomes that the vendor's word for a failed task stands for.
fn failed_outcomes(filter: &JobFilter) -> impl Iterator<Item = JobOutcome> {
    [JobOutcome::Failed, JobOutcome::Partial]
        .into_iter()
        .filter(|outcome| filter.outcome.contains(outcome))
}

/// Which lists of the vendor's are walked for a task list, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TaskPlan {
    /// The status word of each list; `None` asks for every status. No list at all when nothing can match.
    pub(crate) words: Vec<Option<Word>>,
    /// As for jobs.
    pub(crate) statuses_here: bool,
}

impl TaskPlan {
    pub(crate) fn of(filter: &TaskFilter) -> Self {
        let statuses_here = filter.status.contains(&TaskStatus::Unknown);
        let words = if filter.status.is_empty() || statuses_here {
            vec![None]
        } else {
            Word::ALL
                .into_iter()
                .filter(|word| filter.status.contains(&word.task_status()))
                .map(Some)
                .collect()
        };
        Self {
            words,
            statuses_here,
        }
    }

    /// Returns whether a row of the list for `word` is wanted; as for jobs, rows that contradict the filter are not.
    pub(crate) fn wants(
        &self,
        filter: &TaskFilter,
        word: Option<Word>,
        row: &Mapped<Task>,
    ) -> bool {
        (word.is_none() || word == row.word)
            && (!self.statuses_here || filter.status.contains(&row.item.status))
            && (filter.device_id.is_none() || filter.device_id == row.item.device.id)
    }
}

/// Writes the query of the task list. Filters that are not used are left out, as the vendor's SDKs do (vendor notes, 1.6).
pub(crate) fn job_query(filter: &JobFilter, word: Option<Word>, window: Window) -> String {
    let kind = filter.kind.and_then(|kind| match kind {
        JobKind::Firmware => Some("firmware_upgrade"),
        JobKind::Software => Some("software_upgrade"),
        JobKind::Other => None,
    });
    query(
        [
            ("operationType", kind),
            ("operationStatus", word.map(Word::of_operation)),
            ("deviceType", filter.device_type.as_deref()),
            ("model", filter.model.as_deref()),
            ("manufacturerName", filter.manufacturer.as_deref()),
            (
                "deviceId",
                filter.device_id.as_ref().map(|device| device.as_str()),
            ),
        ],
        window,
    )
}

/// Writes the query of the list of a task's devices.
pub(crate) fn task_query(word: Option<Word>, window: Window) -> String {
    query(
        [("subOperationStatus", word.map(Word::of_sub_operation))],
        window,
    )
}

/// The page is always written out: one document says that an absent `pageNo` means the first page, another that it means no
/// paging at all (vendor notes, section 1.6).
fn query<const N: usize>(filters: [(&str, Option<&str>); N], window: Window) -> String {
    let (number, size) = (window.index.to_string(), window.size.to_string());
    let filters = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut pairs: Vec<(&str, &str)> = filters.collect();
    pairs.push(("pageNo", &number));
    pairs.push(("pageSize", &size));
    encode::query(pairs)
}

#[cfg(test)]
mod tests;
