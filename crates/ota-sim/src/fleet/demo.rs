//! Seeded fleets: the one for trying things out, an even one and a huge one.

use super::nasty;
use super::plan::{Job, Package, Product, Scope, Still};
use super::vocabulary::Vocabulary;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Jobs that appear one after the other while the demo fleet lives.
const LATER_JOBS: u32 = 288;
/// Time between two of them.
const LATER_EVERY: i64 = 10 * MINUTE;

/// The place of the product with the nasty names.
const NASTY_PRODUCT: usize = 3;
/// The place of the first package of that product.
const NASTY_PACKAGE: usize = 5;

pub(super) fn products(seed: u64, words: &dyn Vocabulary) -> Vec<Product> {
    let id = |number| words.product_id(seed, number);
    vec![
        Product {
            id: id(0),
            name: "MyProduct",
            device_prefix: "sensor",
            device_type: "Gateway",
            model: "GW-200",
            manufacturer: "Example Works",
        },
        Product {
            id: id(1),
            name: "智能水表 <NB-IoT> & 网关",
            device_prefix: "meter",
            device_type: "WaterMeter",
            model: "NBIoTDevice",
            manufacturer: "示例科技 & Co",
        },
        Product {
            id: id(2),
            name: "Cold chain \"logger\"",
            device_prefix: "logger@plant:7.b",
            device_type: "Logger",
            model: "CL-7",
            manufacturer: "Example Works",
        },
        nasty::product(seed, words, NASTY_PRODUCT as u64),
    ]
}

fn package(seed: u64, words: &dyn Vocabulary, number: u64) -> Package {
    Package {
        id: words.package_id(seed, number),
        product: 0,
        name: "Firmware2",
        description: "",
        version: "1.0.1",
        from_version: None,
        module: "default",
        status: 1,
        files: 1,
        size: 1_048_576 + 4_096 * number,
        software: false,
        created: -30 * DAY + i64::try_from(number).unwrap_or(0) * HOUR,
    }
}

pub(super) fn demo_packages(seed: u64, words: &dyn Vocabulary) -> Vec<Package> {
    let mut packages = vec![
        Package {
            description: "Fixes the watchdog",
            ..package(seed, words, 0)
        },
        Package {
            name: "gateway-mcu",
            version: "2.1.0-rc.1",
            module: "mcu",
            from_version: Some("2.0.0"),
            status: -1,
            ..package(seed, words, 1)
        },
        Package {
            product: 1,
            name: "水表固件 V3.4",
            description: "修复 <阀门> & 计量问题\n第二行",
            version: "V3.4.1",
            files: 3,
            ..package(seed, words, 2)
        },
        Package {
            product: 2,
            name: "logger-app",
            version: "7.0",
            software: true,
            status: 2,
            ..package(seed, words, 3)
        },
        Package {
            product: 2,
            name: "logger-broken",
            version: "7.1",
            software: true,
            status: 3,
            ..package(seed, words, 4)
        },
    ];
    let first = NASTY_PACKAGE as u64;
    packages.extend(nasty::packages(seed, words, NASTY_PRODUCT, first));
    packages
}

/// Gives a job its number and the identifier that follows from it.
fn numbered(seed: u64, words: &dyn Vocabulary, index: u32, job: Job) -> Job {
    Job {
        index,
        id: words.job_id(seed, u64::from(index)),
        ..job
    }
}

/// A dozen jobs that cover every status, type, selection, schedule and policy, more that appear with time, and
/// nasty ones.
pub(super) fn demo_jobs(seed: u64, words: &dyn Vocabulary) -> Vec<Job> {
    let mut jobs = vec![
        // A running batch with everything set, like a vendor's own sample.
        Job {
            tasks: 120,
            created: -20 * MINUTE,
            start: -10 * MINUTE,
            span: 40 * MINUTE,
            early_end_time: true,
            scope: Scope::Specific,
            need_confirm: true,
            need_push: false,
            timeout_minutes: Some(5),
            retry: Some((1, 60)),
            maximum_per_minute: 1000,
            multi_module: true,
            ..Job::default()
        },
        // Planned: starts while the demo runs.
        Job {
            tasks: 80,
            package: 1,
            created: -5 * MINUTE,
            start: 5 * MINUTE,
            span: 20 * MINUTE,
            scheduled: true,
            schedule_end: Some(2 * HOUR),
            scope: Scope::Gray("33.33"),
            description: "night batch <A&B>",
            tags: &[("region", "eu-central"), ("owner", "现场 <一队> & 二队")],
            source_versions: &["2.0.0", "1.9.9"],
            ..Job::default()
        },
        // Completed with failures; no time-out given, so the rows have `null`.
        Job {
            tasks: 400,
            first_device: 100,
            created: -3 * DAY,
            start: -3 * DAY,
            span: 2 * HOUR,
            failure_rate: 0.2,
            timeout_minutes: None,
            ..Job::default()
        },
        // Completed, all well; old enough to lack every newer field.
        Job {
            tasks: 20,
            package: 2,
            created: -20 * DAY,
            start: -20 * DAY,
            span: HOUR,
            failure_rate: 0.0,
            sparse: true,
            timeout_minutes: None,
            source_versions: &[],
            ..Job::default()
        },
        // Verification batch.
        Job {
            tasks: 20,
            package: 2,
            verify: true,
            scope: Scope::Specific,
            created: -25 * DAY,
            start: -25 * DAY,
            span: HOUR,
            failure_rate: 0.0,
            timeout_minutes: Some(30),
            description: "",
            ..Job::default()
        },
        // Canceled half-way.
        Job {
            tasks: 150,
            package: 2,
            first_device: 20,
            created: -2 * DAY,
            start: -2 * DAY,
            span: 4 * HOUR,
            cancel_at: Some(-2 * DAY + HOUR),
            scope: Scope::Group {
                id: "CtjzCkNuOxUR1a2b",
                name: "仓库 <3> & 外场",
            },
            tags: &[("campaign", "spring.2024")],
            description: "阀门升级 <第一批> & 回滚预案",
            ..Job::default()
        },
        // Dynamic batch that runs for ever.
        Job {
            tasks: 60,
            package: 0,
            first_device: 600,
            dynamic_mode: Some(1),
            created: -HOUR,
            start: -HOUR,
            span: 3 * HOUR,
            overwrite_mode: 2,
            maximum_per_minute: 10,
            retry: Some((5, 1440)),
            timeout_minutes: None,
            when_online: true,
            ..Job::default()
        },
        // Canceled dynamic batch whose running tasks go on.
        Job {
            tasks: 90,
            package: 3,
            dynamic_mode: Some(2),
            created: -2 * HOUR,
            start: -40 * MINUTE,
            span: 2 * HOUR,
            cancel_at: Some(-10 * MINUTE),
            protocol: "MQTT",
            when_online: true,
            ..Job::default()
        },
        // Running, more than a hundred devices, addressed as a group.
        Job {
            tasks: 300,
            package: 2,
            first_device: 200,
            created: -30 * MINUTE,
            start: -25 * MINUTE,
            span: HOUR,
            scope: Scope::Group {
                id: "",
                name: "all-meters",
            },
            failure_rate: 0.15,
            retry: Some((2, 10)),
            timeout_minutes: Some(60),
            ..Job::default()
        },
        // A batch without tasks, dynamic, waiting for the first device.
        Job {
            tasks: 0,
            package: 3,
            dynamic_mode: Some(1),
            created: -DAY,
            start: -DAY,
            span: DAY,
            ..Job::default()
        },
        // Everything failed.
        Job {
            tasks: 25,
            package: 3,
            first_device: 300,
            scope: Scope::Specific,
            created: -5 * DAY,
            start: -5 * DAY,
            span: HOUR,
            failure_rate: 1.0,
            timeout_minutes: Some(10),
            ..Job::default()
        },
        // Planned for later, needs confirmation.
        Job {
            tasks: 40,
            package: 1,
            first_device: 100,
            created: -MINUTE,
            start: DAY,
            span: 6 * HOUR,
            scheduled: true,
            need_confirm: true,
            scope: Scope::Gray("50.00"),
            ..Job::default()
        },
        // Running scheduled batch without an end of its schedule.
        Job {
            tasks: 200,
            package: 1,
            first_device: 200,
            created: -DAY,
            start: -20 * MINUTE,
            span: 90 * MINUTE,
            scheduled: true,
            need_confirm: true,
            overwrite_mode: 2,
            ..Job::default()
        },
    ];
    for number in 0..LATER_JOBS {
        let created = i64::from(number + 1) * LATER_EVERY;
        jobs.push(Job {
            tasks: 20 + (number * 37) % 180,
            package: number as usize % 4,
            first_device: 1000 + number * 10,
            created,
            start: created + MINUTE,
            span: 30 * MINUTE,
            scheduled: number % 3 == 0,
            need_confirm: number % 4 == 1,
            scope: if number % 2 == 0 {
                Scope::All
            } else {
                Scope::Specific
            },
            description: "rolling batch",
            failure_rate: f64::from(number % 5) * 0.04,
            timeout_minutes: (number % 2 == 0).then_some(30),
            ..Job::default()
        });
    }
    jobs.extend(nasty::jobs(NASTY_PACKAGE));
    (0_u32..)
        .zip(jobs)
        .map(|(index, job)| numbered(seed, words, index, job))
        .collect()
}

/// Packages of an even fleet: one for every five jobs, at least two.
pub(super) fn uniform_packages(seed: u64, words: &dyn Vocabulary, jobs: u32) -> Vec<Package> {
    const VERSIONS: [&str; 4] = ["1.0.1", "1.1.0", "1.2.0", "2.0.0"];
    (0..jobs.div_ceil(5).max(2) as usize)
        .map(|number| Package {
            product: number % 3,
            version: VERSIONS[number % 4],
            software: number % 3 == 2,
            ..package(seed, words, number as u64)
        })
        .collect()
}

/// `jobs` alike jobs in every phase of life.
pub(super) fn uniform_jobs(
    seed: u64,
    words: &dyn Vocabulary,
    jobs: u32,
    tasks: u32,
    packages: usize,
) -> Vec<Job> {
    (0..jobs)
        .map(|index| {
            let mut job = Job {
                tasks,
                package: index as usize % packages.max(1),
                first_device: index.wrapping_mul(tasks),
                created: -2 * HOUR - i64::from(index) * MINUTE,
                span: HOUR,
                start: -30 * MINUTE,
                scope: if tasks <= 200 {
                    Scope::Specific
                } else {
                    Scope::All
                },
                need_confirm: index % 4 == 3,
                ..Job::default()
            };
            match index % 5 {
                0 => job.start = -90 * MINUTE,
                3 => {
                    job.start = 10 * MINUTE;
                    job.scheduled = true;
                }
                4 => job.cancel_at = Some(-10 * MINUTE),
                _ => {}
            }
            numbered(seed, words, index, job)
        })
        .collect()
}

/// One job with a fixed number of tasks per stage.
pub(super) fn huge_job(seed: u64, words: &dyn Vocabulary, counts: [u32; 7]) -> Job {
    let tasks = counts
        .iter()
        .fold(0_u32, |sum, count| sum.saturating_add(*count));
    let job = Job {
        tasks,
        created: -2 * DAY,
        start: -DAY,
        // The rows stand still, so the batch must not end either.
        span: 36_500 * DAY,
        dynamic_mode: None,
        still: Some(Still::new(counts)),
        ..Job::default()
    };
    numbered(seed, words, 0, job)
}
