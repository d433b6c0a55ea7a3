//! What a broken vendor looks like, and that a repaired one is fine again.

use std::time::Duration;

use ota_core::{Error, ErrorKind};

use crate::case::Verdict;
use crate::cases::{RECOVERY, every_method, passed, skipped};
use crate::subject::{Subject, Trouble};
use crate::walk::ensure;

async fn meets(subject: &Subject, trouble: Trouble) -> Verdict {
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
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::Gzip) else {
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
