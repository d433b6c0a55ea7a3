//! Credentials that are refused, and renewed.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use ota_core::clock::{Clock, SystemClock};
use ota_core::provider::JobFilter;
use ota_core::{Error, ErrorKind};

use crate::cases::{RECOVERY, get_job, list_jobs, passed, skipped};
use crate::listing::ensure;
use crate::subject::{GateUnderTest, Renewal, Subject};
use crate::verdict::Verdict;

/// How the clock is moved while a provider waits for a renewal, and how often.
const STEP: Duration = Duration::from_millis(10);

/// How long the tokens of vendors live that have them, and more.
const TOKENS_END: Duration = Duration::from_secs(2 * 3600);

/// The most calls that a refused credential may cost at once: a token may be renewed in two ways, and a refusal of a credential that was taken before be doubted.
const AT_ONCE: u64 = 5;

/// The most calls that it may cost in a minute: one every five seconds.
const IN_A_MINUTE: u64 = 12;

pub(crate) async fn a_credential_that_is_renewed_fails_no_request(subject: &Subject) -> Verdict {
    let (Some(renewal), Some(pass_time)) = (&subject.renewal, &subject.pass_time) else {
        return skipped("the subject cannot renew a credential");
    };
    if subject.gate == GateUnderTest::Open {
        return skipped("the gate of this subject makes no second attempt");
    }
    let before = subject.calls();
    (renewal.at_vendor)(true);
    let renewing = async {
        while subject.calls() == before {
            pause().await;
        }
        // The vendor has refused the old credential; the new one is written a moment later.
        (renewal.at_provider)(true);
        loop {
            pause().await;
            pass_time(STEP);
        }
    };
    let cx = subject.context();
    let request = pin!(renewal.provider.check(&cx));
    let result = match select(request, pin!(renewing)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => return Err("the clock is moved for ever".to_owned()),
    };
    reset(subject, renewal);
    match result {
        Ok(()) => passed(),
        Err(error) => Err(format!(
            "the credential was renewed while a request was made, and the request failed: {error:?}"
        )),
    }
}

pub(crate) async fn a_refused_credential_is_left_alone_until_it_changes(
    subject: &Subject,
) -> Verdict {
    let Some(renewal) = &subject.renewal else {
        return skipped("the subject cannot renew a credential");
    };
    // What is left of calls before this.
    subject.let_time_pass(TOKENS_END);
    (renewal.at_vendor)(true);
    let verdict = refused(subject, renewal).await;
    reset(subject, renewal);
    verdict?;
    if let Some(error) = ask(subject, renewal, 0).await {
        return Err(format!(
            "a minute after the vendor takes the credential again it is not used: {error:?}"
        ));
    }
    passed()
}

/// The vendor takes another credential than the provider has.
async fn refused(subject: &Subject, renewal: &Renewal) -> Result<(), String> {
    let before = subject.calls();
    for number in 0..20 {
        is_refused(ask(subject, renewal, number).await)?;
    }
    let cost = subject.calls() - before;
    ensure!(
        cost <= AT_ONCE,
        "20 questions with a refused credential cost {cost} calls"
    );
    let before = subject.calls();
    for number in 0..60 {
        subject.let_time_pass(Duration::from_secs(1));
        is_refused(ask(subject, renewal, number).await)?;
    }
    let cost = subject.calls() - before;
    ensure!(
        cost <= IN_A_MINUTE,
        "a question a second with a refused credential costs {cost} calls a minute"
    );
    subject.let_time_pass(RECOVERY);
    let before = subject.calls();
    for error in join_all((0..10).map(|number| ask(subject, renewal, number))).await {
        is_refused(error)?;
    }
    let cost = subject.calls() - before;
    ensure!(
        cost <= AT_ONCE,
        "10 questions side by side with a refused credential cost {cost} calls"
    );
    (renewal.at_provider)(true);
    match ask(subject, renewal, 0).await {
        None => Ok(()),
        Some(error) => Err(format!(
            "another credential is there and is not used with the next request: {error:?}"
        )),
    }
}

fn is_refused(error: Option<Error>) -> Result<(), String> {
    let fits = error
        .as_ref()
        .is_some_and(|error| error.kind() == ErrorKind::Auth);
    ensure!(
        fits,
        "the vendor refuses the credential, and it is {error:?}"
    );
    Ok(())
}

/// Asks one of several questions, and moves the clock while a renewal may be waited for. Returns the error, if there was one.
async fn ask(subject: &Subject, renewal: &Renewal, number: usize) -> Option<Error> {
    let cx = subject.context();
    let asked = async {
        let job = subject.truth.jobs.get(number % 7).map(|job| &job.id);
        match (renewal.provider.jobs(), job, number % 3) {
            (Some(reader), Some(job), 1) => reader.get_job(&cx, get_job(job)).await.err(),
            (Some(reader), _, 2) => {
                let all = list_jobs(JobFilter::default());
                reader.list_jobs(&cx, all).await.err()
            }
            _ => renewal.provider.check(&cx).await.err(),
        }
    };
    let moving = async {
        loop {
            pause().await;
            subject.let_time_pass(STEP);
        }
    };
    match select(pin!(asked), pin!(moving)).await {
        Either::Left((error, _)) => error,
        Either::Right(((), _)) => None,
    }
}

async fn pause() {
    SystemClock
        .sleep_until(SystemClock.monotonic() + STEP / 2)
        .await;
}

/// Gives vendor and provider the first credential again.
fn reset(subject: &Subject, renewal: &Renewal) {
    (renewal.at_vendor)(false);
    (renewal.at_provider)(false);
    subject.let_time_pass(RECOVERY);
}
