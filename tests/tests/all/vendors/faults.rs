//! Faults that all vendors have in common.

use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::vendors::{alibaba_sim, huawei_sim};
use ota_tests::wire::Reply;
use ota_tests::{Gateway, Section};
use serde_json::Value;

use crate::setup::{ALI, HUA, World};

/// The answer that a fault must get.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// A problem: status, code.
    Problem(u16, &'static str),
    /// The answer all the same.
    Good,
}

pub(crate) const PROTOCOL: Expected = Expected::Problem(502, "provider_protocol");
pub(crate) const AUTH: Expected = Expected::Problem(502, "provider_auth");
pub(crate) const MISCONFIGURED: Expected = Expected::Problem(502, "provider_misconfigured");
pub(crate) const UNAVAILABLE: Expected = Expected::Problem(503, "provider_unavailable");
pub(crate) const THROTTLED: Expected = Expected::Problem(503, "provider_throttled");
pub(crate) const TIMEOUT: Expected = Expected::Problem(504, "provider_timeout");

/// Every path that asks a vendor.
pub(crate) fn paths(world: &World, provider: &str) -> Vec<String> {
    let job = world.job_path(provider);
    vec![
        World::jobs_path(provider),
        job.clone(),
        format!("{job}/stats"),
        format!("{job}/tasks"),
        format!("{job}/tasks?status=failed"),
    ]
}

pub(crate) fn is(reply: &Reply, provider: &str, expected: Expected) {
    match expected {
        Expected::Good => {
            reply.ok();
        }
        Expected::Problem(status, code) => {
            let problem = reply.problem(status, code);
            assert_eq!(problem["provider"], provider);
            let waits = reply.header("retry-after");
            assert_eq!(waits.is_some(), status == 503, "{}", reply.shown());
            assert!(waits.is_none_or(|seconds| {
                seconds
                    .parse::<u64>()
                    .is_ok_and(|wait| (1..=3600).contains(&wait))
            }));
            is_public(&problem);
        }
    }
}

/// A problem tells what happened without showing how the gateway is built or what it sent.
pub(crate) fn is_public(problem: &Value) {
    let text = problem.to_string();
    for inside in [
        "http://",
        "127.0.0.1",
        "reqwest",
        "hyper",
        "serde",
        "src/",
        "panicked",
        "AccessKeyId=",
        "LTAI",
    ] {
        assert!(!text.contains(inside), "`{inside}` in {text}");
    }
    assert!(text.len() < 2000, "{text}");
}

/// Sets one fault, asks every path, takes the fault away and asks again.
pub(crate) async fn fault(world: &World, provider: &str, fault: Fault, expected: Expected) {
    for path in paths(world, provider) {
        fault_on(world, provider, &path, &fault, expected).await;
    }
}

/// As [`fault`], for one path.
pub(crate) async fn fault_on(
    world: &World,
    provider: &str,
    path: &str,
    fault: &Fault,
    expected: Expected,
) {
    let sim = world.sim(provider);
    sim.set_faults(vec![fault.clone()]);
    let reply = world.gateway.get(path).await;
    is(&reply, provider, expected);
    sim.set_faults(Vec::new());
    world.gateway.get(path).await.ok();
    assert!(
        sim.counters().faults_of(fault.kind) > 0,
        "{fault:?} was never injected"
    );
}

/// The faults that look the same at every vendor.
pub(crate) async fn common(world: &World, provider: &str) {
    for (kind, expected) in [
        (FaultKind::Html200, PROTOCOL),
        (FaultKind::Html502, UNAVAILABLE),
        (FaultKind::CutJson, PROTOCOL),
        (FaultKind::CutBody, UNAVAILABLE),
        (FaultKind::EmptyBody, PROTOCOL),
        (FaultKind::HugeBody, PROTOCOL),
        (FaultKind::WrongContentType, Expected::Good),
        (FaultKind::GatewayError, UNAVAILABLE),
        (FaultKind::Drop, UNAVAILABLE),
        (FaultKind::Throttle, THROTTLED),
        (FaultKind::Redirect, PROTOCOL),
        (FaultKind::Foreign404, PROTOCOL),
    ] {
        fault(world, provider, Fault::always(kind), expected).await;
    }
}

/// A row that cannot be understood whole arrives as far as it can, and the rest of its page with it.
pub(crate) async fn odd_rows(world: &World, provider: &str, date: &str) {
    let sim = world.sim(provider);
    for path in [
        World::jobs_path(provider),
        format!("{}/tasks?page_size=30", world.job_path(provider)),
    ] {
        sim.set_faults(Vec::new());
        let plain = world.gateway.get(&path).await.ok();
        let plain = plain["items"].as_array().unwrap().clone();
        // The list of jobs of one vendor is composed from several lists, each with a first row.
        let changed = async |kind: FaultKind| -> Vec<(Value, Value)> {
            sim.set_faults(vec![Fault::always(kind)]);
            let page = world.gateway.get(&path).await.ok();
            sim.set_faults(Vec::new());
            let rows = page["items"].as_array().unwrap().clone();
            assert_eq!(rows.len(), plain.len(), "{kind:?} {path}");
            let pairs = plain.iter().cloned().zip(rows);
            pairs.filter(|(before, after)| before != after).collect()
        };
        let rows = changed(FaultKind::UnknownStatus).await;
        assert!(!rows.is_empty(), "{path}");
        for (before, after) in rows {
            assert_eq!(
                (&before["id"], &after["status"]),
                (&after["id"], &"unknown".into())
            );
            assert_eq!(after["vendor"]["status"], "ROLLED_BACK");
            assert!(after.get("outcome").is_none() && after.get("failure").is_none());
        }
        let rows = changed(FaultKind::BadDate).await;
        assert!(!rows.is_empty(), "{path}");
        for (mut before, mut after) in rows {
            assert!(before["created_at"].is_string() && after.get("created_at").is_none());
            assert_eq!(after["vendor"]["fields"][date], "2019-13-45T25:61:00.000Z");
            // Nothing else is different.
            for row in [&mut before, &mut after] {
                row.as_object_mut().unwrap().remove("created_at");
                if let Some(fields) = row["vendor"].as_object_mut() {
                    let empty = fields
                        .get_mut("fields")
                        .and_then(Value::as_object_mut)
                        .is_some_and(|fields| {
                            fields.remove(date);
                            fields.is_empty()
                        });
                    if empty {
                        fields.remove("fields");
                    }
                }
            }
            assert_eq!(before, after);
        }
        let rows = changed(FaultKind::UnknownField).await;
        assert_eq!(rows.len(), plain.len(), "{path}");
        for (_, after) in rows {
            assert_eq!(
                after["vendor"]["fields"]["RolloutRing"],
                "added by the vendor"
            );
        }
    }
}

/// The kinds of trouble that can be over with the next call.
const PASSING: [FaultKind; 12] = [
    FaultKind::Throttle,
    FaultKind::GatewayError,
    FaultKind::Html200,
    FaultKind::Html502,
    FaultKind::CutBody,
    FaultKind::CutJson,
    FaultKind::EmptyBody,
    FaultKind::HugeBody,
    FaultKind::WrongContentType,
    FaultKind::Drop,
    FaultKind::Redirect,
    FaultKind::TokenExpired,
];

#[tokio::test]
async fn trouble_that_is_over_with_the_next_call_fails_no_request() {
    let fleet = FleetShape::uniform(1, 5).frozen();
    let (ali, hua) = (alibaba_sim(fleet.clone()).await, huawei_sim(fleet).await);
    let gateway = Gateway::start(&[
        Section::alibaba(ALI, &ali.url()).limit("max_attempts = 2"),
        Section::huawei(HUA, &hua.url()).limit("max_attempts = 2"),
    ])
    .await;
    for (provider, sim) in [(ALI, &ali), (HUA, &hua)] {
        let path = format!("{}/{}", World::jobs_path(provider), sim.fleet().jobs[0].id);
        let plain = gateway.get(&path).await.ok();
        // Only one of the vendors has tokens.
        let has = |kind| provider == HUA || kind != FaultKind::TokenExpired;
        for kind in PASSING.into_iter().filter(|kind| has(*kind)) {
            sim.set_faults(vec![Fault::once(kind)]);
            let answer = gateway.get(&path).await.ok();
            assert_eq!(answer, plain, "{provider} {kind:?}");
            assert_eq!(sim.counters().faults_of(kind), 1, "{provider} {kind:?}");
        }
    }
}
