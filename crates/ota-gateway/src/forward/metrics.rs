//! What is counted of reads that are passed on.

use ota_core::id::ProviderName;

use crate::instrument::instruments;

instruments! {
    /// What happens to live reads that another gateway has to answer.
    pub(crate) struct ForwardMetrics {
        /// Live reads that were passed on to the gateway that holds the vendor account, by how they ended: answered, stale (with an older response, because the vendor did not answer), problem (as this gateway would have refused it, or as the vendor failed), failed (the holder did not answer as a gateway in time), no_holder (no gateway held the account); and not_holder: reads that another gateway passed on to this one, which did not hold the account.
        reads: Counter "ota_forwarded_reads_total" ["provider", "result" = || ForwardResult::ALL.map(ForwardResult::as_str).to_vec()],
    }
}

/// How a read that was passed on ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardResult {
    /// The holder answered.
    Answered,
    /// The holder answered with an older response.
    Stale,
    /// The holder answered with a problem.
    Problem,
    /// The holder did not answer as a gateway in time.
    Failed,
    /// No gateway held the account.
    NoHolder,
    /// Another gateway took this one for the holder.
    NotHolder,
}

impl ForwardResult {
    /// Every result.
    pub(crate) const ALL: [Self; 6] = [
        Self::Answered,
        Self::Stale,
        Self::Problem,
        Self::Failed,
        Self::NoHolder,
        Self::NotHolder,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Stale => "stale",
            Self::Problem => "problem",
            Self::Failed => "failed",
            Self::NoHolder => "no_holder",
            Self::NotHolder => "not_holder",
        }
    }
}

impl ForwardMetrics {
    /// Counts a read.
    pub(crate) fn count(&self, provider: &ProviderName, result: ForwardResult) {
        let labels = [provider.as_str(), result.as_str()];
        self.reads.with_label_values(&labels).inc();
    }
}
