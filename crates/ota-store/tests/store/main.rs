//! The store on both engines.

mod faults;
mod fleet;
mod harness;
mod lease;
mod left_out;
mod measure;
mod model;
mod old_rows;
mod opening;
mod pages;
mod passes;
mod reference;
mod schema;
mod sync_reports;
mod verify;
