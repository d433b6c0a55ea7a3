//! Which cases see which flaw.

use super::flaw::Flaw;

/// Each flaw with the cases that must see it: the rule, whose cases one of must, or the name of a case.
pub(super) const CAUGHT: &[(Flaw, &[&str])] = &[
    (Flaw::AcceptsAnyCursor, &["C10"]),
    (Flaw::AcceptsTheOtherListsCursor, &["C11"]),
    (Flaw::AnswersAnotherJob, &["C31"]),
    (Flaw::AnswersAnUnsupportedFilter, &["C13"]),
    (Flaw::AnswersWithoutWhatAFilterNeeds, &["C15", "C45"]),
    (Flaw::AsksBeforeItRefuses, &["C10", "C13"]),
    (
        Flaw::AsksAnOlderServerAgain,
        &["what_an_older_server_lacks_is_unsupported"],
    ),
    (
        Flaw::AsksForNoOrder,
        &["a_vendor_without_an_order_is_asked_for_one"],
    ),
    (Flaw::AsksForUnusedWords, &["C14"]),
    (
        Flaw::CallsAnOlderServerBroken,
        &["what_an_older_server_lacks_is_unsupported"],
    ),
    (
        Flaw::DropsRowsInAnotherOrder,
        &["a_vendor_without_an_order_is_asked_for_one"],
    ),
    (
        Flaw::LearnsTheServersVersion,
        &["what_an_older_server_lacks_is_unsupported"],
    ),
    (
        Flaw::MissesAJobAtAnOlderServer,
        &["what_an_older_server_lacks_is_unsupported"],
    ),
    (
        Flaw::MissesTheJobOfUnusedWords,
        &["unused_task_words_say_nothing_about_the_job"],
    ),
    (
        Flaw::TakesAnOlderServerForAnEmptyList,
        &["what_an_older_server_lacks_is_unsupported"],
    ),
    (
        Flaw::AsksWithARefusedCredential,
        &["a_refused_credential_is_left_alone_until_it_changes"],
    ),
    (
        Flaw::IgnoresConfiguredFields,
        &["fields_at_a_configured_place_are_filled"],
    ),
    (Flaw::BelievesAnEmptyList, &["C31"]),
    (
        Flaw::BelievesAnotherJob,
        &["an_answer_about_another_job_is_noticed"],
    ),
    (Flaw::BelievesRepeatedPages, &["C27"]),
    (
        Flaw::BelievesAnyDate,
        &["a_date_that_is_years_away_is_not_believed"],
    ),
    (Flaw::BelievesEveryWait, &["C79"]),
    (
        Flaw::BlamesTheCallerForADevice,
        &["a_refused_device_that_was_not_named_is_not_the_callers"],
    ),
    (Flaw::BlamesTheCaller, &["C16"]),
    (
        Flaw::BlocksBehindABrokenPart,
        &["a_broken_part_of_a_list_is_named_and_passed"],
    ),
    (Flaw::CallsTheRestUnknown, &["C63"]),
    (Flaw::EndsInSilence, &["C29"]),
    (Flaw::KeepsATotalThatDoesNotFit, &["C63"]),
    (Flaw::TakesACappedPageForTheLast, &["C29"]),
    (Flaw::BuildsEveryRow, &["C76"]),
    (Flaw::CannotUnpack, &["C77"]),
    (Flaw::CapabilityBeforeCursor, &["C12"]),
    (Flaw::ChangesItsCapability, &["C02"]),
    (Flaw::CallsSilenceUnavailable, &["C82"]),
    (Flaw::CheckSendsNothing, &["C04"]),
    (Flaw::CheckSendsTwo, &["C04"]),
    (Flaw::CountsThePage, &["C48"]),
    (Flaw::CountsWrongTotal, &["C24"]),
    (Flaw::CursorAfterTheEnd, &["C22"]),
    (Flaw::CursorForever, &["C20", "C26", "C40"]),
    (Flaw::DropsRowAtPageBorder, &["C20", "C21", "C26"]),
    (
        Flaw::DropsRowsBeforeAnError,
        &["rows_before_a_failing_call_are_given"],
    ),
    (
        Flaw::CountsRepeatedRows,
        &["a_row_that_comes_twice_is_given_once"],
    ),
    (
        Flaw::CountsTargetsAsTasks,
        &[
            "statistics_equal_the_truth",
            "counts_that_move_fit_each_other",
        ],
    ),
    (Flaw::DropsOddRows, &["C54", "C55", "C58"]),
    (Flaw::EmptyVendorWord, &["C51"]),
    (Flaw::FailsOnUnknownJob, &["C31", "C32"]),
    (Flaw::FillsUndeclaredFields, &["filled_fields_are_declared"]),
    (Flaw::FindsHostileIds, &["C32"]),
    (Flaw::ForgetsDetail, &["C30"]),
    (
        Flaw::GuessesFailure,
        &["words_of_a_text_are_no_reason_of_a_failure"],
    ),
    (Flaw::GuessesOutcome, &["C52", "C61"]),
    (
        Flaw::HidesBrokenParts,
        &["a_broken_part_of_a_list_is_named_and_passed"],
    ),
    (Flaw::HidesWhatAFilterNeeds, &["C45"]),
    (Flaw::HidesLostRows, &["what_is_no_row_costs_no_other_row"]),
    (
        Flaw::IgnoresGarbage,
        &["gzip_with_something_behind_it_is_a_protocol_error"],
    ),
    (Flaw::IgnoresDevice, &["C43", "C45"]),
    (Flaw::IgnoresKind, &["C42"]),
    (Flaw::IgnoresStage, &["C47"]),
    (Flaw::IgnoresStatus, &["C40", "C41"]),
    (Flaw::IgnoresTheDeadline, &["C81"]),
    (Flaw::IgnoresTheGate, &["C80"]),
    (Flaw::KeepsItsFirstCredential, &["C88", "C93"]),
    (Flaw::LeaksInDebug, &["C91"]),
    (Flaw::LeaksInEndpoint, &["C01"]),
    (Flaw::LeaksInError, &["C90"]),
    (Flaw::LongPage, &["C20"]),
    (Flaw::LosesTaskOfPage, &["C21"]),
    (
        Flaw::LosesTheCursorOfAnError,
        &["rows_before_a_failing_call_are_given"],
    ),
    (
        Flaw::NamesNoNeeds,
        &["a_filter_without_those_that_it_needs_is_refused"],
    ),
    (
        Flaw::PassesARefusalOver,
        &["rows_before_a_failing_call_are_given"],
    ),
    (Flaw::MovesStatsTotal, &["C60", "C61"]),
    (Flaw::NeverRecovers, &["C70", "C71", "C72", "C73"]),
    (Flaw::OtherProviderName, &["C50"]),
    (
        Flaw::ReadsTheFirstMemberOnly,
        &["gzip_in_several_members_is_read"],
    ),
    (
        Flaw::ProvesByPresentCounts,
        &["a_job_that_runs_has_no_outcome"],
    ),
    (
        Flaw::RepeatsWholeTexts,
        &["long_texts_are_read_and_bounded"],
    ),
    (Flaw::RepeatsRow, &["C20", "C21", "C27"]),
    (Flaw::ShortPages, &["C23"]),
    (Flaw::SillyCapability, &["C03"]),
    (Flaw::SpendsTooMuch, &["C23"]),
    (Flaw::StatsCostMore, &["C62"]),
    (Flaw::StaysBusy, &["C83"]),
    (Flaw::SwallowsDrift, &["C56", "C58"]),
    (
        Flaw::TellsWrongKind,
        &["C70", "C71", "C72", "C73", "C74", "C77", "C78", "C79"],
    ),
    (Flaw::SwapsOutcome, &["statistics_are_consistent"]),
    (
        Flaw::TakesAProxyForTheVendor,
        &["a_proxy_that_knows_no_way_says_nothing_about_a_job"],
    ),
    (
        Flaw::TakesAnythingForAnEmptyList,
        &["data_that_is_no_list_is_a_protocol_error"],
    ),
    (
        Flaw::UnpacksWithoutEnd,
        &["gzip_beyond_the_limit_is_a_protocol_error"],
    ),
    (Flaw::UnknownIsDropped, &["C44", "C53"]),
    (Flaw::WrongFailure, &["C52"]),
    (Flaw::WrongJobInRow, &["C30"]),
    (Flaw::WrongStats, &["C60"]),
    (Flaw::CutsFilterValues, &["filter_values_are_literals"]),
    (
        Flaw::DropsAField,
        &["C54", "every_documented_field_arrives"],
    ),
    (
        Flaw::DropsRowsThatMoved,
        &["rows_that_move_do_not_end_the_list"],
    ),
    (Flaw::DropsTheVendorsFields, &["C54", "C55"]),
    (
        Flaw::EndsStoppedJobs,
        &[
            "C61",
            "a_stopped_job_has_only_the_outcome_that_its_counts_prove",
        ],
    ),
    (Flaw::FindsAliases, &["aliases_of_an_id_reach_nothing"]),
    (Flaw::HidesFailures, &["C52"]),
    (Flaw::LosesRowsWithNull, &["a_null_object_costs_no_row"]),
    (Flaw::OrdersRowsAnew, &["C28"]),
    (
        Flaw::RepeatsARefusal,
        &["a_refused_argument_is_not_repeated"],
    ),
    (
        Flaw::ShowsWhatWasSent,
        &["an_echoed_request_shows_no_secret"],
    ),
];
