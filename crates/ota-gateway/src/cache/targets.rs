//! What the path and query of earlier requests ask for, so that equal requests need not be parsed again.

use std::sync::Arc;

use axum::extract::MatchedPath;
use ota_core::id::ProviderName;
use ota_fleet::CacheLimits;
use prometheus::IntCounter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::observer::RouteCounters;

/// The maximum memory of remembered targets, in bytes of text: enough for some thousands.
const MAX_BYTES: u64 = 1 << 20;

/// What a path with its query asks for.
#[derive(Debug)]
pub(crate) struct ResolvedTarget {
    pub(crate) provider: ProviderName,
    pub(crate) route: MatchedPath,
    /// Counts the requests that are answered.
    pub(crate) requests: RouteCounters,
    /// Counts the reads that are answered from the cache.
    pub(crate) hits: IntCounter,
    pub(crate) limits: CacheLimits,
    /// The key of the cached response.
    pub(crate) key: String,
}

/// Remembers what the paths and queries of earlier requests ask for.
pub(crate) struct ResolvedTargets(Cache<String, Arc<ResolvedTarget>, Weight>);

impl std::fmt::Debug for ResolvedTargets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolvedTargets")
            .field("known", &self.0.len())
            .finish()
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<ResolvedTarget>> for Weight {
    fn weight(&self, target: &String, known: &Arc<ResolvedTarget>) -> u64 {
        (target.len() + known.key.len() + 200) as u64
    }
}

impl Default for ResolvedTargets {
    fn default() -> Self {
        Self(Cache::with_weighter(1000, MAX_BYTES, Weight))
    }
}

impl ResolvedTargets {
    pub(crate) fn get(&self, target: &str) -> Option<Arc<ResolvedTarget>> {
        self.0.get(target)
    }

    pub(crate) fn knows(&self, target: &str) -> bool {
        self.0.peek(target).is_some()
    }

    pub(crate) fn remember(&self, target: &str, known: ResolvedTarget) {
        self.0.insert(target.to_owned(), Arc::new(known));
    }
}
