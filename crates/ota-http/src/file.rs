//! Reading the files that settings name: secrets, keys, certificates, configurations.

use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The largest file of certificates or keys, in bytes.
pub const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// What Windows editors and PowerShell write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file that cannot be used. The text names the path and never the content.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    reason: String,
}

impl FileError {
    /// Creates the error: the path, and what is wrong with it as the rest of a sentence ("is empty").
    #[must_use]
    pub fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// Returns what is wrong, as the rest of a sentence, for a place that names the path already.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the file `{}` {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for FileError {}

/// What distinguishes one version of a file from the next without reading it. A file that was renamed over the old one is another file, even if time
/// and size are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    modified: (i64, i64),
    changed: (i64, i64),
    len: u64,
    file: (u64, u64),
}

/// Returns the version of a file. A symbolic link stands for the file that it leads to.
///
/// # Errors
/// When it cannot be looked at, or is not a regular file: a pipe would block until something writes to it, and could not be read again.
pub fn version(path: &Path) -> Result<FileVersion, FileError> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| FileError::new(path, format!("cannot be read: {error}")))?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "is a folder; name a file in it"
        } else if kind.is_fifo() {
            "is a pipe, and only regular files are read: write its content to a file first (a process substitution and standard input are pipes too)"
        } else {
            "is a device or a socket, and only regular files are read: write its content to a file first"
        };
        return Err(FileError::new(path, what));
    }
    Ok(FileVersion {
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        len: metadata.len(),
        file: (metadata.dev(), metadata.ino()),
    })
}

/// Reads a regular file of at most `max_bytes`, without a byte order mark at its beginning. The memory is cleared when it is dropped.
///
/// # Errors
/// As [`version`]; and when the file is larger, or is a text in UTF-16, which some editors of Windows write.
pub fn read(path: &Path, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let known = version(path)?;
    let failed = |error: std::io::Error| FileError::new(path, format!("cannot be read: {error}"));
    let too_large = || FileError::new(path, format!("is larger than {max_bytes} bytes"));
    if known.len > max_bytes {
        return Err(too_large());
    }
    // With all its room from the start: a vector that grows leaves copies of a secret behind.
    let room = usize::try_from(known.len.min(max_bytes)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large());
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    no_utf_16(&bytes).map_err(|reason| FileError::new(path, reason))?;
    Ok(bytes)
}

/// What is wrong with a file that is no text, as the rest of a sentence.
pub const NOT_UTF_8: &str = "is not UTF-8 text";

/// Refuses a text in UTF-16, which some editors of Windows and PowerShell's `>` write.
///
/// # Errors
/// Says so, and what to do, as the rest of a sentence.
pub fn no_utf_16(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        true => Err("is a text in UTF-16; save it as UTF-8"),
        false => Ok(()),
    }
}

/// Reads a text as [`read`] does.
///
/// # Errors
/// As [`read`]; and when it is not UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<Zeroizing<String>, FileError> {
    let mut bytes = read(path, max_bytes)?;
    String::from_utf8(std::mem::take(&mut *bytes))
        .map(Zeroizing::new)
        .map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            FileError::new(path, NOT_UTF_8)
        })
}

#[cfg(test)]
mod tests {
    use super::{read, read_text, version};
    use std::path::Path;

    #[test]
    fn a_byte_order_mark_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "\u{feff}text\n").unwrap();
        assert_eq!(*read(&path, 100).unwrap(), b"text\n");
        assert_eq!(*read_text(&path, 100).unwrap(), "text\n");
        assert!(
            read(&path, 7)
                .unwrap_err()
                .to_string()
                .contains("larger than 7")
        );
        std::fs::write(&path, b"\xff\xfet\0").unwrap();
        assert!(read(&path, 100).unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn only_regular_files_are_read_and_links_lead_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        for (path, words) in [
            (&*fifo, "is a pipe"),
            (folder.path(), "is a folder"),
            (Path::new("/dev/zero"), "is a device"),
            (Path::new("/no/such"), "cannot be read"),
        ] {
            let error = read(path, 100).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        // As Kubernetes mounts a Secret.
        let data = folder.path().join("..data");
        std::fs::create_dir(folder.path().join("one")).unwrap();
        std::fs::write(folder.path().join("one/secret"), "text").unwrap();
        std::os::unix::fs::symlink("one", &data).unwrap();
        let link = folder.path().join("secret");
        std::os::unix::fs::symlink("..data/secret", &link).unwrap();
        assert_eq!(*read_text(&link, 100).unwrap(), "text");
        let first = version(&link).unwrap();
        std::fs::create_dir(folder.path().join("two")).unwrap();
        std::fs::write(folder.path().join("two/secret"), "next").unwrap();
        std::os::unix::fs::symlink("two", folder.path().join("new")).unwrap();
        std::fs::rename(folder.path().join("new"), &data).unwrap();
        assert_ne!(version(&link).unwrap(), first);
        assert_eq!(*read_text(&link, 100).unwrap(), "next");
    }
}
