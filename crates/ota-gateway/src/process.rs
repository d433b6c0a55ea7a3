//! What is known about the process itself.

use ota_core::clock::Clock;

use crate::instrument::{self, NO_LABELS, instruments};

instruments! {
    /// Which process it is.
    pub(crate) struct ProcessMetrics {
        /// Always 1; the label is the version.
        build: Gauge "ota_build_info" ["version"],
        /// When the process started, in seconds since 1970.
        started: Gauge "process_start_time_seconds" [],
        /// Memory of the process (Linux only).
        memory: Gauge "process_resident_memory_bytes" [],
    }
}

impl ProcessMetrics {
    /// Records which process it is, and that it starts now.
    pub(crate) fn starts(&self, clock: &dyn Clock) {
        let version = [env!("CARGO_PKG_VERSION")];
        self.build.with_label_values(&version).set(1);
        let started = self.started.with_label_values(&NO_LABELS);
        started.set(clock.now().unix_timestamp());
    }

    /// Reads what the operating system knows.
    pub(crate) fn read(&self) {
        if let Some(bytes) = resident_bytes() {
            instrument::set(&self.memory, &NO_LABELS, bytes);
        }
    }
}

/// Memory of the process as Linux reports it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
