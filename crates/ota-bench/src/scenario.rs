//! What every scenario is given, and how it ends.

use std::path::PathBuf;

/// What every scenario is given.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) gateway: PathBuf,
    pub(crate) quick: bool,
}

/// What stops a benchmark.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Outcome<T> = Result<T, Failure>;
