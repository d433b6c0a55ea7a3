//! The sandbox as a newcomer meets it, and the files of the composed one.

mod compose;
mod tour;
