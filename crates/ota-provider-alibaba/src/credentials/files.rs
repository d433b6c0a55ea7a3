//! Keys of the settings, from values or files.

use std::sync::Arc;

use ota_core::clock::Clock;
use ota_core::{Error, ErrorKind, Result};
use ota_http::renewal::SecretGroup;
use ota_http::{Secret, SecretSource};

use super::secrets::Secrets;

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
        whole(parts)
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "a part of the credential is missing"))
    }

    /// Returns the credential if it is another one than the refused one, also where the files look unchanged.
    pub(super) fn newer(&self, refused: &Secrets) -> Option<Arc<Secrets>> {
        let now = whole(self.0.read_again()?)?;
        (*now != *refused).then_some(now)
    }

    /// As [`SecretGroup::replaced`].
    pub(super) async fn replaced(&self, refused: &Secrets) -> bool {
        let parts: Vec<_> = refused.parts().cloned().collect();
        self.0.replaced(&parts).await
    }
}

fn whole(parts: Vec<Secret>) -> Option<Arc<Secrets>> {
    let mut parts = parts.into_iter();
    Some(Arc::new(Secrets {
        access_key_id: parts.next()?,
        access_key_secret: parts.next()?,
        security_token: parts.next(),
    }))
}
