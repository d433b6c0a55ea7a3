#![doc = include_str!("../README.md")]

pub mod access;
pub mod assembly;
mod background;
pub mod cache;
pub mod commands;
pub mod config;
pub mod document;
mod drift;
pub mod escape;
mod fast_path;
mod headers;
pub mod instrument;
pub mod listeners;
pub mod log;
pub mod metrics;
mod observer;
mod process;
pub mod providers;
pub mod responder;
mod router;
pub mod routes;
mod shared_bodies;
pub mod state;
mod swagger_ui;
pub mod telemetry;
mod vendor_calls;
pub mod vendors;
