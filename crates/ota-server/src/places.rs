//! The connections that are open on one listener, and which of them is closed when the limit is reached.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::large_heads;
use super::observer::CutOff;
use super::service::Service;
use super::socket::State;

/// How many evicted connections may still hold their file descriptor: at most half of the descriptors that stay reserved.
const MAX_CLOSING: usize = 64;

/// The open connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Open {
    table: Mutex<Table>,
    /// Notified when an evicted connection has been closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    connections: HashMap<u64, Entry>,
    /// Evicted connections that are not closed yet.
    closing: usize,
    /// The number of open connections of each peer.
    peers: HashMap<Peer, usize>,
    /// Bytes that are counted for the large heads of all of them, without those of evicted connections: these are few and soon released.
    held: usize,
}

#[derive(Debug)]
struct Entry {
    state: Arc<State>,
    peer: Peer,
}

/// The peer of a connection, by its address: one IPv4 address, or one IPv6 network of the size that a single customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// The place of one connection among the open ones, released when dropped.
#[derive(Debug)]
pub(super) struct Place<S: Service> {
    number: u64,
    pub(super) state: Arc<State>,
    open: Arc<Open>,
    service: S,
}

impl<S: Service> Drop for Place<S> {
    fn drop(&mut self) {
        let mut table = self.open.lock();
        if table.remove(self.number).is_some() {
            self.service.open_connections(table.connections.len());
        } else {
            table.closing = table.closing.saturating_sub(1);
            self.open.closed.notify_one();
        }
    }
}

impl Table {
    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.connections.remove(&number)?;
        self.held = self.held.saturating_sub(entry.state.held());
        if let Some(count) = self.peers.get_mut(&entry.peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&entry.peer);
            }
        }
        Some(entry)
    }

    /// Closes the connection that can best be spared: of those that wait for their client, one of the peer that has the most connections, and of
    /// these the one that has waited for the longest time. Returns false if requests are in progress on all of them.
    fn evict(&mut self, service: &impl Service) -> bool {
        self.evict_of(service, |_, _| true)
    }

    /// As [`Table::evict`], but only among some of the connections.
    fn evict_of(&mut self, service: &impl Service, some: impl Fn(u64, &State) -> bool) -> bool {
        let some = self
            .connections
            .iter()
            .filter(|(number, entry)| some(**number, &entry.state));
        let idle = some.filter_map(|(number, entry)| {
            let idle = entry.state.idle_since()?;
            let of_peer = self.peers.get(&entry.peer).copied().unwrap_or_default();
            Some(((idle.briefly, Reverse(of_peer), idle.since), *number))
        });
        let Some(evicted) = idle.min().and_then(|(_, number)| self.remove(number)) else {
            return false;
        };
        self.closing += 1;
        evicted.state.evicted.notify_one();
        service.cut_off(CutOff::Evicted);
        true
    }
}

impl<S: Service> Place<S> {
    /// Counts so many bytes for the large heads of this connection, until its place is released, if they are more than before. If they exceed the
    /// budget, another connection that holds such bytes and waits for its client is closed.
    ///
    /// Returns false if there is no such connection.
    pub(super) fn try_reserve(&self, bytes: usize) -> bool {
        if bytes <= self.state.held() {
            return true;
        }
        let most = large_heads::budget(self.service.limits().max_connections);
        let mut table = self.open.lock();
        // This connection is itself to be closed.
        if !table.connections.contains_key(&self.number) {
            return false;
        }
        let more = bytes.saturating_sub(self.state.held());
        while table.held.saturating_add(more) > most {
            let holds = |number: u64, state: &State| number != self.number && state.held() > 0;
            if table.closing >= MAX_CLOSING || !table.evict_of(&self.service, holds) {
                return false;
            }
        }
        table.held = table.held.saturating_add(more);
        self.state.set_held(bytes);
        true
    }
}

/// The result when a connection requests a place.
pub(super) enum Placed<S: Service> {
    /// A place was free.
    Free(Place<S>),
    /// Another connection was closed to make room.
    Instead(Place<S>),
    /// No place is available: requests are in progress on all open connections.
    Full,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until few evicted connections still hold their file descriptor. Otherwise, connections that are opened faster than others are closed
    /// would use up the descriptors that are reserved for vendor calls.
    pub(super) async fn evicted_are_closed(&self) {
        while self.lock().closing >= MAX_CLOSING {
            self.closed.notified().await;
        }
    }

    /// Acquires a place for a connection. If all places are taken, another connection is closed.
    pub(super) fn place<S: Service>(
        self: &Arc<Self>,
        number: u64,
        peer: IpAddr,
        service: &S,
    ) -> Placed<S> {
        let state = Arc::new(State::new());
        let peer = Peer::from(peer);
        let mut table = self.lock();
        let full = table.connections.len() >= service.limits().max_connections;
        if full && !table.evict(service) {
            return Placed::Full;
        }
        let entry = Entry {
            state: Arc::clone(&state),
            peer,
        };
        table.connections.insert(number, entry);
        *table.peers.entry(peer).or_default() += 1;
        service.open_connections(table.connections.len());
        let place = Place {
            number,
            state,
            open: Arc::clone(self),
            service: service.clone(),
        };
        match full {
            true => Placed::Instead(place),
            false => Placed::Free(place),
        }
    }

    /// Closes the connection that can best be spared, because its operating system resources are needed.
    pub(super) fn evict(&self, service: &impl Service) {
        self.lock().evict(service);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_CLOSING, Open, Peer, Place, Placed};
    use crate::large_heads;
    use crate::service::tests::TestService;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    fn peer(text: &str) -> Peer {
        Peer::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn addresses_of_one_customer_are_one_peer() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }

    fn service(max_connections: usize) -> TestService {
        TestService::new(max_connections)
    }

    fn place(placed: Placed<TestService>) -> Option<Place<TestService>> {
        match placed {
            Placed::Free(place) | Placed::Instead(place) => Some(place),
            Placed::Full => None,
        }
    }

    #[test]
    fn the_address_with_the_most_connections_makes_room() {
        let (open, service) = (Arc::<Open>::default(), service(10));
        let [modest, greedy] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        // It has waited for the longest time.
        let first = place(open.place(0, modest, &service)).unwrap();
        let mut others = Vec::new();
        for number in 1..30 {
            others.push(place(open.place(number, greedy, &service)).unwrap());
        }
        let is_open =
            |place: &Place<TestService>| open.lock().connections.contains_key(&place.number);
        assert!(is_open(&first));
        assert_eq!(others.iter().filter(|place| is_open(place)).count(), 9);
        drop((first, others));
        assert!(open.lock().peers.is_empty());
    }

    #[tokio::test]
    async fn connections_are_accepted_as_fast_as_evicted_ones_are_closed() {
        let (open, service) = (Arc::<Open>::default(), service(2));
        let peer = "192.0.2.1".parse().unwrap();
        let mut places = Vec::new();
        for number in 0..2 + MAX_CLOSING as u64 {
            open.evicted_are_closed().await;
            places.push(place(open.place(number, peer, &service)).unwrap());
        }
        let mut waiting = std::pin::pin!(open.evicted_are_closed());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        // The end of a connection that was not evicted changes nothing.
        drop(places.pop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(places.remove(0));
        waiting.await;
        drop(places);
        assert_eq!(open.lock().closing, 0);
    }

    #[test]
    fn connections_share_the_memory_for_large_heads() {
        let (open, service) = (Arc::<Open>::default(), service(4));
        let peer = "192.0.2.1".parse().unwrap();
        let mut places: Vec<_> = (0..4)
            .map(|number| place(open.place(number, peer, &service)).unwrap())
            .collect();
        let all = large_heads::budget(4);
        let is_open =
            |place: &Place<TestService>| open.lock().connections.contains_key(&place.number);
        assert!(places[0].try_reserve(all / 2) && places[1].try_reserve(all / 2));
        // Nothing is added to the count for less than before, or for as much.
        assert!(places[0].try_reserve(all / 4) && places[0].try_reserve(all / 2));
        assert!(places.iter().all(is_open));
        // The last one holds no bytes, so closing it would not help.
        let serving = places[1].state.serve(false);
        assert!(places[2].try_reserve(all / 2));
        assert!(!is_open(&places[0]) && is_open(&places[3]));
        assert!(
            !places[0].try_reserve(all),
            "this connection is itself to be closed"
        );
        drop(places.remove(0));
        assert_eq!(open.lock().held, all);
        let other = places[1].state.serve(false);
        assert!(!places[2].try_reserve(1), "all others are being answered");
        assert!(is_open(&places[0]) && is_open(&places[1]));
        drop((serving, other));
        drop(places);
        assert_eq!(open.lock().held, 0);
    }

    #[test]
    fn what_is_being_answered_is_ended_for_nobody() {
        let (open, service) = (Arc::<Open>::default(), service(2));
        let peer = "192.0.2.1".parse().unwrap();
        let places: Vec<_> = (0..2)
            .map(|number| place(open.place(number, peer, &service)).unwrap())
            .collect();
        let serving: Vec<_> = places
            .iter()
            .map(|place| place.state.serve(false))
            .collect();
        assert!(place(open.place(2, peer, &service)).is_none());
        drop(serving);
    }
}
