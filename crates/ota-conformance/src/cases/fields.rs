//! A provider fills only fields that it declares.

use ota_core::fields::{self, Fields};
use ota_core::provider::{JobFilter, TaskFilter};

use crate::cases::{get_job, passed};
use crate::listing::{list_all_jobs, list_all_tasks};
use crate::subject::Subject;
use crate::verdict::Verdict;

/// Reads every job as a row and in detail, its statistics and its tasks. The vendor under test need not send every field, so a test of the adapter shows
/// that the declared fields are filled.
pub(crate) async fn filled_fields_are_declared(subject: &Subject) -> Verdict {
    let reader = subject.reader()?;
    let [mut rows, mut jobs, mut stats, mut tasks] = [(); 4].map(|()| Fields::new());
    for row in list_all_jobs(subject, &JobFilter::default(), 50)
        .await?
        .rows()
    {
        rows.extend(fields::of_job(row));
        let request = || get_job(&row.id);
        let error = |error: ota_core::Error| format!("`{}`: {error}", row.id);
        let job = reader.get_job(&subject.context(), request()).await;
        jobs.extend(job.map_err(error)?.iter().flat_map(fields::of_job));
        let counts = reader.job_stats(&subject.context(), request()).await;
        stats.extend(counts.map_err(error)?.iter().flat_map(fields::of_job_stats));
        let listed = list_all_tasks(subject, &row.id, &TaskFilter::default(), 50).await?;
        tasks.extend(listed.rows().flat_map(fields::of_task));
    }
    let declared = subject.provider.capability().fields;
    let mut wrong = Vec::new();
    for (place, filled, declared, all) in [
        ("job_row", rows, declared.job_row, fields::JOB),
        ("job", jobs, declared.job, fields::JOB),
        ("job_stats", stats, declared.job_stats, fields::JOB_STATS),
        ("task", tasks, declared.task, fields::TASK),
    ] {
        let declared: Fields = declared.iter().copied().collect();
        let known: Fields = all.iter().copied().collect();
        let mut found = |what: &str, names: Vec<&str>| {
            if !names.is_empty() {
                wrong.push(format!("{place}: {what} {}", names.join(", ")));
            }
        };
        found(
            "there is no field",
            declared.difference(&known).copied().collect(),
        );
        found(
            "filled and not declared:",
            filled.difference(&declared).copied().collect(),
        );
    }
    match wrong.is_empty() {
        true => passed(),
        false => Err(wrong.join("; ")),
    }
}
