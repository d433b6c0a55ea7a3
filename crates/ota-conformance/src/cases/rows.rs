//! Rows: what is required, and what the vendor's surprises do to a page.

use std::collections::BTreeSet;

use ota_core::job::{Job, JobStatus};
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::{Failure, Task, TaskStatus};
use ota_core::vendor::VendorDetail;

use crate::cases::{passed, skipped};
use crate::listing::{ListedPages, Row, ensure, list_all_jobs, list_all_tasks};
use crate::subject::{Odd, Subject, Trouble};
use crate::verdict::Verdict;

/// Reads the job list and the tasks of the richest job.
pub(crate) async fn both(
    subject: &Subject,
) -> Result<(ListedPages<Job>, ListedPages<Task>), String> {
    let job = subject.truth.richest_job()?;
    let jobs = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    let tasks = list_all_tasks(subject, &job.id, &TaskFilter::default(), 50).await?;
    Ok((jobs, tasks))
}

pub(crate) async fn rows_have_what_is_required(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let name = subject.provider.name();
    for job in jobs.rows() {
        ensure!(!job.id.as_str().is_empty(), "a job has no identifier");
        ensure!(
            job.provider == *name,
            "job `{}` says that it is of `{}`",
            job.id,
            job.provider
        );
    }
    for task in tasks.rows() {
        ensure!(!task.id.as_str().is_empty(), "a task has no identifier");
        ensure!(
            !task.job_id.as_str().is_empty(),
            "task `{}` names no job",
            task.id
        );
        ensure!(
            task.provider == *name,
            "task `{}` says that it is of `{}`",
            task.id,
            task.provider
        );
        ensure!(
            task.device.id.is_some() || task.device.name.is_some(),
            "task `{}` names no device",
            task.id
        );
    }
    passed()
}

pub(crate) async fn rows_keep_the_vendors_words(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let vendor = subject.provider.vendor();
    let words = |id: &str, detail: &VendorDetail| {
        ensure!(
            detail.name == vendor,
            "`{id}` is of vendor `{}`, the provider of `{vendor}`",
            detail.name
        );
        ensure!(
            detail
                .status
                .as_deref()
                .is_some_and(|word| !word.is_empty()),
            "`{id}` does not keep the vendor's status word"
        );
        Ok(())
    };
    for job in jobs.rows() {
        words(job.id.as_str(), &job.vendor)?;
    }
    for task in tasks.rows() {
        words(task.id.as_str(), &task.vendor)?;
    }
    passed()
}

pub(crate) async fn reported_facts_are_in_range(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    for job in jobs.rows() {
        let percentage = job.target.percentage.unwrap_or(0.0);
        ensure!(
            (0.0..=100.0).contains(&percentage),
            "job `{}` is for {percentage} percent",
            job.id
        );
        let open = matches!(job.status, JobStatus::Pending | JobStatus::InProgress);
        ensure!(
            !(open && job.outcome.is_some()),
            "job `{}` is `{}` and has an outcome",
            job.id,
            job.status
        );
    }
    for task in tasks.rows() {
        let progress = task.progress_percent.unwrap_or(0.0);
        ensure!(
            (0.0..=100.0).contains(&progress),
            "task `{}` has a progress of {progress} percent",
            task.id
        );
        let failed = task.status == TaskStatus::Failed;
        let fits = match task.failure {
            Some(_) => failed,
            None => !(failed && subject.truth.reports_failures),
        };
        ensure!(
            fits,
            "task `{}` is `{}` and its failure is {:?}",
            task.id,
            task.status,
            task.failure
        );
    }
    passed()
}

/// Checks that two listings gave the same rows, and returns them side by side.
pub(crate) fn same_rows<'a, T: Row>(
    what: &str,
    before: &'a ListedPages<T>,
    after: &'a ListedPages<T>,
) -> Result<Vec<(&'a T, &'a T)>, String> {
    let (one, two): (Vec<&T>, Vec<&T>) = (before.rows().collect(), after.rows().collect());
    ensure!(
        one.len() == two.len(),
        "{what}: {} rows of {} are left",
        two.len(),
        one.len()
    );
    let pairs: Vec<(&T, &T)> = one.into_iter().zip(two).collect();
    for (left, right) in &pairs {
        ensure!(
            left.key() == right.key(),
            "{what}: `{}` has become `{}`",
            left.key(),
            right.key()
        );
    }
    Ok(pairs)
}

/// As [`both`], with a broken vendor; `None` when the subject cannot break it so.
pub(crate) async fn with_trouble(
    subject: &Subject,
    trouble: Trouble,
) -> Result<Option<(ListedPages<Job>, ListedPages<Task>)>, String> {
    match subject.break_vendor(trouble) {
        None => Ok(None),
        Some(_broken) => both(subject).await.map(Some),
    }
}

pub(crate) async fn an_unknown_status_word_leaves_the_page_whole(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let Some((odd_jobs, odd_tasks)) = with_trouble(subject, Trouble::UnknownStatusRow).await?
    else {
        return skipped("the subject cannot make rows of unknown status");
    };
    let mut met = 0;
    for (row, odd) in same_rows("jobs", &jobs, &odd_jobs)? {
        if odd.vendor.status != row.vendor.status {
            met += 1;
            ensure!(
                odd.status == JobStatus::Unknown && odd.vendor.status.is_some(),
                "job `{}` with the word {:?} is `{}`",
                odd.id,
                odd.vendor.status,
                odd.status
            );
        } else {
            ensure!(
                odd.status == row.status,
                "job `{}` has changed with another row",
                odd.id
            );
        }
    }
    ensure!(met > 0, "no job keeps the unknown word");
    met = 0;
    for (row, odd) in same_rows("tasks", &tasks, &odd_tasks)? {
        if odd.vendor.status != row.vendor.status {
            met += 1;
            ensure!(
                odd.status == TaskStatus::Unknown && odd.vendor.status.is_some(),
                "task `{}` with the word {:?} is `{}`",
                odd.id,
                odd.vendor.status,
                odd.status
            );
        } else {
            ensure!(
                odd.status == row.status,
                "task `{}` has changed with another row",
                odd.id
            );
        }
    }
    ensure!(met > 0, "no task keeps the unknown word");
    passed()
}

/// Whether the vendor's fields hold something that they did not hold before.
fn more_fields(row: &VendorDetail, odd: &VendorDetail) -> bool {
    odd.fields
        .iter()
        .any(|(name, value)| row.fields.get(name) != Some(value))
}

pub(crate) async fn an_unreadable_date_leaves_the_page_whole(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let Some((odd_jobs, odd_tasks)) = with_trouble(subject, Trouble::BadDateRow).await? else {
        return skipped("the subject cannot make unreadable dates");
    };
    let mut met = 0;
    for (row, odd) in same_rows("jobs", &jobs, &odd_jobs)? {
        ensure!(
            odd.status == row.status,
            "job `{}` has lost its status",
            odd.id
        );
        if odd.created_at != row.created_at {
            met += 1;
            ensure!(
                odd.created_at.is_none() && more_fields(&row.vendor, &odd.vendor),
                "job `{}` does not keep the unreadable date in the vendor's fields",
                odd.id
            );
        }
    }
    ensure!(met > 0, "no job shows that its date was unreadable");
    met = 0;
    for (row, odd) in same_rows("tasks", &tasks, &odd_tasks)? {
        ensure!(
            odd.status == row.status,
            "task `{}` has lost its status",
            odd.id
        );
        if odd.created_at != row.created_at {
            met += 1;
            ensure!(
                odd.created_at.is_none() && more_fields(&row.vendor, &odd.vendor),
                "task `{}` does not keep the unreadable date in the vendor's fields",
                odd.id
            );
        }
    }
    ensure!(met > 0, "no task shows that its date was unreadable");
    passed()
}

pub(crate) async fn an_unknown_field_leaves_the_page_whole(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let Some((odd_jobs, odd_tasks)) = with_trouble(subject, Trouble::UnknownField).await? else {
        return skipped("the subject cannot make unknown fields");
    };
    let mut met = 0;
    for (row, odd) in same_rows("jobs", &jobs, &odd_jobs)? {
        met += usize::from(more_fields(&row.vendor, &odd.vendor));
        let mut without = odd.clone();
        without.vendor.fields = row.vendor.fields.clone();
        ensure!(
            without == *row,
            "job `{}` has changed in another field",
            odd.id
        );
    }
    ensure!(met > 0, "no job keeps the unknown field");
    met = 0;
    for (row, odd) in same_rows("tasks", &tasks, &odd_tasks)? {
        met += usize::from(more_fields(&row.vendor, &odd.vendor));
        let mut without = odd.clone();
        without.vendor.fields = row.vendor.fields.clone();
        ensure!(
            without == *row,
            "task `{}` has changed in another field",
            odd.id
        );
    }
    ensure!(met > 0, "no task keeps the unknown field");
    passed()
}

pub(crate) async fn an_odd_value_leaves_the_page_whole(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    for trouble in [
        Trouble::BadUtf8Row,
        Trouble::HalfSurrogateRow,
        Trouble::DoubleNameRow,
        Trouble::HugeNumberRow,
        Trouble::DeepValueRow,
    ] {
        let reported = subject.drift.as_ref().map(|drift| drift());
        let Some((odd_jobs, odd_tasks)) = with_trouble(subject, trouble).await? else {
            return skipped(format!("the subject cannot make {trouble:?}"));
        };
        let mut met = 0;
        for (row, odd) in same_rows("jobs", &jobs, &odd_jobs)? {
            met += usize::from(odd != row);
            let mut same = odd.clone();
            same.description.clone_from(&row.description);
            same.vendor.fields.clone_from(&row.vendor.fields);
            ensure!(
                same == *row,
                "{trouble:?}: job `{}` has changed in another field",
                odd.id
            );
        }
        ensure!(met > 0, "{trouble:?}: no job shows the odd value");
        met = 0;
        for (row, odd) in same_rows("tasks", &tasks, &odd_tasks)? {
            met += usize::from(odd != row);
            let mut same = odd.clone();
            same.message.clone_from(&row.message);
            // Read from the message.
            same.failure = row.failure;
            same.vendor.fields.clone_from(&row.vendor.fields);
            ensure!(
                same == *row,
                "{trouble:?}: task `{}` has changed in another field",
                odd.id
            );
            if trouble == Trouble::HugeNumberRow && more_fields(&row.vendor, &odd.vendor) {
                let kept = odd.vendor.fields.values().any(|value| value == HUGE_NUMBER);
                ensure!(kept, "task `{}` does not keep the number's text", odd.id);
            }
        }
        ensure!(met > 0, "{trouble:?}: no task shows the odd value");
        let reported_now = subject.drift.as_ref().map(|drift| drift());
        ensure!(
            reported.is_none() || reported_now > reported,
            "{trouble:?} is reported to no drift observer"
        );
    }
    passed()
}

pub(crate) async fn a_null_object_costs_no_row(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let Some((odd_jobs, odd_tasks)) = with_trouble(subject, Trouble::NullObjectRow).await? else {
        return skipped("the subject cannot put null in the place of an object");
    };
    for (row, odd) in same_rows("jobs", &jobs, &odd_jobs)? {
        ensure!(
            odd.status == row.status && odd.created_at == row.created_at,
            "job `{}` has lost what is beside the object",
            odd.id
        );
    }
    for (row, odd) in same_rows("tasks", &tasks, &odd_tasks)? {
        ensure!(
            odd.status == row.status && odd.created_at == row.created_at,
            "task `{}` has lost what is beside the object",
            odd.id
        );
    }
    passed()
}

/// What replaces a row costs that row only, and the pages behind it say that the list is not whole.
fn lost<T: Row>(what: &str, before: &ListedPages<T>, after: &ListedPages<T>) -> Result<(), String> {
    let rows: BTreeSet<&str> = before.rows().map(Row::key).collect();
    let mut came = BTreeSet::new();
    for row in after.rows() {
        ensure!(
            rows.contains(row.key()) && came.insert(row.key()),
            "{what}: `{}` came twice or does not belong there",
            row.key()
        );
    }
    ensure!(
        came.len() < rows.len() && !came.is_empty(),
        "{what}: {} rows of {} came",
        came.len(),
        rows.len()
    );
    for step in after.0.iter().filter(|step| step.page.truncated) {
        ensure!(
            step.page.total.is_none(),
            "{what}: a row is missing, and the total is {:?}",
            step.page.total
        );
    }
    ensure!(
        after.0.last().is_some_and(|step| step.page.truncated),
        "{what}: nothing says that a row is missing"
    );
    Ok(())
}

pub(crate) async fn what_is_no_row_costs_no_other_row(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    for odd in [Odd::Null, Odd::Number, Odd::Text, Odd::List] {
        let reported = subject.drift.as_ref().map(|drift| drift());
        let trouble = Trouble::NoRow(odd);
        let Some((odd_jobs, odd_tasks)) = with_trouble(subject, trouble).await? else {
            return skipped("the subject cannot put something else in the place of a row");
        };
        lost(&format!("{trouble:?}: jobs"), &jobs, &odd_jobs)?;
        lost(&format!("{trouble:?}: tasks"), &tasks, &odd_tasks)?;
        let reported_now = subject.drift.as_ref().map(|drift| drift());
        ensure!(
            reported.is_none() || reported_now > reported,
            "{trouble:?} is reported to no drift observer"
        );
    }
    passed()
}

/// The number of [`Trouble::HugeNumberRow`].
pub(crate) const HUGE_NUMBER: &str = "1e999";

pub(crate) async fn drift_is_reported(subject: &Subject) -> Verdict {
    let Some(drift) = &subject.drift else {
        return skipped("the subject watches no drift");
    };
    let before = drift();
    both(subject).await?;
    ensure!(
        drift() == before,
        "drift is reported for rows as documented"
    );
    for trouble in [
        Trouble::UnknownStatusRow,
        Trouble::BadDateRow,
        Trouble::UnknownField,
    ] {
        let before = drift();
        if with_trouble(subject, trouble).await?.is_none() {
            return skipped(format!("the subject cannot make {trouble:?}"));
        }
        ensure!(drift() > before, "{trouble:?} is not reported");
    }
    passed()
}

pub(crate) async fn words_of_a_text_are_no_reason_of_a_failure(subject: &Subject) -> Verdict {
    let job = subject.truth.richest_job()?;
    let Some(_broken) = subject.break_vendor(Trouble::VagueText) else {
        return skipped("the subject cannot give failed tasks a text without a reason");
    };
    let tasks = list_all_tasks(subject, &job.id, &TaskFilter::default(), 50).await?;
    let mut met = 0;
    for task in tasks.rows() {
        met += usize::from(match subject.truth.reports_failures {
            true => task.failure.is_some(),
            false => task.status == TaskStatus::Failed,
        });
        ensure!(
            task.failure.is_none_or(|failure| failure == Failure::Other),
            "task `{}` failed by {:?}, which no text says: {:?}",
            task.id,
            task.failure,
            task.message
        );
    }
    ensure!(met > 0, "no task has failed");
    passed()
}
