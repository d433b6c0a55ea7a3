//! The mirror: questions about a large fleet while it is written, beside a service that a user would write; and what keeping it true costs the vendor.

mod live;
mod passes;
mod questions;
mod rows;
mod service;

use crate::report::Report;
use crate::scenario::{Outcome, Setting};

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    questions::run(setting, report).await?;
    live::run(setting, report).await?;
    passes::run(setting, report).await
}
