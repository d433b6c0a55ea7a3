//! The caller, as named by the token.

use std::sync::Arc;

use super::claims::Claims;

/// The name of callers whose token has no `sub`, and of all callers without access control.
const ANONYMOUS: &str = "(anonymous)";

/// The caller.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The token's `sub`.
    pub subject: Option<Arc<str>>,
    scopes: Vec<String>,
    providers: Option<Vec<String>>,
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        Self {
            subject: claims.sub.map(Arc::from),
            scopes: claims.scopes,
            providers: claims.providers,
        }
    }
}

impl Caller {
    /// Returns who it is, for logs and limits: the token's `sub`. Tokens without one are one caller.
    #[must_use]
    pub fn name(&self) -> &str {
        self.subject.as_deref().unwrap_or(ANONYMOUS)
    }

    /// Returns [`Caller::name`] for use beyond the request.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        self.subject.clone().unwrap_or_else(|| Arc::from(ANONYMOUS))
    }

    /// Whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|has| has == scope)
    }

    /// Whether the provider is visible to the caller.
    #[must_use]
    pub fn sees(&self, provider: &str) -> bool {
        self.providers
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == provider))
    }
}
