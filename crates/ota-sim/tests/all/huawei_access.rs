//! Applications, tokens and quotas.

use std::time::Duration;

use ota_sim::{Quota, Refusal, huawei};

use crate::client::{Huawei, LOGIN, OPERATIONS, REFRESH, Raw, send, tokens};

fn check_error(answer: &Raw, status: u16, code: &str) {
    let content = answer.json();
    assert_eq!(content["error_code"], code, "{content}");
    assert!(content["error_desc"].is_string());
    assert_eq!(answer.status, status, "{content}");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_takes_a_form_and_refresh_takes_json() {
    let sim = Huawei::start(|_| {}).await;
    let answer = sim.try_login().json();
    assert_eq!(answer["tokenType"], "Bearer ");
    assert_eq!(answer["expiresIn"], 3600);
    assert_eq!(answer["scope"], "default");
    let refresh = answer["refreshToken"].as_str().unwrap();

    let json = serde_json::json!({"appId": huawei::DEMO_APP_ID, "secret": huawei::DEMO_SECRET, "refreshToken": refresh});
    let form = format!(
        "appId={}&secret={}&refreshToken={refresh}",
        huawei::DEMO_APP_ID,
        huawei::DEMO_SECRET
    );
    check_error(
        &sim.post(LOGIN, "application/json", &json.to_string()),
        400,
        "102202",
    );
    check_error(
        &sim.post(REFRESH, "application/x-www-form-urlencoded", &form),
        400,
        "50400",
    );
    check_error(&sim.post(REFRESH, "application/json", "{"), 400, "50400");
    check_error(&sim.post(REFRESH, "application/json", "{}"), 400, "102202");
    assert_eq!(sim.refresh(refresh).status, 200);
    let counters = sim.server.counters();
    assert_eq!((counters.logins, counters.refreshes), (1, 1));
    assert_eq!(counters.calls_of(huawei::operation::LOGIN), 2);
    let shown = format!("{:?}", sim.server.requests());
    assert!(
        !shown.contains(huawei::DEMO_SECRET),
        "secrets are not recorded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secret_and_frozen_application_are_refused() {
    let sim = Huawei::start(|_| {}).await;
    let form = "application/x-www-form-urlencoded";
    let body = format!("appId={}&secret=x", huawei::DEMO_APP_ID);
    check_error(&sim.post(LOGIN, form, &body), 401, "100208");
    check_error(&sim.post(LOGIN, form, "appid=a&secret=b"), 400, "102202");
    check_error(&sim.refresh("nothing"), 401, "100208");
    let sim = Huawei::start(|config| config.app_frozen = true).await;
    check_error(&sim.try_login(), 400, "100247");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_token_is_valid() {
    let sim = Huawei::start(|_| {}).await;
    let (first, first_refresh) = sim.login();
    sim.ok(&first, OPERATIONS);
    let (second, second_refresh) = sim.login();
    check_error(&sim.get(&first, OPERATIONS), 403, "1010005");
    sim.ok(&second, OPERATIONS);
    check_error(&sim.refresh(&first_refresh), 401, "100208");
    let (third, third_refresh) = tokens(&sim.refresh(&second_refresh));
    check_error(&sim.get(&second, OPERATIONS), 403, "1010005");
    sim.ok(&third, OPERATIONS);

    sim.clock.advance(Duration::from_secs(3599));
    sim.ok(&third, OPERATIONS);
    sim.clock.advance(Duration::from_secs(1));
    check_error(&sim.get(&third, OPERATIONS), 403, "1010005");
    let (fourth, fourth_refresh) = tokens(&sim.refresh(&third_refresh));
    sim.ok(&fourth, OPERATIONS);
    sim.clock.advance(Duration::from_secs(24 * 3600));
    check_error(&sim.refresh(&fourth_refresh), 401, "100208");
    assert_eq!(sim.server.counters().refused_for(Refusal::Token), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_looks_alike_and_a_missing_application_does_not() {
    let sim = Huawei::start(|_| {}).await;
    let (token, _) = sim.login();
    let bearer = format!("Bearer {token}");
    let lower = format!("bearer {token}");
    let twice = format!("Bearer  {token}");
    let call = |headers: &[(&str, &str)]| {
        send(sim.server.addr(), "GET", OPERATIONS, headers, b"").unwrap()
    };
    let app = ("app_key", huawei::DEMO_APP_ID);
    for headers in [
        vec![app],
        vec![app, ("authorization", "Bearer nonsense")],
        vec![app, ("authorization", &lower)],
        vec![app, ("authorization", &twice)],
        vec![("app_key", "another"), ("authorization", &bearer)],
    ] {
        check_error(&call(&headers), 403, "1010005");
    }
    check_error(&call(&[("authorization", &bearer)]), 401, "100025");
    check_error(
        &call(&[("app-key", huawei::DEMO_APP_ID), ("authorization", &bearer)]),
        401,
        "100025",
    );
    assert_eq!(call(&[app, ("authorization", &bearer)]).status, 200);

    let sim = Huawei::start(|config| {
        config.app_key_header = "x-app-key".into();
        config.bad_token = huawei::BadToken::Unauthorized100002;
    })
    .await;
    check_error(&sim.get("x", OPERATIONS), 401, "100025");
    let headers = [("x-app-key", huawei::DEMO_APP_ID)];
    let answer = send(sim.server.addr(), "GET", OPERATIONS, &headers, b"").unwrap();
    check_error(&answer, 401, "100002");
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_is_a_hundred_calls_a_minute_for_the_application() {
    let quota = huawei::Config::default().quota;
    assert_eq!(
        quota,
        Some(Quota {
            calls: 100,
            window: Duration::from_secs(60)
        })
    );
    let sim = Huawei::start(|config| {
        config.quota = quota;
        config.fleet = ota_sim::FleetShape::uniform(1, 1);
    })
    .await;
    let (token, _) = sim.login();
    for _ in 0..99 {
        assert_eq!(sim.get(&token, &format!("{OPERATIONS}/nobody")).status, 404);
    }
    sim.ok(&token, OPERATIONS);
    check_error(&sim.get(&token, OPERATIONS), 403, "1010009");
    // Logins are not in the table of the error, so they are not counted.
    let (token, _) = sim.login();
    check_error(&sim.get(&token, OPERATIONS), 403, "1010009");
    sim.clock.advance(Duration::from_secs(60));
    sim.ok(&token, OPERATIONS);
    let counters = sim.server.counters();
    assert_eq!(counters.refused_for(Refusal::Throttled), 2);
    assert_eq!(counters.max_in_window_total, 104);
    sim.server.reset_counters();
    assert_eq!(sim.server.counters(), ota_sim::Counters::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_take_the_odd_shapes_of_the_documents() {
    let sim = Huawei::start(|config| {
        config.expires_in_as_string = true;
        config.errors_with_200 = true;
        config.null_error_code_on_success = true;
    })
    .await;
    let answer = sim.try_login().json();
    assert_eq!(answer["expiresIn"], "3600");
    assert!(answer.get("error_code").is_some() && answer["error_code"].is_null());
    check_error(&sim.get("x", OPERATIONS), 200, "1010005");
}

#[tokio::test(flavor = "multi_thread")]
async fn path_that_leads_nowhere_is_answered_with_html() {
    let sim = Huawei::start(|_| {}).await;
    let (token, _) = sim.login();
    for (path, status) in [
        ("/", 404),
        ("/iodm/northbound/v1.5.0/operations/a/b", 404),
        (LOGIN, 405),
    ] {
        let answer = sim.get(&token, path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html"));
    }
}
