//! Documented fields: each arrives somewhere.

use ota_core::job::Job;
use ota_core::provider::{JobFilter, TaskFilter};

use crate::cases::{get_job, list_tasks, passed, skipped};
use crate::listing::{ensure, list_all_jobs};
use crate::subject::{Place, Subject, Trouble};
use crate::verdict::Verdict;

/// A field that is dropped leaves no trace: the rows are the same without it.
pub(crate) async fn every_documented_field_arrives(subject: &Subject) -> Verdict {
    let documented = subject.truth.documented.clone();
    let places = [
        (Place::JobRow, documented.job_rows),
        (Place::Job, documented.jobs),
        (Place::TaskRow, documented.task_rows),
    ];
    if places.iter().any(|(_, fields)| fields.is_empty()) {
        return skipped("the rows of this subject do not have every documented field");
    }
    let mut dropped = Vec::new();
    for (place, fields) in places {
        let with = rows(subject, place).await?;
        for field in fields {
            let Some(_broken) = subject.break_vendor(Trouble::LeftOut(place, field)) else {
                return skipped("the subject cannot leave fields out");
            };
            // Without what a row needs, it may be missing, or its list an error; that shows that the field was read.
            let Ok(without) = rows(subject, place).await else {
                continue;
            };
            if with == without {
                dropped.push(format!("`{field}` ({place:?})"));
            }
        }
    }
    ensure!(
        dropped.is_empty(),
        "dropped: no row changes when the vendor leaves out {}",
        dropped.join(", ")
    );
    passed()
}

/// The rows of a place, each with everything in it, and sorted: a time that decides the order may be what is left out.
async fn rows(subject: &Subject, place: Place) -> Result<Vec<String>, String> {
    let mut rows: Vec<String> = match place {
        Place::JobRow => {
            let listed = list_all_jobs(subject, &JobFilter::default(), 50).await?;
            listed.rows().map(|row| format!("{row:?}")).collect()
        }
        Place::Job => {
            let mut rows = Vec::new();
            for job in &subject.truth.jobs {
                let request = get_job(&job.id);
                let one: Option<Job> = subject
                    .reader()?
                    .get_job(&subject.context(), request)
                    .await
                    .map_err(|error| format!("get_job of `{}` failed: {error:?}", job.id))?;
                rows.push(format!("{one:?}"));
            }
            rows
        }
        Place::TaskRow => {
            let mut rows = Vec::new();
            for job in &subject.truth.jobs {
                let request = list_tasks(&job.id, TaskFilter::default());
                let page = subject
                    .reader()?
                    .list_tasks(&subject.context(), request)
                    .await
                    .map_err(|error| format!("list_tasks of `{}` failed: {error:?}", job.id))?;
                let page = page.map(|page| page.items).unwrap_or_default();
                rows.extend(page.iter().map(|row| format!("{row:?}")));
            }
            rows
        }
    };
    rows.sort();
    Ok(rows)
}
