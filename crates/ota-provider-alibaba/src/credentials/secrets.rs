//! A credential, whole.

use ota_http::Secret;

/// One credential. Its parts belong together: one of another credential makes a wrong signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) access_key_id: Secret,
    pub(crate) access_key_secret: Secret,
    pub(crate) security_token: Option<Secret>,
}
