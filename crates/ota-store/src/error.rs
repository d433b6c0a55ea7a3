//! What can go wrong with the database.

/// The result of an operation of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The database did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It cannot be used now (away, full, read-only, damaged); it is tried again with the next operation.
    Unavailable {
        /// What is wrong and what to do, fit for an operator, without a password.
        message: String,
    },
    /// This process no longer holds the account that the transaction wrote for; nothing was written.
    Superseded,
    /// The position of a page is none that this program made.
    Position,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable { message } => f.write_str(message),
            Self::Superseded => f.write_str("another gateway has taken the account over"),
            Self::Position => f.write_str("the position of the page cannot be read"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The database cannot be opened. Fit for an operator, without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A restart does not help: the URL is none, the file is locked, read-only or damaged, the database is newer than the program.
    ///
    /// What to do stands after a semicolon, where it is something else than to name another database.
    Refused(String),
    /// The database lacks migrations of this program, and was opened without the right to run them.
    Behind(String),
    /// The server is away; it may come back.
    Away(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Refused(message) | Self::Behind(message) | Self::Away(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for OpenError {}
