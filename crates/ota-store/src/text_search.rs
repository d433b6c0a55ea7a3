//! How tasks that have a text are found: in the order of the question, until the page is full, or by an index of parts of three characters.
//!
//! Neither is right for every text. In order, a text that few tasks have is looked for in all of them. By the index, a text that many have is read many times over,
//! and the lists of parts that nearly all tasks have (`000` in numbers of devices) are long and narrow nothing down. A sample of the tasks tells which one reads less,
//! and which parts are worth their lists. Either finds exactly the tasks that have the text: each is looked at again.

use std::collections::HashSet;

use crate::caches::{Sample, Sampled};
use crate::connection::Connection;
use crate::error::Result;
use crate::index_scan::Order;
use crate::scope::Source;
use crate::selection::{Selection, Target};
use crate::text_sample::sample;
use crate::value::{Value, like, plain};

/// With PostgreSQL: with more tasks than this, reading in the order of the sort finds a page sooner than sorting them.
const MOST: usize = 2_000;

/// Different parts of a text that are looked at; more narrow it down no further.
const MAX_PARTS: usize = 24;

/// Passing over so many entries of a list costs as much as reading a row in order (SQLite, measured with 1,000,000 rows: 25 ns and 0.6 µs).
const ENTRIES: i64 = 24;

/// Reading a row by its number costs as much as reading so many in order.
const BY_NUMBER: i64 = 2;

/// In order more rows are read than by chance: of each provider a part of the page, and then more of some.
const UNEVEN: i64 = 2;

/// Rows whose first stands further down than so many times the mean gap do not lie evenly: of a hundred texts that do, two look like it.
const LATE: usize = 4;

/// Lists of parts that fewer than one in so many tasks have cost next to nothing.
const RARE: usize = 100;

/// How the tasks that may have a text are found. Not all of them have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All tasks, in the order of the question.
    InOrder,
    /// Those that the index of SQLite has by this expression.
    Parts(String),
    /// These.
    Numbers(Vec<i64>),
}

/// What is asked for beside the text.
pub(crate) struct Question {
    /// The combinations that match.
    wanted: HashSet<i64>,
    /// How many tasks have one of them.
    matching: i64,
    order: Order,
    /// Rows of a page.
    limit: i64,
}

impl Question {
    pub(crate) fn new(target: &Target, selection: &Selection, order: Order, limit: usize) -> Self {
        Self {
            wanted: selection.numbers(target.gone).map(|(pk, _)| pk).collect(),
            matching: selection.matching(),
            order,
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        }
    }
}

/// Chooses how the tasks that have a text are found.
pub(crate) async fn way(
    connection: &mut Connection,
    text: &str,
    sources: &[Source],
    question: &Question,
) -> Result<Way> {
    let text = plain(text).to_lowercase();
    let parts = parts(&text);
    if parts.is_empty() {
        return Ok(Way::InOrder);
    }
    if !connection.is_sqlite() {
        return by_pattern(connection, &text, sources).await;
    }
    let sample = sample(connection, sources).await?;
    Ok(choose(&sample, &text, parts, question))
}

/// With PostgreSQL, which has an index of its own where an extension is there, and chooses among the parts itself.
///
/// Only tasks of the providers that are asked for count: whether an answer has a total must say nothing of the others.
async fn by_pattern(connection: &mut Connection, text: &str, sources: &[Source]) -> Result<Way> {
    let index = "SELECT count(*) FROM pg_catalog.pg_indexes WHERE schemaname = current_schema() AND indexname = 'tasks_search_parts'";
    let row = connection.first(index, &[]).await?;
    if row.is_none_or(|row| row.int(0) == 0) {
        return Ok(Way::InOrder);
    }
    let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    let mut params = vec![Value::Text(like(text)), Value::Int(limit)];
    params.extend(sources.iter().map(|source| Value::Int(source.pk)));
    let places: Vec<_> = (3..params.len() + 1).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT pk FROM tasks WHERE search LIKE $1 ESCAPE '\\' AND source IN ({}) LIMIT $2",
        places.join(", ")
    );
    let rows = connection.query(&sql, &params).await?;
    Ok(match rows.len() <= MOST {
        true => Way::Numbers(rows.iter().map(|row| row.int(0)).collect()),
        false => Way::InOrder,
    })
}

/// Chooses by what a sample says.
fn choose(sample: &Sample, text: &str, parts: Vec<String>, question: &Question) -> Way {
    let (expression, by_parts) = narrowest(sample, parts);
    let has = sample.rows.iter().filter(|row| row.search.contains(text));
    // What is found is sorted too.
    let by_parts = by_parts.saturating_add(stand_for(sample, has.count()));
    if by_parts < in_order(sample, text, question).min(question.matching) {
        Way::Parts(expression)
    } else {
        Way::InOrder
    }
}

/// Returns how many tasks so many of the sample stand for.
fn stand_for(sample: &Sample, rows: usize) -> i64 {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let size = i64::try_from(sample.rows.len()).unwrap_or(i64::MAX);
    sample.tasks.saturating_mul(rows) / size.max(1)
}

/// Returns how many rows are read in order until the page is full, about.
fn in_order(sample: &Sample, text: &str, question: &Question) -> i64 {
    let wanted = |row: &&Sampled| question.wanted.contains(&row.combination);
    let mut covered: Vec<&Sampled> = sample.rows.iter().filter(wanted).collect();
    match question.order.column {
        "created_at" => covered.sort_unstable_by_key(|row| row.created_at),
        "device_name" => covered.sort_unstable_by(|a, b| a.device_name.cmp(&b.device_name)),
        _ => covered.sort_unstable_by_key(|row| row.changed_at),
    }
    if question.order.descending {
        covered.reverse();
    }
    let mut has = covered.iter().map(|row| row.search.contains(text));
    let Some(first) = has.position(|has| has) else {
        return stand_for(sample, covered.len());
    };
    let number = 1 + has.filter(|has| *has).count();
    if (first + 1) * number > LATE * covered.len() {
        return stand_for(sample, first + 1);
    }
    let gap = |rows: usize| i64::try_from(rows / number).unwrap_or(i64::MAX);
    question
        .limit
        .saturating_mul(gap(covered.len()))
        .saturating_mul(UNEVEN)
}

/// Returns the parts that are worth their lists, as an expression, and what finding the text by them costs, in rows.
fn narrowest(sample: &Sample, parts: Vec<String>) -> (String, i64) {
    let mut lists: Vec<(String, Vec<usize>)> = parts
        .into_iter()
        .map(|part| {
            let rows = sample.rows.iter().enumerate();
            let has = rows.filter(|(_, row)| row.search.contains(&part));
            let places = has.map(|(place, _)| place).collect();
            (part, places)
        })
        .collect();
    lists.sort_by_key(|(_, rows)| rows.len());
    let mut lists = lists.into_iter();
    let Some((rarest, mut left)) = lists.next() else {
        return (String::new(), i64::MAX);
    };
    let mut chosen = vec![rarest];
    let mut entries = stand_for(sample, left.len());
    for (part, rows) in lists {
        let list = stand_for(sample, rows.len());
        let both: Vec<_> = left
            .iter()
            .copied()
            .filter(|place| rows.binary_search(place).is_ok())
            .collect();
        let saved = stand_for(sample, left.len() - both.len());
        if rows.len() * RARE <= sample.rows.len() || saved * BY_NUMBER > list / ENTRIES {
            entries += list;
            left = both;
            chosen.push(part);
        }
    }
    let quoted: Vec<_> = chosen
        .iter()
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    (
        quoted.join(" AND "),
        stand_for(sample, left.len()) * BY_NUMBER + entries / ENTRIES,
    )
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
    use super::{Question, Way, choose, parts};
    use crate::caches::{Sample, Sampled};
    use crate::index_scan::Order;

    #[test]
    fn parts_have_three_characters_of_any_script() {
        assert_eq!(parts("abcd"), ["abc", "bcd"]);
        assert_eq!(parts("设备一号"), ["设备一", "备一号"]);
        assert_eq!(parts("aaaaa"), ["aaa"]);
        assert!(parts("设备").is_empty());
    }

    /// A thousand devices of a million, numbered in the order of their changes; the last tenth has a message.
    fn sample() -> Sample {
        let row = |n: i64| Sampled {
            combination: n % 2,
            changed_at: n,
            created_at: 1_000 - n,
            device_name: format!("sensor-{:07}", n * 997),
            search: format!(
                "sensor-{:07}\niot000{n:05}{}",
                n * 997,
                if n > 900 { "\nlate words" } else { "" }
            ),
        };
        Sample::new((0..1_000).map(row).collect(), 1_000_000, 0)
    }

    fn question(descending: bool, combinations: &[i64], matching: i64) -> Question {
        Question {
            wanted: combinations.iter().copied().collect(),
            matching,
            order: Order {
                column: "changed_at",
                descending,
                is_text: false,
            },
            limit: 101,
        }
    }

    fn chosen(text: &str, descending: bool, combinations: &[i64], matching: i64) -> Way {
        let question = question(descending, combinations, matching);
        choose(&sample(), text, parts(text), &question)
    }

    fn all(text: &str, descending: bool) -> Way {
        chosen(text, descending, &[0, 1], 1_000_000)
    }

    #[test]
    fn what_many_have_is_read_in_order() {
        for text in ["sensor", "sensor-0", "iot000"] {
            assert_eq!(all(text, true), Way::InOrder, "{text}");
        }
    }

    #[test]
    fn what_none_has_is_looked_up_by_its_rarest_parts() {
        let expected = "\"now\" AND \"owh\" AND \"whe\" AND \"her\" AND \"ere\"";
        assert_eq!(all("nowhere", true), Way::Parts(expected.to_owned()));
    }

    #[test]
    fn parts_that_all_have_are_left_out() {
        // Every row has `sen`, `000` and so on; they narrow nothing down.
        let Way::Parts(expression) = all("sensor-000xyz", true) else {
            panic!("a text that no task has is not read in order");
        };
        assert!(expression.contains("\"xyz\""), "{expression}");
        for part in ["sen", "ens", "sor", "r-0", "000"] {
            assert!(!expression.contains(part), "{expression}");
        }
    }

    #[test]
    fn where_all_parts_are_everywhere_the_rows_are_read_in_order() {
        assert_eq!(all("0".repeat(20).as_str(), true), Way::InOrder);
    }

    #[test]
    fn the_order_decides_where_those_that_have_it_stand_at_one_end() {
        // A tenth of all, the newest ones.
        assert_eq!(all("late words", true), Way::InOrder);
        assert!(matches!(all("late words", false), Way::Parts(_)));
    }

    #[test]
    fn few_rows_of_other_filters_are_read_in_order() {
        assert!(matches!(
            chosen("late words", false, &[0], 500_000),
            Way::Parts(_)
        ));
        assert_eq!(chosen("late words", false, &[7], 50), Way::InOrder);
    }

    #[test]
    fn quotes_are_text() {
        let Way::Parts(expression) = all("a\"b*c", true) else {
            panic!("a text that no task has is not read in order");
        };
        assert_eq!(expression, "\"a\"\"b\" AND \"\"\"b*\" AND \"b*c\"");
    }

    #[test]
    fn without_tasks_nothing_is_divided() {
        let question = question(true, &[], 0);
        let way = choose(&Sample::default(), "abc", parts("abc"), &question);
        assert_eq!(way, Way::InOrder);
    }
}
