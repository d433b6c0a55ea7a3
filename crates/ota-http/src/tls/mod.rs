//! TLS to vendors and key servers: private CA, pinned certificate, client certificate, expected server name.

mod certificate;
mod connection;
mod error;
mod identity;
mod options;
mod problem;
mod settings;
mod validity;
mod verify;

pub use certificate::Facts;
pub(crate) use connection::{Watch, build};
pub use error::TlsError;
pub use identity::{Identity, Part};
pub use options::TlsOptions;
pub use problem::{KeyNames, Problem};
pub use settings::TlsSettings;
pub use validity::{Validity, WARN_BEFORE, day};

#[cfg(test)]
mod tests;
