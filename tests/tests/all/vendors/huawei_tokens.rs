//! Only at Huawei: access tokens, and spellings on which the documents do not agree.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use ota_sim::huawei::{BadToken, TotalName};
use ota_sim::{Clock, Fault, FaultKind, FleetShape, Server};
use ota_tests::vendors::{APP_ID, huawei_config, huawei_sim};
use ota_tests::{Gateway, Section, wire};

use crate::routes::jobs::get_stats;
use crate::setup::{HUA, World, all_pages, ids, rows};

/// `e2e/app+secret=Kj4` as a form writes it.
const SECRET_IN_FORM: &str = "e2e%2Fapp%2Bsecret%3DKj4";

/// Logs in as someone else does with the same application; ends every token before.
async fn login(address: SocketAddr) -> (String, String) {
    let form = format!("appId={APP_ID}&secret={SECRET_IN_FORM}");
    let headers = [
        ("Host".to_owned(), address.to_string()),
        (
            "Content-Type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        ),
    ];
    let request = wire::request(
        "POST",
        "/iocm/app/sec/v1.1.0/login",
        &headers,
        form.as_bytes(),
    );
    let answer = wire::exchange(address, &request).await.ok();
    let token = |name: &str| answer[name].as_str().unwrap().to_owned();
    (token("accessToken"), token("refreshToken"))
}

async fn gateway(sim: &Server) -> Gateway {
    Gateway::start(&[Section::huawei(HUA, &sim.url())]).await
}

#[tokio::test]
async fn thirty_requests_at_once_make_one_login() {
    let world = World::small().await;
    let paths: Vec<String> = (0..30)
        .map(|number| match number % 3 {
            0 => World::jobs_path(HUA),
            1 => world.job_path(HUA),
            _ => world.tasks_path(HUA),
        })
        .collect();
    let replies = join_all(paths.iter().map(|path| world.gateway.get(path))).await;
    for reply in replies {
        reply.ok();
    }
    let counters = world.huawei.counters();
    assert_eq!((counters.logins, counters.refreshes), (1, 0));
    assert_eq!(counters.total_refused(), 0);
}

#[tokio::test]
async fn a_token_that_another_login_ended_is_renewed_once_and_the_request_answered() {
    for bad_token in [
        BadToken::Forbidden1010005,
        BadToken::Forbidden1005,
        BadToken::Unauthorized100002,
    ] {
        for errors_with_200 in [false, true] {
            let mut config = huawei_config(FleetShape::uniform(5, 30).frozen());
            (config.bad_token, config.errors_with_200) = (bad_token, errors_with_200);
            let sim = ota_sim::huawei::start(config).await.unwrap();
            let gateway = gateway(&sim).await;
            gateway.get(&World::jobs_path(HUA)).await.ok();
            login(sim.addr()).await;
            sim.reset_counters();
            gateway.get(&World::jobs_path(HUA)).await.ok();
            let counters = sim.counters();
            assert_eq!(counters.logins + counters.refreshes, 1, "{bad_token:?}");
            gateway.get(&World::jobs_path(HUA)).await.ok();
            let counters = sim.counters();
            assert_eq!(
                counters.logins + counters.refreshes,
                1,
                "the new token is kept"
            );

            login(sim.addr()).await;
            sim.reset_counters();
            let path = World::jobs_path(HUA);
            for reply in join_all((0..20).map(|_| gateway.get(&path))).await {
                reply.ok();
            }
            let counters = sim.counters();
            assert_eq!(
                counters.logins + counters.refreshes,
                1,
                "one renewal for all of them"
            );
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_in_a_request_and_no_oftener() {
    let world = World::small().await;
    world.gateway.get(&World::jobs_path(HUA)).await.ok();
    let once = Fault::once(FaultKind::TokenExpired).on("list_operations");
    world.huawei.set_faults(vec![once]);
    world.gateway.get(&World::jobs_path(HUA)).await.ok();
    world.huawei.reset_counters();
    let always = Fault::always(FaultKind::TokenExpired).on("list_operations");
    world.huawei.set_faults(vec![always]);
    let reply = world.gateway.get(&World::jobs_path(HUA)).await;
    reply.problem(502, "provider_auth");
    let counters = world.huawei.counters();
    assert!(
        counters.calls_of("login") + counters.calls_of("refresh_token") <= 2,
        "{:?}",
        counters.calls
    );
    assert_eq!(counters.calls_of("list_operations"), 2);
}

#[tokio::test]
async fn tokens_are_shown_to_nobody() {
    // The same seed hands out the same tokens.
    let twin = huawei_sim(FleetShape::uniform(5, 30).frozen()).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let (access, refresh) = login(twin.addr()).await;
        tokens.extend([access, refresh]);
    }
    let world = World::small().await;
    let all = [
        World::jobs_path(HUA),
        world.job_path(HUA),
        world.tasks_path(HUA),
        "/v1/providers".to_owned(),
    ];
    for kind in [
        None,
        Some(FaultKind::TokenExpired),
        Some(FaultKind::GatewayError),
        Some(FaultKind::CutJson),
    ] {
        world
            .huawei
            .set_faults(kind.map(Fault::always).into_iter().collect());
        for path in &all {
            let reply = world.gateway.get(path).await;
            for token in &tokens {
                assert!(!reply.shown().contains(token), "{path}");
            }
        }
    }
    world.huawei.set_faults(Vec::new());
    let last = login(world.huawei.addr()).await;
    assert_eq!(
        last.0.len(),
        tokens[0].len(),
        "the gateway used tokens of this kind"
    );
}

#[tokio::test]
async fn a_token_that_ends_with_time_is_renewed() {
    let clock = Clock::manual(Clock::system().now());
    let mut config = huawei_config(FleetShape::uniform(2, 5).frozen());
    config.clock = clock.clone();
    let sim = ota_sim::huawei::start(config).await.unwrap();
    let gateway = gateway(&sim).await;
    gateway.get(&World::jobs_path(HUA)).await.ok();
    // The vendor's clock runs ahead of the gateway's: the token ends without warning.
    clock.advance(Duration::from_secs(3601));
    gateway.get(&World::jobs_path(HUA)).await.ok();
    let counters = sim.counters();
    assert_eq!(counters.logins + counters.refreshes, 2);
    // Longer than any refresh token lives.
    clock.advance(Duration::from_secs(40 * 24 * 3600));
    gateway.get(&World::jobs_path(HUA)).await.ok();
}

/// What a platform does differently.
type Change = fn(&mut ota_sim::huawei::Config);

#[tokio::test]
async fn every_spelling_of_the_platform_is_read() {
    let fleet = FleetShape::uniform(5, 30).frozen();
    let plain = huawei_sim(fleet.clone()).await;
    let plain = gateway(&plain).await;
    let path = World::jobs_path(HUA);
    let wanted = rows(&all_pages(&plain, &format!("{path}?page_size=2")).await);
    let job = wanted[0]["id"].as_str().unwrap().to_owned();
    let tasks = format!("{path}/{job}/tasks?page_size=7");
    let wanted_tasks: Vec<String> = all_pages(&plain, &tasks)
        .await
        .iter()
        .flat_map(ids)
        .collect();

    let changes: [(&str, Change); 7] = [
        ("totalSize", |config| {
            config.total_name = TotalName::TotalSize
        }),
        ("upper-case statuses", |config| {
            config.uppercase_status = true
        }),
        ("expiresIn as text", |config| {
            config.expires_in_as_string = true
        }),
        ("tokenType", |config| {
            config.token_type = "bearer".to_owned()
        }),
        ("null error_code", |config| {
            config.null_error_code_on_success = true
        }),
        ("errors under 200", |config| config.errors_with_200 = true),
        ("everything", |config| {
            config.total_name = TotalName::TotalSize;
            config.uppercase_status = true;
            config.expires_in_as_string = true;
            config.null_error_code_on_success = true;
            config.errors_with_200 = true;
        }),
    ];
    for (what, change) in changes {
        let mut config = huawei_config(fleet.clone());
        change(&mut config);
        let sim = ota_sim::huawei::start(config).await.unwrap();
        let gateway = gateway(&sim).await;
        let pages = all_pages(&gateway, &format!("{path}?page_size=2")).await;
        assert!(pages.iter().all(|page| page["total"] == 5), "{what}");
        for (row, wanted) in rows(&pages).iter().zip(&wanted) {
            for name in ["id", "status", "outcome", "kind", "stats"] {
                assert_eq!(row[name], wanted[name], "{what}: {name}");
            }
        }
        let pages = all_pages(&gateway, &tasks).await;
        assert!(pages.iter().all(|page| page["total"] == 30), "{what}");
        assert_eq!(
            pages.iter().flat_map(ids).collect::<Vec<_>>(),
            wanted_tasks,
            "{what}"
        );
        for truth in &sim.fleet().jobs {
            let counts = gateway
                .get(&format!("{path}/{}/stats", truth.id))
                .await
                .ok();
            get_stats::check(HUA, truth, &counts);
        }
        assert_eq!(sim.counters().logins, 1, "{what}");
    }
}

/// A platform that answers everything at once must not make a list endless or repeat rows.
#[tokio::test]
async fn a_platform_that_ignores_pages_gives_each_row_once() {
    let mut config = huawei_config(FleetShape::uniform(3, 30).frozen());
    config.ignore_paging = true;
    let sim = ota_sim::huawei::start(config).await.unwrap();
    let gateway = gateway(&sim).await;
    let job = sim.fleet().jobs[0].id.clone();
    let path = format!("{}/{job}/tasks?page_size=100", World::jobs_path(HUA));
    let read: Vec<String> = all_pages(&gateway, &path)
        .await
        .iter()
        .flat_map(ids)
        .collect();
    assert_eq!(read, sim.fleet().task_ids(&job));
}

#[tokio::test]
async fn the_application_header_is_the_configured_one() {
    let mut config = huawei_config(FleetShape::uniform(1, 3).frozen());
    config.app_key_header = "x-app-key".to_owned();
    let sim = ota_sim::huawei::start(config).await.unwrap();
    let gateway = gateway(&sim).await;
    let problem = gateway
        .get(&World::jobs_path(HUA))
        .await
        .problem(502, "provider_auth");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("app_key_header"),
        "{problem}"
    );
    let right = Section::huawei(HUA, &sim.url()).set("app_key_header = \"x-app-key\"");
    Gateway::start(&[right])
        .await
        .get(&World::jobs_path(HUA))
        .await
        .ok();
}

#[tokio::test]
async fn two_providers_of_one_application_share_its_token() {
    let sim = huawei_sim(FleetShape::uniform(2, 5).frozen()).await;
    let sections = [
        Section::huawei("one", &sim.url()),
        Section::huawei("two", &sim.url()),
    ];
    let gateway = Gateway::start(&sections).await;
    let paths = [World::jobs_path("one"), World::jobs_path("two")];
    for _ in 0..3 {
        for reply in join_all(paths.iter().map(|path| gateway.get(path))).await {
            reply.ok();
        }
    }
    let counters = sim.counters();
    assert_eq!((counters.logins, counters.total_refused()), (1, 0));
}
