//! What is wrong with TLS settings.

/// What is wrong with TLS settings; fit for an operator, without any part of a key.
#[derive(Debug)]
pub struct TlsError(pub(crate) String);

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}
