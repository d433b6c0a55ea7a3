//! Misbehaviour on request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fleet::Stream;
use crate::odd;

/// A way to misbehave; the names on the wire are in `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Refuses as if the quota were used up, in the vendor's words.
    Throttle,
    /// Answers 5xx with the vendor's error body.
    GatewayError,
    /// Answers HTTP 200 with the vendor's error body.
    ProductError,
    /// Answers 502 with an HTML page, as a proxy does.
    #[serde(rename = "html_502")]
    Html502,
    #[serde(rename = "html_200")]
    /// Answers 200 with an HTML page, as a captive portal or a wrong port does.
    Html200,
    /// Announces the full body and ends the connection in the middle of it.
    CutBody,
    /// Answers completely, but the JSON or XML text ends in the middle.
    CutJson,
    /// Answers with the right status and no body.
    EmptyBody,
    /// Streams a body of `size_bytes` (default 100 MB).
    HugeBody,
    /// Answers well, but as `text/plain`.
    WrongContentType,
    /// Answers 4xx with an XML error whatever format was asked for.
    #[serde(rename = "xml_4xx")]
    Xml4xx,
    /// Closes the connection without an answer.
    Drop,
    /// Waits `delay_ms` (default 1000) and answers normally.
    Delay,
    /// Never answers until the client goes away.
    Hang,
    /// Refuses the signature and echoes the string to sign with key id and security token (Alibaba).
    EchoSignature,
    /// Refuses the token with 1010005 (Huawei).
    TokenExpired,
    /// Gives one row of the answer a status word that nobody knows.
    UnknownStatus,
    /// Gives one row of the answer a date that cannot be parsed.
    BadDate,
    /// Gives every row of the answer a field that no document mentions.
    UnknownField,
    /// Gives one row of the answer a text with bytes that are not UTF-8.
    BadUtf8,
    /// Gives one row of the answer a text with one half of a surrogate pair.
    HalfSurrogate,
    /// Gives one row of the answer a number that no type holds, in a field that no document mentions.
    HugeNumber,
    /// Gives one row of the answer a value that nests very deep, in a field that no document mentions.
    DeepValue,
    /// Gives one row of the answer a field twice, with two values.
    DoubleName,
    /// Gives a list millions of rows without a field, within what is usually read of one answer.
    ManyRows,
    /// Puts `value` (default null) in the place of the second row of each list.
    NoRow,
    /// Puts `value` (default a text) in the place of each list.
    NoList,
    /// Repeats the first row of each page in the place of the second one.
    RowTwice,
    /// Gives one row of the answer a text of `size_bytes` (default 1 MB) that is hard to search.
    LongText,
    /// Refuses with a text of `size_bytes` (default 1 MB) that is hard to search.
    LongRefusal,
    /// Gives every failed task a text that names much and says no reason.
    VagueText,
    /// Says of every job that it runs, whatever its tasks say.
    StillRunning,
    /// Compresses the answer although nobody asked: `gzip`, or what `coding` says, packed as `packing` says.
    Compress,
    /// Refuses the request's time as one that is missing (Alibaba).
    IllegalTimestamp,
    /// Answers with the rows of the first page whatever page is asked for.
    RepeatPage,
    /// Serves pages of at most `rows` rows (default 4), whatever size is asked for, and says so.
    CapPageSize,
    /// Leaves the page number and the page size out of the answer.
    NoPageEcho,
    /// Writes page number, page size and total as text.
    PageEchoAsText,
    /// Gives the page of number `page` (default 2; the first has number 1) no rows, beside the true total.
    EmptyPage,
    /// Cuts off the last row of each page that does not end the list.
    ShortPage,
    /// Reports another total on every page behind the first: too small on even ones, too large on odd ones.
    ChangingTotal,
    /// Counts a task in two statuses, as happens when one moves between two calls.
    CountedTwice,
    /// Counts a task in no status, as happens when one moves between two calls.
    NotCounted,
    /// Refuses an argument without saying which.
    BadArgument,
    /// Refuses a device, whether one was named or not.
    BadDevice,
    /// Answers 404 with JSON of a proxy that knows no way to the vendor: `value`, or Kong's.
    #[serde(rename = "foreign_404")]
    Foreign404,
    /// Answers 302 to `location`.
    Redirect,
}

/// How [`FaultKind::Compress`] packs an answer in gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// In three members, one behind the other (RFC 1952, section 2.2).
    Members,
    /// With bytes behind it that are no gzip.
    Garbage,
    /// Small on the wire, and some nine million bytes once it is unpacked.
    Bomb,
}

/// One fault to inject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Share of calls that are hit, 0 to 1.
    #[serde(default = "always")]
    pub rate: f64,
    /// The only operation that is hit; every operation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The only calls that are hit: those with this value in one of their parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Calls left that pass before the first is hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// Injections left before the fault is off; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
    /// How long [`FaultKind::Delay`] waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How long the body of [`FaultKind::HugeBody`] is, or the text of [`FaultKind::LongText`] and [`FaultKind::LongRefusal`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where [`FaultKind::Redirect`] points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The largest page of [`FaultKind::CapPageSize`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The page of [`FaultKind::EmptyPage`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// The content coding that [`FaultKind::Compress`] claims; only `gzip` is one that can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coding: Option<String>,
    /// How [`FaultKind::Compress`] packs; as one member when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// What [`FaultKind::NoRow`] and [`FaultKind::NoList`] put in the place of a row or a list; the answer of [`FaultKind::Foreign404`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The code of [`FaultKind::Throttle`] in place of the vendor's documented one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `Retry-After` of the answer, whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// `Date` of the answer in place of the server's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Hits every call.
    #[must_use]
    pub fn always(kind: FaultKind) -> Self {
        Self {
            kind,
            rate: 1.0,
            operation: None,
            about: None,
            after: None,
            remaining: None,
            delay_ms: None,
            size_bytes: None,
            location: None,
            rows: None,
            page: None,
            coding: None,
            packing: None,
            value: None,
            code: None,
            retry_after: None,
            date: None,
        }
    }

    /// Hits the next call only.
    #[must_use]
    pub fn once(kind: FaultKind) -> Self {
        Self::always(kind).times(1)
    }

    /// Is off after `count` injections.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.remaining = Some(count);
        self
    }

    /// Hits only calls of `operation`.
    #[must_use]
    pub fn on(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Hits only calls that have this value in one of their parameters.
    #[must_use]
    pub fn about(mut self, value: impl Into<String>) -> Self {
        self.about = Some(value.into());
        self
    }

    /// Lets this many calls pass before the first is hit.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.after = Some(count);
        self
    }

    /// Hits this share of calls, 0 to 1.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Sets how long [`FaultKind::Delay`] waits.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Sets how long the body of [`FaultKind::HugeBody`] is.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size_bytes = Some(bytes);
        self
    }

    /// Sets the content coding of [`FaultKind::Compress`].
    #[must_use]
    pub fn coding(mut self, coding: impl Into<String>) -> Self {
        self.coding = Some(coding.into());
        self
    }

    /// Sets how [`FaultKind::Compress`] packs.
    #[must_use]
    pub fn packing(mut self, packing: Packing) -> Self {
        self.packing = Some(packing);
        self
    }

    /// Sets what [`FaultKind::NoRow`] and [`FaultKind::NoList`] put in the place of a row or a list, or the answer of [`FaultKind::Foreign404`].
    #[must_use]
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Sets the code of [`FaultKind::Throttle`].
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Sets `Retry-After` of the answer.
    #[must_use]
    pub fn retry_after(mut self, value: impl Into<String>) -> Self {
        self.retry_after = Some(value.into());
        self
    }

    /// Sets `Date` of the answer.
    #[must_use]
    pub fn date(mut self, value: impl Into<String>) -> Self {
        self.date = Some(value.into());
        self
    }

    /// Sets the largest page of [`FaultKind::CapPageSize`].
    #[must_use]
    pub fn rows(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }

    /// Sets the page of [`FaultKind::EmptyPage`], counted from 1.
    #[must_use]
    pub fn page(mut self, page: u64) -> Self {
        self.page = Some(page);
        self
    }

    /// Sets where [`FaultKind::Redirect`] points to.
    #[must_use]
    pub fn location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }
}

/// The status word of [`FaultKind::UnknownStatus`].
const UNKNOWN_STATUS: &str = "ROLLED_BACK";
/// The page size of [`FaultKind::CapPageSize`].
const DEFAULT_CAP: u64 = 4;
/// The page of [`FaultKind::EmptyPage`].
const DEFAULT_EMPTY_PAGE: u64 = 2;
/// The date of [`FaultKind::BadDate`].
const BAD_DATE: &str = "2019-13-45T25:61:00.000Z";
/// The field of [`FaultKind::UnknownField`].
const UNKNOWN_FIELD: &str = "RolloutRing";

/// The text of [`FaultKind::VagueText`]: each word is one that reasons are worded with, and none of them is the reason.
const VAGUE_TEXT: &str = "step 4 of 7: package version 2.1, signature valid, MD5 known, 12 MB of storage free, download timeout set to 30 s, \
    reject list empty, offline mode off, conflict check passed, unsupported options ignored; flash controller busy";

/// How long texts are by default, in bytes.
const LONG_TEXT: u64 = 1_000_000;

/// A text in which a careless search for URLs and for parameters begins anew at each of its words.
fn long_text(fault: &Fault) -> String {
    let half = usize::try_from(fault.size_bytes.unwrap_or(LONG_TEXT) / 2).unwrap_or_default();
    let (url, parameter) = ("a:// ", "signature=,");
    let mut text = url.repeat(half / url.len());
    text.push_str(&parameter.repeat(half / parameter.len()));
    text
}

/// Faults drawn for one call.
#[derive(Debug, Default)]
pub(crate) struct Drawn(Vec<Fault>);

impl Drawn {
    pub(crate) fn get(&self, kind: FaultKind) -> Option<&Fault> {
        self.0.iter().find(|fault| fault.kind == kind)
    }

    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.get(kind).is_some()
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = FaultKind> {
        self.0.iter().map(|fault| fault.kind)
    }

    /// Returns what one of the faults says about a header.
    pub(crate) fn said<'a>(
        &'a self,
        header: impl Fn(&'a Fault) -> Option<&'a String>,
    ) -> Option<&'a str> {
        self.0.iter().find_map(header).map(String::as_str)
    }

    /// Puts something else in the place of rows: another row, what is no row, or a mark for [`FaultKind::ManyRows`].
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
        if let (Some(first), true) = (rows.first_mut(), self.has(FaultKind::ManyRows)) {
            *first = odd::rows();
        }
    }

    /// What stands in the place of a list.
    pub(crate) fn list(&self, list: Value) -> Value {
        match self.get(FaultKind::NoList) {
            Some(fault) => fault.value.clone().unwrap_or_else(|| "a list".into()),
            None => list,
        }
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
            if self.has(FaultKind::HugeNumber) || self.has(FaultKind::DeepValue) {
                first[UNKNOWN_FIELD] = odd::mark();
            }
        }
        if self.has(FaultKind::UnknownField) {
            for row in rows {
                row[UNKNOWN_FIELD] = "added by the vendor".into();
            }
        }
    }
}

/// The faults that are switched on, with a seeded source of choices.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<Switched>);

#[derive(Debug)]
struct Switched {
    faults: Vec<Fault>,
    choices: Stream,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>, seed: u64) -> Self {
        Self(Mutex::new(Switched {
            faults,
            choices: Stream::new(seed ^ 0xFA17),
        }))
    }

    pub(crate) fn set(&self, faults: Vec<Fault>) {
        self.lock().faults = faults;
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    /// Draws the faults of one call. Faults `served` does not accept (kinds that this vendor does not have) are left alone.
    ///
    /// At most one fault decides the whole answer: the first that hits; delays and changed rows come on top.
    pub(crate) fn draw(
        &self,
        operation: &str,
        params: &[(String, String)],
        served: impl Fn(FaultKind) -> bool,
    ) -> Drawn {
        let mut switched = self.lock();
        let Switched { faults, choices } = &mut *switched;
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
            drawn.push(fault.clone());
        }
        Drawn(drawn)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Switched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultKind {
    /// Tells whether the fault leaves nothing of the normal answer, or spoils all of it.
    fn decides(self) -> bool {
        match self {
            Self::Delay
            | Self::UnknownStatus
            | Self::BadDate
            | Self::UnknownField
            | Self::BadUtf8
            | Self::HalfSurrogate
            | Self::HugeNumber
            | Self::DeepValue
            | Self::DoubleName
            | Self::ManyRows
            | Self::NoRow
            | Self::NoList
            | Self::RowTwice
            | Self::LongText
            | Self::VagueText
            | Self::StillRunning
            | Self::Compress
            | Self::RepeatPage
            | Self::CapPageSize
            | Self::NoPageEcho
            | Self::PageEchoAsText
            | Self::EmptyPage
            | Self::ShortPage
            | Self::ChangingTotal
            | Self::CountedTwice
            | Self::NotCounted => false,
            Self::Throttle
            | Self::GatewayError
            | Self::ProductError
            | Self::Html502
            | Self::Html200
            | Self::CutBody
            | Self::CutJson
            | Self::EmptyBody
            | Self::HugeBody
            | Self::WrongContentType
            | Self::Xml4xx
            | Self::Drop
            | Self::Hang
            | Self::EchoSignature
            | Self::TokenExpired
            | Self::BadArgument
            | Self::BadDevice
            | Self::LongRefusal
            | Self::Foreign404
            | Self::IllegalTimestamp
            | Self::Redirect => true,
        }
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

    #[test]
    fn names_on_the_wire_are_the_documented_ones() {
        let fault: Fault =
            serde_json::from_str(r#"{"kind":"xml_4xx","operation":"login","remaining":3}"#)
                .unwrap();
        assert_eq!(fault, Fault::always(FaultKind::Xml4xx).on("login").times(3));
        for (kind, name) in [
            (FaultKind::Html502, "\"html_502\""),
            (FaultKind::Html200, "\"html_200\""),
            (FaultKind::WrongContentType, "\"wrong_content_type\""),
            (FaultKind::EchoSignature, "\"echo_signature\""),
        ] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), name);
        }
    }
}
