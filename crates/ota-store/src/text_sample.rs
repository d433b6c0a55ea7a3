//! A sample of tasks: how many of all tasks have a text, and how far down an order the first of them stands.
//!
//! It is used to choose how a question is answered, never to answer it, so it may be old.

use std::sync::Arc;

use crate::caches::{Sample, Sampled};
use crate::connection::Connection;
use crate::error::Result;
use crate::scope::{Source, by_number};
use crate::value::Row;

/// Tasks of a sample: what a hundredth of all tasks has, about ten of them have.
const SIZE: i64 = 1_000;

/// Returns a sample of all tasks; takes one if there is none, or an old one.
pub(crate) async fn sample(connection: &mut Connection, sources: &[Source]) -> Result<Arc<Sample>> {
    let caches = connection.caches();
    let newest = connection.first("SELECT max(pk) FROM tasks", &[]).await?;
    let tasks = newest.map_or(0, |row| row.int(0));
    let writes = sources.iter().map(|source| source.writes).max();
    let writes = writes.unwrap_or_default();
    let kept = caches.sample();
    if let Some(kept) = kept.filter(|kept| kept.is_like(tasks, writes)) {
        return Ok(kept);
    }
    let select =
        "SELECT pk, combination, created_at, changed_at, device_name, search FROM tasks WHERE pk";
    let rows = by_number(connection, select, &numbers(tasks)).await?;
    let sampled = |mut row: Row| Sampled {
        combination: row.int(1),
        created_at: row.int(2),
        changed_at: row.int(3),
        device_name: row.take(4),
        search: row.take(5),
    };
    let rows = rows.into_iter().map(sampled).collect();
    let taken = Arc::new(Sample::new(rows, tasks, writes));
    caches.keep_sample(&taken);
    Ok(taken)
}

/// Returns numbers from 1 to `newest`, spread over all without a period: tasks are written in pages and jobs, which have periods.
fn numbers(newest: i64) -> Vec<i64> {
    if newest <= SIZE {
        return (1..=newest).collect();
    }
    let newest = newest.unsigned_abs();
    let golden = 0x9E37_79B9_7F4A_7C15_u64;
    let numbers = (0..SIZE.unsigned_abs()).map(|n| {
        let part = u128::from(n.wrapping_mul(golden));
        let place = (part * u128::from(newest)) >> 64;
        i64::try_from(place).unwrap_or_default() + 1
    });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::{SIZE, numbers};

    #[test]
    fn numbers_lie_evenly_and_have_no_period() {
        assert_eq!(numbers(0), Vec::<i64>::new());
        assert_eq!(numbers(3), [1, 2, 3]);
        let mut numbers = numbers(1_000_000);
        let of_hundred: std::collections::HashSet<_> = numbers.iter().map(|n| n % 100).collect();
        assert_eq!(of_hundred.len(), 100);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), SIZE as usize);
        assert!(numbers.iter().all(|n| (1..=1_000_000).contains(n)));
        // Evenly to within a few steps of the mean.
        let gaps = numbers.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() < Some(5_000));
    }
}
