//! The combinations that a question about tasks matches, with their numbers: what is known before any task is read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::codes::Code;
use crate::combination::{Combination, Numbers};
use crate::combinations;
use crate::connection::Connection;
use crate::error::Result;
use crate::fleet::TaskQuery;
use crate::scope::{Source, gone, sources};
use crate::task_filter::TaskFilter;
use crate::value::{Value, key, params, run_params};
use ota_core::task::TaskStatus;

/// The statuses of open tasks (pending, in progress) are the smallest numbers; the index of open tasks says so too.
const LAST_OPEN: i64 = 2;

/// What a question covers.
pub(crate) struct Target {
    pub(crate) sources: Vec<Source>,
    /// The job, with its provider.
    pub(crate) job: Option<(i64, i64)>,
    pub(crate) gone: &'static [i64],
}

/// Returns what a question covers; nothing where no row can match.
pub(crate) async fn target(
    connection: &mut Connection,
    query: &TaskQuery,
    filter: &TaskFilter,
) -> Result<Option<Target>> {
    let mut sources = sources(connection, &query.providers, &query.vendors).await?;
    if filter.is_impossible() || sources.is_empty() {
        return Ok(None);
    }
    let mut job = None;
    if let Some(id) = &query.job_id {
        let params: Vec<_> = sources
            .iter()
            .map(|source| run_params![source.pk, key(id.as_str())])
            .collect();
        let found = connection
            .query_many(
                "SELECT source, pk FROM jobs WHERE source = $1 AND id = $2",
                &params,
            )
            .await?;
        job = found
            .iter()
            .flatten()
            .map(|row| (row.int(0), row.int(1)))
            .next();
        let Some((source, _)) = job else {
            return Ok(None);
        };
        sources.retain(|of| of.pk == source);
    }
    Ok(Some(Target {
        sources,
        job,
        gone: gone(query.include_vanished),
    }))
}

/// What a question selects.
pub(crate) struct Selection {
    /// The combinations of each provider that is covered, by their numbers.
    known: Vec<(i64, Arc<Vec<Combination>>)>,
    /// For each provider and status that matching tasks have, in this order.
    pub(crate) parts: Vec<Part>,
    /// Tasks that are covered, whether they match or not.
    pub(crate) covered: i64,
}

/// What is selected of the tasks of a provider that have a status.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) source: i64,
    pub(crate) status: i64,
    /// The combinations that match and that a covered task has.
    pub(crate) combinations: Vec<i64>,
    /// Tasks that have one of them.
    pub(crate) matching: i64,
    /// Tasks that have the status.
    pub(crate) covered: i64,
}

impl Selection {
    /// Selects.
    pub(crate) async fn new(
        connection: &mut Connection,
        target: &Target,
        filter: &TaskFilter,
    ) -> Result<Self> {
        let mut selection = Self {
            known: Vec::new(),
            parts: Vec::new(),
            covered: 0,
        };
        for source in &target.sources {
            let known = combinations::of_source(connection, source).await?;
            let of_job = match target.job {
                Some((_, job)) => Some(of_job(connection, source.pk, job).await?),
                None => None,
            };
            let mut parts: HashMap<i64, Part> = HashMap::new();
            for combination in known.iter() {
                let numbers = match &of_job {
                    Some(numbers) => numbers.get(&combination.pk).copied().unwrap_or_default(),
                    None => combination.numbers,
                };
                let number = numbers.covered(target.gone);
                if number == 0 {
                    continue;
                }
                selection.covered += number;
                let part = parts.entry(combination.values.status).or_default();
                part.covered += number;
                if filter.matches(&combination.values) {
                    part.matching += number;
                    part.combinations.push(combination.pk);
                }
            }
            for status in TaskStatus::WORDS.iter().map(|word| word.code()) {
                let part = parts.remove(&status).unwrap_or_default();
                if part.matching > 0 {
                    selection.parts.push(Part {
                        source: source.pk,
                        status,
                        ..part
                    });
                }
            }
            selection.known.push((source.pk, known));
        }
        Ok(selection)
    }

    /// Returns how many tasks match, as far as combinations tell.
    pub(crate) fn matching(&self) -> i64 {
        self.parts.iter().map(|part| part.matching).sum()
    }

    /// Returns how many combinations match.
    pub(crate) fn combinations(&self) -> usize {
        self.parts.iter().map(|part| part.combinations.len()).sum()
    }

    /// Returns the combinations of a provider that match.
    pub(crate) fn of_source(&self, source: i64) -> Vec<i64> {
        let parts = self.parts.iter().filter(|part| part.source == source);
        parts
            .flat_map(|part| part.combinations.iter().copied())
            .collect()
    }

    /// Returns all combinations of a provider by their numbers, also those that do not match.
    pub(crate) fn known(&self, source: i64) -> &[Combination] {
        let known = self.known.iter().find(|(of, _)| *of == source);
        known.map_or(&[], |(_, known)| known.as_slice())
    }

    /// Returns each combination that matches, with its provider.
    pub(crate) fn matching_combinations(&self) -> impl Iterator<Item = (i64, &Combination)> {
        self.parts.iter().flat_map(|part| {
            let find = |pk: &i64| Some((part.source, self.find(part.source, *pk)?));
            part.combinations.iter().filter_map(find)
        })
    }

    /// Returns how many tasks of its provider have each combination that matches.
    pub(crate) fn numbers(&self, gone: &'static [i64]) -> impl Iterator<Item = (i64, i64)> {
        self.matching_combinations()
            .map(|(_, combination)| (combination.pk, combination.numbers.covered(gone)))
    }

    /// Whether only open tasks match.
    pub(crate) fn is_open(&self) -> bool {
        self.parts.iter().all(|part| part.status <= LAST_OPEN)
    }

    fn find(&self, source: i64, pk: i64) -> Option<&Combination> {
        let known = self.known(source);
        let place = known.binary_search_by_key(&pk, |combination| combination.pk);
        known.get(place.ok()?)
    }
}

/// Returns how many tasks of a job have each combination.
async fn of_job(
    connection: &mut Connection,
    source: i64,
    job: i64,
) -> Result<HashMap<i64, Numbers>> {
    let rows = connection
        .query(
            "SELECT combination, present, vanished FROM task_counts WHERE source = $1 AND job = $2",
            &params![source, job],
        )
        .await?;
    let numbers = |row: &crate::value::Row| Numbers {
        present: row.int(1),
        vanished: row.int(2),
    };
    Ok(rows.iter().map(|row| (row.int(0), numbers(row))).collect())
}

impl Target {
    /// Returns the owner of rows (the job, or each provider) with each value of `gone`, and its provider.
    pub(crate) fn scopes(&self) -> Vec<(i64, Vec<Value>)> {
        let owners: Vec<_> = match self.job {
            Some(of) => vec![of],
            None => self
                .sources
                .iter()
                .map(|source| (source.pk, source.pk))
                .collect(),
        };
        owners
            .into_iter()
            .flat_map(|(source, owner)| {
                let scope = move |gone: &i64| (source, run_params![owner, *gone]);
                self.gone.iter().map(scope)
            })
            .collect()
    }

    /// Returns the column of the owner.
    pub(crate) const fn owner(&self) -> &'static str {
        match self.job {
            Some(_) => "job",
            None => "source",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LAST_OPEN;
    use crate::codes::Code;
    use ota_core::task::TaskStatus;

    #[test]
    fn open_tasks_have_the_smallest_numbers() {
        for status in TaskStatus::WORDS {
            let is_open = matches!(status, TaskStatus::Pending | TaskStatus::InProgress);
            assert_eq!(status.code() <= LAST_OPEN, is_open, "{status}");
        }
    }
}
