//! Cursors of lists that are paged by position.

use ota_core::paging::Position;
use ota_core::provider::Cursor;
use ota_core::{Error, Result};

/// The cursors of one list: a letter that tells the lists of an adapter apart, and the position.
#[derive(Clone, Copy, Debug)]
pub struct ListCursor {
    /// Which list. No two lists of an adapter have the same, so that the cursor of one is refused by the others.
    pub letter: char,
    /// Number of vendor lists that are read one after the other.
    pub segments: usize,
}

impl ListCursor {
    /// Reads the position of a page; no cursor is the start.
    ///
    /// # Errors
    /// `invalid_argument` for a cursor that was not issued by this list.
    pub fn read(self, cursor: Option<&Cursor>) -> Result<Position> {
        let Some(cursor) = cursor else {
            return Ok(Position::default());
        };
        let position = cursor.0.strip_prefix(self.letter);
        let position = position.ok_or_else(Error::invalid_cursor)?;
        Position::from_cursor(Some(&Cursor(position.to_owned())), self.segments)
    }

    /// Encodes the position of the next page.
    #[must_use]
    pub fn write(self, position: Position) -> Cursor {
        Cursor(format!("{}{}", self.letter, position.encode()))
    }
}

#[cfg(test)]
mod tests {
    use ota_core::paging::Position;
    use ota_core::provider::Cursor;

    use super::ListCursor;

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let jobs = ListCursor {
            letter: 'j',
            segments: 2,
        };
        let at = Position::new(1, 250);
        assert_eq!(jobs.write(at), Cursor("j1.250".into()));
        assert_eq!(jobs.read(Some(&jobs.write(at))).unwrap(), at);
        assert_eq!(jobs.read(None).unwrap(), Position::default());
        for text in ["", "1.250", "t1.250", "j2.250", "j", "j1", "设1.250"] {
            let error = jobs.read(Some(&Cursor(text.into()))).unwrap_err();
            assert!(error.is_invalid_cursor(), "{text}");
        }
    }
}
