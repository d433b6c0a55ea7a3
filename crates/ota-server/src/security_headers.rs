//! What browsers must not do with a response.

use axum::http::{HeaderMap, HeaderValue, header};

/// What a browser may do with an answer of the API: nothing but show it as text.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What Swagger UI needs: its own scripts, styles and pictures, and the API beside it. It writes styles into its elements.
pub const PAGES_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the headers that tell browsers what they must not do with a response. `tls` says that it is sent over an encrypted connection.
pub fn secure(headers: &mut HeaderMap, tls: bool) {
    // A cached response was given these when it was made.
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

/// Tells browsers to come over TLS only.
pub fn secure_transport(headers: &mut HeaderMap) {
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    );
}
