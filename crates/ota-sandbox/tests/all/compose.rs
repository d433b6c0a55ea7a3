//! `docker-compose.yml` and the files that it names fit together and fit the code. Containers are not started here.

use std::path::{Path, PathBuf};

use ota_gateway::assembly;
use ota_gateway::config::Config;
use ota_sim::{alibaba, huawei};
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
    assert_eq!(built, 3);
    assert!(dockerfile.contains("\nUSER 10001:10001\n"));
}

#[test]
fn the_gateway_waits_for_the_simulators() {
    let compose = compose();
    let gateway = &compose["services"]["gateway"];
    for simulator in ["alibaba-sim", "huawei-sim"] {
        assert_eq!(
            gateway["depends_on"][simulator]["condition"].as_str(),
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
    assert_eq!(app.fleet().members().count(), 2);
    assert!(text.contains(&format!(
        "access_key_id = \"{}\"",
        alibaba::DEMO_ACCESS_KEY_ID
    )));
    assert!(text.contains(&format!("app_id = \"{}\"", huawei::DEMO_APP_ID)));
    let secret = |name: &str| {
        std::fs::read_to_string(folder.join("deploy/compose/secrets").join(name)).unwrap()
    };
    assert_eq!(secret("alibaba").trim(), alibaba::DEMO_ACCESS_KEY_SECRET);
    assert_eq!(secret("huawei").trim(), huawei::DEMO_SECRET);
}

#[test]
fn the_simulators_listen_where_the_gateway_looks_for_them() {
    let compose = compose();
    let gateway = std::fs::read_to_string(root().join("deploy/compose/gateway.toml")).unwrap();
    for service in ["alibaba-sim", "huawei-sim"] {
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
