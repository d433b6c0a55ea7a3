//! More questions than the vendor's quota can answer, at a vendor that is far away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ota_core::clock::{Clock, SystemClock};
use ota_sim::{FleetShape, QuotaSetting, Refusal};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::delayed_link::DelayedLink;
use crate::gateway::{self, Gateway, PROVIDER, client};
use crate::report::{Goal, Report, quantile};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "overload";
const ROUND_TRIP: Duration = Duration::from_millis(250);
const CALLS_A_SECOND: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// What is asked before this is not counted: the first connections are opened, and the queue fills.
const WARM_UP: Duration = Duration::from_secs(5);

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    for rate in [20, 50, 200] {
        measure(setting, report, rate).await?;
    }
    Ok(())
}

/// The answer to one question.
struct Answer {
    code: String,
    milliseconds: f64,
}

async fn measure(setting: &Setting, report: &mut Report, rate: u32) -> Outcome<()> {
    let measured = Duration::from_secs(if setting.quick { 5 } else { 30 });
    let questions = rate * u32::try_from((WARM_UP + measured).as_secs())?;
    let sim = gateway::simulated(
        // No question is asked twice, so each needs a call.
        FleetShape::uniform(questions, 1).frozen(),
        QuotaSetting::Changed {
            calls: Some(CALLS_A_SECOND),
            window: Some(WINDOW),
        },
    )
    .await?;
    let link = DelayedLink::start(sim.addr(), ROUND_TRIP).await?;
    let section = gateway::one_section(&link.url(), "")?;
    let gateway = Gateway::start(setting, &section).await?;
    let (client, token) = (client()?, gateway.authorization()?);
    let answers: Arc<Mutex<Vec<(Instant, Answer)>>> = Arc::default();
    let mut asking = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begin = Instant::now();
    for job in sim.fleet().jobs {
        ticks.tick().await;
        let url = gateway.url(&format!("{PROVIDER}/jobs/{}", job.id));
        let request = client.get(url).header("Authorization", &token);
        let answers = Arc::clone(&answers);
        asking.spawn(async move {
            let answer = ask(request).await;
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.push((Instant::now(), answer));
        });
    }
    let end = Instant::now();
    while asking.join_next().await.is_some() {}
    let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut good, mut refusals) = (0_u32, Vec::new());
    let mut others = BTreeMap::<String, u32>::new();
    for (at, answer) in answers {
        match answer.code.as_str() {
            "" if (begin + WARM_UP..end).contains(&at) => good += 1,
            "" => {}
            "provider_throttled" => refusals.push(answer.milliseconds),
            _ => *others.entry(answer.code).or_default() += 1,
        }
    }
    let share = WINDOW.as_secs_f64() / (WINDOW + ROUND_TRIP).as_secs_f64();
    let counted = (end - begin).saturating_sub(WARM_UP).as_secs_f64();
    let possible = f64::from(CALLS_A_SECOND) * share * counted;
    let name = |what: &str| format!("{rate} questions a second: {what}");
    report.row(
        SCENARIO,
        &name("answered, of what quota and line allow"),
        100.0 * f64::from(good) / possible,
        " %",
        Goal::AtLeast(90.0),
    );
    let other: u32 = others.values().sum();
    report.row(
        SCENARIO,
        &name("neither answered nor provider_throttled"),
        f64::from(other),
        "",
        Goal::AtMost(0.0),
    );
    if other > 0 {
        report.note(SCENARIO, &name(&format!("these were {others:?}")));
    }
    let all = refusals.len();
    report.row(
        SCENARIO,
        &name(&format!("{all} refusals, 99 % of them within")),
        quantile(&mut refusals, 0.99),
        " ms",
        Goal::AtMost(50.0),
    );
    report.row(
        SCENARIO,
        &name("slowest refusal"),
        quantile(&mut refusals, 1.0),
        " ms",
        Goal::None,
    );
    let counters = sim.counters();
    report.row(
        SCENARIO,
        &name("throttled at the vendor"),
        counters.refused_for(Refusal::Throttled) as f64,
        "",
        Goal::AtMost(0.0),
    );
    report.row(
        SCENARIO,
        &name("most calls in any second, as the vendor counts"),
        counters.max_in_window_of("QueryOTAJob") as f64,
        "",
        Goal::AtMost(f64::from(CALLS_A_SECOND)),
    );
    Ok(())
}

/// Asks, and returns the code of the problem; none for a good answer.
async fn ask(request: reqwest::RequestBuilder) -> Answer {
    let begin = SystemClock.monotonic();
    let code = match request.send().await {
        Err(error) if error.is_connect() => "no connection".to_owned(),
        Err(_) => "no answer".to_owned(),
        Ok(answer) if answer.status().is_success() => match answer.bytes().await {
            Ok(_) => String::new(),
            Err(_) => "no body".to_owned(),
        },
        Ok(answer) => {
            let status = answer.status();
            let problem = answer.bytes().await.unwrap_or_default();
            let problem: Value = serde_json::from_slice(&problem).unwrap_or_default();
            match problem["code"].as_str() {
                Some(code) => code.to_owned(),
                None => status.to_string(),
            }
        }
    };
    Answer {
        code,
        milliseconds: begin.elapsed().as_secs_f64() * 1000.0,
    }
}
