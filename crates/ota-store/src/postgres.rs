//! PostgreSQL: a small pool of connections.
//!
//! A connection goes back to the pool only after its transaction has ended. One whose caller left in between is closed, which rolls it back: nothing can be
//! left behind in the pool.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use crate::caches::Caches;
use crate::connection::{Connection, Work};
use crate::error::{OpenError, Result, StoreError};
use crate::postgres_connection::{PostgresConnection, failed};
use crate::postgres_tls::{Tls, TlsParameters, client_config};

/// Connections that are open at most.
const CONNECTIONS: usize = 8;

/// How long a connection may take to be made, where the URL does not say.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a server may leave what was sent unconfirmed.
const SILENT: Duration = Duration::from_secs(15);

/// How long a transaction may wait for its next statement. Shorter than a lease, so that whoever takes an account over finds nothing locked.
const SILENT_CLIENT: Duration = Duration::from_secs(10);

/// The server and the connections to it.
pub(crate) struct Postgres {
    config: Config,
    tls: Option<Tls>,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    caches: Arc<Caches>,
}

impl Postgres {
    /// Reads the URL; nothing is sent yet.
    pub(crate) fn new(url: &str) -> std::result::Result<Self, OpenError> {
        let parameters = TlsParameters::take(url);
        let mut config: Config =
            parameters
                .url
                .parse()
                .map_err(|error: tokio_postgres::Error| {
                    // The source names the part that is wrong, never the password.
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    OpenError::Refused(format!(
                        "the mirror's database URL is no postgres URL: {}",
                        source.unwrap_or_else(|| "it cannot be read".to_owned())
                    ))
                })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        // A server that vanished without a word is noticed in seconds, not after the two hours of the system's default.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENT);
        }
        config.keepalives_idle(SILENT);
        if config.get_application_name().is_none() {
            config.application_name("ota-gateway");
        }
        // `prefer`, which stands for "not said", would accept any certificate or none; it is taken as "no TLS".
        let is_plain = matches!(config.get_ssl_mode(), SslMode::Disable | SslMode::Prefer);
        let tls = match (is_plain, parameters.root_certificates) {
            (false, path) => Some(Tls::new(client_config(path.as_deref())?)),
            (true, None) => None,
            (true, Some(_)) => {
                return Err(OpenError::Refused(
                    "the mirror's database URL has `sslrootcert` without TLS: add `sslmode=verify-full`"
                        .to_owned(),
                ));
            }
        };
        if tls.is_none() {
            config.ssl_mode(SslMode::Disable);
        }
        Ok(Self {
            config,
            tls,
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(CONNECTIONS),
            caches: Arc::default(),
        })
    }

    /// Runs work in a transaction that writes.
    pub(crate) async fn write<T>(&self, work: impl Work<T>) -> Result<T> {
        self.transaction("BEGIN", work).await
    }

    /// Runs work in a transaction that reads: all of its statements see one state.
    pub(crate) async fn read<T>(&self, work: impl Work<T>) -> Result<T> {
        self.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work)
            .await
    }

    /// Connects once.
    pub(crate) async fn try_out(&self) -> std::result::Result<(), OpenError> {
        match self.connect().await {
            Ok(connection) => {
                self.give_back(connection);
                Ok(())
            }
            Err(error) => Err(match refused_for_good(&error) {
                true => OpenError::Refused(text(&failed(&error))),
                false => OpenError::Away(text(&failed(&error))),
            }),
        }
    }

    async fn transaction<T>(&self, begin: &str, work: impl Work<T>) -> Result<T> {
        let _place = self.places.acquire().await.map_err(|_| closed())?;
        let idle = self.take_idle();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| failed(&error))?,
        };
        // From here on, a future that is dropped drops the connection with it.
        connection.batch(begin).await?;
        match work(&mut connection).await {
            Ok(value) => {
                connection.batch("COMMIT").await?;
                self.give_back(connection);
                Ok(value)
            }
            Err(error) => {
                if connection.batch("ROLLBACK").await.is_ok() {
                    self.give_back(connection);
                }
                Err(error)
            }
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            let closed = matches!(&connection, Connection::Postgres(inner) if inner.is_closed());
            if !closed {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }

    async fn connect(&self) -> std::result::Result<Connection, tokio_postgres::Error> {
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                // It ends when the client is dropped. Its error is told to the client too.
                tokio::spawn(async move { connection.await.is_ok() });
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(async move { connection.await.is_ok() });
                client
            }
        };
        client.batch_execute(&session()).await?;
        let caches = Arc::clone(&self.caches);
        Ok(Connection::Postgres(PostgresConnection::new(
            client, caches,
        )))
    }
}

/// Makes the server end a transaction whose client is silent: a gateway that was stopped in the middle of one would otherwise keep its rows locked, and its
/// lease with them, for as long as it is stopped.
fn session() -> String {
    format!(
        "SET idle_in_transaction_session_timeout = {}",
        SILENT_CLIENT.as_millis()
    )
}

/// Returns whether a refusal stays until an operator does something: a wrong password, an unknown database, no right to connect.
fn refused_for_good(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        return error.to_string().contains("invalid configuration");
    };
    // Classes 28 (authorization) and 3D (database), and 42501 (no right).
    code.code().starts_with("28") || code.code().starts_with("3D") || code.code() == "42501"
}

fn text(error: &StoreError) -> String {
    error.to_string()
}

fn closed() -> StoreError {
    StoreError::Unavailable {
        message: "the mirror's database: it is being closed".to_owned(),
    }
}
