//! Every kind of misbehaviour.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ota_sim::{Fault, FaultKind, FleetShape, Refusal, huawei};

use crate::client::{Alibaba, Huawei, OPERATIONS, exchange, parse, send};

async fn alibaba(fault: Fault) -> (Alibaba, String) {
    let sim = Alibaba::start(|config| config.fleet = FleetShape::uniform(2, 150).frozen()).await;
    let job = sim.some_job();
    sim.server.set_faults(vec![fault]);
    (sim, job)
}

fn list(sim: &Alibaba, job: &str) -> crate::client::Raw {
    sim.send(
        "ListOTATaskByJob",
        &[("JobId", job), ("PageSize", "10"), ("CurrentPage", "2")],
    )
}

async fn huawei(fault: Fault) -> (Huawei, String) {
    let sim = Huawei::start(|config| config.fleet = FleetShape::uniform(30, 5).frozen()).await;
    let (token, _) = sim.login();
    sim.server.set_faults(vec![fault]);
    (sim, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_in_the_words_of_the_vendor() {
    for (kind, status, code) in [
        (FaultKind::Throttle, 400, "Throttling.User"),
        (FaultKind::GatewayError, 503, "ServiceUnavailable"),
        (FaultKind::ProductError, 200, "iot.system.SystemException"),
        (FaultKind::EchoSignature, 400, "SignatureDoesNotMatch"),
    ] {
        let (sim, job) = alibaba(Fault::once(kind)).await;
        let answer = list(&sim, &job);
        assert_eq!(
            (answer.status, answer.json()["Code"].as_str()),
            (status, Some(code))
        );
        assert_eq!(list(&sim, &job).status, 200, "{kind:?} was for one call");
        assert_eq!(sim.server.counters().faults_of(kind), 1);
    }
    for (kind, status, code) in [
        (FaultKind::Throttle, 403, "1010009"),
        (FaultKind::GatewayError, 500, "50252"),
        (FaultKind::ProductError, 200, "100203"),
        (FaultKind::TokenExpired, 403, "1010005"),
    ] {
        let (sim, token) = huawei(Fault::once(kind)).await;
        let answer = sim.get(&token, OPERATIONS);
        assert_eq!(
            (answer.status, answer.json()["error_code"].as_str()),
            (status, Some(code))
        );
        sim.ok(&token, OPERATIONS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn echo_shows_key_id_and_security_token() {
    let token = "sts-token";
    let sim = Alibaba::start(|config| config.security_token = Some(token.into())).await;
    sim.server
        .set_faults(vec![Fault::always(FaultKind::EchoSignature)]);
    let v3 = [
        ("accept", "application/json"),
        ("x-acs-accesskey-id", "demo-access-key-id"),
        ("x-acs-security-token", token),
    ];
    for answer in [
        sim.send("QueryOTAJob", &[("SecurityToken", token)]),
        sim.acs3("POST", "QueryOTAJob", &[], &v3, false, |_| {}),
    ] {
        let message = answer.json()["Message"].as_str().unwrap().to_owned();
        assert!(
            message.contains(token) && message.contains("demo-access-key-id"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_answers_do_not_come_from_the_vendor() {
    let (sim, job) = alibaba(Fault::always(FaultKind::Html502)).await;
    let answer = list(&sim, &job);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (502, Some("text/html"))
    );
    assert!(answer.text().contains("<html>"));

    sim.server
        .set_faults(vec![Fault::always(FaultKind::Html200)]);
    let answer = list(&sim, &job);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html"))
    );

    sim.server.set_faults(vec![
        Fault::always(FaultKind::Redirect).location("http://example.invalid/"),
    ]);
    let answer = list(&sim, &job);
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("http://example.invalid/"))
    );

    sim.server
        .set_faults(vec![Fault::always(FaultKind::Xml4xx)]);
    let answer = list(&sim, &job);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (400, Some("text/xml;charset=utf-8"))
    );
    assert!(answer.text().contains("<Error>"));

    let (sim, token) = huawei(Fault::always(FaultKind::Xml4xx)).await;
    assert!(sim.get(&token, OPERATIONS).text().starts_with("<?xml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_cut_in_each_way() {
    let (sim, job) = alibaba(Fault::always(FaultKind::CutBody)).await;
    let answer = list(&sim, &job);
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), announced / 2, "half of the body arrives");

    sim.server
        .set_faults(vec![Fault::always(FaultKind::CutJson)]);
    let answer = list(&sim, &job);
    assert!(answer.is_complete());
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());

    sim.server
        .set_faults(vec![Fault::always(FaultKind::EmptyBody)]);
    let answer = list(&sim, &job);
    assert_eq!((answer.status, answer.body.len()), (200, 0));

    sim.server
        .set_faults(vec![Fault::always(FaultKind::WrongContentType)]);
    let answer = list(&sim, &job);
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.json()["Success"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_body_has_the_announced_size() {
    let (sim, job) = alibaba(Fault::always(FaultKind::HugeBody).size(3_000_001)).await;
    let answer = list(&sim, &job);
    assert!(answer.is_complete());
    assert_eq!(answer.body.len(), 3_000_001);
    sim.server
        .set_faults(vec![Fault::always(FaultKind::HugeBody).size(0)]);
    assert_eq!(list(&sim, &job).body.len(), 0);

    sim.server
        .set_faults(vec![Fault::always(FaultKind::HugeBody)]);
    let mut stream = TcpStream::connect(sim.server.addr()).unwrap();
    stream
        .write_all(b"GET /?Action=QueryOTAJob HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut start = vec![0; 4096];
    stream.read_exact(&mut start).unwrap();
    let head = parse(&start).unwrap();
    assert_eq!(head.header("content-length"), Some("100000000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connection_has_no_answer() {
    let (sim, job) = alibaba(Fault::once(FaultKind::Drop)).await;
    let target = format!(
        "/?{}",
        sim.signed("GET", sim.params("QueryOTAJob", &[("JobId", &job)]))
    );
    assert!(send(sim.server.addr(), "GET", &target, &[], b"").is_none());
    assert_eq!(
        sim.get(&target[2..]).status,
        200,
        "the dropped call used no nonce"
    );
    assert_eq!(sim.server.counters().calls_of("QueryOTAJob"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_call_is_never_answered_and_holds_nobody_up() {
    let (sim, job) = alibaba(Fault::once(FaultKind::Hang)).await;
    let mut stream = TcpStream::connect(sim.server.addr()).unwrap();
    stream
        .write_all(b"GET /?Action=QueryOTAJob HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    while sim.server.counters().faults_of(FaultKind::Hang) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(list(&sim, &job).status, 200);
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let waited = stream.read(&mut [0; 16]).unwrap_err();
    assert!(matches!(
        waited.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    ));
    let addr = sim.server.addr();
    drop(sim);
    // The end of the server ends the connection, too.
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert!(
        matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)),
        "{addr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_answer_is_a_good_one() {
    let (sim, job) = alibaba(Fault::once(FaultKind::Delay).delay(Duration::from_millis(30))).await;
    let answer = list(&sim, &job);
    assert_eq!(answer.json()["Success"], true);
    assert_eq!(sim.server.counters().faults_of(FaultKind::Delay), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_surprise() {
    let (sim, job) = alibaba(Fault::always(FaultKind::UnknownStatus)).await;
    let rows = |sim: &Alibaba| {
        list(sim, &job).json()["Data"]["SimpleOTATaskInfo"]
            .as_array()
            .unwrap()
            .clone()
    };
    let good = {
        sim.server.set_faults(Vec::new());
        rows(&sim)
    };
    for (kind, field) in [
        (FaultKind::UnknownStatus, "TaskStatus"),
        (FaultKind::BadDate, "UtcCreate"),
    ] {
        sim.server.set_faults(vec![Fault::always(kind)]);
        let bad = rows(&sim);
        assert_ne!(bad[0][field], good[0][field]);
        assert_eq!(bad[1..], good[1..]);
    }
    sim.server
        .set_faults(vec![Fault::always(FaultKind::UnknownField)]);
    assert!(rows(&sim).iter().all(|row| row["RolloutRing"].is_string()));

    let (sim, token) = huawei(Fault::always(FaultKind::UnknownStatus)).await;
    let status = sim.ok(&token, OPERATIONS)["data"][0]["status"].clone();
    assert_eq!(status, "ROLLED_BACK");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_page_is_repeated() {
    let (sim, job) = alibaba(Fault::always(FaultKind::RepeatPage)).await;
    let page = |number: &str| {
        let answer = sim.ok(
            "ListOTATaskByJob",
            &[("JobId", &job), ("CurrentPage", number)],
        );
        assert_eq!(answer["CurrentPage"].to_string(), number);
        answer["Data"].clone()
    };
    assert_eq!(page("1"), page("7"));

    let (sim, token) = huawei(Fault::always(FaultKind::RepeatPage)).await;
    let page = |number: u32| {
        sim.ok(&token, &format!("{OPERATIONS}?pageNo={number}&pageSize=10"))["data"].clone()
    };
    assert_eq!(page(0), page(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_hits_only_its_operation() {
    let fault = Fault::always(FaultKind::Throttle).on(huawei::operation::LOGIN);
    let (sim, token) = huawei(fault).await;
    sim.ok(&token, OPERATIONS);
    assert_eq!(sim.try_login().json()["error_code"], "1010009");
    assert_eq!(sim.server.counters().refused_for(Refusal::Throttled), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_is_a_share_of_the_calls() {
    let (sim, job) = alibaba(Fault::always(FaultKind::Throttle).rate(0.25)).await;
    let refused = (0..200).filter(|_| list(&sim, &job).status == 400).count();
    assert!((30..=70).contains(&refused), "{refused} of 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_above_a_mebibyte_is_refused() {
    let sim = Alibaba::start(|_| {}).await;
    let mut request =
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2000000\r\n\r\n"
            .to_vec();
    request.resize(request.len() + 2_000_000, b'a');
    if let Some(answer) = exchange(sim.server.addr(), &request) {
        assert_eq!(answer.status, 413);
    }
    assert_eq!(
        sim.send("QueryOTAJob", &[("JobId", &sim.some_job())])
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_repeat_the_request_with_its_credentials() {
    let (sim, job) = alibaba(Fault::once(FaultKind::EchoRequest)).await;
    let text = list(&sim, &job).text();
    for part in ["AccessKeyId", "Signature=", "host: ", job.as_str()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (sim, token) = huawei(Fault::once(FaultKind::EchoRequest)).await;
    let answer = sim.get(&token, OPERATIONS);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains(&token), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_the_first_row_are_null() {
    let (sim, token) = huawei(Fault::always(FaultKind::NullObject)).await;
    let page = sim.ok(&token, &format!("{OPERATIONS}?pageNo=0&pageSize=2"));
    for field in ["targets", "staResult"] {
        assert!(page["data"][0][field].is_null(), "{page}");
        assert!(page["data"][1][field].is_object(), "{page}");
    }
    assert!(page["data"][0]["operationId"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn later_pages_begin_early_and_orders_turn_around() {
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap();
        let id = |row: &serde_json::Value| row["operationId"].as_str().unwrap().to_owned();
        rows.iter().map(id).collect()
    };
    let (sim, token) = huawei(Fault::always(FaultKind::MovedPage)).await;
    let page = |number: u32| {
        let target = format!("{OPERATIONS}?pageNo={number}&pageSize=10");
        ids(&sim.ok(&token, &target))
    };
    assert_eq!(page(0).last(), page(1).first());
    sim.server
        .set_faults(vec![Fault::always(FaultKind::UnstableOrder)]);
    let (one, mut other) = (page(0), page(0));
    assert_ne!(one, other);
    other.reverse();
    assert_eq!(one, other);
}
