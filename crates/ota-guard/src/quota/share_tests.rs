//! The share of background calls.

use std::sync::Arc;
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::Priority::{Background, Interactive};
use proptest::prelude::*;
use time::macros::datetime;

use super::tests::{acquire, ms, settle};
use super::{AccountQuota, CountedCall, QuotaLimits, QuotaScope, Slots};

const WINDOW: Duration = Duration::from_secs(60);

fn quota(calls: u32, share: f64) -> (ManualClock, Arc<AccountQuota>) {
    let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
    let limits = QuotaLimits {
        calls,
        window: WINDOW,
        margin: Some(Duration::ZERO),
        scope: QuotaScope::Account,
    };
    let quota = AccountQuota::new(limits, Arc::new(clock.clone())).with_background_share(share);
    (clock, Arc::new(quota))
}

/// Lets background calls leave for a window; returns how many did.
async fn background_calls(clock: &ManualClock, quota: &Arc<AccountQuota>, wanted: usize) -> usize {
    let slots = Slots::new(1000);
    let deadline = clock.monotonic() + WINDOW * 1000;
    let calls: Vec<_> = (0..wanted)
        .map(|_| {
            let (quota, slots) = (Arc::clone(quota), slots.clone());
            tokio::spawn(async move {
                let permit = acquire(&quota, None, "op", &slots, Background, deadline).await;
                permit.unwrap().answered(true);
            })
        })
        .collect();
    for _ in 0..wanted {
        settle().await;
    }
    clock.advance(WINDOW - ms(1));
    settle().await;
    let sent = calls.iter().filter(|call| call.is_finished()).count();
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    settle().await;
    sent
}

#[tokio::test]
async fn background_calls_take_at_most_their_share_of_a_window() {
    for (calls, share, expected) in [
        (90, 0.5, 45),
        (90, 1.0, 90),
        (10, 0.05, 1),
        (10, 0.0, 1),
        (3, 0.5, 1),
    ] {
        let (clock, quota) = quota(calls, share);
        let sent = background_calls(&clock, &quota, 200).await;
        assert_eq!(sent, expected, "{share} of {calls}");
        // The rest is there for interactive calls, at once.
        let left = calls as usize - expected;
        let slots = Slots::new(1000);
        let now = clock.monotonic();
        for _ in 0..left {
            let permit = acquire(&quota, None, "op", &slots, Interactive, now).await;
            permit.unwrap().answered(true);
        }
    }
}

#[tokio::test]
async fn a_throttling_halves_the_share_which_is_won_back_over_ten_windows() {
    let (clock, quota) = quota(80, 0.5);
    let random = ota_core::random::SequenceRandom::new(1);
    let shares = |quota: &Arc<AccountQuota>| quota.present_background_share();
    assert!((shares(&quota) - 0.5).abs() < 1e-9);
    let sent = clock.monotonic();
    clock.advance(ms(10));
    quota.throttled(sent, Some(ms(1)), &random);
    assert!((shares(&quota) - 0.25).abs() < 1e-9);
    // Calls that were under way then say nothing new.
    quota.throttled(sent, Some(ms(1)), &random);
    assert!((shares(&quota) - 0.25).abs() < 1e-9);
    clock.advance(ms(1));
    // Within the window after it the share stands for what the calls may take: 20 of 80, and what has been won back at its end.
    assert_eq!(background_calls(&clock, &quota, 200).await, 22);
    clock.advance(WINDOW * 4 + ms(1));
    assert!((shares(&quota) - 0.375).abs() < 0.001, "{}", shares(&quota));
    clock.advance(WINDOW * 5);
    assert!((shares(&quota) - 0.5).abs() < 1e-9);
    assert_eq!(background_calls(&clock, &quota, 200).await, 40);
    // A second one halves what is left of it.
    quota.throttled(clock.monotonic(), Some(ms(1)), &random);
    quota.throttled(clock.monotonic() + ms(1), Some(ms(1)), &random);
    assert!((shares(&quota) - 0.125).abs() < 1e-9);
}

#[tokio::test]
async fn a_background_call_beyond_the_share_waits_until_one_of_them_counts_no_more() {
    let (clock, quota) = quota(4, 0.5);
    assert_eq!(background_calls(&clock, &quota, 2).await, 2);
    let slots = Slots::new(10);
    let soon = clock.monotonic() + ms(1);
    // It is told at once that its turn does not come in time.
    let refused = acquire(&quota, None, "op", &slots, Background, soon).await;
    assert!(refused.unwrap_err().is_local());
    clock.advance(ms(1));
    let now = clock.monotonic();
    assert!(
        acquire(&quota, None, "op", &slots, Background, now)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_restart_does_not_double_the_window() {
    let (clock, before) = quota(90, 1.0);
    assert_eq!(background_calls(&clock, &before, 90).await, 90);
    let counted = before.counted();
    assert_eq!(counted.len(), 90);
    assert!(counted.iter().all(|call| call.ago == WINDOW - ms(1)));

    let (clock, after) = quota(90, 1.0);
    counted.iter().for_each(|call| after.restore(call));
    assert_eq!(after.remaining(), 0);
    let slots = Slots::new(1000);
    let now = clock.monotonic();
    assert!(
        acquire(&after, None, "op", &slots, Interactive, now)
            .await
            .is_err()
    );
    clock.advance(ms(1));
    assert_eq!(after.remaining(), 90);
    // What no window holds any more changes nothing, in a bucket that is made or to be made.
    let old = CountedCall {
        bucket: String::new(),
        ago: WINDOW,
    };
    after.restore(&old);
    assert_eq!((after.remaining(), after.counted()), (90, Vec::new()));
}

#[tokio::test]
async fn calls_of_an_operation_are_restored_before_it_is_known() {
    let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
    let limits = QuotaLimits {
        calls: 2,
        window: WINDOW,
        margin: None,
        scope: QuotaScope::Operation {
            exceptions: vec![("rare", 1)],
        },
    };
    let quota = Arc::new(AccountQuota::new(limits, Arc::new(clock.clone())));
    let call = CountedCall {
        bucket: "rare".to_owned(),
        ago: ms(5),
    };
    quota.restore(&call);
    assert_eq!(quota.remaining(), 0);
    assert_eq!(quota.counted(), [call]);
    let slots = Slots::new(1000);
    let now = clock.monotonic();
    assert!(
        acquire(&quota, None, "rare", &slots, Interactive, now)
            .await
            .is_err()
    );
    assert!(
        acquire(&quota, None, "usual", &slots, Interactive, now)
            .await
            .is_ok()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However calls of both kinds come, background calls stay within their share of each window, and an interactive call waits only while the window is full
    /// or earlier interactive calls wait.
    #[test]
    fn an_interactive_call_never_waits_behind_a_background_one(
        calls in 1_u32..12, share in 0.0_f64..1.0, steps in proptest::collection::vec((any::<bool>(), 0_u64..20_000), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (clock, quota) = quota(calls, share);
            let slots = Slots::new(1000);
            let deadline = clock.monotonic() + WINDOW * 1000;
            let (sender, mut sent) = tokio::sync::mpsc::unbounded_channel();
            let mut asked = 0_usize;
            for (background, wait) in steps {
                let priority = if background { Background } else { Interactive };
                asked += 1;
                let (quota, slots, sender, clock) = (Arc::clone(&quota), slots.clone(), sender.clone(), clock.clone());
                let came = clock.monotonic();
                let own = clock.clone();
                tokio::spawn(async move {
                    let permit = acquire(&quota, None, "op", &slots, priority, deadline).await.unwrap();
                    sender.send((priority, came, own.monotonic())).unwrap();
                    permit.answered(true);
                });
                settle().await;
                clock.advance(ms(wait));
                settle().await;
            }
            let mut all = Vec::new();
            while all.len() < asked {
                while let Ok(one) = sent.try_recv() {
                    all.push(one);
                }
                clock.advance(ms(3000));
                settle().await;
            }
            let most = ((f64::from(calls) * share).floor() as usize).max(1);
            for (priority, came, left) in &all {
                let within = |other: std::time::Instant| other <= *left && *left < other + WINDOW;
                let background = all.iter().filter(|(of, _, at)| *of == Background && within(*at)).count();
                prop_assert!(background <= most, "{background} of {most}");
                if *priority == Interactive {
                    // No background call left while this one waited.
                    let passed = all.iter().find(|(of, _, at)| *of == Background && came < at && at < left);
                    prop_assert!(passed.is_none(), "{passed:?}");
                }
            }
            Ok(())
        })?;
    }
}
