//! The faults that can be requested, and how they are written.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A way to misbehave; the names on the wire are in `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Refuses as if the quota were used up, with the vendor's error.
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
    /// Answers 4xx with an XML error, for any requested format.
    #[serde(rename = "xml_4xx")]
    Xml4xx,
    /// Closes the connection without an answer.
    Drop,
    /// Waits `delay_ms` (default 1000) and answers normally.
    Delay,
    /// Never answers until the client goes away.
    Hang,
    /// Refuses the signature and echoes the string to sign, with key id and security token (vendors with signed calls).
    EchoSignature,
    /// Refuses the token as one that has expired (vendors that hand out tokens).
    TokenExpired,
    /// Gives one row of the answer an unknown status value.
    UnknownStatus,
    /// Gives one row of the answer a date that cannot be parsed.
    BadDate,
    /// Gives every row of the answer a field that no document mentions.
    UnknownField,
    /// Leaves the field that `value` names out of every row of the answer; dots lead into objects.
    LeaveOut,
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
    /// Refuses with a text that repeats the whole request: target, headers and body, credentials among them.
    EchoRequest,
    /// Gives one row of the answer `null` in the place of each of its objects.
    NullObject,
    /// Begins every page behind the first one row early, as when a row was added in front of the list between two calls.
    MovedPage,
    /// Turns the order of the rows around in every second answer that it hits.
    UnstableOrder,
    /// Answers a lookup of one job with another job.
    AnotherJob,
    /// Gives every failed task a text from which no reason can be read.
    VagueText,
    /// Reports every job as running, regardless of its tasks.
    StillRunning,
    /// Compresses the answer without being asked: as `gzip` or `coding`, in the form that `packing` names.
    Compress,
    /// Refuses the request's time as one that is missing (vendors with signed calls).
    IllegalTimestamp,
    /// Returns the rows of the first page for every page.
    RepeatPage,
    /// Serves pages of at most `rows` rows (default 4) for every requested size, and reports that size.
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
    /// Answers 404 with JSON of a proxy that has no route to the vendor: `value`, or Kong's.
    #[serde(rename = "foreign_404")]
    Foreign404,
    /// Answers 302 to `location`.
    Redirect,
}

/// The form in which [`FaultKind::Compress`] compresses an answer with gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// In three members, one behind the other (RFC 1952, section 2.2).
    Members,
    /// With bytes behind it that are no gzip.
    Garbage,
    /// Small on the wire, and about nine million bytes after decoding.
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
    /// The form of [`FaultKind::Compress`]; one member when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// What [`FaultKind::NoRow`] and [`FaultKind::NoList`] put in the place of a row or a list; the answer of [`FaultKind::Foreign404`];
    /// the field of [`FaultKind::LeaveOut`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The code of [`FaultKind::Throttle`] in place of the vendor's documented one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `Retry-After` of the answer, of any kind.
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

    /// Sets the form of [`FaultKind::Compress`].
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

impl FaultKind {
    /// Returns whether the server injects the fault without the help of a vendor's module.
    pub(crate) fn is_of_transport(self) -> bool {
        matches!(
            self,
            Self::Html502
                | Self::Html200
                | Self::CutBody
                | Self::CutJson
                | Self::EmptyBody
                | Self::HugeBody
                | Self::WrongContentType
                | Self::Drop
                | Self::Delay
                | Self::Hang
                | Self::Compress
                | Self::Foreign404
                | Self::Redirect
        )
    }

    /// Returns whether the fault replaces the normal answer, or damages all of it.
    pub(crate) fn decides(self) -> bool {
        match self {
            Self::Delay
            | Self::UnknownStatus
            | Self::BadDate
            | Self::UnknownField
            | Self::LeaveOut
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
            | Self::NotCounted
            | Self::NullObject
            | Self::MovedPage
            | Self::UnstableOrder
            | Self::AnotherJob => false,
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
            | Self::EchoRequest
            | Self::Redirect => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
