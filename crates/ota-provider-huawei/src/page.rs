//! From the vendor's pages to ours.

use std::sync::atomic::{AtomicBool, Ordering};

use ota_core::paging::{Fetched, Position, Walked};
use ota_core::provider::{Cursor, Page};
use ota_core::{Error, Result};
use ota_http::json::Budget;
use ota_http::lenient::Rows;
use ota_http::losses::Losses;
use serde_json::{Map, Value};

use crate::error::{too_much, wrong_shape};
use crate::map::{self, Mapped, Met};
use crate::wire::{self, Part};

/// Takes rows, total and page size out of a page.
fn rows<W: wire::Row>(
    mut body: Map<String, Value>,
    mut tell: impl FnMut(&Met),
) -> Result<Fetched<Part<W>>> {
    // The rows are counted before anything is made of them, and not copied with the rest: they are nearly all of the answer.
    let data = body.remove("data");
    if data
        .as_ref()
        .and_then(Value::as_array)
        .is_some_and(|rows| rows.len() > Budget::MAX_ROWS)
    {
        return Err(too_much());
    }
    // A bare row in the place of the list has its identifier; an object without one is something else, in which rows may be hidden.
    let row = data.as_ref().and_then(Value::as_object);
    if row.is_some_and(|row| !row.is_empty() && !row.contains_key(W::ID)) {
        return Err(wrong_shape("data"));
    }
    let page: wire::Page =
        serde_json::from_value(Value::Object(body)).map_err(|_| wrong_shape("data"))?;
    let data = data.filter(|data| !data.is_null()).map(Rows::from);
    for name in page.other.keys() {
        tell(&Met::field(name));
    }
    let total = page.total_count.count().or(page.total_size.count());
    let size = page.page_size.count();
    let fetched = |rows| Fetched {
        rows,
        total,
        size: size.and_then(|size| u32::try_from(size).ok()),
    };
    let paged = [
        &page.page_no,
        &page.page_size,
        &page.total_count,
        &page.total_size,
    ];
    match data {
        Some(Rows(rows)) => {
            let readable = |row: &Part<W>| matches!(row, Part::Object(_));
            if !rows.is_empty() && !rows.iter().any(readable) {
                return Err(wrong_shape("data"));
            }
            Ok(fetched(rows))
        }
        // A page without rows may leave them out, but JSON of something else is no empty page.
        None if paged.iter().any(|leaf| !leaf.is_absent()) => Ok(fetched(Vec::new())),
        None => Err(wrong_shape("data")),
    }
}

/// Maps the rows of a page; those that nobody can read are told, and stand as `None` so that those behind keep their place.
pub(crate) fn mapped<W: wire::Row, T>(
    body: Map<String, Value>,
    map: impl Fn(W) -> Mapped<T>,
    mut tell: impl FnMut(&Met),
) -> Result<Fetched<Option<Mapped<T>>>> {
    let Fetched { rows, total, size } = rows(body, &mut tell)?;
    let rows = rows.into_iter().map(|row| match row {
        Part::Object(row) => {
            let row = map(row);
            row.met.iter().for_each(&mut tell);
            Some(row)
        }
        Part::Other(_) => {
            tell(&Met::value("data"));
            None
        }
    });
    Ok(Fetched {
        rows: rows.collect(),
        total,
        size,
    })
}

/// Takes the one task that an answer holds.
pub(crate) fn one(body: Map<String, Value>) -> Result<wire::OperationInfo> {
    let shape = || wrong_shape("operationId");
    let row: wire::OperationInfo =
        serde_json::from_value(Value::Object(body)).map_err(|_| shape())?;
    match map::identifier(&row.operation_id) {
        Some(_) => Ok(row),
        None => Err(shape()),
    }
}

/// A row of a walk: the neutral row unless nobody could read it, and whether it is wanted.
pub(crate) struct Row<T> {
    pub(crate) item: Option<T>,
    pub(crate) wanted: bool,
}

impl<T> Row<T> {
    pub(crate) fn key<'a>(&'a self, id: impl Fn(&'a T) -> &'a str) -> &'a str {
        self.item.as_ref().map_or("", id)
    }
}

/// Rows of a walk that are not given.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Whether a filter left one out.
    pub(crate) left_out: AtomicBool,
    /// What could not be given at all, or came twice on a page.
    pub(crate) losses: Losses,
}

impl Missing {
    /// `filtered` says that rows are left out whatever comes.
    pub(crate) fn new(filtered: bool) -> Self {
        Self {
            left_out: AtomicBool::new(filtered),
            losses: Losses::default(),
        }
    }
}

/// Marks the rows that are wanted and notes those that are missing.
pub(crate) fn choose<T>(
    fetched: Fetched<Option<Mapped<T>>>,
    missing: &Missing,
    id: impl Fn(&T) -> &str,
    wants: impl Fn(&Mapped<T>) -> bool,
) -> Fetched<Row<T>> {
    let ids = fetched.rows.iter();
    missing
        .losses
        .note(ids.map(|row| row.as_ref().map(|row| id(&row.item))));
    let rows = fetched.rows.into_iter().map(|row| {
        let wanted = row.as_ref().is_some_and(&wants);
        if !wanted {
            missing.left_out.store(true, Ordering::Relaxed);
        }
        Row {
            item: row.map(|row| row.item),
            wanted,
        }
    });
    Fetched {
        rows: rows.collect(),
        total: fetched.total,
        size: fetched.size,
    }
}

/// Which list a cursor belongs to; its letter starts the cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Jobs,
    Tasks,
}

impl List {
    const fn letter(self) -> char {
        match self {
            Self::Jobs => 'j',
            Self::Tasks => 't',
        }
    }

    /// Reads where a list of `segments` vendor lists goes on; no cursor is the start.
    ///
    /// # Errors
    /// `invalid_argument` for a cursor that this list did not give.
    pub(crate) fn position(self, cursor: Option<&Cursor>, segments: usize) -> Result<Position> {
        let Some(cursor) = cursor else {
            return Ok(Position::default());
        };
        let position = cursor.0.strip_prefix(self.letter());
        let position = position.ok_or_else(Error::invalid_cursor)?;
        Position::from_cursor(Some(&Cursor(position.to_owned())), segments)
    }

    fn cursor(self, position: Position) -> Cursor {
        Cursor(format!("{}{}", self.letter(), position.encode()))
    }
}

/// Makes the page. A total is exact only when one vendor list was walked and no row of it left out. Without the rows that nobody could read the list
/// is not whole, here and in the parts that follow.
pub(crate) fn page<T>(
    list: List,
    walked: Walked<Row<T>>,
    segments: usize,
    missing: &Missing,
) -> Page<T> {
    let exact = segments == 1 && !missing.left_out.load(Ordering::Relaxed) && missing.losses.none();
    let total = walked.fitting_total(None);
    let truncated = walked.gap || missing.losses.unreadable();
    Page {
        items: walked.rows.into_iter().filter_map(|row| row.item).collect(),
        next: walked.next.map(|mut position| {
            position.gap |= truncated;
            list.cursor(position)
        }),
        total: total.filter(|_| exact),
        truncated,
        problems: Vec::new(),
    }
}
