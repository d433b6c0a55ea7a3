//! Examples of the fleet.

use std::collections::BTreeMap;

use ota_api::fleet::{
    CountedGroup, FleetJob, FleetJobPage, FleetPageEnd, FleetTask, FleetTaskPage, GroupCounts,
    HistoryPoint, JobHistory, JobMirror, MirrorRows, Source, SourceState, Sources, SyncPhase,
    SyncProgress, TaskJob, TaskMirror,
};
use ota_api::job::{Job, JobCounts};
use ota_api::task::Task;

use crate::vendors::ADAPTERS;

const AS_OF: &str = "2026-11-23T08:15:30.250Z";
const CHANGED_AT: &str = "2026-11-23T02:07:44.000Z";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn provider() -> String {
    ADAPTERS[0].descriptor().provider.to_owned()
}

pub(super) fn job(job: Job, counts: JobCounts) -> FleetJob {
    FleetJob {
        job: Job {
            stats: Some(counts),
            ..job
        },
        mirror: JobMirror {
            as_of: text(AS_OF),
            tasks_as_of: text("2026-11-23T08:01:12.874Z"),
            changed_at: text(CHANGED_AT),
            vanished_at: None,
            truncated: false,
        },
    }
}

pub(super) fn job_page(one: Job, counts: JobCounts) -> FleetJobPage {
    FleetJobPage {
        items: vec![job(one, counts)],
        end: end(12),
    }
}

pub(super) fn task(task: Task, job: &Job) -> FleetTask {
    FleetTask {
        task,
        job: TaskJob {
            status: Some(job.status.clone()),
            description: job.description.clone(),
            package: job.package.clone(),
        },
        mirror: TaskMirror {
            as_of: text(AS_OF),
            changed_at: text(CHANGED_AT),
            vanished_at: None,
        },
    }
}

pub(super) fn task_page(one: Task, job: &Job) -> FleetTaskPage {
    FleetTaskPage {
        items: vec![task(one, job)],
        end: end(137),
    }
}

pub(super) fn end(total: u64) -> FleetPageEnd {
    FleetPageEnd {
        next_cursor: text("AQAliBw3p0m5oXJ0Y2hYdzEuMy4yNTA"),
        total: Some(total),
        sources: sources(),
    }
}

pub(super) fn sources() -> Sources {
    Sources {
        as_of: text(AS_OF),
        sources: vec![source()],
    }
}

pub(super) fn source() -> Source {
    Source {
        provider: provider(),
        state: SourceState::Current.to_string(),
        as_of: text(AS_OF),
        lag_s: Some(12),
        problem: None,
    }
}

pub(super) fn groups() -> GroupCounts {
    let keys = |status: &str| {
        BTreeMap::from([
            ("provider".to_owned(), provider()),
            ("status".to_owned(), status.to_owned()),
        ])
    };
    GroupCounts {
        total: 13,
        groups: vec![
            CountedGroup {
                keys: keys("failed"),
                count: 12,
            },
            CountedGroup {
                keys: keys("pending"),
                count: 1,
            },
        ],
        truncated: false,
        sources: sources(),
    }
}

pub(super) fn history(counts: JobCounts) -> JobHistory {
    JobHistory {
        points: vec![HistoryPoint {
            at: text(CHANGED_AT),
            counts,
        }],
        as_of: text(AS_OF),
    }
}

pub(super) fn progress() -> SyncProgress {
    SyncProgress {
        state: SourceState::Syncing.to_string(),
        phase: Some(SyncPhase::Tasks.to_string()),
        started_at: text("2026-11-23T08:10:00.000Z"),
        jobs_seen: Some(26),
        tasks_seen: Some(4200),
        tasks_total: Some(10_000),
        calls: Some(71),
        eta_s: Some(48),
        rows: MirrorRows {
            jobs: 26,
            tasks: 4200,
        },
        ..SyncProgress::default()
    }
}
