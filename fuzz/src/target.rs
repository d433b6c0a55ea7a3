//! What a target is, and what all decoders must hold.

use ota_core::Error;

/// Does something with any input.
pub type Target = fn(&[u8]);

/// The secret that every decoder must hide.
const SECRET: &str = "secret-of-nobody";

/// Panics where an error shows the secret.
pub(crate) fn hides_the_secret(error: Option<Error>) {
    let Some(error) = error else { return };
    let vendor = error.vendor().cloned().unwrap_or_default();
    let shown = format!("{error} {vendor:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}
