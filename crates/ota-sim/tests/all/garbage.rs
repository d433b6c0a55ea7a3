//! No request hurts the server.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::client::{Alibaba, Huawei, OPERATIONS, encode, exchange, send};

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_are_answered_and_the_server_lives_on() {
    let alibaba = Alibaba::start(|_| {}).await;
    let huawei = Huawei::start(|_| {}).await;
    let (token, _) = huawei.login();
    let job = alibaba.some_job();
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    let text = || prop_oneof!["\\PC{0,20}", "-?[0-9]{1,25}", Just(String::new())];
    let strategy = (
        text(),
        text(),
        proptest::collection::vec(any::<u8>(), 0..200),
        "[ -~]{0,80}",
    );
    let run = runner.run(&strategy, |(first, second, bytes, line)| {
        let answer = alibaba.send(
            "ListOTATaskByJob",
            &[
                ("JobId", &job),
                ("CurrentPage", &first),
                ("PageSize", &second),
                ("TaskStatus", &first),
            ],
        );
        prop_assert!(answer.status < 500);
        let target = format!(
            "{OPERATIONS}?pageNo={}&pageSize={}&deviceId={}",
            encode(&first),
            encode(&second),
            encode(&first)
        );
        prop_assert!(huawei.get(&token, &target).status < 500);
        let target = format!("{OPERATIONS}/{}/subOperations", encode(&first));
        prop_assert!(huawei.get(&token, &target).status < 500);
        let header = format!("ACS3-HMAC-SHA256 {}", line.trim());
        let headers = [
            ("authorization", header.as_str()),
            ("x-acs-action", "QueryOTAJob"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        for sim in [alibaba.server.addr(), huawei.server.addr()] {
            let answer = send(sim, "POST", "/", &headers, &bytes);
            prop_assert!(answer.is_some_and(|answer| answer.status < 500));
            let mut raw = b"POST /?\xff&=&%zz=%".to_vec();
            raw.extend_from_slice(&bytes);
            raw.extend_from_slice(b"\r\n\r\n");
            exchange(sim, &raw);
        }
        let headers = [("content-type", "application/json")];
        for path in [crate::client::LOGIN, crate::client::REFRESH] {
            let answer = send(huawei.server.addr(), "POST", path, &headers, &bytes);
            prop_assert!(answer.is_some_and(|answer| answer.status < 500));
        }
        Ok(())
    });
    run.unwrap();
    alibaba.ok("QueryOTAJob", &[("JobId", &job)]);
}
