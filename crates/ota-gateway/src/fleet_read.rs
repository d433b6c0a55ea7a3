//! Reads of the fleet: answered from the mirror's database, without a vendor call.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use ota_api::cursor;
use ota_api::fleet::SourceState;
use ota_api::fleet_parameters::{FleetPaging, Names};
use ota_api::problem::{Code, Failure};
use ota_auth::Caller;
use ota_core::clock::after;
use ota_core::context::CallSummary;
use ota_core::id::ProviderName;
use ota_core::provider::Cursor;
use ota_fleet::Source as CacheSource;
use ota_store::{Store, StoreError};

use crate::cache::conditional::{ConditionalRequest, Freshness};
use crate::cache::fleet_text::Origin;
use crate::cache::response::CachedResponse;
use crate::mirror::SourceView;
use crate::state::App;

/// A request for what the mirror knows. `Cache-Control` changes nothing: there is no cache to pass by.
#[derive(Debug)]
pub struct FleetRead {
    conditional: ConditionalRequest,
    /// The time by which the request is answered.
    until: Instant,
    app: App,
}

impl FromRequestParts<App> for FleetRead {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        Ok(Self {
            conditional: ConditionalRequest::read(&parts.method, &parts.headers)?,
            until: after(app.monotonic(), app.request_timeout()),
            app: app.clone(),
        })
    }
}

/// The providers that a question covers: those that are asked for, or else all that the caller may see. Every question to the database is limited to them.
#[derive(Debug)]
pub struct Covered {
    views: Vec<SourceView>,
    /// Their names.
    pub providers: Vec<ProviderName>,
}

impl Covered {
    /// Returns how far the mirror is of the only provider that is covered.
    #[must_use]
    pub fn only(&self) -> Option<&SourceView> {
        self.views.first()
    }
}

impl FleetRead {
    /// Finds the providers that a question covers.
    ///
    /// # Errors
    /// `not_found`, naming `provider`, for one that does not exist or that the caller may not see; `mirror_unavailable`.
    pub fn covered(&self, caller: &Caller, asked: &Names) -> Result<Covered, Failure> {
        let mut views = self.app.mirror().sources()?;
        views.retain(|view| caller.sees(view.provider.as_str()));
        if !asked.0.is_empty() {
            let known = |name: &String| views.iter().any(|view| view.provider.as_str() == name);
            if !asked.0.iter().all(known) {
                return Err(unknown_provider());
            }
            views.retain(|view| asked.0.iter().any(|name| view.provider.as_str() == name));
        }
        Ok(Covered {
            providers: views.iter().map(|view| view.provider.clone()).collect(),
            views,
        })
    }

    /// Finds the only provider that a question is about.
    ///
    /// # Errors
    /// As [`FleetRead::covered`].
    pub fn one(&self, caller: &Caller, provider: &str) -> Result<Covered, Failure> {
        let names = Names(vec![provider.to_owned()]);
        self.covered(caller, &names)
    }

    /// Returns the time by which the request is answered.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Asks the database.
    ///
    /// # Errors
    /// `mirror_unavailable`.
    pub async fn ask<'a, T, F>(
        &'a self,
        operation: &'static str,
        question: impl FnOnce(&'a Store) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mirror = self.app.mirror();
        let store = mirror.store()?;
        let start = self.app.monotonic();
        let answer = mirror.within(self.until, question(store)).await;
        let took = self.app.monotonic().saturating_duration_since(start);
        self.app.metrics().mirror.asked(operation, took);
        let answer = answer.map_err(|error| mirror.failure(&error))?;
        mirror.answers();
        Ok(answer)
    }

    /// Says what an answer is about, and how true it is.
    #[must_use]
    pub fn origin(&self, covered: &Covered) -> Origin {
        let views = covered.views.iter();
        let current = SourceState::Current.as_str();
        Origin {
            // What is not there yet has no time; then the answer, which shows nothing of it, is true now.
            as_of: views
                .clone()
                .filter_map(|view| view.as_of)
                .min()
                .unwrap_or_else(|| self.app.now()),
            stale: views.clone().any(|view| view.source.state != current),
            sources: views.map(|view| view.source.clone()).collect(),
        }
    }

    /// Sends an answer.
    pub async fn answer(&self, body: CachedResponse, origin: &Origin) -> Response {
        let body = Arc::new(body);
        self.conditional.encode(&body, false).await;
        let freshness = Freshness {
            age: origin.age(self.app.now()),
            // The body has one variant, which says itself whether it is stale.
            stale: false,
            calls: CallSummary::default(),
            source: CacheSource::Fetched,
        };
        self.conditional.respond(&body, freshness).0
    }

    /// Sends the answer to a command that has only begun.
    pub async fn accepted(&self, body: CachedResponse, origin: &Origin) -> Response {
        let mut response = self.answer(body, origin).await;
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    }

    /// Returns the list that a page belongs to: `name` with all that changes its rows or their order.
    #[must_use]
    pub fn list(
        &self,
        name: &str,
        question: &str,
        covered: &Covered,
        paging: &FleetPaging,
    ) -> FleetList {
        let size = paging.page_size.rows();
        let providers: Vec<&str> = covered.providers.iter().map(ProviderName::as_str).collect();
        FleetList {
            binding: format!("fleet\n{name}\n{size}\n{}\n{question}", providers.join(",")),
            size,
        }
    }
}

/// One list of the fleet: what its cursors belong to.
#[derive(Debug)]
pub struct FleetList {
    binding: String,
    /// The rows of a page.
    pub size: u32,
}

impl FleetList {
    /// Returns the position that a page begins behind.
    ///
    /// # Errors
    /// `invalid_cursor` for a cursor of another list, order, filter, page size or of other providers.
    pub fn position(&self, app: &App, paging: &FleetPaging) -> Result<Option<String>, Failure> {
        let given = paging.cursor.0.as_deref();
        let position = given.map(|text| cursor::decode(text, &self.binding, app.now()));
        Ok(position.transpose()?.map(|Cursor(position)| position))
    }

    /// Returns the cursor of the next page.
    #[must_use]
    pub fn next(&self, app: &App, position: Option<&String>) -> Option<String> {
        let position = Cursor(position?.clone());
        Some(cursor::encode(&position, &self.binding, app.now()))
    }
}

/// One that the caller may not see cannot be distinguished from one that does not exist.
fn unknown_provider() -> Failure {
    Failure {
        field: Some("provider".to_owned()),
        ..Failure::new(
            Code::NotFound,
            "no provider has this name; see /v1/providers",
        )
    }
}
