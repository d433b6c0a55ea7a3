//! The limit of concurrent requests, shared fairly between callers.
//!
//! A request can wait half a minute for a vendor, and holds a connection meanwhile. So the limit of requests is lower than that of connections: the
//! other connections stay free for probes and new callers. Below the limit, a caller may have any number of requests. At the limit, a caller with
//! fewer requests than another one gets one of the other's places: the most recent request of that caller is answered with 503.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ota_api::problem::{Code, Failure};
use tokio::sync::Notify;

use super::limits::Places;

/// The account that a request counts towards. A separate type, so that a `sub` cannot be confused with one of the other accounts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// A caller, by the `sub` of the token.
    Subject(Arc<str>),
    /// All callers whose tokens have no `sub`.
    Anonymous,
    /// All requests whose tokens name a signing key that is not known yet. They may be from any callers.
    Unverified,
}

impl Account {
    /// Returns the account of a caller with this `sub`.
    pub fn of(subject: Option<&Arc<str>>) -> Self {
        subject.map_or(Self::Anonymous, |subject| {
            Self::Subject(Arc::clone(subject))
        })
    }
}

/// The requests that are in flight, by caller.
#[derive(Debug)]
pub struct Shares {
    places: Places,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    taken: usize,
    next: u64,
    /// The requests of each caller, oldest first.
    callers: HashMap<Account, Vec<Taken>>,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    given_up: Arc<Notify>,
}

/// The place of one request, released when dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    caller: Account,
    number: u64,
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// Its caller is at the limit per caller.
    Limit(usize),
    /// The limit is reached, and its caller has no fewer requests than others.
    Full,
}

impl From<NoPlace> for Failure {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Limit(most) => Self::new(
                Code::RateLimited,
                format!(
                    "you have {most} requests in flight, the most that one caller may have; wait for their responses"
                ),
            ),
            NoPlace::Full => Self::new(
                Code::Unavailable,
                "the gateway is at its limit of concurrent requests, and you have your share of them; try again later",
            ),
        }
    }
}

/// The problem of a request whose place was given to another caller.
pub fn given_up() -> Failure {
    Failure::new(
        Code::Unavailable,
        "the gateway is at its limit of concurrent requests, and you have more of them than other callers; try again later",
    )
}

impl Shares {
    /// Creates the table, with all places free.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self {
            places,
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires a place for a request of a caller. `given_up` is notified when the place is needed for a request of another caller.
    pub fn take(
        self: &Arc<Self>,
        caller: &Account,
        given_up: &Arc<Notify>,
    ) -> Result<Share, NoPlace> {
        let mut table = self.lock();
        let own = table.callers.get(caller).map_or(0, Vec::len);
        // The caller of an unverified request is unknown, so the limit per caller does not apply; the wait for a key server has its own limit.
        let each = match caller {
            Account::Subject(_) | Account::Anonymous => self.places.each,
            Account::Unverified => None,
        };
        if let Some(most) = each.filter(|most| own >= *most) {
            return Err(NoPlace::Limit(most));
        }
        if table.taken >= self.places.all && !table.give_up(own) {
            return Err(NoPlace::Full);
        }
        table.next += 1;
        table.taken += 1;
        let number = table.next;
        let requests = table.callers.entry(caller.clone()).or_default();
        requests.push(Taken {
            number,
            given_up: Arc::clone(given_up),
        });
        Ok(Share {
            shares: Arc::clone(self),
            caller: caller.clone(),
            number,
        })
    }
}

impl Table {
    /// Abandons a request of the caller that has the most, for a caller that has `own` so far, if that makes their numbers more equal.
    fn give_up(&mut self, own: usize) -> bool {
        let most = self
            .callers
            .values_mut()
            .max_by_key(|requests| requests.len());
        let Some(requests) = most.filter(|requests| requests.len() > own + 1) else {
            return false;
        };
        let Some(last) = requests.pop() else {
            return false;
        };
        last.given_up.notify_one();
        self.taken -= 1;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut table = self.shares.lock();
        let Some(requests) = table.callers.get_mut(&self.caller) else {
            return;
        };
        let found = requests.binary_search_by_key(&self.number, |taken| taken.number);
        if let Ok(index) = found {
            requests.remove(index);
        }
        if requests.is_empty() {
            table.callers.remove(&self.caller);
        }
        // An abandoned request is no longer counted.
        if found.is_ok() {
            table.taken -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, NoPlace, Share, Shares};
    use crate::limits::Places;
    use std::sync::Arc;
    use tokio::sync::Notify;

    fn shares(all: usize, each: Option<usize>) -> Arc<Shares> {
        Arc::new(Shares::new(Places { all, each }))
    }

    fn take(shares: &Arc<Shares>, caller: &str) -> (Result<Share, NoPlace>, Arc<Notify>) {
        let notify = Arc::<Notify>::default();
        (
            shares.take(&Account::of(Some(&Arc::from(caller))), &notify),
            notify,
        )
    }

    #[tokio::test]
    async fn a_lone_caller_may_have_all_places_and_shares_them_when_another_comes() {
        let shares = shares(4, None);
        let mut greedy: Vec<_> = (0..4).map(|_| take(&shares, "greedy")).collect();
        assert!(greedy.iter().all(|(share, _)| share.is_ok()));
        assert_eq!(take(&shares, "greedy").0.unwrap_err(), NoPlace::Full);
        let others = [take(&shares, "other"), take(&shares, "other")];
        assert!(others.iter().all(|(share, _)| share.is_ok()));
        // Both have two now, so neither gets a place of the other.
        for caller in ["greedy", "other"] {
            assert_eq!(take(&shares, caller).0.unwrap_err(), NoPlace::Full);
        }
        // The most recent requests were abandoned.
        for (_, notify) in greedy.split_off(2) {
            notify.notified().await;
        }
        // A third caller has none, and gets one.
        let third = take(&shares, "third");
        assert!(third.0.is_ok());
        drop((greedy, others, third));
        let table = shares.lock();
        assert!(table.callers.is_empty());
        assert_eq!(table.taken, 0);
    }

    #[test]
    fn one_caller_may_be_limited() {
        let shares = shares(4, Some(1));
        let (first, _) = take(&shares, "a");
        assert_eq!(take(&shares, "a").0.unwrap_err(), NoPlace::Limit(1));
        assert!(take(&shares, "b").0.is_ok());
        drop(first);
        assert!(take(&shares, "a").0.is_ok());
    }

    #[test]
    fn requests_that_are_not_verified_are_no_one_callers() {
        let shares = shares(5, Some(1));
        let notify = Arc::<Notify>::default();
        let take = |account: Account| shares.take(&account, &notify);
        let unverified = [take(Account::Unverified), take(Account::Unverified)];
        assert!(unverified.iter().all(Result::is_ok));
        // The limit per caller applies to the other accounts, and a `sub` is never confused with one of the other accounts.
        let named =
            ["(unverified)", "(anonymous)"].map(|sub| take(Account::of(Some(&Arc::from(sub)))));
        assert!(named.iter().all(Result::is_ok));
        let anonymous = take(Account::of(None));
        assert!(anonymous.is_ok());
        assert_eq!(take(Account::of(None)).unwrap_err(), NoPlace::Limit(1));
        // The limit of all requests applies too.
        assert_eq!(take(Account::Unverified).unwrap_err(), NoPlace::Full);
    }
}
