//! Fields at places that an operator has configured.

use std::collections::BTreeSet;

use ota_core::capability::Support;
use ota_core::configured_fields::{ConfigurableField, RowKind};
use ota_core::id::{DeviceName, JobId, TaskId};
use ota_core::job::Job;
use ota_core::provider::{Cursor, JobFilter, JobReader, TaskFilter};
use ota_core::task::Task;

use crate::cases::{PAGE, get_job, passed, skipped};
use crate::listing::{ensure, jobs_request, tasks_request};
use crate::subject::Subject;
use crate::verdict::Verdict;

/// How many jobs are read alone, and how many tasks are looked for by their devices.
const SOME: usize = 5;

/// The places are those of the identifiers, so each row must have its own identifier in each of the fields.
pub(crate) async fn fields_at_a_configured_place_are_filled(subject: &Subject) -> Verdict {
    let plain = subject.provider.capability();
    let fields: Vec<ConfigurableField> = ConfigurableField::missing_from(plain.fields).collect();
    if fields.is_empty() {
        return skipped("the vendor reports every field whose place could be configured");
    }
    let Some(provider) = &subject.configured else {
        return Err("the subject has no provider with configured fields".to_owned());
    };
    ensure!(
        provider.capability().configured_fields == fields && plain.configured_fields.is_empty(),
        "the capability does not say which fields are configured"
    );
    let reader = provider
        .jobs()
        .ok_or("the provider reads no jobs".to_owned())?;
    jobs_have_them(subject, reader, &fields).await?;
    if fields.contains(&ConfigurableField::DeviceName) {
        ensure!(
            provider.capability().task_filters.device_name != Support::No,
            "tasks are not filtered by a configured device name"
        );
        tasks_have_them(subject, reader).await?;
    }
    passed()
}

async fn jobs_have_them(
    subject: &Subject,
    reader: &dyn JobReader,
    fields: &[ConfigurableField],
) -> Result<(), String> {
    let (mut cursor, mut seen): (Option<Cursor>, BTreeSet<JobId>) = (None, BTreeSet::new());
    loop {
        let request = jobs_request(JobFilter::default(), PAGE, cursor);
        let page = reader.list_jobs(&subject.context(), request).await;
        let page = page.map_err(|error| format!("list_jobs failed: {error:?}"))?;
        for row in page.items {
            has_its_id("in a list", &row, fields)?;
            if seen.len() < SOME {
                let one = reader.get_job(&subject.context(), get_job(&row.id)).await;
                let one = one.map_err(|error| format!("get_job failed: {error:?}"))?;
                let one = one.ok_or(format!("job `{}` is listed and not found", row.id))?;
                has_its_id("alone", &one, fields)?;
            }
            seen.insert(row.id);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    ensure!(
        seen.len() == subject.truth.jobs.len(),
        "{} jobs of {} were listed",
        seen.len(),
        subject.truth.jobs.len()
    );
    Ok(())
}

fn has_its_id(place: &str, job: &Job, fields: &[ConfigurableField]) -> Result<(), String> {
    let package = job.package.clone().unwrap_or_default();
    for field in fields.iter().filter(|field| field.row() == RowKind::Job) {
        let value = match field {
            ConfigurableField::PackageName => &package.name,
            ConfigurableField::PackageVersion => &package.version,
            ConfigurableField::DeviceName => continue,
        };
        ensure!(
            value.as_deref() == Some(job.id.as_str()),
            "job `{}` {place} has {value:?} in `{}`, whose place holds its identifier",
            job.id,
            field.field()
        );
    }
    Ok(())
}

async fn tasks_have_them(subject: &Subject, reader: &dyn JobReader) -> Result<(), String> {
    let job = subject.truth.richest_job()?;
    let all = list(subject, reader, &job.id, &[]).await?;
    let ids: BTreeSet<TaskId> = all.iter().map(|task| task.id.clone()).collect();
    ensure!(
        ids == job.tasks,
        "not every task of `{}` was listed",
        job.id
    );
    for task in &all {
        let name = task.device.name.as_ref().map(DeviceName::as_str);
        ensure!(
            name == Some(task.id.as_str()),
            "the device of task `{}` is called {name:?}, and the place of its name holds the identifier of the task",
            task.id
        );
    }
    let some: Vec<&TaskId> = ids.iter().rev().take(SOME).collect();
    let names: Vec<&str> = some.iter().map(|id| id.as_str()).collect();
    let found = list(subject, reader, &job.id, &names).await?;
    let found: BTreeSet<&TaskId> = found.iter().map(|task| &task.id).collect();
    ensure!(
        found == some.into_iter().collect(),
        "the names {names:?} find {found:?}"
    );
    let nothing = list(subject, reader, &job.id, &["no-device-has-this-name"]).await?;
    ensure!(nothing.is_empty(), "a name that no device has finds tasks");
    Ok(())
}

async fn list(
    subject: &Subject,
    reader: &dyn JobReader,
    job: &JobId,
    names: &[&str],
) -> Result<Vec<Task>, String> {
    let (mut cursor, mut rows): (Option<Cursor>, Vec<Task>) = (None, Vec::new());
    loop {
        let filter = TaskFilter {
            device_names: names.iter().map(|name| (*name).into()).collect(),
            ..TaskFilter::default()
        };
        let request = tasks_request(job, filter, PAGE, cursor);
        let page = reader.list_tasks(&subject.context(), request).await;
        let page = page.map_err(|error| format!("list_tasks failed: {error:?}"))?;
        let page = page.ok_or(format!("job `{job}` is not found"))?;
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}
