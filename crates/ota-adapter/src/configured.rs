//! Rows whose fields can stand at a configured place.

use ota_core::configured_fields::{FieldValues, RowKind};
use ota_core::job::Job;
use ota_core::task::Task;

/// What a row of a vendor is mapped to.
///
/// An operator can configure where a row holds a field that the vendor's documents do not fix. Jobs and tasks have such fields; for other rows an empty
/// implementation will do.
pub trait NeutralRow {
    /// What the row describes, if it has such fields.
    const KIND: Option<RowKind> = None;

    /// Fills the fields that the vendor did not report itself.
    fn fill(&mut self, _values: FieldValues) {}
}

impl NeutralRow for Job {
    const KIND: Option<RowKind> = Some(RowKind::Job);

    fn fill(&mut self, values: FieldValues) {
        values.fill_job(self);
    }
}

impl NeutralRow for Task {
    const KIND: Option<RowKind> = Some(RowKind::Task);

    fn fill(&mut self, values: FieldValues) {
        values.fill_task(self);
    }
}
