//! A schema of a test's own on the PostgreSQL server of the tests.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};

/// The variable that names the server. `.ci/postgres` starts one and sets it.
pub const SERVER: &str = "OTA_TEST_POSTGRES_URL";

/// Returns the server's URL; none, with a word about it, where there is no server.
#[must_use]
pub fn server() -> Option<String> {
    let url = std::env::var(SERVER).ok();
    if url.is_none() {
        println!("left out, because {SERVER} is not set");
    }
    url
}

/// A schema of a test's own.
#[derive(Debug)]
pub struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// Makes an empty one; none where there is no server.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = server()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("end_to_end_{}_{number}", std::process::id());
        let made = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
        execute(&server, &made).await;
        Some(Self { server, name })
    }

    /// Returns the URL by which a gateway uses it; `address` stands in the place of the server's own host and port.
    #[must_use]
    pub fn url(&self, address: Option<&str>) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        let url = match (address, parts(&self.server)) {
            (Some(address), Some((before, _, behind))) => format!("{before}{address}{behind}"),
            _ => self.server.clone(),
        };
        format!(
            "{url}{separator}options=-csearch_path%3D{}%2Cpublic",
            self.name
        )
    }

    /// Returns the server's own host and port.
    ///
    /// # Panics
    /// When the URL of the server has none.
    #[must_use]
    pub fn address(&self) -> String {
        let (_, address, _) = parts(&self.server).expect("the URL of the server has an address");
        address.to_owned()
    }

    /// Connects to it, for a look that no gateway takes.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn connect(&self) -> Client {
        let client = connect(&self.server).await;
        let path = format!("SET search_path TO {}", self.name);
        client.batch_execute(&path).await.expect("the path is set");
        client
    }

    /// Removes it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn remove(self) {
        let gone = format!("DROP SCHEMA {} CASCADE", self.name);
        execute(&self.server, &gone).await;
    }
}

/// Splits a URL before and behind its host and port.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    let start = url[start..end]
        .rfind('@')
        .map_or(start, |at| start + at + 1);
    Some((&url[..start], &url[start..end], &url[end..]))
}

async fn connect(server: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(server, NoTls)
        .await
        .expect("the server of the tests answers");
    tokio::spawn(connection);
    client
}

async fn execute(server: &str, statements: &str) {
    connect(server)
        .await
        .batch_execute(statements)
        .await
        .expect("the statements run");
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_url_is_split_at_its_address() {
        assert_eq!(
            parts("postgres://ota:a@127.0.0.1:54/postgres?x=1"),
            Some(("postgres://ota:a@", "127.0.0.1:54", "/postgres?x=1"))
        );
        assert_eq!(parts("postgres://h"), Some(("postgres://", "h", "")));
    }
}
