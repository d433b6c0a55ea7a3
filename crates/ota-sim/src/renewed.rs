//! A credential that the vendor has replaced while the simulator runs.

use std::sync::{Arc, Mutex, PoisonError};

/// What is accepted instead of the configured credential, once it is set. Clones share it.
#[derive(Clone)]
pub struct Renewed<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for Renewed<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> std::fmt::Debug for Renewed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renewed")
    }
}

impl<T: Clone> Renewed<T> {
    /// From now on only this credential is accepted.
    pub fn set(&self, credential: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(credential);
    }

    /// Returns the credential in force, if it was replaced.
    pub(crate) fn get(&self) -> Option<T> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
