//! A pager against a vendor that does not answer what was asked for.

use std::collections::BTreeSet;
use std::sync::Mutex;

use proptest::prelude::*;

use crate::error::{ErrorKind, Result};
use crate::paging::{Fetched, Pager, Position, Window};

/// What the vendor says about its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    /// The page size in force.
    Size,
    /// Nothing.
    Nothing,
    /// The page size that was asked for, whatever is in force.
    Asked,
}

/// What the vendor says about its total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Totals {
    True,
    /// Another one on every page.
    Changing,
    /// The true one on the first page, none on the others.
    FirstPageOnly,
    /// None at all.
    None,
    /// Another one at each call, over and over.
    EachCall,
}

/// One of the totals of [`Totals::EachCall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    True,
    None,
    Zero,
    Half,
    More(u64),
    /// What the answer gives, as if the list ended with it.
    ThisAnswer,
    /// Where the answer would end if its pages had the size that was asked for.
    ThisPlace,
}

/// A vendor of numbered rows.
#[derive(Clone, Debug)]
struct Vendor {
    rows: u64,
    /// The largest page that it serves, from this call on.
    cap: Option<(u32, u32)>,
    /// The smallest page that it serves, from this call on.
    floor: Option<(u32, u32)>,
    echo: Echo,
    totals: Totals,
    claims: Vec<Claim>,
    /// A page number that has no rows, for that many calls.
    empty: Option<(u64, u32)>,
    /// Rows that are missing at the end of each page that does not end the list.
    cut: u32,
    /// Rows that the total counts and no page shows.
    hidden: BTreeSet<u64>,
    /// By how many rows the list is longer or shorter at each call, the last one for ever.
    moves: Vec<i8>,
}

impl Vendor {
    fn of(rows: u64) -> Self {
        Self {
            rows,
            cap: None,
            floor: None,
            echo: Echo::Size,
            totals: Totals::True,
            claims: vec![Claim::True],
            empty: None,
            cut: 0,
            hidden: BTreeSet::new(),
            moves: Vec::new(),
        }
    }

    /// The vendor as it is at a call.
    fn at(&self, call: u32) -> Self {
        let place = (call as usize).min(self.moves.len().saturating_sub(1));
        let change = i64::from(self.moves.get(place).copied().unwrap_or(0));
        Self {
            rows: self.rows.saturating_add_signed(change),
            ..self.clone()
        }
    }

    fn answer(&self, window: Window, calls: u32, empties: &mut u32) -> Fetched<String> {
        let mut size = window.size;
        size = match self.floor {
            Some((from, floor)) if calls >= from => size.max(floor),
            _ => size,
        };
        size = match self.cap {
            Some((from, cap)) if calls >= from => size.min(cap),
            _ => size,
        };
        let start = (window.index * u64::from(size)).min(self.rows);
        let end = (start + u64::from(size)).min(self.rows);
        let mut shown: Vec<u64> = (start..end)
            .filter(|row| !self.hidden.contains(row))
            .collect();
        if end < self.rows && shown.len() > self.cut as usize {
            shown.truncate(shown.len() - self.cut as usize);
        }
        if let Some((page, times)) = self.empty
            && page == window.index
            && *empties < times
        {
            *empties += 1;
            shown.clear();
        }
        let total = match self.totals {
            Totals::True => Some(self.rows),
            Totals::None => None,
            Totals::FirstPageOnly => (window.index == 0).then_some(self.rows),
            Totals::Changing => Some(match (window.index, window.index % 2) {
                (0, _) => self.rows,
                (_, 0) => self.rows / 2,
                _ => self.rows + 7,
            }),
            Totals::EachCall => match self.claims[calls as usize % self.claims.len()] {
                Claim::True => Some(self.rows),
                Claim::None => None,
                Claim::Zero => Some(0),
                Claim::Half => Some(self.rows / 2),
                Claim::More(more) => Some(self.rows + more),
                Claim::ThisAnswer => Some(shown.len() as u64),
                Claim::ThisPlace => Some(window.start() + shown.len() as u64),
            },
        };
        Fetched {
            rows: shown.iter().map(u64::to_string).collect(),
            total,
            size: match self.echo {
                Echo::Size => Some(size),
                Echo::Nothing => None,
                Echo::Asked => Some(window.size),
            },
        }
    }
}

/// The result of reading a list to its end.
#[derive(Debug)]
struct End {
    rows: Vec<u64>,
    gap: bool,
    error: Option<ErrorKind>,
    most_calls: u32,
    last_total: Option<u64>,
    /// The largest total that any answer claimed.
    claimed: u64,
    /// The vendor calls of the whole list.
    calls: u32,
    /// Whether an answer of smaller pages than were asked for looked like the end of the list, size and total included.
    disguised: bool,
}

impl End {
    fn exact(&self, rows: u64) -> bool {
        self.error.is_none() && !self.gap && self.rows == (0..rows).collect::<Vec<_>>()
    }

    /// Every row once, or an end that says that rows are missing.
    fn honest(&self, rows: u64) -> bool {
        let unique: BTreeSet<u64> = self.rows.iter().copied().collect();
        let once = unique.len() == self.rows.len();
        once && (self.exact(rows) || self.gap || self.error == Some(ErrorKind::Protocol))
    }
}

fn list_all(vendor: &Vendor, page_size: u32, max_calls: u32, filtered: bool) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(list_to_the_end(vendor, page_size, max_calls, filtered))
        .unwrap()
}

async fn list_to_the_end(
    vendor: &Vendor,
    page_size: u32,
    max_calls: u32,
    filtered: bool,
) -> Result<End> {
    let state = Mutex::new((0_u32, 0_u32, 0_u64, false));
    let mut end = End {
        rows: Vec::new(),
        gap: false,
        error: None,
        most_calls: 0,
        last_total: None,
        claimed: 0,
        calls: 0,
        disguised: false,
    };
    let mut next = Some(Position::default());
    let mut pages = 0;
    while let Some(from) = next {
        pages += 1;
        assert!(pages < 3_000, "the list does not end: {vendor:?} {from:?}");
        let from = Position::decode(&from.encode()).unwrap();
        let paged = Pager {
            segments: 1,
            from,
            page_size,
            max_vendor_page: 100,
            limit: None,
            max_calls,
            spent: 0,
            filtered,
        }
        .run(
            |_, window| {
                let mut state = state.lock().unwrap();
                let (calls, empties, claimed, disguised) = &mut *state;
                *calls += 1;
                let fetched = vendor.at(*calls).answer(window, *calls, empties);
                *claimed = (*claimed).max(fetched.total.unwrap_or(0));
                let there = fetched.rows.first() == Some(&window.start().to_string());
                let last = window.start() + fetched.rows.len() as u64;
                *disguised |= !fetched.rows.is_empty()
                    && !there
                    && fetched.total.unwrap_or(*claimed) == last
                    && fetched.size.is_none_or(|size| size == window.size);
                Box::pin(async move { Ok(fetched) })
            },
            |row: &String| row,
            |_| true,
        )
        .await;
        match paged {
            Ok(paged) => {
                assert!(paged.rows.len() <= page_size as usize);
                assert_eq!(paged.rows.len(), paged.places.len());
                end.rows
                    .extend(paged.rows.iter().map(|row| row.parse::<u64>().unwrap()));
                end.gap = paged.gap;
                end.most_calls = end.most_calls.max(paged.calls);
                end.last_total = paged.fitting_total(None);
                next = paged.next;
                assert_ne!(next, Some(from), "a listing makes progress");
            }
            Err(error) => {
                end.error = Some(error.kind());
                next = None;
            }
        }
    }
    let (calls, _, claimed, disguised) = *state.lock().unwrap();
    (end.calls, end.claimed, end.disguised) = (calls, claimed, disguised);
    Ok(end)
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let one = prop_oneof![
        Just(Claim::True),
        Just(Claim::None),
        Just(Claim::Zero),
        Just(Claim::Half),
        (1_u64..10).prop_map(Claim::More),
        Just(Claim::ThisAnswer),
        Just(Claim::ThisPlace),
    ];
    proptest::collection::vec(one, 1..8)
}

fn echoes() -> impl Strategy<Value = Echo> {
    prop_oneof![Just(Echo::Size), Just(Echo::Nothing), Just(Echo::Asked)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_capped_page_size_loses_no_row(
        rows in 0_u64..240, cap in 1_u32..=60, from in 0_u32..6, echo in echoes(),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        // A cap that comes without a word in the middle of a page that ends the list just there looks like its end.
        let from = if echo == Echo::Size { from } else { 0 };
        let vendor = Vendor { cap: Some((from, cap)), echo, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.exact(rows), "{:?}", end);
        // Without a reported size, a page that stays short is settled by three calls.
        let most = if echo == Echo::Size { max_calls } else { max_calls.max(3) };
        prop_assert!(end.most_calls <= most, "{:?}", end);
    }

    #[test]
    fn pages_without_a_total_lose_no_row(
        rows in 0_u64..240, cap in 1_u32..=60, from in 0_u32..6, echo in prop_oneof![Just(Echo::Size), Just(Echo::Nothing)],
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let vendor = Vendor { cap: Some((from, cap)), echo, totals: Totals::None, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.exact(rows), "{:?}", end);
    }

    #[test]
    fn a_total_on_the_first_page_only_holds_for_the_list(
        rows in 0_u64..240, cap in proptest::option::of(1_u32..=60), echo in echoes(), cut in 0_u32..20,
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let cap = cap.map(|cap| (0, cap));
        let vendor = Vendor { cap, echo, cut, totals: Totals::FirstPageOnly, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.honest(rows), "{:?}", end);
        prop_assert!(cut > 0 || end.exact(rows), "{:?}", end);
    }

    #[test]
    fn an_empty_page_ends_no_list_in_silence(
        rows in 1_u64..240, page in 0_u64..6, times in prop_oneof![1_u32..=2, Just(u32::MAX)], echo in echoes(),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let vendor = Vendor { empty: Some((page, times)), echo, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.honest(rows), "{:?}", end);
        prop_assert!(times > 1 || end.exact(rows), "asked once more, every row comes: {:?}", end);
    }

    #[test]
    fn short_pages_lose_no_row(
        rows in 0_u64..240, cut in 1_u32..=20, echo in echoes(),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let vendor = Vendor { cut, echo, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.honest(rows), "{:?}", end);
    }

    #[test]
    fn totals_that_change_end_no_list_in_silence(
        rows in 0_u64..240, echo in echoes(), cap in proptest::option::of(1_u32..=60),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let cap = cap.map(|cap| (0, cap));
        let vendor = Vendor { totals: Totals::Changing, echo, cap, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.honest(rows), "{:?}", end);
    }

    #[test]
    fn rows_that_are_counted_and_hidden_are_said_to_be_missing(
        rows in 1_u64..240, hidden in proptest::collection::btree_set(0_u64..240, 1..8), echo in echoes(),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let hidden: BTreeSet<u64> = hidden.into_iter().filter(|row| *row < rows).collect();
        let none = hidden.is_empty();
        let vendor = Vendor { hidden, echo, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert!(end.honest(rows), "{:?}", end);
        prop_assert!(!none || end.exact(rows), "{:?}", end);
    }

    #[test]
    fn totals_of_each_call_end_no_list_in_silence(
        rows in 0_u64..240, echo in echoes(), cap in proptest::option::of((0_u32..6, 1_u32..=60)), claims in claims(),
        empty in proptest::option::of((0_u64..6, prop_oneof![1_u32..=2, Just(u32::MAX)])), floor in proptest::option::of(1_u32..=60),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        // See what no answer shows: a floor below the first pages that are asked for, and a cap of one with it, unless the size is reported.
        let floor = floor.filter(|floor| echo == Echo::Size || (page_size <= *floor && !filtered)).map(|floor| (0, floor));
        // Neither does a page that stays empty in the smallest pages there are.
        let empty = empty.filter(|_| floor.is_none());
        let cap = match floor {
            Some((_, floor)) if echo == Echo::Size => cap.map(|(_, cap)| (0, cap.max(floor))),
            Some(_) => None,
            None => cap,
        };
        let vendor = Vendor { totals: Totals::EachCall, claims, echo, cap, floor, empty, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        let came = end.rows.iter().collect::<BTreeSet<_>>().len() as u64;
        // Rows that no response has counted cannot be missing, and neither can one that is not returned when it is requested alone.
        let hidden = empty.is_some_and(|(page, _)| came == page);
        prop_assert!(end.honest(rows) || end.gap || end.claimed <= came || hidden || end.disguised, "{:?}", end);
        // Behind rows that stay away no answer shows whether a smaller cap has shifted the rest; the gap is said.
        let shifted = end.gap && cap.is_some() && echo != Echo::Size;
        prop_assert!(!twice(&end.rows) || shifted || end.disguised, "{:?}", end);
        prop_assert!(end.most_calls <= max_calls.max(Pager::MAX_CALLS_TO_RESOLVE), "{:?}", end);
    }

    #[test]
    fn pages_that_are_larger_than_asked_for_lose_no_row(
        rows in 0_u64..240, floor in 1_u32..=100, echo in prop_oneof![Just(Echo::Size), Just(Echo::Nothing)],
        totals in prop_oneof![Just(Totals::True), Just(Totals::FirstPageOnly), Just(Totals::None)],
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let vendor = Vendor { floor: Some((0, floor)), totals, echo, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        // A smallest page that comes to light late can end the listing with an error; without a size, nothing tells it.
        let early = page_size <= floor && !filtered;
        prop_assert!(end.exact(rows) || !early && (echo == Echo::Nothing || end.honest(rows)), "{:?}", end);
    }

    #[test]
    fn a_list_that_grows_and_shrinks_is_no_contradiction(
        rows in 0_u64..240, moves in proptest::collection::vec(-40_i8..=40, 1..30), echo in echoes(),
        page_size in 1_u32..=100, max_calls in 1_u32..=5, filtered: bool,
    ) {
        let vendor = Vendor { moves, echo, ..Vendor::of(rows) };
        let end = list_all(&vendor, page_size, max_calls, filtered);
        prop_assert_eq!((end.error, end.gap), (None, false));
        // The rows that were there all the time all come.
        let least = rows.saturating_sub(40);
        prop_assert!((0..least).eq(end.rows.iter().copied().take(usize::try_from(least).unwrap())), "{:?}", end);
        let came = end.rows.len() as u64;
        prop_assert!(end.last_total.is_none_or(|total| total == came), "{:?}", end);
    }
}

fn twice(rows: &[u64]) -> bool {
    rows.iter().collect::<BTreeSet<_>>().len() < rows.len()
}

#[test]
fn two_totals_for_one_page_end_no_list_in_silence() {
    // 230 rows in pages of 60, whatever is asked for: the page says 230, and asked again 60.
    for claims in [
        vec![Claim::ThisAnswer, Claim::True],
        vec![Claim::True, Claim::ThisAnswer],
    ] {
        let vendor = Vendor {
            cap: Some((0, 60)),
            echo: Echo::Nothing,
            totals: Totals::EachCall,
            claims,
            ..Vendor::of(230)
        };
        for max_calls in [1, 5] {
            let end = list_all(&vendor, 100, max_calls, false);
            assert!(end.honest(230) || end.claimed <= 60, "{end:?}");
        }
    }
}

#[test]
fn a_page_larger_than_asked_for_is_a_page() {
    for echo in [Echo::Size, Echo::Nothing] {
        let vendor = Vendor {
            floor: Some((0, 50)),
            echo,
            totals: Totals::None,
            ..Vendor::of(230)
        };
        for max_calls in [1, 5] {
            let end = list_all(&vendor, 20, max_calls, false);
            assert!(end.exact(230), "{echo:?}: {end:?}");
        }
    }
}

#[test]
fn a_page_that_is_not_the_one_asked_for_is_told_by_its_kind() {
    use crate::paging::PageDrift;
    let window = Window {
        index: 1,
        size: 50,
        skip: 0,
    };
    for (rows, total, size, expected) in [
        (50, Some(230), Some(50), None),
        (50, Some(230), None, None),
        (10, Some(230), Some(10), Some(PageDrift::Size)),
        (10, Some(230), None, Some(PageDrift::Rows)),
        (0, Some(230), Some(50), Some(PageDrift::Rows)),
        (50, Some(70), Some(50), Some(PageDrift::Total)),
        (20, Some(70), Some(50), None),
        (0, Some(40), Some(50), None),
        (230, Some(230), Some(230), None),
        (3, None, None, None),
        // A size that the rows prove wrong is not believed.
        (50, Some(230), Some(10), None),
    ] {
        let rows: Vec<()> = vec![(); rows];
        let fetched = Fetched { rows, total, size };
        assert_eq!(fetched.drift(window), expected, "{fetched:?}");
    }
}

#[test]
fn an_empty_page_of_another_size_than_was_asked_for_ends_no_list() {
    // From the 51st row on, pages of 50 hold the wanted rows, and the vendor answers the second page of 100.
    let vendor = Vendor {
        floor: Some((0, 100)),
        totals: Totals::None,
        ..Vendor::of(100)
    };
    for max_calls in [1, 5] {
        let end = list_all(&vendor, 1, max_calls, true);
        assert!(end.exact(100), "{end:?}");
    }
}

#[test]
fn a_total_of_an_earlier_answer_alone_ends_no_list() {
    // The vendor caps its pages at 46 from the second call on and says neither that nor its total: the second page of 58 seems to end at 104.
    for (rows, total) in [(104, Claim::True), (208, Claim::Half)] {
        let vendor = Vendor {
            cap: Some((2, 46)),
            echo: Echo::Nothing,
            totals: Totals::EachCall,
            claims: [vec![Claim::None, total], vec![Claim::None; 30]].concat(),
            ..Vendor::of(rows)
        };
        for max_calls in [1, 5] {
            let end = list_all(&vendor, 58, max_calls, false);
            assert!(end.exact(rows), "{end:?}");
        }
    }
}

#[test]
fn one_doubt_takes_five_calls_at_most_and_some_do() {
    let claims = [
        Claim::True,
        Claim::None,
        Claim::Zero,
        Claim::More(1),
        Claim::ThisAnswer,
    ];
    let mut most = 0;
    for number in 0..625 {
        let places = [number % 5, number / 5 % 5, number / 25 % 5, number / 125];
        let vendor = Vendor {
            totals: Totals::EachCall,
            claims: places.map(|place| claims[place]).to_vec(),
            hidden: (8..16).collect(),
            ..Vendor::of(30)
        };
        most = most.max(list_all(&vendor, 8, 1, false).most_calls);
    }
    assert_eq!(most, Pager::MAX_CALLS_TO_RESOLVE);
}

#[test]
fn a_list_without_a_total_costs_two_calls_more_and_none_of_its_pages_does() {
    let vendor = Vendor {
        echo: Echo::Nothing,
        totals: Totals::None,
        ..Vendor::of(70)
    };
    // Three pages of 30, the last one of 10 asked for again in that size, and the empty one behind it.
    for max_calls in 1..5 {
        let end = list_all(&vendor, 30, max_calls, false);
        assert!(end.exact(70), "{end:?}");
        assert_eq!(end.calls, 5, "{max_calls}");
        assert!(end.most_calls <= max_calls, "{end:?}");
    }
}
