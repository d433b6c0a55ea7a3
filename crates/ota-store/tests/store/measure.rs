//! Figures: run with `cargo test --release -p ota-store --test store -- --ignored --nocapture measure`, `OTA_MEASURE_JOBS` jobs of 1,000 tasks.

use std::time::Duration;

use ota_core::id::JobId;
use ota_core::task::{Failure, TaskStage, TaskStatus};
use ota_store::Store;
use ota_store::fleet::{JobQuery, JobSort, TaskKey, TaskQuery, TaskSort};
use ota_store::record::TaskRecord;
use tokio::time::Instant;

use crate::harness::{at, job, job_page, on_both, provider, task_page};

/// A task as long as those of the vendors are.
fn row(job: i64, n: i64) -> TaskRecord {
    let (status, failure) = match (job * 7 + n) % 20 {
        0..12 => (TaskStatus::Succeeded, None),
        12..14 => (TaskStatus::Failed, Some(Failure::WORDS[(n % 10) as usize])),
        14..17 => (TaskStatus::InProgress, None),
        17..19 => (TaskStatus::Pending, None),
        _ => (TaskStatus::Canceled, None),
    };
    let id = format!("{job:08x}{n:08x}");
    let device = format!("sensor-{:07}", (job * 131 + n) % 200_000);
    let (from, to) = (
        format!("1.{}.0", job % 7),
        format!("2.{}.{}", job % 5, job % 3),
    );
    let message = failure.map(|failure| format!("device reported: {failure}"));
    let document = format!(
        r#"{{"provider":"p{}","job_id":"job-{job:06}","id":"{id}","device":{{"id":"iot{id}","name":"{device}","product_id":"a1B2c3D4e5F"}},"status":"{status}","progress_percent":{},"package_id":"pk-{:06}","from_version":"{from}","to_version":"{to}","created_at":"2026-07-01T10:00:00Z","updated_at":"2026-07-01T11:00:00Z","started_at":"2026-07-01T10:30:00Z","vendor":{{"name":"test-iot","status":"SUCCEEDED","fields":{{"UtcModified":"2026-07-01T11:00:00.000Z"}}}}}}"#,
        job % 4,
        n % 100,
        job % 50,
    );
    TaskRecord {
        id: id.clone(),
        status,
        stage: (status == TaskStatus::InProgress).then_some(TaskStage::Updating),
        failure,
        device_id: Some(format!("iot{id}")),
        device_name: Some(device),
        product_id: Some(format!("product-{}", job % 10)),
        from_version: Some(from),
        to_version: Some(to),
        message,
        created_at: Some(at(-job * 600)),
        updated_at: Some(at(-job * 600 + n)),
        started_at: None,
        document,
    }
}

trait Words {
    const WORDS: [Failure; 10];
}

impl Words for Failure {
    const WORDS: [Failure; 10] = [
        Failure::Timeout,
        Failure::Offline,
        Failure::Download,
        Failure::Integrity,
        Failure::VersionMismatch,
        Failure::Incompatible,
        Failure::Storage,
        Failure::Conflict,
        Failure::Rejected,
        Failure::Other,
    ];
}

async fn write(store: &Store, jobs: i64, sent: i64) -> Duration {
    let began = Instant::now();
    for j in 0..jobs {
        for page in 0..10 {
            let rows = (page * 100..page * 100 + 100).map(|n| row(j, n)).collect();
            let name = format!("p{}", j % 4);
            let page = task_page(&name, &format!("job-{j:06}"), sent, rows);
            store.write_tasks(&page).await.expect("tasks");
        }
    }
    began.elapsed()
}

/// Times a question and prints the middle and the slowest of its answers.
async fn time<F, Fut>(what: &str, question: F)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = usize>,
{
    let mut times = Vec::new();
    let mut rows = 0;
    for n in 0..40 {
        let began = Instant::now();
        rows = question(n).await;
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "{what}: p50 {:?}, worst {:?} ({rows} rows)",
        times[20], times[39]
    );
}

#[test]
#[ignore = "takes minutes and says something only when optimized"]
fn measure() {
    let jobs = std::env::var("OTA_MEASURE_JOBS")
        .ok()
        .and_then(|jobs| jobs.parse().ok())
        .unwrap_or(1_000);
    on_both(move |database| async move {
        let store = database.open().await;
        println!("{}", store.about().await.expect("about").engine);
        for j in 0..jobs {
            let mut record = job(&format!("job-{j:06}"));
            record.created_at = Some(at(-j * 600));
            store
                .write_jobs(&job_page(&format!("p{}", j % 4), 0, vec![record]))
                .await
                .expect("jobs");
        }
        let rows = jobs as f64 * 1_000.0;
        for what in ["new", "unchanged"] {
            let took = write(&store, jobs, 10).await;
            println!("{what}: {:.0} rows/s", rows / took.as_secs_f64());
        }
        let bytes = store.about().await.expect("about").bytes;
        println!("{:.0} bytes for a task", bytes as f64 / rows);
        questions(&store).await;
    });
}

async fn questions(store: &Store) {
    let all = TaskQuery {
        providers: (0..4).map(|p| provider(&format!("p{p}"))).collect(),
        ..TaskQuery::default()
    };
    let ask = async |what: &str, query: &TaskQuery, sort: TaskSort| {
        time(what, |_| async move {
            let page = store.tasks(query, sort, None, 100).await.expect("a page");
            page.items.len()
        })
        .await;
    };
    ask("no filter", &all, TaskSort::default()).await;
    let failed = TaskQuery {
        failure: vec![Failure::Timeout],
        to_version: Some("2.1.1".to_owned()),
        ..all.clone()
    };
    ask("failure and version", &failed, TaskSort::default()).await;
    ask(
        "failure and version, oldest first",
        &failed,
        TaskSort::Created,
    )
    .await;
    ask(
        "failure and version, by name",
        &failed,
        TaskSort::DeviceName,
    )
    .await;
    let done = TaskQuery {
        status: vec![TaskStatus::Succeeded],
        product_id: Some("product-3".to_owned()),
        ..all.clone()
    };
    ask("status and product", &done, TaskSort::default()).await;
    ask("status and product, by name", &done, TaskSort::DeviceName).await;
    let stuck = TaskQuery {
        stuck_since: Some(at(-3_600)),
        ..all.clone()
    };
    ask("stuck", &stuck, TaskSort::Changed).await;
    let device = TaskQuery {
        device_name: Some("sensor-0000777".to_owned()),
        ..all.clone()
    };
    ask("device", &device, TaskSort::default()).await;
    let of_job = TaskQuery {
        providers: vec![provider("p1")],
        job_id: Some(JobId::from("job-000005")),
        ..all.clone()
    };
    ask("job", &of_job, TaskSort::default()).await;
    for q in [
        "0012345",
        "timeout",
        "sensor",
        "nothing like it",
        "zz",
        "77",
    ] {
        let text = TaskQuery {
            q: Some(q.to_owned()),
            ..all.clone()
        };
        ask(&format!("q={q}"), &text, TaskSort::default()).await;
    }
    for by in [
        &[TaskKey::Status][..],
        &[TaskKey::Failure, TaskKey::ToVersion, TaskKey::Provider],
        &[TaskKey::JobId],
        &[TaskKey::JobId, TaskKey::Status, TaskKey::Failure],
    ] {
        time(&format!("groups by {by:?}"), |_| async {
            let groups = store.task_groups(&all, by, 1_000).await.expect("groups");
            groups.groups.len()
        })
        .await;
    }
    time("jobs", |_| async {
        let query = JobQuery {
            providers: all.providers.clone(),
            ..JobQuery::default()
        };
        let page = store
            .jobs(&query, JobSort::default(), None, 50)
            .await
            .expect("a page");
        page.items.len()
    })
    .await;
}
