//! The suite against every provider, and against providers with a flaw.
//!
//! A vendor has a module with its subjects and one line in [`VENDORS`].

#![expect(
    clippy::unwrap_used,
    reason = "the rigs of the tests are test code too"
)]

mod alibaba;
mod flaws;
mod harness;
mod huawei;
mod listing;
mod memory;
mod rig;
mod signatures;
mod simulated;
mod trouble;

use std::process::ExitCode;

use harness::{Arguments, Test, tests};
use simulated::Vendor;

/// Every vendor that the suite runs for. Its subjects are listed in `CASES/<name>.txt`.
const VENDORS: &[Vendor] = &[
    // `cargo xtask new-provider` adds a line here.
    memory::VENDOR,
    alibaba::VENDOR,
    huawei::VENDOR,
];

const TESTS: &[Test] = tests!(
    listing::every_provider_keeps_the_contract,
    listing::an_unfinished_subject_is_told_what_to_do_next,
    flaws::every_flaw_is_caught_by_its_cases,
    flaws::flaws_are_caught_at_every_kind_of_vendor,
    flaws::a_flaw_of_one_case_fails_no_other,
    flaws::every_flaw_is_caught_around_every_adapter,
    flaws::every_rule_with_a_case_has_a_flaw,
    flaws::no_flaw_no_failure,
    flaws::a_subject_without_examples_fails,
    flaws::a_panic_is_a_failure,
    alibaba::every_signature_and_format_lists_the_same_fleet,
    signatures::every_text_is_signed_with_acs3_as_it_is_verified,
    signatures::every_text_is_signed_with_hmac_sha1_as_it_is_verified,
    harness::arguments_are_read,
);

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    if arguments.subjects.is_empty() {
        return harness::run(&arguments, TESTS);
    }
    harness::runtime().block_on(listing::run_alone(&arguments.subjects))
}
