//! The adapter of the README, whole: what the README shows stands here word for word, so that it compiles.

use std::sync::Arc;

use ota_adapter::account::PageFormat;
use ota_adapter::answer::ErrorFormat;
use ota_adapter::page::page;
use ota_adapter::rows::{mapped, rows_of};
use ota_adapter::{
    Account, FieldReader, LenientObject, LenientScalar, ListCursor, Meaning, Source, TimeFormat,
};
use ota_adapter_test::TestDeps;
use ota_core::capability::{
    Capability, ChangeSigns, DocumentedQuota, JobFilterSupport, QuotaPer, StatsSupport, Support,
    TaskFilterSupport, TaskOrder,
};
use ota_core::clock::SystemClock;
use ota_core::drift::DriftKind;
use ota_core::error::VendorError;
use ota_core::fields::FieldSupport;
use ota_core::job::{Detail, Job, JobStats, JobStatus};
use ota_core::paging::{Fetched, Window};
use ota_core::provider::{JobFilter, ListJobs, Page};
use ota_core::vendor::VendorDetail;
use ota_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rollout {
    pub(crate) id: LenientScalar,
    pub(crate) status: LenientScalar,
    pub(crate) created_at: LenientScalar,
    pub(crate) totals: LenientObject<Totals>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    finished: LenientScalar,
}

pub(crate) fn job(source: Source<'_>, wire: Rollout) -> Job {
    let mut row = source.row();
    let id = row.identifier("id", wire.id).unwrap_or_default();
    let status = row
        .status("status", wire.status, job_status)
        .unwrap_or(JobStatus::Unknown);
    let mut job = Job::new(
        source.provider.clone(),
        id.into(),
        status,
        Detail::Full,
        VendorDetail::default(),
    );
    job.created_at = row.time("createdAt", wire.created_at, TimeFormat::EpochMillis);
    job.stats = row.object("totals", wire.totals, stats).flatten();
    row.unknown(wire.other);
    job.vendor = row.finish();
    job
}

fn job_status(text: &str) -> Option<JobStatus> {
    match text {
        "running" => Some(JobStatus::InProgress),
        "finished" => Some(JobStatus::Completed),
        _ => None,
    }
}

fn stats(row: &mut FieldReader<'_>, totals: Totals) -> Option<JobStats> {
    let succeeded = row.count("finished", totals.finished)?;
    Some(JobStats {
        succeeded: Some(succeeded),
        ..JobStats::default()
    })
}

const DOCUMENTED: &[(&[&str], Meaning)] = &[
    (
        &["hawkbit.server.error.repo.entityNotExists"],
        Meaning::new(
            ErrorKind::NotFound,
            "the vendor does not have what was requested",
        ),
    ),
    (
        &["hawkbit.server.error.insufficientpermission"],
        Meaning::new(
            ErrorKind::Auth,
            "the account lacks the permission for this at the vendor",
        ),
    ),
];

pub(crate) const FORMAT: ErrorFormat = ErrorFormat {
    code: "errorCode",
    message: "message",
    request_id: "x-request-id",
    documented: |code| Meaning::find(DOCUMENTED, code),
    undocumented: by_status,
};

fn by_status(_code: Option<&str>, status: u16) -> Meaning {
    match status {
        500.. => Meaning::new(ErrorKind::Unavailable, "the vendor has an internal error"),
        _ => Meaning::new(ErrorKind::Rejected, "the vendor refused the request"),
    }
}

const MAX_PAGE_SIZE: u32 = 100;
const PAGE: PageFormat = PageFormat {
    size: "size",
    rows: "content",
    total: "total",
    no_such_page: &["hawkbit.server.error.noSuchPage"],
};

/// Stands for the one call of a real adapter.
type Send = fn(Window) -> Result<Map<String, Value>>;

async fn fetch(account: &Account, send: Send, window: Window) -> Result<Fetched<Option<Job>>> {
    let source = account.source("list");
    let fetched = send(window).and_then(|answer| jobs(source, answer));
    account.judge_page("list", PAGE, window, fetched)
}

fn jobs(source: Source<'_>, mut answer: Map<String, Value>) -> Result<Fetched<Option<Job>>> {
    let content = answer.remove("content").unwrap_or_default();
    let rows = rows_of(content, |row| row.contains_key("id"))
        .ok_or_else(|| source.wrong_shape("content"))?;
    Ok(Fetched {
        rows: mapped(source, "content", rows, |wire| job(source, wire))?,
        total: answer.get("total").and_then(Value::as_u64),
        size: None,
    })
}

fn wanted(filter: &JobFilter, job: &Job) -> bool {
    filter.status.is_empty() || filter.status.contains(&job.status)
}

async fn jobs_page(account: &Account, send: Send, request: ListJobs) -> Result<Page<Job>> {
    let cursor = ListCursor {
        letter: 'j',
        segments: 1,
    };
    let from = cursor.read(request.cursor.as_ref())?;
    account.capability.check_jobs(&request.filter)?;
    let paged = account
        .pager(cursor.segments, from, request.page_size, MAX_PAGE_SIZE)
        .list(
            |_, window| Box::pin(fetch(account, send, window)),
            |job| job.id.as_str(),
            |_, job| wanted(&request.filter, job),
        )
        .await?;
    Ok(page(paged, None, |position| cursor.write(position)))
}

#[test]
fn the_readme_shows_what_is_compiled_here() {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let own = flat(include_str!("readme.rs"));
    let readme = include_str!("../README.md");
    let blocks: Vec<&str> = readme
        .split("```rust")
        .skip(1)
        .filter_map(|rest| rest.split_once('\n')?.1.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        assert!(own.contains(&flat(block)), "{block}");
    }
}

/// Of a vendor that filters by status.
fn capability() -> Capability {
    let no = Support::No;
    Capability {
        job_filters: JobFilterSupport {
            status: Support::Native,
            outcome: no,
            kind: no,
            package_id: no,
            product_id: no,
            device_id: no,
            device_name: no,
            device_type: no,
            model: no,
            manufacturer: no,
        },
        job_filter_needs: &[],
        task_filters: TaskFilterSupport {
            stage: Support::No,
            status: no,
            device_name: no,
            device_id: no,
        },
        max_page_size: MAX_PAGE_SIZE,
        max_device_names: 1,
        job_stats: StatsSupport {
            native: true,
            calls: 1,
        },
        change_signs: ChangeSigns {
            counts_in_rows: false,
            counts_in_totals: false,
            task_order: TaskOrder::None,
        },
        fields: FieldSupport::default(),
        configured_fields: Vec::new(),
        actions: Vec::new(),
        quota: DocumentedQuota {
            calls: 1,
            window_s: 1,
            per: QuotaPer::Application,
            exceptions: &[],
        },
    }
}

fn given() -> TestDeps {
    TestDeps::new(Arc::new(SystemClock))
}

fn account(given: &TestDeps) -> Account {
    Account::new("acme", given.name(), capability(), given.dependencies(5))
}

#[test]
fn a_list_ends_where_the_vendor_has_no_such_page() {
    let given = given();
    let account = account(&given);
    let refused = |code: &str| {
        let error = Error::new(ErrorKind::InvalidArgument, "");
        Err::<Fetched<()>, _>(error.with_vendor(VendorError {
            code: Some(code.to_owned()),
            ..VendorError::default()
        }))
    };
    let second = Window {
        index: 1,
        ..Window::FIRST_ROW
    };
    let end = account.judge_page("list", PAGE, second, refused(PAGE.no_such_page[0]));
    assert_eq!(end.unwrap().rows, []);
    // The first page always exists, and another refusal is no end.
    let first = account.judge_page(
        "list",
        PAGE,
        Window::FIRST_ROW,
        refused(PAGE.no_such_page[0]),
    );
    assert_eq!(first.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(
        account
            .judge_page("list", PAGE, second, refused("other"))
            .is_err()
    );
}

#[test]
fn a_page_that_is_not_the_one_asked_for_is_drift() {
    let given = given();
    let account = account(&given);
    let page = |total| {
        Ok(Fetched {
            rows: vec![()],
            total: Some(total),
            size: None,
        })
    };
    for (total, reported) in [(1, false), (0, true)] {
        let judged = account.judge_page("list", PAGE, Window::FIRST_ROW, page(total));
        assert_eq!(judged.unwrap().rows, [()]);
        let reports = given.drift.snapshot();
        let expected = reported.then(|| ((DriftKind::Page, "list", PAGE.total.to_owned()), 1));
        assert_eq!(reports, expected.into_iter().collect());
    }
}

#[tokio::test]
async fn the_adapter_of_the_readme_lists_jobs() {
    let account = account(&given());
    let request = |page_size| ListJobs {
        filter: JobFilter::default(),
        page_size,
        cursor: None,
    };
    let send: Send = |_| {
        let rows = json!([{"id": 7, "status": "running", "createdAt": 0, "totals": {"finished": 3}}, null]);
        Ok(json!({"content": rows, "total": 2})
            .as_object()
            .cloned()
            .unwrap_or_default())
    };
    let page = jobs_page(&account, send, request(10)).await.unwrap();
    let job = &page.items[0];
    assert_eq!((job.id.as_str(), job.status), ("7", JobStatus::InProgress));
    assert_eq!(job.stats.as_ref().unwrap().succeeded, Some(3));
    assert!(page.truncated, "what is no row is missing");
    let refused: Send = |_| {
        let response = ota_http::Response {
            status: 404,
            headers: http::HeaderMap::new(),
            body: br#"{"errorCode":"hawkbit.server.error.repo.entityNotExists"}"#[..].into(),
        };
        FORMAT.read(&response, &[], &|_| {})
    };
    let error: Error = jobs_page(&account, refused, request(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
