//! How the engines answer fleet questions: none reads all tasks.

use std::sync::PoisonError;

use ota_core::id::JobId;
use ota_core::task::{Failure, TaskStage, TaskStatus};
use time::OffsetDateTime;

use crate::connection::{ALONE, Connection, PLANS};
use crate::engine::Engine;
use crate::error::Result;
use crate::fixtures::{job, job_page, provider, task, task_page};
use crate::fleet::{JobKey, JobQuery, JobSort, TaskKey, TaskQuery, TaskSort};
use crate::migrate::migrate;
use crate::record::TaskRecord;
use crate::selection::{Selection, target};
use crate::task_filter::TaskFilter;
use crate::task_scan::scans;
use crate::{
    fleet_jobs, fleet_tasks, job_groups, job_states, task_groups, write_jobs, write_tasks,
};

const TIME: OffsetDateTime = time::macros::datetime!(2026-08-01 10:00 UTC);

async fn fill(connection: &mut Connection) -> Result<()> {
    let jobs = job_page("a", 0, vec![job("j")]);
    write_jobs::write(connection, &jobs).await?;
    let first = TaskRecord {
        stage: Some(TaskStage::Updating),
        failure: Some(Failure::Timeout),
        device_id: Some("d".to_owned()),
        device_name: Some("name".to_owned()),
        product_id: Some("p".to_owned()),
        from_version: Some("1".to_owned()),
        to_version: Some("2".to_owned()),
        ..task("t", TaskStatus::Failed)
    };
    let other = TaskRecord {
        id: "u".to_owned(),
        status: TaskStatus::Pending,
        failure: None,
        ..first.clone()
    };
    let page = task_page("a", "j", 0, vec![first, other]);
    write_tasks::write(connection, &page).await.map(|_| ())
}

/// Every filter that the API has, alone, and in pairs where that is wanted.
fn questions(pairs: bool) -> Vec<TaskQuery> {
    let all = || TaskQuery {
        providers: vec![provider("a")],
        ..TaskQuery::default()
    };
    type Set = fn(&mut TaskQuery);
    let filters: [Set; 13] = [
        |query| query.status = vec![TaskStatus::Failed, TaskStatus::Pending],
        |query| query.stage = vec![TaskStage::Updating],
        |query| query.failure = vec![Failure::Timeout],
        |query| query.job_id = Some(JobId::from("j")),
        |query| query.device_id = Some("d".to_owned()),
        |query| query.device_name = Some("name".to_owned()),
        |query| query.product_id = Some("p".to_owned()),
        |query| query.from_version = Some("1".to_owned()),
        |query| query.to_version = Some("2".to_owned()),
        |query| query.stuck_since = Some(TIME),
        |query| query.changed_after = Some(TIME),
        |query| query.created_before = Some(TIME),
        |query| query.include_vanished = true,
    ];
    let mut questions = vec![all()];
    for (n, first) in filters.iter().enumerate() {
        let last = if pairs { filters.len() } else { n + 1 };
        for second in &filters[n..last] {
            let mut query = all();
            first(&mut query);
            second(&mut query);
            questions.push(query);
        }
    }
    for text in ["name", "na"] {
        let mut query = all();
        query.q = Some(text.to_owned());
        questions.push(query);
    }
    questions
}

const SORTS: [TaskSort; 5] = [
    TaskSort::ChangedDescending,
    TaskSort::Changed,
    TaskSort::CreatedDescending,
    TaskSort::Created,
    TaskSort::DeviceName,
];

/// Scans each index that may answer a question, also those that are not the best for so few rows.
async fn scan_each(connection: &mut Connection, query: &TaskQuery, sort: TaskSort) -> Result<()> {
    let filter = TaskFilter::new(query);
    let target = target(connection, query, &filter).await?.expect("rows");
    let selection = Selection::new(connection, &target, &filter).await?;
    let order = fleet_tasks::order(sort);
    let is_sqlite = connection.is_sqlite();
    for scan in scans(&filter, &target, &selection, order, is_sqlite) {
        let rows = scan.run(connection, None, 1).await?;
        scan.run(connection, rows.last(), 1).await?;
    }
    Ok(())
}

async fn ask(connection: &mut Connection) -> Result<()> {
    if !connection.is_sqlite() {
        // The tables are small: what would be right here would not be where it matters.
        connection
            .batch("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
            .await?;
    }
    // SQLite is told which index to take, so each pair is one statement more to get right; PostgreSQL chooses by itself.
    for query in questions(connection.is_sqlite()) {
        for sort in SORTS {
            let page = fleet_tasks::page(connection, &query, sort, None, 1).await?;
            let next = page.next.as_deref();
            fleet_tasks::page(connection, &query, sort, next, 1).await?;
            scan_each(connection, &query, sort).await?;
        }
        for by in [TaskKey::Status, TaskKey::JobId, TaskKey::ToVersion] {
            task_groups::of_tasks(connection, &query, &[by], 10).await?;
        }
    }
    let query = JobQuery {
        providers: vec![provider("a")],
        ..JobQuery::default()
    };
    fleet_jobs::page(connection, &query, JobSort::FailedDescending, None, 1).await?;
    job_groups::of_jobs(connection, &query, &[JobKey::Status], 10).await?;
    let job = JobId::from("j");
    let open = vec![TaskStatus::Pending, TaskStatus::InProgress];
    job_states::tasks_in(connection, &provider("a"), &job, open, None, 10).await?;
    job_states::all(connection, &provider("a"), 10).await?;
    job_states::history(connection, &provider("a"), &job, 10)
        .await
        .map(|_| ())
}

/// Answers all questions and returns the plans of all statements.
async fn plans(engine: &Engine) -> Vec<(String, String)> {
    migrate(engine, true).await.expect("it migrates");
    engine
        .write(|connection| Box::pin(fill(connection)))
        .await
        .expect("rows");
    *PLANS.lock().expect("a lock") = Some(Vec::new());
    engine
        .read(|connection| Box::pin(ask(connection)))
        .await
        .expect("answers");
    PLANS.lock().expect("a lock").take().expect("plans")
}

/// The one question that may read all tasks of a provider: text of two characters has no index. It reads them in order, and ends with the page.
fn may_read_all(sql: &str) -> bool {
    sql.contains("search LIKE")
}

#[track_caller]
fn check_sqlite(plans: &[(String, String)]) {
    assert!(plans.len() > 1_000, "only {} statements", plans.len());
    let by_job = "FROM task_counts WHERE source";
    assert!(plans.iter().any(|(sql, _)| sql.contains(by_job)));
    for index in [
        "tasks_changed",
        "tasks_created",
        "tasks_combination_changed",
        "tasks_combination_created",
        "tasks_combination_name",
        "tasks_open",
        "tasks_job_changed",
        "tasks_job_created",
        "tasks_name",
        "tasks_device_id",
    ] {
        let hint = format!("INDEXED BY {index} ");
        assert!(plans.iter().any(|(sql, _)| sql.contains(&hint)), "{index}");
    }
    // The names of all jobs lie in their index, without the rows.
    let names = "SELECT pk, id FROM jobs WHERE source";
    let plan = plans.iter().find(|(sql, _)| sql.starts_with(names));
    let plan = &plan.expect("names are read").1;
    assert!(plan.contains("USING COVERING INDEX"), "{plan}");
    for (sql, plan) in plans {
        // The counters of all jobs are thousands: they lie in the order of the key, provider first.
        let by_key = "USING PRIMARY KEY (source=?";
        assert!(
            !sql.contains(by_job) || plan.contains(by_key),
            "{sql}\n{plan}"
        );
        for step in plan.lines() {
            assert!(!step.starts_with("SCAN tasks"), "{sql}\n{plan}");
            // A device has few tasks, and rows fetched by the counters are few too: those may be sorted.
            let few = (sql.contains("tasks_device_id") || sql.contains("device_name = "))
                || sql.contains("GROUP BY");
            // A job has no index by name; its tasks are few too.
            let by_name = sql.contains("device_name") && sql.contains("tasks_job");
            if step.contains("TEMP B-TREE") && sql.contains("FROM tasks") {
                assert!(few || by_name, "{sql}\n{plan}");
            }
        }
    }
}

#[track_caller]
fn check_postgres(plans: &[(String, String)]) {
    for (sql, plan) in plans {
        let reads_all = plan.contains("Seq Scan on tasks");
        assert!(!reads_all || may_read_all(sql), "{sql}\n{plan}");
    }
}

#[test]
fn no_fleet_question_reads_all_tasks() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("mirror.db").display());
    runtime.block_on(async {
        let engine = Engine::open(&url, false, true).await.expect("it opens");
        check_sqlite(&plans(&engine).await);
    });
    let Ok(server) = std::env::var("OTA_TEST_POSTGRES_URL") else {
        println!("left out on PostgreSQL, because OTA_TEST_POSTGRES_URL is not set");
        return;
    };
    runtime.block_on(async {
        let schema = format!("test_plans_{}", std::process::id());
        let admin = Engine::open(&server, false, true).await.expect("it opens");
        let make = format!("CREATE SCHEMA {schema}");
        admin
            .write(move |connection| Box::pin(async move { connection.batch(&make).await }))
            .await
            .expect("a schema");
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options=-csearch_path%3D{schema}%2Cpublic");
        let engine = Engine::open(&url, false, true).await.expect("it opens");
        let plans = plans(&engine).await;
        let drop = format!("DROP SCHEMA {schema} CASCADE");
        admin
            .write(move |connection| Box::pin(async move { connection.batch(&drop).await }))
            .await
            .expect("the schema goes");
        check_postgres(&plans);
    });
}
