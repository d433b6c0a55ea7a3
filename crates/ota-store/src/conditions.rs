//! Conditions of a statement, with their parameters.

use time::OffsetDateTime;

use crate::value::{Value, millis};

/// Conditions that all have to hold. Columns are names of ours; values are always parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    text: String,
    /// Parameters that stand before those of the conditions.
    before: usize,
    params: Vec<Value>,
}

impl Conditions {
    /// Begins after so many parameters.
    pub(crate) fn after(before: usize) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Returns ` AND …` for each condition.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the parameters.
    pub(crate) fn params(&self) -> &[Value] {
        &self.params
    }

    /// Adds a parameter and returns its name.
    fn bind(&mut self, value: Value) -> String {
        self.params.push(value);
        format!("${}", self.before + self.params.len())
    }

    /// The column is one of these; any value for an empty list.
    pub(crate) fn one_of(&mut self, column: &str, values: impl IntoIterator<Item = Value>) {
        let names: Vec<_> = values.into_iter().map(|value| self.bind(value)).collect();
        if !names.is_empty() {
            self.text
                .push_str(&format!(" AND {column} IN ({})", names.join(", ")));
        }
    }

    /// The column is this, if anything.
    pub(crate) fn is(&mut self, column: &str, value: Option<Value>) {
        if let Some(value) = value {
            let name = self.bind(value);
            self.text.push_str(&format!(" AND {column} = {name}"));
        }
    }

    /// The time is in this range, from inclusive, to exclusive. A row without one is in no range.
    pub(crate) fn range(
        &mut self,
        column: &str,
        from: Option<OffsetDateTime>,
        to: Option<OffsetDateTime>,
    ) {
        if let Some(from) = from {
            let name = self.bind(Value::Int(millis(from)));
            self.text.push_str(&format!(" AND {column} >= {name}"));
        }
        if let Some(to) = to {
            let name = self.bind(Value::Int(millis(to)));
            self.text.push_str(&format!(" AND {column} < {name}"));
            if from.is_none() {
                self.text.push_str(&format!(" AND {column} >= 0"));
            }
        }
    }

    /// The time is not after this one.
    pub(crate) fn not_after(&mut self, column: &str, time: Option<OffsetDateTime>) {
        if let Some(time) = time {
            let name = self.bind(Value::Int(millis(time)));
            self.text.push_str(&format!(" AND {column} <= {name}"));
        }
    }

    /// The text has this pattern.
    pub(crate) fn like(&mut self, column: &str, pattern: Option<String>) {
        if let Some(pattern) = pattern {
            let name = self.bind(Value::Text(pattern));
            self.text
                .push_str(&format!(" AND {column} LIKE {name} ESCAPE '\\'"));
        }
    }

    /// The text has this one as a part; for SQLite only.
    pub(crate) fn has(&mut self, column: &str, part: String) {
        let name = self.bind(Value::Text(part));
        self.text
            .push_str(&format!(" AND instr({column}, {name}) > 0"));
    }

    /// A condition without parameters.
    pub(crate) fn plain(&mut self, condition: &str) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
    }
}
