//! Why a token is refused.

use std::borrow::Cow;

/// Why a token was refused. Contains no information about the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a token, or its signature, algorithm or claims are invalid.
    Invalid(Cow<'static, str>),
    /// Its signature is valid, but it is from another issuer or for another audience.
    Foreign {
        /// What is wrong, for the caller.
        detail: &'static str,
        /// The received value, for the log only.
        came: String,
    },
    /// It names a key that is not known, perhaps because it is newer than the known ones.
    UnknownKey,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// There are no keys to verify it with: the place that they come from does not answer. Not the caller's fault.
    NoKeys,
}

impl TokenError {
    pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(detail.into())
    }
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Invalid(reason) => reason,
            Self::Foreign { detail, .. } => detail,
            Self::UnknownKey => {
                "the token was signed with a key (`kid`) that this gateway does not know; get a new token"
            }
            Self::Expired => "the token has expired; get a new one",
            Self::NotYetValid => {
                "the token is not valid yet; compare the clocks of issuer and gateway"
            }
            Self::NoKeys => {
                "the keys that tokens are verified with are not available at the moment; try again"
            }
        })
    }
}
