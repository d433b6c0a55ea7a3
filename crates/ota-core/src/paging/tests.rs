mod vendor;

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::{Fetched, PageFingerprint, Pager, Position, Window};
use crate::ErrorKind;

/// Serves segments of numbered rows as a vendor does, page by page.
async fn all_rows(segments: &[u32], pager: Pager, with_total: bool) -> (Vec<String>, Vec<u32>) {
    let mut rows = Vec::new();
    let mut calls = Vec::new();
    let mut next = Some(Position::default());
    while let Some(from) = next {
        let count = AtomicU32::new(0);
        let paged = Pager { from, ..pager }
            .run(
                |segment, window| {
                    count.fetch_add(1, Ordering::Relaxed);
                    assert!(window.size <= pager.max_vendor_page);
                    let all = segments[segment as usize];
                    Box::pin(async move {
                        let start = window.index * u64::from(window.size);
                        let end = (start + u64::from(window.size)).min(u64::from(all));
                        let rows = (start..end.max(start))
                            .map(|row| format!("{segment}/{row}"))
                            .collect();
                        Ok(Fetched {
                            rows,
                            total: with_total.then_some(u64::from(all)),
                            size: None,
                        })
                    })
                },
                |row: &String| row,
                |_| true,
            )
            .await
            .unwrap();
        assert!(paged.rows.len() <= pager.page_size as usize);
        rows.extend(paged.rows);
        calls.push(count.into_inner());
        next = paged.next;
        assert_ne!(next, Some(from), "a listing makes progress");
    }
    (rows, calls)
}

proptest! {
    #[test]
    fn a_window_starts_at_or_before_its_offset_and_brings_the_next_row(
        offset in 0_u64..100_000, want in 1_u32..=200, max in 1_u32..=200,
    ) {
        let window = Window::covering(offset, want, max, Some(100_000)).unwrap();
        prop_assert_eq!(window.index * u64::from(window.size) + u64::from(window.skip), offset);
        prop_assert!(window.skip < window.size && window.size <= max);
        prop_assert!((window.index + 1) * u64::from(window.size) <= 100_000);
    }

    #[test]
    fn every_row_is_met_exactly_once(
        segments in proptest::collection::vec(0_u32..130, 1..5),
        page_size in 1_u32..=60, max_vendor_page in 1_u32..=100, max_calls in 1_u32..6, with_total: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pager = Pager {
            segments: segments.len() as u32, from: Position::default(), page_size, max_vendor_page,
            limit: None, max_calls, spent: 0, filtered: false,
        };
        let (rows, calls) = runtime.block_on(all_rows(&segments, pager, with_total));
        let expected: Vec<String> = segments.iter().enumerate()
            .flat_map(|(segment, count)| (0..*count).map(move |row| format!("{segment}/{row}"))).collect();
        prop_assert_eq!(rows, expected);
        prop_assert!(calls.into_iter().all(|calls| calls <= max_calls));
    }
}

#[tokio::test]
async fn a_listing_stops_at_the_limit_of_the_vendor() {
    let pager = Pager {
        segments: 2,
        from: Position::default(),
        page_size: 30,
        max_vendor_page: 100,
        limit: Some(70),
        max_calls: 5,
        spent: 0,
        filtered: false,
    };
    let (rows, _) = all_rows(&[130, 5], pager, true).await;
    assert_eq!(rows.len(), 75);
}

#[tokio::test]
async fn an_answer_with_more_rows_than_asked_for_is_the_whole_list() {
    let mut rows = Vec::new();
    let mut next = Some(Position::default());
    while let Some(from) = next {
        let paged = Pager {
            segments: 1,
            from,
            page_size: 40,
            max_vendor_page: 100,
            limit: None,
            max_calls: 5,
            spent: 0,
            filtered: false,
        }
        .run(
            |_, _| {
                Box::pin(async {
                    Ok(Fetched {
                        rows: (0..90).map(|row| row.to_string()).collect(),
                        total: Some(90),
                        size: None,
                    })
                })
            },
            |row: &String| row,
            |_| true,
        )
        .await
        .unwrap();
        rows.extend(paged.rows);
        next = paged.next;
    }
    assert_eq!(rows, (0..90).map(|row| row.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_position_that_is_written_otherwise_is_no_position() {
    assert_eq!(Position::decode("1.250"), Some(Position::new(1, 250)));
    let marked = Position {
        fingerprint: PageFingerprint::of("row"),
        ..Position::new(1, 250)
    };
    assert_eq!(Position::decode(&marked.encode()), Some(marked));
    let learned = Position {
        size: Some(10),
        total: Some(230),
        gap: true,
        ..marked
    };
    assert_eq!(Position::decode(&learned.encode()), Some(learned));
    assert!(learned.encode().ends_with("x10t230g"));
    for text in [
        "",
        "1",
        "1.",
        ".1",
        "01.2",
        "1.+2",
        "1.2.3",
        "-1.0",
        "1.2~",
        "1.2~03",
        "1.2~-3",
        "1.2~3~4",
        "1.2~99999999999",
        "1.99999999999999999999999",
        "1.2x0",
        "1.2x",
        "1.2t",
        "1.2t01",
        "1.2t5x5",
        "1.2x5~5",
        "1.2gg",
        "1.2gx5",
    ] {
        assert_eq!(Position::decode(text), None, "{text}");
    }
}

/// Reads a list page by page and returns the rows, or what went wrong; `serve` answers a window.
async fn all_rows_from(
    pager: Pager,
    serve: impl Fn(Window) -> (Vec<String>, Option<u64>) + Sync,
) -> crate::Result<Vec<String>> {
    let (mut rows, mut next) = (Vec::new(), Some(Position::default()));
    while let Some(from) = next {
        // What a cursor carries must be enough.
        let from = Position::decode(&from.encode()).unwrap();
        let paged = Pager { from, ..pager }
            .run(
                |_, window| {
                    let (rows, total) = serve(window);
                    Box::pin(async move {
                        Ok(Fetched {
                            rows,
                            total,
                            size: None,
                        })
                    })
                },
                |row: &String| row,
                |_| true,
            )
            .await?;
        rows.extend(paged.rows);
        next = paged.next;
        assert!(rows.len() < 2000, "the list does not end");
    }
    Ok(rows)
}

fn numbered(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|row| row.to_string()).collect()
}

fn pages_of(page_size: u32, max_calls: u32) -> Pager {
    Pager {
        segments: 1,
        from: Position::default(),
        page_size,
        max_vendor_page: 100,
        limit: None,
        max_calls,
        spent: 0,
        filtered: false,
    }
}

#[tokio::test]
async fn a_vendor_that_answers_every_page_with_the_first_ends_the_list_with_an_error() {
    for (page_size, total) in [
        (1, None),
        (7, None),
        (7, Some(55)),
        (50, Some(55)),
        (100, None),
    ] {
        for max_calls in [1, 5] {
            let first = |window: Window| (numbered(0..u64::from(window.size)), total);
            let error = all_rows_from(pages_of(page_size, max_calls), first)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{page_size} {total:?}");
        }
    }
}

#[tokio::test]
async fn a_vendor_that_answers_pages_behind_the_end_with_the_last_ends_the_list_with_an_error() {
    let clamped = |window: Window| {
        let size = u64::from(window.size);
        let index = window.index.min(200 / size - 1);
        (numbered(index * size..(index + 1) * size), None)
    };
    for page_size in [1, 10, 50] {
        let error = all_rows_from(pages_of(page_size, 5), clamped)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{page_size}");
    }
}

#[tokio::test]
async fn rows_that_move_between_two_pages_are_no_repetition() {
    // Each call finds a new row before the others, so that with pages of one row every page begins as the one before.
    for page_size in [1, 2, 10] {
        let calls = AtomicU32::new(0);
        let growing = |window: Window| {
            let new = calls.fetch_add(window.size, Ordering::Relaxed);
            let (start, size) = (
                window.index * u64::from(window.size),
                u64::from(window.size),
            );
            let row = |place: u64| format!("{}", i64::from(1_000_000 - new) + place as i64);
            ((start..(start + size).min(60)).map(row).collect(), Some(60))
        };
        let rows = all_rows_from(pages_of(page_size, 5), growing)
            .await
            .unwrap();
        assert!(!rows.is_empty());
    }
}

#[tokio::test]
async fn a_listing_goes_on_from_every_position_that_a_cursor_can_hold() {
    // A cursor is checksummed and not signed, so a client can write any number into it.
    for offset in [u64::MAX, u64::MAX - 1, 1 << 33, (1 << 32) - 1, 1 << 31, 0] {
        let Some(from) = Position::decode(&Position::new(0, offset).encode()) else {
            continue;
        };
        let pager = Pager {
            segments: 2,
            from,
            page_size: 10,
            max_vendor_page: 100,
            limit: None,
            max_calls: 5,
            spent: 0,
            filtered: false,
        };
        // A vendor that answers every page with the same full one.
        let same =
            |_, window: Window| -> crate::BoxFuture<'static, crate::Result<Fetched<String>>> {
                let rows = (0..window.size).map(|row| format!("{}", u64::from(row) + window.index));
                let rows = rows.collect();
                Box::pin(async move {
                    Ok(Fetched {
                        rows,
                        total: None,
                        size: None,
                    })
                })
            };
        let paged = pager.run(same, |row| row, |_| true).await.unwrap();
        assert_eq!(paged.rows.len(), 10, "{offset}");
    }
}

#[tokio::test]
async fn a_call_that_fails_costs_no_row_of_the_calls_before() {
    for kind in ErrorKind::ALL.iter().copied() {
        let fails = AtomicU32::new(3);
        let fetch =
            |_: u32, window: Window| -> crate::BoxFuture<'_, crate::Result<Fetched<String>>> {
                if fails.fetch_sub(1, Ordering::Relaxed) == 1 {
                    return Box::pin(async move { Err(crate::Error::new(kind, "no")) });
                }
                let start = window.start();
                Box::pin(async move {
                    Ok(Fetched {
                        rows: numbered(start..start + u64::from(window.size)),
                        total: Some(1000),
                        size: None,
                    })
                })
            };
        let mut pager = pages_of(100, 5);
        pager.max_vendor_page = 25;
        let paged = pager.run(fetch, |row| row, |_| true).await;
        let refused = matches!(
            kind,
            ErrorKind::InvalidArgument
                | ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::Unsupported
        );
        match paged {
            Err(error) => assert!(refused && error.kind() == kind, "{kind}"),
            Ok(paged) => {
                assert!(!refused, "{kind}");
                assert_eq!(paged.rows, numbered(0..50), "{kind}");
                assert_eq!(paged.next.unwrap().offset, 50);
                assert_eq!(paged.error.unwrap().kind(), kind);
            }
        }
    }
}
