//! Tests of the adapter through its public face, against a server of scripted answers.

mod answers;
mod mapping;
mod requests;
mod server;
mod vectors;
mod walks;
