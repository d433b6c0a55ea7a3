//! What a case says.

/// What a case that did not fail did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and everything held.
    Passed,
    /// It does not apply, for this reason.
    Skipped(String),
}

/// What a case says; the error is what did not hold.
pub type Verdict = Result<Outcome, String>;
