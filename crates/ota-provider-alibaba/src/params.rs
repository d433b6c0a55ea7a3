//! What an operation is called with.

/// Parameters of one operation, in any order.
pub(crate) type Params = Vec<(String, String)>;
