//! A schema of the benchmark's own on a PostgreSQL server.

use tokio_postgres::NoTls;

use crate::scenario::Outcome;

/// The variable that names the server.
pub(super) const SERVER: &str = "OTA_TEST_POSTGRES_URL";

/// An empty schema.
#[derive(Debug)]
pub(super) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// Makes one; none where no server is named.
    pub(super) async fn make() -> Outcome<Option<Self>> {
        let Ok(server) = std::env::var(SERVER) else {
            return Ok(None);
        };
        let name = format!("bench_{}", std::process::id());
        execute(&server, &format!("CREATE SCHEMA {name}")).await?;
        Ok(Some(Self { server, name }))
    }

    /// Returns the URL by which gateways use it.
    pub(super) fn url(&self) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        let path = format!("options=-csearch_path%3D{}%2Cpublic", self.name);
        format!("{}{separator}{path}", self.server)
    }

    /// Removes it with all that is in it.
    pub(super) async fn remove(&self) -> Outcome<()> {
        execute(&self.server, &format!("DROP SCHEMA {} CASCADE", self.name)).await
    }
}

async fn execute(server: &str, statement: &str) -> Outcome<()> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(statement).await?;
    drop(client);
    Ok(connection.await??)
}
