//! Which faults hit a call, and what they do to its rows.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::fault::{Fault, FaultKind};
use crate::fleet::{Job, Stream};
use crate::odd;

/// The status value of [`FaultKind::UnknownStatus`].
const UNKNOWN_STATUS: &str = "ROLLED_BACK";
/// The page size of [`FaultKind::CapPageSize`].
const DEFAULT_CAP: u64 = 4;
/// The page of [`FaultKind::EmptyPage`].
const DEFAULT_EMPTY_PAGE: u64 = 2;
/// The date of [`FaultKind::BadDate`].
const BAD_DATE: &str = "2019-13-45T25:61:00.000Z";
/// The field of [`FaultKind::UnknownField`].
const UNKNOWN_FIELD: &str = "RolloutRing";

/// The text of [`FaultKind::VagueText`]: it has words that occur in reasons of failures, but states no reason.
const VAGUE_TEXT: &str = "step 4 of 7: package version 2.1, signature valid, MD5 known, 12 MB of storage free, download timeout set to 30 s, \
    reject list empty, offline mode off, conflict check passed, unsupported options ignored; flash controller busy";

/// How long texts are by default, in bytes.
const LONG_TEXT: u64 = 1_000_000;

/// A text in which a naive search for URLs and parameters restarts at each word.
fn long_text(fault: &Fault) -> String {
    let half = usize::try_from(fault.size_bytes.unwrap_or(LONG_TEXT) / 2).unwrap_or_default();
    let (url, parameter) = ("a:// ", "signature=,");
    let mut text = url.repeat(half / url.len());
    text.push_str(&parameter.repeat(half / parameter.len()));
    text
}

/// Faults drawn for one call.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    faults: Vec<Fault>,
    /// How often [`FaultKind::UnstableOrder`] was drawn before.
    turns: u64,
}

impl Drawn {
    pub(crate) fn get(&self, kind: FaultKind) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.kind == kind)
    }

    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.get(kind).is_some()
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = FaultKind> {
        self.faults.iter().map(|fault| fault.kind)
    }

    /// Returns what one of the faults says about a header.
    pub(crate) fn said<'a>(
        &'a self,
        header: impl Fn(&'a Fault) -> Option<&'a String>,
    ) -> Option<&'a str> {
        self.faults.iter().find_map(header).map(String::as_str)
    }

    /// Puts something else in the place of rows: another row, what is not a row, or a mark for [`FaultKind::ManyRows`].
    ///
    /// A list without rows stays as it is, and the first row stays a row.
    pub(crate) fn replace_rows(&self, rows: &mut [Value]) {
        if let [first, second, ..] = rows {
            if self.has(FaultKind::RowTwice) {
                *second = first.clone();
            }
            if let Some(fault) = self.get(FaultKind::NoRow) {
                *second = fault.value.clone().unwrap_or_default();
            }
        }
        if self.has(FaultKind::UnstableOrder) && self.turns % 2 == 1 {
            rows.reverse();
        }
        if let (Some(first), true) = (rows.first_mut(), self.has(FaultKind::ManyRows)) {
            *first = odd::rows();
        }
    }

    /// What replaces a list.
    pub(crate) fn list(&self, list: Value) -> Value {
        match self.get(FaultKind::NoList) {
            Some(fault) => fault.value.clone().unwrap_or_else(|| "a list".into()),
            None => list,
        }
    }

    /// Returns the job that a lookup answers with: the one that was asked for, or with [`FaultKind::AnotherJob`] the first other one that there is.
    pub(crate) fn job<'a>(&self, asked: &'a Job, all: Vec<&'a Job>) -> &'a Job {
        let mut others = all.into_iter().filter(|job| job.id != asked.id);
        let other = others.next().filter(|_| self.has(FaultKind::AnotherJob));
        other.unwrap_or(asked)
    }

    /// Puts the vendor's word for "it runs" into the rows of jobs.
    pub(crate) fn keep_running(&self, rows: &mut [Value], status: &str, word: &str) {
        if self.has(FaultKind::StillRunning) {
            for row in rows {
                row[status] = word.into();
            }
        }
    }

    /// Puts a text without a reason into the rows of failed tasks.
    pub(crate) fn blur(&self, rows: &mut [Value], status: &str, text: &str) {
        if !self.has(FaultKind::VagueText) {
            return;
        }
        for row in rows {
            let failed = |word: &str| word.to_ascii_lowercase().starts_with("fail");
            if row[status].as_str().is_some_and(failed) {
                row[text] = VAGUE_TEXT.into();
            }
        }
    }

    /// The text of [`FaultKind::LongRefusal`].
    pub(crate) fn long_refusal(&self) -> Option<String> {
        self.get(FaultKind::LongRefusal).map(long_text)
    }

    /// The page size in force where this one is asked for.
    pub(crate) fn capped(&self, size: u64) -> u64 {
        match self.get(FaultKind::CapPageSize) {
            Some(fault) => size.min(fault.rows.unwrap_or(DEFAULT_CAP).max(1)),
            None => size,
        }
    }

    /// Takes rows out of a page that counts from 1 and has `offset` rows before it; returns the total to report.
    pub(crate) fn misplace(
        &self,
        number: u64,
        offset: u64,
        total: u64,
        rows: &mut Vec<Value>,
    ) -> u64 {
        if let Some(fault) = self.get(FaultKind::EmptyPage)
            && fault.page.unwrap_or(DEFAULT_EMPTY_PAGE) == number
        {
            rows.clear();
        }
        if self.has(FaultKind::ShortPage) && rows.len() > 1 && offset + (rows.len() as u64) < total
        {
            rows.pop();
        }
        match number {
            n if n < 2 || !self.has(FaultKind::ChangingTotal) => total,
            n if n.is_multiple_of(2) => total / 2,
            _ => total + 7,
        }
    }

    /// The first row of a page of number `number`, counted from 1, that by the rules begins at `offset`.
    pub(crate) fn begin(&self, number: u64, offset: u64) -> u64 {
        match self.has(FaultKind::MovedPage) && number > 1 {
            true => offset.saturating_sub(1),
            false => offset,
        }
    }

    /// By how many tasks a count is off.
    pub(crate) fn moved(&self, count: u64) -> u64 {
        match count {
            0 => 0,
            count if self.has(FaultKind::CountedTwice) => count + 1,
            count if self.has(FaultKind::NotCounted) => count - 1,
            count => count,
        }
    }

    /// Changes what an answer says about its page: the names of numbers that are left out or written as text, and the total's.
    pub(crate) fn echo(&self, answer: &mut Map<String, Value>, names: &[&str], total: &str) {
        if self.has(FaultKind::NoPageEcho) {
            answer.retain(|name, _| !names.contains(&name.as_str()));
        }
        if self.has(FaultKind::PageEchoAsText) {
            for (name, value) in answer.iter_mut() {
                if value.is_number() && (name == total || names.contains(&name.as_str())) {
                    *value = Value::String(value.to_string());
                }
            }
        }
    }

    /// Changes rows of an answer: the first row for a status, a date or a text, every row for a field.
    pub(crate) fn spoil(&self, rows: &mut [Value], status: &str, date: &str, text: &str) {
        if let Some(first) = rows.first_mut() {
            if self.has(FaultKind::UnknownStatus) {
                first[status] = UNKNOWN_STATUS.into();
            }
            if self.has(FaultKind::BadDate) {
                first[date] = BAD_DATE.into();
            }
            let in_text = [
                FaultKind::BadUtf8,
                FaultKind::HalfSurrogate,
                FaultKind::DoubleName,
            ];
            if in_text.into_iter().any(|kind| self.has(kind)) {
                first[text] = odd::mark();
            }
            if let Some(fault) = self.get(FaultKind::LongText) {
                first[text] = long_text(fault).into();
            }
            if let (true, Some(fields)) = (self.has(FaultKind::NullObject), first.as_object_mut()) {
                for value in fields.values_mut().filter(|value| value.is_object()) {
                    *value = Value::Null;
                }
            }
            if self.has(FaultKind::HugeNumber) || self.has(FaultKind::DeepValue) {
                first[UNKNOWN_FIELD] = odd::mark();
            }
        }
        if let Some(field) = self
            .get(FaultKind::LeaveOut)
            .and_then(|fault| fault.value.as_ref())
        {
            let path: Vec<&str> = field.as_str().unwrap_or_default().split('.').collect();
            rows.iter_mut().for_each(|row| leave_out(row, &path));
        }
        if self.has(FaultKind::UnknownField) {
            for row in rows {
                row[UNKNOWN_FIELD] = "added by the vendor".into();
            }
        }
    }
}

/// Removes a field; every step of the path but the last leads into an object.
fn leave_out(row: &mut Value, path: &[&str]) {
    match (path, row.as_object_mut()) {
        ([name], Some(fields)) => drop(fields.remove(*name)),
        ([name, rest @ ..], Some(fields)) => {
            if let Some(inner) = fields.get_mut(*name) {
                leave_out(inner, rest);
            }
        }
        _ => {}
    }
}

/// The faults that are switched on, with a seeded source of choices.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<Switched>);

#[derive(Debug)]
struct Switched {
    faults: Vec<Fault>,
    choices: Stream,
    turns: u64,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>, seed: u64) -> Self {
        Self(Mutex::new(Switched {
            faults,
            choices: Stream::new(seed ^ 0xFA17),
            turns: 0,
        }))
    }

    pub(crate) fn set(&self, faults: Vec<Fault>) {
        self.lock().faults = faults;
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    /// Draws the faults of one call. Faults `served` does not accept (kinds that this vendor does not have) are ignored.
    ///
    /// At most one fault decides the whole answer: the first that hits; delays and changed rows come on top.
    pub(crate) fn draw(
        &self,
        operation: &str,
        params: &[(String, String)],
        served: impl Fn(FaultKind) -> bool,
    ) -> Drawn {
        let mut switched = self.lock();
        let Switched {
            faults,
            choices,
            turns,
        } = &mut *switched;
        let before = *turns;
        let mut drawn = Vec::new();
        let mut decided = false;
        for fault in faults.iter_mut() {
            let matches = fault
                .operation
                .as_deref()
                .is_none_or(|only| only == operation)
                && fault
                    .about
                    .as_ref()
                    .is_none_or(|about| params.iter().any(|(_, value)| value == about));
            if !matches || fault.remaining == Some(0) || !served(fault.kind) {
                continue;
            }
            if let Some(left) = fault.after.as_mut().filter(|left| **left > 0) {
                *left -= 1;
                continue;
            }
            if (decided && fault.kind.decides()) || choices.unit() >= fault.rate {
                continue;
            }
            if let Some(remaining) = &mut fault.remaining {
                *remaining -= 1;
            }
            decided |= fault.kind.decides();
            *turns += u64::from(fault.kind == FaultKind::UnstableOrder);
            drawn.push(fault.clone());
        }
        Drawn {
            faults: drawn,
            turns: before,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Switched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_off_after_its_injections() {
        let faults = Faults::new(vec![Fault::always(FaultKind::Drop).times(2)], 1);
        let hits = (0..5).filter(|_| faults.draw("x", &[], |_| true).has(FaultKind::Drop));
        assert_eq!(hits.count(), 2);
    }

    #[test]
    fn calls_pass_before_the_first_is_hit_and_others_are_not_counted() {
        let broken = Fault::always(FaultKind::Drop).about("p2").after(1);
        let faults = Faults::new(vec![broken], 1);
        let hit = |value: &str| {
            let params = [("FirmwareId".to_owned(), value.to_owned())];
            faults.draw("x", &params, |_| true).has(FaultKind::Drop)
        };
        let hits = ["p1", "p1", "p2", "p1", "p2", "p2"].map(hit);
        assert_eq!(hits, [false, false, false, false, true, true]);
    }

    #[test]
    fn same_seed_makes_the_same_choices() {
        let draw = |seed| {
            let faults = Faults::new(vec![Fault::always(FaultKind::Drop).rate(0.5)], seed);
            (0..64)
                .map(|_| faults.draw("x", &[], |_| true).has(FaultKind::Drop))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).contains(&true) && draw(7).contains(&false));
    }
}
