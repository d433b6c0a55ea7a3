//! The place of a database, looked at without opening or making it.

use crate::engine::Target;
use crate::error::OpenError;
use crate::sqlite;

/// What is at the place that a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No file, in a folder where one can be made.
    Missing,
    /// A file that no gateway serves from.
    Free,
    /// A file that a gateway serves from.
    InUse,
    /// A server. It was not asked.
    Server,
}

/// Looks at the place of a database as a gateway does before it opens it. A file is neither opened nor made.
///
/// # Errors
/// [`OpenError::Refused`]: a gateway could not use it.
pub fn look(url: &str) -> Result<Place, OpenError> {
    match Target::of(url)? {
        Target::Server(_) => Ok(Place::Server),
        Target::File(path) => Ok(match (sqlite::is_locked(&path)?, path.exists()) {
            (_, false) => Place::Missing,
            (true, true) => Place::InUse,
            (false, true) => Place::Free,
        }),
    }
}

/// Checks a URL, and that the certificates that it names can be read. Nothing is opened.
///
/// # Errors
/// [`OpenError::Refused`] says what is wrong with it, without a password.
pub fn check_url(url: &str) -> Result<(), OpenError> {
    Target::of(url).map(|_| ())
}
