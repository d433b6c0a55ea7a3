//! Lists that a vendor pages by tokens: each page has the token of the next one, and there are no page numbers.
//!
//! A page of the gateway can end in the middle of a vendor page. A [`TokenPosition`] is therefore the token of that page and the number of its rows that
//! were read; the page is requested once more, in the same size, to continue.

use std::collections::HashSet;

use ota_core::paging::{PageFingerprint, repeated_page};
use ota_core::provider::{Cursor, Page};
use ota_core::{BoxFuture, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Where the next page starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPosition {
    /// Which list of the vendor's, from 0.
    #[serde(rename = "l")]
    pub segment: u32,
    /// The token of the page; none for the first one.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Number of rows at the beginning of the page that were read before.
    #[serde(rename = "s", default)]
    pub skip: u32,
    /// The requested size of the page; none if no row of it was read before.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The fingerprint of the page before; detects a repeated page.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<PageFingerprint>,
    /// Whether an element of the list could not be read as a row.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

impl TokenPosition {
    /// Reads the position from a cursor of a list with this letter and so many segments; no cursor is the start.
    ///
    /// # Errors
    /// `invalid_argument` for a cursor that was not issued by this list.
    pub fn read(cursor: Option<&Cursor>, letter: char, segments: usize) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let text = cursor.0.strip_prefix(letter);
        text.and_then(|text| serde_json::from_str::<Self>(text).ok())
            .filter(|position| (position.segment as usize) < segments)
            .ok_or_else(Error::invalid_cursor)
    }

    /// Writes the position for a cursor.
    ///
    /// # Errors
    /// `protocol` for a token that is too long for a cursor.
    pub fn write(&self, letter: char) -> Result<Cursor> {
        let text = serde_json::to_string(self).unwrap_or_default();
        match text.len() < Cursor::MAX_LEN && !text.is_empty() {
            true => Ok(Cursor(format!("{letter}{text}"))),
            false => Err(Error::new(
                ErrorKind::Protocol,
                "the vendor's token of the next page is too long for a cursor",
            )),
        }
    }
}

/// The vendor's response for one token.
#[derive(Clone, Debug)]
pub struct TokenPage<T> {
    /// The rows; `None` for an element that is not a row.
    pub rows: Vec<Option<T>>,
    /// The token of the next page; none at the end of the list.
    pub next: Option<String>,
}

/// Reads pages that are requested by token, until a page of the gateway is full.
#[derive(Clone, Debug)]
pub struct TokenPager {
    /// Number of vendor lists that are read one after the other.
    pub segments: u32,
    /// Where to start.
    pub from: TokenPosition,
    /// Maximum number of rows of a page of the gateway.
    pub page_size: u32,
    /// The vendor's largest page.
    pub max_vendor_page: u32,
    /// Maximum number of vendor calls for a page.
    pub max_calls: u32,
    /// Whether rows are filtered by the gateway: then the largest vendor pages are read.
    pub filtered: bool,
}

/// The rows that a [`TokenPager`] has read, and where to continue.
#[derive(Clone, Debug)]
pub struct TokenPagedRows<T> {
    /// The rows, none twice.
    pub rows: Vec<T>,
    /// Where to continue; absent at the end.
    pub next: Option<TokenPosition>,
    /// Whether an element of the list could not be read as a row, in this part or an earlier one.
    pub gap: bool,
    /// Number of vendor calls made.
    pub calls: u32,
}

impl<T> TokenPagedRows<T> {
    /// Makes the page; `letter` starts its cursor. Such lists have no total.
    ///
    /// # Errors
    /// As [`TokenPosition::write`].
    pub fn into_page(self, letter: char) -> Result<Page<T>> {
        let next = self.next.as_ref().map(|next| next.write(letter));
        Ok(Page {
            items: self.rows,
            next: next.transpose()?,
            total: None,
            truncated: self.gap,
            problems: Vec::new(),
            missing_named: false,
        })
    }
}

impl TokenPager {
    /// Reads vendor pages until the page is full, the calls are used up or the list ends.
    ///
    /// `fetch` reads the page of a token (none for the first page) in a size. `id` returns a row's identifier, empty for a row without one; rows that were
    /// returned before are left out. `wanted` is the filter.
    ///
    /// An empty page with a token is not the end. A page with the token that was requested, or with the fingerprint of the page before, is a repeated page:
    /// paging that trusted it would never end.
    ///
    /// # Errors
    /// The first error of `fetch`, and `protocol` for pages that repeat. If rows were read before, they are returned first, with the position to continue from.
    pub async fn run<'a, T: Send>(
        self,
        mut fetch: impl FnMut(u32, Option<String>, u32) -> BoxFuture<'a, Result<TokenPage<T>>> + Send,
        id: impl Fn(&T) -> &str + Send + Sync,
        wanted: impl Fn(u32, &T) -> bool + Send + Sync,
    ) -> Result<TokenPagedRows<T>> {
        let mut at = self.from.clone();
        let mut paged = TokenPagedRows {
            rows: Vec::new(),
            next: None,
            gap: at.gap,
            calls: 0,
        };
        let (mut seen, mut read) = (HashSet::new(), false);
        let page_size = self.page_size.max(1) as usize;
        while at.segment < self.segments {
            if paged.rows.len() >= page_size || paged.calls >= self.max_calls.max(1) {
                paged.next = Some(at);
                break;
            }
            let size = at.size.unwrap_or_else(|| self.size(paged.rows.len()));
            paged.calls += 1;
            let page = fetch(at.segment, at.token.clone(), size).await;
            let page = match page.and_then(|page| self.check(&at, page, &id)) {
                Ok(page) => page,
                Err(error) if read && error.ends_a_page_early() => {
                    paged.next = Some(at);
                    break;
                }
                Err(error) => return Err(error),
            };
            let fingerprint = fingerprint(&page, &id);
            let (mut passed, skip) = (0, at.skip);
            let mut rest = page.rows.into_iter().skip(skip as usize);
            while paged.rows.len() < page_size {
                let Some(row) = rest.next() else { break };
                (passed, read) = (passed + 1, true);
                let Some(row) = row else {
                    (paged.gap, at.gap) = (true, true);
                    continue;
                };
                let key = id(&row);
                let new =
                    wanted(at.segment, &row) && (key.is_empty() || seen.insert(key.to_owned()));
                if new {
                    paged.rows.push(row);
                }
            }
            if rest.next().is_some() {
                (at.skip, at.size) = (skip + passed, Some(size));
                continue;
            }
            let (segment, gap) = (at.segment, at.gap);
            at = match page.next {
                Some(token) => TokenPosition {
                    segment,
                    token: Some(token),
                    fingerprint,
                    gap,
                    ..TokenPosition::default()
                },
                None => TokenPosition {
                    segment: segment + 1,
                    gap,
                    ..TokenPosition::default()
                },
            };
        }
        Ok(paged)
    }

    /// The size to request: no more than the page still needs, so that it ends with a vendor page if possible.
    fn size(&self, rows: usize) -> u32 {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let missing = self.page_size.max(1).saturating_sub(rows);
        match self.filtered {
            true => self.max_vendor_page,
            false => missing.min(self.max_vendor_page),
        }
    }

    /// Refuses a repeated page.
    fn check<T>(
        &self,
        at: &TokenPosition,
        page: TokenPage<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<TokenPage<T>> {
        let next = page.next.filter(|token| !token.is_empty());
        let page = TokenPage { next, ..page };
        let same_token = page.next.is_some() && page.next == at.token;
        let begins = fingerprint(&page, id);
        match same_token || (begins.is_some() && begins == at.fingerprint) {
            true => Err(repeated_page()),
            false => Ok(page),
        }
    }
}

/// The fingerprint of a page.
fn fingerprint<T>(page: &TokenPage<T>, id: impl Fn(&T) -> &str) -> Option<PageFingerprint> {
    let first = page.rows.first()?.as_ref()?;
    PageFingerprint::of(id(first))
}

#[cfg(test)]
mod tests {
    use ota_core::provider::Cursor;
    use ota_core::{Error, ErrorKind};
    use proptest::prelude::*;

    use super::{TokenPage, TokenPager, TokenPosition};

    fn pager(from: TokenPosition, page_size: u32, filtered: bool) -> TokenPager {
        TokenPager {
            segments: 2,
            from,
            page_size,
            max_vendor_page: 50,
            max_calls: 3,
            filtered,
        }
    }

    /// A page of a list of `total` rows: the token is the number of the first row.
    fn page(segment: u32, token: Option<&str>, size: u32, total: u32) -> TokenPage<String> {
        let start: u32 = token.map_or(0, |token| token.parse().unwrap());
        let end = (start + size).min(total);
        TokenPage {
            rows: (start..end)
                .map(|row| Some(format!("{segment}/{row}")))
                .collect(),
            next: (end < total).then(|| end.to_string()),
        }
    }

    async fn all(total: u32, page_size: u32, filtered: bool) -> Vec<String> {
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let from = TokenPosition::read(cursor.as_ref(), 'j', 2).unwrap();
            let paged = pager(from, page_size, filtered)
                .run(
                    |segment, token, size| {
                        assert!((1..=50).contains(&size));
                        Box::pin(async move { Ok(page(segment, token.as_deref(), size, total)) })
                    },
                    |row| row,
                    |_, row| !filtered || row.ends_with('7'),
                )
                .await
                .unwrap();
            assert!(paged.calls <= 3 && paged.rows.len() <= page_size as usize);
            let page = paged.into_page('j').unwrap();
            rows.extend(page.items);
            match page.next {
                Some(next) => {
                    assert_ne!(Some(&next), cursor.as_ref(), "a listing makes progress");
                    cursor = Some(next);
                }
                None => return rows,
            }
        }
    }

    proptest! {
        #[test]
        fn every_row_is_met_exactly_once(total in 0_u32..300, page_size in 1_u32..=100, filtered: bool) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let rows = runtime.block_on(all(total, page_size, filtered));
            let every = (0..2).flat_map(|segment| (0..total).map(move |row| format!("{segment}/{row}")));
            let expected: Vec<String> = every.filter(|row| !filtered || row.ends_with('7')).collect();
            prop_assert_eq!(rows, expected);
        }

        #[test]
        fn no_cursor_panics(text in ".{0,60}") {
            let _ = TokenPosition::read(Some(&Cursor(text)), 'j', 1);
        }
    }

    #[tokio::test]
    async fn a_page_that_repeats_is_an_error() {
        for next in ["same", "other"] {
            let from = TokenPosition {
                token: Some("same".to_owned()),
                fingerprint: ota_core::paging::PageFingerprint::of("a"),
                ..TokenPosition::default()
            };
            let first = if next == "same" { "b" } else { "a" };
            let paged = pager(from, 10, false).run(
                |_, _, _| {
                    let (rows, next) = (vec![Some(first.to_owned())], Some(next.to_owned()));
                    Box::pin(async move { Ok(TokenPage { rows, next }) })
                },
                |row| row,
                |_, _| true,
            );
            assert_eq!(paged.await.unwrap_err().kind(), ErrorKind::Protocol);
        }
    }

    #[tokio::test]
    async fn what_came_before_an_error_is_given_first() {
        let paged = pager(TokenPosition::default(), 60, false).run(
            |_, token, size| {
                Box::pin(async move {
                    match token {
                        None => Ok(page(0, None, size, 100)),
                        Some(_) => Err(Error::new(ErrorKind::Unavailable, "down")),
                    }
                })
            },
            |row| row,
            |_, _| true,
        );
        let paged = paged.await.unwrap();
        assert_eq!((paged.rows.len(), paged.calls), (50, 2));
        assert_eq!(paged.next.unwrap().token.as_deref(), Some("50"));
    }

    #[tokio::test]
    async fn what_is_no_row_is_a_gap_and_an_empty_page_with_a_token_no_end() {
        let mut one = pager(TokenPosition::default(), 10, false);
        one.segments = 1;
        let paged = one.run(
            |_, token, _| {
                let page = match token.as_deref() {
                    None => TokenPage {
                        rows: vec![Some("a".to_owned()), None],
                        next: Some("1".to_owned()),
                    },
                    Some("1") => TokenPage {
                        rows: Vec::new(),
                        next: Some("2".to_owned()),
                    },
                    Some(_) => TokenPage {
                        rows: vec![Some("b".to_owned()), Some("a".to_owned())],
                        next: Some(String::new()),
                    },
                };
                Box::pin(async move { Ok(page) })
            },
            |row| row,
            |_, _| true,
        );
        let page = paged.await.unwrap().into_page('j').unwrap();
        assert_eq!(
            (page.items, page.next, page.truncated),
            (vec!["a".to_owned(), "b".to_owned()], None, true)
        );
    }

    #[test]
    fn a_token_that_is_too_long_is_no_cursor() {
        let position = TokenPosition {
            token: Some("x".repeat(Cursor::MAX_LEN)),
            ..TokenPosition::default()
        };
        assert_eq!(position.write('j').unwrap_err().kind(), ErrorKind::Protocol);
    }
}
