//! Counting tasks in groups: by the combinations, or by the counters of jobs, all in memory; rows are read only for what neither knows.

use std::collections::{HashMap, HashSet};

use ota_core::task::{Failure, TaskStage, TaskStatus};

use crate::codes::Code;
use crate::combination::{Combination, Numbers, Values};
use crate::connection::Connection;
use crate::error::Result;
use crate::fleet::{Groups, TaskKey, TaskQuery};
use crate::job_counters;
use crate::scope::{Source, by_number};
use crate::selection::{Selection, Target, target};
use crate::task_filter::TaskFilter;
use crate::value::{Value, params, run_params};

/// The most keys of a question.
const KEYS: usize = 3;

/// The values of a group's keys as numbers: of words their codes, of texts their places among the texts.
type Key = [i64; KEYS];

/// Counts tasks.
pub(crate) async fn of_tasks(
    connection: &mut Connection,
    query: &TaskQuery,
    by: &[TaskKey],
    limit: u32,
) -> Result<Groups> {
    let mut groups = grouped(connection, query, by, limit).await?;
    if query.providers.len() > 1 && by.contains(&TaskKey::JobId) && !by.contains(&TaskKey::Provider)
    {
        groups.merge_equal();
    }
    Ok(groups)
}

impl Groups {
    /// Makes one of groups with equal keys, where jobs were counted by their numbers: jobs of different providers may have the same identifier.
    fn merge_equal(&mut self) {
        let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
        let mut merged: Vec<(Vec<Option<String>>, u64)> = Vec::with_capacity(self.groups.len());
        for (keys, count) in std::mem::take(&mut self.groups) {
            match places.get(&keys).and_then(|place| merged.get_mut(*place)) {
                Some((_, sum)) => *sum += count,
                None => {
                    places.insert(keys.clone(), merged.len());
                    merged.push((keys, count));
                }
            }
        }
        merged.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.groups = merged;
    }
}

async fn grouped(
    connection: &mut Connection,
    query: &TaskQuery,
    by: &[TaskKey],
    limit: u32,
) -> Result<Groups> {
    let filter = TaskFilter::new(query);
    let Some(target) = target(connection, query, &filter).await? else {
        return Ok(Groups::default());
    };
    let selection = Selection::new(connection, &target, &filter).await?;
    let mut counted = Counted::new(by, &target, &selection);
    if !filter.is_counted() {
        count_rows(connection, &target, &filter, &selection, &mut counted).await?;
    } else if let Some((source, job)) = target.job {
        count_of_job(connection, &target, (source, job), &mut counted).await?;
    } else if let Some(place) = counted.job {
        return by_job(connection, &target, &selection, counted, (place, limit)).await;
    } else {
        for (combination, number) in selection.numbers(target.gone) {
            counted.add(combination, 0, number);
        }
    }
    let groups = counted.groups.drain().collect();
    let Some(place) = counted.job else {
        return Ok(counted.ranked(groups, &[], limit));
    };
    let jobs = jobs(&groups, place);
    let mut groups = counted.ranked(groups, &[], limit);
    name_jobs(connection, &target, &mut groups, place, jobs).await?;
    Ok(groups)
}

/// Reads the counters of the only job that is asked for.
async fn count_of_job(
    connection: &mut Connection,
    target: &Target,
    (source, job): (i64, i64),
    counted: &mut Counted<'_>,
) -> Result<()> {
    let sql =
        "SELECT combination, present, vanished FROM task_counts WHERE source = $1 AND job = $2";
    let rows = connection.query(sql, &params![source, job]).await?;
    for row in rows {
        let numbers = Numbers {
            present: row.int(1),
            vanished: row.int(2),
        };
        counted.add(row.int(0), job, numbers.covered(target.gone));
    }
    Ok(())
}

/// Counts by job, which is the key at `place`, and by other keys, from the counters of all jobs in memory.
async fn by_job(
    connection: &mut Connection,
    target: &Target,
    selection: &Selection,
    counted: Counted<'_>,
    (place, limit): (usize, u32),
) -> Result<Groups> {
    let mut read = Vec::new();
    for source in &target.sources {
        let known = selection.known(source.pk);
        let counters = job_counters::of_source(connection, source, known).await?;
        read.push((known, counters));
    }
    let mut groups: Vec<(Key, i64)> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (known, of_source) in &read {
        let key = |combination: &Combination| counted.of_combination.get(&combination.pk);
        let keys: Vec<Option<&Key>> = known.iter().map(key).collect();
        // Groups of different jobs are different, and a job has few: they are compared and not hashed.
        for of_job in of_source.counters.chunk_by(|a, b| a.job == b.job) {
            let first = groups.len();
            let Some(job) = of_job.first().map(|counter| counter.job as usize) else {
                continue;
            };
            let number = i64::try_from(names.len() + job + 1).unwrap_or(i64::MAX);
            for counter in of_job {
                let count = counter.numbers.covered(target.gone);
                let Some(key) = keys.get(counter.combination as usize).copied().flatten() else {
                    continue;
                };
                let mut key = *key;
                if let Some(place) = key.get_mut(place) {
                    *place = number;
                }
                let added = groups.get_mut(first..).unwrap_or_default();
                match added.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, sum)) => *sum += count,
                    None => groups.push((key, count)),
                }
            }
        }
        names.extend(of_source.jobs.iter().map(String::as_str));
    }
    if read.len() > 1 && !counted.keys.contains(&TaskKey::Provider) {
        groups = unite_jobs(groups, &names, place);
    }
    Ok(counted.ranked(groups, &names, limit))
}

/// Makes one job of those of different providers that have the same identifier. `place` is that of the job in the keys.
fn unite_jobs(mut groups: Vec<(Key, i64)>, names: &[&str], place: usize) -> Vec<(Key, i64)> {
    let mut first: HashMap<&str, i64> = HashMap::with_capacity(names.len());
    let numbers: Vec<i64> = (1..)
        .zip(names)
        .map(|(number, name)| *first.entry(name).or_insert(number))
        .collect();
    if first.len() == names.len() {
        return groups;
    }
    let mut united: HashMap<Key, i64> = HashMap::with_capacity(groups.len());
    for (mut key, count) in groups.drain(..) {
        if let Some(job) = key.get_mut(place) {
            let known = usize::try_from(*job - 1)
                .ok()
                .and_then(|job| numbers.get(job));
            *job = known.copied().unwrap_or(*job);
        }
        *united.entry(key).or_insert(0) += count;
    }
    united.into_iter().collect()
}

/// Reads rows, or the entries of an index that holds what is asked for.
async fn count_rows(
    connection: &mut Connection,
    target: &Target,
    filter: &TaskFilter,
    selection: &Selection,
    counted: &mut Counted<'_>,
) -> Result<()> {
    let job = if counted.job.is_some() { "job" } else { "0" };
    let group = if counted.job.is_some() { ", job" } else { "" };
    let is_open = selection.is_open();
    let mut runs = Vec::new();
    let mut conditions = format!("{} = $1 AND gone = $2", target.owner());
    let lists = filter.has_values() && !is_open;
    if is_open {
        conditions.push_str(" AND status = $3 AND status < 3");
    } else if lists {
        conditions.push_str(&format!(" AND combination {}", connection.one_of(3)));
    }
    for (source, scope) in target.scopes() {
        if is_open {
            for part in selection.parts.iter().filter(|part| part.source == source) {
                let mut params = scope.clone();
                params.push(Value::Int(part.status));
                runs.push(params);
            }
        } else {
            let mut params = scope;
            if lists {
                params.push(Value::Ints(selection.of_source(source)));
            }
            runs.push(params);
        }
    }
    let rest = filter.conditions(2 + usize::from(is_open || lists), connection.is_sqlite());
    for params in &mut runs {
        params.extend(rest.params().iter().cloned());
    }
    let sql = format!(
        "SELECT combination, {job}, count(*) FROM tasks WHERE {conditions}{} GROUP BY combination{group}",
        rest.text()
    );
    for row in connection.query_many(&sql, &runs).await?.iter().flatten() {
        counted.add(row.int(0), row.int(1), row.int(2));
    }
    Ok(())
}

/// Groups while they are counted.
struct Counted<'a> {
    keys: Vec<TaskKey>,
    /// Which of the keys is the job.
    job: Option<usize>,
    /// The values of the keys that each matching combination has, but for the job.
    of_combination: HashMap<i64, Key>,
    texts: Texts<'a>,
    groups: HashMap<Key, i64>,
}

impl<'a> Counted<'a> {
    fn new(by: &[TaskKey], target: &'a Target, selection: &'a Selection) -> Self {
        let mut texts = Texts::default();
        let keys: Vec<_> = by.iter().copied().take(KEYS).collect();
        let mut of_combination = HashMap::new();
        for (source, combination) in selection.matching_combinations() {
            let source = target.sources.iter().find(|of| of.pk == source);
            let mut key = Key::default();
            for (place, by) in key.iter_mut().zip(&keys) {
                *place = texts.value(*by, source, &combination.values);
            }
            of_combination.insert(combination.pk, key);
        }
        Self {
            job: keys.iter().position(|key| *key == TaskKey::JobId),
            keys,
            of_combination,
            texts,
            groups: HashMap::new(),
        }
    }

    /// Adds tasks of a job; nothing if their combination does not match.
    fn add(&mut self, combination: i64, job: i64, number: i64) {
        let Some(key) = self.of_combination.get(&combination) else {
            return;
        };
        let mut key = *key;
        if let Some(place) = self.job.and_then(|place| key.get_mut(place)) {
            *place = job;
        }
        *self.groups.entry(key).or_insert(0) += number;
    }

    /// Returns the largest groups, equal ones by their keys. Jobs are told by their places among `names`, from 1 on, and by their numbers where there are none.
    fn ranked(self, mut groups: Vec<(Key, i64)>, names: &[&str], limit: u32) -> Groups {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        groups.retain(|(_, count)| *count > 0);
        let total: i64 = groups.iter().map(|(_, count)| count).sum();
        let truncated = groups.len() > limit;
        if truncated && limit > 0 {
            // Of those as large as the last one that is shown, the keys decide.
            let largest_first = |(_, count): &(Key, i64)| std::cmp::Reverse(*count);
            let (_, last, _) = groups.select_nth_unstable_by_key(limit - 1, largest_first);
            let least = last.1;
            groups.retain(|(_, count)| *count >= least);
        }
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|(key, count)| {
                let keys = self.keys.iter().zip(key);
                let texts = keys.map(|(by, value)| self.texts.text(*by, value, names));
                (
                    texts.collect::<Vec<_>>(),
                    u64::try_from(count).unwrap_or_default(),
                )
            })
            .collect();
        groups.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        groups.truncate(limit);
        Groups {
            total: u64::try_from(total).unwrap_or_default(),
            groups,
            truncated,
        }
    }
}

/// Returns how many jobs there are in groups.
fn jobs(groups: &[(Key, i64)], place: usize) -> usize {
    let numbers = groups.iter().filter_map(|(key, _)| key.get(place));
    numbers.collect::<HashSet<_>>().len()
}

/// Texts with a number each; 0 is none.
#[derive(Default)]
struct Texts<'a> {
    numbers: HashMap<&'a str, i64>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    fn number(&mut self, text: &'a str) -> i64 {
        if text.is_empty() {
            return 0;
        }
        let next = i64::try_from(self.texts.len() + 1).unwrap_or(i64::MAX);
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        number
    }

    /// Returns the value of a key as a number.
    fn value(&mut self, key: TaskKey, source: Option<&'a Source>, values: &'a Values) -> i64 {
        match key {
            TaskKey::Provider => self.number(source.map_or("", |source| &source.name)),
            TaskKey::Vendor => self.number(source.map_or("", |source| &source.vendor)),
            TaskKey::Status => values.status,
            TaskKey::Stage => values.stage,
            TaskKey::Failure => values.failure,
            TaskKey::JobId => 0,
            TaskKey::ProductId => self.number(&values.product_id),
            TaskKey::FromVersion => self.number(&values.from_version),
            TaskKey::ToVersion => self.number(&values.to_version),
        }
    }

    /// Returns the text of a key's value; of a job its name, or its number where there are no names.
    fn text(&self, key: TaskKey, value: i64, names: &[&str]) -> Option<String> {
        match key {
            TaskKey::Status => word(value, TaskStatus::as_str),
            TaskKey::Stage => word(value, TaskStage::as_str),
            TaskKey::Failure => word(value, Failure::as_str),
            TaskKey::JobId if names.is_empty() => Some(value.to_string()),
            TaskKey::JobId => {
                let place = usize::try_from(value - 1).ok()?;
                names.get(place).map(|name| (*name).to_owned())
            }
            TaskKey::Provider
            | TaskKey::Vendor
            | TaskKey::ProductId
            | TaskKey::FromVersion
            | TaskKey::ToVersion => {
                let place = usize::try_from(value - 1).ok()?;
                self.texts.get(place).map(|text| (*text).to_owned())
            }
        }
    }
}

fn word<C: Code>(code: i64, text: impl Fn(C) -> &'static str) -> Option<String> {
    C::from_code(code).map(|word| text(word).to_owned())
}

/// Where more than one in so many jobs is named, all names are read from their index in a row: a search for each, and a row of a kilobyte, cost more.
const FEW: usize = 8;

/// Puts identifiers in the place of the numbers of jobs; `jobs` have been counted, also in groups that are not shown.
async fn name_jobs(
    connection: &mut Connection,
    target: &Target,
    groups: &mut Groups,
    place: usize,
    jobs: usize,
) -> Result<()> {
    let number = |keys: &[Option<String>]| {
        keys.get(place)
            .and_then(|key| key.as_deref())
            .and_then(|key| key.parse::<i64>().ok())
    };
    let numbers: HashSet<_> = groups
        .groups
        .iter()
        .filter_map(|(keys, _)| number(keys))
        .collect();
    let rows = match numbers.len().saturating_mul(FEW) > jobs && target.job.is_none() {
        true => {
            let sources: Vec<_> = target
                .sources
                .iter()
                .map(|source| run_params![source.pk])
                .collect();
            let sql = "SELECT pk, id FROM jobs WHERE source = $1";
            let answers = connection.query_many(sql, &sources).await?;
            answers.into_iter().flatten().collect()
        }
        false => {
            let numbers: Vec<_> = numbers.into_iter().collect();
            by_number(connection, "SELECT pk, id FROM jobs WHERE pk", &numbers).await?
        }
    };
    let names: HashMap<_, _> = rows
        .into_iter()
        .map(|mut row| (row.int(0), row.take(1)))
        .collect();
    for (keys, _) in &mut groups.groups {
        let name = number(keys).and_then(|number| names.get(&number).cloned());
        if let Some(key) = keys.get_mut(place) {
            *key = name;
        }
    }
    groups
        .groups
        .sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(())
}
