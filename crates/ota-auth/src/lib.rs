#![doc = include_str!("../README.md")]

mod algorithm;
mod authorize;
mod caller;
mod claims;
mod crypto;
mod error;
mod jwk;
mod key;
mod keys;
mod loopback;
mod mint;
mod point;
mod rsa;
mod scope;
mod source;
mod token;

pub use algorithm::{Algorithms, KeyKind};
pub use authorize::{Access, AuthError, Credentials, Listener, authorize};
pub use caller::Caller;
pub use claims::{ClaimNames, Claims, Rules, unknown_scope};
pub use error::TokenError;
pub use jwk::{AllLeftOut, LeftOut};
pub use keys::{KeyError, KeySet, MIN_SECRET_BYTES};
pub use mint::TokenIssuer;
pub use scope::{ADMIN, KNOWN_SCOPES, READ};
pub use source::{KeySource, Keys, LookedFor};
pub use token::Verifier;
