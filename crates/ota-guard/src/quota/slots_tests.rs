//! The concurrency limit of a provider: which call gets the next slot, and how the others are refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::ErrorKind;
use ota_core::clock::Clock;
use ota_core::context::Priority::{self, Background, Interactive};
use tokio::task::JoinHandle;

use super::tests::{acquire, each, ms, quota, settle};
use super::{AccountQuota, Permit, QuotaScope, Slots};

type Task = JoinHandle<ota_core::Result<Permit>>;

fn wait(
    quota: &Arc<AccountQuota>,
    operation: &'static str,
    slots: &Slots,
    priority: Priority,
    deadline: Instant,
) -> Task {
    let (quota, slots) = (Arc::clone(quota), slots.clone());
    tokio::spawn(async move { acquire(&quota, None, operation, &slots, priority, deadline).await })
}

/// Gives the only slot to each of them, one after the other.
async fn order(first: Permit, mut waiting: Vec<(&'static str, Task)>) -> Vec<&'static str> {
    let mut running = Some(first);
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let Some(permit) = running.take() else { break };
        permit.answered(true);
        settle().await;
        let index = waiting.iter().position(|(_, task)| task.is_finished());
        let (name, task) = waiting.remove(index.expect("one of them holds the slot"));
        running = Some(task.await.unwrap().unwrap());
        let other = waiting.iter().any(|(_, task)| task.is_finished());
        assert!(!other, "two calls hold the only slot");
        order.push(name);
    }
    order
}

#[tokio::test]
async fn slots_are_given_in_order_and_by_priority_across_operations() {
    let (clock, quota) = quota(100, each());
    let slots = Slots::new(1);
    let deadline = clock.monotonic() + Duration::from_secs(1000);
    let first = wait(&quota, "a", &slots, Interactive, deadline);
    let first = first.await.unwrap().unwrap();
    let mut waiting = Vec::new();
    for (name, operation, priority) in [
        ("background 1", "a", Background),
        ("1", "b", Interactive),
        ("2", "c", Interactive),
        ("background 2", "b", Background),
        ("3", "a", Interactive),
    ] {
        waiting.push((name, wait(&quota, operation, &slots, priority, deadline)));
        settle().await;
    }
    let order = order(first, waiting).await;
    assert_eq!(order, ["1", "2", "3", "background 1", "background 2"]);
}

#[tokio::test]
async fn background_calls_of_one_operation_let_interactive_ones_of_another_pass() {
    let (clock, quota) = quota(100, each());
    let slots = Slots::new(1);
    let deadline = clock.monotonic() + Duration::from_secs(1000);
    let first = wait(&quota, "a", &slots, Interactive, deadline);
    let first = first.await.unwrap().unwrap();
    let mut waiting = vec![(
        "background",
        wait(&quota, "a", &slots, Background, deadline),
    )];
    settle().await;
    for _ in 0..12 {
        waiting.push((
            "interactive",
            wait(&quota, "b", &slots, Interactive, deadline),
        ));
        settle().await;
    }
    let order = order(first, waiting).await;
    let at = order.iter().position(|name| *name == "background");
    assert_eq!(at, Some(12), "{order:?}");
}

#[tokio::test]
async fn a_slot_is_not_given_to_a_new_call_while_others_wait() {
    let (clock, quota) = quota(100, QuotaScope::Account);
    let slots = Slots::new(1);
    let deadline = clock.monotonic() + Duration::from_secs(1000);
    let running = wait(&quota, "a", &slots, Interactive, deadline);
    let running = running.await.unwrap().unwrap();
    let waits = wait(&quota, "a", &slots, Interactive, deadline);
    settle().await;
    running.answered(true);
    // It was notified and has not been polled yet; this one is polled now.
    let mut late = Box::pin(acquire(&quota, None, "a", &slots, Interactive, deadline));
    let came = std::future::poll_fn(|cx| std::task::Poll::Ready(late.as_mut().poll(cx))).await;
    assert!(came.is_pending(), "it was polled after the other one");
    drop(late);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn providers_of_one_account_do_not_wait_for_each_others_slots() {
    let (clock, quota) = quota(100, QuotaScope::Account);
    let (one, other) = (Slots::new(1), Slots::new(1));
    let deadline = clock.monotonic() + Duration::from_secs(1000);
    let running = wait(&quota, "a", &one, Interactive, deadline);
    let running = running.await.unwrap().unwrap();
    let waits = wait(&quota, "a", &one, Interactive, deadline);
    settle().await;
    let passes = wait(&quota, "b", &other, Background, deadline);
    settle().await;
    assert!(passes.is_finished() && !waits.is_finished());
    drop(running);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_wait_for_a_slot_is_refused_because_of_slots_and_not_of_the_quota() {
    let (clock, quota) = quota(100, each());
    let slots = Slots::new(1);
    let start = clock.monotonic();
    // Calls take two seconds.
    for _ in 0..3 {
        let deadline = clock.monotonic() + ms(10);
        let call = wait(&quota, "a", &slots, Interactive, deadline);
        let call = call.await.unwrap().unwrap();
        clock.advance(ms(2000));
        call.answered(true);
    }
    let far = start + Duration::from_secs(1000);
    let running = wait(&quota, "a", &slots, Interactive, far);
    let running = running.await.unwrap().unwrap();
    let _next = wait(&quota, "b", &slots, Interactive, far);
    settle().await;
    // The slot would come after the one that runs and the one that waits.
    let now = clock.monotonic();
    let refused = wait(&quota, "a", &slots, Interactive, now + ms(3000));
    settle().await;
    assert!(refused.is_finished(), "refused at once");
    let error = refused.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("concurrent calls"), "{error}");
    assert_eq!(error.retry_after(), Some(ms(4000)));
    assert!(error.is_local());
    // A call that waits and does not get a slot in time is refused in the same way.
    let waits = wait(&quota, "a", &slots, Interactive, now + ms(5000));
    settle().await;
    assert!(!waits.is_finished());
    clock.advance(ms(5000));
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after() >= Some(ms(1000)));
    drop(running);
}
