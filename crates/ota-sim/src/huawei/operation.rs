//! Names of the operations in counters, recorded requests and faults.

/// `POST /iocm/app/sec/v1.1.0/login`
pub const LOGIN: &str = "login";
/// `POST /iocm/app/sec/v1.1.0/refreshToken`
pub const REFRESH_TOKEN: &str = "refresh_token";
/// `GET /iodm/northbound/v1.5.0/operations`
pub const LIST_OPERATIONS: &str = "list_operations";
/// `GET /iodm/northbound/v1.5.0/operations/{operationId}`
pub const GET_OPERATION: &str = "get_operation";
/// `GET /iodm/northbound/v1.5.0/operations/{operationId}/subOperations`
pub const LIST_SUB_OPERATIONS: &str = "list_sub_operations";
/// `GET /iodm/northbound/v1.5.0/category`
pub const LIST_PACKAGES: &str = "list_packages";
/// `GET /iodm/northbound/v1.5.0/category/{fileId}`
pub const GET_PACKAGE: &str = "get_package";
