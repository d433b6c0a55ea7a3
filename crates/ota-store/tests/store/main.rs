//! The store on both engines.

mod fleet;
mod harness;
mod pages;
mod passes;
