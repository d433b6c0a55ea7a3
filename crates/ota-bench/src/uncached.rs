//! What the gateway adds to a vendor call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::drift::DriftCounter;
use ota_core::gate::OpenGate;
use ota_core::id::{JobId, ProviderName};
use ota_core::provider::{Dependencies, GetJob, ListTasks, Provider};
use ota_core::random::SystemRandom;
use ota_gateway::vendors::ADAPTERS;
use ota_sim::{FleetShape, QuotaSetting, Server};
use toml::{Table, Value};

use crate::gateway::{self, Gateway, PROVIDER, client};
use crate::report::{Goal, Report, median};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "uncached";
const ROOM: &str = "calls = 1000000";

/// A read in all the ways that are compared.
struct ComparedReads {
    /// Dropping it ends it.
    _sim: Server,
    gateway: Gateway,
    client: reqwest::Client,
    token: String,
    provider: Arc<dyn Provider>,
    job: String,
}

#[derive(Clone, Copy)]
enum Read {
    Job,
    Tasks,
}

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let sim = gateway::simulated(
        FleetShape::uniform(1, 100).frozen(),
        QuotaSetting::Unlimited,
    )
    .await?;
    let sections = format!(
        "[cache]\nmax_age_s = 0\nmin_age_s = 0\nstale_if_error_s = 0\nerror_age_s = 0\n[log]\nfilter = \"warn\"\n{}",
        gateway::one_section(&sim.url(), ROOM)?
    );
    let gateway = Gateway::start(setting, &sections).await?;
    let job = sim.fleet().jobs[0].id.clone();
    let reads = ComparedReads {
        token: gateway.authorization()?,
        provider: provider(&sim)?,
        client: client()?,
        _sim: sim,
        gateway,
        job,
    };
    let rounds = if setting.quick { 100 } else { 1500 };
    for (read, name) in [(Read::Job, "one job"), (Read::Tasks, "100 tasks")] {
        let (mut through, mut direct) = (Vec::new(), Vec::new());
        for round in 0..rounds + 50 {
            let times = [
                reads.through_gateway(read).await?,
                reads.by_adapter(read).await?,
            ];
            // The first ones warm up.
            if round >= 50 {
                through.push(times[0]);
                direct.push(times[1]);
            }
        }
        let (through, direct) = (median(&mut through), median(&mut direct));
        report.row(
            SCENARIO,
            &format!("{name}: made directly, with the adapter, median"),
            direct,
            " ms",
            Goal::None,
        );
        report.row(
            SCENARIO,
            &format!("{name}: through the gateway, median"),
            through,
            " ms",
            Goal::None,
        );
        report.row(
            SCENARIO,
            &format!("{name}: added by the gateway"),
            through - direct,
            " ms",
            Goal::AtMost(0.3),
        );
    }
    Ok(())
}

/// The adapter alone, with nothing between it and the simulator.
fn provider(sim: &Server) -> Outcome<Arc<dyn Provider>> {
    let account = gateway::simulator()?.account;
    let adapter = ADAPTERS
        .iter()
        .find(|adapter| adapter.descriptor().name == account.vendor)
        .ok_or("no adapter speaks to this simulator")?;
    let settings = account.settings_at(&sim.url()).into_iter();
    let section: Table = settings
        .filter(|(key, _)| *key != "vendor")
        .map(|(key, value)| (key.to_owned(), Value::String(value)))
        .collect();
    let settings = adapter.settings(section, &adapter.shared())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = Dependencies {
        gate: Arc::new(OpenGate::new(Arc::clone(&clock))),
        clock,
        random: Arc::new(SystemRandom),
        drift: Arc::new(DriftCounter::default()),
        fields: Arc::default(),
        max_calls_per_page: 5,
    };
    let name = ProviderName::parse("direct")?;
    Ok(settings.check()?.build(name, deps)?)
}

fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

impl ComparedReads {
    async fn through_gateway(&self, read: Read) -> Outcome<f64> {
        let path = match read {
            Read::Job => format!("{PROVIDER}/jobs/{}", self.job),
            Read::Tasks => format!("{PROVIDER}/jobs/{}/tasks?page_size=100", self.job),
        };
        let url = self.gateway.url(&path);
        let begin = SystemClock.monotonic();
        let answer = self
            .client
            .get(url)
            .header("Authorization", &self.token)
            .send()
            .await?;
        answer.error_for_status()?.bytes().await?;
        Ok(millis(begin))
    }

    async fn by_adapter(&self, read: Read) -> Outcome<f64> {
        let begin = SystemClock.monotonic();
        let deadline = begin + Duration::from_secs(30);
        let cx = Context::new("bench", deadline, Priority::Interactive);
        let job_id = JobId::from(self.job.as_str());
        let reader = self.provider.jobs().ok_or("the provider reads no jobs")?;
        match read {
            Read::Job => {
                let job = reader.get_job(&cx, GetJob { job_id }).await?;
                assert!(job.is_some(), "the job is there");
            }
            Read::Tasks => {
                let request = ListTasks {
                    job_id,
                    filter: Default::default(),
                    page_size: 100,
                    cursor: None,
                };
                let page = reader.list_tasks(&cx, request).await?;
                assert!(page.is_some(), "the job is there");
            }
        }
        Ok(millis(begin))
    }
}
