//! What is counted of reads and of the cache.

use prometheus::IntCounter;

use crate::instrument::{self, NO_LABELS, instruments};

instruments! {
    /// How reads are answered, and what the cache holds.
    pub(crate) struct CacheMetrics {
        /// Reads by how they were answered: hit (from the cache), fetched (by vendor calls), forwarded (by the gateway that holds the vendor account), joined (an equal read was in flight), stale (the vendor did not answer; an older cached response was served), nothing_cached, failed.
        reads: Counter "ota_reads_total" ["provider", "operation", "result" = || ReadResult::ALL.map(ReadResult::as_str).to_vec()],
        /// Cached responses.
        entries: Gauge "ota_cache_entries" [],
        /// Memory of the cached responses, of at most cache.max_bytes.
        bytes: Gauge "ota_cache_bytes" [],
    }
}

/// How a read was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadResult {
    /// From a cached response.
    Hit,
    /// By vendor calls.
    Fetched,
    /// By the gateway that holds the vendor account.
    Forwarded,
    /// By an equal read that was in flight.
    Joined,
    /// By an older cached response, because the vendor did not answer.
    Stale,
    /// Nothing was cached, and no vendor call was allowed.
    NothingCached,
    /// With an error.
    Failed,
}

impl ReadResult {
    /// Every result.
    const ALL: [Self; 7] = [
        Self::Hit,
        Self::Fetched,
        Self::Forwarded,
        Self::Joined,
        Self::Stale,
        Self::NothingCached,
        Self::Failed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Fetched => "fetched",
            Self::Forwarded => "forwarded",
            Self::Joined => "joined",
            Self::Stale => "stale",
            Self::NothingCached => "nothing_cached",
            Self::Failed => "failed",
        }
    }
}

impl CacheMetrics {
    /// Records how a read was answered.
    pub(crate) fn read(&self, provider: &str, operation: &'static str, result: ReadResult) {
        self.of_reads(provider, operation, result).inc();
    }

    /// Returns the counter of the reads of one operation with this result, so that it is looked up only once.
    pub(crate) fn of_reads(
        &self,
        provider: &str,
        operation: &'static str,
        result: ReadResult,
    ) -> IntCounter {
        let labels = [provider, operation, result.as_str()];
        self.reads.with_label_values(&labels)
    }

    /// Records the current size of the cache.
    pub(crate) fn held(&self, (entries, bytes): (u64, u64)) {
        instrument::set(&self.entries, &NO_LABELS, entries);
        instrument::set(&self.bytes, &NO_LABELS, bytes);
    }
}
