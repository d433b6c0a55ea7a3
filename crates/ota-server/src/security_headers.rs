//! Security headers: what browsers must not do with a response.

use axum::http::{HeaderMap, HeaderValue, header};

/// The content security policy of API responses: a browser may only show them as text.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The content security policy of Swagger UI: its own scripts, styles and images, and the API on the same origin. It uses inline styles.
pub const PAGES_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the security headers to a response. `tls` says that it is sent over an encrypted connection.
pub fn secure(headers: &mut HeaderMap, tls: bool) {
    // A cached response already has these headers.
    if !headers.contains_key(header::X_CONTENT_TYPE_OPTIONS) {
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert(HeaderValue::from_static(DATA_POLICY));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
    }
    if tls {
        secure_transport(headers);
    }
}

/// Makes browsers use TLS only (HSTS).
pub fn secure_transport(headers: &mut HeaderMap) {
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    );
}
