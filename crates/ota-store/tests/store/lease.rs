//! Leases: one holder at a time, and nothing written by one that holds no more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ota_core::id::ProviderName;
use ota_store::StoreError;
use ota_store::lease::{Claim, Fence, Fencing, SentCall, Tenure};
use ota_store::pass::{PassEnd, PassOf};

use crate::harness::{Database, at, job, job_page, on_both, provider, task_page};

const ACCOUNT: &str = "account-1";

fn claim(holder: &str, epoch: Option<i64>) -> Claim {
    Claim {
        account: ACCOUNT.to_owned(),
        holder: holder.to_owned(),
        address: format!("https://{holder}:8080"),
        // Long enough for the slowest machine; tests end it by a statement.
        length: Duration::from_secs(3600),
        epoch,
    }
}

fn tenure(holder: &str, epoch: i64) -> Tenure {
    Tenure {
        account: ACCOUNT.to_owned(),
        holder: holder.to_owned(),
        epoch,
    }
}

/// Lets the lease run out, as time does.
async fn run_out(database: &Database) {
    let sql = "UPDATE leases SET expires_at = expires_at - 3605000";
    database.execute(sql).await;
}

#[test]
fn one_holder_at_a_time_and_the_epoch_never_falls() {
    on_both(|database| async move {
        let store = database.open().await;
        let first = store.claim_lease(&claim("a", None)).await.unwrap().unwrap();
        assert_eq!((first.epoch, first.previous), (1, None));
        // Neither another process, nor the same one without its epoch, nor with an older one.
        for refused in [
            claim("b", None),
            claim("b", Some(1)),
            claim("a", None),
            claim("a", Some(0)),
        ] {
            assert_eq!(store.claim_lease(&refused).await, Ok(None), "{refused:?}");
        }
        let renewed = store.claim_lease(&claim("a", Some(1))).await.unwrap();
        assert_eq!(renewed.unwrap().epoch, 1);
        let lease = store.leases().await.unwrap().remove(0);
        assert_eq!(lease.tenure, tenure("a", 1));
        assert_eq!(lease.address, "https://a:8080");
        assert!(lease.left > Some(Duration::from_secs(3000)), "{lease:?}");

        run_out(&database).await;
        let lease = store.leases().await.unwrap().remove(0);
        assert_eq!(lease.left, None);
        // What ran out is a new tenure, for the same process too.
        let again = store
            .claim_lease(&claim("a", Some(1)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(again.epoch, 2);
        run_out(&database).await;
        let other = store.claim_lease(&claim("b", None)).await.unwrap().unwrap();
        let previous = other.previous.unwrap();
        assert_eq!((other.epoch, previous.calls), (3, None));
        assert!(
            (5..100).contains(&previous.ended.as_secs()),
            "{:?}",
            previous.ended
        );
        assert_eq!(store.claim_lease(&claim("a", Some(2))).await, Ok(None));
    });
}

#[test]
fn a_lease_that_is_given_back_leaves_its_calls_to_the_next_holder_only() {
    on_both(|database| async move {
        let store = database.open().await;
        store.claim_lease(&claim("a", None)).await.unwrap().unwrap();
        let calls = vec![
            SentCall {
                bucket: "ListOTAJobByFirmware".to_owned(),
                ago: Duration::from_millis(250),
            },
            SentCall {
                bucket: String::new(),
                ago: Duration::ZERO,
            },
        ];
        assert_eq!(store.release_lease(&tenure("a", 7), &[]).await, Ok(false));
        assert_eq!(store.release_lease(&tenure("a", 1), &calls).await, Ok(true));
        assert_eq!(store.release_lease(&tenure("a", 1), &[]).await, Ok(false));
        assert_eq!(store.leases().await.unwrap()[0].left, None);
        let next = store.claim_lease(&claim("b", None)).await.unwrap().unwrap();
        assert_eq!(next.epoch, 2);
        assert_eq!(next.previous.unwrap().calls.as_ref(), Some(&calls));
        // A renewal says the same again: its first answer may have been lost.
        let renewed = store
            .claim_lease(&claim("b", Some(2)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(renewed.previous.unwrap().calls, Some(calls));
        // One that runs out says nothing of the calls before it.
        run_out(&database).await;
        let next = store.claim_lease(&claim("c", None)).await.unwrap().unwrap();
        assert_eq!(next.previous.unwrap().calls, None);
    });
}

#[test]
fn of_many_that_claim_at_once_one_is_granted() {
    on_both(|database| async move {
        let store = database.open().await;
        for epoch in 1..=5 {
            let claims: Vec<_> = (0..8)
                .map(|number| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        store.claim_lease(&claim(&format!("g{number}"), None)).await
                    })
                })
                .collect();
            let mut granted = Vec::new();
            for claim in claims {
                granted.extend(claim.await.unwrap().unwrap());
            }
            assert_eq!(granted.len(), 1, "{granted:?}");
            assert_eq!(granted[0].epoch, epoch);
            run_out(&database).await;
        }
    });
}

/// Says that a tenure is held, whatever the database has.
#[derive(Debug)]
struct Believed(Mutex<Fence>);

impl Fencing for Believed {
    fn fence(&self, _: &ProviderName) -> Fence {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[test]
fn a_process_that_was_paused_writes_nothing() {
    on_both(|database| async move {
        let store = database.open().await;
        store.claim_lease(&claim("a", None)).await.unwrap().unwrap();
        let believed = Arc::new(Believed(Mutex::new(Fence::Held(tenure("a", 1)))));
        let fencing = Arc::<Believed>::clone(&believed);
        let paused = store.clone().with_fencing(fencing);
        let name = provider("x");
        paused.see_provider(&name, "test-iot", at(0)).await.unwrap();
        paused
            .write_jobs(&job_page("x", 0, vec![job("1")]))
            .await
            .unwrap();
        let pass = paused
            .begin_pass(&PassOf::Jobs(name.clone()), at(1))
            .await
            .unwrap();
        let before = store.job_states(&name, 10).await.unwrap();

        // Meanwhile its lease ends, and another gateway takes the account.
        run_out(&database).await;
        store.claim_lease(&claim("b", None)).await.unwrap().unwrap();
        for fence in [Fence::Held(tenure("a", 1)), Fence::NotHeld] {
            *believed.0.lock().unwrap() = fence;
            let superseded = StoreError::Superseded;
            let page = job_page("x", 9, vec![job("2")]);
            assert_eq!(paused.write_jobs(&page).await.unwrap_err(), superseded);
            let page = task_page("x", "1", 9, Vec::new());
            assert_eq!(paused.write_tasks(&page).await.unwrap_err(), superseded);
            let id = ota_core::id::JobId::from("1");
            let counts = ota_core::job::JobStats::default();
            let wrote = [
                paused.write_counts(&name, &id, at(9), &counts).await,
                paused.missing_job(&name, &id, at(9)).await,
                paused.set_due(&name, &[(id.clone(), at(9))]).await,
                paused.see_provider(&name, "other-iot", at(9)).await,
                paused.first_pass_ended(&name, at(9)).await,
                paused.set_problem(&name, Some("none"), at(9)).await,
                paused
                    .report_sync(&name, &crate::sync_reports::report(9))
                    .await,
            ];
            for wrote in wrote {
                assert_eq!(wrote, Err(superseded.clone()));
            }
            let begun = paused
                .begin_pass(&PassOf::Tasks(name.clone(), id), at(9))
                .await;
            assert_eq!(begun.unwrap_err(), superseded);
            let ended = paused.end_pass(pass.id, &PassEnd::Complete, at(9)).await;
            assert_eq!(ended.unwrap_err(), superseded);
        }
        assert_eq!(store.job_states(&name, 10).await.unwrap(), before);
        let open = store.open_passes(&name).await.unwrap();
        assert_eq!(open, [pass]);
        assert_eq!(store.shared_syncs().await.unwrap(), []);
        let state = &store.providers().await.unwrap()[0];
        assert_eq!(
            (state.vendor.as_str(), state.first_pass_at, &state.problem),
            ("test-iot", None, &None)
        );
    });
}
