//! Opening a database, and what is refused.

use std::path::Path;
use std::task::Poll;

use ota_store::place::{Place, look};
use ota_store::{OpenError, OpenSettings, Store};

use crate::harness::{Schema, URL, connect, job, job_page, on_both, runtime, task, task_page};
use ota_core::task::TaskStatus;

async fn open(url: &str, exclusive: bool, create: bool) -> Result<Store, OpenError> {
    Store::open(&OpenSettings {
        url: url.to_owned(),
        exclusive,
        create,
    })
    .await
}

#[track_caller]
fn refused(result: Result<Store, OpenError>, words: &str) {
    match result {
        Err(OpenError::Refused(message)) => {
            assert!(message.contains(words), "`{words}` in: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
        other => panic!("expected a refusal with `{words}`, got {other:?}"),
    }
}

/// Runs a test with the path of a file in a folder of its own.
fn in_folder<F, Fut>(test: F)
where
    F: FnOnce(std::path::PathBuf) -> Fut,
    Fut: Future<Output = ()>,
{
    let folder = tempfile::tempdir().expect("a folder");
    runtime().block_on(test(folder.path().join("mirror.db")));
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[test]
fn a_url_that_is_none_is_refused_without_its_password() {
    runtime().block_on(async {
        for (url, words) in [
            ("", "has to be"),
            ("secret", "has to be"),
            ("mysql://user:secret@host/db", "`mysql:`"),
            ("sqlite:", "the path of a file"),
            ("sqlite::memory:", "the path of a file"),
            ("postgres://user:secret@host:port/db", "no postgres URL"),
            (
                "postgres://user:secret@host/db?sslmode=maybe",
                "no postgres URL",
            ),
            (
                "postgres://user:secret@host/db?nonsense=1",
                "no postgres URL",
            ),
        ] {
            refused(open(url, true, true).await, words);
        }
    });
}

#[test]
fn a_server_that_is_away_may_come_back() {
    runtime().block_on(async {
        // Port 1 is never listened on.
        let result = open("postgres://user:secret@127.0.0.1:1/db", true, true).await;
        match result {
            Err(OpenError::Away(message)) => assert!(!message.contains("secret"), "{message}"),
            other => panic!("expected a server that is away, got {other:?}"),
        }
    });
}

#[test]
fn a_file_is_made_for_its_owner_only() {
    in_folder(|path| async move {
        let store = open(&url(&path), true, true).await.expect("it opens");
        let about = store.about().await.expect("what it is");
        assert!(about.engine.starts_with("sqlite 3."), "{about:?}");
        assert!(about.bytes > 0 && about.schema == 4, "{about:?}");
        #[cfg(unix)]
        for suffix in ["", "-wal", "-shm", ".lock"] {
            use std::os::unix::fs::PermissionsExt;
            let path = format!("{}{suffix}", path.display());
            let metadata = std::fs::metadata(&path).expect("the file is there");
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{path}");
        }
    });
}

#[test]
fn two_gateways_never_share_a_file() {
    in_folder(|path| async move {
        let first = open(&url(&path), true, true).await.expect("it opens");
        refused(open(&url(&path), true, true).await, "another gateway");
        // One that only looks is let in.
        open(&url(&path), false, false).await.expect("it opens");
        drop(first);
        open(&url(&path), true, true).await.expect("it opens again");
    });
}

#[test]
fn a_file_that_is_missing_damaged_or_not_writable_is_refused() {
    in_folder(|path| async move {
        refused(open(&url(&path), false, false).await, "No such file");
        let elsewhere = path.with_file_name("no-folder").join("mirror.db");
        refused(open(&url(&elsewhere), true, true).await, "lock file");
        std::fs::write(
            &path,
            "this is no database, but a text of some length".repeat(40),
        )
        .expect("a file");
        refused(open(&url(&path), true, true).await, "no SQLite database");
        std::fs::remove_file(&path).expect("the file goes");
        // In the way of the file is a folder.
        std::fs::create_dir(&path).expect("a folder");
        refused(open(&url(&path), true, true).await, "directory");
    });
}

#[test]
fn a_database_that_is_newer_or_of_another_program_is_refused() {
    on_both(|database| async move {
        drop(database.open().await);
        // The programs that only look do not migrate; there is nothing to migrate here.
        drop(open(&database.url, false, false).await.expect("it opens"));
        database
            .execute("INSERT INTO schema_migrations (version, checksum) VALUES (99, 'x')")
            .await;
        refused(
            open(&database.url, true, true).await,
            "newer than this program",
        );
        database
            .execute("DELETE FROM schema_migrations WHERE version = 99")
            .await;
        database
            .execute("UPDATE schema_migrations SET checksum = 'x'")
            .await;
        refused(open(&database.url, true, true).await, "migration 1 differs");
    });
}

#[test]
fn a_database_without_tables_is_not_made_by_one_that_only_looks() {
    on_both(|database| async move {
        if let Some(path) = database.url.strip_prefix("sqlite:") {
            std::fs::write(path, "").expect("a file");
        }
        match open(&database.url, false, false).await {
            Err(OpenError::Behind(message)) => assert!(message.contains("no tables"), "{message}"),
            other => panic!("expected a database without tables, got {other:?}"),
        }
    });
}

#[test]
fn the_place_of_a_database_is_looked_at_without_making_anything() {
    in_folder(|path| async move {
        let folder = path.parent().expect("a folder").to_owned();
        let names = || std::fs::read_dir(&folder).expect("a folder").count();
        assert_eq!(look(&url(&path)), Ok(Place::Missing));
        assert_eq!(names(), 0, "something was made");
        let store = open(&url(&path), true, true).await.expect("it opens");
        let before = names();
        assert_eq!(look(&url(&path)), Ok(Place::InUse));
        drop(store);
        assert_eq!(look(&url(&path)), Ok(Place::Free));
        assert!(names() <= before, "something was made");
        // Whoever looks does not lock it.
        open(&url(&path), true, true).await.expect("it opens again");
        std::fs::remove_file(format!("{}.lock", path.display())).expect("the lock file");
        assert_eq!(look(&url(&path)), Ok(Place::Free));
        let elsewhere = url(&folder.join("no-folder").join("mirror.db"));
        let missing = look(&elsewhere).expect_err("a refusal").to_string();
        assert!(missing.contains("does not exist"), "{missing}");
        // A folder in which nobody may make a file.
        let refusal = look("sqlite:/sys/mirror.db").expect_err("a refusal");
        let words = "its lock file cannot be made";
        assert!(refusal.to_string().contains(words), "{refusal}");
        let server = "postgres://user:secret@127.0.0.1:1/db";
        assert_eq!(look(server), Ok(Place::Server));
    });
}

#[test]
fn a_wrong_password_or_database_is_refused() {
    let Ok(server) = std::env::var(URL) else {
        println!("left out, because {URL} is not set");
        return;
    };
    runtime().block_on(async {
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        let result = open(&format!("{base}/no_such_database"), true, true).await;
        refused(result, "no_such_database");
    });
}

#[test]
fn a_certificate_of_an_authority_of_ones_own_is_trusted_by_its_file_only() {
    let (Ok(server), Ok(authority)) = (std::env::var(URL), std::env::var("OTA_TEST_POSTGRES_CA"))
    else {
        println!("left out, because {URL} or OTA_TEST_POSTGRES_CA is not set");
        return;
    };
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let schema = Schema::make(&server).await;
        let with = |parameters: &str| format!("{}&{parameters}", schema.url);

        let trusted = format!("sslmode=verify-full&sslrootcert={authority}");
        let store = open(&with(&trusted), false, true).await.expect("it opens");
        assert_eq!(store.verify().await, Ok(Vec::new()));
        // The server itself says that the store's connection is encrypted; no other test has one.
        let client = connect(&server).await;
        let row = client
            .query_one(
                "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                 WHERE a.application_name = 'ota-gateway' AND s.ssl",
                &[],
            )
            .await
            .expect("the server's own view");
        assert!(row.get::<_, i64>(0) > 0);
        drop(store);

        // The system does not know the authority; nor does a file with another one.
        for parameters in ["sslmode=require", "sslmode=verify-full"] {
            let error = open(&with(parameters), false, true)
                .await
                .expect_err("unknown");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
        let other = folder.path().join("other.pem");
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .expect("a certificate");
        std::fs::write(&other, certificate.pem()).expect("a file");
        let parameters = format!("sslmode=require&sslrootcert={}", other.display());
        let error = open(&with(&parameters), false, true)
            .await
            .expect_err("another");
        assert!(error.to_string().contains("certificate"), "{error}");
        // The name counts too: the certificate is for `localhost` and 127.0.0.1.
        let elsewhere = with(&trusted).replace("127.0.0.1", "127.0.0.2");
        assert_ne!(elsewhere, with(&trusted));
        assert!(open(&elsewhere, false, true).await.is_err());
        schema.drop().await;
    });
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_refused() {
    in_folder(|path| async move {
        let base = "postgres://user:secret@127.0.0.1:1/db";
        let open = |parameters: String| async move {
            open(&format!("{base}?{parameters}"), true, true).await
        };
        let file = path.with_extension("pem");
        let named = |file: &Path| format!("sslmode=verify-full&sslrootcert={}", file.display());
        refused(open(named(&file)).await, "`sslrootcert`");
        std::fs::write(&file, "no certificate").expect("a file");
        refused(open(named(&file)).await, "no certificate in PEM form");
        refused(
            open(format!("sslrootcert={}", file.display())).await,
            "sslmode=verify-full",
        );
    });
}

#[test]
fn what_is_wrong_is_said_and_passes() {
    in_folder(|path| async move {
        let store = open(&url(&path), true, true).await.expect("it opens");
        store
            .write_jobs(&job_page("a", 0, vec![job("j")]))
            .await
            .expect("jobs");
        // Another process drops a table, and puts it back: as when a disk is full and then is not.
        let other = rusqlite::Connection::open(&path).expect("the file opens");
        other
            .execute_batch("ALTER TABLE tasks RENAME TO away")
            .expect("the table moves");
        let page = task_page("a", "j", 10, vec![task("1", TaskStatus::Pending)]);
        for _ in 0..2 {
            let error = store.write_tasks(&page).await.expect_err("no table");
            assert!(error.to_string().contains("no such table"), "{error}");
        }
        other
            .execute_batch("ALTER TABLE away RENAME TO tasks")
            .expect("the table moves");
        assert_eq!(store.write_tasks(&page).await.expect("tasks").added, 1);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

#[test]
fn callers_that_leave_change_nothing_for_others() {
    on_both(|database| async move {
        let store = database.open().await;
        store
            .write_jobs(&job_page("a", 0, vec![job("j")]))
            .await
            .expect("jobs");
        for round in 0..40_u64 {
            let rows = (0..20).map(|n| task(&format!("{round}-{n}"), TaskStatus::Pending));
            let page = task_page("a", "j", 10, rows.collect());
            let write = store.write_tasks(&page);
            // Polled a few times more each round, then dropped.
            let mut write = Box::pin(write);
            for _ in 0..round {
                let polled = std::future::poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
                if polled.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(write);
        }
        let page = task_page("a", "j", 20, vec![task("last", TaskStatus::Pending)]);
        assert_eq!(store.write_tasks(&page).await.expect("tasks").added, 1);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}
