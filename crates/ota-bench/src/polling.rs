//! Many clients polling one page.

use std::time::Duration;

use ota_sim::{FleetShape, QuotaSetting};

use crate::gateway::{self, Gateway, PROVIDER, client};
use crate::report::{Goal, Report};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "polling";
const CLIENTS: usize = 100;
const MAX_AGE_S: u64 = 2;

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if setting.quick { 5 } else { 15 });
    let sim = gateway::simulated(
        FleetShape::uniform(1, 100).frozen(),
        QuotaSetting::Documented,
    )
    .await?;
    let sections = format!(
        "[cache]\nmax_age_s = {MAX_AGE_S}\n[log]\nfilter = \"warn\"\n{}",
        gateway::one_section(&sim.url(), "")?
    );
    let gateway = Gateway::start(setting, &sections).await?;
    let job = sim.fleet().jobs[0].id.clone();
    let url = gateway.url(&format!("{PROVIDER}/jobs/{job}/tasks?page_size=100"));
    let (client, token) = (client()?, gateway.authorization()?);
    let end = tokio::time::Instant::now() + time;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (client, url, token) = (client.clone(), url.clone(), token.clone());
            tokio::spawn(async move {
                // Some dashboards think that they know better.
                let wish = if number % 4 == 0 {
                    "no-transform"
                } else {
                    "max-age=60"
                };
                let mut good = 0_u64;
                while tokio::time::Instant::now() < end {
                    let request = client.get(&url).header("Authorization", &token);
                    let answer = request.header("Cache-Control", wish).send().await;
                    if let Ok(answer) = answer
                        && answer.status().is_success()
                        && answer.bytes().await.is_ok()
                    {
                        good += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                good
            })
        })
        .collect();
    let mut answers = 0;
    for client in clients {
        answers += client.await?;
    }
    let periods = time.as_secs_f64() / MAX_AGE_S as f64;
    report.row(
        SCENARIO,
        "answers to 100 clients",
        answers as f64,
        "",
        Goal::None,
    );
    report.row(
        SCENARIO,
        &format!("vendor calls in {periods:.1} times max_age_s"),
        sim.counters().total_calls() as f64,
        "",
        Goal::AtMost(periods.ceil() + 1.0),
    );
    Ok(())
}
