//! Lookups by identifier.

use ota_core::job::{Detail, Job};
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::{Error, ErrorKind};

use crate::cases::{RECOVERY, every_method, get_job, list_tasks, passed, skipped};
use crate::listing::{ensure, list_all_jobs};
use crate::subject::{Proxy, Subject, Trouble};
use crate::verdict::Verdict;

/// Fails when both answers tell a field and tell it differently.
macro_rules! agree {
    ($row:ident, $one:ident: $($($field:ident).+),+ $(,)?) => {
        $(if let (Some(row), Some(one)) = (&$row.$($field).+, &$one.$($field).+) {
            ensure!(
                row == one,
                "job `{}`: `{}` is {row:?} in the list and {one:?} alone",
                $row.id, stringify!($($field).+)
            );
        })+
    };
}

fn same_job(row: &Job, one: &Job) -> Result<(), String> {
    ensure!(
        one.id == row.id && one.provider == row.provider,
        "`{}` was asked for and `{}` came",
        row.id,
        one.id
    );
    ensure!(
        one.status == row.status && one.vendor.status == row.vendor.status,
        "job `{}` is `{}` ({:?}) in the list and `{}` ({:?}) alone",
        row.id,
        row.status,
        row.vendor.status,
        one.status,
        one.vendor.status
    );
    agree!(row, one: outcome, kind, purpose, name, description, stats, created_at, updated_at, started_at, ended_at);
    agree!(row, one: target.selection, target.scope, target.percentage, target.product_id);
    agree!(row, one: target.device_type, target.model, target.manufacturer);
    agree!(row, one: schedule.mode, schedule.starts_at, schedule.ends_at);
    agree!(row, one: policy.max_retries, policy.retry_interval_s, policy.timeout_s, policy.max_devices_per_minute);
    agree!(row, one: policy.requires_confirmation, policy.pushed, policy.overwrite, policy.download_protocol);
    if let (Some(package), Some(other)) = (&row.package, &one.package) {
        for (name, left, right) in [
            ("name", &package.name, &other.name),
            ("version", &package.version, &other.version),
        ] {
            ensure!(
                left.is_none() || right.is_none() || left == right,
                "job `{}`: the package's {name} is {left:?} in the list and {right:?} alone",
                row.id
            );
        }
        ensure!(
            package.id.is_none() || other.id.is_none() || package.id == other.id,
            "job `{}`: the package is {:?} in the list and {:?} alone",
            row.id,
            package.id,
            other.id
        );
    }
    let lists = [
        (row.source_versions.is_empty() || one.source_versions.is_empty())
            || row.source_versions == one.source_versions,
        (row.tags.is_empty() || one.tags.is_empty()) || row.tags == one.tags,
        (row.target.groups.is_empty() || one.target.groups.is_empty())
            || row.target.groups == one.target.groups,
        (row.target.device_ids.is_empty() || one.target.device_ids.is_empty())
            || row.target.device_ids == one.target.device_ids,
    ];
    ensure!(
        lists.iter().all(|same| *same),
        "job `{}`: source versions, tags, groups or devices differ between the list and the job alone",
        row.id
    );
    Ok(())
}

pub(crate) async fn a_job_agrees_with_its_row(subject: &Subject) -> Verdict {
    let reader = subject.reader()?;
    let listed = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    for row in listed.rows() {
        let one = reader
            .get_job(&subject.context(), get_job(&row.id))
            .await
            .map_err(|error| format!("get_job of `{}` failed: {error:?}", row.id))?
            .ok_or_else(|| format!("job `{}` is listed and cannot be got", row.id))?;
        ensure!(
            one.detail == Detail::Full,
            "get_job of `{}` calls itself a `{}`",
            row.id,
            one.detail
        );
        same_job(row, &one)?;
    }
    passed()
}

/// What each of the three lookups said about an identifier: whether it found something, or its error.
async fn lookups(
    subject: &Subject,
    id: &str,
) -> Result<[(&'static str, Result<bool, Error>); 3], String> {
    let reader = subject.reader()?;
    let id = id.into();
    let job = reader.get_job(&subject.context(), get_job(&id)).await;
    let stats = reader.job_stats(&subject.context(), get_job(&id)).await;
    let tasks = reader
        .list_tasks(&subject.context(), list_tasks(&id, TaskFilter::default()))
        .await;
    Ok([
        ("get_job", job.map(|found| found.is_some())),
        ("job_stats", stats.map(|found| found.is_some())),
        ("list_tasks", tasks.map(|found| found.is_some())),
    ])
}

pub(crate) async fn an_unknown_job_is_none(subject: &Subject) -> Verdict {
    let id = subject.truth.unknown_job_id.as_str();
    for (method, found) in lookups(subject, id).await? {
        match found {
            Ok(false) => {}
            Ok(true) => return Err(format!("{method} found `{id}`, which does not exist")),
            Err(error) => return Err(format!("{method} of an unknown job failed: {error:?}")),
        }
    }
    passed()
}

pub(crate) async fn hostile_ids_reach_nothing(subject: &Subject) -> Verdict {
    let real = subject.truth.richest_job()?.id.as_str();
    let long = "a".repeat(5000);
    let near = [
        format!("{real}/"),
        format!("{real}?x=1"),
        format!("{real}#x"),
        format!("{real} "),
        format!("{real}%00"),
        format!("{real}&PageSize=1"),
        format!("../operations/{real}"),
        format!("./{real}"),
        format!("{real}/subOperations"),
        format!("x/../{real}"),
    ];
    let fixed = [
        "..",
        ".",
        "../..",
        "a/b",
        "a\\b",
        "%2e%2e",
        "%2E",
        "%252e%252e",
        " ",
        "a b",
        "升级任务",
        "😀",
        "?x=1#y",
        "&Action=DeleteOTAFirmware",
        "'; --",
        "<script>",
        "\u{0}",
        "a\r\nX-Injected: 1",
        long.as_str(),
    ];
    for id in fixed.into_iter().chain(near.iter().map(String::as_str)) {
        let shown: String = id.chars().take(40).collect();
        for (method, found) in lookups(subject, id).await? {
            match found {
                Ok(false) => {}
                Ok(true) => return Err(format!("{method} found something under {shown:?}")),
                Err(error) if error.kind() == ErrorKind::InvalidArgument => {}
                Err(error) => return Err(format!("{method} of {shown:?} failed: {error:?}")),
            }
        }
    }
    passed()
}

/// Other spellings of an identifier, which a vendor that reads numbers, or compares without case, takes for the same.
fn aliases(id: &str) -> Vec<String> {
    let swapped = id.chars().map(|c| match c.is_ascii_lowercase() {
        true => c.to_ascii_uppercase(),
        false => c.to_ascii_lowercase(),
    });
    let wide = id.chars().map(|c| match c.to_digit(10) {
        Some(digit) => char::from_u32(0xFF10 + digit).unwrap_or(c),
        None => c,
    });
    vec![
        format!("0{id}"),
        format!("00{id}"),
        format!("+{id}"),
        format!("-{id}"),
        format!(" {id}"),
        format!("{id}.0"),
        format!("{id}e0"),
        format!("{id}\u{200b}"),
        format!("{{{id}}}"),
        format!("\"{id}\""),
        id.to_ascii_uppercase(),
        id.to_ascii_lowercase(),
        swapped.collect(),
        wide.collect(),
    ]
}

pub(crate) async fn aliases_of_an_id_reach_nothing(subject: &Subject) -> Verdict {
    let real = subject.truth.richest_job()?.id.as_str();
    for alias in aliases(real) {
        if subject
            .truth
            .jobs
            .iter()
            .any(|job| job.id.as_str() == alias)
        {
            continue;
        }
        for (method, found) in lookups(subject, &alias).await? {
            match found {
                Ok(false) => {}
                Ok(true) => {
                    return Err(format!("{method} takes {alias:?} for the job `{real}`"));
                }
                Err(error) if error.kind() == ErrorKind::InvalidArgument => {}
                Err(error) => return Err(format!("{method} of {alias:?} failed: {error:?}")),
            }
        }
    }
    passed()
}

pub(crate) async fn an_answer_about_another_job_is_noticed(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let id = &subject.truth.richest_job()?.id;
    let reader = subject.reader()?;
    {
        let Some(_broken) = subject.break_vendor(Trouble::AnotherJob) else {
            return skipped("the subject cannot answer with another job");
        };
        match reader.get_job(&subject.context(), get_job(id)).await {
            Err(error) if error.kind() == ErrorKind::Protocol => {}
            Ok(Some(job)) => {
                return Err(format!(
                    "`{id}` was asked for, and the answer is `{}`",
                    job.id
                ));
            }
            Ok(None) => {
                return Err(format!(
                    "the vendor answers with another job, and `{id}` is said not to exist"
                ));
            }
            Err(error) => {
                return Err(format!("the vendor answers with another job: {error:?}"));
            }
        }
    }
    let job = reader.get_job(&subject.context(), get_job(id)).await;
    let found = matches!(&job, Ok(Some(job)) if job.id == *id);
    ensure!(found, "the vendor is repaired, and `{id}` is {job:?}");
    passed()
}

pub(crate) async fn a_proxy_that_knows_no_way_says_nothing_about_a_job(
    subject: &Subject,
) -> Verdict {
    subject.warm_up().await?;
    for proxy in [
        Proxy::Kong,
        Proxy::Apisix,
        Proxy::Kubernetes,
        Proxy::Framework,
    ] {
        let met = {
            let Some(_broken) = subject.break_vendor(Trouble::ForeignNotFound(proxy)) else {
                return skipped("the subject cannot put a proxy in the vendor's place");
            };
            every_method(subject, || subject.context()).await?
        };
        for (method, error) in met {
            let Some(error) = error else {
                return Err(format!(
                    "{proxy:?} says 404 in the vendor's place, and {method} takes it for the vendor's word"
                ));
            };
            ensure!(
                matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Misconfigured),
                "{proxy:?} says 404 in the vendor's place: {method} says `{}`: {error:?}",
                error.kind()
            );
        }
        subject.let_time_pass(RECOVERY);
    }
    subject.warm_up().await?;
    passed()
}
