//! The engine that a URL names.

use std::path::PathBuf;

use crate::connection::Work;
use crate::error::{OpenError, Result};
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;

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
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
                return Err(OpenError::Refused(
                    "the mirror's database URL: `sqlite:` is followed by the path of a file"
                        .to_owned(),
                ));
            }
            let path = PathBuf::from(path);
            return Sqlite::open(&path, exclusive, create).map(Self::Sqlite);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let postgres = Postgres::new(url)?;
            postgres.try_out().await?;
            return Ok(Self::Postgres(Box::new(postgres)));
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
