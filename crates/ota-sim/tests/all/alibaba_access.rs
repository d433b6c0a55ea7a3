//! Who may call: signatures, time stamps, nonces, keys, quotas, formats.

use std::time::Duration;

use ota_sim::{Quota, Refusal, alibaba};
use quick_xml::events::Event;
use serde_json::Value;

use crate::client::{Alibaba, Raw, encode, send};

type Headers = Vec<(String, String)>;

/// Checks an error of the gateway in JSON.
fn check_gateway(answer: &Raw, status: u16, code: &str) {
    let content = answer.json();
    assert_eq!(content["Code"], code, "{content}");
    assert_eq!(answer.status, status, "{content}");
    for field in ["RequestId", "HostId", "Message", "Recommend"] {
        assert!(content[field].is_string(), "{field} in {content}");
    }
    assert_eq!(
        answer.header("x-acs-request-id"),
        content["RequestId"].as_str()
    );
    assert!(content.get("Success").is_none());
}

/// Reads an XML answer into pairs of path and text.
fn elements(answer: &Raw) -> Vec<(String, String)> {
    assert_eq!(
        answer.header("content-type"),
        Some("text/xml;charset=utf-8")
    );
    let text = answer.text();
    let mut reader = quick_xml::Reader::from_str(&text);
    let (mut path, mut found, mut current) = (Vec::new(), Vec::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                path.push(start.name().as_ref().to_owned());
                current.clear();
            }
            Event::End(_) => {
                found.push((path.join("/"), current.clone()));
                path.pop();
            }
            Event::Text(text) => current += &text,
            Event::CData(text) => current += &text,
            Event::GeneralRef(name) => {
                current += match &*name {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    other => panic!("unexpected reference {other}"),
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    found
}

fn value<'a>(elements: &'a [(String, String)], path: &str) -> &'a str {
    let found = elements.iter().find(|(one, _)| one == path);
    &found
        .unwrap_or_else(|| panic!("no {path} in {elements:?}"))
        .1
}

#[tokio::test(flavor = "multi_thread")]
async fn every_vector_of_a_served_operation_is_accepted_over_the_wire() {
    let text = include_str!("../fixtures/alibaba-signature-vectors.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let mut accepted = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let input = &vector["input"];
        let pairs = |value: &Value| -> Vec<(String, String)> {
            value.as_object().map_or_else(Vec::new, |object| {
                object
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                    .collect()
            })
        };
        let params = pairs(&input["params"]);
        let headers = pairs(&input["headers"]);
        let find = |list: &[(String, String)], name: &str| {
            list.iter()
                .find(|(one, _)| one.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        let action = find(&params, "Action").or_else(|| find(&headers, "x-acs-action"));
        const SERVED: [&str; 5] = [
            "QueryOTAJob",
            "ListOTATaskByJob",
            "ListOTAJobByFirmware",
            "ListOTAJobByDevice",
            "ListOTAFirmware",
        ];
        if action.is_none_or(|action| !SERVED.contains(&action.as_str())) {
            continue;
        }
        let key_id = find(&params, "AccessKeyId")
            .or_else(|| Some(input["access_key_id"].as_str()?.to_owned()))
            .unwrap();
        let at = find(&params, "Timestamp")
            .or_else(|| find(&headers, "x-acs-date"))
            .unwrap();
        let at = time::OffsetDateTime::parse(&at, &time::format_description::well_known::Rfc3339)
            .unwrap();
        let token =
            find(&params, "SecurityToken").or_else(|| find(&headers, "x-acs-security-token"));
        let sim = Alibaba::start(|config| {
            config.clock = ota_sim::Clock::manual(at);
            config.access_key_id = key_id;
            config.access_key_secret = input["access_key_secret"].as_str().unwrap().to_owned();
            config.security_token = token;
        })
        .await;

        let join = |list: &[(String, String)]| {
            let pairs: Vec<_> = list
                .iter()
                .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
                .collect();
            pairs.join("&")
        };
        let mut sent = headers;
        let (target, body) = if sent.is_empty() {
            let in_form: Vec<&str> = input["params_sent_in_form_body"]
                .as_array()
                .map_or_else(Vec::new, |names| {
                    names.iter().filter_map(Value::as_str).collect()
                });
            let (mut form, mut query): (Vec<_>, Vec<_>) = params
                .into_iter()
                .partition(|(name, _)| in_form.contains(&name.as_str()));
            query.push((
                "Signature".into(),
                vector["signature"].as_str().unwrap().into(),
            ));
            let target = match vector["wire"]["request_target"].as_str() {
                Some(target) => target.to_owned(),
                None => format!("/?{}", join(&query)),
            };
            form.sort();
            if !form.is_empty() {
                let kind = "application/x-www-form-urlencoded";
                sent.push(("content-type".into(), kind.into()));
            }
            (target, join(&form))
        } else {
            let authorization = vector["authorization"].as_str().unwrap();
            sent.push(("authorization".into(), authorization.into()));
            let query = pairs(&input["query"]);
            let target = match vector["wire"]["request_target"].as_str() {
                Some(target) => target.to_owned(),
                None if query.is_empty() => "/".to_owned(),
                None => format!("/?{}", join(&query)),
            };
            (
                target,
                input["body"].as_str().unwrap_or_default().to_owned(),
            )
        };
        let sent: Vec<_> = sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let method = input["http_method"].as_str().unwrap();
        let answer = send(sim.server.addr(), method, &target, &sent, body.as_bytes()).unwrap();
        let counters = sim.server.counters();
        for reason in [
            Refusal::Signature,
            Refusal::Clock,
            Refusal::Credential,
            Refusal::Request,
        ] {
            let text = answer.text();
            assert_eq!(counters.refused_for(reason), 0, "{}: {text}", vector["id"]);
        }
        accepted += 1;
    }
    assert_eq!(accepted, 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_schemes_and_both_methods_are_accepted() {
    let sim = Alibaba::start(|_| {}).await;
    let job = sim.some_job();
    let own = [("JobId", job.as_str()), ("DeviceNames.1", "设 备+1")];
    assert_eq!(sim.ok("ListOTATaskByJob", &own)["Total"], 0);
    for method in ["GET", "POST"] {
        for form in [false, true] {
            if method == "GET" && form {
                continue;
            }
            let accept = [("accept", "application/json"), ("user-agent", "sdk")];
            let answer = sim.acs3(method, "ListOTATaskByJob", &own, &accept, form, |_| {});
            assert_eq!(answer.json()["Success"], true, "{method} {form}");
        }
    }
    let body = sim.signed("POST", sim.params("QueryOTAJob", &own[..1]));
    let form = [(
        "content-type",
        "application/x-www-form-urlencoded; charset=UTF-8",
    )];
    let answer = send(sim.server.addr(), "POST", "/", &form, body.as_bytes()).unwrap();
    assert_eq!(answer.json()["Success"], true);
    assert_eq!(sim.server.counters().total_refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signature_is_refused_with_the_string_to_sign() {
    let mut sim = Alibaba::start(|_| {}).await;
    sim.secret = "another".to_owned();
    let answer = sim.send("QueryOTAJob", &[("JobId", "a b")]);
    check_gateway(&answer, 400, "SignatureDoesNotMatch");
    let message = answer.json()["Message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("server string to sign is:GET&%2F&AccessKeyId%3Ddemo-access-key-id"),
        "{message}"
    );
    let answer = sim.acs3(
        "POST",
        "QueryOTAJob",
        &[("JobId", "a")],
        &[("accept", "application/json")],
        false,
        |_| {},
    );
    check_gateway(&answer, 400, "SignatureDoesNotMatch");
    assert_eq!(sim.server.counters().refused_for(Refusal::Signature), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_signature_covers_what_it_must() {
    let sim = Alibaba::start(|_| {}).await;
    let json = [("accept", "application/json")];
    let call = |spoil: &dyn Fn(&mut Headers)| {
        sim.acs3(
            "POST",
            "QueryOTAJob",
            &[("JobId", "a")],
            &json,
            false,
            |headers| spoil(headers),
        )
    };
    let added = call(&|headers| headers.push(("x-acs-new".into(), "unsigned".into())));
    check_gateway(&added, 400, "IncompleteSignature");
    let retried = call(&|headers| headers.push(("x-acs-retry-attempts".into(), "1".into())));
    assert_eq!(retried.status, 200, "{}", retried.text());
    let damaged = call(&|headers| {
        for (name, value) in headers.iter_mut() {
            if name == "authorization" {
                *value = value.replace(",Signature=", ",Sig=");
            }
        }
    });
    check_gateway(&damaged, 400, "IncompleteSignature");
    let changed = call(&|headers| {
        for (name, value) in headers.iter_mut() {
            if name == "accept" {
                *value = "application/json, */*".into();
            }
        }
    });
    check_gateway(&changed, 400, "SignatureDoesNotMatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_stamp_outside_the_window_is_refused() {
    let sim = Alibaba::start(|_| {}).await;
    let job = sim.some_job();
    let query = sim.signed("GET", sim.params("QueryOTAJob", &[("JobId", &job)]));
    sim.clock.advance(Duration::from_secs(15 * 60 + 1));
    check_gateway(&sim.get(&query), 400, "InvalidTimeStamp.Expired");

    let mut params = sim.params("QueryOTAJob", &[("JobId", &job)]);
    for (name, value) in &mut params {
        if name == "Timestamp" {
            *value = value.replace('Z', ".000Z");
        }
    }
    check_gateway(
        &sim.get(&sim.signed("GET", params)),
        400,
        "InvalidTimeStamp.Format",
    );
    assert_eq!(sim.server.counters().refused_for(Refusal::Clock), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_that_is_off_shows_in_the_date_header() {
    let sim = Alibaba::start(|config| config.clock_offset = time::Duration::hours(1)).await;
    let answer = sim.send("QueryOTAJob", &[("JobId", &sim.some_job())]);
    check_gateway(&answer, 400, "InvalidTimeStamp.Expired");
    assert_eq!(answer.header("date"), Some("Mon, 06 May 2024 08:08:09 GMT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonce_is_good_for_one_call() {
    let sim = Alibaba::start(|_| {}).await;
    let query = sim.signed(
        "GET",
        sim.params("QueryOTAJob", &[("JobId", &sim.some_job())]),
    );
    assert_eq!(sim.get(&query).status, 200);
    check_gateway(&sim.get(&query), 400, "SignatureNonceUsed");
    assert_eq!(sim.server.counters().refused_for(Refusal::Nonce), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_come_in_the_documented_order() {
    let sim = Alibaba::start(|_| {}).await;
    let without = |names: &[&str]| {
        let mut params = sim.params("QueryOTAJob", &[]);
        params.retain(|(name, _)| !names.contains(&name.as_str()));
        sim.get(&sim.signed("GET", params))
    };
    let change = |changes: &[(&str, &str)]| {
        let mut params = sim.params("QueryOTAJob", &[]);
        for (name, value) in &mut params {
            if let Some((_, new)) = changes.iter().find(|(one, _)| one == name) {
                *value = (*new).to_owned();
            }
        }
        sim.get(&sim.signed("GET", params))
    };
    check_gateway(
        &change(&[("Action", "Fly"), ("Version", "1")]),
        404,
        "InvalidAction.NotFound",
    );
    check_gateway(&without(&["Action"]), 400, "MissingAction");
    check_gateway(&without(&["Version"]), 400, "MissingVersion");
    check_gateway(
        &change(&[("Version", "1"), ("AccessKeyId", "x")]),
        400,
        "InvalidVersion",
    );
    check_gateway(&without(&["AccessKeyId"]), 400, "MissingAccessKeyId");
    check_gateway(&without(&["SignatureNonce"]), 400, "MissingSignatureNonce");
    check_gateway(&without(&["Timestamp"]), 400, "MissingTimestamp");
    check_gateway(
        &change(&[("SignatureMethod", "MD5")]),
        400,
        "InvalidSignatureMethod",
    );
    check_gateway(
        &change(&[("AccessKeyId", "x"), ("Timestamp", "never")]),
        404,
        "InvalidAccessKeyId.NotFound",
    );
    check_gateway(&without(&[]), 400, "MissingJobId");
    let answer = send(
        sim.server.addr(),
        "DELETE",
        "/?Action=QueryOTAJob&Format=json",
        &[],
        b"",
    );
    check_gateway(&answer.unwrap(), 403, "UnsupportedHTTPMethod");
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_credentials_need_their_token() {
    let sim = Alibaba::start(|config| config.security_token = Some("token/1==".into())).await;
    let job = sim.some_job();
    let missing = sim.send("QueryOTAJob", &[("JobId", &job)]);
    check_gateway(&missing, 400, "MissingSecurityToken");
    let wrong = sim.send("QueryOTAJob", &[("JobId", &job), ("SecurityToken", "x")]);
    check_gateway(&wrong, 400, "InvalidSecurityToken.MismatchWithAccessKey");
    sim.ok(
        "QueryOTAJob",
        &[("JobId", &job), ("SecurityToken", "token/1==")],
    );
    let headers = [
        ("accept", "application/json"),
        ("x-acs-security-token", "token/1=="),
    ];
    let answer = sim.acs3(
        "POST",
        "QueryOTAJob",
        &[("JobId", &job)],
        &headers,
        false,
        |_| {},
    );
    assert_eq!(answer.json()["Success"], true);
    let shown = format!("{:?}", sim.server.requests());
    assert!(
        !shown.contains("SecurityToken\", \"token"),
        "tokens are not recorded as parameters"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_id_is_mandatory_or_forbidden() {
    let sim = Alibaba::start(|config| config.instance_id = Some("iot-cn-1".into())).await;
    let job = sim.some_job();
    for own in [
        vec![("JobId", job.as_str())],
        vec![("JobId", job.as_str()), ("IotInstanceId", "x")],
    ] {
        let answer = sim.send("QueryOTAJob", &own);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["Code"], "iot.system.InstanceNotFound");
    }
    sim.ok(
        "QueryOTAJob",
        &[("JobId", &job), ("IotInstanceId", "iot-cn-1")],
    );

    let sim = Alibaba::start(|_| {}).await;
    let answer = sim.send(
        "QueryOTAJob",
        &[("JobId", &job), ("IotInstanceId", "iot-cn-1")],
    );
    assert_eq!(answer.json()["Code"], "iot.system.InstanceNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn eleventh_call_in_one_second_is_throttled_per_operation() {
    let quota = alibaba::Config::default().quota;
    assert_eq!(
        quota,
        Some(Quota {
            calls: 10,
            window: Duration::from_secs(1)
        })
    );
    let sim = Alibaba::start(|config| {
        config.quota = quota;
        config.throttle_style.retry_after_ms = Some(700);
    })
    .await;
    let job = sim.some_job();
    let call = || sim.send("QueryOTAJob", &[("JobId", &job)]);
    for _ in 0..10 {
        assert_eq!(call().status, 200);
    }
    let refused = call();
    check_gateway(&refused, 400, "Throttling.User");
    assert_eq!(refused.header("x-acs-retry-after"), Some("700"));
    sim.ok("ListOTATaskByJob", &[("JobId", &job)]);
    sim.clock.advance(Duration::from_millis(999));
    check_gateway(&call(), 400, "Throttling.User");
    sim.clock.advance(Duration::from_millis(1));
    assert_eq!(call().status, 200);

    let counters = sim.server.counters();
    assert_eq!(counters.refused_for(Refusal::Throttled), 2);
    assert_eq!(counters.calls_of("QueryOTAJob"), 13);
    assert_eq!(counters.answered["QueryOTAJob"], 11);
    assert_eq!(counters.max_in_window_of("QueryOTAJob"), 12);
    assert_eq!(counters.max_in_window_total, 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_package_may_be_asked_for_twice_as_often() {
    let sim = Alibaba::start(|config| config.quota = alibaba::Config::default().quota).await;
    let unknown = [("FirmwareId", "no-such-package")];
    for number in 0..20 {
        let answer = sim.send("QueryOTAFirmware", &unknown);
        assert_eq!(answer.status, 200, "call {number}");
    }
    let refused = sim.send("QueryOTAFirmware", &unknown);
    check_gateway(&refused, 400, "Throttling.User");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_takes_the_status_that_is_configured() {
    for (style, status) in [
        (alibaba::ThrottleStatus::TooManyRequests, 429),
        (alibaba::ThrottleStatus::ServiceUnavailable, 503),
    ] {
        let sim = Alibaba::start(|config| {
            config.quota = Some(Quota {
                calls: 0,
                window: Duration::from_secs(1),
            });
            config.throttle_style.status = style;
        })
        .await;
        let answer = sim.send("QueryOTAJob", &[("JobId", "a")]);
        check_gateway(&answer, status, "Throttling.User");
        assert_eq!(answer.header("x-acs-retry-after"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_is_the_default_for_answers_and_both_errors() {
    let sim = Alibaba::start(|_| {}).await;
    let xml = |action: &str, own: &[(&str, &str)]| {
        let mut params = sim.params(action, own);
        params.retain(|(name, _)| name != "Format");
        sim.get(&sim.signed("GET", params))
    };
    let fleet = sim.server.fleet();
    let job = fleet.jobs.iter().find(|job| job.total == 150).unwrap();

    let good = elements(&xml(
        "ListOTATaskByJob",
        &[("JobId", &job.id), ("PageSize", "2")],
    ));
    assert_eq!(value(&good, "ListOTATaskByJobResponse/Total"), "150");
    assert_eq!(value(&good, "ListOTATaskByJobResponse/Success"), "true");
    let row = "ListOTATaskByJobResponse/Data/SimpleOTATaskInfo";
    assert_eq!(good.iter().filter(|(path, _)| path == row).count(), 2);
    assert_eq!(
        value(&good, &format!("{row}/ProductName")),
        "智能水表 <NB-IoT> & 网关"
    );

    let product = xml("QueryOTAJob", &[("JobId", "nobody")]);
    assert_eq!(product.status, 200);
    let product = elements(&product);
    assert_eq!(value(&product, "QueryOTAJobResponse/Success"), "false");
    assert_eq!(
        value(&product, "QueryOTAJobResponse/Code"),
        "iot.ota.JobNotFound"
    );
    assert!(
        product
            .iter()
            .all(|(path, _)| path != "QueryOTAJobResponse/Data")
    );

    let gateway = xml("QueryOTAJob", &[]);
    assert_eq!(gateway.status, 400);
    let gateway = elements(&gateway);
    assert_eq!(value(&gateway, "Error/Code"), "MissingJobId");
    assert!(value(&gateway, "Error/Recommend").contains("?q=MissingJobId&product=Iot"));

    // V3 without `accept` is XML, too.
    let v3 = sim.acs3(
        "POST",
        "QueryOTAJob",
        &[("JobId", &job.id)],
        &[],
        false,
        |_| {},
    );
    assert_eq!(
        value(&elements(&v3), "QueryOTAJobResponse/Data/JobId"),
        job.id
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn format_is_read_without_regard_to_case() {
    let sim = Alibaba::start(|_| {}).await;
    for format in ["json", "JSON", "Json"] {
        let mut params = sim.params("QueryOTAJob", &[("JobId", &sim.some_job())]);
        params.retain(|(name, _)| name != "Format");
        params.push(("Format".to_owned(), format.to_owned()));
        assert_eq!(sim.get(&sim.signed("GET", params)).json()["Success"], true);
    }
}
