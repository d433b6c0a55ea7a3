//! Tests of the adapter through its public interface, against a server of scripted answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod clock;
mod credentials;
mod decoder;
mod fields;
mod mapping;
mod odd_lists;
mod paging;
mod partial;
mod refused;
mod requests;
mod server;
mod vectors;
