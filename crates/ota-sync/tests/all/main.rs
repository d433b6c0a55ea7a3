//! The sync against a vendor in memory, with a clock that is moved by hand and a database in a temporary file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kills;
mod log;
mod looks;
mod passes;
mod property;
mod shared;
mod vendor;
mod waits;
mod world;
