//! Filter values are literals: no character in them has a special meaning.

use std::cmp::Reverse;

use ota_core::ErrorKind;
use ota_core::capability::Support;
use ota_core::id::{DeviceId, DeviceName, PackageId, ProductId};
use ota_core::provider::{JobFilter, TaskFilter};

use crate::cases::{
    job_fields, list_jobs, list_tasks, passed, skipped, task_fields, uses_job_field,
};
use crate::listing::ensure;
use crate::subject::Subject;
use crate::verdict::Verdict;

/// Values that a vendor would understand as more than a text if they reached it unescaped, each built of one that is there.
fn near(value: &str) -> Vec<String> {
    let half: String = value.chars().take(value.chars().count() / 2).collect();
    vec![
        "*".to_owned(),
        "%".to_owned(),
        format!("{value}*"),
        format!("{half}*"),
        format!("{half}%"),
        format!("{value}%"),
        format!("{value}%20"),
        format!("{value},{value}"),
        format!("{value},x"),
        format!("\"{value}\""),
        format!("'{value}'"),
        format!("({value})"),
        format!("{value}&pageSize=1"),
        format!("{value}#x"),
        format!("{value}+"),
        format!("{value}\\"),
        format!("{value};status==*"),
        format!("{value}\" or \"1\"==\"1"),
        format!("设备{value}"),
    ]
}

/// The text of a filter's field.
fn text<'a>(filter: &'a JobFilter, field: &str) -> Option<&'a str> {
    match field {
        "package_id" => filter.package_id.as_ref().map(PackageId::as_str),
        "product_id" => filter.product_id.as_ref().map(ProductId::as_str),
        "device_id" => filter.device_id.as_ref().map(DeviceId::as_str),
        "device_name" => filter.device_name.as_ref().map(DeviceName::as_str),
        "device_type" => filter.device_type.as_deref(),
        "model" => filter.model.as_deref(),
        "manufacturer" => filter.manufacturer.as_deref(),
        _ => None,
    }
}

/// The filter with another text in a field.
fn with_text(filter: &JobFilter, field: &str, text: &str) -> JobFilter {
    let mut filter = filter.clone();
    match field {
        "package_id" => filter.package_id = Some(PackageId::from(text)),
        "product_id" => filter.product_id = Some(ProductId::from(text)),
        "device_id" => filter.device_id = Some(DeviceId::from(text)),
        "device_name" => filter.device_name = Some(DeviceName::from(text)),
        "device_type" => filter.device_type = Some(text.to_owned()),
        "model" => filter.model = Some(text.to_owned()),
        "manufacturer" => filter.manufacturer = Some(text.to_owned()),
        _ => {}
    }
    filter
}

/// Judges the answer to a value that nothing has: nothing, or a refusal of the value.
fn found<T>(what: &str, rows: Result<Vec<T>, ota_core::Error>) -> Result<bool, String> {
    match rows {
        Ok(rows) => {
            let count = rows.len();
            ensure!(
                count == 0,
                "{what} found {count} rows; it is the value of none"
            );
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::InvalidArgument => Ok(false),
        Err(error) => Err(format!("{what}: {error:?}")),
    }
}

/// Checks that a value which the vendor filters by has reached it as it is.
fn arrived(subject: &Subject, what: &str, value: &str, before: u64) -> Result<(), String> {
    let Some(received) = &subject.received else {
        return Ok(());
    };
    ensure!(
        subject.calls() == before || received(value),
        "{what}: no call had this value as a whole"
    );
    Ok(())
}

pub(crate) async fn filter_values_are_literals(subject: &Subject) -> Verdict {
    let reader = subject.reader()?;
    let mut tried = false;
    for (field, support, _) in job_fields(subject) {
        let examples = subject.truth.job_examples.iter();
        let examples = examples.filter_map(|one| Some((one, text(&one.filter, field)?)));
        let others = |filter: &JobFilter| {
            let fields = job_fields(subject).into_iter();
            fields
                .filter(|(name, ..)| uses_job_field(filter, name))
                .count()
        };
        // The one with the fewest other filters and the most rows: what a wildcard finds shows there.
        let Some((example, value)) = examples
            .min_by_key(|(one, _)| (others(&one.filter), Reverse(one.jobs.len())))
            .filter(|_| support != Support::No)
        else {
            continue;
        };
        tried = true;
        for near in near(value) {
            let what = format!("jobs with `{field}` {near:?}");
            let (before, filter) = (subject.calls(), with_text(&example.filter, field, &near));
            let page = reader
                .list_jobs(&subject.context(), list_jobs(filter))
                .await;
            let answered = found(&what, page.map(|page| page.items))?;
            if answered && support == Support::Native {
                arrived(subject, &what, &near, before)?;
            }
        }
    }
    for (field, support, _) in task_fields(subject) {
        let examples = subject.truth.task_examples.iter();
        let mut examples = examples.filter_map(|one| {
            let value = match field {
                "device_name" => one.filter.device_names.first().map(DeviceName::as_str),
                "device_id" => one.filter.device_id.as_ref().map(DeviceId::as_str),
                _ => None,
            };
            Some((one, value?))
        });
        let Some((example, value)) = examples.next().filter(|_| support != Support::No) else {
            continue;
        };
        tried = true;
        for near in near(value) {
            let what = format!("tasks with `{field}` {near:?}");
            let filter = match field {
                "device_name" => TaskFilter {
                    device_names: vec![DeviceName::from(near.as_str())],
                    ..TaskFilter::default()
                },
                _ => TaskFilter {
                    device_id: Some(DeviceId::from(near.as_str())),
                    ..TaskFilter::default()
                },
            };
            let before = subject.calls();
            let request = list_tasks(&example.job_id, filter);
            let page = reader.list_tasks(&subject.context(), request).await;
            let rows = page.map(|page| page.map(|page| page.items).unwrap_or_default());
            let answered = found(&what, rows)?;
            if answered && support == Support::Native {
                arrived(subject, &what, &near, before)?;
            }
        }
    }
    match tried {
        true => passed(),
        false => skipped("the capability has no filter by a text"),
    }
}
