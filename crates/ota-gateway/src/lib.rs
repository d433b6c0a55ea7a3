#![doc = include_str!("../README.md")]

pub mod api;
pub mod assembly;
pub mod auth;
pub mod cache;
pub mod cached_read;
pub mod commands;
pub mod config;
pub mod cursor;
pub mod document;
pub mod escape;
mod fast_path;
mod headers;
pub mod listeners;
pub mod log;
pub mod metrics;
pub mod parameters;
pub mod problem;
pub mod providers;
pub mod query;
pub mod responses;
pub mod routes;
pub mod server;
mod shared_bodies;
pub mod state;
mod swagger_ui;
pub mod telemetry;
pub mod vendors;
