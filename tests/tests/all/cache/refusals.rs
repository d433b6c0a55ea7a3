//! Cached refusals: what they cost, for one request and for all, by default and with `no-cache`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ota_core::clock::ManualClock;
use ota_sim::{FleetShape, Server};
use ota_tests::gateway::{head, keeping_head};
use ota_tests::vendors::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_SECRET, alibaba_sim, huawei_sim};
use ota_tests::wire::Reply;
use ota_tests::{Answer, Gateway, Script, Section};
use serde_json::json;

use crate::setup::{ALI, HUA, World};

/// A gateway on a clock of its own.
struct Asked {
    clock: ManualClock,
    gateway: Gateway,
}

impl Asked {
    async fn new(text: &str) -> Self {
        let clock = ManualClock::new(ota_sim::Clock::system().now());
        let gateway = Gateway::on_clock(text, Arc::new(clock.clone())).await;
        Self { clock, gateway }
    }

    /// Lets time pass; the wall time stays the machine's, which requests are signed with.
    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.clock.set_wall(ota_sim::Clock::system().now());
    }

    async fn read(&self, path: &str, cache_control: &str) -> Reply {
        let ask = self.gateway.ask("GET", path);
        match cache_control {
            "" => ask.send().await,
            wish => ask.header("Cache-Control", wish).send().await,
        }
    }
}

/// Questions of every kind, no two of them the same.
fn questions(provider: &str) -> Vec<String> {
    let jobs = World::jobs_path(provider);
    (0..40)
        .map(|number| match number % 4 {
            0 => format!("{jobs}?page_size={}", number + 1),
            1 => format!("{jobs}/job-{number}"),
            2 => format!("{jobs}/job-{number}/stats"),
            _ => format!("{jobs}/job-{number}/tasks"),
        })
        .collect()
}

/// Asks forty questions one after the other and forty side by side, and again when a minute has passed.
async fn ask_with_a_wrong_credential(provider: &str, section: &str, sim: &Server) -> u64 {
    let asked = Asked::new(&(head() + section)).await;
    for minute in 0..2 {
        for path in questions(provider) {
            let reply = asked.read(&path, "no-cache").await;
            reply.problem(502, "provider_auth");
            assert!(reply.header("www-authenticate").is_none());
        }
        let paths = questions(provider);
        let replies = join_all(paths.iter().map(|path| asked.read(path, ""))).await;
        for reply in &replies {
            reply.problem(502, "provider_auth");
        }
        let health = asked
            .gateway
            .get(&format!("/v1/providers/{provider}"))
            .await;
        assert_eq!(health.ok()["health"]["problem"]["code"], "provider_auth");
        if minute == 0 {
            assert!(sim.counters().total_calls() <= 2, "{:?}", sim.counters());
            asked.pass(60);
        }
    }
    sim.counters().total_calls()
}

#[tokio::test]
async fn a_wrong_secret_costs_a_login_or_two_whatever_is_asked() {
    let sim = huawei_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::huawei(HUA, &sim.url()).to_toml();
    let section = section.replace(APP_SECRET, "not/the+secret=");
    let calls = ask_with_a_wrong_credential(HUA, &section, &sim).await;
    assert!(calls <= 3, "{:?}", sim.counters());
}

#[tokio::test]
async fn a_wrong_key_costs_a_call_or_two_whatever_is_asked() {
    for (good, wrong) in [
        (ACCESS_KEY_SECRET, "not/the+secret="),
        (ACCESS_KEY_ID, "LTAInobody"),
    ] {
        let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
        let section = Section::alibaba(ALI, &sim.url()).to_toml();
        let section = section.replace(good, wrong);
        let calls = ask_with_a_wrong_credential(ALI, &section, &sim).await;
        assert!(calls <= 3, "{:?}", sim.counters());
    }
}

/// An application that polls a job once a second for a minute, which has been deleted or never was.
#[tokio::test]
async fn a_job_that_does_not_exist_costs_a_few_calls_however_often_it_is_asked_for() {
    let fleet = || FleetShape::uniform(2, 5).frozen();
    let (alibaba, huawei) = (alibaba_sim(fleet()).await, huawei_sim(fleet()).await);
    for (name, sim, section) in [
        (ALI, &alibaba, Section::alibaba(ALI, &alibaba.url())),
        (HUA, &huawei, Section::huawei(HUA, &huawei.url())),
    ] {
        let asked = Asked::new(&(keeping_head() + &section.to_toml())).await;
        // A login, where the vendor has them, is no matter of this.
        asked.read(&World::jobs_path(name), "").await.ok();
        for tail in ["", "/stats", "/tasks"] {
            let path = format!("{}/no-such-job{tail}", World::jobs_path(name));
            let calls = || sim.counters().total_calls();
            let before = calls();
            asked.read(&path, "").await.problem(404, "not_found");
            let one = calls() - before;
            for _ in 1..60 {
                asked.pass(1);
                asked.read(&path, "").await.problem(404, "not_found");
            }
            let cost = calls() - before;
            assert!(one >= 1 && cost <= 12 * one, "{path}: {one}, then {cost}");
        }
    }
}

/// What a vendor says, and what is made of it.
struct Said {
    vendor: &'static str,
    code: &'static str,
    http: u16,
    status: u16,
    problem: &'static str,
}

const fn said(
    vendor: &'static str,
    code: &'static str,
    http: u16,
    status: u16,
    problem: &'static str,
) -> Said {
    Said {
        vendor,
        code,
        http,
        status,
        problem,
    }
}

const SAID: &[Said] = &[
    said(ALI, "iot.ota.JobNotFound", 200, 404, "not_found"),
    said(ALI, "Forbidden.RAM", 403, 502, "provider_auth"),
    said(
        ALI,
        "iot.system.UidNotFound",
        200,
        502,
        "provider_misconfigured",
    ),
    said(ALI, "iot.ota.JobLocked", 200, 502, "provider_rejected"),
    said(HUA, "123009", 400, 404, "not_found"),
    said(HUA, "100217", 403, 502, "provider_auth"),
    said(HUA, "100203", 200, 502, "provider_misconfigured"),
    said(HUA, "123999", 400, 502, "provider_rejected"),
];

async fn refusing(said: &'static Said) -> Script {
    Script::start(move |seen| {
        let (code, text) = (said.code, "x");
        let body = match said.vendor {
            ALI => json!({"Success": false, "Code": code, "ErrorMessage": text, "RequestId": "r"}),
            _ if seen.path().ends_with("/login") => {
                return Answer::json(json!({"accessToken": "t", "expiresIn": 3600}).to_string());
            }
            _ => json!({"error_code": code, "error_desc": text}),
        };
        Answer::Whole(said.http, "application/json", body.to_string())
    })
    .await
}

#[tokio::test]
async fn each_refusal_is_given_again_for_its_age_and_sooner_asked_for_only_by_wish() {
    for (error_age, settings) in [(5, ""), (20, "[cache]\nerror_age_s = 20\n")] {
        for said in SAID {
            let script = refusing(said).await;
            let section = match said.vendor {
                ALI => Section::alibaba(ALI, &script.url()),
                _ => Section::huawei(HUA, &script.url()),
            };
            let asked = Asked::new(&(keeping_head() + settings + &section.to_toml())).await;
            let path = format!("{}/job", World::jobs_path(said.vendor));
            let check = async |wish: &str, calls: usize| {
                let before = script.seen().len();
                let reply = asked.read(&path, wish).await;
                reply.problem(said.status, said.problem);
                let made = script.seen().len() - before;
                assert_eq!(made, calls, "{} `{wish}`: {}", said.code, reply.shown());
            };
            let login = usize::from(said.vendor == HUA);
            check("", 1 + login).await;
            // Within `min_age_s` no one gets the vendor asked again.
            for wish in ["", "no-cache", "max-age=0", "no-store"] {
                check(wish, 0).await;
            }
            // After it, a request with `no-cache` makes a call; the others wait for `error_age_s`.
            asked.pass(2);
            check("", 0).await;
            check("max-age=10", 0).await;
            check("no-cache", 1).await;
            check("no-cache", 0).await;
            asked.pass(2);
            check("max-age=1", 1).await;
            asked.pass(error_age - 1);
            check("", 0).await;
            asked.pass(1);
            check("", 1).await;
            // A poll a second for a minute.
            let before = script.seen().len();
            for _ in 0..60 {
                asked.pass(1);
                asked
                    .read(&path, "")
                    .await
                    .problem(said.status, said.problem);
            }
            let made = script.seen().len() - before;
            let most = usize::try_from(60 / error_age).unwrap();
            assert!(made >= 1 && made <= most, "{}: {made}", said.code);
        }
    }
}
