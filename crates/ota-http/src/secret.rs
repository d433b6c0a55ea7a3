//! Text that never shows itself.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ota_core::provider::SettingError;
use zeroize::Zeroizing;

/// A secret: a key, a token, a password. `Debug` prints a placeholder and there is no `Display`. Its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Takes ownership of the secret text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Shows the secret to whoever signs or sends with it. The name is long so that it is found by a search.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where a secret comes from: a setting's value, or a file that is read again whenever it changes.
///
/// Temporary vendor tokens expire, so whoever rotates them writes the file and nothing has to be restarted.
#[derive(Debug)]
pub struct SecretSource {
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Value(Secret),
    File {
        path: PathBuf,
        last: Mutex<Option<(FileState, Secret)>>,
    },
}

/// What tells one version of a file from the next without reading it.
type FileState = (Option<SystemTime>, u64);

impl SecretSource {
    /// The largest secret file, in bytes; a longer one is a mistake in the path.
    pub const MAX_FILE_BYTES: u64 = 64 * 1024;

    /// A secret that is known already.
    #[must_use]
    pub fn value(secret: Secret) -> Self {
        Self {
            origin: Origin::Value(secret),
        }
    }

    /// A secret that stands in a file; white space around it is cut off.
    ///
    /// # Errors
    /// When the file cannot be read, is empty, is too large or is not UTF-8. The error names the path, never the content.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, SecretError> {
        let source = Self {
            origin: Origin::File {
                path: path.into(),
                last: Mutex::new(None),
            },
        };
        source.read()?;
        Ok(source)
    }

    /// Chooses between a setting `x` and a setting `x_file`: at most one may be given. Returns `None` when neither is.
    ///
    /// # Errors
    /// When both are given, the value is empty, or the file cannot be used.
    pub fn from_settings(
        key: &'static str,
        value: Option<String>,
        file_key: &'static str,
        file: Option<PathBuf>,
    ) -> Result<Option<Self>, SettingError> {
        match (value, file) {
            (Some(_), Some(_)) => Err(SettingError::new(
                key,
                format!("`{key}` and `{file_key}` are both given; give one of them"),
            )),
            (Some(value), None) if value.trim().is_empty() => Err(SettingError::new(
                key,
                format!("`{key}` is empty; give the secret or use `{file_key}`"),
            )),
            (Some(value), None) => {
                let value = Zeroizing::new(value);
                Ok(Some(Self::value(Secret::new(value.trim()))))
            }
            (None, Some(path)) => Self::file(path)
                .map(Some)
                .map_err(|error| SettingError::new(file_key, error.to_string())),
            (None, None) => Ok(None),
        }
    }

    /// Returns the secret as it is now.
    ///
    /// A file that has become unreadable since it was last read keeps its last content: replacing a file is not always
    /// atomic, and the old token is better than none.
    ///
    /// # Errors
    /// As [`SecretSource::file`], only when the file was never read.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let (path, last) = match &self.origin {
            Origin::Value(secret) => return Ok(secret.clone()),
            Origin::File { path, last } => (path, last),
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let read = state_of(path).and_then(|state| match &*last {
            Some((known, secret)) if *known == state => Ok((state, secret.clone())),
            _ => read_file(path, state.1).map(|secret| (state, secret)),
        });
        match (read, &*last) {
            (Ok((state, secret)), _) => {
                *last = Some((state, secret.clone()));
                Ok(secret)
            }
            (Err(_), Some((_, secret))) => Ok(secret.clone()),
            (Err(reason), None) => Err(SecretError {
                path: path.clone(),
                reason,
            }),
        }
    }
}

fn state_of(path: &Path) -> Result<FileState, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    Ok((metadata.modified().ok(), metadata.len()))
}

fn read_file(path: &Path, len: u64) -> Result<Secret, String> {
    if len > SecretSource::MAX_FILE_BYTES {
        return Err(format!(
            "it is larger than {} bytes",
            SecretSource::MAX_FILE_BYTES
        ));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| error.to_string())?);
    let text = str::from_utf8(&bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        secret => Ok(Secret::new(secret)),
    }
}

/// A secret file that cannot be used.
#[derive(Debug)]
pub struct SecretError {
    path: PathBuf,
    reason: String,
}

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the secret file `{}` cannot be used: {}",
            self.path.display(),
            self.reason
        )
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretSource};

    #[test]
    fn a_secret_does_not_show_itself() {
        let source = SecretSource::value(Secret::new("hunter2"));
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_lost_one_keeps_its_last_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one\n").unwrap();
        let source = SecretSource::file(&path).unwrap();
        assert_eq!(source.read().unwrap().expose_secret(), "one");
        std::fs::write(&path, "second\n").unwrap();
        assert_eq!(source.read().unwrap().expose_secret(), "second");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(source.read().unwrap().expose_secret(), "second");
    }

    #[test]
    fn two_secrets_at_once_are_refused() {
        let error = SecretSource::from_settings(
            "secret",
            Some("a".into()),
            "secret_file",
            Some("b".into()),
        );
        assert!(error.unwrap_err().message.contains("both given"));
        assert!(
            SecretSource::from_settings("secret", None, "secret_file", None)
                .unwrap()
                .is_none()
        );
        let error =
            SecretSource::from_settings("secret", None, "secret_file", Some("/no/such".into()));
        assert!(error.unwrap_err().message.contains("/no/such"));
    }
}
