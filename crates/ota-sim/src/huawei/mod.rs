//! Huawei IoT platform (OceanConnect), classic northbound API: authentication and the reading half of upgrade tasks.
//!
//! Calls are judged in this order: path, `app_key`, token, quota, parameters, ids.
//!
//! Sources: Northbound API Reference of 2022-02-24 and the error tables of the SDK references.

mod config;
mod errors;
mod northbound;
mod operations;
mod rows;
mod tokens;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub use config::{AbsentPageNo, BadToken, Config, DEMO_APP_ID, DEMO_SECRET, TotalName};

use crate::fleet::{Fleet, FleetTruth, IdsOf, JobTruth};
use crate::server::{Server, Settings};
use northbound::Huawei;
use rows::{Rows, SUB_STATUSES};

/// Names of the operations in counters, recorded requests and faults.
pub mod operation {
    /// `POST /iocm/app/sec/v1.1.0/login`
    pub const LOGIN: &str = "login";
    /// `POST /iocm/app/sec/v1.1.0/refreshToken`
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// `GET /iodm/northbound/v1.5.0/operations`
    pub const LIST_OPERATIONS: &str = "list_operations";
    /// `GET /iodm/northbound/v1.5.0/operations/{operationId}`
    pub const GET_OPERATION: &str = "get_operation";
    /// `GET /iodm/northbound/v1.5.0/operations/{operationId}/subOperations`
    pub const LIST_SUB_OPERATIONS: &str = "list_sub_operations";
    /// `GET /iodm/northbound/v1.5.0/category`
    pub const LIST_PACKAGES: &str = "list_packages";
    /// `GET /iodm/northbound/v1.5.0/category/{fileId}`
    pub const GET_PACKAGE: &str = "get_package";
}

/// Starts the simulator on `config.listen`.
///
/// # Errors
///
/// When the address cannot be bound, the fleet names a status that the vendor does not have, or the name of the
/// `app_key` header is no header name.
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
            .map_or(std::time::Duration::from_secs(60), |quota| quota.window),
    };
    let vendor = Huawei::new(config, fleet)?;
    Server::start(settings, Box::new(vendor)).await
}

/// The fleet as the vendor's words tell it.
fn truth(config: &Config, fleet: &Arc<Fleet>, age: i64) -> FleetTruth {
    let rows = Rows { config, fleet, age };
    let jobs = fleet
        .jobs(age)
        .into_iter()
        .map(|job| {
            let package = fleet.package_of(job);
            let tally = rows.tally(job);
            let tasks: BTreeMap<String, u64> = SUB_STATUSES
                .iter()
                .map(|(status, stages)| {
                    let count = stages.iter().map(|stage| tally.count(*stage)).sum();
                    (rows.shown(status), count)
                })
                .collect();
            JobTruth {
                id: job.operation_id.clone(),
                package_id: package.file_id.clone(),
                version: package.version.to_owned(),
                product_key: fleet.product_of(package).device_type.to_owned(),
                status: rows.shown(rows.status(job, &tally)),
                total: u64::from(job.tasks),
                tasks,
                timed_out: tally.timed_out,
            }
        })
        .collect();
    FleetTruth::new(Arc::clone(fleet), IdsOf::Huawei, jobs)
}
