//! The dashboard and the alarms of `deploy/` ask for what a gateway really serves.

use std::collections::BTreeSet;
use std::sync::Arc;

use ota_core::clock::SystemClock;
use ota_gateway::forward::Holders;
use ota_gateway::instrument::Kind;
use ota_gateway::metrics::{catalog, label_values};
use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::promql::{Labels, Served};
use ota_tests::vendors::alibaba_sim;
use ota_tests::{Gateway, PlantedStanding, Section, contract};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::setup::{ALI, World};

/// Metrics that neither the dashboard nor an alarm asks for, with the reason.
const UNUSED: &[(&str, &str)] = &[];

fn read(file: &str) -> String {
    let path = contract::root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(file: &str) -> Yaml {
    YamlLoader::load_from_str(&read(file)).unwrap().remove(0)
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/ota-gateway.json")).unwrap()
}

fn alarms() -> Vec<Yaml> {
    let rules = yaml("deploy/prometheus/rules.yml");
    let groups = rules["groups"].as_vec().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_vec());
    rules.flatten().cloned().collect()
}

/// The metrics of a mirror whose first pass has ended.
async fn of_mirror(url: &str) -> String {
    let text = ota_tests::gateway::keeping_head() + &Section::alibaba(ALI, url).to_toml();
    let gateway = Gateway::with_file(&format!("{text}{}", crate::setup::MIRROR)).await;
    let mut lines = String::new();
    ota_tests::wire::until(async || {
        gateway.get("/v1/jobs").await.ok();
        let text = gateway.metrics().await;
        let of_mirror = text.lines().filter(|line| line.contains("ota_mirror_"));
        lines = of_mirror.map(|line| format!("{line}\n")).collect();
        let samples = [
            "calls_total",
            "passes_total",
            "lag_seconds",
            "rows",
            "state",
            "stuck",
        ];
        samples
            .iter()
            .all(|name| lines.contains(&format!("\nota_mirror_{name}{{")))
    })
    .await;
    lines
}

/// The metrics of a gateway that passes reads on.
async fn of_forwarding() -> String {
    let standing: Arc<dyn Holders> = PlantedStanding::not_holder(None);
    let section = Section::alibaba(ALI, "http://127.0.0.1:1").to_toml();
    let text = ota_tests::gateway::keeping_head() + &section;
    let gateway = Gateway::among(&text, Arc::new(SystemClock), Some(standing)).await;
    gateway.get(&World::jobs_path(ALI)).await;
    let text = gateway.metrics().await;
    let lines = text.lines().filter(|line| line.contains("ota_forwarded_"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// What a gateway serves after it has met everything that is counted.
async fn served() -> Served {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 2");
    let gateway = Gateway::keeping(&[section], Arc::new(SystemClock)).await;
    sim.set_faults(vec![
        Fault::always(FaultKind::Throttle).times(1),
        Fault::always(FaultKind::UnknownStatus),
    ]);
    let job = sim.fleet().jobs[0].id.clone();
    let path = format!("{}/{job}", World::jobs_path(ALI));
    gateway.get(&path).await.ok();
    // What is there with TLS only.
    let folder = tempfile::tempdir().unwrap();
    let (text, _) = crate::vendors::credentials::with_certificate(folder.path(), 90);
    let encrypted = Gateway::with_file(&text).await;
    let certificate = encrypted.metrics().await;
    let certificate = certificate
        .lines()
        .filter(|line| line.contains("ota_tls_certificate_expiry_seconds"));
    let text = gateway.metrics().await + &of_mirror(&sim.url()).await + &of_forwarding().await;
    let lines = text
        .lines()
        .filter(|line| !line.contains("ota_tls_certificate_expiry_seconds"))
        .chain(certificate);
    let mut served = Served::read(&lines.collect::<Vec<_>>().join("\n"));
    for label in catalog().iter().flat_map(|metric| metric.labels) {
        if let Some(words) = label_values(label.name) {
            let words = words.into_iter().map(str::to_owned).collect();
            served.values.insert(label.name.to_owned(), words);
        }
    }
    served
}

/// The variable parts of a template: what is in `{{…}}`, without `prefix`.
fn placeholders(template: &str, prefix: &str) -> Labels {
    let parts = template.split("{{").skip(1);
    let names = parts.map(|part| part.split_once("}}").unwrap().0.trim());
    names
        .filter(|name| *name != "$value")
        .map(|name| name.strip_prefix(prefix).unwrap().to_owned())
        .collect()
}

/// Checks an expression and that the result has the labels that are shown.
fn check(served: &Served, expression: &str, shown: &Labels, used: &mut BTreeSet<String>) {
    let labels = served.check(expression, used).unwrap();
    let labels = labels.unwrap_or_default();
    assert!(
        shown.is_subset(&labels),
        "{shown:?} is shown, and the result has {labels:?}: {expression}"
    );
}

/// The only regular expression of the page's `map`: one class of characters and how many of them.
fn class_of(pattern: &str) -> (BTreeSet<char>, std::ops::RangeInclusive<usize>) {
    let inner = pattern
        .strip_prefix("~^[")
        .and_then(|rest| rest.strip_suffix("}$"));
    let (class, count) = inner.and_then(|inner| inner.split_once("]{")).unwrap();
    let (least, most) = count.split_once(',').unwrap();
    let class: Vec<char> = class.chars().collect();
    let mut chars = BTreeSet::new();
    let mut at = 0;
    while at < class.len() {
        match (class.get(at + 1), class.get(at + 2)) {
            (Some('-'), Some(last)) => {
                chars.extend(class[at]..=*last);
                at += 3;
            }
            _ => {
                chars.insert(class[at]);
                at += 1;
            }
        }
    }
    (chars, least.parse().unwrap()..=most.parse().unwrap())
}

#[tokio::test]
async fn nginx_keeps_an_identifier_exactly_where_the_gateway_does() {
    let page = read("docs/operations.md");
    let map = page
        .split("map $http_x_request_id $ota_request_id {\n")
        .nth(1);
    let map: Vec<Vec<&str>> = map
        .unwrap()
        .lines()
        .take_while(|line| *line != "}")
        .map(|line| {
            let parts = line.trim().trim_end_matches(';').split_whitespace();
            parts.map(|part| part.trim_matches('"')).collect()
        })
        .collect();
    assert_eq!(map[0], ["default", "$request_id"], "{map:?}");
    assert_eq!((map.len(), map[1][1]), (2, "$http_x_request_id"), "{map:?}");
    let (chars, count) = class_of(map[1][0]);
    let gateway = Gateway::start(&[]).await;
    let mut ids: Vec<String> = (' '..='~').map(|c| format!("a{c}b")).collect();
    for length in [1, 2, 63, 64, 65, 100] {
        ids.push("x".repeat(length));
    }
    for id in ids {
        let ask = gateway.ask("GET", "/healthz").header("X-Request-Id", &id);
        let kept = ask.send().await.must("x-request-id") == id;
        let expected = count.contains(&id.len()) && id.chars().all(|c| chars.contains(&c));
        assert_eq!(kept, expected, "{id}");
    }
}

#[tokio::test]
async fn dashboard_and_alarms_ask_for_metrics_labels_and_words_that_are_served() {
    let served = served().await;
    let mut used = BTreeSet::new();
    for alarm in alarms() {
        let expression = alarm["expr"].as_str().unwrap();
        let mut shown = Labels::new();
        for annotation in ["summary", "description"] {
            let text = alarm["annotations"][annotation].as_str().unwrap();
            shown.extend(placeholders(text, "$labels."));
        }
        check(&served, expression, &shown, &mut used);
    }
    let dashboard = dashboard();
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        let shown = placeholders(annotation["titleFormat"].as_str().unwrap(), "");
        let expression = annotation["expr"].as_str().unwrap();
        check(&served, expression, &shown, &mut used);
    }
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let shown = placeholders(target["legendFormat"].as_str().unwrap(), "");
            let expression = target["expr"].as_str().unwrap();
            check(&served, expression, &shown, &mut used);
        }
    }
    for metric in catalog() {
        let sample = match metric.kind {
            Kind::Counter | Kind::Gauge => metric.name.to_owned(),
            Kind::Histogram => format!("{}_bucket", metric.name),
        };
        served.labels(&sample).unwrap();
        let excused = UNUSED.iter().any(|(name, _)| *name == metric.name);
        assert_ne!(used.contains(&sample), excused, "{}", metric.name);
    }
}

#[tokio::test]
async fn variables_of_the_dashboard_are_declared_and_have_values() {
    let served = served().await;
    let dashboard = dashboard();
    let text = read("deploy/grafana/ota-gateway.json");
    let mut declared = vec!["__all".to_owned(), "__rate_interval".to_owned()];
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap().to_owned();
        if variable["type"] == "query" {
            let query = variable["query"]["query"].as_str().unwrap();
            assert_eq!(variable["definition"], query);
            let inner = query.strip_prefix("label_values(").unwrap();
            let (metric, label) = inner.strip_suffix(')').unwrap().split_once(", ").unwrap();
            assert!(served.labels(metric).unwrap().contains(label), "{query}");
        }
        declared.push(name);
    }
    for part in text.split('$').skip(1) {
        let part = part.trim_start_matches('{');
        let end = part.find(|symbol: char| !symbol.is_ascii_alphanumeric() && symbol != '_');
        let name = &part[..end.unwrap()];
        assert!(declared.iter().any(|one| one == name), "${name}");
    }
}

#[test]
fn panels_have_a_place_and_a_data_source_of_their_own() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{title}");
        for x in of("x")..of("x") + of("w") {
            for y in of("y")..of("y") + of("h") {
                assert!(taken.insert((x, y)), "{title} lies on another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], panel["datasource"], "{title}");
        }
    }
}

#[test]
fn every_alarm_says_how_urgent_it_is_and_stands_in_the_operators_page() {
    let page = read("docs/operations.md");
    let (_, page) = page.split_once("### What to alarm on").unwrap();
    let scraped = yaml("deploy/prometheus/prometheus.yml");
    let job = scraped["scrape_configs"][0]["job_name"].as_str().unwrap();
    let names: BTreeSet<String> = alarms()
        .iter()
        .map(|alarm| {
            let name = alarm["alert"].as_str().unwrap();
            let severity = alarm["labels"]["severity"].as_str().unwrap();
            assert!(
                ["critical", "warning", "info"].contains(&severity),
                "{name}"
            );
            assert!(
                page.contains(&format!("| `{name}` | {severity} |")),
                "{name}"
            );
            for part in alarm["expr"].as_str().unwrap().split("job=").skip(1) {
                assert!(part.starts_with(&format!("\"{job}\"")), "{name}");
            }
            name.to_owned()
        })
        .collect();
    assert_eq!(names.len(), alarms().len(), "a name is given twice");
    let rows = page.lines().filter(|line| line.starts_with("| `Ota"));
    assert_eq!(rows.count(), names.len(), "the page has other alarms");
    let tried = read("deploy/prometheus/rules.test.yml");
    for name in &names {
        assert!(
            tried.contains(&format!("alertname=\"{name}\"")),
            "{name} is not tried"
        );
    }
}
