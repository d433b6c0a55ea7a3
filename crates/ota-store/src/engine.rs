//! The engine that a URL names.

use std::path::PathBuf;

use crate::connection::Work;
use crate::error::{OpenError, Result};
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;

/// What a URL names.
pub(crate) enum Target {
    File(PathBuf),
    Server(Box<Postgres>),
}

impl Target {
    /// Reads the URL and the certificates that it names; nothing is sent.
    pub(crate) fn of(url: &str) -> std::result::Result<Self, OpenError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
                return Err(OpenError::Refused(
                    "the mirror's database URL: `sqlite:` is followed by the path of a file"
                        .to_owned(),
                ));
            }
            return Ok(Self::File(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Server(Box::new(Postgres::new(url)?)));
        }
        // The rest of the URL may hold a password.
        let scheme = url.split_once(':').map(|(scheme, _)| scheme);
        let scheme = scheme.filter(|text| {
            text.len() <= 20 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        });
        Err(OpenError::Refused(match scheme {
            Some(scheme) => format!(
                "the mirror's database URL begins with `{scheme}:`; it has to be `sqlite:PATH` or `postgres://…`"
            ),
            None => {
                "the mirror's database URL has to be `sqlite:PATH` or `postgres://…`".to_owned()
            }
        }))
    }
}

/// An open database of either kind.
pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Engine {
    /// Opens what the URL names.
    pub(crate) async fn open(
        url: &str,
        exclusive: bool,
        create: bool,
    ) -> std::result::Result<Self, OpenError> {
        match Target::of(url)? {
            Target::File(path) => Sqlite::open(&path, exclusive, create).map(Self::Sqlite),
            Target::Server(postgres) => {
                postgres.try_out().await?;
                Ok(Self::Postgres(postgres))
            }
        }
    }

    /// Runs work in a transaction that writes.
    pub(crate) async fn write<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        match self {
            Self::Sqlite(engine) => engine.write(work).await,
            Self::Postgres(engine) => engine.write(work).await,
        }
    }

    /// Runs work in a transaction that reads: all of its statements see one state.
    pub(crate) async fn read<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        match self {
            Self::Sqlite(engine) => engine.read(work).await,
            Self::Postgres(engine) => engine.read(work).await,
        }
    }
}
