//! What this process holds, and how it comes to hold it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::BoxFuture;
use ota_core::clock::{Clock, after};
use ota_core::context::Moment;
use ota_core::id::ProviderName;
use ota_store::lease::{Claim, Fence, Fencing, Granted, Lease, SentCall, Tenure, account_key};
use ota_store::{StoreError, answered_by};
use tokio::sync::watch;

use crate::table::LeaseTable;
use crate::timing::{LEASE, PATIENCE, RENEW_EVERY, TRUST, TURN};

/// The calls of an account that the vendor counts.
pub trait CallWindow: Send + Sync + std::fmt::Debug {
    /// Returns the length of the vendor's window.
    fn length(&self) -> Duration;

    /// Returns the calls that count now; [`SentCall::ago`] is counted from now.
    fn counted(&self) -> Vec<SentCall>;

    /// Counts a call of the holder before; [`SentCall::ago`] is counted from now.
    fn restore(&self, call: &SentCall);

    /// Sends nothing for so long from now.
    fn pause(&self, wait: Duration);
}

/// A vendor account of the configuration.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name, the same in every gateway.
    pub name: String,
    /// The providers that use it.
    pub providers: Vec<ProviderName>,
    /// Its quota.
    pub window: Arc<dyn CallWindow>,
}

/// This process among the gateways.
#[derive(Clone, Debug)]
pub struct Member {
    /// No two processes have the same, not even one after the other.
    pub id: String,
    /// Where the other gateways reach it: an origin, `https://HOST:PORT`.
    pub address: String,
}

/// Whether this process may call an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds the account now.
    Holder,
    /// It does not.
    NotHolder {
        /// Where the holder is reached, if one is known. It stands in the table of leases.
        address: Option<String>,
    },
    /// It may, and holds no lease: this process has not reached the database since its start, so nothing says who holds the account.
    Undecided,
}

/// The accounts of this process. Clones share them.
///
/// Until the database has said for the first time who holds an account, this process calls its vendor without a lease, as a gateway that is alone does:
/// a server that is away when the gateway starts must not keep clients from what one provider is asked for. From then on only a lease counts.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    member: Member,
    clock: Arc<dyn Clock>,
    accounts: BTreeMap<String, HeldAccount>,
    by_provider: BTreeMap<ProviderName, String>,
    /// What was last logged about the database.
    logged: Mutex<Option<String>>,
    /// Whether the leases have been looked at.
    looked: watch::Sender<bool>,
}

#[derive(Debug)]
struct HeldAccount {
    account: Account,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the database has said who holds the account, or should have.
    decided: bool,
    tenure: Option<HeldTenure>,
    /// The epoch of the last tenure of this process.
    last_epoch: Option<i64>,
    /// Where the holder is reached, when it is another process.
    other: Option<String>,
    /// Whether the account was given back for good.
    closed: bool,
}

/// A tenure of this process.
#[derive(Clone, Copy, Debug)]
struct HeldTenure {
    epoch: i64,
    /// When its last renewal was sent.
    renewed: Moment,
}

impl State {
    /// Returns the tenure, as long as it is trusted.
    fn trusted(&self, now: Moment) -> Option<HeldTenure> {
        self.tenure.filter(|tenure| tenure.is_trusted(now))
    }
}

impl HeldTenure {
    fn until(self) -> Instant {
        after(self.renewed.monotonic, TRUST)
    }

    /// By both clocks: the monotonic one stands still while the machine is suspended. A step of the wall clock costs trust until the next renewal at most.
    fn is_trusted(self, now: Moment) -> bool {
        let by_wall = now.wall - self.renewed.wall < TRUST;
        now.monotonic < self.until() && by_wall
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HeldAccount {
    /// Returns the tenure, as long as it is trusted.
    fn trusted(&self, now: Moment) -> Option<HeldTenure> {
        lock(&self.state).trusted(now)
    }

    fn providers(&self) -> String {
        let names = self.account.providers.iter();
        let names: Vec<&str> = names.map(ProviderName::as_str).collect();
        names.join(", ")
    }
}

/// What a turn does about an account.
enum Next {
    Nothing,
    Claim(Option<i64>),
}

impl Cluster {
    /// Creates the view of a process that holds nothing yet. [`Cluster::keep`] claims and renews.
    #[must_use]
    pub fn new(member: Member, accounts: Vec<Account>, clock: Arc<dyn Clock>) -> Self {
        let mut held = BTreeMap::new();
        let mut by_provider = BTreeMap::new();
        for account in accounts {
            let name = account_key(&account.name);
            for provider in &account.providers {
                by_provider.insert(provider.clone(), name.clone());
            }
            let state = Mutex::default();
            held.insert(name, HeldAccount { account, state });
        }
        Self(Arc::new(Inner {
            member,
            clock,
            accounts: held,
            by_provider,
            logged: Mutex::default(),
            looked: watch::Sender::new(false),
        }))
    }

    /// Returns whether this process may call the vendor of a provider now. For a provider that is not configured it may not.
    #[must_use]
    pub fn standing(&self, provider: &ProviderName) -> Standing {
        let Some(account) = self.account_of(provider) else {
            return Standing::NotHolder { address: None };
        };
        let state = lock(&account.state);
        match state.trusted(self.now()) {
            Some(_) => Standing::Holder,
            None if state.decided => Standing::NotHolder {
                address: state.other.clone(),
            },
            None => Standing::Undecided,
        }
    }

    /// Returns until when this process may call the vendor of a provider; none if it may not now. The time moves on with each renewal, and as long as nothing is
    /// decided.
    #[must_use]
    pub fn call_until(&self, provider: &ProviderName) -> Option<Instant> {
        let state = lock(&self.account_of(provider)?.state);
        let now = self.now();
        match state.trusted(now) {
            Some(tenure) => Some(tenure.until()),
            None if state.decided => None,
            None => Some(after(now.monotonic, TURN)),
        }
    }

    /// Lets only leases count from now on: the database was reached. What it says about each account may have come already.
    pub fn reached(&self) {
        for account in self.0.accounts.values() {
            lock(&account.state).decided = true;
        }
    }

    /// Returns the number of the tenure during which this process holds the account of a provider; none if it does not hold it now. It grows with each tenure, of any
    /// gateway.
    #[must_use]
    pub fn epoch(&self, provider: &ProviderName) -> Option<i64> {
        let tenure = self.account_of(provider)?.trusted(self.now());
        tenure.map(|tenure| tenure.epoch)
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.0.clock)
    }

    fn account_of(&self, provider: &ProviderName) -> Option<&HeldAccount> {
        self.0.accounts.get(self.0.by_provider.get(provider)?)
    }

    /// Claims and renews until it is dropped. The leases that are held then run out, unless they are given back.
    pub async fn keep(&self, table: &dyn LeaseTable) {
        loop {
            let next = after(self.0.clock.monotonic(), TURN);
            self.turn(table).await;
            self.0.clock.sleep_until(next).await;
        }
    }

    /// Waits until the leases have been looked at once, whether or not the database answered.
    pub async fn first_turn(&self) {
        let mut looked = self.0.looked.subscribe();
        // The sender lives as long as `self`.
        let _looked = looked.wait_for(|looked| *looked).await;
    }

    /// Looks at all leases once, and claims or renews what is due.
    pub async fn turn(&self, table: &dyn LeaseTable) {
        match self.within(table.leases()).await {
            Ok(leases) => {
                let mut failed = None;
                for (name, account) in &self.0.accounts {
                    let lease = leases.iter().find(|lease| lease.tenure.account == *name);
                    let Next::Claim(epoch) = self.next(account, lease) else {
                        continue;
                    };
                    failed = self
                        .claim(table, (name, account), epoch)
                        .await
                        .err()
                        .or(failed);
                }
                self.log(failed);
            }
            Err(error) => self.log(Some(error)),
        }
        self.0.looked.send_replace(true);
        for account in self.0.accounts.values() {
            self.notice_end(account);
        }
    }

    /// Compares what this process believes with what the database says.
    fn next(&self, account: &HeldAccount, lease: Option<&Lease>) -> Next {
        let mut state = lock(&account.state);
        let own = |epoch: i64| {
            lease.is_some_and(|lease| {
                lease.tenure.holder == self.0.member.id && lease.tenure.epoch == epoch
            })
        };
        let runs = lease.filter(|lease| lease.left.is_some());
        if let Some(tenure) = state.tenure {
            if own(tenure.epoch) && runs.is_some() {
                let since = self.0.clock.monotonic();
                let is_due = since >= after(tenure.renewed.monotonic, RENEW_EVERY);
                return match is_due {
                    true => Next::Claim(Some(tenure.epoch)),
                    false => Next::Nothing,
                };
            }
            // It ran out, or another gateway has it already.
            self.lost(account, &mut state);
        }
        state.other = runs
            .filter(|lease| lease.tenure.holder != self.0.member.id)
            .map(|lease| lease.address.clone());
        match runs.is_some() || state.closed {
            true => {
                decide(account, &mut state);
                Next::Nothing
            }
            // Decided by the answer: a caller in between is not refused.
            false => Next::Claim(None),
        }
    }

    async fn claim(
        &self,
        table: &dyn LeaseTable,
        (name, account): (&str, &HeldAccount),
        epoch: Option<i64>,
    ) -> Result<(), StoreError> {
        let claim = Claim {
            account: name.to_owned(),
            holder: self.0.member.id.clone(),
            address: self.0.member.address.clone(),
            length: LEASE,
            epoch,
        };
        // The lease lasts from some time after this.
        let sent = self.now();
        let granted = self.within(table.claim(&claim)).await;
        let mut state = lock(&account.state);
        state.decided = true;
        match granted? {
            // Given back while the claim was on its way: it runs out.
            Some(_) if state.closed => {}
            Some(granted) if Some(granted.epoch) == epoch => {
                state.tenure = Some(HeldTenure {
                    epoch: granted.epoch,
                    renewed: sent,
                });
            }
            Some(granted) => {
                settle(&account.account, state.last_epoch, &granted);
                state.tenure = Some(HeldTenure {
                    epoch: granted.epoch,
                    renewed: sent,
                });
                state.last_epoch = Some(granted.epoch);
                state.other = None;
                tracing::info!(
                    epoch = granted.epoch,
                    "this gateway holds the vendor account of {} now",
                    account.providers()
                );
            }
            None => self.lost(account, &mut state),
        }
        Ok(())
    }

    fn lost(&self, account: &HeldAccount, state: &mut State) {
        if state.tenure.take().is_some() {
            tracing::warn!(
                "this gateway no longer holds the vendor account of {}: its lease was not renewed in time",
                account.providers()
            );
        }
    }

    /// Ends a tenure that is no longer trusted. Nothing was sent since; this frees what a log and the database are told.
    fn notice_end(&self, account: &HeldAccount) {
        let mut state = lock(&account.state);
        let now = self.0.clock.monotonic();
        if state.tenure.is_some_and(|tenure| now >= tenure.until()) {
            self.lost(account, &mut state);
        }
    }

    /// Gives everything back, with the calls that the vendors count, so that another gateway goes on at once. Nothing is claimed afterwards. The calls of this
    /// process have to have ended before.
    pub async fn give_back(&self, table: &dyn LeaseTable) {
        for (name, account) in &self.0.accounts {
            let tenure = {
                let mut state = lock(&account.state);
                state.closed = true;
                state.decided = true;
                state.tenure.take()
            };
            let Some(tenure) = tenure else { continue };
            let tenure = Tenure {
                account: name.clone(),
                holder: self.0.member.id.clone(),
                epoch: tenure.epoch,
            };
            let calls = account.account.window.counted();
            if let Err(error) = self.within(table.release(&tenure, &calls)).await {
                tracing::warn!(
                    "the vendor account of {} could not be given back, another gateway takes it when the lease has run out: {error}",
                    account.providers()
                );
            }
        }
    }

    /// Waits for an operation of the database, not for ever.
    async fn within<T>(
        &self,
        operation: BoxFuture<'_, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let until = after(self.0.clock.monotonic(), PATIENCE);
        answered_by(&*self.0.clock, until, operation).await
    }

    /// Logs what is wrong with the database when it changes.
    fn log(&self, error: Option<StoreError>) {
        let text = error.map(|error| error.to_string());
        let mut logged = lock(&self.0.logged);
        if *logged != text {
            if let Some(text) = &text {
                tracing::warn!("the leases of the vendor accounts cannot be kept: {text}");
            }
            *logged = text;
        }
    }
}

/// Notes that another gateway holds an account.
fn decide(account: &HeldAccount, state: &mut State) {
    if !std::mem::replace(&mut state.decided, true) && state.other.is_some() {
        tracing::info!(
            "another gateway holds the vendor account of {}: live reads go there",
            account.providers()
        );
    }
}

/// Makes the quota count what the holder before has sent.
fn settle(account: &Account, last_epoch: Option<i64>, granted: &Granted) {
    let Some(previous) = &granted.previous else {
        return;
    };
    // No other gateway held it since: what was sent is known here.
    if last_epoch.is_some_and(|last| last.saturating_add(1) == granted.epoch) {
        return;
    }
    match &previous.calls {
        Some(calls) => {
            for call in calls {
                account.window.restore(&SentCall {
                    bucket: call.bucket.clone(),
                    ago: call.ago.saturating_add(previous.ended),
                });
            }
        }
        None => {
            let wait = account.window.length().saturating_sub(previous.ended);
            if !wait.is_zero() {
                account.window.pause(wait);
            }
        }
    }
}

impl Fencing for Cluster {
    fn fence(&self, provider: &ProviderName) -> Fence {
        let name = self.0.by_provider.get(provider);
        let account = name.and_then(|name| Some((name, self.0.accounts.get(name)?)));
        let now = self.now();
        match account.and_then(|(name, account)| Some((name, account.trusted(now)?))) {
            Some((name, tenure)) => Fence::Held(Tenure {
                account: name.clone(),
                holder: self.0.member.id.clone(),
                epoch: tenure.epoch,
            }),
            None => Fence::NotHeld,
        }
    }
}

#[cfg(test)]
mod tests;
