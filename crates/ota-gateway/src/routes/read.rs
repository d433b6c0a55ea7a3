//! What reads of a vendor share: which job, which page.

use std::fmt::Debug;

use ota_api::cursor;
use ota_api::page::{PageEnd, PageProblem};
use ota_api::parameters::Paging;
use ota_api::problem::{Code, Failure};
use ota_core::capability::Capability;
use ota_core::context::Moment;
use ota_core::id::JobId;
use ota_core::provider::{Cursor, GetJob, Page};
use ota_fleet::{Answer, ConfiguredProvider};
use serde::Serialize;
use time::OffsetDateTime;

use crate::cache::response::CachedResponse;
use crate::cached_read::{Live, Read};
use crate::state::App;

/// Longer than the identifiers of any vendor; the longest documented ones have 256 characters.
const MAX_ID_CHARS: usize = 512;

/// Returns what to read about a job, and how the cache and the metrics know it.
///
/// # Errors
/// `not_found` for what cannot be the identifier of a job.
pub(super) fn of_job<'a>(
    member: &'a ConfiguredProvider,
    operation: &'static str,
    what: &str,
    job_id: String,
) -> Result<(Read<'a>, GetJob), Failure> {
    let job_id = self::job_id(job_id)?;
    let provider = member.provider().name();
    let read = Read {
        member,
        operation,
        key: format!("{provider}\n{what}\n{job_id}"),
        is_count: false,
    };
    Ok((read, GetJob { job_id }))
}

/// Takes the job's identifier from the path. Longer than any vendor's means that there is no such job.
///
/// # Errors
/// `not_found`.
pub(super) fn job_id(text: String) -> Result<JobId, Failure> {
    let refused = |detail: &str| Failure {
        field: Some("job_id".to_owned()),
        ..Failure::new(Code::NotFound, detail)
    };
    match text.chars().nth(MAX_ID_CHARS) {
        None if text.is_empty() => Err(refused("the job identifier is missing in the path")),
        None => Ok(JobId::from(text)),
        Some(_) => Err(refused(
            "the job identifier is too long; no vendor's is this long",
        )),
    }
}

/// A page of a list that a request asks for.
pub(super) struct PageRead<'a> {
    /// How the cache and the metrics know it.
    pub(super) read: Read<'a>,
    /// The list that it belongs to.
    pub(super) list: List,
    /// Its rows.
    pub(super) page_size: u32,
    /// Where it begins.
    pub(super) cursor: Option<Cursor>,
}

/// Returns which page to read of the list that `name` names among all lists of a provider.
///
/// # Errors
/// `invalid_argument` for a larger page than the provider has; `invalid_cursor` for a cursor of another list, filter or page size.
pub(super) fn of_page<'a>(
    member: &'a ConfiguredProvider,
    operation: &'static str,
    name: &str,
    filter: &impl Debug,
    paging: Paging,
    now: OffsetDateTime,
) -> Result<PageRead<'a>, Failure> {
    let provider = member.provider();
    let most = provider.capability().max_page_size;
    let page_size = paging.page_size.up_to(most)?;
    let binding = format!("{}\n{name}\n{page_size}\n{filter:?}", provider.name());
    let given = paging.cursor.0.as_deref();
    let cursor = given
        .map(|text| cursor::decode(text, &binding, now))
        .transpose()?;
    let read = Read {
        member,
        operation,
        key: format!("{binding}\n{}", given.unwrap_or_default()),
        is_count: false,
    };
    Ok(PageRead {
        read,
        list: List { binding },
        page_size,
        cursor,
    })
}

/// Refuses a filter that the provider does not have, before the cache is asked.
///
/// The adapter refuses it as well, since it may be used without the gateway. From there the refusal would come through the cache: a request with
/// `only-if-cached` would get 504 in its place, and others a refusal that is counted as a read and kept.
///
/// # Errors
/// `unsupported_by_provider`.
pub(super) fn supported(
    live: &Live,
    member: &ConfiguredProvider,
    check: impl FnOnce(&Capability) -> ota_core::Result<()>,
) -> Result<(), Failure> {
    let provider = member.provider();
    check(provider.capability()).map_err(|error| live.failure(&error, provider.name().as_str()))
}

/// A list of one provider, with its filter and page size: what its cursors belong to.
pub(super) struct List {
    binding: String,
}

impl List {
    /// Writes a page: converts its rows and binds its cursor to the list.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn page<Row, ApiRow, Body>(
        &self,
        app: &App,
        answer: Answer<Page<Row>>,
        body: fn(Vec<ApiRow>, PageEnd) -> Body,
    ) -> ota_core::Result<(CachedResponse, Moment)>
    where
        ApiRow: From<Row>,
        Body: Serialize,
    {
        let page = answer.value;
        let items = page.items.into_iter().map(ApiRow::from).collect();
        let problems = page.problems.into_iter().map(PageProblem::from).collect();
        let next = page.next.as_ref();
        let next_cursor = next.map(|next| cursor::encode(next, &self.binding, app.now()));
        let rendered = CachedResponse::dated(answer.as_of, |as_of| {
            let end = PageEnd {
                next_cursor,
                total: page.total,
                as_of,
                stale: false,
                truncated: page.truncated,
                problems,
            };
            body(items, end)
        })?;
        Ok((rendered, answer.as_of))
    }
}
