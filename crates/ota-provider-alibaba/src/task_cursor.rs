//! The cursor of the list of tasks.

use ota_core::paging::Position;
use ota_core::provider::Cursor;

/// Which lists a request is answered from. The letter starts the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One list of all tasks.
    All,
    /// One list for each vendor status.
    Statuses,
    /// Batches of device names.
    Names,
}

impl Mode {
    const LETTERS: [(char, Self); 3] =
        [('a', Self::All), ('w', Self::Statuses), ('n', Self::Names)];

    fn letter(self) -> char {
        let letter = Self::LETTERS.iter().find(|(_, mode)| *mode == self);
        letter.map_or('a', |(letter, _)| *letter)
    }

    fn of(letter: char) -> Option<Self> {
        let mode = Self::LETTERS.iter().find(|(of, _)| *of == letter);
        mode.map(|(_, mode)| *mode)
    }
}

/// Where a list of tasks goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskCursor {
    pub(crate) mode: Mode,
    pub(crate) truncated: bool,
    pub(crate) position: Position,
    /// The number of all tasks of the batch, if the statuses are read because there are too many for one list.
    pub(crate) total: Option<u64>,
}

impl TaskCursor {
    pub(crate) fn new(mode: Mode, truncated: bool, total: Option<u64>) -> Self {
        Self {
            mode,
            truncated,
            position: Position::default(),
            total,
        }
    }

    /// Writes the cursor for a position.
    pub(crate) fn at(self, position: Position) -> Cursor {
        let total = self.total.map(|total| format!(".{total}"));
        Cursor(format!(
            "{}{}.{}{}",
            self.mode.letter(),
            u8::from(self.truncated),
            position.encode(),
            total.unwrap_or_default()
        ))
    }

    pub(crate) fn decode(cursor: &Cursor) -> Option<Self> {
        let mut chars = cursor.0.chars();
        let mode = Mode::of(chars.next()?)?;
        let truncated = match chars.next()? {
            '0' => false,
            '1' => true,
            _ => return None,
        };
        let rest = chars.as_str().strip_prefix('.')?;
        let (position, total) = match rest.match_indices('.').nth(1) {
            None => (rest, None),
            Some((dot, _)) => {
                let text = &rest[dot + 1..];
                let total = text.parse::<u64>().ok();
                (
                    &rest[..dot],
                    Some(total.filter(|total| total.to_string() == text)?),
                )
            }
        };
        Some(Self {
            mode,
            truncated,
            position: Position::decode(position)?,
            total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, TaskCursor};
    use ota_core::paging::Position;
    use ota_core::provider::Cursor;

    #[test]
    fn a_cursor_comes_back() {
        for (total, text) in [(None, "w1.3.250"), (Some(130_000), "w1.3.250.130000")] {
            let at = TaskCursor {
                mode: Mode::Statuses,
                truncated: true,
                position: Position::new(3, 250),
                total,
            };
            assert_eq!(at.at(at.position), Cursor(text.into()));
            assert_eq!(TaskCursor::decode(&Cursor(text.into())), Some(at));
        }
        for text in [
            "",
            "w",
            "w1",
            "w1.",
            "x1.0.0",
            "w2.0.0",
            "w1.0",
            "w1.0.0.",
            "w1.0.0.01",
            "w1.0.0.0.0",
            "设1.0.0",
        ] {
            assert_eq!(TaskCursor::decode(&Cursor(text.into())), None, "{text}");
        }
    }
}
