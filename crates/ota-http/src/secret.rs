//! Secrets, which are never shown in any output.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ota_core::provider::SettingError;
use zeroize::Zeroizing;

use crate::file::{self, FileError, FileVersion};

/// A secret: a key, a token, a password. `Debug` prints a placeholder and there is no `Display`. Its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Takes ownership of the secret text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the secret, for signing and sending. The name is long so that its uses can be searched for.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(text.into_boxed_str()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Which characters a secret may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Any.
    Any,
    /// Those that vendors make credentials of: no blank, no invisible character, no quotation marks around it.
    Credential,
}

/// Where a secret comes from: a setting's value, or a file that is read again whenever it changes.
///
/// Temporary vendor tokens expire; when they are rotated, the file is written and nothing has to be restarted.
#[derive(Debug)]
pub struct SecretSource {
    origin: Origin,
    rule: Rule,
}

#[derive(Debug)]
enum Origin {
    Value(Secret),
    File {
        path: PathBuf,
        last: Mutex<Option<(FileVersion, Secret)>>,
    },
}

impl SecretSource {
    /// The largest secret file, in bytes; a longer one is a mistake in the path.
    pub const MAX_FILE_BYTES: u64 = 64 * 1024;

    /// A secret that is known already.
    #[must_use]
    pub fn value(secret: Secret) -> Self {
        Self {
            origin: Origin::Value(secret),
            rule: Rule::Any,
        }
    }

    /// A secret that is in a file; white space around it is cut off, and a byte order mark before it.
    ///
    /// # Errors
    /// When the file cannot be read, is no regular file, is empty, is too large or is not UTF-8. The error names the path, never the content.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        Self::file_by(path.into(), Rule::Any)
    }

    fn file_by(path: PathBuf, rule: Rule) -> Result<Self, FileError> {
        let source = Self {
            origin: Origin::File {
                path,
                last: Mutex::new(None),
            },
            rule,
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
        Self::chosen(key, value, file_key, file, Rule::Any)
    }

    /// As [`SecretSource::from_settings`], for a vendor's credential: characters that no vendor uses are refused, because they come from a mistake in
    /// copying, and the vendor would only say that the credential is wrong.
    ///
    /// # Errors
    /// As [`SecretSource::from_settings`]; and names the kind of character and its place, never the credential.
    pub fn credential(
        key: &'static str,
        value: Option<String>,
        file_key: &'static str,
        file: Option<PathBuf>,
    ) -> Result<Option<Self>, SettingError> {
        Self::chosen(key, value, file_key, file, Rule::Credential)
    }

    fn chosen(
        key: &'static str,
        value: Option<String>,
        file_key: &'static str,
        file: Option<PathBuf>,
        rule: Rule,
    ) -> Result<Option<Self>, SettingError> {
        let value = value.map(Zeroizing::new);
        match (value, file) {
            (Some(_), Some(_)) => Err(SettingError::new(
                key,
                format!("`{key}` and `{file_key}` are both given; give one of them"),
            )),
            (Some(value), None) if trimmed(&value).is_empty() => Err(SettingError::new(
                key,
                format!("`{key}` is empty; give the secret or use `{file_key}`"),
            )),
            (Some(value), None) => {
                let text = trimmed(&value);
                if rule == Rule::Credential {
                    check_credential(text)
                        .map_err(|what| SettingError::new(key, format!("it {what}")))?;
                }
                Ok(Some(Self {
                    origin: Origin::Value(Secret::new(text)),
                    rule,
                }))
            }
            (None, Some(path)) => Self::file_by(path, rule)
                .map(Some)
                .map_err(|error| SettingError::new(file_key, error.to_string())),
            (None, None) => Ok(None),
        }
    }

    /// Returns whether the secret comes from a file, and so may change.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }

    /// Returns whether both are the same value or the same file.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.origin, &other.origin) {
            (Origin::Value(own), Origin::Value(others)) => {
                own.expose_secret() == others.expose_secret()
            }
            (Origin::File { path: own, .. }, Origin::File { path: others, .. }) => own == others,
            _ => false,
        }
    }

    /// Returns the secret as it is now.
    ///
    /// A file that has become unreadable since it was last read keeps its last content: replacing a file is not always
    /// atomic, and the old token is better than none.
    ///
    /// # Errors
    /// As [`SecretSource::file`], only when the file was never read.
    pub fn read(&self) -> Result<Secret, FileError> {
        self.read_when(|known, now| known != now)
    }

    /// As [`SecretSource::read`], and reads the file even where it looks unchanged: two versions that were written within one tick of the file
    /// system's clock have the same time.
    ///
    /// # Errors
    /// As [`SecretSource::read`].
    pub fn read_again(&self) -> Result<Secret, FileError> {
        self.read_when(|_, _| true)
    }

    /// Returns what tells one version of the file from the next; none for a value, or where the file cannot be looked at.
    #[must_use]
    pub fn version(&self) -> Option<FileVersion> {
        match &self.origin {
            Origin::Value(_) => None,
            Origin::File { path, .. } => file::version(path).ok(),
        }
    }

    fn read_when(
        &self,
        changed: impl Fn(FileVersion, FileVersion) -> bool,
    ) -> Result<Secret, FileError> {
        let (path, last) = match &self.origin {
            Origin::Value(secret) => return Ok(secret.clone()),
            Origin::File { path, last } => (path, last),
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file::version(path).and_then(|now| match &*last {
            Some((known, secret)) if !changed(*known, now) => Ok((now, secret.clone())),
            _ => read_file(path, self.rule).map(|secret| (now, secret)),
        });
        match (read, &*last) {
            (Ok((version, secret)), _) => {
                *last = Some((version, secret.clone()));
                Ok(secret)
            }
            (Err(_), Some((_, secret))) => Ok(secret.clone()),
            (Err(error), None) => Err(error),
        }
    }
}

fn read_file(path: &Path, rule: Rule) -> Result<Secret, FileError> {
    let text = file::read_text(path, SecretSource::MAX_FILE_BYTES)?;
    let secret = trimmed(&text);
    if secret.is_empty() {
        return Err(FileError::new(path, "is empty"));
    }
    if rule == Rule::Credential {
        check_credential(secret).map_err(|what| FileError::new(path, what))?;
    }
    Ok(Secret::new(secret))
}

/// Cuts off white space, and the byte order mark that a copied value may begin with.
fn trimmed(text: &str) -> &str {
    text.trim().trim_start_matches('\u{feff}').trim()
}

/// Refuses characters that no vendor uses in a credential. The error is the rest of a sentence and shows the place, never the credential.
///
/// # Errors
/// Says which kind of character stands where.
pub fn check_credential(text: &str) -> Result<(), String> {
    let quoted = ['"', '\'', '`']
        .iter()
        .any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote));
    if quoted {
        return Err("has quotation marks around the credential; remove them".to_owned());
    }
    let Some((place, odd)) = text
        .chars()
        .zip(1..)
        .find_map(|(c, place)| (!c.is_ascii_graphic()).then_some((place, c)))
    else {
        return Ok(());
    };
    let what = match odd {
        '\n' | '\r' => "a line end: it is more than one line".to_owned(),
        ' ' | '\t' => "a blank".to_owned(),
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {
            format!("an invisible character (U+{:04X})", u32::from(odd))
        }
        odd if odd.is_control() => format!("a control character (U+{:04X})", u32::from(odd)),
        odd if odd.is_whitespace() => format!("a blank (U+{:04X})", u32::from(odd)),
        // A letter may be a part of the secret, so it is not named.
        _ => "a character that is not ASCII".to_owned(),
    };
    Err(format!(
        "has {what} at character {place}, which no credential has; copy the credential again"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretSource, check_credential};

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

    #[test]
    fn a_byte_order_mark_before_a_secret_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "\u{feff}value\r\n").unwrap();
        let source = SecretSource::file(&path).unwrap();
        assert_eq!(source.read().unwrap().expose_secret(), "value");
        let value = Some("\u{feff}value".to_owned());
        let source = SecretSource::credential("secret", value, "secret_file", None);
        assert_eq!(
            source.unwrap().unwrap().read().unwrap().expose_secret(),
            "value"
        );
    }

    #[test]
    fn a_character_that_no_credential_has_is_named_without_the_credential() {
        for (text, words) in [
            ("hun ter", "a blank at character 4"),
            (
                "hun\u{200b}ter",
                "invisible character (U+200B) at character 4",
            ),
            ("hun\nter", "a line end"),
            ("hunt\u{a0}er", "a blank (U+00A0)"),
            ("huntér", "not ASCII at character 5"),
            ("hun\u{7}ter", "control character (U+0007)"),
            ("\"hunter\"", "quotation marks"),
            ("'hunter'", "quotation marks"),
        ] {
            let error = check_credential(text).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("hun") && !error.contains('é'), "{error}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, format!(" {text}\n")).unwrap();
            let error = SecretSource::credential("secret", None, "secret_file", Some(path));
            let error = error.unwrap_err();
            assert_eq!(error.key, "secret_file");
            assert!(error.message.contains(words), "{error}");
            let error = SecretSource::credential("secret", Some(text.into()), "secret_file", None);
            assert_eq!(error.unwrap_err().key, "secret");
        }
        assert!(check_credential("aB3+/=_-.~%$\"'").is_ok());
    }

    #[test]
    fn a_change_within_one_tick_of_the_clock_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "one").unwrap();
        let source = SecretSource::file(&path).unwrap();
        for round in 0..50 {
            let text = format!("{round:03}");
            std::fs::write(&path, &text).unwrap();
            assert_eq!(source.read_again().unwrap().expose_secret(), text);
        }
        // A renamed file is another file, even with the same size and time.
        let next = folder.path().join("next");
        std::fs::write(&next, "xyz").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(source.read().unwrap().expose_secret(), "xyz");
    }
}
