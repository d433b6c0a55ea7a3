//! Questions about a large fleet while it is written, to the gateway and to a small service over the same file.

use std::path::Path;
use std::time::Duration;

use ota_core::clock::{Clock, SystemClock};
use ota_sim::{FleetShape, QuotaSetting};
use ota_store::{OpenSettings, Store};
use reqwest::Client;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::rows::{PAGE, PRODUCTS, PROVIDERS, Rows, TASKS_OF_A_JOB, to_version};
use super::service::Service;
use crate::gateway::{self, Gateway};
use crate::report::{Goal, Report, median, quantile};
use crate::scenario::{Failure, Outcome, Setting};

/// The name of the scenario.
pub(super) const SCENARIO: &str = "mirror";

/// Rows a second that are written while questions are asked.
const WRITTEN: u32 = 1_000;

/// A service that takes seconds for an answer is asked for so long only.
const LONGEST: Duration = Duration::from_secs(5);

/// How long each question warms up before all others.
const WARM_UP: Duration = Duration::from_secs(1);

const MEGABYTE: f64 = 1e6;

/// Whom a question is put to.
struct Answerer<'a> {
    name: &'static str,
    url: String,
    client: &'a Client,
    token: &'a str,
}

/// A question, in forms that differ in a value and are asked in turns.
struct Question {
    name: &'static str,
    forms: Vec<String>,
    /// Milliseconds that half of the answers are within, and 99 %.
    goals: (Goal, Goal),
    rounds: usize,
}

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let rows = Rows::new(if setting.quick { 50 } else { 1_000 });
    let folder = TempDir::new()?;
    let path = folder.path().join("mirror.db");
    let settings = OpenSettings {
        url: format!("sqlite:{}", path.display()),
        exclusive: false,
        create: true,
    };
    fill(&settings, &rows, report).await?;
    report.row(
        SCENARIO,
        "bytes on disk for each task",
        bytes(&path) / rows.tasks(),
        "",
        Goal::AtMost(1_200.0),
    );
    // A provider that has nothing to do: the rows belong to ones that are not read at present.
    let sim =
        gateway::simulated(FleetShape::uniform(1, 1).frozen(), QuotaSetting::Documented).await?;
    let sections = format!(
        "[log]\nfilter = \"warn\"\n{}",
        gateway::one_section(&sim.url(), "")?
    );
    let mirror = format!("database_url = \"{}\"", settings.url);
    let (gateway, first_answer) = start(setting, &mirror, &sections).await?;
    report.row(
        SCENARIO,
        "from start to the first answer of the fleet, median of 3",
        first_answer,
        " ms",
        Goal::AtMost(1_000.0),
    );
    let (client, token) = (gateway::client()?, gateway.authorization()?);
    let answerer = Answerer {
        name: "gateway",
        url: format!("http://{}", gateway.address()),
        client: &client,
        token: &token,
    };
    let questions = questions(setting, &rows);
    let writer = Writer::start(&settings, rows).await?;
    warm_up(&answerer, &questions).await?;
    for question in &questions {
        ask(&answerer, question, report).await?;
    }
    if let Some(bytes) = gateway.resident_bytes() {
        report.row(
            SCENARIO,
            "memory of the gateway with this file open, after all questions",
            bytes / MEGABYTE,
            " MB",
            Goal::AtMost(120.0),
        );
    }
    drop(gateway);
    match Service::start(setting, &path).await {
        Err(error) => report.note(
            SCENARIO,
            &format!("FastAPI and SQLAlchemy are left out: {error}"),
        ),
        Ok(service) => {
            let answerer = Answerer {
                name: "FastAPI and SQLAlchemy",
                url: service.url.clone(),
                ..answerer
            };
            warm_up(&answerer, &questions).await?;
            for mut question in questions {
                question.goals = (Goal::None, Goal::None);
                ask(&answerer, &question, report).await?;
            }
        }
    }
    let written = writer.stop().await?;
    report.row(
        SCENARIO,
        "changed rows written meanwhile, a second",
        written,
        "",
        Goal::AtLeast(0.95 * f64::from(WRITTEN)),
    );
    Ok(())
}

async fn fill(settings: &OpenSettings, rows: &Rows, report: &mut Report) -> Outcome<()> {
    let store = Store::open(settings).await?;
    let begin = SystemClock.monotonic();
    rows.fill(&store).await?;
    report.row(
        SCENARIO,
        &format!(
            "{} new tasks of {} jobs written by the store alone, a second",
            rows.tasks(),
            rows.jobs
        ),
        rows.tasks() / begin.elapsed().as_secs_f64(),
        "",
        Goal::AtLeast(20_000.0),
    );
    Ok(())
}

fn bytes(path: &Path) -> f64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    (length(path) + length(&path.with_extension("db-wal"))) as f64
}

/// Starts the gateway three times; returns the last, and the milliseconds from the start to an answer of the fleet.
async fn start(setting: &Setting, mirror: &str, sections: &str) -> Outcome<(Gateway, f64)> {
    let client = gateway::client()?;
    let mut times = Vec::new();
    loop {
        let gateway = Gateway::start_with_mirror(setting, mirror, sections).await?;
        let token = gateway.authorization()?;
        let begin = SystemClock.monotonic();
        let url = format!("http://{}/v1/tasks?page_size=100", gateway.address());
        loop {
            let request = client.get(&url).header("Authorization", &token);
            let answer = request.send().await?;
            if answer.status().is_success() {
                answer.bytes().await?;
                break;
            }
            if begin.elapsed() > Duration::from_secs(10) {
                return Err(answer.text().await?.into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push((gateway.started_in + begin.elapsed()).as_secs_f64() * 1000.0);
        if times.len() == 3 {
            return Ok((gateway, median(&mut times)));
        }
    }
}

fn questions(setting: &Setting, rows: &Rows) -> Vec<Question> {
    let rounds = |rounds: usize| if setting.quick { rounds / 10 } else { rounds };
    let page = |name, form: &dyn Fn(u32) -> String| Question {
        name,
        forms: (0..30)
            .map(|n| format!("/v1/tasks?page_size=100&{}", form(n)))
            .collect(),
        goals: (Goal::AtMost(2.0), Goal::AtMost(5.0)),
        rounds: rounds(1_000),
    };
    let provider = |n: u32| PROVIDERS[n as usize % PROVIDERS.len()];
    let failures = ["timeout", "download", "integrity", "storage"];
    let failure = |n: u32| failures[n as usize % failures.len()];
    let mut questions = vec![
        page("failed tasks of a version, changed last first", &|n| {
            format!("status=failed&to_version={}", to_version(n))
        }),
        page("failures of a kind in a product, newest first", &|n| {
            let product = n % PRODUCTS;
            format!(
                "failure={}&product_id=product-{product}&sort=-created_at",
                failure(n)
            )
        }),
        page(
            "tasks in progress at a provider, changed longest ago first",
            &|n| {
                format!(
                    "provider={}&status=in_progress&sort=changed_at",
                    provider(n)
                )
            },
        ),
        page("tasks of a product that succeeded, by device name", &|n| {
            let product = n % PRODUCTS;
            format!("status=succeeded&product_id=product-{product}&sort=device_name")
        }),
        page(
            "tasks of a provider stuck for an hour, changed last first",
            &|n| format!("provider={}&stuck_for_s=3600", provider(n)),
        ),
    ];
    let within = |most: f64| (Goal::None, Goal::AtMost(most));
    questions.push(Question {
        name: "jobs, default page",
        forms: vec!["/v1/jobs".to_owned()],
        goals: within(5.0),
        rounds: rounds(1_000),
    });
    let groups = |name, path: &str, keys: &[&str]| Question {
        name,
        forms: keys
            .iter()
            .map(|keys| format!("{path}?group_by={keys}"))
            .collect(),
        goals: within(5.0),
        rounds: rounds(100) * keys.len(),
    };
    let of_jobs = [
        "provider",
        "vendor",
        "status",
        "outcome",
        "kind",
        "product_id",
        "package_id",
        "package_version",
        "product_id,package_version,status",
    ];
    let of_tasks = [
        "provider",
        "vendor",
        "status",
        "stage",
        "failure",
        "product_id",
        "from_version",
        "to_version",
        "failure,to_version,provider",
    ];
    questions.push(groups(
        "jobs counted by each key",
        "/v1/stats/jobs",
        &of_jobs,
    ));
    questions.push(groups(
        "tasks counted by each key but job_id",
        "/v1/stats/tasks",
        &of_tasks,
    ));
    questions.push(groups(
        "tasks counted by job_id",
        "/v1/stats/tasks",
        &["job_id"],
    ));
    questions.push(groups(
        "tasks counted by job_id, status and failure",
        "/v1/stats/tasks",
        &["job_id,status,failure"],
    ));
    let text = |name, texts: &[String], most, asked| Question {
        name,
        forms: texts
            .iter()
            .map(|text| format!("/v1/tasks?page_size=100&q={text}"))
            .collect(),
        goals: within(most),
        rounds: rounds(asked),
    };
    let devices: Vec<String> = (0..20)
        .map(|n| format!("{:07}", n * 37 % (rows.jobs * 131)))
        .collect();
    let one = |text: &str| vec![text.to_owned()];
    // Percent-encoded: 离线, 零零.
    let (offline, none) = (one("%E7%A6%BB%E7%BA%BF"), one("%E9%9B%B6%E9%9B%B6"));
    questions.push(text("q, the number of a device", &devices, 50.0, 200));
    questions.push(text("q, what all tasks have", &one("sensor"), 50.0, 200));
    questions.push(text(
        "q, what one task in a hundred has",
        &one("reported%3A%20timeout"),
        50.0,
        200,
    ));
    questions.push(text("q, what no task has", &one("nowhere"), 50.0, 200));
    questions.push(text(
        "q of two characters, what one task in a hundred has",
        &offline,
        1_000.0,
        50,
    ));
    questions.push(text(
        "q of two characters, what no task has",
        &none,
        1_000.0,
        30,
    ));
    questions
}

/// Puts every question before any is measured: the file has just been filled, and the first question would pay for all pages that are not in memory yet.
async fn warm_up(answerer: &Answerer<'_>, questions: &[Question]) -> Outcome<()> {
    for question in questions {
        let begin = SystemClock.monotonic();
        for form in &question.forms {
            put(answerer, form).await?;
            if begin.elapsed() > WARM_UP {
                break;
            }
        }
    }
    Ok(())
}

/// Puts a question in one form and reads the answer; returns the milliseconds.
async fn put(answerer: &Answerer<'_>, form: &str) -> Outcome<f64> {
    let url = format!("{}{form}", answerer.url);
    let sent = SystemClock.monotonic();
    let request = answerer
        .client
        .get(&url)
        .header("Authorization", answerer.token);
    let answer = request.send().await?;
    if !answer.status().is_success() {
        return Err(format!("{url}: {} {}", answer.status(), answer.text().await?).into());
    }
    answer.bytes().await?;
    Ok(sent.elapsed().as_secs_f64() * 1000.0)
}

async fn ask(answerer: &Answerer<'_>, question: &Question, report: &mut Report) -> Outcome<()> {
    let mut times = Vec::new();
    let begin = SystemClock.monotonic();
    let warm = question.rounds.min(question.forms.len());
    for (round, form) in question
        .forms
        .iter()
        .cycle()
        .take(warm + question.rounds)
        .enumerate()
    {
        let took = put(answerer, form).await?;
        // The first ones warm up.
        if round >= warm {
            times.push(took);
        }
        if begin.elapsed() > LONGEST && times.len() >= 3 {
            break;
        }
    }
    let figure = format!("{}: {}", answerer.name, question.name);
    let (half, most) = question.goals;
    report.row(
        SCENARIO,
        &format!("{figure}, median"),
        median(&mut times),
        " ms",
        half,
    );
    let count = times.len();
    report.row(
        SCENARIO,
        &format!("{figure}, 99 % of {count}"),
        quantile(&mut times, 0.99),
        " ms",
        most,
    );
    Ok(())
}

/// Writes changed rows at a steady rate, from this process, until it is stopped.
struct Writer {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Outcome<f64>>,
}

impl Writer {
    async fn start(settings: &OpenSettings, rows: Rows) -> Outcome<Self> {
        let store = Store::open(settings).await?;
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(write(store, rows, stopped));
        Ok(Self { stop, running })
    }

    /// Returns the rows that were written in a second.
    async fn stop(self) -> Outcome<f64> {
        // It may have ended by a failure, which is returned.
        let _ended = self.stop.send(());
        self.running.await?
    }
}

async fn write(store: Store, rows: Rows, mut stopped: oneshot::Receiver<()>) -> Outcome<f64> {
    let begin = SystemClock.monotonic();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) * PAGE / WRITTEN);
    let (pages, mut written) = (TASKS_OF_A_JOB / PAGE, 0);
    for number in 0_u32.. {
        tokio::select! {
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        // Another job each time, so that the pages are far apart.
        let (job, first) = (number * 7 % rows.jobs, number * 3 % pages * PAGE);
        let page = rows.page(job, first, 1 + number / rows.jobs)?;
        let changes = store.write_tasks(&page).await?;
        written += changes.changed;
        if changes.changed == 0 {
            return Err::<f64, Failure>("the writer changes nothing".into());
        }
    }
    Ok(written as f64 / begin.elapsed().as_secs_f64())
}
