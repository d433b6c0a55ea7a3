//! Finding text in tasks by an index of parts of three characters.

use crate::connection::Connection;
use crate::error::Result;
use crate::value::{Value, like, params, plain};

/// With more tasks than this, reading in the order of the sort finds a page sooner than sorting them.
const MOST: usize = 2_000;

/// Parts of a text that are looked up; more narrow it down no further.
const MAX_PARTS: usize = 24;

/// Returns the numbers of the tasks that may have the text, if they are few and an index tells them. Not all of them have it: the caller looks again.
pub(crate) async fn candidates(
    connection: &mut Connection,
    text: &str,
) -> Result<Option<Vec<i64>>> {
    let text = plain(text).to_lowercase();
    let parts = parts(&text);
    if parts.is_empty() {
        return Ok(None);
    }
    let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    let rows = match connection.is_sqlite() {
        true => {
            let wanted: Vec<_> = parts
                .iter()
                .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
                .collect();
            connection
                .query(
                    "SELECT rowid FROM task_search WHERE task_search MATCH $1 LIMIT $2",
                    &params![wanted.join(" AND "), limit],
                )
                .await?
        }
        false => {
            let index = "SELECT count(*) FROM pg_catalog.pg_indexes WHERE schemaname = current_schema() AND indexname = 'tasks_search_parts'";
            let row = connection.first(index, &[]).await?;
            if row.is_none_or(|row| row.int(0) == 0) {
                return Ok(None);
            }
            connection
                .query(
                    "SELECT pk FROM tasks WHERE search LIKE $1 ESCAPE '\\' LIMIT $2",
                    &[Value::Text(like(&text)), Value::Int(limit)],
                )
                .await?
        }
    };
    Ok((rows.len() <= MOST).then(|| rows.iter().map(|row| row.int(0)).collect()))
}

/// Returns the different parts of three characters.
fn parts(text: &str) -> Vec<String> {
    let chars: Vec<_> = text.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    for window in chars.windows(3) {
        let part: String = window.iter().collect();
        if !parts.contains(&part) && parts.len() < MAX_PARTS {
            parts.push(part);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_have_three_characters_of_any_script() {
        assert_eq!(parts("abcd"), ["abc", "bcd"]);
        assert_eq!(parts("设备一号"), ["设备一", "备一号"]);
        assert_eq!(parts("aaaaa"), ["aaa"]);
        assert!(parts("设备").is_empty());
    }
}
