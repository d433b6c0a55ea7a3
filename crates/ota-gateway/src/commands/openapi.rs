//! `ota-gateway openapi`

/// Returns the OpenAPI document as it is served; needs no configuration.
#[must_use]
pub fn run() -> String {
    crate::document::to_text(&crate::document::document())
}
