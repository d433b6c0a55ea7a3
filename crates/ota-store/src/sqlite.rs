//! SQLite: one thread that writes, a few that read, each with a connection of its own.
//!
//! Statements run on these threads, so no worker of the runtime ever waits for the disk. A caller that leaves has no effect on what runs: it is committed or
//! rolled back as a whole, and a connection never stays inside a transaction.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::OpenFlags;
use tokio::sync::oneshot;

use crate::caches::Caches;
use crate::connection::{Connection, Work, run_ready};
use crate::error::{OpenError, Result};
use crate::sqlite_connection::{SqliteConnection, failed, unavailable};

/// The oldest version without the fault of the WAL reset, which loses commits.
const OLDEST: i32 = 3_051_003;

/// Threads that read.
const READERS: usize = 3;

/// How long a statement waits for a lock that another process holds, such as a backup.
const BUSY: Duration = Duration::from_secs(5);

/// How long the log grows before it is copied into the file. A page of rows changes hundreds of pages of indexes, so a short log (SQLite's default is 4 MB) is
/// copied, and the disk waited for, at every second or third transaction: half as many rows a second.
const WAL_BYTES: i64 = 67_108_864;

/// The size of SQLite's pages.
const PAGE_BYTES: i64 = 4_096;

type Task = Box<dyn FnOnce(&mut Slot) + Send>;

/// The connection of a thread; none until it is needed, and again after a fault, so that it is opened anew.
struct Slot {
    path: PathBuf,
    reads: bool,
    connection: Option<Connection>,
    caches: Arc<Caches>,
}

/// The threads.
pub(crate) struct Sqlite {
    path: PathBuf,
    write: Option<Sender<Task>>,
    read: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
    /// Held as long as the threads run.
    lock: Option<File>,
}

impl Sqlite {
    /// Opens the file; `create` makes it where it is missing.
    pub(crate) fn open(
        path: &Path,
        exclusive: bool,
        create: bool,
    ) -> std::result::Result<Self, OpenError> {
        check_version(rusqlite::version_number(), rusqlite::version())?;
        let lock = exclusive.then(|| lock(path)).transpose()?;
        prepare(path, create)?;
        let caches = Arc::<Caches>::default();
        let slot = |reads| Slot {
            path: path.to_owned(),
            reads,
            connection: None,
            caches: Arc::clone(&caches),
        };
        let (write, tasks) = channel();
        let mut threads = vec![spawn("mirror-write", slot(false), tasks)?];
        let (read, tasks) = channel();
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..READERS {
            threads.push(spawn_reader(slot(true), Arc::clone(&tasks))?);
        }
        Ok(Self {
            path: path.to_owned(),
            write: Some(write),
            read: Some(read),
            threads,
            lock,
        })
    }

    /// Runs work in a transaction that writes.
    pub(crate) async fn write<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        run(self.write.as_ref(), "BEGIN IMMEDIATE", work).await
    }

    /// Runs work in a transaction that reads: all of its statements see one state.
    pub(crate) async fn read<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        run(self.read.as_ref(), "BEGIN", work).await
    }

    /// Returns the bytes on disk: the file and its log.
    pub(crate) fn bytes(&self) -> u64 {
        ["", "-wal"]
            .into_iter()
            .filter_map(|suffix| std::fs::metadata(beside(&self.path, suffix)).ok())
            .map(|metadata| metadata.len())
            .sum()
    }
}

impl Drop for Sqlite {
    /// Waits for the threads: what runs is finished, and the file can be opened again afterwards.
    fn drop(&mut self) {
        self.write = None;
        self.read = None;
        for thread in self.threads.drain(..) {
            // A thread catches the panics of what it runs.
            let _ended = thread.join();
        }
        self.lock = None;
    }
}

/// Refuses a version that loses rows.
fn check_version(number: i32, name: &str) -> std::result::Result<(), OpenError> {
    if number >= OLDEST {
        return Ok(());
    }
    Err(OpenError::Refused(format!(
        "SQLite {name} loses committed rows (WAL reset); 3.51.3 is the oldest that may be used"
    )))
}

/// Returns the path with something after its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// How often, and after which pause, a lock is tried for that somebody holds: [`is_locked`] holds it for a moment.
const LOCK_TRIES: usize = 3;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Locks a file beside the database: the database itself has locks of SQLite's own.
fn lock(path: &Path) -> std::result::Result<File, OpenError> {
    let file = private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(beside(path, ".lock"))
        .map_err(|error| no_lock_file(path, &error))?;
    let mut locked = file.try_lock();
    for _ in 1..LOCK_TRIES {
        if !matches!(locked, Err(std::fs::TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(refused(
            path,
            "another gateway uses it; each gateway needs a file of its own, or all of them one PostgreSQL database",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(refused(
            path,
            &format!("its lock file cannot be locked: {error}"),
        )),
    }
}

/// Returns whether a process has the database for itself. The database is not touched; what is made to see whether the folder can be written is removed.
///
/// # Errors
/// Why this process could not lock it: no folder, or no right to write.
pub(crate) fn is_locked(path: &Path) -> std::result::Result<bool, OpenError> {
    let file = match OpenOptions::new().write(true).open(beside(path, ".lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Whether a file can be made depends on more than the rights of the folder: who runs this, the file system, the system's security rules.
            let probe = beside(path, ".probe");
            let made =
                private(OpenOptions::new().create(true).truncate(false).write(true)).open(&probe);
            made.map_err(|error| no_lock_file(path, &error))?;
            let _gone = std::fs::remove_file(probe);
            return Ok(false);
        }
        Err(error) => return Err(no_lock_file(path, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(refused(
            path,
            &format!("its lock file cannot be locked: {error}"),
        )),
    }
}

fn no_lock_file(path: &Path, error: &std::io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::NotFound => OpenError::Refused(format!(
            "the lock file of the mirror's database cannot be made: the folder of {} does not exist",
            path.display()
        )),
        _ => refused(path, &format!("its lock file cannot be made: {error}")),
    }
}

/// Makes the file that is opened readable for its owner only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Sees that the file is there, is a database, and can be written.
fn prepare(path: &Path, create: bool) -> std::result::Result<(), OpenError> {
    private(OpenOptions::new().read(true).write(true).create(create))
        .open(path)
        .map_err(|error| refused(path, &error.to_string()))?;
    let connection = connect(path, false).map_err(|error| OpenError::Refused(error.to_string()))?;
    drop(connection);
    Ok(())
}

fn refused(path: &Path, what: &str) -> OpenError {
    OpenError::Refused(format!("the mirror's database {}: {what}", path.display()))
}

fn spawn(
    name: &str,
    mut slot: Slot,
    tasks: Receiver<Task>,
) -> std::result::Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            while let Ok(task) = tasks.recv() {
                slot.run(task);
            }
        })
        .map_err(|error| OpenError::Refused(format!("no thread for the database: {error}")))
}

fn spawn_reader(
    mut slot: Slot,
    tasks: Arc<Mutex<Receiver<Task>>>,
) -> std::result::Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name("mirror-read".to_owned())
        .spawn(move || {
            loop {
                // The lock is held while waiting: one thread waits for a task, the others for the lock.
                let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
                match task {
                    Ok(task) => slot.run(task),
                    Err(_) => return,
                }
            }
        })
        .map_err(|error| OpenError::Refused(format!("no thread for the database: {error}")))
}

impl Slot {
    fn run(&mut self, task: Task) {
        // What panicked may have left the connection inside a transaction; dropped, it is rolled back. Its caller sees the closed channel.
        if catch_unwind(AssertUnwindSafe(|| task(self))).is_err() {
            self.connection = None;
        }
    }

    fn transaction<T>(&mut self, begin: &str, work: impl Work<T>) -> Result<T> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let inner = connect(&self.path, self.reads)?;
                let caches = Arc::clone(&self.caches);
                Connection::Sqlite(SqliteConnection::new(inner, caches))
            }
        };
        let connection = self.connection.insert(connection);
        let result = run_ready(async {
            connection.batch(begin).await?;
            let value = work(connection).await?;
            connection.batch("COMMIT").await?;
            Ok(value)
        });
        if result.is_err() {
            // Closed without a commit: rolled back. The next transaction opens the file anew, in case that helps.
            self.connection = None;
        }
        result
    }
}

/// Sends work to a thread and waits for it.
async fn run<T: Send + 'static>(
    to: Option<&Sender<Task>>,
    begin: &'static str,
    work: impl Work<T>,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    let task: Task = Box::new(move |slot| {
        // Nobody waits any more, and nothing has begun.
        if reply.is_closed() {
            return;
        }
        // The caller may leave now; what was done stays done.
        let _left = reply.send(slot.transaction(begin, work));
    });
    to.and_then(|to| to.send(task).ok())
        .ok_or_else(|| unavailable("its threads have ended"))?;
    answer
        .await
        .unwrap_or_else(|_| Err(unavailable("an operation on it was aborted")))
}

/// Opens a connection to a file that is there.
fn connect(path: &Path, reads: bool) -> Result<rusqlite::Connection> {
    // Each connection stays on one thread. It never makes the file: one that went away while the program runs is not replaced by an empty one.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connected = rusqlite::Connection::open_with_flags(path, flags).and_then(|inner| {
        inner.busy_timeout(BUSY)?;
        inner.set_prepared_statement_cache_capacity(256);
        inner.pragma_update(None, "journal_mode", "wal")?;
        inner.pragma_update(None, "synchronous", "normal")?;
        inner.pragma_update(None, "foreign_keys", "off")?;
        // The writer touches pages of all indexes; in KiB.
        inner.pragma_update(None, "cache_size", if reads { -8192 } else { -32768 })?;
        inner.pragma_update(None, "temp_store", "memory")?;
        inner.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
        inner.pragma_update(None, "wal_autocheckpoint", WAL_BYTES / PAGE_BYTES)?;
        match reads {
            true => inner.pragma_update(None, "query_only", "on")?,
            // Fails on a file that may only be read, before anything depends on it.
            false => inner.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?,
        }
        Ok(inner)
    });
    connected.map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::check_version;
    use crate::error::OpenError;

    #[test]
    fn a_version_that_loses_rows_is_refused() {
        for (number, name) in [(3_051_003, "3.51.3"), (3_052_000, "3.52.0")] {
            assert_eq!(check_version(number, name), Ok(()));
        }
        for (number, name) in [
            (3_051_002, "3.51.2"),
            (3_040_001, "3.40.1"),
            (3_007_000, "3.7.0"),
        ] {
            let expected = format!(
                "SQLite {name} loses committed rows (WAL reset); 3.51.3 is the oldest that may be used"
            );
            let refused = check_version(number, name);
            assert_eq!(refused, Err(OpenError::Refused(expected)));
        }
        // The one that is built in.
        let built_in = check_version(rusqlite::version_number(), rusqlite::version());
        assert_eq!(built_in, Ok(()));
    }
}
