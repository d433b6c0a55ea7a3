//! The folder of a sandbox, for its database: removed at the end, or by the next start where the process was killed.

use std::fs::{self, DirEntry, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "ota-sandbox-";

/// A file that is locked for as long as the process lives which made the folder.
const LOCK: &str = "sandbox.lock";

/// A folder of this process alone.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes one in the system's folder for such files, and removes what sandboxes that were killed have left there.
    pub(crate) fn make() -> io::Result<Self> {
        Self::make_in(&std::env::temp_dir())
    }

    fn make_in(parent: &Path) -> io::Result<Self> {
        let folder = TempDir::with_prefix_in(PREFIX, parent)?;
        // It gets its name once it is locked, so nobody finds it without its lock.
        let unlocked = folder.path().join("unlocked");
        let lock = File::create(&unlocked)?;
        lock.lock()?;
        fs::rename(&unlocked, folder.path().join(LOCK))?;
        let owner = folder.path().metadata()?.uid();
        for entry in fs::read_dir(parent)?.flatten() {
            // What cannot be removed is left to the system.
            let _ = remove_if_left(&entry, owner);
        }
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it.
    pub(crate) fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// Removes the folder of a sandbox of this user whose process is gone.
fn remove_if_left(entry: &DirEntry, owner: u32) -> io::Result<()> {
    let name = entry.file_name();
    // Of the entry itself, so that a link is never followed.
    let metadata = entry.metadata()?;
    let is_ours = name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
        && metadata.is_dir()
        && metadata.uid() == owner;
    let lock = entry.path().join(LOCK);
    if !is_ours || !fs::symlink_metadata(&lock)?.is_file() {
        return Ok(());
    }
    let lock = File::open(lock)?;
    match lock.try_lock() {
        Ok(()) => fs::remove_dir_all(entry.path()),
        // Its process lives, or that cannot be told.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, LOCK, PREFIX};
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    /// What a sandbox leaves that was killed: nobody holds its lock.
    fn left(parent: &Path, name: &str) -> PathBuf {
        let folder = parent.join(name);
        fs::create_dir(&folder).unwrap();
        File::create(folder.join(LOCK)).unwrap();
        fs::write(folder.join("mirror.db"), "rows").unwrap();
        folder
    }

    #[test]
    fn what_a_killed_sandbox_left_is_removed_by_the_next_start() {
        let parent = tempfile::tempdir().unwrap();
        let dead = left(parent.path(), &format!("{PREFIX}dead"));
        let alive = Folder::make_in(parent.path()).unwrap();
        assert!(!dead.exists());
        let other = Folder::make_in(parent.path()).unwrap();
        assert!(alive.path().exists());
        let path = other.path().to_owned();
        other.close().unwrap();
        assert!(!path.exists() && alive.path().exists());
    }

    #[test]
    fn nothing_else_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let foreign = left(parent.path(), "another-program");
        let without_lock = parent.path().join(format!("{PREFIX}older"));
        fs::create_dir(&without_lock).unwrap();
        let linked = parent.path().join(format!("{PREFIX}link"));
        symlink(&foreign, &linked).unwrap();
        // Its lock is a link to a file that nobody has locked.
        let odd = parent.path().join(format!("{PREFIX}odd"));
        fs::create_dir(&odd).unwrap();
        symlink(foreign.join(LOCK), odd.join(LOCK)).unwrap();
        let file = parent.path().join(format!("{PREFIX}file"));
        File::create(&file).unwrap();
        drop(Folder::make_in(parent.path()).unwrap());
        for path in [&foreign, &without_lock, &linked, &odd, &file] {
            assert!(path.exists(), "{}", path.display());
        }
        assert!(foreign.join("mirror.db").exists());
    }
}
