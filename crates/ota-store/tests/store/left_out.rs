//! What a pass leaves out, and what is read again because settings have changed.

use ota_core::id::JobId;
use ota_core::task::TaskStatus;
use ota_store::Store;
use ota_store::pass::{Ended, LeftOut, OpenPass, PassEnd, PassOf};
use ota_store::record::{JobRecord, Progress};

use crate::harness::{at, job, job_page, last, on_both, provider, task, task_page};

fn of_package(id: &str, package: Option<&str>) -> JobRecord {
    JobRecord {
        package_id: package.map(str::to_owned),
        ..job(id)
    }
}

fn without(package: &str) -> LeftOut {
    let mut left_out = LeftOut::default();
    left_out.add_package(package, "\"refused\" \u{8bbe}".to_owned());
    left_out
}

/// Runs a list pass without these packages.
async fn list(store: &Store, seconds: i64, rows: Vec<JobRecord>, left_out: LeftOut) -> Ended {
    let of = PassOf::Jobs(provider("a"));
    let pass = store.begin_pass(&of, at(seconds)).await.expect("a pass");
    let mut page = job_page("a", seconds, rows);
    let progress = Progress {
        left_out,
        ..Progress::default()
    };
    page.pass = Some((pass.id, progress));
    store.write_jobs(&page).await.expect("jobs");
    store
        .end_pass(pass.id, &PassEnd::Complete, at(seconds + 1))
        .await
        .expect("the end")
}

async fn is_shown(store: &Store, id: &str) -> bool {
    let state = store.job_state(&provider("a"), &JobId::from(id)).await;
    state.expect("a state").is_some()
}

#[test]
fn of_a_package_that_was_left_out_nothing_is_proved() {
    on_both(|database| async move {
        let store = database.open().await;
        let all = || {
            let of = [("b", "bad"), ("g", "good"), ("h", "good"), ("i", "good")];
            let mut rows: Vec<JobRecord> = of.map(|(id, of)| of_package(id, Some(of))).into();
            rows.push(of_package("n", None));
            rows
        };
        list(&store, 0, all(), LeftOut::default()).await;
        // One miss of each before, by a pass that left nothing out: it still counts, and brings nothing to an end.
        let rows = all().split_off(2);
        let ended = list(&store, 10, rows, LeftOut::default()).await;
        assert_eq!((ended.missing, ended.vanished), (2, 0));
        let rows = || vec![of_package("h", Some("good")), of_package("i", Some("good"))];
        let ended = list(&store, 20, rows(), without("bad")).await;
        assert!(ended.complete);
        assert_eq!((ended.missing, ended.vanished), (0, 1));
        for seconds in [30, 40, 50] {
            let ended = list(&store, seconds, rows(), without("bad")).await;
            assert_eq!((ended.missing, ended.vanished), (0, 0));
        }
        for (id, shown) in [("b", true), ("g", false), ("h", true), ("n", true)] {
            assert_eq!(is_shown(&store, id).await, shown, "{id}");
        }
        let ended = list(&store, 60, rows(), LeftOut::default()).await;
        assert_eq!((ended.missing, ended.vanished), (1, 1), "`n` and `b`");
        assert!(!is_shown(&store, "b").await);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

#[test]
fn what_was_left_out_is_known_after_a_restart() {
    on_both(|database| async move {
        let of = PassOf::Jobs(provider("a"));
        let mut many = without("first");
        for number in 0..LeftOut::MOST_PACKAGES + 5 {
            many.add_package(&format!("p-{number}"), "why".to_owned());
        }
        assert_eq!(many.packages.len(), LeftOut::MOST_PACKAGES);
        assert!(many.truncated, "not all are named");
        let truncated = LeftOut {
            truncated: true,
            ..LeftOut::default()
        };
        for left_out in [LeftOut::default(), without("b"), truncated, many] {
            let pass = {
                let store = database.open().await;
                let pass = store.begin_pass(&of, at(0)).await.expect("a pass");
                assert_eq!(pass.left_out, LeftOut::default());
                let mut page = job_page("a", 1, vec![job("j")]);
                let progress = Progress {
                    left_out: left_out.clone(),
                    ..Progress::default()
                };
                page.pass = Some((pass.id, progress));
                store.write_jobs(&page).await.expect("jobs");
                pass
            };
            let store = database.open().await;
            let open = store.open_passes(&provider("a")).await.expect("passes");
            let expected = OpenPass {
                seen: 1,
                at_end: true,
                left_out,
                ..pass
            };
            assert_eq!(open, std::slice::from_ref(&expected));
            assert_eq!(store.begin_pass(&of, at(9)).await, Ok(expected));
            let end = PassEnd::Incomplete { problem: None };
            store.end_pass(open[0].id, &end, at(9)).await.expect("end");
        }
    });
}

#[test]
fn changed_settings_ask_for_every_task_again_and_end_open_passes() {
    on_both(|database| async move {
        let store = database.open().await;
        let name = provider("a");
        store
            .see_provider(&name, "test-iot", at(0))
            .await
            .expect("it is known");
        assert_eq!(store.set_mapping(&name, "one").await, Ok(true));
        assert_eq!(store.set_mapping(&name, "one").await, Ok(false));
        list(&store, 1, vec![job("j"), job("k")], LeftOut::default()).await;
        let wanted = async || {
            let states = store.job_states(&name, 10).await.expect("states");
            let mut again: Vec<String> = states
                .into_iter()
                .filter(|state| state.read_again)
                .map(|state| state.id.to_string())
                .collect();
            again.sort_unstable();
            again
        };
        assert!(wanted().await.is_empty());
        let of = PassOf::Tasks(name.clone(), JobId::from("j"));
        let before = store.begin_pass(&of, at(2)).await.expect("a pass");
        assert_eq!(store.set_mapping(&name, "two").await, Ok(true));
        assert_eq!(wanted().await, ["j", "k"]);
        assert_eq!(store.open_passes(&name).await, Ok(Vec::new()));
        // Neither the pass that was open nor one that is not complete settles it.
        for (id, end, settled) in [
            (Some(before.id), PassEnd::Complete, false),
            (None, PassEnd::Incomplete { problem: None }, false),
            (None, PassEnd::Complete, true),
        ] {
            let id = match id {
                Some(id) => id,
                None => store.begin_pass(&of, at(3)).await.expect("a pass").id,
            };
            let mut page = task_page("a", "j", 4, vec![task("1", TaskStatus::Pending)]);
            page.pass = last(id, None);
            store.write_tasks(&page).await.expect("tasks");
            store.end_pass(id, &end, at(5)).await.expect("the end");
            assert_eq!(!wanted().await.contains(&"j".to_owned()), settled);
        }
        let of = PassOf::Tasks(name.clone(), JobId::from("k"));
        let pass = store.begin_pass(&of, at(6)).await.expect("a pass");
        store
            .end_pass(pass.id, &PassEnd::Truncated, at(7))
            .await
            .expect("the end");
        assert!(wanted().await.is_empty());
        assert_eq!(
            store.set_mapping(&provider("b"), "x").await,
            Ok(false),
            "unknown"
        );
    });
}
