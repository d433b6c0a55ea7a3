//! Keys of the settings, from values or files.

use std::sync::Arc;

use ota_core::clock::Clock;
use ota_core::{Error, ErrorKind, Result};
use ota_http::SecretSource;
use ota_http::renewal::SecretGroup;

use super::Secrets;

/// The three parts of a credential.
#[derive(Debug)]
pub(crate) struct Files(SecretGroup);

impl Files {
    pub(super) fn new(
        id: Arc<SecretSource>,
        secret: Arc<SecretSource>,
        token: Option<Arc<SecretSource>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sources = [Some(id), Some(secret), token].into_iter().flatten();
        Self(SecretGroup::new(sources.collect(), clock))
    }

    /// Returns the credential as it is now.
    pub(super) fn read(&self) -> Result<Arc<Secrets>> {
        let parts = self.0.read().map_err(|error| {
            Error::new(
                ErrorKind::Misconfigured,
                "a secret file of this provider cannot be read",
            )
            .with_source(error)
        })?;
        let mut parts = parts.into_iter();
        let missing = || Error::new(ErrorKind::Unexpected, "a part of the credential is missing");
        Ok(Arc::new(Secrets {
            access_key_id: parts.next().ok_or_else(missing)?,
            access_key_secret: parts.next().ok_or_else(missing)?,
            security_token: parts.next(),
        }))
    }

    /// As [`SecretGroup::replaced`].
    pub(super) async fn replaced(&self, refused: &Secrets) -> bool {
        let parts = [
            Some(&refused.access_key_id),
            Some(&refused.access_key_secret),
            refused.security_token.as_ref(),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().cloned().collect();
        self.0.replaced(&parts).await
    }
}
