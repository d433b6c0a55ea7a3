//! Alibaba Cloud IoT Platform, version 2018-01-20: the reading half of the OTA API.
//!
//! Calls are judged in this order: method, action and version, common parameters, key, security token, time stamp,
//! signature, nonce, quota, parameters (errors of the gateway), then instance, pages and ids (errors of the product).
//!
//! Sources: IoT Platform help, pages of the six operations, "Common parameters", "Signature method", "Error codes".

mod config;
mod errors;
mod gateway;
mod operations;
mod rows;
mod sign;
mod wire;
mod xml;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub use config::{
    Config, Credential, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, ThrottleStatus, ThrottleStyle,
    UnknownJob,
};

use crate::fleet::{Fleet, FleetTruth, IdsOf, JobTruth, Stage};
use crate::server::{Server, Settings};
use gateway::Alibaba;
use rows::Rows;

/// Starts the simulator on `config.listen`.
///
/// # Errors
///
/// When the address cannot be bound or the fleet names a status that the vendor does not have.
pub async fn start(config: Config) -> io::Result<Server> {
    let now = config.clock.now();
    let server_time = now.checked_add(config.clock_offset).unwrap_or(now);
    let fleet = Arc::new(Fleet::new(&config.fleet, config.seed, server_time)?);
    let settings = Settings {
        listen: config.listen,
        tls: config.tls.clone(),
        clock: config.clock.clone(),
        clock_offset: config.clock_offset,
        seed: config.seed,
        faults: config.faults.clone(),
        counted_window: config
            .quota
            .map_or(std::time::Duration::from_secs(1), |quota| quota.window),
    };
    Server::start(settings, Box::new(Alibaba::new(config, fleet))).await
}

/// The fleet as the vendor's words tell it.
fn truth(config: &Config, fleet: &Arc<Fleet>, age: i64) -> FleetTruth {
    let rows = Rows { config, fleet, age };
    let jobs = fleet
        .jobs(age)
        .into_iter()
        .map(|job| {
            let package = fleet.package_of(job);
            let tally = job.tally(fleet.seed, age);
            let mut tasks = BTreeMap::new();
            for stage in Stage::ALL {
                *tasks.entry(rows.task_status(stage).to_owned()).or_default() += tally.count(stage);
            }
            JobTruth {
                id: job.id.clone(),
                package_id: package.id.clone(),
                version: package.version.to_owned(),
                product_key: fleet.product_of(package).key.clone(),
                status: rows.job_status(job).to_owned(),
                total: u64::from(job.tasks),
                tasks,
                timed_out: tally.timed_out,
            }
        })
        .collect();
    FleetTruth::new(Arc::clone(fleet), IdsOf::Alibaba, jobs)
}
