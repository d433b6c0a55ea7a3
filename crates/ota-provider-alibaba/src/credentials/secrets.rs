//! A complete credential.

use ota_http::Secret;

/// One credential. Its parts belong together: mixed with a part of another credential, the signature is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) access_key_id: Secret,
    pub(crate) access_key_secret: Secret,
    pub(crate) security_token: Option<Secret>,
}

impl Secrets {
    /// Returns the parts in the order in which they are configured; the token is left out where there is none.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Secret> {
        let keys = [&self.access_key_id, &self.access_key_secret];
        keys.into_iter().chain(&self.security_token)
    }
}
