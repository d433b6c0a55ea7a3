//! Cases, running them, and what came out.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use ota_core::BoxFuture;
use ota_core::clock::{Clock, SystemClock};

use crate::cases;
use crate::step::{STEPS, Step};
use crate::subject::Subject;
use crate::verdict::{Outcome, Verdict};

/// How long one case may take.
const CASE_TIME: Duration = Duration::from_secs(120);

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// The rule of `docs/provider-contract.md` that it checks.
    pub rule: &'static str,
    /// What holds.
    pub name: &'static str,
    /// Checks it.
    pub run: for<'a> fn(&'a Subject) -> BoxFuture<'a, Verdict>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.rule, self.name)
    }
}

macro_rules! cases {
    ($($rule:literal $module:ident :: $name:ident),+ $(,)?) => {
        /// Every case, in the order of the rules.
        pub const CASES: &[Case] = &[$(Case {
            rule: $rule,
            name: stringify!($name),
            run: |subject| Box::pin(cases::$module::$name(subject)),
        }),+];
    };
}

cases! {
    "C01" identity::name_vendor_and_endpoint_are_fit_to_be_shown,
    "C02" identity::capability_never_changes,
    "C03" identity::capability_is_sound,
    "C04" identity::check_makes_one_call,
    "C10" order::damaged_cursors_are_refused_without_a_call,
    "C11" order::cursors_of_the_other_list_are_refused_without_a_call,
    "C12" order::a_cursor_is_judged_before_the_capability,
    "C13" order::refused_job_filters_are_named_and_cost_nothing,
    "C13" order::refused_task_filters_are_named_and_cost_nothing,
    "C14" order::unused_job_words_give_an_empty_page_without_a_call,
    "C14" order::unused_task_words_give_an_empty_page_without_a_call,
    "C14" order::unused_task_words_say_nothing_about_the_job,
    "C15" order::a_filter_without_those_that_it_needs_is_refused,
    "C16" order::a_refused_argument_of_the_gateway_is_not_the_callers,
    "C16" order::a_refused_device_that_was_not_named_is_not_the_callers,
    "C17" versions::what_an_older_server_lacks_is_unsupported,
    "C20" lists::every_job_is_listed_exactly_once,
    "C21" lists::every_task_is_listed_exactly_once,
    "C22" lists::a_list_ends_with_its_last_row,
    "C23" lists::a_page_is_filled_within_its_calls,
    "C24" lists::totals_are_exact,
    "C26" lists::concurrent_listings_do_not_disturb_each_other,
    "C27" lists::a_repeated_page_ends_the_list_with_an_error,
    "C27" pages::a_row_that_comes_twice_is_given_once,
    "C27" pages::rows_that_move_do_not_end_the_list,
    "C28" lists::rows_come_in_one_order,
    "C28" lists::a_vendor_without_an_order_is_asked_for_one,
    "C29" pages::capped_pages_lose_no_row,
    "C29" pages::pages_without_their_rows_end_no_list_in_silence,
    "C29" pages::totals_that_change_end_no_list_in_silence,
    "C30" lookups::a_job_agrees_with_its_row,
    "C31" lookups::an_unknown_job_is_none,
    "C32" lookups::hostile_ids_reach_nothing,
    "C32" lookups::aliases_of_an_id_reach_nothing,
    "C32" lookups::an_answer_about_another_job_is_noticed,
    "C33" lookups::a_proxy_that_knows_no_way_says_nothing_about_a_job,
    "C40" filters::job_status_filters_are_exact,
    "C41" filters::task_status_filters_are_exact,
    "C42" filters::job_filters_are_exact,
    "C43" filters::task_filters_are_exact,
    "C44" filters::rows_of_unknown_status_are_found_by_it,
    "C45" filters::values_that_nothing_has_give_an_empty_list,
    "C46" literals::filter_values_are_literals,
    "C47" filters::task_stage_filters_are_exact,
    "C48" filters::one_call_counts_what_a_filter_finds,
    "C50" rows::rows_have_what_is_required,
    "C51" rows::rows_keep_the_vendors_words,
    "C52" rows::reported_facts_are_in_range,
    "C52" stats::a_stopped_job_has_only_the_outcome_that_its_counts_prove,
    "C53" rows::an_unknown_status_word_leaves_the_page_whole,
    "C54" rows::an_unreadable_date_leaves_the_page_whole,
    "C55" rows::an_unknown_field_leaves_the_page_whole,
    "C56" rows::drift_is_reported,
    "C57" rows::words_of_a_text_are_no_reason_of_a_failure,
    "C57" fields::filled_fields_are_declared,
    "C57" documented::every_documented_field_arrives,
    "C58" rows::an_odd_value_leaves_the_page_whole,
    "C58" rows::a_null_object_costs_no_row,
    "C59" rows::what_is_no_row_costs_no_other_row,
    "C60" stats::statistics_equal_the_truth,
    "C61" stats::statistics_are_consistent,
    "C61" stats::a_job_that_runs_has_no_outcome,
    "C62" stats::statistics_cost_no_more_than_the_capability_says,
    "C63" stats::counts_that_move_fit_each_other,
    "C64" configured::fields_at_a_configured_place_are_filled,
    "C70" errors::throttling_is_throttled,
    "C71" errors::server_errors_are_unavailable,
    "C71" errors::error_pages_for_people_are_unavailable,
    "C71" errors::dropped_connections_are_unavailable,
    "C71" errors::broken_answers_are_unavailable,
    "C72" errors::pages_for_people_are_protocol_errors,
    "C72" errors::cut_answers_are_protocol_errors,
    "C72" errors::empty_answers_are_protocol_errors,
    "C72" errors::data_that_is_no_list_is_a_protocol_error,
    "C73" errors::refused_credentials_are_auth_errors,
    "C74" errors::errors_under_http_200_are_errors,
    "C75" errors::a_refused_argument_is_not_repeated,
    "C76" errors::far_too_many_rows_are_a_protocol_error,
    "C77" errors::gzip_is_read,
    "C77" errors::gzip_in_several_members_is_read,
    "C77" errors::gzip_with_something_behind_it_is_a_protocol_error,
    "C77" errors::gzip_beyond_the_limit_is_a_protocol_error,
    "C77" errors::other_codings_are_protocol_errors,
    "C78" errors::words_for_slower_are_throttled,
    "C79" errors::no_wait_of_a_vendor_is_endless,
    "C80" calls::calls_are_recorded_in_the_context,
    "C81" calls::nothing_is_sent_after_the_deadline,
    "C82" calls::a_silent_vendor_is_a_timeout,
    "C83" calls::a_dropped_request_leaves_the_next_unharmed,
    "C86" calls::a_date_that_is_years_away_is_not_believed,
    "C87" errors::long_texts_are_read_and_bounded,
    "C88" renewal::a_credential_that_is_renewed_fails_no_request,
    "C89" partial::rows_before_a_failing_call_are_given,
    "C89" partial::a_broken_part_of_a_list_is_named_and_passed,
    "C90" secrets::no_error_shows_a_secret,
    "C90" secrets::an_echoed_request_shows_no_secret,
    "C91" secrets::debug_shows_no_secret,
    "C93" renewal::a_refused_credential_is_left_alone_until_it_changes,
}

/// What came out of one case.
#[derive(Clone, Debug)]
pub struct ReportLine {
    /// The case.
    pub case: Case,
    /// What it said.
    pub verdict: Verdict,
}

/// What came out of all cases for one subject.
#[derive(Clone, Debug)]
pub struct Report {
    /// The subject's name.
    pub subject: String,
    /// One line for each case, in the order of [`CASES`].
    pub lines: Vec<ReportLine>,
}

impl Report {
    /// Returns the lines of failed cases.
    pub fn failures(&self) -> impl Iterator<Item = &ReportLine> {
        self.lines.iter().filter(|line| line.verdict.is_err())
    }

    /// Returns the lines of failed cases by step, in the order in which the author of an adapter mends them.
    #[must_use]
    pub fn to_do(&self) -> Vec<(Step, Vec<&ReportLine>)> {
        let failed = |step: &Step| {
            let of =
                |rule: &'static str| self.failures().filter(move |line| line.case.rule == rule);
            step.rules.iter().copied().flat_map(of).collect()
        };
        let steps = STEPS.iter().map(|step| (*step, failed(step)));
        steps
            .filter(|(_, failed): &(Step, Vec<&ReportLine>)| !failed.is_empty())
            .collect()
    }

    /// Returns whether no case failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failures().next().is_none()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failed = self.failures().count();
        writeln!(
            f,
            "{}: {} cases, {failed} failed",
            self.subject,
            self.lines.len()
        )?;
        for line in &self.lines {
            let Case { rule, name, .. } = line.case;
            match &line.verdict {
                Ok(Outcome::Passed) => writeln!(f, "  {rule} passed  {name}")?,
                Ok(Outcome::Skipped(reason)) => writeln!(f, "  {rule} skipped {name}: {reason}")?,
                Err(reason) => writeln!(f, "  {rule} FAILED  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}

/// Runs one case. A panic and a case that does not come to an end are failures.
pub async fn run_case(case: Case, subject: &Subject) -> Verdict {
    let run = AssertUnwindSafe((case.run)(subject)).catch_unwind();
    let limit = SystemClock.sleep_until(SystemClock.monotonic() + CASE_TIME);
    match select(run, limit).await {
        Either::Left((Ok(verdict), _)) => verdict,
        Either::Left((Err(_), _)) => Err("it panicked".to_owned()),
        Either::Right(_) => Err(format!("it did not end within {CASE_TIME:?}")),
    }
}

/// Longer than any pause that a gate takes after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Runs every case, one after the other.
pub async fn run_all(subject: &Subject) -> Report {
    let mut lines = Vec::with_capacity(CASES.len());
    for case in CASES {
        let verdict = run_case(*case, subject).await;
        if verdict.is_err() {
            // A case that ends early leaves a pause of the gate behind, which is not the next one's affair.
            subject.let_time_pass(LONGEST_PAUSE);
        }
        lines.push(ReportLine {
            case: *case,
            verdict,
        });
    }
    Report {
        subject: subject.name.clone(),
        lines,
    }
}
