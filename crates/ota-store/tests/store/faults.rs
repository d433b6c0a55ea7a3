//! What fails while the store runs is said, and passes when its cause has gone.

use std::net::SocketAddr;

use ota_core::task::TaskStatus;
use ota_store::{OpenSettings, Store, StoreError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::harness::{Database, job, job_page, on_both, task, task_page};

async fn open(url: &str) -> Store {
    let settings = OpenSettings {
        url: url.to_owned(),
        exclusive: false,
        create: true,
    };
    Store::open(&settings).await.expect("it opens")
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &str) {
    match result {
        Err(StoreError::Unavailable { message }) => {
            assert!(message.contains(words), "`{words}` in: {message}");
        }
        other => panic!("expected a database that cannot be used, got {other:?}"),
    }
}

#[test]
fn a_file_that_is_damaged_while_it_is_used_is_said_and_mended() {
    on_both(|database| async move {
        let Some(path) = database.url.strip_prefix("sqlite:").map(str::to_owned) else {
            return;
        };
        let store = open(&database.url).await;
        let jobs = job_page("a", 0, vec![job("j")]);
        store.write_jobs(&jobs).await.expect("jobs");
        let rows =
            |from: u32| (from..from + 500).map(|n| task(&n.to_string(), TaskStatus::Pending));
        let page = task_page("a", "j", 10, rows(0).collect());
        store.write_tasks(&page).await.expect("tasks");
        // Closed, so that all of it is in the file.
        drop(store);
        let whole = std::fs::read(&path).expect("the file");
        let store = open(&database.url).await;
        let file = std::fs::OpenOptions::new().write(true).open(&path);
        let file = file.expect("the file opens");
        file.set_len(whole.len() as u64 / 2).expect("it is cut");
        let page = task_page("a", "j", 20, rows(400).collect());
        for _ in 0..2 {
            unavailable(store.write_tasks(&page).await, "it is damaged");
            unavailable(store.verify().await, "it is damaged");
        }
        std::fs::write(&path, &whole).expect("the file is put back");
        let written = store.write_tasks(&page).await.expect("tasks");
        assert_eq!((written.added, written.unchanged), (400, 100));
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

/// Passes connections on to a server until it is stopped, which ends them all.
struct Line(AbortHandle);

impl Line {
    /// Listens at the address; returns the one that was given.
    async fn start(listen: SocketAddr, server: String) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(listen).await.expect("an address");
        let address = listener.local_addr().expect("its address");
        let line = tokio::spawn(async move {
            // Dropped with the task that holds it, it ends them.
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(&server).await.expect("the server");
                connections.spawn(async move {
                    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        (Self(line.abort_handle()), address)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns the host and port of a URL, and the URL with other ones.
fn with_address(database: &Database, address: SocketAddr) -> (String, String) {
    let (scheme, rest) = database.url.split_once("://").expect("a URL");
    let (authority, path) = rest.split_once('/').expect("a database");
    let (user, server) = match authority.rsplit_once('@') {
        Some((user, server)) => (format!("{user}@"), server),
        None => (String::new(), authority),
    };
    (
        server.to_owned(),
        format!("{scheme}://{user}{address}/{path}"),
    )
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_used_again() {
    on_both(|database| async move {
        if database.is_sqlite() {
            return;
        }
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let (server, _) = with_address(&database, any);
        let (line, address) = Line::start(any, server.clone()).await;
        let (_, url) = with_address(&database, address);
        let store = open(&url).await;
        let jobs = job_page("a", 0, vec![job("j")]);
        store.write_jobs(&jobs).await.expect("jobs");
        // Several connections are in the pool.
        let (first, second) = tokio::join!(store.providers(), store.providers());
        assert!(first.is_ok() && second.is_ok());
        drop(line);
        let page = task_page("a", "j", 10, vec![task("1", TaskStatus::Pending)]);
        let last = task_page("a", "j", 20, vec![task("2", TaskStatus::Pending)]);
        // At first connections are found closed, then none can be made.
        while !matches!(store.write_tasks(&page).await, Err(StoreError::Unavailable { message }) if message.contains("refused"))
        {
            tokio::task::yield_now().await;
        }
        unavailable(store.providers().await, "refused");
        let (_line, _) = Line::start(address, server).await;
        assert_eq!(store.write_tasks(&page).await.expect("tasks").added, 1);
        assert_eq!(store.write_tasks(&last).await.expect("tasks").added, 1);
        assert_eq!(store.providers().await.expect("providers").len(), 1);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}
