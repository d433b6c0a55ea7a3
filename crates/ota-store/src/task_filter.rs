//! What a question about tasks asks for, as it is stored.

use ota_core::task::TaskStatus;
use time::OffsetDateTime;

use crate::codes::Code;
use crate::combination::Values;
use crate::conditions::Conditions;
use crate::fleet::TaskQuery;
use crate::value::{Value, key, like, plain};

/// A question about tasks, as stored.
#[derive(Clone, Debug)]
pub(crate) struct TaskFilter {
    /// None: any.
    status: Option<Vec<i64>>,
    stage: Vec<i64>,
    failure: Vec<i64>,
    product_id: Option<String>,
    from_version: Option<String>,
    to_version: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) device_name: Option<String>,
    stuck_since: Option<OffsetDateTime>,
    changed: [Option<OffsetDateTime>; 2],
    created: [Option<OffsetDateTime>; 2],
    text: Option<String>,
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
            text: query.q.clone(),
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
            && self.text.is_none()
    }

    /// Whether any of the values is asked for that a combination holds.
    pub(crate) fn has_values(&self) -> bool {
        self.status.is_some()
            || !self.stage.is_empty()
            || !self.failure.is_empty()
            || self.product_id.is_some()
            || self.from_version.is_some()
            || self.to_version.is_some()
    }

    /// Whether a row has to be read to see that it matches, in an order by this column: its combination and its place in the order do not tell.
    pub(crate) fn reads_rows(&self, order: &str) -> bool {
        let has = |range: &[Option<OffsetDateTime>; 2]| *range != [None, None];
        let changed = self.stuck_since.is_some() || has(&self.changed);
        self.device_id.is_some()
            || self.text.is_some()
            || (self.device_name.is_some() && order != "device_name")
            || (changed && order != "changed_at")
            || (has(&self.created) && order != "created_at")
    }

    /// Whether a device is asked for, which has few tasks.
    pub(crate) fn has_device(&self) -> bool {
        self.device_id.is_some() || self.device_name.is_some()
    }

    /// Returns the conditions that combinations do not know, but for provider and job.
    pub(crate) fn conditions(&self, before: usize, is_sqlite: bool) -> Conditions {
        let mut conditions = Conditions::after(before);
        conditions.is("device_id", self.device_id.clone().map(Value::Text));
        conditions.is("device_name", self.device_name.clone().map(Value::Text));
        conditions.not_after("changed_at", self.stuck_since);
        let [after, before] = self.changed;
        conditions.range("changed_at", after, before);
        let [after, before] = self.created;
        conditions.range("created_at", after, before);
        if let Some(text) = &self.text {
            // Both find a text as it is. SQLite's `LIKE` goes through each text by character and without case, which takes twice the time.
            match is_sqlite {
                true => conditions.has("search", plain(text).to_lowercase()),
                false => conditions.like("search", Some(like(text))),
            }
        }
        conditions
    }

    /// Whether the values of a combination match.
    pub(crate) fn matches(&self, values: &Values) -> bool {
        let is = |wanted: &[i64], code: i64| wanted.is_empty() || wanted.contains(&code);
        let text =
            |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|is| is == text);
        self.status
            .as_deref()
            .is_none_or(|codes| codes.contains(&values.status))
            && is(&self.stage, values.stage)
            && is(&self.failure, values.failure)
            && text(&self.product_id, &values.product_id)
            && text(&self.from_version, &values.from_version)
            && text(&self.to_version, &values.to_version)
    }
}

fn sorted(codes: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
