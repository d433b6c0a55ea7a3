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
fn compose_parts() -> [String; 8] {
    let secrets = |line: fn(&str) -> String| {
        each("", |one| {
            secret_names(one).iter().map(|name| line(name)).collect()
        })
    };
    let given = secrets(|name| format!("      - {name}\n"));
    let waited_for = each("", |one| {
        let name = one.name;
        format!("      {name}-sim:\n        condition: service_healthy\n")
    });
    [
        given.clone(),
        waited_for.clone(),
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
        given.clone(),
        waited_for.clone(),
        given,
        waited_for,
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
fn gateways_wait_for_the_simulators() {
    let compose = compose();
    for gateway in ["gateway", CLUSTER[0], CLUSTER[1]] {
        for simulator in SIMULATORS {
            let service = format!("{}-sim", simulator.name);
            assert!(waits_for(&compose, gateway, &service), "{gateway}");
        }
    }
}

fn waits_for(compose: &Yaml, service: &str, other: &str) -> bool {
    let others = &compose["services"][service]["depends_on"];
    others[other]["condition"].as_str() == Some("service_healthy")
}

/// Asserts that an image is named with so many numbers of its version, which is all of them.
fn assert_pinned(service: &Yaml, image: &str, count: usize) {
    let tag = service["image"].as_str().unwrap().strip_prefix(image);
    let version = tag.unwrap().split('-').next().unwrap();
    let numbers = version.split('.').map(str::parse::<u32>);
    assert_eq!(numbers.filter(Result::is_ok).count(), count, "{version}");
}

/// Asserts that what a service mounts is there, and cannot be changed by it unless it is a volume.
fn assert_mounts(compose: &Yaml, service: &Yaml) {
    for volume in texts(&service["volumes"]) {
        let (here, _) = volume.split_once(':').unwrap();
        match here.strip_prefix("./") {
            Some(file) => {
                assert!(root().join(file).exists(), "{file}");
                assert!(volume.ends_with(":ro"), "{volume}");
            }
            // A volume without settings is a name with nothing behind it.
            None => {
                let volumes = compose["volumes"].as_hash().unwrap();
                assert!(
                    volumes.contains_key(&Yaml::String(here.to_owned())),
                    "{volume}"
                );
            }
        }
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
        assert_pinned(service, image, 3);
        assert_eq!(
            texts(&service["ports"]),
            [format!("127.0.0.1:{port}:{port}")]
        );
        assert_mounts(&compose, service);
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

/// Writes the configuration of the composed gateways with the places where their secrets are here; returns its folder and its text.
fn config_file(compose: &Yaml, given: &[String]) -> (tempfile::TempDir, String) {
    let folder = root();
    let mut text = std::fs::read_to_string(folder.join("deploy/compose/gateway.toml")).unwrap();
    for name in given {
        text = text.replace(
            &format!("/run/secrets/{name}\""),
            &format!("{}\"", secret_file(compose, name).display()),
        );
    }
    assert!(!text.contains("/run/secrets/"), "{text}");
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("gateway.toml"), &text).unwrap();
    (here, text)
}

fn secret_file(compose: &Yaml, name: &str) -> PathBuf {
    root().join(compose["secrets"][name]["file"].as_str().unwrap())
}

/// The gateways that share a database.
const CLUSTER: [&str; 2] = ["gateway-a", "gateway-b"];

#[test]
fn the_gateways_of_the_cluster_start_and_share_one_database() {
    let compose = compose();
    let mut databases = Vec::new();
    for name in CLUSTER {
        let service = &compose["services"][name];
        assert_eq!(texts(&service["profiles"]), ["cluster"]);
        assert!(waits_for(&compose, name, "postgres"));
        assert_mounts(&compose, service);
        let given = texts(&service["secrets"]);
        let (here, _) = config_file(&compose, &given);
        let environment = service["environment"].as_hash().unwrap().iter();
        let environment = environment.map(|(key, value)| {
            let (key, value) = (key.as_str().unwrap(), value.as_str().unwrap());
            let value = match value.strip_prefix("/run/secrets/") {
                Some(secret) => {
                    assert!(given.contains(&secret.to_owned()), "{secret}");
                    secret_file(&compose, secret).display().to_string()
                }
                None => value.to_owned(),
            };
            (key.to_owned(), value)
        });
        let settings = environment.filter(|(key, _)| key != "OTA_GATEWAY_CONFIG");
        let config = Config::load(
            Some(&here.path().join("gateway.toml")),
            settings.collect::<Vec<_>>(),
        )
        .unwrap();
        let app = assembly::app(&config).unwrap();
        assert_eq!(app.fleet().members().count(), SIMULATORS.len());
        let address = config.cluster.address(config.server.listen, false).unwrap();
        assert_eq!(address, format!("http://{name}:8080"));
        databases.push(config.mirror.database_url.expose_secret().to_owned());
    }
    assert_eq!(databases[0], databases[1]);
    let postgres = &compose["services"]["postgres"];
    assert_pinned(postgres, "postgres:", 2);
    let environment = &postgres["environment"];
    let password = std::fs::read_to_string(secret_file(&compose, "postgres")).unwrap();
    let (user, database) = (&environment["POSTGRES_USER"], &environment["POSTGRES_DB"]);
    let (user, database) = (user.as_str().unwrap(), database.as_str().unwrap());
    let url = format!("postgres://{user}:{}@postgres/{database}", password.trim());
    assert_eq!(databases[0], url);
}

#[test]
fn no_password_stands_in_the_composed_file() {
    let compose = compose();
    let text = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    for (name, secret) in compose["secrets"].as_hash().unwrap() {
        let file = root().join(secret["file"].as_str().unwrap());
        let secret = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains(secret.trim()), "{name:?}");
    }
}

#[test]
fn the_proxy_of_the_cluster_finds_both_gateways() {
    let compose = compose();
    let nginx = &compose["services"]["nginx"];
    assert_eq!(texts(&nginx["profiles"]), ["cluster"]);
    assert_pinned(nginx, "nginx:", 3);
    assert_mounts(&compose, nginx);
    let file = "./deploy/nginx/ota-gateway.conf";
    assert!(
        texts(&nginx["volumes"])
            .iter()
            .any(|volume| volume.starts_with(&format!("{file}:")))
    );
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let servers = text.lines().filter_map(|line| {
        let server = line.trim().strip_prefix("server ")?;
        server.split(' ').next().filter(|name| name.contains(':'))
    });
    let wanted = CLUSTER.map(|name| format!("{name}:8080"));
    assert_eq!(servers.collect::<Vec<_>>(), wanted);
    assert!(
        CLUSTER
            .iter()
            .all(|name| waits_for(&compose, "nginx", name))
    );
    // What is published is what it listens at.
    let port = texts(&nginx["ports"])[0]
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    assert!(text.contains(&format!("    listen {port};\n")));
}

#[test]
fn the_composed_gateway_starts_with_the_credentials_of_the_simulators() {
    let (compose, folder) = (compose(), root());
    let given = texts(&compose["services"]["gateway"]["secrets"]);
    let (here, text) = config_file(&compose, &given);
    let config = Config::load(Some(&here.path().join("gateway.toml")), []).unwrap();
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
