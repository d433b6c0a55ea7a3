//! The suite catches what it is there for: each flaw, put around a good provider, fails the case that is meant for it.
//!
//! Here the good provider is the reference provider; `planted` puts the same flaws around every adapter.

use std::sync::Arc;
use std::time::Duration;

use ota_conformance::memory::{
    MemoryProvider, capability_without_names, full_capability, small_capability,
};
use ota_conformance::{CASES, Case, Subject, run_all, run_case};

use crate::memory::{Kind, subject, subject_with};
use crate::rig::Through;

mod caught;
mod flaw;
mod flawed;
mod partial;
mod planted;
mod unwritten;

use caught::CAUGHT;
use flaw::Flaw;
use flawed::plant;
pub(crate) use planted::every_flaw_is_caught_around_every_adapter;
pub(crate) use unwritten::Unwritten;

/// The reference provider with a flaw.
fn flawed(flaw: Flaw) -> Subject {
    let small = matches!(
        flaw,
        Flaw::AnswersAnUnsupportedFilter
            | Flaw::AnswersWithoutWhatAFilterNeeds
            | Flaw::AsksBeforeItRefuses
            | Flaw::CapabilityBeforeCursor
            | Flaw::HidesWhatAFilterNeeds
            | Flaw::NamesNoNeeds
    );
    let capability = match flaw {
        Flaw::IgnoresConfiguredFields => capability_without_names(),
        _ if small => small_capability(),
        _ => full_capability(),
    };
    let good = |inner: MemoryProvider| match flaw {
        Flaw::AsksForNoOrder => Arc::new(inner.without_order()) as _,
        _ => Arc::new(inner) as _,
    };
    let subject = subject_with(
        "flawed",
        capability,
        Through::Guard,
        good,
        |renewed| match flaw {
            Flaw::AsksWithARefusedCredential => renewed.with_pause(Duration::ZERO),
            _ => renewed,
        },
    );
    plant(subject, flaw)
}

pub(crate) async fn every_flaw_is_caught_by_its_cases() {
    let mut missed = Vec::new();
    for (flaw, rules) in CAUGHT {
        for rule in *rules {
            let mut caught = false;
            let meant = |case: &&Case| case.rule == *rule || case.name == *rule;
            for case in CASES.iter().filter(meant) {
                caught |= run_case(*case, &flawed(*flaw)).await.is_err();
            }
            if !caught {
                missed.push(format!("{flaw:?} by {rule}"));
            }
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// The same rules hold where the vendor is another one, and their cases see there who breaks them.
pub(crate) async fn flaws_are_caught_at_every_kind_of_vendor() {
    let planted = [
        (Kind::ByTokens, Flaw::BelievesRepeatedPages, "C27"),
        (Kind::ByTokens, Flaw::DropsRowAtPageBorder, "C20"),
        (Kind::ByTokens, Flaw::CursorForever, "C20"),
        (Kind::ByTokens, Flaw::EndsInSilence, "C27"),
        (Kind::VagueLists, Flaw::BelievesAnEmptyList, "C31"),
        (Kind::WithoutFailures, Flaw::WrongFailure, "C52"),
        (Kind::AliasesByForm, Flaw::FindsAliases, "C32"),
        (Kind::AliasesByAnswer, Flaw::FindsAliases, "C32"),
        // What is wrong is inside: it takes the answer for the job that it asked for.
        (Kind::AliasesBelieved, Flaw::None, "C32"),
        (Kind::OldServer, Flaw::AnswersAnUnsupportedFilter, "C13"),
        (Kind::OldServer, Flaw::AsksBeforeItRefuses, "C13"),
    ];
    for (kind, flaw, rule) in planted {
        let good = subject("flawed", kind.capability(), Through::Guard, |one| {
            Arc::new(kind.provider(one))
        });
        let subject = plant(good, flaw);
        let mut caught = false;
        for case in CASES.iter().filter(|case| case.rule == rule) {
            caught |= run_case(*case, &subject).await.is_err();
        }
        assert!(caught, "{flaw:?} by {rule}");
    }
}

/// A flaw that is listed with names of cases is so small that nothing else sees it.
pub(crate) async fn a_flaw_of_one_case_fails_no_other() {
    for (flaw, names) in CAUGHT {
        if !names.iter().all(|name| name.contains('_')) {
            continue;
        }
        let report = run_all(&flawed(*flaw)).await;
        let failed: Vec<&str> = report.failures().map(|line| line.case.name).collect();
        assert_eq!(failed, *names, "{flaw:?}");
    }
}

pub(crate) async fn every_rule_with_a_case_has_a_flaw() {
    for case in CASES {
        let named = |rules: &[&str]| rules.contains(&case.rule) || rules.contains(&case.name);
        let has_one = CAUGHT.iter().any(|(_, rules)| named(rules));
        assert!(has_one, "nothing shows that {case:?} can fail");
    }
}

/// Without its flaw the wrapper is a good provider, so it is the flaw that is caught.
pub(crate) async fn no_flaw_no_failure() {
    let report = run_all(&flawed(Flaw::None)).await;
    assert!(report.is_ok(), "{report}");
}

/// A subject that gives nothing to look at fails instead of passing.
pub(crate) async fn a_subject_without_examples_fails() {
    let mut subject = flawed(Flaw::None);
    subject.truth.job_examples.clear();
    subject.truth.jobs.clear();
    for rule in ["C21", "C42", "C60", "C62"] {
        let case = CASES.iter().find(|case| case.rule == rule).unwrap();
        assert!(run_case(*case, &subject).await.is_err(), "{case:?}");
    }
}

pub(crate) async fn a_panic_is_a_failure() {
    let case = Case {
        rule: "C00",
        name: "panics",
        run: |_| {
            Box::pin(async {
                // Without the hook, which would print it.
                std::panic::resume_unwind(Box::new("on purpose"))
            })
        },
    };
    let verdict = run_case(case, &flawed(Flaw::None)).await;
    assert_eq!(verdict, Err("it panicked".to_owned()));
}
