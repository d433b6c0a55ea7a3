use std::io::Write as _;

use super::{AuthMode, Config, ConfigError};

mod auth;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file.path()), environment)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let error = load(text, &[]).unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "{error:?} has no {part:?}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn everything_but_the_secret_has_a_default() {
    let config = load(&format!("[auth]\nhs256_secret = \"{SECRET}\""), &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.request_timeout.as_millis(), 30_000);
    assert!(matches!(config.auth.mode, AuthMode::Hs256(..)));
    assert_eq!(config.auth.audience(), Some("ota-gateway"));
    assert!(!format!("{config:?}").contains(SECRET));
    let with_provider = format!(
        "[auth]\nhs256_secret = \"{SECRET}\"\n[providers.a]\naccess_key_secret = \"hunter2\""
    );
    let shown = format!("{:?}", load(&with_provider, &[]).unwrap());
    assert!(
        !shown.contains(SECRET) && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn an_unknown_key_is_named_with_line_and_nearest_key() {
    check(
        "[server]\nlisten = \"127.0.0.1:1\"\nrequest_timeout = 5",
        &[":3: server.request_timeout", "`request_timeout_ms`"],
    );
    check("[servers]\n", &[":1: servers", "`server`"]);
    check(
        "[auth]\nmode = \"disabled\"\n[cache]\n\n# max_age = 1\nmax_age = 1",
        &[":6: cache.max_age", "`max_age_s`"],
    );
    check("[log]\nzzz = 1", &[":2: log.zzz", "format, filter"]);
}

#[test]
fn a_wrong_type_or_value_is_named_without_the_value() {
    check(
        "[server]\nrequest_timeout_ms = \"hunter2\"",
        &[
            ":2: server.request_timeout_ms",
            "a text, expected a whole number",
        ],
    );
    check(
        "[server]\nlisten = 5",
        &[":2: server.listen", "a whole number, expected a text"],
    );
    check("[server]\nlisten = \"nowhere\"", &[":2: server.listen"]);
    check(
        "[server]\nrequest_timeout_ms = 0",
        &["server.request_timeout_ms"],
    );
    check("[auth]\nhs256_secret = 5", &["auth.hs256_secret"]);
    check("server = 5", &["server"]);
    check("[server\n", &[":1: is not valid TOML"]);
    check("[providers]\naliyun = 5", &["providers.aliyun"]);
    check("[providers.Aliyun]\n", &["providers.Aliyun", "a-z"]);
    check("[log]\nformat = \"xml\"", &["log.format"]);
    check("[cache]\nmax_age_s = 99999999", &["cache.max_age_s"]);
    check("[cache]\nerror_age_s = 99999999", &["cache.error_age_s"]);
    check(
        "[server]\nmax_connections = 10\nreserved_connections = 10",
        &[":3: server.reserved_connections", "`max_connections`"],
    );
    check(
        "[metrics]\nmax_connections = 0",
        &[":2: metrics.max_connections"],
    );
}

#[test]
fn secrets_are_given_once_and_long_enough() {
    check(
        "[auth]\nhs256_secret = \"hunter2\"",
        &["auth.hs256_secret", "at least 32"],
    );
    check(
        "[auth]\nhs256_secret_file = \"/no/such/file\"",
        &[":2: auth.hs256_secret_file", "/no/such/file"],
    );
    check(
        "[auth]\nhs256_secret = \"hunter2\"\nhs256_secret_file = \"/x\"",
        &["both given"],
    );
    check("[auth]\n", &["auth.hs256_secret_file"]);
    check("", &["auth.hs256_secret_file"]);
}

#[test]
fn an_empty_value_does_not_switch_a_check_off() {
    let file = format!("[auth]\nhs256_secret = \"{SECRET}\"");
    for (variable, key) in [
        ("OTA_GATEWAY__AUTH__ISSUER", "auth.issuer"),
        ("OTA_GATEWAY__AUTH__AUDIENCE", "auth.audience"),
    ] {
        let error = load(&file, &[(variable, "")]).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("is empty"), "{error}");
    }
}

#[test]
fn a_secret_of_less_than_32_bytes_is_refused_with_advice() {
    let given = |secret: &str| load(&format!("[auth]\nhs256_secret = \"{secret}\""), &[]);
    let error = given(&SECRET[..31]).unwrap_err().to_string();
    assert!(
        error.contains("31 bytes") && error.contains("openssl rand -hex 32"),
        "{error}"
    );
    assert!(error.contains(":2: auth.hs256_secret:"), "{error}");
    assert!(given(SECRET).unwrap().auth.warnings.is_empty());
}

#[test]
fn access_control_is_disabled_on_loopback_only() {
    assert!(load("[auth]\nmode = \"disabled\"", &[]).is_ok());
    assert!(
        load(
            "[server]\nlisten = \"[::1]:0\"\n[auth]\nmode = \"disabled\"",
            &[]
        )
        .is_ok()
    );
    check(
        "[server]\nlisten = \"0.0.0.0:8080\"\n[auth]\nmode = \"disabled\"",
        &[":4: auth.mode", "loopback"],
    );
    check(
        "[auth]\nmode = \"none\"",
        &["auth.mode", "`jwt` or `disabled`"],
    );
}

#[test]
fn the_environment_goes_over_the_file() {
    let file = "[auth]\nmode = \"disabled\"\n[providers.aliyun-prod]\nvendor = \"alibaba-iot\"";
    let config = load(
        file,
        &[
            ("OTA_GATEWAY__SERVER__LISTEN", "127.0.0.1:9"),
            ("OTA_GATEWAY__CACHE__MAX_AGE_S", "7"),
            (
                "OTA_GATEWAY__PROVIDERS__ALIYUN_PROD__ACCESS_KEY_ID",
                "123456",
            ),
            ("OTA_GATEWAY__PROVIDERS__ALIYUN_PROD__LIMITS__CALLS", "3"),
            ("OTA_GATEWAY_CONFIG", "ignored here"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.port(), 9);
    assert_eq!(config.cache.max_age.as_secs(), 7);
    let mut section = config.providers.into_values().next().unwrap();
    assert_eq!(
        section.take_text("access_key_id").unwrap().as_deref(),
        Some("123456")
    );
    assert!(section.take_section("limits").unwrap().is_some());

    for (name, value, expected) in [
        (
            "OTA_GATEWAY__SERVER__LISTEM",
            "x",
            "environment variable OTA_GATEWAY__SERVER__LISTEM: server.listem",
        ),
        ("OTA_GATEWAY__CACHE__MAX_AGE_S", "soon", "a whole number"),
        ("OTA_GATEWAY__METRICS__ENABLED", "yes", "`true` or `false`"),
        ("OTA_GATEWAY__SERVER", "x", "SECTION__KEY"),
        ("OTA_GATEWAY__AUTH__MODE__X", "x", "not a section"),
    ] {
        let error = load(file, &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Some("/no/such.toml".as_ref()), [])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/no/such.toml: cannot be read"),
        "{error}"
    );
}

#[test]
fn a_public_address_that_no_client_could_use_is_refused() {
    for wrong in [
        "",
        "/ota",
        "iot.example.com/ota",
        "ftp://iot.example.com",
        "https://",
        "https://user@iot.example.com",
        "https://iot.example.com/?a=b",
        "https://iot.example.com/#top",
        "https://iot.example.com/{ota}",
    ] {
        check(
            &format!("[server]\npublic_url = \"{wrong}\""),
            &[":2: server.public_url", "https://iot.example.com/ota"],
        );
    }
}

/// The places and keys of all mistakes, in the order in which they are named.
fn places(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let error = load(text, environment).unwrap_err();
    let lines = error.lines().map(|line| {
        let line = match line.split_once(".toml:") {
            Some((_, rest)) => rest.to_owned(),
            None => line,
        };
        let parts: Vec<&str> = line.splitn(3, ": ").collect();
        parts[..2].join(": ").trim().to_owned()
    });
    lines.collect()
}

#[test]
fn all_mistakes_are_named_in_the_order_of_the_file_and_then_of_the_environment() {
    let text = "[log]\nformat = \"xml\"\nfilter = \"inof\"\n[server]\nlisten = \"nowhere\"\nrequest_timeout = 5\nmax_connections = 0\n\
                header_timeout_ms = \"soon\"\ncors_origins = [\"a\", \"https://b.example\", \"c\"]\n[cache]\nmax_age_s = 99999999\n\
                [auth]\nhs256_secret = \"hunter2\"\nissuer = \"\"\n[cahce]\n[providers.Bad]\n";
    let environment = [
        ("OTA_GATEWAY__METRICS__ENABLED", "yes"),
        ("OTA_GATEWAY__CACHE__MIN_AGE_S", "soon"),
        ("OTA_GATEWAY__X", "1"),
    ];
    assert_eq!(
        places(text, &environment),
        [
            "2: log.format",
            "3: log.filter",
            "5: server.listen",
            "6: server.request_timeout",
            "7: server.max_connections",
            "8: server.header_timeout_ms",
            "9: server.cors_origins",
            "9: server.cors_origins",
            "11: cache.max_age_s",
            "13: auth.hs256_secret",
            "14: auth.issuer",
            "15: cahce",
            "16: providers.Bad",
            "environment variable OTA_GATEWAY__CACHE__MIN_AGE_S: cache.min_age_s",
            "environment variable OTA_GATEWAY__METRICS__ENABLED: metrics.enabled",
            "environment variable OTA_GATEWAY__X: is not of the form OTA_GATEWAY__SECTION__KEY",
        ]
    );
}

#[test]
fn what_only_follows_from_a_mistake_is_not_named() {
    // A key whose name or type is wrong is not missing as well, and an address that cannot be read is not judged.
    for (text, expected) in [
        (
            "[auth]\nhs256_secret_fil = \"/x\"",
            "2: auth.hs256_secret_fil",
        ),
        ("[auth]\nhs256_secret = 5", "2: auth.hs256_secret"),
        ("[auth]\njwks_url = 5", "2: auth.jwks_url"),
        ("[auht]\nhs256_secret = \"x\"", "1: auht"),
        ("[auth]\nmode = 5", "2: auth.mode"),
        (
            "[auth]\nmode = \"disabled\"\n[server]\nlisten = \"here\"",
            "4: server.listen",
        ),
        (
            "[auth]\nmode = \"disabled\"\n[server]\ntls_cert_file = 5\ntls_key_file = \"/x\"",
            "4: server.tls_cert_file",
        ),
        (
            "[auth]\nmode = \"disabled\"\n[telemetry]\notlp_endpoint = 5\notlp_authorization_file = \"/dev/null\"",
            "4: telemetry.otlp_endpoint",
        ),
    ] {
        let places = places(text, &[]);
        assert!(places.contains(&expected.to_owned()), "{places:?}");
        let allowed = usize::from(text.contains("/dev/null"));
        assert!(places.len() <= 1 + allowed, "{text}: {places:?}");
    }
}

#[test]
fn broken_toml_is_named_at_each_place() {
    assert_eq!(
        places(
            "[server]\nlisten = 127.0.0.1:80\n[log]\nformat = \"json\nfilter = \"info\"\nx y\n",
            &[]
        )
        .iter()
        .map(|place| place.split(':').next().unwrap_or_default().to_owned())
        .collect::<Vec<_>>(),
        ["2", "4", "6"]
    );
}

#[test]
fn lines_are_found_in_every_form_of_toml() {
    let rest = "\n[auth]\nmode = \"disabled\"\n";
    for (text, expected) in [
        ("server = { listen = 5 }", "1: server.listen"),
        ("[server]\n\"listen\" = 5", "2: server.listen"),
        ("[ \"server\" ]\nlisten = 5", "2: server.listen"),
        ("[server] # listen = 1\n  listen = 5", "2: server.listen"),
        (
            "[log]\nfilter = \"\"\"\n[server]\nlisten = 1\n\"\"\"\n[server]\nlisten = 5",
            "7: server.listen",
        ),
        ("[cache]\nmax_age_s.x = 1", "2: cache.max_age_s"),
        (
            "[server]\ncors_origins = [\n  \"https://a.example\",\n  5,\n]",
            "4: server.cors_origins[1]",
        ),
    ] {
        let text = format!("{text}{rest}");
        let places = places(&text, &[]);
        assert!(
            places.iter().any(|place| place == expected),
            "{text}: {places:?}"
        );
    }
    assert_eq!(
        places("server.listen = 5\nauth.mode = \"disabled\"", &[]),
        ["1: server.listen"]
    );
}

#[test]
fn a_section_that_only_the_environment_has_is_blamed_on_its_variable() {
    let file = "[auth]\nmode = \"disabled\"";
    for (variable, key) in [
        ("OTA_GATEWAY__SERVERS__LISTEN", "servers"),
        ("OTA_GATEWAY__SERVER__LISTEN", "server.listen"),
        ("OTA_GATEWAY__LOG__FILTER", "log.filter"),
        ("OTA_GATEWAY__PROVIDERS__A__B__C", "providers.a.b"),
    ] {
        let expected = format!("environment variable {variable}: {key}");
        if key == "providers.a.b" {
            continue;
        }
        assert_eq!(places(file, &[(variable, "nonsense")]), [expected]);
    }
    // It is not known which of two keys is wrong; the place of the other is reported too.
    let error = load(file, &[("OTA_GATEWAY__SERVER__LISTEN", "0.0.0.0:80")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("0.0.0.0:80 (environment variable OTA_GATEWAY__SERVER__LISTEN)"),
        "{error}"
    );
}

#[test]
fn a_filter_that_would_silence_the_log_is_refused() {
    for (filter, words) in [
        ("inof", "did you mean `info`?"),
        ("ota_gateway", "`ota_gateway` is no level"),
        ("info,ota_gateway=debgu", "did you mean `debug`?"),
        ("info,", "an empty part"),
        ("", "an empty part"),
        ("info,=debug", "names no target"),
        ("info ota_gateway=debug", "names no target"),
        ("ota_gateway=trace", "`info,ota_gateway=trace`"),
        ("nosuch=debug", "no level for all other targets"),
        ("debug=info", "`debug` is a level and no target"),
        ("info,warn=debug", "`warn` is a level and no target"),
        ("warn,ota_gatway=debug", "did you mean `ota_gateway`?"),
        ("warn,ota_gateway_x=debug", "is no crate of the gateway"),
    ] {
        let text = format!("[auth]\nmode = \"disabled\"\n[log]\nfilter = \"{filter}\"");
        check(&text, &[":4: log.filter", words]);
    }
    for filter in [
        "INFO",
        "off",
        "warn,ota_gateway=debug",
        "info, hyper::proto=trace",
        "3",
        "ota_gateway=trace,off",
        "warn,ota_gateway::edge=debug",
        "warn,ota=debug",
    ] {
        let text = format!("[auth]\nmode = \"disabled\"\n[log]\nfilter = \"{filter}\"");
        assert!(load(&text, &[]).is_ok(), "{filter}");
    }
}

#[test]
fn variables_are_read_as_their_keys_are() {
    let config = load(
        "[auth]\nmode = \"disabled\"",
        &[
            (
                "OTA_GATEWAY__SERVER__CORS_ORIGINS",
                "https://a.example, https://b.example",
            ),
            ("OTA_GATEWAY__SERVER__MAX_CONNECTIONS", " 7 "),
            ("OTA_GATEWAY__TELEMETRY__SAMPLE_RATIO", "0.5"),
            ("OTA_GATEWAY__METRICS__ENABLED", "false"),
            ("OTA_GATEWAY__TELEMETRY__SERVICE_NAME", "7"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.cors_origins.len(), 2);
    assert_eq!(config.server.limits.max_connections, 7);
    assert!((config.telemetry.sample_ratio - 0.5).abs() < f64::EPSILON);
    assert!(!config.metrics.enabled);
    assert_eq!(config.telemetry.service_name, "7");
}

#[test]
fn some_connections_are_kept_free_of_requests() {
    for (lines, all) in [
        ("", 1984),
        ("max_connections = 80", 70),
        ("max_connections = 1", 1),
        ("max_connections = 80\nreserved_connections = 0", 80),
    ] {
        let text = format!("[server]\n{lines}\n[auth]\nhs256_secret = \"{SECRET}\"");
        let mut config = load(&text, &[]).unwrap();
        assert_eq!(config.server.places.all, all, "{lines}");
        // With a lower limit of open files.
        if all == 1984 {
            config.server.lower_connections(100);
            assert_eq!(config.server.limits.max_connections, 100);
            assert_eq!(config.server.places.all, 88);
        }
    }
}

#[test]
fn a_variable_that_nothing_reads_is_an_error_or_a_warning() {
    let file = "[auth]\nmode = \"disabled\"";
    for (variable, meant) in [
        ("OTA_GATEWAY_SERVER_LISTEN", "OTA_GATEWAY__SERVER__LISTEN"),
        ("OTA_GATEWAY_SERVER__LISTEN", "OTA_GATEWAY__SERVER__LISTEN"),
        ("OTA_GATEWAY__SERVER_LISTEN", "OTA_GATEWAY__SERVER__LISTEN"),
        ("OTA_GATEWAY_LOG_FILTR", "OTA_GATEWAY__LOG__FILTER"),
        (
            "OTA_GATEWAY_AUTH_HS256_SECRET_FILE",
            "OTA_GATEWAY__AUTH__HS256_SECRET_FILE",
        ),
        (
            "OTA_GATEWAY_PROVIDERS_ALI_REGION",
            "OTA_GATEWAY__PROVIDERS__NAME__KEY",
        ),
        ("OTA_GATEWAY_SERVER_PORT", "OTA_GATEWAY__SERVER__"),
    ] {
        let error = load(file, &[(variable, "hunter2")])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("environment variable {variable}: ")),
            "{error}"
        );
        assert!(error.contains(&format!("did you mean `{meant}")), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let warnings = |variable: &str, value: &str| load(file, &[(variable, value)]).unwrap().warnings;
    let warned = warnings("OTA_GATEWAY_CONFG", "/etc/gateway.toml");
    assert!(
        warned[0].contains("OTA_GATEWAY_CONFG") && warned[0].contains("OTA_GATEWAY_CONFIG"),
        "{warned:?}"
    );
    // What Kubernetes gives every container beside a Service of the name `ota-gateway` or `ota-gateway-metrics`.
    for (variable, value) in [
        ("OTA_GATEWAY_CONFIG", "/x"),
        ("OTA_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("OTA_GATEWAY_SERVICE_PORT", "8080"),
        ("OTA_GATEWAY_SERVICE_PORT_HTTP", "8080"),
        ("OTA_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
        ("OTA_GATEWAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("OTA_GATEWAY_PORT_8080_TCP_PROTO", "tcp"),
        ("OTA_GATEWAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("OTA_GATEWAY_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("OTA_GATEWAY_METRICS_PORT_9464_TCP_PORT", "9464"),
        ("OTA_GATEWAYS", "x"),
    ] {
        assert!(warnings(variable, value).is_empty(), "{variable}");
    }
}

#[test]
fn two_listeners_do_not_take_one_address() {
    let file = |server: &str, metrics: &str| {
        format!(
            "[auth]\nhs256_secret = \"{SECRET}\"\n[server]\nlisten = \"{server}\"\n[metrics]\nlisten = \"{metrics}\""
        )
    };
    for (server, metrics) in [
        ("127.0.0.1:9464", "127.0.0.1:9464"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::]:80", "127.0.0.1:80"),
        ("[::]:80", "[::1]:80"),
        ("[::]:80", "0.0.0.0:80"),
        ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
    ] {
        let text = file(server, metrics);
        check(&text, &[":6: metrics.listen", "server.listen", "(line 4)"]);
        let off = format!("{text}\nenabled = false");
        assert!(load(&off, &[]).is_ok(), "{off}");
    }
    for (server, metrics) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:80", "127.0.0.1:81"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("0.0.0.0:80", "[::1]:80"),
    ] {
        let text = file(server, metrics);
        assert!(load(&text, &[]).is_ok(), "{text}");
    }
    // A default address conflicts in the same way as a configured one.
    check(
        &format!("[auth]\nhs256_secret = \"{SECRET}\"\n[server]\nlisten = \"127.0.0.1:9464\""),
        &["metrics.listen", "(line 4)"],
    );
}

#[test]
fn what_a_file_holds_cannot_forge_a_line() {
    let text = "[auth]\nmode = \"none\\nok \\u001b[32m\"\n[\"ser\\u202ever\"]\n";
    let error = load(text, &[]).unwrap_err();
    for line in error.lines() {
        assert!(!line.contains(['\n', '\u{1b}', '\u{202e}']), "{line:?}");
    }
    assert_eq!(error.lines().count(), 2);
}

#[test]
fn a_file_without_end_is_not_waited_for() {
    let error = Config::load(Some("/dev/zero".as_ref()), []).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn a_target_that_nothing_has_is_a_warning() {
    let warnings = |filter: &str| {
        let text = format!("[auth]\nmode = \"disabled\"\n[log]\nfilter = \"{filter}\"");
        load(&text, &[]).unwrap().warnings
    };
    let found = warnings("info,tower_htp=debug,nosuch=debug");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`tower_htp`; did you mean `tower_http`?"));
    assert!(found[0].contains("log.filter (line 4)"), "{found:?}");
    assert!(found[1].contains("`nosuch`"), "{found:?}");
    for filter in [
        "info",
        "off",
        "info,hyper_util=off",
        "info,ota_http::tls=debug",
    ] {
        assert!(warnings(filter).is_empty(), "{filter}");
    }
}

#[test]
fn a_mistake_in_a_section_hides_none_that_concerns_another_section() {
    let secret = format!("hs256_secret = \"{SECRET}\"");
    // Each of these mistakes makes its section unusable as a whole.
    for (key, broken) in [
        ("bogus", "bogus = 1"),
        ("max_connections", "max_connections = \"many\""),
        ("max_connections", "max_connections = 0"),
    ] {
        let text =
            format!("[server]\nlisten = \"0.0.0.0:8090\"\n{broken}\n[auth]\nmode = \"disabled\"");
        assert_eq!(
            places(&text, &[]),
            [format!("3: server.{key}"), "5: auth.mode".to_owned()]
        );
        let text = format!(
            "[server]\nlisten = \"0.0.0.0:8090\"\n{broken}\n[auth]\n{secret}\n[metrics]\nlisten = \"127.0.0.1:8090\"\n{broken}"
        );
        assert_eq!(
            places(&text, &[]),
            [
                format!("3: server.{key}"),
                "7: metrics.listen".to_owned(),
                format!("8: metrics.{key}")
            ]
        );
        let text = format!(
            "[server]\nmax_header_bytes = 8192\n{broken}\n[auth]\n{secret}\nmax_token_bytes = 9000"
        );
        assert_eq!(
            places(&text, &[]),
            [
                format!("3: server.{key}"),
                "6: auth.max_token_bytes".to_owned()
            ]
        );
    }
    let error = load(
        "[server]\nbogus = 1\n[auth]\nmode = \"disabled\"",
        &[
            ("OTA_GATEWAY__SERVER__LISTEN", "0.0.0.0:8090"),
            ("OTA_GATEWAY__METRICS__LISTEN", "0.0.0.0:8090"),
            ("OTA_GATEWAY__METRICS__ENABLED", "true"),
        ],
    )
    .unwrap_err();
    let lines: Vec<String> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
}

#[test]
fn what_only_follows_from_a_mistake_is_left_out() {
    let secret = format!("hs256_secret = \"{SECRET}\"");
    for (text, only) in [
        // The address that was meant is not known.
        (
            "[server]\nlisten = \"nowhere\"\n[metrics]\nlisten = \"127.0.0.1:8080\"",
            "2: server.listen",
        ),
        (
            "[server]\nlistenn = \"127.0.0.1:1\"\n[metrics]\nlisten = \"127.0.0.1:8080\"",
            "2: server.listenn",
        ),
        (
            "[servr]\nlisten = \"127.0.0.1:1\"\n[metrics]\nlisten = \"127.0.0.1:8080\"",
            "1: servr",
        ),
        (
            "[metrics]\nlisten = \"127.0.0.1:8080\"\nenable = false",
            "3: metrics.enable",
        ),
        (
            "[metrcs]\nenabled = false\n[server]\nlisten = \"127.0.0.1:9464\"",
            "1: metrcs",
        ),
    ] {
        let text = format!("{text}\n[auth]\n{secret}");
        assert_eq!(places(&text, &[]), [only], "{text}");
    }
}

#[test]
fn a_configuration_in_utf_16_is_named_as_other_files_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let words = "[log]\n".encode_utf16();
    let text: Vec<u8> = std::iter::once(0xfeff)
        .chain(words)
        .flat_map(u16::to_le_bytes)
        .collect();
    for (bytes, expected) in [
        (text, "gateway.toml: is a text in UTF-16; save it as UTF-8"),
        (vec![b'#', 0xe4], "gateway.toml: is not UTF-8 text"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Config::load(Some(&path), []).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn a_wrong_type_is_named_in_words_of_the_configuration() {
    for (text, words) in [
        (
            "[metrics]\nenabled = 1",
            "a whole number, expected `true` or `false`",
        ),
        ("[server]\ncors_origins = \"x\"", "a text, expected a list"),
        (
            "[server]\ncors_origins = [1.5]",
            "a number with a fraction, expected a text",
        ),
        (
            "[server]\ntls_cert_file = [\"x\"]",
            "a list, expected a text",
        ),
        (
            "[server]\nmax_url_bytes = true",
            "`true` or `false`, expected a whole number",
        ),
        ("[auth]\nscope_map = \"x\"", "a text, expected a section"),
        (
            "[telemetry]\nsample_ratio = \"x\"",
            "a text, expected a number",
        ),
        (
            "[server]\nmax_url_bytes = -77",
            "not allowed, expected a whole number, 0 or more",
        ),
        (
            "[server]\nrate_limit = 5000000000",
            "expected a whole number from 0 to 4294967295",
        ),
    ] {
        let error = load(text, &[]).unwrap_err().to_string();
        assert!(error.contains(words), "{error} has no {words:?}");
        assert!(
            !error.contains("-77") && !error.contains("5000000000"),
            "{error}"
        );
    }
}

#[test]
fn a_gateway_on_a_shared_database_says_where_others_reach_it() {
    let auth = format!("[auth]\nhs256_secret = \"{SECRET}\"\n");
    let shared = "[mirror]\ndatabase_url = \"postgres://ota:hunter2@db/ota\"\n";
    check(
        &format!("{auth}{shared}"),
        &["cluster.advertise_url", "has to be set"],
    );
    for reachable in [
        format!("{auth}{shared}[cluster]\nadvertise_url = \"https://gateway-1:8443/\"\n"),
        format!("{auth}{shared}[server]\nlisten = \"10.0.0.7:8080\"\n"),
        // Without a database, or with one of its own, there is no other gateway.
        format!("{auth}{shared}enabled = false\n"),
        auth.clone(),
    ] {
        let config = load(&reachable, &[]);
        assert!(config.is_ok(), "{reachable}: {config:?}");
    }
    // A URL that is none does not hide it, and comes first; without a mirror nobody needs it.
    let wrong = shared.replace("/ota\"", "/ota?sslmode=maybe\"");
    let error = load(&format!("{auth}{wrong}"), &[])
        .unwrap_err()
        .to_string();
    let (url, after) = error.split_once("cluster.advertise_url").unwrap();
    assert!(url.contains("mirror.database_url"), "{error}");
    assert!(url.contains("no postgres URL"), "{error}");
    assert!(after.contains("has to be set"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(load(&format!("{auth}{wrong}enabled = false\n"), &[]).is_ok());
    check(
        &format!("{auth}[cluster]\nadvertise_url = \"https://u:hunter2@gateway-1\"\n"),
        &["cluster.advertise_url", "must not hold a user"],
    );
}
