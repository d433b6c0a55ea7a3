#![doc = include_str!("../README.md")]

pub mod api;
pub mod app;
pub mod auth;
pub mod commands;
pub mod config;
pub mod cursor;
pub mod document;
pub mod edge;
pub mod escape;
pub mod fresh;
mod headers;
mod hits;
pub mod log;
pub mod metrics;
pub mod problem;
pub mod providers;
pub mod query;
mod rate_limit;
pub mod rendered;
pub mod routes;
pub mod server;
mod shared_bodies;
mod shares;
mod swagger_ui;
pub mod telemetry;
