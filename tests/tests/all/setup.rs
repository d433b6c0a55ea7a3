//! The environment of most tests: a simulator of each vendor and one gateway.

use ota_sim::{FleetShape, Liberty, Server};
use ota_tests::vendors::{alibaba_sim, huawei_sim};
use ota_tests::wire::until;
use ota_tests::{Gateway, Section};
use serde_json::Value;

/// The name of the Alibaba provider.
pub(crate) const ALI: &str = "ali";
/// The name of the Huawei provider.
pub(crate) const HUA: &str = "hua";

/// A mirror in the folder of its gateway.
pub(crate) const MIRROR: &str = "[mirror]\ndatabase_url = \"sqlite:{folder}/mirror.db\"\n";

/// The environment of a test (`World` as in Cucumber): running servers on free ports, stopped when it is dropped.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) alibaba: Server,
    pub(crate) huawei: Server,
}

impl World {
    /// Five jobs of thirty tasks at each vendor, in every phase of life, which do not change with time.
    pub(crate) async fn small() -> Self {
        Self::of(FleetShape::uniform(5, 30).frozen()).await
    }

    pub(crate) async fn of(fleet: FleetShape) -> Self {
        let alibaba = alibaba_sim(fleet.clone()).await;
        let huawei = huawei_sim(fleet).await;
        let gateway = Gateway::start(&[
            Section::alibaba(ALI, &alibaba.url()),
            Section::huawei(HUA, &huawei.url()),
        ])
        .await;
        Self {
            gateway,
            alibaba,
            huawei,
        }
    }

    /// As [`World::small`], with a mirror whose first pass has ended.
    pub(crate) async fn mirrored() -> Self {
        Self::mirrored_of(FleetShape::uniform(5, 30).frozen()).await
    }

    /// A world with a mirror whose first pass has ended.
    pub(crate) async fn mirrored_of(fleet: FleetShape) -> Self {
        Self::mirrored_taking(fleet, &[]).await
    }

    /// As [`World::mirrored_of`], of vendors that take liberties.
    pub(crate) async fn mirrored_taking(fleet: FleetShape, liberties: &[Liberty]) -> Self {
        let alibaba = alibaba_sim(fleet.clone()).await;
        let huawei = huawei_sim(fleet).await;
        alibaba.take_liberties(liberties);
        huawei.take_liberties(liberties);
        let text = format!(
            "{}{}{}{MIRROR}",
            ota_tests::gateway::head(),
            Section::alibaba(ALI, &alibaba.url()).to_toml(),
            Section::huawei(HUA, &huawei.url()).to_toml(),
        );
        let world = Self {
            gateway: Gateway::with_file(&text).await,
            alibaba,
            huawei,
        };
        world.synced().await;
        world
    }

    /// Waits until every mirror is current.
    pub(crate) async fn synced(&self) {
        until(async || {
            let page = self.gateway.get("/v1/jobs?page_size=1").await.ok();
            let sources = page["sources"].as_array().unwrap();
            sources.iter().all(|source| source["state"] == "current")
        })
        .await;
    }

    pub(crate) fn sim(&self, provider: &str) -> &Server {
        match provider {
            ALI => &self.alibaba,
            _ => &self.huawei,
        }
    }

    /// A job with at least one failed task.
    pub(crate) fn job(&self, provider: &str) -> String {
        let failed = |word: &str| word.eq_ignore_ascii_case("failed") || word == "fail";
        let fleet = self.sim(provider).fleet();
        let job = fleet.jobs.iter().find(|job| {
            job.tasks
                .iter()
                .any(|(word, count)| failed(word) && *count > 0)
        });
        job.unwrap().id.clone()
    }

    pub(crate) fn jobs_path(provider: &str) -> String {
        format!("/v1/providers/{provider}/jobs")
    }

    pub(crate) fn job_path(&self, provider: &str) -> String {
        format!("{}/{}", Self::jobs_path(provider), self.job(provider))
    }

    pub(crate) fn tasks_path(&self, provider: &str) -> String {
        format!("{}/tasks", self.job_path(provider))
    }
}

/// The identifiers of a page's rows.
pub(crate) fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Adds a query parameter.
pub(crate) fn with(path: &str, name: &str, value: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}{name}={value}")
}

/// Adds the parameters that an operation must have, as its document shows them.
pub(crate) fn with_required(path: String, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().unwrap();
    let required = parameters.iter().map(ota_tests::contract::resolved);
    let required =
        required.filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    required.fold(path, |path, parameter| {
        let name = parameter["name"].as_str().unwrap();
        let values = parameter["example"].as_array().unwrap();
        let values: Vec<&str> = values.iter().map(|value| value.as_str().unwrap()).collect();
        with(&path, name, &values.join(","))
    })
}

/// Reads a list to its end and returns its pages.
pub(crate) async fn all_pages(gateway: &Gateway, path: &str) -> Vec<Value> {
    let mut pages = vec![gateway.get(path).await.ok()];
    while let Some(cursor) = pages.last().unwrap()["next_cursor"].as_str() {
        let next = with(path, "cursor", cursor);
        pages.push(gateway.get(&next).await.ok());
        assert!(pages.len() < 2000, "the list does not end");
    }
    pages
}

/// The rows of all pages.
pub(crate) fn rows(pages: &[Value]) -> Vec<Value> {
    pages
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap().clone())
        .collect()
}
