//! The responses that operations have beside their 200. An operation names one of these kinds in its `#[utoipa::path]`:
//!
//! - [`LocalRead`]: a GET without a vendor call.
//! - [`VendorRead`]: a GET that may call a vendor.
//! - [`VendorList`]: a GET that may call a vendor, and takes a cursor.
//! - [`FleetRead`]: a GET that is answered from the mirror.
//! - [`FleetList`]: a GET that is answered from the mirror, and takes a cursor.
//! - [`Command`]: a POST.
//! - [`SyncCommand`]: a POST that concerns the mirror.
//!
//! The document describes each response once. What it says about request headers follows from the responses: an operation that can answer 304 reads
//! `If-None-Match`, one that can answer `nothing_cached` reads `Cache-Control`.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

use crate::problem::Code;

/// What any operation can answer.
const ANY: &[Code] = &[
    Code::InvalidArgument,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::NotFound,
    Code::NotAcceptable,
    Code::PayloadTooLarge,
    Code::MisdirectedRequest,
    Code::RequestTimeout,
    Code::UriTooLong,
    Code::RateLimited,
    Code::HeadersTooLarge,
    Code::Internal,
    Code::KeysUnavailable,
    Code::Unavailable,
];

/// What an operation that takes a cursor can answer.
const CURSOR: &[Code] = &[Code::InvalidCursor];

/// What an operation that may call a vendor can answer.
const VENDOR: &[Code] = &[
    Code::UnsupportedByProvider,
    Code::ProviderAuth,
    Code::ProviderRejected,
    Code::ProviderMisconfigured,
    Code::ProviderProtocol,
    Code::ProviderThrottled,
    Code::ProviderUnavailable,
    Code::ProviderTimeout,
    Code::NothingCached,
];

/// What an operation that needs the mirror can answer.
const MIRROR: &[Code] = &[Code::MirrorUnavailable];

/// The status of an unchanged answer.
const NOT_MODIFIED: u16 = 304;

/// A response that the document describes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedResponse {
    /// Its status.
    pub status: u16,
    /// Its codes; none for an unchanged answer.
    pub codes: Vec<Code>,
}

impl SharedResponse {
    /// Returns its name: the status, and the kind of operation where others have fewer codes under that status.
    #[must_use]
    pub fn name(&self) -> String {
        let Some(code) = self.codes.first() else {
            return "NotModified".to_owned();
        };
        let reason = code.status().canonical_reason().unwrap_or_default();
        let reason: String = reason.split([' ', '-']).collect();
        let has = |code| self.codes.contains(&code);
        let suffix = match code {
            Code::InvalidArgument if has(Code::InvalidCursor) => "InList",
            Code::KeysUnavailable if has(Code::ProviderUnavailable) => "WithProvider",
            Code::KeysUnavailable if has(Code::MirrorUnavailable) => "WithMirror",
            _ => "",
        };
        format!("{reason}{suffix}")
    }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident { unchanged: $unchanged:literal, codes: [$($codes:expr),+] })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug)]
            pub struct $kind;

            impl $kind {
                fn all() -> Vec<SharedResponse> {
                    by_status($unchanged, &[$($codes),+])
                }
            }

            impl IntoResponses for $kind {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    references(&Self::all())
                }
            }
        )+

        /// Returns the responses of all kinds of operations. Some are there more than once.
        #[must_use]
        pub fn shared() -> Vec<SharedResponse> {
            [$($kind::all()),+].concat()
        }
    };
}

kinds! {
    /// A GET without a vendor call.
    LocalRead { unchanged: true, codes: [ANY] }
    /// A GET that may call a vendor.
    VendorRead { unchanged: true, codes: [ANY, VENDOR] }
    /// A GET that may call a vendor, and takes a cursor.
    VendorList { unchanged: true, codes: [ANY, CURSOR, VENDOR] }
    /// A GET that is answered from the mirror.
    FleetRead { unchanged: true, codes: [ANY, MIRROR] }
    /// A GET that is answered from the mirror, and takes a cursor.
    FleetList { unchanged: true, codes: [ANY, CURSOR, MIRROR] }
    /// A POST: it does something, so there is nothing that could be unchanged or cached.
    Command { unchanged: false, codes: [ANY] }
    /// A POST that concerns the mirror.
    SyncCommand { unchanged: false, codes: [ANY, &[Code::Conflict], MIRROR] }
}

fn by_status(unchanged: bool, codes: &[&[Code]]) -> Vec<SharedResponse> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    if unchanged {
        by_status.insert(NOT_MODIFIED, Vec::new());
    }
    for code in codes.concat() {
        let status = code.status().as_u16();
        by_status.entry(status).or_default().push(code);
    }
    let all = by_status.into_iter();
    all.map(|(status, codes)| SharedResponse { status, codes })
        .collect()
}

fn references(responses: &[SharedResponse]) -> BTreeMap<String, RefOr<Response>> {
    let named = responses.iter().map(|response| {
        let reference = Ref::from_response_name(response.name());
        (response.status.to_string(), RefOr::Ref(reference))
    });
    named.collect()
}
