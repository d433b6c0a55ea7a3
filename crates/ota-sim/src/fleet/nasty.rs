//! Rows that are easy to get wrong, a part of every demo fleet: names that differ by case only, other spellings of the
//! same number, separators, quotes, wildcards, texts that are not ASCII, a task in every status, fields that are null.

use super::plan::{Job, Package, Product, Scope, Still};
use super::vocabulary::Vocabulary;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Devices of the nasty jobs. A vendor that cannot have a name (see [`Vocabulary::takes_device_name`]) has a plain one
/// in its place.
const DEVICES: &[&str] = &[
    "Valve-8",
    "valve-8",
    "VALVE-8",
    "valve-08",
    "valve-+8",
    "0008",
    "00008",
    "8",
    "08",
    "+8",
    "valve:8",
    "valve@8",
    "valve.8",
    "valve_8",
    "valve%8",
    "valve%258",
    "valve*",
    "valve 8",
    "valve/8",
    "valve\\8",
    "valve,8",
    "valve;8",
    "valve'8",
    "valve\"8\"",
    "valve?8=1&x#y",
    "<valve>&amp;8",
    "阀门-8",
    "📦-8",
    "null",
    "..",
];

/// How many of the tasks are in each status.
const TASKS_PER_STAGE: [u32; 7] = [4, 4, 4, 4, 6, 4, 4];

pub(super) fn product(seed: u64, words: &dyn Vocabulary, number: u64) -> Product {
    Product {
        id: words.product_id(seed, number),
        name: "Ünïcode 阀门 📦 'a' \"b\" 100% _* a/b\\c;d,e",
        device_prefix: "odd",
        device_type: "Odd/Type +8",
        model: "model 08 %2F *",
        manufacturer: "Example, Works; & Söhne",
    }
}

/// Two packages whose versions are the same number.
pub(super) fn packages(
    seed: u64,
    words: &dyn Vocabulary,
    product: usize,
    first: u64,
) -> [Package; 2] {
    let package = |number: u64, name, version| Package {
        id: words.package_id(seed, number),
        product,
        name,
        description: "'a' \"b\" 100% _* 📦\n第二行",
        version,
        from_version: None,
        module: "default",
        status: 1,
        files: 1,
        size: 1_048_576 + 4_096 * number,
        software: false,
        created: -60 * DAY + i64::try_from(number).unwrap_or(0) * HOUR,
    };
    [
        package(first, "Odd 'firmware' 📦 %_*", "8"),
        package(first + 1, "odd 'firmware' 📦 %_*", "08"),
    ]
}

/// Jobs for the same devices, whose descriptions differ by case only. `package` is the place of the first package.
pub(super) fn jobs(package: usize) -> [Job; 3] {
    let job = Job {
        tasks: DEVICES.len() as u32,
        names: DEVICES,
        package,
        first_device: 1,
        created: -10 * DAY,
        start: -10 * DAY,
        scope: Scope::Specific,
        description: "odd rows 'a' \"b\" 100% _* a/b\\c;d,e 阀门 📦",
        tags: &[("a=b;c", "d,e & \"f\""), ("名,称 📦", "100% _*")],
        source_versions: &["7", "07", "+7"],
        timeout_minutes: None,
        ..Job::default()
    };
    [
        // Runs, with tasks in every status that stand still.
        Job {
            span: 36_500 * DAY,
            still: Some(Still::new(TASKS_PER_STAGE)),
            ..job.clone()
        },
        // Canceled before it began, and without the newer fields.
        Job {
            package: package + 1,
            created: -11 * DAY,
            cancel_at: Some(-11 * DAY + HOUR),
            span: HOUR,
            description: "ODD ROWS 'A' \"B\" 100% _* A/B\\C;D,E 阀门 📦",
            sparse: true,
            ..job.clone()
        },
        // Ended, with a failure of every kind.
        Job {
            package: package + 1,
            created: -12 * DAY,
            start: -12 * DAY,
            span: HOUR,
            failure_rate: 1.0,
            description: "Odd Rows 'a' \"b\" 100% _* a/b\\c;d,e 阀门 📦",
            scope: Scope::Group {
                id: "08",
                name: "odd 'group' \"8\" 100% _* a/b,c;d 阀门 📦",
            },
            ..job
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_a_task_and_every_stage_some() {
        let tasks: u32 = TASKS_PER_STAGE.iter().sum();
        assert_eq!(tasks as usize, DEVICES.len());
        assert!(TASKS_PER_STAGE.iter().all(|count| *count > 0));
    }
}
