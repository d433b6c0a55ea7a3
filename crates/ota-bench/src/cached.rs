//! A cached page of tasks, beside nginx and a bare axum route.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ota_sim::{FleetShape, QuotaSetting};

use crate::gateway::{self, Gateway, PROVIDER, client, free_address};
use crate::load::{answers_a_second, installed};
use crate::nginx::Nginx;
use crate::process_guard::{End, ProcessGuard};
use crate::processor::seconds_of;
use crate::report::{Goal, Report, median};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "cached";

/// One of those who are compared.
struct Competitor {
    name: &'static str,
    url: String,
    headers: Vec<String>,
    process: u32,
    /// Answers a second, of each round.
    rates: Vec<f64>,
    /// Microseconds of processor time for an answer, of each round.
    costs: Vec<f64>,
}

impl Competitor {
    fn new(name: &'static str, url: String, headers: &[String], process: u32) -> Self {
        Self {
            name,
            url,
            headers: headers.to_vec(),
            process,
            rates: Vec::new(),
            costs: Vec::new(),
        }
    }

    async fn round(&mut self, time: Duration) -> Outcome<()> {
        let before = seconds_of(self.process);
        let load = answers_a_second(&self.url, &self.headers, time).await?;
        let spent = seconds_of(self.process) - before;
        self.rates.push(load.a_second);
        self.costs.push(spent * 1e6 / load.answers);
        Ok(())
    }
}

const GATEWAY: &str = "gateway";
const NGINX: &str = "nginx";
const BARE: &str = "bare axum route";
const LOGGING: &str = "gateway with a log line each";
const LOGGING_NGINX: &str = "nginx with a log line each";

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    if !installed("wrk", "--version").await {
        report.note(SCENARIO, "left out: `wrk` is not installed");
        return Ok(());
    }
    let with_nginx = installed("nginx", "-v").await;
    if !with_nginx {
        report.note(SCENARIO, "without nginx: it is not installed");
    }
    let sim = gateway::simulated(
        FleetShape::uniform(1, 100).frozen(),
        QuotaSetting::Documented,
    )
    .await?;
    let job = sim.fleet().jobs[0].id.clone();
    let start = async |filter: &str| {
        let sections = format!(
            "[cache]\nmax_age_s = 3600\n[log]\nfilter = \"{filter}\"\n{}",
            gateway::one_section(&sim.url(), "")?
        );
        Gateway::start(setting, &sections).await
    };
    let (gateway, logging) = (start("warn").await?, start("info").await?);
    let token = gateway.authorization()?;
    let auth = [format!("Authorization: {token}")];
    // About 33 KB, which is what a page of 100 tasks has at vendors who tell less; and all that this one tells of 100 tasks.
    for rows in [67, 100] {
        let page = |gateway: &Gateway| {
            gateway.url(&format!("{PROVIDER}/jobs/{job}/tasks?page_size={rows}"))
        };
        let answer = client()?
            .get(page(&gateway))
            .header("Authorization", &token);
        let answer = answer.send().await?.error_for_status()?;
        let etag = answer.headers()["etag"].to_str()?.to_owned();
        let body = answer.bytes().await?;
        let file = gateway.folder().join(format!("{rows}.json"));
        std::fs::write(&file, &body)?;
        let (bare, bare_address) = start_bare(&file).await?;
        let known = [auth[0].clone(), format!("If-None-Match: {etag}")];
        let bare_url = format!("http://{bare_address}/");
        let mut competitors = vec![
            Competitor::new(GATEWAY, page(&gateway), &auth, gateway.process()),
            Competitor::new(BARE, bare_url, &[], bare.process()),
        ];
        let mut servers = Vec::new();
        if rows == 100 {
            let (one, other) = (page(&logging), page(&gateway));
            competitors.push(Competitor::new(LOGGING, one, &auth, logging.process()));
            competitors.push(Competitor::new(
                "gateway, unchanged (304)",
                other,
                &known,
                gateway.process(),
            ));
        }
        for (name, log) in [(NGINX, false), (LOGGING_NGINX, true)] {
            if with_nginx && (rows == 100 || !log) {
                let listen = free_address()?;
                // In front of the gateway, asked as the gateway is: so it keeps and sends the same bytes, headers too.
                let server = Nginx::start(gateway.folder(), listen, gateway.address(), log).await?;
                let url =
                    page(&gateway).replace(&gateway.address().to_string(), &listen.to_string());
                competitors.push(Competitor::new(name, url, &auth, server.process()));
                servers.push(server);
            }
        }
        measure(setting, &mut competitors).await?;
        drop((bare, servers));
        tell(
            report,
            &format!("page of {rows} tasks, {} bytes", body.len()),
            &mut competitors,
        );
    }
    report.row(
        SCENARIO,
        "vendor calls behind all of it, for two gateways and two pages",
        sim.counters().total_calls() as f64,
        "",
        Goal::AtMost(3.0),
    );
    Ok(())
}

fn tell(report: &mut Report, page: &str, competitors: &mut [Competitor]) {
    for one in competitors.iter_mut() {
        let name = one.name;
        report.row(
            SCENARIO,
            &format!("{page}: {name}, answers a second"),
            median(&mut one.rates.clone()),
            "",
            Goal::None,
        );
        report.row(
            SCENARIO,
            &format!("{page}: {name}, processor time of an answer"),
            median(&mut one.costs.clone()),
            " µs",
            Goal::None,
        );
    }
    let find = |name: &str| competitors.iter().find(|one| one.name == name);
    for (own, other, goal) in [
        (GATEWAY, NGINX, Goal::AtLeast(1.0)),
        (GATEWAY, BARE, Goal::AtLeast(0.8)),
        (LOGGING, LOGGING_NGINX, Goal::None),
    ] {
        if let (Some(own), Some(other)) = (find(own), find(other)) {
            // Round by round, since the machine is faster in one minute than in the next.
            let ratios = own
                .rates
                .iter()
                .zip(&other.rates)
                .map(|(own, other)| own / other);
            let figure = format!("{page}: {} : {}, answers a second", own.name, other.name);
            report.row(
                SCENARIO,
                &figure,
                median(&mut ratios.collect::<Vec<_>>()),
                "",
                goal,
            );
            let ratios = own
                .costs
                .iter()
                .zip(&other.costs)
                .map(|(own, other)| other / own);
            let figure = format!(
                "{page}: {} : {}, answers for the same processor time",
                own.name, other.name
            );
            report.row(
                SCENARIO,
                &figure,
                median(&mut ratios.collect::<Vec<_>>()),
                "",
                Goal::None,
            );
        }
    }
}

/// Each in its turn, many times over, so that what else the machine does hits all of them.
async fn measure(setting: &Setting, competitors: &mut [Competitor]) -> Outcome<()> {
    let rounds = if setting.quick { 2 } else { 21 };
    let second = Duration::from_secs(1);
    for competitor in competitors.iter_mut() {
        // Warms up, and does not count.
        competitor.round(second).await?;
        competitor.rates.clear();
        competitor.costs.clear();
    }
    let count = competitors.len();
    for round in 0..rounds {
        for place in 0..count {
            competitors[(place + round) % count].round(second).await?;
        }
    }
    Ok(())
}

/// Starts this program as the bare route.
async fn start_bare(body: &Path) -> Outcome<(ProcessGuard, SocketAddr)> {
    let address = free_address()?;
    let listen = address.to_string();
    let arguments = [
        "bare".as_ref(),
        "--listen".as_ref(),
        listen.as_ref(),
        "--body".as_ref(),
        body.as_os_str(),
    ];
    let program = std::env::current_exe()?;
    let bare = ProcessGuard::start(program, arguments, Stdio::inherit(), End::Kill).await?;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((bare, address))
}
