//! What another simulator of the same vendor, written from the same documents, may do otherwise. None of it is a fault: the documents allow it, or leave it open.

use serde_json::{Map, Value};

/// A liberty that answers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Liberty {
    /// Numbers and truth values are texts.
    NumbersAsText,
    /// What has no value is left out: null, empty texts, lists and objects, wherever they stand.
    EmptyLeftOut,
    /// Empty texts, lists and objects are null.
    EmptyIsNull,
    /// Every object has members that no document names.
    MoreMembers,
    /// Lists tell no total.
    NoTotals,
    /// Rows of some tasks do not name the device ([`Liberty::leaves_out`]).
    SomeWithoutDevice,
    /// Rows of some jobs say nothing of their package ([`Liberty::leaves_out`]).
    SomeWithoutPackage,
}

/// Names of totals, at both vendors.
const TOTALS: [&str; 5] = ["Total", "PageCount", "totalCount", "totalSize", "total"];

/// Names of what says which device a task is for, besides its identifier.
const DEVICE: [&str; 1] = ["DeviceName"];

/// Names of what a row of a job says of its package.
const PACKAGE: [&str; 5] = [
    "FirmwareId",
    "DestVersion",
    "Name",
    "ProductKey",
    "extendPara",
];

impl Liberty {
    /// Every liberty.
    pub const ALL: [Self; 7] = [
        Self::NumbersAsText,
        Self::EmptyLeftOut,
        Self::EmptyIsNull,
        Self::MoreMembers,
        Self::NoTotals,
        Self::SomeWithoutDevice,
        Self::SomeWithoutPackage,
    ];

    /// Whether the row with this identifier is one of those that some members are left out of.
    #[must_use]
    pub fn leaves_out(id: &str) -> bool {
        id.bytes().fold(0_u32, |sum, byte| sum + u32::from(byte)) % 3 == 0
    }

    /// Takes it in an answer.
    pub(crate) fn take(self, answer: Value) -> Value {
        match self {
            Self::NoTotals => without_totals(answer),
            _ => self.inside(answer),
        }
    }

    fn inside(self, value: Value) -> Value {
        match (self, value) {
            (Self::NumbersAsText, Value::Number(number)) => Value::String(number.to_string()),
            (Self::NumbersAsText, Value::Bool(is)) => Value::String(is.to_string()),
            (_, Value::Array(rows)) => {
                let rows = rows.into_iter().map(|row| self.inside(row));
                Value::Array(rows.collect())
            }
            (_, Value::Object(members)) => {
                let members = members.into_iter();
                let members = members.map(|(name, value)| (name, self.inside(value)));
                Value::Object(self.object(members.collect()))
            }
            (_, other) => other,
        }
    }

    fn object(self, mut object: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::EmptyLeftOut => object.retain(|_, value| !is_empty(value)),
            Self::EmptyIsNull => {
                let empty = object.values_mut().filter(|value| is_empty(value));
                empty.for_each(|value| *value = Value::Null);
            }
            Self::MoreMembers => {
                object.insert("x-other".to_owned(), "of a newer edition".into());
                object.insert("Another".to_owned(), serde_json::json!({"a": [1, {}]}));
            }
            Self::SomeWithoutDevice => leave_out(&mut object, &["TaskId"], &DEVICE),
            Self::SomeWithoutPackage if !object.contains_key("TaskId") => {
                leave_out(&mut object, &["JobId", "operationId"], &PACKAGE);
            }
            _ => {}
        }
        object
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(rows) => rows.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Leaves these members out of some of the rows that have one of the identifiers.
fn leave_out(row: &mut Map<String, Value>, ids: &[&str], names: &[&str]) {
    let id = ids.iter().find_map(|name| row.get(*name)?.as_str());
    if id.is_some_and(Liberty::leaves_out) {
        row.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Only an answer itself has totals of its list.
fn without_totals(answer: Value) -> Value {
    let Value::Object(mut answer) = answer else {
        return answer;
    };
    answer.retain(|name, _| !TOTALS.contains(&name.as_str()));
    Value::Object(answer)
}

#[cfg(test)]
mod tests {
    use super::Liberty;
    use serde_json::json;

    #[test]
    fn each_takes_its_liberty_and_no_other() {
        let row = |id: &str| json!({"TaskId": id, "DeviceName": "d", "Progress": "0.00"});
        let answer = json!({"Total": 2, "Success": true, "Data": {"L": [row("a"), row("c")]}, "Empty": [], "None": null});
        let take = |liberty: Liberty| liberty.take(answer.clone());
        let text = take(Liberty::NumbersAsText);
        assert_eq!(
            (&text["Total"], &text["Success"]),
            (&json!("2"), &json!("true"))
        );
        let left = take(Liberty::EmptyLeftOut);
        assert!(left.get("Empty").is_none() && left.get("None").is_none());
        assert_eq!(left["Data"], answer["Data"]);
        assert_eq!(take(Liberty::EmptyIsNull)["Empty"], json!(null));
        assert!(take(Liberty::NoTotals).get("Total").is_none());
        assert!(take(Liberty::MoreMembers)["Data"]["L"][0]["x-other"].is_string());
        assert!(!Liberty::leaves_out("a") && Liberty::leaves_out("c"));
        let some = take(Liberty::SomeWithoutDevice);
        assert_eq!(some["Data"]["L"][0], row("a"));
        assert!(some["Data"]["L"][1].get("DeviceName").is_none());
        let job = json!({"Data": {"JobId": "c", "FirmwareId": "f", "JobStatus": "x"}});
        let bare = json!({"Data": {"JobId": "c", "JobStatus": "x"}});
        assert_eq!(Liberty::SomeWithoutPackage.take(job), bare);
        assert_eq!(take(Liberty::SomeWithoutPackage), answer);
    }
}
