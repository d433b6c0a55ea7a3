//! What the gateways on one database tell each other about a sync.

use std::time::Duration;

use ota_store::sync_report::SyncReport;

use crate::harness::{at, on_both, provider};

/// A report that tells its number.
pub(crate) fn report(number: u64) -> SyncReport {
    SyncReport {
        state: "behind".to_owned(),
        phase: Some("tasks".to_owned()),
        as_of: Some(at(1)),
        lag_s: None,
        problem: Some("the vendor\0 does not answer".to_owned()),
        started_at: Some(at(2)),
        jobs_seen: number,
        tasks_seen: 0,
        tasks_total: Some(u64::from(u32::MAX) * 4),
        calls: 7,
        eta_s: Some(0),
        last_full_pass_at: None,
    }
}

#[test]
fn a_report_survives_and_the_last_one_counts() {
    on_both(|database| async move {
        let store = database.open().await;
        let name = provider("x");
        assert_eq!(store.shared_syncs().await.unwrap(), []);
        for number in [1, 2] {
            store.report_sync(&name, &report(number)).await.unwrap();
            let [shared] = &store.shared_syncs().await.unwrap()[..] else {
                panic!("one provider is known");
            };
            let (read, since) = shared.report.clone().unwrap();
            let expected = SyncReport {
                // PostgreSQL has no NUL in texts.
                problem: Some("the vendor\u{fffd} does not answer".to_owned()),
                ..report(number)
            };
            assert_eq!((read, shared.requested), (expected, None));
            assert!(since < Duration::from_secs(3600), "{since:?}");
        }
    });
}

#[test]
fn a_request_stays_until_its_pass_has_been_made() {
    on_both(|database| async move {
        let store = database.open().await;
        let name = provider("x");
        let requested = async || {
            let shared = store.shared_syncs().await.unwrap();
            shared.first().and_then(|shared| shared.requested)
        };
        // Before and after the first report.
        for _ in 0..2 {
            store.ask_full_pass(&name).await.unwrap();
            let first = requested().await.expect("it was asked for");
            store.report_sync(&name, &report(1)).await.unwrap();
            assert_eq!(requested().await, Some(first), "a report ends no request");
            // It is asked for again while the pass is made: that one is made too.
            database
                .execute("UPDATE sync_reports SET requested_at = requested_at - 5")
                .await;
            let earlier = requested().await.expect("it is still asked for");
            store.ask_full_pass(&name).await.unwrap();
            store.full_pass_made(&name, earlier).await.unwrap();
            let later = requested().await.expect("the later request is open");
            assert_ne!(later, earlier);
            store.full_pass_made(&name, later).await.unwrap();
            assert_eq!(requested().await, None);
        }
        let shared = store.shared_syncs().await.unwrap();
        assert!(shared[0].report.is_some(), "a request ends no report");
    });
}
