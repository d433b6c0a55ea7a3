//! Processor time of other processes, as Linux tells it.

use std::fs;

/// Clock ticks in a second, as `/proc` counts them on every Linux of today.
const TICKS: f64 = 100.0;

/// Returns the seconds that a process and its children have used so far; not a number where the system does not tell it.
pub(crate) fn seconds_of(process: u32) -> f64 {
    let Ok(folder) = fs::read_dir("/proc") else {
        return f64::NAN;
    };
    let processes = folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| Some((id, parent_and_ticks(id)?)));
    processes
        .filter(|(id, (parent, _))| *id == process || *parent == process)
        .map(|(_, (_, ticks))| ticks)
        .sum::<f64>()
        / TICKS
}

fn parent_and_ticks(process: u32) -> Option<(u32, f64)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is a name that may hold anything; behind its bracket the third one follows.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?))
}
