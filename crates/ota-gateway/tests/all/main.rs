//! Tests of the configuration as an operator meets it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod example;
mod fields;
mod logins;
