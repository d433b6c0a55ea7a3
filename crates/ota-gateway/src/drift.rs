//! Counts and logs what vendors send that is not in their documents.

use ota_core::drift::{DriftCounter, DriftKind, DriftObserver, shown_name};
use ota_core::id::ProviderName;

use crate::instrument::instruments;

instruments! {
    /// Content of vendor responses that is not in the vendor's documents.
    pub(crate) struct DriftMetrics {
        /// Things in vendor answers that no document of the vendor has, by kind: word (of an enumeration), value (that cannot be read), field, page (another page or total than the one asked for, or numbers that do not fit each other), malformed (a text or number that is not as its format wants it, such as bytes that are not UTF-8). The field is the documented one; for a field that is not documented it is (new), for what is malformed (any), and the log names it.
        drift: Counter "ota_vendor_drift_total" ["provider", "operation", "kind" = || DriftKind::ALL.map(DriftKind::as_str).to_vec(), "field"],
    }
}

/// The label of a field that is not in the documents: a field name chosen by a vendor must not become a label value.
const NEW_FIELD: &str = "(new)";

/// The label value for malformed data: it may be in any field, documented or not.
const ANY_FIELD: &str = "(any)";

impl DriftMetrics {
    fn count(&self, provider: &str, kind: DriftKind, operation: &'static str, field: &str) {
        let field = match kind {
            DriftKind::Field => NEW_FIELD,
            DriftKind::Malformed => ANY_FIELD,
            DriftKind::Word | DriftKind::Value | DriftKind::Page => field,
        };
        let labels = [provider, operation, kind.as_str(), field];
        self.drift.with_label_values(&labels).inc();
    }

    /// Returns the observer that a provider reports drift to.
    pub(crate) fn observer(&self, provider: &ProviderName) -> CountedDrift {
        CountedDrift {
            provider: provider.clone(),
            seen: DriftCounter::default(),
            metrics: self.clone(),
        }
    }
}

/// Counts what a vendor sends that is not in its documents, and logs the first occurrence.
#[derive(Debug)]
pub(crate) struct CountedDrift {
    provider: ProviderName,
    seen: DriftCounter,
    metrics: DriftMetrics,
}

impl DriftObserver for CountedDrift {
    fn observe(&self, kind: DriftKind, operation: &'static str, field: &str) {
        self.metrics
            .count(self.provider.as_str(), kind, operation, field);
        if self.seen.count(kind, operation, field) > 1 {
            return;
        }
        match kind {
            DriftKind::Word | DriftKind::Field | DriftKind::Value => tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = shown_name(field),
                drift = kind.as_str(),
                "the vendor sent something that is not in its documents; the answer shows it verbatim"
            ),
            DriftKind::Malformed => tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = shown_name(field),
                drift = kind.as_str(),
                "the vendor sent a text, number or name that is not as its format wants it; bytes that cannot be read are replaced, the rest stays as text"
            ),
            DriftKind::Page => tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = ?field,
                drift = kind.as_str(),
                "the vendor answered with another page than was asked for, or with numbers that do not fit each other; \
                 no row is left out without an error or `truncated`, and a total that does not fit is left out"
            ),
        }
    }
}
