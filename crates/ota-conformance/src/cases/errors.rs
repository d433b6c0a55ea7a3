//! What a broken vendor looks like, and that a repaired one is fine again.

use std::time::Duration;

use ota_core::error::Retry;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::{Error, ErrorKind};

use crate::cases::rows::{both, same_rows, with_trouble};
use crate::cases::secrets::everything;
use crate::cases::{RECOVERY, every_method, get_job, list_jobs, list_tasks, passed, skipped};
use crate::listing::ensure;
use crate::subject::{Odd, Subject, Trouble};
use crate::verdict::Verdict;

/// Checks what every method says of a trouble, and that all is well after it.
pub(crate) async fn meets(subject: &Subject, trouble: Trouble) -> Verdict {
    subject.warm_up().await?;
    let met = {
        let Some(_broken) = subject.break_vendor(trouble) else {
            return skipped(format!("the subject cannot make {trouble:?}"));
        };
        every_method(subject, || subject.context()).await?
    };
    for (method, error) in met {
        let Some(error) = error else {
            return Err(format!("{trouble:?}: {method} succeeded"));
        };
        let kind = error.kind();
        let fits = match trouble.expected() {
            Some(expected) => kind == expected,
            // The vendor's own words decide; but it is no fault of the caller's, of ours or of the wire's.
            None => !matches!(
                kind,
                ErrorKind::Unexpected
                    | ErrorKind::Protocol
                    | ErrorKind::Unsupported
                    | ErrorKind::Timeout
            ),
        };
        ensure!(fits, "{trouble:?}: {method} says `{kind}`: {error:?}");
        ensure!(
            error.operation().is_some(),
            "{trouble:?}: {method} does not name the vendor's operation: {error:?}"
        );
        ensure!(
            !error.message().is_empty() && !error.message().ends_with('.'),
            "{trouble:?}: {method} has the message {:?}",
            error.message()
        );
    }
    subject.let_time_pass(RECOVERY);
    for (method, error) in every_method(subject, || subject.context()).await? {
        if let Some(error) = error {
            return Err(format!(
                "the vendor is repaired after {trouble:?}, and {method} fails: {error:?}"
            ));
        }
    }
    passed()
}

pub(crate) async fn throttling_is_throttled(subject: &Subject) -> Verdict {
    meets(subject, Trouble::Throttle).await
}

pub(crate) async fn server_errors_are_unavailable(subject: &Subject) -> Verdict {
    meets(subject, Trouble::ServerError).await
}

pub(crate) async fn error_pages_for_people_are_unavailable(subject: &Subject) -> Verdict {
    meets(subject, Trouble::HtmlError).await
}

pub(crate) async fn dropped_connections_are_unavailable(subject: &Subject) -> Verdict {
    meets(subject, Trouble::Drop).await
}

pub(crate) async fn broken_answers_are_unavailable(subject: &Subject) -> Verdict {
    meets(subject, Trouble::CutBody).await
}

pub(crate) async fn pages_for_people_are_protocol_errors(subject: &Subject) -> Verdict {
    meets(subject, Trouble::Html).await
}

pub(crate) async fn cut_answers_are_protocol_errors(subject: &Subject) -> Verdict {
    meets(subject, Trouble::CutJson).await
}

pub(crate) async fn empty_answers_are_protocol_errors(subject: &Subject) -> Verdict {
    meets(subject, Trouble::EmptyBody).await
}

pub(crate) async fn refused_credentials_are_auth_errors(subject: &Subject) -> Verdict {
    meets(subject, Trouble::CredentialRefused).await
}

pub(crate) async fn errors_under_http_200_are_errors(subject: &Subject) -> Verdict {
    meets(subject, Trouble::ErrorUnder200).await
}

pub(crate) async fn other_codings_are_protocol_errors(subject: &Subject) -> Verdict {
    meets(subject, Trouble::OtherCoding).await
}

pub(crate) async fn words_for_slower_are_throttled(subject: &Subject) -> Verdict {
    meets(subject, Trouble::SlowerWord).await
}

pub(crate) async fn gzip_is_read(subject: &Subject) -> Verdict {
    unpacks(subject, Trouble::Gzip).await
}

pub(crate) async fn gzip_in_several_members_is_read(subject: &Subject) -> Verdict {
    unpacks(subject, Trouble::GzipMembers).await
}

pub(crate) async fn gzip_with_something_behind_it_is_a_protocol_error(
    subject: &Subject,
) -> Verdict {
    meets(subject, Trouble::GzipGarbage).await
}

pub(crate) async fn gzip_beyond_the_limit_is_a_protocol_error(subject: &Subject) -> Verdict {
    meets(subject, Trouble::GzipBomb).await
}

async fn unpacks(subject: &Subject, trouble: Trouble) -> Verdict {
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(trouble) else {
        return skipped("the subject cannot compress its answers");
    };
    for (method, error) in every_method(subject, || subject.context()).await? {
        ensure!(error.is_none(), "{method} fails: {error:?}");
    }
    passed()
}

pub(crate) async fn far_too_many_rows_are_a_protocol_error(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let met = {
        let Some(_broken) = subject.break_vendor(Trouble::ManyRows) else {
            return skipped("the subject cannot answer with far too many rows");
        };
        every_method(subject, || subject.context()).await?
    };
    for (method, error) in met {
        let kind = error.as_ref().map(Error::kind);
        let list = method.starts_with("list_");
        let fits = kind == Some(ErrorKind::Protocol) || (kind.is_none() && !list);
        ensure!(fits, "{method} says {error:?}");
    }
    for (method, error) in every_method(subject, || subject.context()).await? {
        ensure!(
            error.is_none(),
            "the vendor is repaired, and {method} fails: {error:?}"
        );
    }
    passed()
}

pub(crate) async fn data_that_is_no_list_is_a_protocol_error(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    for odd in [Odd::Text, Odd::Number, Odd::Object] {
        let Some(_broken) = subject.break_vendor(Trouble::NoList(odd)) else {
            return skipped("the subject cannot put something else in the place of a list");
        };
        for (method, error) in every_method(subject, || subject.context()).await? {
            let kind = error.as_ref().map(Error::kind);
            // Taken for an empty list, it would hide every row.
            let list = method.starts_with("list_");
            let fits = kind == Some(ErrorKind::Protocol) || (kind.is_none() && !list);
            ensure!(
                fits,
                "{odd:?} in the place of a list: {method} says {error:?}"
            );
        }
    }
    passed()
}

/// What was refused for what it says is refused again: one call, and advice to make no other.
pub(crate) async fn a_refused_argument_is_not_repeated(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let job = subject.truth.richest_job()?;
    let reader = subject.reader()?;
    for trouble in [Trouble::BadArgument, Trouble::BadDevice] {
        let Some(_broken) = subject.break_vendor(trouble) else {
            return skipped("the subject cannot refuse an argument");
        };
        for method in ["check", "list_jobs", "get_job", "job_stats", "list_tasks"] {
            let (cx, before) = (subject.context(), subject.calls());
            let error = match method {
                "check" => subject.provider.check(&cx).await.err(),
                "list_jobs" => {
                    let request = list_jobs(JobFilter::default());
                    reader.list_jobs(&cx, request).await.err()
                }
                "get_job" => reader.get_job(&cx, get_job(&job.id)).await.err(),
                "job_stats" => reader.job_stats(&cx, get_job(&job.id)).await.err(),
                _ => {
                    let request = list_tasks(&job.id, TaskFilter::default());
                    reader.list_tasks(&cx, request).await.err()
                }
            };
            let Some(error) = error else { continue };
            let sent = subject.calls() - before;
            ensure!(
                sent == 1,
                "{trouble:?}: {method} made {sent} calls: {error:?}"
            );
            ensure!(
                error.retry() == Retry::Never,
                "{trouble:?}: {method} advises to try again: {error:?}"
            );
        }
    }
    passed()
}

/// The most bytes that an error may say, in all that it shows.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// That the work grows with the length of a text only is counted where it is done; here every method ends, loses nothing and says no more than it should.
pub(crate) async fn long_texts_are_read_and_bounded(subject: &Subject) -> Verdict {
    let (jobs, tasks) = both(subject).await?;
    let Some((long_jobs, long_tasks)) = with_trouble(subject, Trouble::LongText).await? else {
        return skipped("the subject cannot make long texts");
    };
    for (row, long) in same_rows("jobs with long texts", &jobs, &long_jobs)? {
        ensure!(
            long.status == row.status,
            "job `{}` has lost its status",
            long.id
        );
    }
    for (row, long) in same_rows("tasks with long texts", &tasks, &long_tasks)? {
        ensure!(
            long.status == row.status && long.failure.is_some() == row.failure.is_some(),
            "task `{}` is `{}` and its failure is {:?}",
            long.id,
            long.status,
            long.failure
        );
    }
    let met = {
        let Some(_broken) = subject.break_vendor(Trouble::LongRefusal) else {
            return skipped("the subject cannot refuse with a long text");
        };
        every_method(subject, || subject.context()).await?
    };
    for (method, error) in met {
        let Some(error) = error else {
            return Err(format!("{method} succeeded"));
        };
        let length = everything(&error).len();
        ensure!(
            length <= MAX_ERROR_BYTES,
            "the error of {method} says {length} bytes of `{}`",
            error.kind()
        );
    }
    passed()
}

/// The longest wait that a vendor is believed. A quota may be longer, but then the gateway's own count knows that.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

pub(crate) async fn no_wait_of_a_vendor_is_endless(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let met = {
        let Some(_broken) = subject.break_vendor(Trouble::EndlessWait) else {
            return skipped("the subject cannot ask for an endless wait");
        };
        every_method(subject, || subject.context()).await?
    };
    for (method, error) in met {
        let Some(error) = error else {
            return Err(format!("{method} succeeded"));
        };
        ensure!(
            error.kind() == ErrorKind::Throttled,
            "{method} says {error:?}"
        );
        let wait = error.retry_after();
        ensure!(
            wait.is_none_or(|wait| wait <= LONGEST_WAIT),
            "{method} asks its caller to wait for {wait:?}"
        );
    }
    subject.let_time_pass(LONGEST_WAIT);
    for (method, error) in every_method(subject, || subject.context()).await? {
        ensure!(
            error.is_none(),
            "the vendor is repaired, and {method} fails: {error:?}"
        );
    }
    passed()
}
