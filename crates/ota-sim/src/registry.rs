//! The simulators that there are: one line for each vendor.

use crate::simulator::Simulator;

/// Every simulator. Program, sandbox, benchmark and tests go through this list.
pub static SIMULATORS: &[&Simulator] = &[
    // `cargo xtask new-provider` adds a line here.
    &crate::alibaba::SIMULATOR,
    &crate::huawei::SIMULATOR,
];

/// Returns the simulator of this name.
#[must_use]
pub fn simulator(name: &str) -> Option<&'static Simulator> {
    SIMULATORS.iter().copied().find(|one| one.name == name)
}
