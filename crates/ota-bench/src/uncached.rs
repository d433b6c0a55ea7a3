//! What the gateway adds to a vendor call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::drift::DriftCounter;
use ota_core::gate::OpenGate;
use ota_core::id::{JobId, ProviderName};
use ota_core::provider::{Dependencies, GetJob, JobReader, ListTasks};
use ota_core::random::{Random, SystemRandom};
use ota_provider_alibaba::internals::{Acs3, acs3};
use ota_provider_alibaba::{AlibabaProvider, Settings};
use ota_sim::{FleetShape, Server, alibaba};
use serde_json::json;
use time::macros::format_description;

use crate::gateway::{self, Gateway, client};
use crate::report::{Goal, Report, median};
use crate::{Outcome, Setting};

const SCENARIO: &str = "uncached";
const ROOM: &str = "calls = 1000000";

/// A read in all the ways that are compared.
struct Ways {
    sim: Server,
    gateway: Gateway,
    client: reqwest::Client,
    token: String,
    provider: AlibabaProvider,
    job: String,
}

#[derive(Clone, Copy)]
enum Read {
    Job,
    Tasks,
}

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let sim = alibaba::start(alibaba::Config {
        fleet: FleetShape::uniform(1, 100).frozen(),
        quota: None,
        ..alibaba::Config::default()
    })
    .await?;
    let sections = format!(
        "[cache]\nmax_age_s = 0\nmin_age_s = 0\nstale_if_error_s = 0\nerror_age_s = 0\n[log]\nfilter = \"warn\"\n{}",
        gateway::alibaba("ali", &sim.url(), ROOM)
    );
    let gateway = Gateway::start(setting, &sections).await?;
    let job = sim.fleet().jobs[0].id.clone();
    let ways = Ways {
        token: gateway.authorization()?,
        provider: provider(&sim)?,
        client: client()?,
        sim,
        gateway,
        job,
    };
    let rounds = if setting.quick { 100 } else { 1500 };
    for (read, name) in [(Read::Job, "one job"), (Read::Tasks, "100 tasks")] {
        let (mut through, mut direct, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds + 50 {
            let times = [
                ways.through_gateway(read).await?,
                ways.by_adapter(read).await?,
                ways.raw(read).await?,
            ];
            // The first ones warm up.
            if round >= 50 {
                through.push(times[0]);
                direct.push(times[1]);
                raw.push(times[2]);
            }
        }
        let (through, direct, raw) = (median(&mut through), median(&mut direct), median(&mut raw));
        report.row(
            SCENARIO,
            &format!("{name}: bytes over the wire, signed and read, median"),
            raw,
            " ms",
            Goal::None,
        );
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

fn provider(sim: &Server) -> Outcome<AlibabaProvider> {
    let settings: Settings = serde_json::from_value(json!({
        "endpoint": sim.url(),
        "access_key_id": alibaba::DEMO_ACCESS_KEY_ID,
        "access_key_secret": alibaba::DEMO_ACCESS_KEY_SECRET,
    }))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = Dependencies {
        gate: Arc::new(OpenGate::new(Arc::clone(&clock))),
        clock,
        random: Arc::new(SystemRandom),
        drift: Arc::new(DriftCounter::default()),
        max_calls_per_page: 5,
    };
    let name = ProviderName::parse("direct")?;
    Ok(AlibabaProvider::new(name, settings.into_config()?, deps)?)
}

fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

impl Ways {
    async fn through_gateway(&self, read: Read) -> Outcome<f64> {
        let path = match read {
            Read::Job => format!("ali/jobs/{}", self.job),
            Read::Tasks => format!("ali/jobs/{}/tasks?page_size=100", self.job),
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
        match read {
            Read::Job => {
                let job = self.provider.get_job(&cx, GetJob { job_id }).await?;
                assert!(job.is_some(), "the job is there");
            }
            Read::Tasks => {
                let request = ListTasks {
                    job_id,
                    filter: Default::default(),
                    page_size: 100,
                    cursor: None,
                };
                let page = self.provider.list_tasks(&cx, request).await?;
                assert!(page.is_some(), "the job is there");
            }
        }
        Ok(millis(begin))
    }

    /// The call of the vendor's API with nothing around it: signed, sent, its body read and not understood.
    async fn raw(&self, read: Read) -> Outcome<f64> {
        let begin = SystemClock.monotonic();
        let (action, query): (_, Vec<(String, String)>) = match read {
            Read::Job => ("QueryOTAJob", vec![("JobId".into(), self.job.clone())]),
            Read::Tasks => (
                "ListOTATaskByJob",
                vec![
                    ("JobId".into(), self.job.clone()),
                    ("CurrentPage".into(), "1".into()),
                    ("PageSize".into(), "100".into()),
                ],
            ),
        };
        let url = self.sim.url();
        let host = url.trim_start_matches("http://");
        let date = SystemClock.now().format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second]Z"
        ))?;
        let nonce = SystemRandom.nonce().map_err(|error| error.to_string())?;
        // The hash of an empty body.
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let headers = [
            ("host", host),
            ("x-acs-action", action),
            ("x-acs-version", "2018-01-20"),
            ("x-acs-date", date.as_str()),
            ("x-acs-signature-nonce", nonce.as_str()),
            ("x-acs-content-sha256", hash),
        ];
        let authorization = acs3(Acs3 {
            method: "POST",
            uri: "/",
            query: &query,
            headers: &headers,
            hashed_payload: hash,
            access_key_id: alibaba::DEMO_ACCESS_KEY_ID,
            access_key_secret: alibaba::DEMO_ACCESS_KEY_SECRET,
        });
        let encoded = ota_http::encode::query(query.iter().map(|(a, b)| (a.as_str(), b.as_str())));
        let mut request = self.client.post(format!("{url}/?{encoded}"));
        for (name, value) in headers.into_iter().skip(1) {
            request = request.header(name, value);
        }
        let request = request
            .header("authorization", authorization)
            .header("accept", "application/json");
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(millis(begin))
    }
}
