//! What the fuzz targets do with their input. Each panics where something that must hold does not.
//!
//! `tests/tests/all/fuzz.rs` includes this file and runs every target over its seeds, so that no target rots while no one fuzzes.

pub mod adapters;
mod target;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ota_api::cursor as gateway_cursor;
use ota_api::parameters::{Paging, Query};
use ota_api::query::MAX_PAGE_SIZE;
use ota_core::Error;
use ota_core::job::JobStatus;
use ota_core::paging::{Fetched, Pager, Position, Window};
use ota_core::provider::Cursor;
use ota_gateway::routes::list_jobs::Jobs;
use ota_gateway::routes::list_tasks::Tasks;
use ota_http::{encode, redact};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

use adapters::ADAPTERS;
pub use target::Target;

/// Every target by its name: those of the adapters, and those that know no vendor.
pub fn targets() -> Vec<(&'static str, Target)> {
    let shared: [(&str, Target); 4] = [
        ("cursor", cursor),
        ("json", json),
        ("query", query),
        ("redact", redact),
    ];
    let adapters = ADAPTERS.iter().flat_map(|targets| targets.iter().copied());
    adapters.chain(shared).collect()
}

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// Cursors as callers send them, and the positions inside.
pub fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = gateway_cursor::decode(text, "list", NOW);
    let written = gateway_cursor::encode(&Cursor(text.to_owned()), "list", NOW);
    let read = gateway_cursor::decode(&written, "list", NOW);
    let fits = written.len() <= gateway_cursor::MAX_CHARS;
    assert_eq!(
        read.ok().map(|cursor| cursor.0 == text),
        fits.then_some(true)
    );
    assert!(gateway_cursor::decode(&written, "another list", NOW).is_err());

    // The checksum is no secret, so a provider must take any text.
    if let Some(from) = Position::decode(text) {
        assert_eq!(from.encode(), text, "one position has one cursor");
        list(from);
    }
}

/// Goes on from a position in three lists of 250 rows.
fn list(from: Position) {
    let pager = Pager {
        segments: 3,
        from,
        page_size: 50,
        max_vendor_page: 100,
        limit: None,
        max_calls: 5,
        spent: 0,
        filtered: false,
    };
    let fetch = |segment: u32, window: Window| -> ota_core::BoxFuture<'static, _> {
        let start = window.index * u64::from(window.size);
        let rows = (start..start + u64::from(window.size)).filter(|row| *row < 250);
        let rows = rows.map(|row| format!("{segment}/{row}")).collect();
        Box::pin(async move {
            let total = Some(250);
            Ok::<_, Error>(Fetched {
                rows,
                total,
                size: None,
            })
        })
    };
    let mut paged = pin!(pager.run(fetch, |row: &String| row, |_| true));
    let Poll::Ready(paged) = paged.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing of it waits");
    };
    assert!(paged.is_ok_and(|paged| paged.rows.len() <= 50 && paged.next != Some(from)));
}

/// JSON as vendors send it, before anything is known of its shape.
pub fn json(data: &[u8]) {
    let Ok(document) = ota_http::json::read(data) else {
        // What is read strictly is read leniently, unless there is far too much of it.
        assert!(serde_json::from_slice::<Value>(data).is_err() || data.len() > 10_000);
        return;
    };
    assert!(document.budget.spent() <= ota_http::json::Budget::MAX_BYTES);
    assert!(document.odd.fields().count() <= 100);
    // What was read can be written and is read again without a surprise.
    let written = document.value.to_string();
    if let Ok(again) = ota_http::json::read(written.as_bytes()) {
        assert_eq!(again.odd.fields().count(), 0, "{written}");
        assert_eq!(again.value, document.value);
    }
}

/// Texts of vendors before they are shown.
pub fn redact(data: &[u8]) {
    const SECRET: &str = "s3cret/value+1=";
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = redact::urls(text);
    let shown = redact::secrets(text, [SECRET], 300);
    assert!(shown.chars().count() <= 301);
    let once = encode::percent_encode(SECRET);
    for form in [SECRET, &once, &encode::percent_encode(&once)] {
        assert!(!shown.contains(form), "{shown}");
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let _ = redact::value(value);
    }
}

/// The query of a request.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(Query((Jobs(filter), paging))) = Query::<(Jobs, Paging)>::parse(Some(text)) {
        assert!(filter.status.is_sorted(), "each question has one form");
        assert!(filter.status.len() <= JobStatus::ALL.len(), "none twice");
        let size = paging.page_size.up_to(MAX_PAGE_SIZE).expect("was read");
        assert!((1..=MAX_PAGE_SIZE).contains(&size));
    }
    if let Ok(Query((Tasks(filter), _))) = Query::<(Tasks, Paging)>::parse(Some(text)) {
        let names = filter.device_names;
        assert!(names.len() <= 50 && names.iter().all(|name| !name.as_str().is_empty()));
    }
}
