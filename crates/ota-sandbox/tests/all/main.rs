//! The sandbox as a newcomer meets it, and the files of the composed one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compose;
mod tour;
