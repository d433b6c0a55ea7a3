//! What reads of a vendor have in common: which job, which page.

use std::fmt::Debug;
use std::sync::Arc;

use axum::response::Response;
use ota_api::cursor;
use ota_api::page::{PageEnd, PageProblem};
use ota_api::parameters::Paging;
use ota_api::problem::{Code, Failure};
use ota_core::capability::Capability;
use ota_core::context::{Context, Moment};
use ota_core::id::JobId;
use ota_core::provider::{Cursor, GetJob, Page};
use ota_fleet::{Answer, ConfiguredProvider};
use ota_sync::LiveRead;
use serde::Serialize;

use crate::cache::response::CachedResponse;
use crate::responder::{ReadKey, Responder};
use crate::state::App;

/// Longer than the identifiers of any vendor; the longest documented ones have 256 characters.
const MAX_ID_CHARS: usize = 512;

/// Returns the request for a job, and how the cache and the metrics identify the read.
///
/// # Errors
/// `not_found` for a text that cannot be the identifier of a job.
pub(super) fn of_job<'a>(
    member: &'a ConfiguredProvider,
    operation: &'static str,
    what: &str,
    job_id: String,
) -> Result<(ReadKey<'a>, GetJob), Failure> {
    let job_id = self::job_id(job_id)?;
    let provider = member.provider().name();
    let key = ReadKey {
        member,
        operation,
        key: format!("{provider}\n{what}\n{job_id}"),
        is_count: false,
        is_dated: false,
    };
    Ok((key, GetJob { job_id }))
}

/// Returns the job's identifier from the path. One that is longer than any vendor's means that there is no such job.
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
    responder: Responder,
    member: &'a Arc<ConfiguredProvider>,
    key: ReadKey<'a>,
    list: List,
    page_size: u32,
    /// Where it begins.
    cursor: Option<Cursor>,
}

impl PageRead<'_> {
    /// Refuses a filter that the provider does not support, before the cache is read.
    ///
    /// The adapter refuses it as well, since it may be used without the gateway. Its refusal would pass through the cache: a request with
    /// `only-if-cached` would get 504 instead, and other requests a refusal that is counted as a read and cached.
    ///
    /// # Errors
    /// `unsupported_by_provider`.
    pub(super) fn check<Filter>(
        &self,
        check: fn(&Capability, &Filter) -> ota_core::Result<()>,
        filter: &Filter,
    ) -> Result<(), Failure> {
        let provider = self.member.provider();
        check(provider.capability(), filter)
            .map_err(|error| self.responder.failure(&error, provider.name().as_str()))
    }

    /// Responds with the page. `rows` reads it from the provider, by its size and its cursor; `seen` is what the mirror takes of it; `body` is
    /// made of its rows.
    ///
    /// # Errors
    /// As [`Responder::read`].
    pub(super) async fn respond<Row, ApiRow, Body, F>(
        self,
        rows: impl FnOnce(Arc<ConfiguredProvider>, Context, u32, Option<Cursor>) -> F,
        seen: impl FnOnce(&[Row]) -> LiveRead + Send + 'static,
        body: fn(Vec<ApiRow>, PageEnd) -> Body,
    ) -> Result<Response, Failure>
    where
        F: Future<Output = ota_core::Result<Answer<Page<Row>>>> + Send + 'static,
        Row: 'static,
        ApiRow: From<Row> + 'static,
        Body: Serialize + 'static,
    {
        let list = self.list;
        let fetch = |app: App, cx| {
            let rows = rows(Arc::clone(self.member), cx, self.page_size, self.cursor);
            let provider = self.member.provider().name().clone();
            async move {
                let answer = rows.await?;
                let seen = || seen(&answer.value.items);
                app.mirror().write_through(&provider, answer.as_of, seen);
                list.page(&app, answer, body)
            }
        };
        self.responder.read(self.key, fetch).await
    }
}

/// Returns which page to read of the list that `name` names among all lists of a provider.
///
/// # Errors
/// `invalid_argument` for a larger page than the provider has; `invalid_cursor` for a cursor of another list, filter or page size.
pub(super) fn of_page<'a>(
    responder: Responder,
    member: &'a Arc<ConfiguredProvider>,
    operation: &'static str,
    name: &str,
    filter: &impl Debug,
    paging: Paging,
) -> Result<PageRead<'a>, Failure> {
    let provider = member.provider();
    let most = provider.capability().max_page_size;
    let page_size = paging.page_size.up_to(most)?;
    let binding = format!("{}\n{name}\n{page_size}\n{filter:?}", provider.name());
    let given = paging.cursor.0.as_deref();
    let cursor = given
        .map(|text| cursor::decode(text, &binding, responder.now()))
        .transpose()?;
    let key = ReadKey {
        member,
        operation,
        key: format!("{binding}\n{}", given.unwrap_or_default()),
        is_count: false,
        is_dated: true,
    };
    Ok(PageRead {
        responder,
        member,
        key,
        list: List { binding },
        page_size,
        cursor,
    })
}

/// A list of one provider, with its filter and page size: what its cursors belong to.
struct List {
    binding: String,
}

impl List {
    /// Converts the rows of a page and binds its cursor to the list.
    ///
    /// # Errors
    /// If it cannot be serialized.
    fn page<Row, ApiRow, Body>(
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
