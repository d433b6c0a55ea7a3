//! What is written is what the types of the API say, and the validator follows what changes at the vendors.

use axum::http::HeaderValue;
use ota_api::fleet::{CountedGroup, GroupCounts, Source};
use ota_core::job::{JobOutcome, JobStats, JobStatus};
use ota_store::fleet::{FleetJob, FleetTask, Groups, Page};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{Origin, groups, jobs, tasks};
use crate::cache::response::{CachedResponse, ContentCoding};

const AS_OF: OffsetDateTime = datetime!(2026-11-23 08:15 UTC);

fn origin(as_of: OffsetDateTime, state: &str) -> Origin {
    Origin {
        as_of,
        sources: vec![Source {
            provider: "ali".to_owned(),
            state: state.to_owned(),
            as_of: ota_api::own_timestamp(as_of),
            lag_s: Some(7),
            problem: None,
        }],
        stale: state != "current",
    }
}

fn job(as_of: OffsetDateTime) -> FleetJob {
    FleetJob {
        document: r#"{"provider":"ali","id":"1","status":"in_progress"}"#.to_owned(),
        outcome: None,
        stats: Some(JobStats {
            total: Some(4),
            succeeded: Some(1),
            failed: Some(1),
            ..JobStats::default()
        }),
        as_of,
        tasks_as_of: Some(as_of),
        changed_at: AS_OF,
        vanished_at: None,
        truncated: false,
    }
}

fn page<T>(items: Vec<T>) -> Page<T> {
    Page {
        items,
        next: None,
        total: Some(2),
    }
}

fn text(response: &CachedResponse) -> Value {
    let (body, _) = response.form(false).0.body(ContentCoding::Identity);
    serde_json::from_slice(&body).unwrap()
}

fn tag(response: &CachedResponse) -> HeaderValue {
    response.form(false).0.etag().clone()
}

#[test]
fn jobs_are_written_with_what_the_mirror_knows() {
    let mut second = job(AS_OF);
    second.stats = None;
    second.outcome = Some(JobOutcome::Partial);
    second.truncated = true;
    second.vanished_at = Some(AS_OF);
    let response = jobs(
        &page(vec![job(AS_OF), second]),
        Some("next".to_owned()),
        &origin(AS_OF, "current"),
    );
    let time = "2026-11-23T08:15:00.000Z";
    let expected = json!({
        "items": [
            {
                "provider": "ali", "id": "1", "status": "in_progress",
                "stats": {"total": 4, "finished_percent": 50.0, "succeeded": 1, "failed": 1},
                "mirror": {"as_of": time, "tasks_as_of": time, "changed_at": time},
            },
            {
                "provider": "ali", "id": "1", "status": "in_progress", "outcome": "partial",
                "mirror": {"as_of": time, "tasks_as_of": time, "changed_at": time, "vanished_at": time, "truncated": true},
            },
        ],
        "next_cursor": "next", "total": 2, "as_of": time,
        "sources": [{"provider": "ali", "state": "current", "as_of": time, "lag_s": 7}],
    });
    assert_eq!(text(&response.unwrap()), expected);
}

#[test]
fn tasks_are_written_with_their_jobs() {
    let mut task = FleetTask {
        document: r#"{"id":"t"}"#.to_owned(),
        job_status: Some(JobStatus::Completed),
        job_description: Some("a \"quoted\" text".to_owned()),
        job_package: Some(r#"{"version":"2"}"#.to_owned()),
        as_of: AS_OF,
        changed_at: AS_OF,
        vanished_at: None,
    };
    let shown = |task: &FleetTask| {
        let response = tasks(&page(vec![task.clone()]), None, &origin(AS_OF, "current"));
        text(&response.unwrap())["items"][0].clone()
    };
    let whole = shown(&task);
    assert_eq!(whole["id"], "t");
    assert_eq!(
        whole["job"],
        json!({"status": "completed", "description": "a \"quoted\" text", "package": {"version": "2"}})
    );
    task.job_status = None;
    task.job_description = None;
    assert_eq!(shown(&task)["job"], json!({"package": {"version": "2"}}));
    task.job_package = None;
    assert_eq!(shown(&task)["job"], json!({}));
}

#[test]
fn groups_leave_out_keys_without_a_value() {
    let counted = Groups {
        total: 3,
        groups: vec![
            (vec![Some("ali".to_owned()), Some("failed".to_owned())], 2),
            (vec![Some("ali".to_owned()), None], 1),
        ],
        truncated: false,
    };
    let response = groups(
        &counted,
        &["provider", "outcome"],
        &origin(AS_OF, "current"),
    );
    let groups = text(&response.unwrap())["groups"].clone();
    assert_eq!(
        groups,
        json!([
            {"keys": {"provider": "ali", "outcome": "failed"}, "count": 2},
            {"keys": {"provider": "ali"}, "count": 1},
        ])
    );
}

#[test]
fn groups_are_written_as_their_type_of_the_api() {
    let odd = "a \"quoted\" \u{1}\\ 设备";
    let values = |job: Option<&str>, status: Option<&str>| {
        [job, status].map(|value| value.map(str::to_owned)).to_vec()
    };
    for groups_of in [
        vec![],
        vec![(values(Some(odd), Some("failed")), u64::MAX)],
        vec![
            (values(None, None), 2),
            (values(Some("j"), None), 1),
            (values(None, Some("failed")), 0),
        ],
    ] {
        let counted = Groups {
            total: 7,
            groups: groups_of,
            truncated: true,
        };
        let origin = origin(AS_OF, "syncing");
        let typed = GroupCounts {
            total: counted.total,
            groups: counted
                .groups
                .iter()
                .map(|(values, count)| CountedGroup {
                    keys: ["status", "job_id"]
                        .into_iter()
                        .zip(values)
                        .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
                        .collect(),
                    count: *count,
                })
                .collect(),
            truncated: counted.truncated,
            sources: origin.sources(),
        };
        let response = groups(&counted, &["status", "job_id"], &origin).unwrap();
        let (body, _) = response.form(true).0.body(ContentCoding::Identity);
        assert_eq!(
            String::from_utf8(body.to_vec()).unwrap(),
            serde_json::to_string(&typed).unwrap()
        );
    }
}

#[test]
fn the_validator_changes_with_content_and_staleness_and_not_with_the_time_of_reading() {
    let tag_of =
        |one: FleetJob, origin: &Origin| tag(&jobs(&page(vec![one]), None, origin).unwrap());
    let later = datetime!(2026-11-23 08:16 UTC);
    let first = tag_of(job(AS_OF), &origin(AS_OF, "current"));
    assert_eq!(tag_of(job(later), &origin(later, "current")), first);
    assert_ne!(tag_of(job(AS_OF), &origin(AS_OF, "behind")), first);
    let mut changed = job(AS_OF);
    changed.changed_at = later;
    assert_ne!(tag_of(changed, &origin(AS_OF, "current")), first);
    let mut counted = job(AS_OF);
    counted.stats = None;
    assert_ne!(tag_of(counted, &origin(AS_OF, "current")), first);
    let stale = jobs(&page(vec![job(AS_OF)]), None, &origin(AS_OF, "syncing")).unwrap();
    assert_eq!(stale.form(false).0.headers()["ota-stale"], "true");
}
