//! Which index answers a question about tasks in its order, and at which places.
//!
//! By combination: a place for each combination that matches, where every row matches. By order: all rows of a provider, of which those of other combinations are
//! passed over, as the index tells them; good where many match. Open tasks have an index of their own, because they are few and seldom the newest or oldest ones.

use crate::index_scan::{Branch, IndexScan, OWN, Order};
use crate::selection::{Part, Selection, Target};
use crate::task_filter::TaskFilter;
use crate::value::{Value, run_params};

/// An index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    DeviceName,
    DeviceId,
    Job,
    Combination,
    Open,
    Ordered,
}

/// What passing over one entry of an index costs; the other costs are multiples of it, for each engine.
struct Costs {
    /// Beginning at another place of the index.
    place: i64,
    /// Reading a row.
    row: i64,
}

/// A place is a search from the root, 5 µs; passing over an entry takes 0.15 µs (SQLite, measured with 1,000,000 rows).
const SQLITE: Costs = Costs { place: 30, row: 15 };

/// A place is a statement of its own.
const POSTGRES: Costs = Costs {
    place: 200,
    row: 10,
};

/// How many more entries than by chance may have to be passed over: rows that match seldom lie evenly among the others.
const UNEVEN: i64 = 8;

/// The same for all combinations of a status, among the rows of that status.
const UNEVEN_OPEN: i64 = 3;

/// Returns the scan that answers a question.
pub(crate) fn scan(
    filter: &TaskFilter,
    target: &Target,
    selection: &Selection,
    order: Order,
    limit: usize,
    is_sqlite: bool,
) -> IndexScan {
    let costs = if is_sqlite { SQLITE } else { POSTGRES };
    let choices = choices(filter, target, selection, order, limit, &costs);
    let cheapest = choices.into_iter().min_by_key(|(cost, _)| *cost);
    let choice = cheapest.map_or(Choice::Ordered, |(_, choice)| choice);
    scan_by(choice, filter, target, selection, order, is_sqlite)
}

/// Returns every scan that answers a question, whatever it costs.
#[cfg(test)]
pub(crate) fn scans(
    filter: &TaskFilter,
    target: &Target,
    selection: &Selection,
    order: Order,
    is_sqlite: bool,
) -> Vec<IndexScan> {
    choices(filter, target, selection, order, 1, &SQLITE)
        .into_iter()
        .map(|(_, choice)| scan_by(choice, filter, target, selection, order, is_sqlite))
        .collect()
}

fn scan_by(
    choice: Choice,
    filter: &TaskFilter,
    target: &Target,
    selection: &Selection,
    order: Order,
    is_sqlite: bool,
) -> IndexScan {
    let places = choice.places(filter, target, selection);
    let fixed = places.conditions;
    // A list of combinations is left out where all rows of the places match.
    let lists = places.lists.iter().any(Option::is_some);
    let before = OWN + places.params + usize::from(lists);
    let rest = filter.conditions(before, is_sqlite);
    let mut conditions = fixed;
    if lists {
        let list = one_of(before, is_sqlite);
        conditions.push_str(&format!(" AND combination {list}"));
    }
    conditions.push_str(rest.text());
    let branches = places
        .branches
        .into_iter()
        .zip(places.lists)
        .map(|(mut branch, list)| {
            if lists {
                branch.params.push(Value::Ints(list.unwrap_or_default()));
            }
            branch.params.extend(rest.params().iter().cloned());
            branch
        })
        .collect();
    let index = choice.index(order);
    IndexScan {
        from: match is_sqlite {
            true => format!("tasks INDEXED BY {index}"),
            false => "tasks".to_owned(),
        },
        conditions,
        order,
        branches,
    }
}

/// Returns the condition that a column is one of a list.
fn one_of(param: usize, is_sqlite: bool) -> String {
    match is_sqlite {
        true => format!("IN (SELECT value FROM json_each(${param}))"),
        false => format!("= ANY(${param})"),
    }
}

/// Returns the indexes that may answer a question, each with what it is thought to cost.
fn choices(
    filter: &TaskFilter,
    target: &Target,
    selection: &Selection,
    order: Order,
    limit: usize,
    costs: &Costs,
) -> Vec<(i64, Choice)> {
    let only = if target.job.is_some() {
        Some(Choice::Job)
    } else if filter.device_name.is_some() {
        // A device has few tasks.
        Some(Choice::DeviceName)
    } else {
        filter.device_id.is_some().then_some(Choice::DeviceId)
    };
    if let Some(only) = only {
        return vec![(0, only)];
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let matching = selection.matching().max(1);
    let combinations = i64::try_from(selection.combinations()).unwrap_or(i64::MAX);
    let statuses: i64 = selection.parts.iter().map(|part| part.covered).sum();
    let is_all = |covered: i64| covered == matching;
    // Entries that are passed over until a page is full, if those that match lie evenly but for this factor; never more than there are.
    let passed = |covered: i64, uneven: i64| match is_all(covered) {
        true => limit.min(matching),
        false => {
            let share = limit.saturating_mul(covered) / matching;
            share
                .saturating_mul(uneven)
                .min(covered)
                .saturating_add(combinations)
        }
    };
    let mut rows = 0;
    let mut all = 0;
    if filter.reads_rows(order.column) {
        // By combination every row that matches may have to be read, in order only those up to the end of the page.
        rows = matching.saturating_mul(costs.row);
        all = limit.saturating_mul(costs.row);
    }
    let gone = i64::try_from(target.gone.len()).unwrap_or(1);
    let by_combination = combinations
        .saturating_mul(gone)
        .saturating_mul(costs.place)
        .saturating_add(rows);
    let ordered = passed(selection.covered, UNEVEN).saturating_add(all);
    let mut choices = vec![
        (by_combination, Choice::Combination),
        (ordered, Choice::Ordered),
    ];
    if selection.is_open() && order.column == "changed_at" {
        let open = passed(statuses, UNEVEN_OPEN).saturating_add(all);
        choices.push((open, Choice::Open));
    }
    choices
}

/// The places of an index that a question reads.
struct Places {
    /// What holds at each; parameters from `$4` on.
    conditions: String,
    /// How many parameters that are.
    params: usize,
    branches: Vec<Branch>,
    /// For each branch the combinations that match, where not all of its rows do.
    lists: Vec<Option<Vec<i64>>>,
}

impl Choice {
    fn index(self, order: Order) -> String {
        let suffix = match order.column {
            "created_at" => "created",
            "device_name" if self != Self::Job => "name",
            _ => "changed",
        };
        match self {
            Self::DeviceName => "tasks_name".to_owned(),
            Self::DeviceId => "tasks_device_id".to_owned(),
            Self::Job => format!("tasks_job_{suffix}"),
            Self::Combination => format!("tasks_combination_{suffix}"),
            Self::Open => "tasks_open".to_owned(),
            Self::Ordered => format!("tasks_{suffix}"),
        }
    }

    fn places(self, filter: &TaskFilter, target: &Target, selection: &Selection) -> Places {
        match self {
            Self::DeviceName => of_sources(
                filter,
                target,
                selection,
                Some(("device_name", &filter.device_name)),
            ),
            Self::DeviceId => of_sources(
                filter,
                target,
                selection,
                Some(("device_id", &filter.device_id)),
            ),
            Self::Ordered => of_sources(filter, target, selection, None),
            Self::Job => of_statuses(target, selection, "job = $4 AND gone = $5 AND status = $6"),
            Self::Open => of_statuses(
                target,
                selection,
                "source = $4 AND gone = $5 AND status = $6 AND status < 3",
            ),
            Self::Combination => of_combinations(target, selection),
        }
    }
}

/// A place for each provider.
fn of_sources(
    filter: &TaskFilter,
    target: &Target,
    selection: &Selection,
    device: Option<(&str, &Option<String>)>,
) -> Places {
    let mut places = Places {
        conditions: "source = $4 AND gone = $5".to_owned(),
        params: 2,
        branches: Vec::new(),
        lists: Vec::new(),
    };
    if let Some((column, _)) = device {
        places.conditions.push_str(&format!(" AND {column} = $6"));
        places.params += 1;
    }
    for (source, mut params) in target.scopes() {
        let of_source = selection.of_source(source);
        if of_source.is_empty() {
            continue;
        }
        if let Some((_, value)) = device {
            params.push(Value::Text(value.clone().unwrap_or_default()));
        }
        places.branches.push(Branch { source, params });
        places.lists.push(filter.has_values().then_some(of_source));
    }
    places
}

/// A place for each provider and status.
fn of_statuses(target: &Target, selection: &Selection, conditions: &str) -> Places {
    let mut places = Places {
        conditions: conditions.to_owned(),
        params: 3,
        branches: Vec::new(),
        lists: Vec::new(),
    };
    let needs_lists = |part: &Part| part.matching < part.covered;
    let lists = selection.parts.iter().any(needs_lists);
    for part in &selection.parts {
        let owner = target.job.map_or(part.source, |(_, job)| job);
        for gone in target.gone {
            places.branches.push(Branch {
                source: part.source,
                params: run_params![owner, *gone, part.status],
            });
            places.lists.push(lists.then(|| part.combinations.clone()));
        }
    }
    places
}

/// A place for each combination.
fn of_combinations(target: &Target, selection: &Selection) -> Places {
    let mut places = Places {
        conditions: "combination = $4 AND gone = $5".to_owned(),
        params: 2,
        branches: Vec::new(),
        lists: Vec::new(),
    };
    for part in &selection.parts {
        for combination in &part.combinations {
            for gone in target.gone {
                places.branches.push(Branch {
                    source: part.source,
                    params: run_params![*combination, *gone],
                });
                places.lists.push(None);
            }
        }
    }
    places
}
