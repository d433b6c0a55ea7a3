use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::{Fetched, Position, Walk, Window};

/// Serves segments of numbered rows as a vendor does, page by page.
async fn walk_all(segments: &[u32], walk: Walk, with_total: bool) -> (Vec<String>, Vec<u32>) {
    let mut rows = Vec::new();
    let mut calls = Vec::new();
    let mut next = Some(Position::default());
    while let Some(from) = next {
        let count = AtomicU32::new(0);
        let walked = Walk { from, ..walk }
            .run(
                |segment, window| {
                    count.fetch_add(1, Ordering::Relaxed);
                    assert!(window.size <= walk.max_vendor_page);
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
                        })
                    })
                },
                |row: &String| row,
                |_| true,
            )
            .await
            .unwrap();
        assert!(walked.rows.len() <= walk.page_size as usize);
        rows.extend(walked.rows);
        calls.push(count.into_inner());
        next = walked.next;
        assert_ne!(next, Some(from), "a walk goes on");
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
        let walk = Walk {
            segments: segments.len() as u32, from: Position::default(), page_size, max_vendor_page,
            limit: None, max_calls, filtered: false,
        };
        let (rows, calls) = runtime.block_on(walk_all(&segments, walk, with_total));
        let expected: Vec<String> = segments.iter().enumerate()
            .flat_map(|(segment, count)| (0..*count).map(move |row| format!("{segment}/{row}"))).collect();
        prop_assert_eq!(rows, expected);
        prop_assert!(calls.into_iter().all(|calls| calls <= max_calls));
    }
}

#[tokio::test]
async fn a_walk_stops_at_the_limit_of_the_vendor() {
    let walk = Walk {
        segments: 2,
        from: Position::default(),
        page_size: 30,
        max_vendor_page: 100,
        limit: Some(70),
        max_calls: 5,
        filtered: false,
    };
    let (rows, _) = walk_all(&[130, 5], walk, true).await;
    assert_eq!(rows.len(), 75);
}

#[tokio::test]
async fn an_answer_with_more_rows_than_asked_for_is_the_whole_list() {
    let mut rows = Vec::new();
    let mut next = Some(Position::default());
    while let Some(from) = next {
        let walked = Walk {
            segments: 1,
            from,
            page_size: 40,
            max_vendor_page: 100,
            limit: None,
            max_calls: 5,
            filtered: false,
        }
        .run(
            |_, _| {
                Box::pin(async {
                    Ok(Fetched {
                        rows: (0..90).map(|row| row.to_string()).collect(),
                        total: Some(90),
                    })
                })
            },
            |row: &String| row,
            |_| true,
        )
        .await
        .unwrap();
        rows.extend(walked.rows);
        next = walked.next;
    }
    assert_eq!(rows, (0..90).map(|row| row.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_position_that_is_written_otherwise_is_no_position() {
    assert_eq!(
        Position::decode("1.250"),
        Some(Position {
            segment: 1,
            offset: 250
        })
    );
    for text in [
        "",
        "1",
        "1.",
        ".1",
        "01.2",
        "1.+2",
        "1.2.3",
        "-1.0",
        "1.99999999999999999999999",
    ] {
        assert_eq!(Position::decode(text), None, "{text}");
    }
}
