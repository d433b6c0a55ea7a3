//! The calls of the running window, kept with the mirror: a process that starts again goes on counting where the one before ended.

use std::sync::Arc;
use std::time::Duration;

use ota_guard::{AccountQuota, CountedCall, QuotaScope};
use ota_store::StoreError;
use time::OffsetDateTime;

use crate::schedule::age;
use crate::step::Environment;

/// A shorter window has passed before a process has started again.
const SHORTEST_WINDOW: Duration = Duration::from_secs(5);

/// Keeps the calls of one account.
#[derive(Debug)]
pub(crate) struct CallTimes {
    account: String,
    quota: Arc<AccountQuota>,
    /// What was written last.
    written: tokio::sync::Mutex<Vec<(String, OffsetDateTime)>>,
}

impl CallTimes {
    pub(crate) fn new(account: String, quota: Arc<AccountQuota>) -> Self {
        Self {
            account,
            quota,
            written: tokio::sync::Mutex::default(),
        }
    }

    /// Returns what the vendor counts together, where that is kept.
    fn buckets(&self) -> &'static [&'static str] {
        let limits = self.quota.limits();
        match &limits.scope {
            _ if limits.window < SHORTEST_WINDOW => &[],
            QuotaScope::Account => &[""],
            QuotaScope::ReadsAndWrites { .. } => &["read", "write"],
            // No vendor counts operations apart over a long window.
            QuotaScope::Operation { .. } => &[],
        }
    }

    fn key(&self, bucket: &str) -> String {
        match bucket {
            "" => self.account.clone(),
            bucket => format!("{} {bucket}", self.account),
        }
    }

    /// Counts the calls of the process before.
    pub(crate) async fn restore(&self, env: &Environment) -> Result<(), StoreError> {
        let now = env.now();
        let from = now - self.quota.limits().window;
        for bucket in self.buckets() {
            let calls = env.store.recent_calls(&self.key(bucket), from).await?;
            for at in calls {
                self.quota.restore(&CountedCall {
                    bucket: (*bucket).to_owned(),
                    ago: age(now, at),
                });
            }
        }
        Ok(())
    }

    /// Writes the calls that count now, if they are not those that were written last.
    pub(crate) async fn keep(&self, env: &Environment) -> Result<(), StoreError> {
        if self.buckets().is_empty() {
            return Ok(());
        }
        let now = env.now();
        let counted = self.quota.counted().into_iter();
        let mut calls: Vec<(String, OffsetDateTime)> = counted
            .map(|call| (call.bucket, now.saturating_sub(spent(call.ago))))
            .collect();
        calls.sort_unstable();
        let mut written = self.written.lock().await;
        if are_the_same(&written, &calls) {
            return Ok(());
        }
        for bucket in self.buckets() {
            let of = calls.iter().filter(|(of, _)| of == bucket);
            let times: Vec<OffsetDateTime> = of.map(|(_, at)| *at).collect();
            env.store.record_calls(&self.key(bucket), &times).await?;
        }
        *written = calls;
        Ok(())
    }
}

fn spent(ago: Duration) -> time::Duration {
    time::Duration::try_from(ago).unwrap_or(time::Duration::MAX)
}

/// Whether these are the same calls. Wall time and monotonic time are not read in the same moment, so the times differ a little.
fn are_the_same(one: &[(String, OffsetDateTime)], other: &[(String, OffsetDateTime)]) -> bool {
    let is_near =
        |((of, at), (other, then)): (&(String, OffsetDateTime), &(String, OffsetDateTime))| {
            of == other && (*at - *then).abs() < time::Duration::milliseconds(250)
        };
    one.len() == other.len() && one.iter().zip(other).all(is_near)
}
