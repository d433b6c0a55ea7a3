//! `docker-compose.yml` and the files that it names fit together and fit the code. Containers are not started here.

use std::path::{Path, PathBuf};

use ota_gateway::assembly;
use ota_gateway::config::Config;
use ota_sim::{SIMULATORS, Simulator};
use yaml_rust2::{Yaml, YamlLoader};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn compose() -> Yaml {
    let text = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

/// Where the secrets of the composed sandbox are, from the root.
const SECRETS: &str = "deploy/compose/secrets";

/// The name of a secret: that of the simulator, with the key behind it where there are several.
fn secret_name(simulator: &Simulator, place: usize) -> String {
    let secrets = simulator.account.secrets;
    match secrets.len() {
        1 => simulator.name.to_owned(),
        _ => format!("{}-{}", simulator.name, secrets[place].0.replace('_', "-")),
    }
}

fn secret_names(simulator: &Simulator) -> Vec<String> {
    (0..simulator.account.secrets.len())
        .map(|place| secret_name(simulator, place))
        .collect()
}

/// One part of a file for each simulator, with `between` them.
fn each(between: &str, part: impl Fn(&Simulator) -> String) -> String {
    let parts: Vec<String> = SIMULATORS.iter().map(|one| part(one)).collect();
    parts.join(between)
}

/// The parts of `docker-compose.yml` that come from the registry, in their order.
fn compose_parts() -> [String; 4] {
    let secrets = |line: fn(&str) -> String| {
        each("", |one| {
            secret_names(one).iter().map(|name| line(name)).collect()
        })
    };
    [
        secrets(|name| format!("      - {name}\n")),
        each("", |one| {
            let name = one.name;
            format!("      {name}-sim:\n        condition: service_healthy\n")
        }),
        each("\n", |one| {
            format!(
                "  {name}-sim:
    build:
      context: .
      target: sim
    command: [\"{name}\", \"--listen\", \"0.0.0.0:{port}\"]
    healthcheck:
      test: [\"CMD\", \"ota-sim\", \"healthcheck\", \"--url\", \"http://127.0.0.1:{port}/_sim/health\"]
      interval: 5s
      timeout: 3s
      retries: 5
    read_only: true
    cap_drop: [ALL]
    security_opt: [\"no-new-privileges:true\"]
",
                name = one.name,
                port = one.port,
            )
        }),
        secrets(|name| format!("  {name}:\n    file: ./{SECRETS}/{name}\n")),
    ]
}

/// The sections of the composed gateway's configuration.
fn sections() -> String {
    each("\n", |one| {
        let account = one.account;
        let mut text = format!(
            "[providers.{}]\nvendor = \"{}\"\nendpoint = \"http://{}-sim:{}\"\nallow_http = true\n",
            account.provider, account.vendor, one.name, one.port
        );
        for (key, value) in account.settings {
            text.push_str(&format!("{key} = \"{value}\"\n"));
        }
        for (place, (key, _)) in account.secrets.iter().enumerate() {
            let name = secret_name(one, place);
            text.push_str(&format!("{key}_file = \"/run/secrets/{name}\"\n"));
        }
        text
    })
}

/// Puts each part between its two marks.
fn with_parts(text: &str, parts: &[String]) -> String {
    let (mut parts, mut inside) = (parts.iter(), false);
    let mut all = String::new();
    for line in text.lines() {
        let begins = line
            .trim_start()
            .starts_with("# from the registry of simulators");
        inside &= line.trim() != "# end";
        if !inside {
            all.push_str(line);
            all.push('\n');
        }
        if begins {
            all.push_str(parts.next().unwrap());
            inside = true;
        }
    }
    assert!(!inside && parts.next().is_none(), "a mark is missing");
    all
}

/// Run it with `UPDATE=1` after a simulator was added.
#[test]
fn the_files_have_every_simulator_of_the_registry() {
    let file = |name: &str, parts: &[String]| {
        let now = std::fs::read_to_string(root().join(name)).unwrap();
        (name.to_owned(), with_parts(&now, parts))
    };
    let mut files = vec![
        file("docker-compose.yml", &compose_parts()),
        file("deploy/compose/gateway.toml", &[sections()]),
    ];
    for one in SIMULATORS {
        for (place, (_, value)) in one.account.secrets.iter().enumerate() {
            let name = format!("{SECRETS}/{}", secret_name(one, place));
            files.push((name, format!("{value}\n")));
        }
    }
    for (name, wanted) in files {
        let path = root().join(&name);
        let now = std::fs::read_to_string(&path).unwrap_or_default();
        if now != wanted && std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, wanted).unwrap();
            continue;
        }
        assert!(
            now == wanted,
            "{name} does not fit the registry of simulators; write it with `UPDATE=1 cargo test -p ota-sandbox compose`"
        );
    }
}

fn texts(yaml: &Yaml) -> Vec<String> {
    yaml.as_vec()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_service_is_confined_and_has_a_health_check() {
    let compose = compose();
    for (name, service) in compose["services"].as_hash().unwrap() {
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name:?}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name:?}");
        assert_eq!(
            texts(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name:?}"
        );
        assert!(
            !texts(&service["healthcheck"]["test"]).is_empty(),
            "{name:?}"
        );
        assert!(
            service["healthcheck"]["interval"].as_str().is_some(),
            "{name:?}"
        );
        let ports = &service["ports"];
        assert!(
            ports.is_badvalue()
                || texts(ports)
                    .iter()
                    .all(|port| port.starts_with("127.0.0.1:")),
            "{name:?}"
        );
    }
}

#[test]
fn what_runs_without_a_profile_is_built_here() {
    let compose = compose();
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let mut built = 0;
    for (name, service) in compose["services"].as_hash().unwrap() {
        if !service["profiles"].is_badvalue() {
            continue;
        }
        let target = service["build"]["target"].as_str().unwrap();
        assert!(dockerfile.contains(&format!(" AS {target}\n")), "{name:?}");
        built += 1;
    }
    // The gateway and the simulators.
    assert_eq!(built, 1 + SIMULATORS.len());
    assert!(dockerfile.contains("\nUSER 10001:10001\n"));
}

#[test]
fn the_gateway_waits_for_the_simulators() {
    let compose = compose();
    let gateway = &compose["services"]["gateway"];
    for simulator in SIMULATORS {
        let service = format!("{}-sim", simulator.name);
        assert_eq!(
            gateway["depends_on"][service.as_str()]["condition"].as_str(),
            Some("service_healthy")
        );
    }
}

#[test]
fn the_observers_are_pinned_and_find_their_files_and_the_gateway() {
    let compose = compose();
    let folder = root();
    for (service, image, port) in [
        ("prometheus", "prom/prometheus:v", 9090),
        ("grafana", "grafana/grafana:", 3000),
    ] {
        let service = &compose["services"][service];
        assert_eq!(texts(&service["profiles"]), ["observability"]);
        let version = service["image"].as_str().unwrap().strip_prefix(image);
        let parts = version.unwrap().split('.').map(str::parse::<u32>);
        assert_eq!(parts.filter(Result::is_ok).count(), 3);
        assert_eq!(
            texts(&service["ports"]),
            [format!("127.0.0.1:{port}:{port}")]
        );
        for volume in texts(&service["volumes"]) {
            let (here, _) = volume.split_once(':').unwrap();
            match here.strip_prefix("./") {
                Some(file) => {
                    assert!(folder.join(file).exists(), "{file}");
                    assert!(volume.ends_with(":ro"), "{volume}");
                }
                None => assert!(!compose["volumes"][here].is_badvalue(), "{volume}"),
            }
        }
    }
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let config = read("deploy/compose/gateway.toml");
    let (_, metrics) = config.split_once("[metrics]\n").unwrap();
    let (_, port) = metrics.split_once("listen = \"0.0.0.0:").unwrap();
    let (port, _) = port.split_once('"').unwrap();
    assert!(read("deploy/prometheus/prometheus.yml").contains(&format!("[\"gateway:{port}\"]")));
    let published = texts(&compose["services"]["gateway"]["ports"]);
    assert!(!published.iter().any(|one| one.contains(port)));
    let source = read("deploy/grafana/provisioning/datasources/prometheus.yml");
    assert!(source.contains("url: http://prometheus:9090\n"));
    let mounted = texts(&compose["services"]["grafana"]["volumes"]);
    let dashboards = read("deploy/grafana/provisioning/dashboards/ota-gateway.yml");
    let path = "/etc/grafana/dashboards";
    assert!(dashboards.contains(&format!("path: {path}\n")));
    assert!(
        mounted
            .iter()
            .any(|one| one.contains(&format!(":{path}/ota-gateway.json:")))
    );
}

#[test]
fn the_composed_gateway_starts_with_the_credentials_of_the_simulators() {
    let compose = compose();
    let folder = root();
    let file = folder.join("deploy/compose/gateway.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (name, secret) in compose["secrets"].as_hash().unwrap() {
        let name = name.as_str().unwrap();
        let path = folder.join(secret["file"].as_str().unwrap());
        assert!(texts(&compose["services"]["gateway"]["secrets"]).contains(&name.to_owned()));
        text = text.replace(
            &format!("/run/secrets/{name}\""),
            &format!("{}\"", path.display()),
        );
    }
    let here = tempfile::tempdir().unwrap();
    let config_file = here.path().join("gateway.toml");
    std::fs::write(&config_file, &text).unwrap();
    let config = Config::load(Some(&config_file), []).unwrap();
    let app = assembly::app(&config).unwrap();
    assert_eq!(app.fleet().members().count(), SIMULATORS.len());
    for simulator in SIMULATORS {
        for (key, value) in simulator.account.settings {
            assert!(text.contains(&format!("{key} = \"{value}\"")), "{key}");
        }
        for (place, (_, value)) in simulator.account.secrets.iter().enumerate() {
            let file = folder.join(SECRETS).join(secret_name(simulator, place));
            assert_eq!(std::fs::read_to_string(file).unwrap().trim(), *value);
        }
    }
}

#[test]
fn the_simulators_listen_where_the_gateway_looks_for_them() {
    let compose = compose();
    let gateway = std::fs::read_to_string(root().join("deploy/compose/gateway.toml")).unwrap();
    for simulator in SIMULATORS {
        let service = format!("{}-sim", simulator.name);
        let service = service.as_str();
        let command = texts(&compose["services"][service]["command"]);
        let port = command
            .last()
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned();
        assert!(
            gateway.contains(&format!("http://{service}:{port}")),
            "{service}"
        );
        assert!(
            texts(&compose["services"][service]["healthcheck"]["test"])
                .last()
                .unwrap()
                .contains(&format!(":{port}/"))
        );
    }
}
