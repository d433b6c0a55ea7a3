//! Leases of vendor accounts: which of several gateways may call a vendor.
//!
//! A lease ends by the database's clock, so the clocks of the gateways do not matter. Its epoch grows with each new tenure and never falls: what a holder
//! writes is refused once the row has another epoch ([`Fencing`]), however long that holder was paused.

use std::fmt::Write as _;
use std::time::Duration;

use ota_core::id::ProviderName;

use crate::connection::Connection;
use crate::error::{Result, StoreError};
use crate::pass::PassId;
use crate::value::{key, params, plain};

/// The time during which one gateway holds an account without a break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The vendor account.
    pub account: String,
    /// The process that holds it; no two processes have the same text.
    pub holder: String,
    /// Grows with each tenure of the account.
    pub epoch: i64,
}

/// What a gateway asks for: to hold an account, or to go on holding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The vendor account.
    pub account: String,
    /// The process that asks.
    pub holder: String,
    /// Where the other gateways reach it.
    pub address: String,
    /// How long the lease lasts from now, to the millisecond.
    pub length: Duration,
    /// The epoch of the tenure that is renewed, if the process holds the account.
    pub epoch: Option<i64>,
}

/// The answer to a claim that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The epoch: that of the claim where the tenure goes on, a larger one where a new tenure begins.
    pub epoch: i64,
    /// The tenure before this one; none if the account has never been held.
    pub previous: Option<Previous>,
}

/// How the tenure before ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// How long ago its lease ended.
    pub ended: Duration,
    /// The calls that the vendor counted when it was given back; none if it ran out.
    pub calls: Option<Vec<SentCall>>,
}

/// A call that a vendor counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCall {
    /// What the vendor counts it together with.
    pub bucket: String,
    /// How long before the end of the tenure it counts from, to the millisecond.
    pub ago: Duration,
}

/// An account and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The latest tenure.
    pub tenure: Tenure,
    /// Where its holder is reached.
    pub address: String,
    /// How long the lease still lasts; none if it has ended.
    pub left: Option<Duration>,
}

/// What a transaction that writes rows of a provider has to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Nothing: no other gateway uses the database.
    Open,
    /// That this tenure is still the latest.
    Held(Tenure),
    /// It cannot: this process does not hold the account.
    NotHeld,
}

/// Says under which tenure rows of a provider are written.
pub trait Fencing: Send + Sync + std::fmt::Debug {
    /// Returns what a transaction that begins now has to prove.
    fn fence(&self, provider: &ProviderName) -> Fence;
}

/// Returns the name of an account as the table has it: a very long one is cut and gets its hash. Doing so twice changes nothing.
#[must_use]
pub fn account_key(account: &str) -> String {
    key(account)
}

/// The database's time, in milliseconds since 1970.
pub(crate) const fn now(connection: &Connection) -> &'static str {
    match connection.is_sqlite() {
        true => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        false => "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    }
}

/// Grants the claim where the account is free or the same tenure goes on.
pub(crate) async fn claim(connection: &mut Connection, claim: &Claim) -> Result<Option<Granted>> {
    let now = now(connection);
    let goes_on = format!("leases.holder = $2 AND leases.epoch = $3 AND leases.expires_at > {now}");
    let kept = |column: &str, of: &str| {
        format!("{column} = CASE WHEN {goes_on} THEN leases.{column} ELSE leases.{of} END")
    };
    let sql = format!(
        "INSERT INTO leases (account, holder, epoch, expires_at, address, released, calls, previous_end, previous_released, previous_calls) \
         VALUES ($1, $2, 1, {now} + $4, $5, 0, '', -1, 0, '') \
         ON CONFLICT (account) DO UPDATE SET \
         epoch = CASE WHEN {goes_on} THEN leases.epoch ELSE leases.epoch + 1 END, \
         {}, {}, {}, \
         holder = $2, address = $5, expires_at = {now} + $4, released = 0, calls = '' \
         WHERE ({goes_on}) OR leases.expires_at <= {now} \
         RETURNING epoch, previous_end, previous_released, previous_calls, {now}",
        kept("previous_end", "expires_at"),
        kept("previous_released", "released"),
        kept("previous_calls", "calls"),
    );
    let row = connection
        .first(
            &sql,
            &params![
                key(&claim.account),
                claim.holder.as_str(),
                claim.epoch.unwrap_or(-1),
                length(claim.length),
                plain(&claim.address)
            ],
        )
        .await?;
    Ok(row.map(|row| Granted {
        epoch: row.int(0),
        previous: row.optional_count(1).map(|_| Previous {
            ended: since(row.int(4).saturating_sub(row.int(1))),
            calls: (row.int(2) == 1).then(|| calls(row.text(3))),
        }),
    }))
}

/// Ends a lease now, and leaves the calls of the running window to the next holder. Returns whether the tenure was the latest.
pub(crate) async fn release(
    connection: &mut Connection,
    tenure: &Tenure,
    sent: &[SentCall],
) -> Result<bool> {
    let now = now(connection);
    let changed = connection
        .execute(
            &format!(
                "UPDATE leases SET expires_at = {now}, released = 1, calls = $4 \
                 WHERE account = $1 AND holder = $2 AND epoch = $3 AND expires_at > {now}"
            ),
            &params![
                key(&tenure.account),
                tenure.holder.as_str(),
                tenure.epoch,
                text(sent)
            ],
        )
        .await?;
    Ok(changed > 0)
}

/// Returns all leases, by account.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<Lease>> {
    let sql = format!(
        "SELECT account, holder, epoch, address, expires_at - {} FROM leases ORDER BY account",
        now(connection)
    );
    let rows = connection.query(&sql, &[]).await?;
    Ok(rows
        .into_iter()
        .map(|mut row| Lease {
            tenure: Tenure {
                account: row.take(0),
                holder: row.take(1),
                epoch: row.int(2),
            },
            address: row.take(3),
            left: (row.int(4) > 0).then(|| since(row.int(4))),
        })
        .collect())
}

/// Fails if the tenure is no longer the latest. From here to the end of the transaction no other gateway can take the account: this belongs right before the
/// commit, because a renewal waits for it too.
pub(crate) async fn check(connection: &mut Connection, tenure: &Tenure) -> Result<()> {
    let sql = match connection.is_sqlite() {
        true => "SELECT epoch FROM leases WHERE account = $1 AND holder = $2 AND epoch = $3",
        false => {
            "SELECT epoch FROM leases WHERE account = $1 AND holder = $2 AND epoch = $3 FOR SHARE"
        }
    };
    let params = params![key(&tenure.account), tenure.holder.as_str(), tenure.epoch];
    match connection.first(sql, &params).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Superseded),
    }
}

/// Returns the provider that a pass reads.
pub(crate) async fn provider_of(
    connection: &mut Connection,
    pass: PassId,
) -> Result<Option<ProviderName>> {
    let row = connection
        .first(
            "SELECT providers.name FROM passes JOIN providers ON providers.pk = passes.source WHERE passes.pk = $1",
            &params![pass.0],
        )
        .await?;
    Ok(row.map(|row| ProviderName::from(row.text(0))))
}

fn length(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 4)
}

pub(crate) fn since(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// A line for each call: milliseconds, a space, the bucket.
fn text(sent: &[SentCall]) -> String {
    let mut text = String::new();
    for call in sent {
        let bucket = plain(&call.bucket).replace('\n', " ");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {bucket}", length(call.ago));
    }
    text
}

fn calls(text: &str) -> Vec<SentCall> {
    let call = |line: &str| {
        let (ago, bucket) = line.split_once(' ')?;
        Some(SentCall {
            bucket: bucket.to_owned(),
            ago: Duration::from_millis(ago.parse().ok()?),
        })
    };
    text.lines().filter_map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::{SentCall, calls, text};
    use std::time::Duration;

    #[test]
    fn the_calls_of_a_window_survive() {
        let call = |bucket: &str, ago| SentCall {
            bucket: bucket.to_owned(),
            ago: Duration::from_millis(ago),
        };
        let sent = [
            call("ListOTAJobByFirmware", 12),
            call("", 0),
            call("read", 59_999),
        ];
        assert_eq!(calls(&text(&sent)), sent);
        assert_eq!(calls(""), []);
    }
}
