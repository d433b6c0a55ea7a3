//! A machine whose clock is off.

use axum::response::Response;
use ota_core::error::Retry;
use ota_core::id::JobId;
use ota_core::provider::{GetJob, JobReader};
use ota_core::{ErrorKind, Result};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::server::{Seen, Server, answer, context, json_answer};

/// A vendor two hours ahead of this machine, who takes a request that is at most 15 minutes off.
const AHEAD: Duration = Duration::hours(2);

fn vendors_time() -> OffsetDateTime {
    let now = ota_core::clock::Clock::now(&ota_core::clock::SystemClock);
    now + AHEAD
}

fn http_date(time: OffsetDateTime) -> String {
    httpdate::fmt_http_date(time.into())
}

fn answer_by_time(seen: &Seen, date: Option<String>) -> Response {
    refuse_by_time("InvalidTimeStamp.Expired", seen, date)
}

fn refuse_by_time(code: &str, seen: &Seen, date: Option<String>) -> Response {
    let header = seen.headers.get("x-acs-date");
    let text = header.map_or_else(
        || seen.param("Timestamp").to_owned(),
        |value| value.to_str().unwrap().to_owned(),
    );
    let signed = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
    let mut response = if (signed - vendors_time()).abs() > Duration::minutes(15) {
        let body = json!({"Code": code, "Message": "expired", "RequestId": "r"});
        answer(400, "application/json", body.to_string())
    } else {
        json_answer(json!({"Success": true, "Data": {"JobId": "job", "JobStatus": "COMPLETED"}}))
    };
    let headers = response.headers_mut();
    headers.insert(
        "date",
        date.unwrap_or_else(|| "unknown".to_owned())
            .parse()
            .unwrap(),
    );
    response
}

async fn read(provider: &ota_provider_alibaba::AlibabaProvider) -> Result<()> {
    let request = GetJob {
        job_id: JobId::from("job"),
    };
    provider.get_job(&context(), request).await.map(drop)
}

#[tokio::test]
async fn requests_are_signed_with_the_vendors_time_once_it_has_refused_ours() {
    for signature in ["acs3", "hmac-sha1"] {
        let server =
            Server::start(|seen| answer_by_time(seen, Some(http_date(vendors_time())))).await;
        let provider = server.provider_with(json!({"signature": signature}));
        let refused = read(&provider).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.retry()),
            (ErrorKind::Auth, Retry::Once)
        );
        read(&provider).await.unwrap();
        read(&provider).await.unwrap();
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_refusal_that_the_vendors_date_does_not_explain_is_final() {
    // No date, and a date that is the time the request was signed with.
    for date in [None, Some(http_date(vendors_time() - AHEAD))] {
        let server = Server::start(move |seen| answer_by_time(seen, date.clone())).await;
        let refused = read(&server.provider()).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.retry()),
            (ErrorKind::Auth, Retry::Never)
        );
    }
}

#[tokio::test]
async fn a_time_that_is_hours_off_is_corrected_whatever_word_the_vendor_has_for_it() {
    for code in [
        "IllegalTimestamp",
        "illegaltimestamp",
        "InvalidTimeStamp.Expired",
    ] {
        let server =
            Server::start(move |seen| refuse_by_time(code, seen, Some(http_date(vendors_time()))))
                .await;
        let provider = server.provider();
        let refused = read(&provider).await.unwrap_err();
        assert_eq!(refused.retry(), Retry::Once, "{code}");
        assert!(refused.message().contains("clock"), "{refused}");
        read(&provider).await.unwrap();
    }
}

#[tokio::test]
async fn a_date_that_is_years_away_is_not_believed() {
    for date in [
        "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
        http_date(vendors_time() + Duration::days(800)),
    ] {
        let server = Server::start(move |seen| answer_by_time(seen, Some(date.clone()))).await;
        let provider = server.provider();
        for _ in 0..2 {
            let refused = read(&provider).await.unwrap_err();
            assert_eq!(
                (refused.kind(), refused.retry()),
                (ErrorKind::Auth, Retry::Never)
            );
        }
        let times = server.seen();
        let own = ota_core::clock::Clock::now(&ota_core::clock::SystemClock);
        for seen in times {
            let signed = seen.headers["x-acs-date"].to_str().unwrap().to_owned();
            let signed = OffsetDateTime::parse(&signed, &Rfc3339).unwrap();
            assert!(
                (own - signed).abs() < Duration::hours(1),
                "signed with the machine's own time"
            );
        }
    }
}
