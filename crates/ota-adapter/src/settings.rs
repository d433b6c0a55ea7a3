//! Reading single keys of a provider's section. Every error names its key and says what to do.

use std::path::PathBuf;

use ota_core::provider::SettingError;
use ota_http::SecretSource;

/// Returns the text without blanks around it; `None` for a key that is not given or blank.
#[must_use]
pub fn non_empty(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// Reads a key that must be given.
///
/// # Errors
/// When it is missing or blank; `advice` says what to give.
pub fn required(
    key: &'static str,
    text: Option<String>,
    advice: &str,
) -> Result<String, SettingError> {
    non_empty(text)
        .ok_or_else(|| SettingError::missing(key, &[], format!("it is missing; {advice}")))
}

/// Reads a key that has one of a few values. The first one is the default.
///
/// # Errors
/// When it has another value; the known ones are named.
///
/// # Panics
/// When there are no choices.
pub fn one_of<T: Copy>(
    key: &'static str,
    text: Option<&str>,
    choices: &[(&str, T)],
) -> Result<T, SettingError> {
    let Some(text) = text else {
        return Ok(choices.first().expect("there is a default").1);
    };
    let chosen = choices.iter().find(|(name, _)| *name == text);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = choices
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        SettingError::new(
            key,
            format!("`{text}` is not known; use {}", names.join(" or ")),
        )
    })
}

/// The two keys of a credential, and what they hold: the value itself, or the file that it is read from.
#[derive(Debug)]
pub struct CredentialKeys {
    /// The key of the value.
    pub key: &'static str,
    /// The key of the file.
    pub file_key: &'static str,
    /// Both keys, the preferred one first.
    pub keys: &'static [&'static str],
}

impl CredentialKeys {
    /// Reads a credential that must be given, by one of its two keys.
    ///
    /// # Errors
    /// When both or neither are given, when the file cannot be read, and when the value has characters that no credential has.
    pub fn required(
        &self,
        value: Option<String>,
        file: Option<PathBuf>,
    ) -> Result<SecretSource, SettingError> {
        let Self {
            key,
            file_key,
            keys,
        } = self;
        self.optional(value, file)?.ok_or_else(|| {
            SettingError::missing(
                file_key,
                keys,
                format!("it is missing; give `{file_key}` or `{key}`"),
            )
        })
    }

    /// Reads a credential that may be left out.
    ///
    /// # Errors
    /// As [`CredentialKeys::required`], but for a missing one.
    pub fn optional(
        &self,
        value: Option<String>,
        file: Option<PathBuf>,
    ) -> Result<Option<SecretSource>, SettingError> {
        SecretSource::credential(self.key, value, self.file_key, file)
    }
}

#[cfg(test)]
mod tests {
    use super::{CredentialKeys, one_of, required};

    const SECRET: CredentialKeys = CredentialKeys {
        key: "secret",
        file_key: "secret_file",
        keys: &["secret_file", "secret"],
    };

    #[test]
    fn a_key_that_must_be_given_says_what_to_give() {
        assert_eq!(required("id", Some(" x ".into()), "give it").unwrap(), "x");
        for text in [None, Some(" ".to_owned())] {
            let error = required("id", text, "give the ID").unwrap_err();
            assert_eq!(error.to_string(), "`id`: it is missing; give the ID");
        }
    }

    #[test]
    fn a_choice_names_what_is_known() {
        let choices = [("json", 1), ("xml", 2)];
        assert_eq!(one_of("format", None, &choices), Ok(1));
        assert_eq!(one_of("format", Some("xml"), &choices), Ok(2));
        let error = one_of("format", Some("yaml"), &choices).unwrap_err();
        let expected = "`format`: `yaml` is not known; use `json` or `xml`";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_credential_is_a_value_or_a_file() {
        let read = SECRET.required(Some("value".into()), None).unwrap();
        assert_eq!(read.read().unwrap().expose_secret(), "value");
        let error = SECRET.required(None, None).unwrap_err();
        assert_eq!(error.key, "secret_file");
        assert_eq!(error.alternatives, ["secret_file", "secret"]);
        assert!(SECRET.optional(None, None).unwrap().is_none());
        assert!(
            SECRET
                .required(Some("v".into()), Some("/f".into()))
                .is_err()
        );
    }
}
