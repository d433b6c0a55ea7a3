//! The targets of the adapters: a module for each, and here its names.
//!
//! cargo-fuzz takes a program for each target and knows no list, so each target also has its file in `fuzz_targets` and its `[[bin]]` in
//! `Cargo.toml`; a test of the workspace compares them with what is here.

pub mod alibaba;
pub mod huawei;

use super::target::Target;

/// The targets of each adapter.
pub const ADAPTERS: [&[(&str, Target)]; 2] = [&alibaba::TARGETS, &huawei::TARGETS];
