//! The gate and the calls that pass it.

use std::time::Duration;

use futures_util::future::{Either, select};
use ota_core::context::{Context, Priority};
use ota_core::provider::JobFilter;
use ota_core::{Error, ErrorKind};

use crate::cases::{every_method, get_job, list_jobs, passed, skipped};
use crate::listing::ensure;
use crate::subject::{GateUnderTest, Subject, Trouble};
use crate::verdict::Verdict;

pub(crate) async fn calls_are_recorded_in_the_context(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let reader = subject.reader()?;
    let job = subject.truth.richest_job()?;
    for method in ["list_jobs", "get_job", "job_stats"] {
        let (before, start) = (subject.calls(), subject.clock.now());
        let cx = subject.context();
        let error = match method {
            "list_jobs" => reader
                .list_jobs(&cx, list_jobs(JobFilter::default()))
                .await
                .err(),
            "get_job" => reader.get_job(&cx, get_job(&job.id)).await.err(),
            _ => reader.job_stats(&cx, get_job(&job.id)).await.err(),
        };
        if let Some(error) = error {
            return Err(format!("{method} failed: {error:?}"));
        }
        let (sent, end) = (subject.calls() - before, subject.clock.now());
        let summary = cx.calls.summary();
        ensure!(
            u64::from(summary.count) == sent && sent > 0,
            "{method} sent {sent} calls and recorded {}",
            summary.count
        );
        ensure!(
            summary
                .earliest
                .is_some_and(|earliest| start <= earliest.wall && earliest.wall <= end),
            "{method} was sent between {start} and {end} and recorded {:?}",
            summary.earliest
        );
    }
    passed()
}

pub(crate) async fn nothing_is_sent_after_the_deadline(subject: &Subject) -> Verdict {
    if subject.gate == GateUnderTest::Open {
        return skipped("the gate of this subject stands open");
    }
    subject.warm_up().await?;
    let over = || {
        Context::new(
            "conformance",
            subject.clock.monotonic(),
            Priority::Interactive,
        )
    };
    let before = subject.calls();
    for (method, error) in every_method(subject, over).await? {
        let Some(error) = error else {
            return Err(format!("{method} succeeded after its deadline"));
        };
        ensure!(
            matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Throttled),
            "{method} after its deadline says `{}`: {error:?}",
            error.kind()
        );
    }
    ensure!(
        subject.calls() == before,
        "a call was sent after the deadline"
    );
    passed()
}

/// Starts a request against a silent vendor and returns when the vendor has received it; `then` decides what happens.
async fn reach_silence<'a, T>(
    subject: &'a Subject,
    request: impl Future<Output = T> + Send + Unpin + 'a,
) -> Result<impl Future<Output = T> + Send + Unpin + 'a, String> {
    let before = subject.calls();
    let arrived = Box::pin(async {
        while subject.calls() == before {
            tokio::task::yield_now().await;
        }
    });
    match select(request, arrived).await {
        Either::Left(_) => Err("a request was answered although the vendor is silent".to_owned()),
        Either::Right(((), request)) => Ok(request),
    }
}

pub(crate) async fn a_silent_vendor_is_a_timeout(subject: &Subject) -> Verdict {
    let GateUnderTest::Limiting { attempt_timeout } = subject.gate else {
        return skipped("the gate of this subject stands open");
    };
    subject.warm_up().await?;
    let reader = subject.reader()?;
    let job = subject.truth.richest_job()?;
    {
        let Some(_broken) = subject.break_vendor(Trouble::Hang) else {
            return skipped("the subject cannot make the vendor silent");
        };
        let cx = subject.context();
        let mut request = reach_silence(subject, reader.get_job(&cx, get_job(&job.id))).await?;
        // A gate may try again; each attempt has its time.
        let result = loop {
            let before = subject.calls();
            subject.let_time_pass(attempt_timeout + Duration::from_millis(1));
            let again = Box::pin(async {
                while subject.calls() == before {
                    tokio::task::yield_now().await;
                }
            });
            match select(request, again).await {
                Either::Left((result, _)) => break result,
                Either::Right(((), waiting)) => request = waiting,
            }
        };
        match result {
            Ok(_) => return Err("get_job succeeded although the vendor is silent".to_owned()),
            Err(error) => ensure!(
                error.kind() == ErrorKind::Timeout,
                "a silent vendor is `{}`: {error:?}",
                error.kind()
            ),
        }
    }
    works(subject, "the vendor is repaired").await
}

pub(crate) async fn a_dropped_request_leaves_the_next_unharmed(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let reader = subject.reader()?;
    let job = subject.truth.richest_job()?;
    {
        let Some(_broken) = subject.break_vendor(Trouble::Hang) else {
            return skipped("the subject cannot make the vendor silent");
        };
        let cx = subject.context();
        let all = list_jobs(JobFilter::default());
        drop(reach_silence(subject, reader.list_jobs(&cx, all)).await?);
        let request = reader.get_job(&cx, get_job(&job.id));
        drop(reach_silence(subject, request).await?);
        let request = reader.job_stats(&cx, get_job(&job.id));
        drop(reach_silence(subject, request).await?);
    }
    works(subject, "requests were dropped").await
}

async fn works(subject: &Subject, when: &str) -> Verdict {
    for (method, error) in every_method(subject, || subject.context()).await? {
        if let Some(error) = error {
            return Err(format!("{when}, and {method} fails: {error:?}"));
        }
    }
    passed()
}

/// Checks that `check` costs one call; returns what it said.
async fn one_call(subject: &Subject, when: &str) -> Result<Option<Error>, String> {
    let before = subject.calls();
    let said = subject.provider.check(&subject.context()).await;
    let cost = subject.calls() - before;
    ensure!(cost == 1, "{when}: `check` made {cost} calls");
    Ok(said.err())
}

pub(crate) async fn a_date_that_is_years_away_is_not_believed(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    {
        let Some(_broken) = subject.break_vendor(Trouble::FalseDate) else {
            return skipped("the subject cannot say another date");
        };
        for (method, error) in every_method(subject, || subject.context()).await? {
            // A vendor whose requests carry no time has nothing to refuse.
            let fits = error
                .as_ref()
                .is_none_or(|error| error.kind() == ErrorKind::Auth);
            ensure!(fits, "{method} says {error:?}");
        }
        one_call(subject, "the vendor says a date that is years away").await?;
    }
    // Signed with the wrong time, it would be refused, and mended by a second call.
    let error = one_call(subject, "the vendor says the right date again").await?;
    ensure!(error.is_none(), "the own time is not used: {error:?}");
    works(subject, "the vendor says the right date again").await
}
