//! Faults of Alibaba, one by one.

use std::time::Duration;

use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::vendors::{SECURITY_TOKEN, alibaba_config, alibaba_sim};
use ota_tests::{Answer, Gateway, Script, Section};

use crate::setup::{ALI, HUA, World};
use crate::vendors::faults::{self, AUTH, Expected, PROTOCOL, THROTTLED, TIMEOUT, UNAVAILABLE};

#[tokio::test]
async fn every_trouble_has_its_code_and_leaves_the_next_request_unharmed() {
    let world = World::small().await;
    faults::common(&world, ALI).await;
    for (kind, expected) in [
        (FaultKind::ProductError, UNAVAILABLE),
        (FaultKind::EchoSignature, AUTH),
    ] {
        faults::fault(&world, ALI, Fault::always(kind), expected).await;
    }
    // A refused argument is the caller's mistake only where the caller gave one: here, the identifier of a job.
    let list = World::jobs_path(ALI);
    for path in faults::paths(&world, ALI) {
        let expected = match path == list {
            true => Expected::Problem(502, "provider_rejected"),
            false => Expected::Problem(400, "invalid_argument"),
        };
        let fault = Fault::always(FaultKind::Xml4xx);
        faults::fault_on(&world, ALI, &path, &fault, expected).await;
    }
}

#[tokio::test]
async fn trouble_in_xml_with_the_older_signature_has_the_same_codes() {
    let sim = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url())
        .set("signature = \"hmac-sha1\"")
        .set("format = \"xml\"");
    let gateway = Gateway::start(&[section]).await;
    let path = format!("{}/{}", World::jobs_path(ALI), sim.fleet().jobs[0].id);
    for (kind, expected) in [
        (FaultKind::Html200, PROTOCOL),
        (FaultKind::Html502, UNAVAILABLE),
        (FaultKind::CutJson, PROTOCOL),
        (FaultKind::EmptyBody, PROTOCOL),
        (FaultKind::WrongContentType, Expected::Good),
        (FaultKind::ProductError, UNAVAILABLE),
        (FaultKind::GatewayError, UNAVAILABLE),
        (FaultKind::Throttle, THROTTLED),
        (FaultKind::EchoSignature, AUTH),
    ] {
        sim.set_faults(vec![Fault::always(kind)]);
        faults::is(&gateway.get(&path).await, ALI, expected);
        sim.set_faults(Vec::new());
        gateway.get(&path).await.ok();
    }
}

#[tokio::test]
async fn rows_that_surprise_arrive_as_far_as_they_can() {
    let world = World::small().await;
    faults::odd_rows(&world, ALI, "UtcCreate").await;
}

#[tokio::test]
async fn a_vendor_that_never_answers_is_a_timeout() {
    let sim = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url()).limit("timeout_ms = 300");
    let path = format!("{}/{}", World::jobs_path(ALI), sim.fleet().jobs[0].id);
    for path in [path.clone(), format!("{path}/tasks"), World::jobs_path(ALI)] {
        let gateway = Gateway::start(std::slice::from_ref(&section)).await;
        sim.set_faults(vec![Fault::always(FaultKind::Hang)]);
        faults::is(&gateway.get(&path).await, ALI, TIMEOUT);
        // Late is as good as never.
        sim.set_faults(vec![
            Fault::always(FaultKind::Delay).delay(Duration::from_secs(30)),
        ]);
        faults::is(&gateway.get(&path).await, ALI, TIMEOUT);
        sim.set_faults(Vec::new());
        gateway.get(&path).await.ok();
    }
    // Calls for several jobs that are all not answered are enough to leave the vendor alone; those for one job are not.
    let gateway = Gateway::start(&[section]).await;
    sim.set_faults(vec![Fault::always(FaultKind::Hang)]);
    for job in &sim.fleet().jobs {
        let path = format!("{}/{}/stats", World::jobs_path(ALI), job.id);
        faults::is(&gateway.get(&path).await, ALI, TIMEOUT);
    }
    let refused = gateway.get(&path).await;
    refused.problem(503, "provider_unavailable");
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn a_request_ends_in_its_own_time_whatever_the_vendor_may_take() {
    let sim = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    let text = ota_tests::gateway::head().replace("[server]", "[server]\nrequest_timeout_ms = 400")
        + &Section::alibaba(ALI, &sim.url())
            .limit("timeout_ms = 600000")
            .to_toml();
    let gateway = Gateway::with_file(&text).await;
    sim.set_faults(vec![Fault::always(FaultKind::Hang)]);
    faults::is(&gateway.get(&World::jobs_path(ALI)).await, ALI, TIMEOUT);
}

#[tokio::test]
async fn a_hint_when_to_come_back_is_passed_on_in_whole_seconds() {
    for (style, wait) in [(Some(1500), "2"), (Some(30_000), "30"), (None, "2")] {
        let mut config = alibaba_config(FleetShape::uniform(1, 3).frozen());
        config.throttle_style.retry_after_ms = style;
        let sim = ota_sim::alibaba::start(config).await.unwrap();
        let gateway = Gateway::start(&[Section::alibaba(ALI, &sim.url())]).await;
        sim.set_faults(vec![Fault::always(FaultKind::Throttle)]);
        let reply = gateway.get(&World::jobs_path(ALI)).await;
        let problem = reply.problem(503, "provider_throttled");
        assert_eq!(reply.must("retry-after"), wait);
        assert_eq!(problem["vendor"]["code"], "Throttling.User");
        assert!(problem["vendor"]["request_id"].is_string());
    }
}

#[tokio::test]
async fn an_echoed_signature_is_shown_to_nobody() {
    for (signature, format) in [
        ("acs3", "json"),
        ("acs3", "xml"),
        ("hmac-sha1", "json"),
        ("hmac-sha1", "xml"),
    ] {
        let mut config = alibaba_config(FleetShape::uniform(2, 5).frozen());
        config.security_token = Some(SECURITY_TOKEN.to_owned());
        let sim = ota_sim::alibaba::start(config).await.unwrap();
        let section = Section::alibaba(ALI, &sim.url())
            .set(&format!("security_token = \"{SECURITY_TOKEN}\""))
            .set(&format!("signature = \"{signature}\""))
            .set(&format!("format = \"{format}\""));
        let gateway = Gateway::start(&[section]).await;
        gateway.get(&World::jobs_path(ALI)).await.ok();
        sim.set_faults(vec![Fault::always(FaultKind::EchoSignature)]);
        let check = format!("/v1/providers/{ALI}/check");
        let shown = [
            gateway.get(&World::jobs_path(ALI)).await,
            gateway.ask("POST", &check).send().await,
            gateway.get("/v1/providers").await,
        ];
        // Every answer is searched for secrets on the way; here for what identifies the key, too.
        for reply in shown {
            let text = reply.text();
            for hidden in [
                "LTAI5tE2eKeyIdentifier",
                "AccessKeyId",
                "server string to sign",
                "x-acs-",
                "POST&",
            ] {
                assert!(!text.contains(hidden), "`{hidden}` in {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_gateways_trouble_and_not_the_callers() {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let wrong = |line: &str| {
        let section = Section::alibaba(ALI, &sim.url()).to_toml();
        let key = line.split(" =").next().unwrap().to_owned();
        let lines: Vec<&str> = section
            .lines()
            .map(|old| {
                if old.starts_with(&format!("{key} =")) {
                    line
                } else {
                    old
                }
            })
            .collect();
        ota_tests::gateway::head() + &lines.join("\n")
    };
    for line in [
        "access_key_secret = \"not-the-secret\"",
        "access_key_id = \"LTAInobody\"",
    ] {
        let gateway = Gateway::with_file(&wrong(line)).await;
        let reply = gateway.get(&World::jobs_path(ALI)).await;
        faults::is(&reply, ALI, AUTH);
        assert!(reply.header("www-authenticate").is_none());
        assert!(!reply.text().contains("not-the-secret"));
    }
    let instance = Section::alibaba(ALI, &sim.url()).set("instance_id = \"iot-none\"");
    let gateway = Gateway::start(&[instance]).await;
    faults::is(
        &gateway.get(&World::jobs_path(ALI)).await,
        ALI,
        faults::MISCONFIGURED,
    );
}

#[tokio::test]
async fn an_endless_body_is_given_up() {
    let script = Script::start(|_| Answer::Endless).await;
    let gateway = Gateway::start(&[
        Section::alibaba(ALI, &script.url()),
        Section::huawei(HUA, &script.url()),
    ])
    .await;
    for name in [ALI, HUA] {
        let reply = gateway.get(&format!("{}/x", World::jobs_path(name))).await;
        faults::is(&reply, name, PROTOCOL);
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Script::start(|_| Answer::json("{}")).await;
    let world = World::small().await;
    let away = || vec![Fault::always(FaultKind::Redirect).location(elsewhere.url())];
    for name in [ALI, HUA] {
        world.sim(name).set_faults(away());
        faults::is(
            &world.gateway.get(&World::jobs_path(name)).await,
            name,
            PROTOCOL,
        );
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn every_form_of_an_unknown_job_is_not_found() {
    use ota_sim::alibaba::UnknownJob;
    for unknown_job in [
        UnknownJob::ProductError("iot.ota.JobNotFound".to_owned()),
        UnknownJob::ProductError("iot.ota.NotExistedJob".to_owned()),
        UnknownJob::GatewayError(404, "InvalidJobId.NotFound".to_owned()),
    ] {
        let mut config = alibaba_config(FleetShape::uniform(1, 3).frozen());
        config.unknown_job = unknown_job;
        let sim = ota_sim::alibaba::start(config).await.unwrap();
        let gateway = Gateway::start(&[Section::alibaba(ALI, &sim.url())]).await;
        for suffix in ["", "/stats", "/tasks"] {
            let path = format!("{}/nope{suffix}", World::jobs_path(ALI));
            gateway.get(&path).await.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn half_of_the_calls_failing_fails_half_of_the_requests_and_no_more() {
    let world = World::small().await;
    world
        .alibaba
        .set_faults(vec![Fault::always(FaultKind::Drop).rate(0.5)]);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..40 {
        match world.gateway.get(&world.job_path(ALI)).await.status {
            200 => good += 1,
            503 => bad += 1,
            other => panic!("{other}"),
        }
    }
    assert!(good > 5 && bad > 5, "{good} good, {bad} bad");
}
