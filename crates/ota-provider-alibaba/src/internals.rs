//! The signature schemes and decoders, open for benchmarks, fuzzers and tests with published vectors. They are not part of the adapter's
//! public interface and may change with every version.

use bytes::Bytes;
use http::HeaderMap;
use ota_adapter::Source;
use ota_core::Result;
use ota_core::configured_fields::ConfiguredFields;
use ota_core::drift::DriftCounter;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::Job;
use ota_core::task::Task;
use ota_http::Response;

use crate::answers;
use crate::client::interpret;
use crate::config::VENDOR;
use crate::credentials::Secrets;

pub use crate::sign::{Acs3, acs3, canonical_query, rpc};
pub use crate::wire::{decode, xml};

/// The operations that this adapter calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `QueryOTAJob`
    Job,
    /// `ListOTAJobByFirmware`
    JobsByPackage,
    /// `ListOTAJobByDevice`
    JobsByDevice,
    /// `ListOTATaskByJob`
    Tasks,
    /// `ListOTAFirmware`
    Packages,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 5] = [
        Self::Job,
        Self::JobsByPackage,
        Self::JobsByDevice,
        Self::Tasks,
        Self::Packages,
    ];
}

/// What an answer holds. A row that cannot be read is `None`.
#[derive(Debug)]
pub enum Read {
    /// A job, or none under the identifier.
    Job(Option<Box<Job>>),
    /// A page of jobs.
    Jobs(Vec<Option<Job>>),
    /// A page of tasks.
    Tasks(Vec<Option<Task>>),
    /// A page of packages, by their identifiers.
    Packages(Vec<Option<String>>),
}

/// The secret of the account that is read with: no error may show it.
pub const SECRET: &str = "secret-of-nobody";

/// Reads an answer as the provider does, in either format.
///
/// # Errors
/// What a caller of the provider would see.
pub fn read(operation: Operation, status: u16, body: &[u8]) -> Result<Read> {
    let response = Response {
        status,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    };
    let secrets = Secrets {
        access_key_id: "LTAI-example".into(),
        access_key_secret: SECRET.into(),
        security_token: None,
    };
    let answer = interpret(&response, &secrets, &|_, _| {})?;
    let fields = ConfiguredFields::default();
    let (provider, drift) = (
        ProviderName::parse("internals").expect("the name is valid"),
        DriftCounter::default(),
    );
    let source = |operation| Source {
        vendor: VENDOR,
        provider: &provider,
        operation,
        drift: &drift,
        fields: &fields,
    };
    Ok(match operation {
        Operation::Job => Read::Job(answers::job(source("QueryOTAJob"), answer)?.map(Box::new)),
        Operation::JobsByPackage => {
            Read::Jobs(answers::jobs(source("ListOTAJobByFirmware"), answer)?.rows)
        }
        Operation::JobsByDevice => {
            Read::Jobs(answers::jobs(source("ListOTAJobByDevice"), answer)?.rows)
        }
        Operation::Tasks => {
            let job = JobId::from("job");
            Read::Tasks(answers::tasks(source("ListOTATaskByJob"), answer, &job)?.rows)
        }
        Operation::Packages => {
            let packages = answers::packages(source("ListOTAFirmware"), answer)?.rows;
            let ids = packages
                .into_iter()
                .map(|row| row?.firmware_id.identifier());
            Read::Packages(ids.collect())
        }
    })
}
