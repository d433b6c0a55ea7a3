use std::io::Read as _;

use axum::http::header::ACCEPT_ENCODING;
use axum::http::{HeaderMap, HeaderValue};
use ota_core::clock::{Clock, SystemClock};
use ota_core::context::Moment;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{CachedResponse, ContentCoding};

#[track_caller]
fn check(accepted: &'static str, expected: Option<ContentCoding>) {
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
    assert_eq!(ContentCoding::choose(&headers).ok(), expected, "{accepted}");
}

#[test]
fn the_caller_chooses_the_coding() {
    use ContentCoding::{Brotli, Gzip, Identity};
    assert_eq!(ContentCoding::choose(&HeaderMap::new()).unwrap(), Identity);
    for (accepted, coding) in [
        ("", Identity),
        ("gzip", Gzip),
        ("GZIP", Gzip),
        ("x-gzip", Gzip),
        ("br", Brotli),
        ("gzip, br", Brotli),
        ("gzip, deflate, br, zstd", Brotli),
        ("gzip;q=0.1, br", Brotli),
        ("gzip;q=1.0, br;q=0.5", Gzip),
        ("br;q=0, gzip", Gzip),
        ("*", Brotli),
        ("*;q=0.5, br;q=0", Gzip),
        ("identity", Identity),
        ("identity, gzip;q=0.5", Identity),
        ("identity;q=0.5, gzip;q=0.5", Gzip),
        ("zstd", Identity),
        ("gzip;q=0, br;q=0", Identity),
        ("gzip;q=2, br;q=x", Identity),
        (";;;,,,q=1", Identity),
        ("identity;q=0, gzip", Gzip),
    ] {
        check(accepted, Some(coding));
    }
    for accepted in [
        "identity;q=0",
        "*;q=0",
        "identity;q=0, zstd",
        "*;q=0, gzip;q=0",
    ] {
        check(accepted, None);
    }
}

fn at(wall: OffsetDateTime) -> Moment {
    Moment {
        wall,
        monotonic: SystemClock.monotonic(),
    }
}

/// A page with the fields of the API.
#[derive(Serialize)]
struct Page {
    items: Value,
    total: u32,
    as_of: Option<String>,
    stale: bool,
    truncated: bool,
}

fn page(as_of: OffsetDateTime, items: &Value) -> CachedResponse {
    CachedResponse::dated(at(as_of), |as_of| Page {
        items: items.clone(),
        total: 2,
        as_of,
        stale: false,
        truncated: false,
    })
    .unwrap()
}

/// Rows whose vendor data has fields with the same names as ours.
fn rows() -> Value {
    json!([{"id": "a", "vendor": {"fields": {"stale": false, "as_of": "2026-01-01T00:00:00.000Z"}}}, {"id": "b".repeat(400)}])
}

fn body(rendered: &CachedResponse, stale: bool) -> Value {
    let (form, _) = rendered.form(stale);
    serde_json::from_slice(&form.body(ContentCoding::Identity).0).unwrap()
}

#[test]
fn a_stale_body_differs_in_one_word() {
    let rendered = page(datetime!(2026-01-01 00:00 UTC), &rows());
    let mut expected = body(&rendered, false);
    assert_eq!(expected["stale"], false);
    expected["stale"] = json!(true);
    assert_eq!(body(&rendered, true), expected);
    let etag = |stale| rendered.form(stale).0.etag().clone();
    assert_ne!(etag(false), etag(true));
}

#[test]
fn a_body_that_does_not_tell_its_time_is_never_changed() {
    let job = json!({"id": "a", "vendor": {"fields": {"stale": false}}});
    let rendered = CachedResponse::undated(at(datetime!(2026-01-01 00:00 UTC)), &job).unwrap();
    assert_eq!(body(&rendered, true), job);
    assert_ne!(rendered.form(true).0.etag(), rendered.form(false).0.etag());
}

#[test]
fn the_validator_covers_content_and_not_the_time() {
    let etag = |rendered: &CachedResponse, stale| rendered.form(stale).0.etag().clone();
    let first = page(datetime!(2026-01-01 00:00 UTC), &rows());
    let later = page(datetime!(2026-01-01 00:00:07.5 UTC), &rows());
    let other = page(datetime!(2026-01-01 00:00 UTC), &json!([{"id": "c"}]));
    for stale in [false, true] {
        assert_eq!(etag(&first, stale), etag(&later, stale));
        assert_ne!(etag(&first, stale), etag(&other, stale));
        assert!(etag(&first, stale).to_str().unwrap().starts_with("W/\""));
    }
    assert_ne!(body(&first, false), body(&later, false));
}

#[test]
fn a_received_response_has_both_forms_of_the_one_that_was_sent() {
    let as_of = datetime!(2026-01-01 00:00 UTC);
    let text = "2026-01-01T00:00:00.000Z";
    let job = CachedResponse::undated(at(as_of), &rows()).unwrap();
    for (own, dated) in [(page(as_of, &rows()), true), (job, false)] {
        for sent_stale in [false, true] {
            let sent = own.form(sent_stale).0.body(ContentCoding::Identity).0;
            let received = CachedResponse::received(text, sent, dated, sent_stale).unwrap();
            for stale in [false, true] {
                let (own, received) = (own.form(stale).0, received.form(stale).0);
                assert_eq!(received.headers(), own.headers());
                let coding = ContentCoding::Identity;
                assert_eq!(received.body(coding), own.body(coding));
            }
        }
    }
    let unlike = |as_of: &str, body: &'static str| {
        CachedResponse::received(as_of, body.into(), true, true).unwrap_err()
    };
    for error in [unlike(text, "{}"), unlike("a\nb", "{\"stale\":true}")] {
        assert_eq!(error.kind(), ota_core::ErrorKind::Protocol);
    }
}

#[test]
fn every_form_is_made_once_and_holds_the_same() {
    let rendered = page(datetime!(2026-01-01 00:00 UTC), &rows());
    for stale in [false, true] {
        let (form, _) = rendered.form(stale);
        let plain = form.body(ContentCoding::Identity);
        assert_eq!(plain.1, None);
        for (coding, name) in [(ContentCoding::Gzip, "gzip"), (ContentCoding::Brotli, "br")] {
            assert!(!form.has(coding));
            assert_eq!(form.body(coding), plain, "reading does not compress");
            let made = form.compress(coding);
            assert!(form.has(coding));
            let (compressed, header) = form.body(coding);
            assert_eq!(header.unwrap(), name);
            assert!(made == compressed.len() && made < plain.0.len());
            let mut decompressed = Vec::new();
            match coding {
                ContentCoding::Gzip => {
                    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut decompressed)
                }
                _ => {
                    brotli::Decompressor::new(&compressed[..], 4096).read_to_end(&mut decompressed)
                }
            }
            .unwrap();
            assert_eq!(decompressed, plain.0);
            assert_eq!(form.compress(coding), 0, "compressed once");
        }
    }
}

#[test]
fn what_is_short_is_not_packed() {
    let rendered =
        CachedResponse::undated(at(datetime!(2026-01-01 00:00 UTC)), &json!({"id": "a"}));
    let rendered = rendered.unwrap();
    let (form, _) = rendered.form(false);
    assert!(form.has(ContentCoding::Gzip) && form.compress(ContentCoding::Gzip) == 0);
    assert_eq!(
        form.body(ContentCoding::Gzip),
        form.body(ContentCoding::Identity)
    );
}
