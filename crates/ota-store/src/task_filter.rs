//! What a question about tasks asks for, as it is stored, and which index serves it.

use ota_core::task::TaskStatus;
use time::OffsetDateTime;

use crate::codes::Code;
use crate::conditions::Conditions;
use crate::fleet::TaskQuery;
use crate::value::{Row, Value, key, like};

/// A question about tasks, as stored.
#[derive(Clone, Debug)]
pub(crate) struct TaskFilter {
    /// None: any.
    pub(crate) status: Option<Vec<i64>>,
    pub(crate) stage: Vec<i64>,
    pub(crate) failure: Vec<i64>,
    pub(crate) product_id: Option<String>,
    pub(crate) from_version: Option<String>,
    pub(crate) to_version: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) device_name: Option<String>,
    stuck_since: Option<OffsetDateTime>,
    changed: [Option<OffsetDateTime>; 2],
    created: [Option<OffsetDateTime>; 2],
    pub(crate) pattern: Option<String>,
}

impl TaskFilter {
    pub(crate) fn new(query: &TaskQuery) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(key);
        let mut status: Option<Vec<_>> = (!query.status.is_empty())
            .then(|| query.status.iter().map(|word| word.code()).collect());
        if query.stuck_since.is_some() {
            let open = [TaskStatus::Pending.code(), TaskStatus::InProgress.code()];
            status = Some(match status {
                Some(asked) => asked
                    .into_iter()
                    .filter(|code| open.contains(code))
                    .collect(),
                None => open.to_vec(),
            });
        }
        if let Some(status) = &mut status {
            status.sort_unstable();
            status.dedup();
        }
        Self {
            status,
            stage: sorted(query.stage.iter().map(|word| word.code())),
            failure: sorted(query.failure.iter().map(|word| word.code())),
            product_id: text(&query.product_id),
            from_version: text(&query.from_version),
            to_version: text(&query.to_version),
            device_id: text(&query.device_id),
            device_name: text(&query.device_name),
            stuck_since: query.stuck_since,
            changed: [query.changed_after, query.changed_before],
            created: [query.created_after, query.created_before],
            pattern: query.q.as_deref().map(like),
        }
    }

    /// Whether no row can match.
    pub(crate) fn is_impossible(&self) -> bool {
        self.status.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether the counters know the answer.
    pub(crate) fn is_counted(&self) -> bool {
        self.device_id.is_none()
            && self.device_name.is_none()
            && self.stuck_since.is_none()
            && self.changed == [None, None]
            && self.created == [None, None]
            && self.pattern.is_none()
    }

    /// Adds the conditions that counters know too.
    pub(crate) fn counted_conditions(&self, conditions: &mut Conditions) {
        let codes = |codes: &[i64]| codes.iter().copied().map(Value::Int).collect::<Vec<_>>();
        if let Some(status) = &self.status {
            conditions.one_of("status", codes(status));
        }
        conditions.one_of("stage", codes(&self.stage));
        conditions.one_of("failure", codes(&self.failure));
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        conditions.is("product_id", text(&self.product_id));
        conditions.is("from_version", text(&self.from_version));
        conditions.is("to_version", text(&self.to_version));
    }

    /// Returns all conditions, but for provider and job.
    pub(crate) fn conditions(&self, before: usize) -> Conditions {
        let mut conditions = Conditions::after(before);
        self.counted_conditions(&mut conditions);
        conditions.is("device_id", self.device_id.clone().map(Value::Text));
        conditions.is("device_name", self.device_name.clone().map(Value::Text));
        conditions.not_after("changed_at", self.stuck_since);
        let [after, before] = self.changed;
        conditions.range("changed_at", after, before);
        let [after, before] = self.created;
        conditions.range("created_at", after, before);
        conditions.like("search", self.pattern.clone());
        conditions
    }

    /// Whether the values that a counter counts match; its columns are [`COUNTERS`].
    fn matches(&self, row: &Row, lead: Option<&Lead>) -> bool {
        let is =
            |wanted: &[i64], column: usize| wanted.is_empty() || wanted.contains(&row.int(column));
        let text = |wanted: &Option<String>, column: usize| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted == row.text(column))
        };
        match lead {
            None => {
                self.status.as_deref().is_none_or(|codes| is(codes, 1))
                    && is(&self.stage, 2)
                    && is(&self.failure, 3)
                    && text(&self.product_id, 4)
                    && text(&self.from_version, 5)
                    && text(&self.to_version, 6)
            }
            Some(lead) => lead.values.contains(&match lead.column {
                "status" => Value::Int(row.int(1)),
                "stage" => Value::Int(row.int(2)),
                "failure" => Value::Int(row.int(3)),
                "product_id" => Value::from(row.text(4)),
                "from_version" => Value::from(row.text(5)),
                _ => Value::from(row.text(6)),
            }),
        }
    }

    /// Returns how many rows match by the counters.
    pub(crate) fn total(&self, counters: &[Row]) -> u64 {
        let matching = counters.iter().filter(|row| self.matches(row, None));
        matching.map(|row| row.count(7)).sum()
    }

    /// Returns the filter that the fewest rows match, for its index to be scanned.
    pub(crate) fn lead(&self, counters: &[Row]) -> Option<Lead> {
        let codes = |codes: &[i64]| codes.iter().copied().map(Value::Int).collect::<Vec<_>>();
        let text = |text: &Option<String>| text.iter().cloned().map(Value::Text).collect();
        let leads = [
            ("failure", "tasks_failure", codes(&self.failure)),
            ("stage", "tasks_stage", codes(&self.stage)),
            (
                "status",
                "tasks_status",
                self.status.as_deref().map(codes).unwrap_or_default(),
            ),
            ("product_id", "tasks_product", text(&self.product_id)),
            ("from_version", "tasks_from", text(&self.from_version)),
            ("to_version", "tasks_to", text(&self.to_version)),
        ];
        leads
            .into_iter()
            .filter(|(_, _, values)| !values.is_empty())
            .map(|(column, index, values)| Lead {
                column,
                index,
                values,
            })
            .min_by_key(|lead| self.matching(lead, counters))
    }

    /// Returns how many rows match a filter alone.
    pub(crate) fn matching(&self, lead: &Lead, counters: &[Row]) -> u64 {
        let matching = counters.iter().filter(|row| self.matches(row, Some(lead)));
        matching.map(|row| row.count(7)).sum()
    }
}

/// The columns of counters that [`TaskFilter`] reads: the owner first.
pub(crate) const COUNTERS: &str =
    "source, status, stage, failure, product_id, from_version, to_version, number";

/// The filter whose index is scanned.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    pub(crate) column: &'static str,
    pub(crate) index: &'static str,
    pub(crate) values: Vec<Value>,
}

fn sorted(codes: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
