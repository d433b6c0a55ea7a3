//! Answers of the fleet as text: rows are taken from the database as they were rendered, and are not parsed again.

use std::time::Duration;

use ota_api::fleet::{
    FleetPageEnd, HistoryPoint, JobHistory, JobMirror, Source, Sources, TaskMirror,
};
use ota_api::job::JobCounts;
use ota_api::own_timestamp;
use ota_api::problem::{Code, Failure};
use ota_store::fleet as store;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::response::CachedResponse;

/// The time of an answer of the fleet, and where it comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The time as of which all of it was true.
    pub as_of: OffsetDateTime,
    /// The providers that it covers.
    pub sources: Vec<Source>,
    /// Whether one of them is not current.
    pub stale: bool,
}

impl Origin {
    fn sources(&self) -> Sources {
        Sources {
            as_of: own_timestamp(self.as_of),
            sources: self.sources.clone(),
        }
    }

    /// Returns how long ago its time was.
    #[must_use]
    pub fn age(&self, now: OffsetDateTime) -> Duration {
        (now - self.as_of).try_into().unwrap_or_default()
    }
}

/// A text under construction, with the validator of what does not change as long as the vendors change nothing: times of reading are left out of it.
struct Text {
    body: Vec<u8>,
    content: Sha256,
}

/// What cannot be written is a fault of the gateway.
fn unwritable() -> Failure {
    Failure::new(Code::Internal, "the answer could not be written")
}

impl Text {
    fn new() -> Self {
        Self {
            body: Vec::new(),
            content: Sha256::new(),
        }
    }

    /// Writes what the validator depends on.
    fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    fn write_bytes(&mut self, text: &[u8]) {
        self.body.extend_from_slice(text);
        self.content.update(text);
    }

    /// Writes a value of which `lasting` is what the validator depends on.
    fn value(&mut self, value: &impl Serialize, lasting: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.body, value).map_err(|_| unwritable())?;
        let lasting = serde_json::to_vec(lasting).map_err(|_| unwritable())?;
        self.content.update(lasting);
        Ok(())
    }

    /// Writes an object without its closing brace, so that members can be added.
    fn open(&mut self, object: &str) -> Result<(), Failure> {
        let object = object.trim_end().strip_suffix('}').ok_or_else(unwritable)?;
        self.write(object);
        Ok(())
    }

    /// Writes the members of an object behind others, and ends the object that they are in.
    fn members(&mut self, value: &impl Serialize, lasting: &impl Serialize) -> Result<(), Failure> {
        let start = self.body.len();
        self.value(value, lasting)?;
        // `{"a":1}` becomes `,"a":1}`.
        if let Some(brace) = self.body.get_mut(start) {
            *brace = b',';
        }
        Ok(())
    }

    fn finish(self, origin: &Origin) -> Result<CachedResponse, Failure> {
        let time = own_timestamp(origin.as_of).unwrap_or_default();
        CachedResponse::written(&time, self.body, self.content, origin.stale)
            .map_err(|error| Failure::new(Code::Internal, error.message()))
    }
}

/// Returns sources without what changes with each look: their times.
fn lasting(sources: &[Source]) -> Sources {
    let sources = sources.iter().map(|source| Source {
        as_of: None,
        lag_s: None,
        ..source.clone()
    });
    Sources {
        as_of: None,
        sources: sources.collect(),
    }
}

/// A page under construction: its rows, then its end.
fn page<Row>(
    page: &store::Page<Row>,
    next_cursor: Option<String>,
    origin: &Origin,
    row: impl Fn(&mut Text, &Row) -> Result<(), Failure>,
) -> Result<CachedResponse, Failure> {
    let mut text = Text::new();
    text.write("{\"items\":[");
    for (number, item) in page.items.iter().enumerate() {
        if number > 0 {
            text.write(",");
        }
        row(&mut text, item)?;
    }
    text.write("]");
    let end = |sources| FleetPageEnd {
        next_cursor: next_cursor.clone(),
        total: page.total,
        sources,
    };
    text.members(&end(origin.sources()), &end(lasting(&origin.sources)))?;
    text.finish(origin)
}

/// Writes a page of jobs.
///
/// # Errors
/// `internal` when it cannot be written.
pub fn jobs(
    jobs: &store::Page<store::FleetJob>,
    next_cursor: Option<String>,
    origin: &Origin,
) -> Result<CachedResponse, Failure> {
    page(jobs, next_cursor, origin, |text, job| {
        text.open(&job.document)?;
        if let Some(outcome) = job.outcome {
            text.write(",\"outcome\":");
            text.value(&outcome.as_str(), &outcome.as_str())?;
        }
        if let Some(stats) = &job.stats {
            let counts = JobCounts::from(stats.clone());
            text.write(",\"stats\":");
            text.value(&counts, &counts)?;
        }
        let mirror = JobMirror {
            as_of: own_timestamp(job.as_of),
            tasks_as_of: job.tasks_as_of.and_then(own_timestamp),
            changed_at: own_timestamp(job.changed_at),
            vanished_at: job.vanished_at.and_then(own_timestamp),
            truncated: job.truncated,
        };
        text.write(",\"mirror\":");
        let lasting = JobMirror {
            as_of: None,
            tasks_as_of: None,
            ..mirror.clone()
        };
        text.value(&mirror, &lasting)?;
        text.write("}");
        Ok(())
    })
}

/// Writes a page of tasks.
///
/// # Errors
/// As [`jobs`].
pub fn tasks(
    tasks: &store::Page<store::FleetTask>,
    next_cursor: Option<String>,
    origin: &Origin,
) -> Result<CachedResponse, Failure> {
    page(tasks, next_cursor, origin, |text, task| {
        text.open(&task.document)?;
        text.write(",\"job\":{");
        let mut comma = "";
        if let Some(status) = task.job_status {
            text.write("\"status\":");
            text.value(&status.as_str(), &status.as_str())?;
            comma = ",";
        }
        if let Some(description) = &task.job_description {
            text.write(comma);
            text.write("\"description\":");
            text.value(description, description)?;
            comma = ",";
        }
        if let Some(package) = &task.job_package {
            text.write(comma);
            text.write("\"package\":");
            text.write(package);
        }
        let mirror = TaskMirror {
            as_of: own_timestamp(task.as_of),
            changed_at: own_timestamp(task.changed_at),
            vanished_at: task.vanished_at.and_then(own_timestamp),
        };
        text.write("},\"mirror\":");
        let lasting = TaskMirror {
            as_of: None,
            ..mirror.clone()
        };
        text.value(&mirror, &lasting)?;
        text.write("}");
        Ok(())
    })
}

/// Writes counted groups, whose values belong to these keys.
///
/// # Errors
/// As [`jobs`].
pub fn groups(
    groups: &store::Groups,
    keys: &[&'static str],
    origin: &Origin,
) -> Result<CachedResponse, Failure> {
    // Members as `GroupCounts` has them, which a test compares. A thousand groups are written once, without a map for each.
    let mut order: Vec<_> = keys.iter().copied().enumerate().collect();
    order.sort_unstable_by_key(|(_, key)| *key);
    order.dedup_by_key(|(_, key)| *key);
    let mut counted = Vec::with_capacity(groups.groups.len().saturating_mul(64));
    for (values, count) in &groups.groups {
        if !counted.is_empty() {
            counted.push(b',');
        }
        counted.extend_from_slice(b"{\"keys\":{");
        let named = order
            .iter()
            .filter_map(|(place, key)| Some((key, values.get(*place)?.as_deref()?)));
        for (number, (key, value)) in named.enumerate() {
            if number > 0 {
                counted.push(b',');
            }
            serde_json::to_writer(&mut counted, key).map_err(|_| unwritable())?;
            counted.push(b':');
            serde_json::to_writer(&mut counted, value).map_err(|_| unwritable())?;
        }
        counted.extend_from_slice(b"},\"count\":");
        serde_json::to_writer(&mut counted, count).map_err(|_| unwritable())?;
        counted.push(b'}');
    }
    let mut text = Text::new();
    text.write(&format!("{{\"total\":{},\"groups\":[", groups.total));
    text.write_bytes(&counted);
    text.write(&format!("],\"truncated\":{}", groups.truncated));
    text.members(&origin.sources(), &lasting(&origin.sources))?;
    text.finish(origin)
}

/// Writes the history of a job's counts.
///
/// # Errors
/// As [`jobs`].
pub fn history(
    points: Vec<store::HistoryPoint>,
    origin: &Origin,
) -> Result<CachedResponse, Failure> {
    let points = points.into_iter().map(|point| HistoryPoint {
        at: own_timestamp(point.at),
        counts: point.counts.into(),
    });
    let mut history = JobHistory {
        points: points.collect(),
        as_of: None,
    };
    let lasting = history.clone();
    history.as_of = own_timestamp(origin.as_of);
    let mut text = Text::new();
    text.value(&history, &lasting)?;
    text.finish(origin)
}

/// Writes any other answer of the fleet. Its validator changes with it.
///
/// # Errors
/// As [`jobs`].
pub fn whole(body: &impl Serialize, origin: &Origin) -> Result<CachedResponse, Failure> {
    let mut text = Text::new();
    text.value(body, body)?;
    text.finish(origin)
}

#[cfg(test)]
mod tests;
