#![doc = include_str!("../README.md")]

pub mod contract;
pub mod gateway;
pub mod postgres;
pub mod program;
pub mod promql;
mod relay;
pub mod script;
pub mod token;
pub mod vendors;
pub mod wire;

pub use gateway::{Ask, Gateway, PlantedStanding};
pub use relay::Relay;
pub use script::{Answer, Script, Seen};
pub use vendors::Section;
pub use wire::Reply;
