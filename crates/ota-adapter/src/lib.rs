#![doc = include_str!("../README.md")]

pub mod account;
pub mod answer;
pub mod configured;
pub mod connection;
pub mod cursor;
pub mod error;
pub mod fields;
pub mod lenient;
pub mod page;
pub mod phrase;
pub mod rows;
pub mod settings;
pub mod throttling;
pub mod timestamp;
pub mod token_pager;

pub use account::Account;
pub use configured::NeutralRow;
pub use connection::{Connection, ConnectionSettings};
pub use cursor::ListCursor;
pub use error::Meaning;
pub use fields::{FieldReader, Source};
pub use lenient::{LenientList, LenientObject, LenientScalar};
pub use timestamp::TimeFormat;
