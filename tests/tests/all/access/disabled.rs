//! Access control switched off, and the public paths.

use ota_sim::FleetShape;
use ota_tests::gateway::head;
use ota_tests::vendors::alibaba_sim;
use ota_tests::{Gateway, Section};

use crate::setup::{ALI, World};

async fn open(section: &Section) -> Gateway {
    let text: String = head()
        .lines()
        .filter(|line| !line.starts_with("hs256_secret"))
        .map(|line| match line {
            "[auth]" => "[auth]\nmode = \"disabled\"\n".to_owned(),
            line => format!("{line}\n"),
        })
        .collect();
    Gateway::with_file(&(text + &section.to_toml())).await
}

#[tokio::test]
async fn without_access_control_only_loopback_names_are_answered() {
    let alibaba = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    let gateway = open(&Section::alibaba(ALI, &alibaba.url())).await;
    let port = gateway.address().port();
    let paths = ["/v1/providers".to_owned(), World::jobs_path(ALI)];
    for path in &paths {
        for host in [
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            "localhost".to_owned(),
            "[::1]:80".to_owned(),
            "127.8.8.8".to_owned(),
        ] {
            let ask = gateway.ask("GET", path).anonymous().header("Host", &host);
            ask.send().await.ok();
        }
    }
    let before = alibaba.counters().total_calls();
    for path in &paths {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
        ] {
            let ask = gateway.ask("GET", path).anonymous().header("Host", host);
            ask.send().await.problem(421, "misdirected_request");
        }
    }
    let check = format!("/v1/providers/{ALI}/check");
    let ask = gateway.ask("POST", &check).anonymous();
    let ask = ask
        .header("Host", "evil.example")
        .header("Origin", "https://evil.example");
    ask.send().await.problem(421, "misdirected_request");
    assert_eq!(alibaba.counters().total_calls(), before);
}

#[tokio::test]
async fn without_access_control_pages_of_other_sites_are_refused() {
    let alibaba = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    let gateway = open(&Section::alibaba(ALI, &alibaba.url())).await;
    let own = format!("http://127.0.0.1:{}", gateway.address().port());
    let path = World::jobs_path(ALI);
    let ask = |headers: &[(&str, &str)]| {
        let mut ask = gateway.ask("GET", &path).anonymous();
        let host = own.trim_start_matches("http://");
        ask = ask.header("Host", host);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.send()
    };
    // The first answer is kept, so the fast path is held to the same.
    for headers in [
        &[][..],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", own.as_str())],
        &[("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")],
        // Behind a proxy of this machine that ends TLS.
        &[
            ("Origin", &own.replace("http:", "https:")),
            ("Sec-Fetch-Site", "same-origin"),
        ],
    ] {
        ask(headers).await.ok();
    }
    let before = alibaba.counters().total_calls();
    for headers in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "same-site")],
        &[
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Site", "cross-site"),
        ],
        &[("Sec-Fetch-Site", "")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://localhost:1")],
        &[("Origin", &own.replace("http:", "https:"))],
        &[("Origin", own.as_str()), ("Origin", "https://evil.example")],
        &[
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        &[
            ("Origin", &own.replace("http:", "https:")),
            ("Sec-Fetch-Site", "same-site"),
        ],
        &[
            ("Origin", &own.replace("http:", "https:")),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Site", "cross-site"),
        ],
        &[
            ("Origin", "https://localhost:1"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
    ] {
        ask(headers).await.problem(403, "forbidden");
    }
    assert_eq!(alibaba.counters().total_calls(), before);
    let check = format!("/v1/providers/{ALI}/check");
    let check = gateway.ask("POST", &check).anonymous();
    let check = check.header("Host", "localhost");
    let check = check.header("Origin", "https://evil.example").send().await;
    check.problem(403, "forbidden");
}

#[tokio::test]
async fn without_access_control_a_listed_origin_may_call() {
    let alibaba = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    let section = Section::alibaba(ALI, &alibaba.url()).to_toml();
    let text = head()
        .replace(
            "[server]\n",
            "[server]\ncors_origins = [\"http://localhost:3000\"]\n",
        )
        .lines()
        .map(|line| match line.starts_with("hs256_secret") {
            true => "mode = \"disabled\"\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect::<String>();
    let gateway = Gateway::with_file(&(text + &section)).await;
    let ask = |origin: &str| {
        let ask = gateway.ask("GET", "/v1/providers").anonymous();
        let ask = ask.header("Origin", origin);
        ask.header("Sec-Fetch-Site", "cross-site").send()
    };
    ask("http://localhost:3000").await.ok();
    ask("http://localhost:3001").await.problem(403, "forbidden");
}

#[tokio::test]
async fn every_name_that_a_request_gives_must_be_a_loopback_one() {
    let alibaba = alibaba_sim(FleetShape::uniform(2, 5).frozen()).await;
    let gateway = open(&Section::alibaba(ALI, &alibaba.url())).await;
    let two = gateway.ask("GET", "/v1/providers").anonymous();
    let two = two
        .header("Host", "localhost")
        .header("Host", "evil.example");
    let whole = gateway
        .ask("GET", "http://evil.example/v1/providers")
        .anonymous();
    let whole = whole.header("Host", "localhost");
    for ask in [two, whole] {
        ask.send().await.problem(421, "misdirected_request");
    }
}

#[tokio::test]
async fn public_paths_need_no_token_and_name_nobody() {
    let world = World::small().await;
    for (path, content_type) in [
        ("/docs/", "text/html"),
        ("/openapi.json", "application/json"),
        ("/healthz", "application/json"),
        ("/readyz", "application/json"),
    ] {
        let reply = world.gateway.ask("GET", path).anonymous().send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.shown());
        assert!(
            reply.must("content-type").starts_with(content_type),
            "{path}"
        );
        let text = reply.text();
        for name in [
            &world.alibaba.url(),
            &world.huawei.url(),
            "\"ali\"",
            "\"hua\"",
        ] {
            assert!(!text.contains(name), "{path} names {name}");
        }
        // A bad token does not close them.
        let reply = world.gateway.ask("GET", path).token("garbage").send().await;
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[tokio::test]
async fn swagger_ui_comes_from_the_gateway_alone() {
    let world = World::small().await;
    let get = |path: &str| world.gateway.ask("GET", path).anonymous();
    // Relative, so that they hold under a path prefix that a proxy strips.
    for path in ["/", "/docs"] {
        let reply = get(path).send().await;
        assert_eq!(reply.status, 307, "{}", reply.shown());
        assert_eq!(reply.must("location"), "docs/", "{path}");
    }

    let html = get("/docs/").send().await.text();
    let mut assets = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        for part in html.split(attribute).skip(1) {
            assets.push(part.split('"').next().unwrap().to_owned());
        }
    }
    assert!(assets.len() >= 4, "{html}");
    for asset in &assets {
        let name = asset.strip_prefix("./");
        let name = name.unwrap_or_else(|| panic!("{asset} is not beside the page"));
        let path = format!("/docs/{name}");
        let reply = get(&path).send().await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.body.is_empty(), "{path}");
    }
    for path in ["/docs/nothing", "/docs/a/b"] {
        get(path).send().await.problem(404, "not_found");
    }
    let initializer = get("/docs/initializer.js").send().await;
    assert_eq!(initializer.status, 200);
    assert!(
        initializer.text().contains("/openapi.json"),
        "{}",
        initializer.text()
    );
}
