//! What a target is, and what all decoders must hold.

use ota_core::Error;

/// Does something with any input.
pub type Target = fn(&[u8]);

/// The secret that stands in the seeds and that every decoder must hide.
const SECRET: &str = "secret-of-nobody";

/// Panics where an error shows the secret, which `of_adapter` is too.
pub(crate) fn hides_the_secret(of_adapter: &str, error: Option<Error>) {
    assert_eq!(of_adapter, SECRET, "the seeds hold another secret");
    let Some(error) = error else { return };
    let vendor = error.vendor().cloned().unwrap_or_default();
    let shown = format!("{error} {vendor:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}
