//! What the pages of one walk held beside rows that can be given.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Notes rows that cannot be given or are given once only. The vendor counts them, so its total does not fit the rows that are given.
#[derive(Debug, Default)]
pub struct Losses {
    unreadable: AtomicBool,
    repeated: AtomicBool,
}

impl Losses {
    /// Looks through the identifiers of one page: none for what is not a row, empty for a row that has no identifier.
    pub fn note<'a>(&self, ids: impl IntoIterator<Item = Option<&'a str>>) {
        let mut seen = HashSet::new();
        for id in ids {
            match id {
                None => self.unreadable.store(true, Ordering::Relaxed),
                Some("") => {}
                Some(id) if seen.insert(id) => {}
                Some(_) => self.repeated.store(true, Ordering::Relaxed),
            }
        }
    }

    /// Returns whether an element was not a row: the list is incomplete without it.
    #[must_use]
    pub fn unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Returns whether every row that the vendor counts was given.
    #[must_use]
    pub fn none(&self) -> bool {
        !self.unreadable() && !self.repeated.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Losses;

    #[track_caller]
    fn check(ids: &[Option<&str>], unreadable: bool, none: bool) {
        let losses = Losses::default();
        losses.note(ids.iter().copied());
        assert_eq!((losses.unreadable(), losses.none()), (unreadable, none));
    }

    #[test]
    fn what_is_no_row_and_what_comes_twice_is_noted() {
        check(&[], false, true);
        check(&[Some("a"), Some("b"), Some(""), Some("")], false, true);
        check(&[Some("a"), None], true, false);
        check(&[Some("a"), Some("a")], false, false);
    }

    #[test]
    fn the_same_page_may_be_read_again() {
        let losses = Losses::default();
        losses.note([Some("a"), Some("b")]);
        losses.note([Some("a"), Some("b")]);
        assert!(losses.none());
        losses.note([None]);
        losses.note([Some("a")]);
        assert!(losses.unreadable());
    }
}
