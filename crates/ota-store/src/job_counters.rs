//! The counters of all jobs of a provider, in memory as long as nothing of it is written.

use std::sync::Arc;

use crate::caches::{Counter, JobCounters};
use crate::combination::{Combination, Numbers};
use crate::connection::Connection;
use crate::error::Result;
use crate::scope::Source;
use crate::value::params;

/// Counters of a provider that are kept at most, 24 bytes each: enough for a million tasks in jobs of a hundred.
const MOST_KEPT: usize = 200_000;

/// Returns the counters of a provider; `known` are its combinations by their numbers. For transactions that read.
pub(crate) async fn of_source(
    connection: &mut Connection,
    source: &Source,
    known: &[Combination],
) -> Result<Arc<JobCounters>> {
    let (source, writes) = (source.pk, source.writes);
    let caches = connection.caches();
    if let Some(kept) = caches.job_counters.get(source, writes) {
        return Ok(kept);
    }
    let sql = "SELECT pk, id FROM jobs WHERE source = $1";
    let rows = connection.query(sql, &params![source]).await?;
    let mut jobs: Vec<_> = rows
        .into_iter()
        .map(|mut row| (row.int(0), row.take(1)))
        .collect();
    jobs.sort_unstable_by_key(|(pk, _)| *pk);
    let sql = "SELECT job, combination, present, vanished FROM task_counts WHERE source = $1 ORDER BY job";
    let rows = connection.query(sql, &params![source]).await?;
    let place = |found: std::result::Result<usize, usize>| u32::try_from(found.ok()?).ok();
    let counters = rows.iter().filter_map(|row| {
        let (job, combination) = (row.int(0), row.int(1));
        Some(Counter {
            job: place(jobs.binary_search_by_key(&job, |(pk, _)| *pk))?,
            combination: place(known.binary_search_by_key(&combination, |known| known.pk))?,
            numbers: Numbers {
                present: row.int(2),
                vanished: row.int(3),
            },
        })
    });
    let counters: Vec<_> = counters.collect();
    let read = Arc::new(JobCounters {
        jobs: jobs.into_iter().map(|(_, id)| id).collect(),
        counters,
    });
    match read.counters.len() > MOST_KEPT {
        true => caches.job_counters.forget(source),
        false => caches.job_counters.put(source, writes, &read),
    }
    Ok(read)
}
