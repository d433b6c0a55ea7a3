#![doc = include_str!("../README.md")]

mod case;
mod cases;
mod listing;
pub mod memory;
mod step;
mod subject;
mod verdict;

pub use case::{CASES, Case, Report, ReportLine, run_all, run_case};
pub use step::{STEPS, Step};
pub use subject::{
    Documented, Example, GateUnderTest, JobTruth, Newer, Odd, Place, Proxy, Received, Renewal,
    Subject, TaskExample, Trouble, Truth, fields_at_ids,
};
pub use verdict::{Outcome, Verdict};
