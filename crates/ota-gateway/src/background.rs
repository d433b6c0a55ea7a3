//! What runs beside the requests.

use std::collections::HashMap;
use std::time::Duration;

use ota_core::BoxFuture;
use tokio::task::JoinSet;

/// How long a task of the background that has failed waits until it begins again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Runs what must run beside the requests. A task that panics begins again: without it keys and certificates would become old, unnoticed.
pub(crate) async fn supervise(tasks: impl Fn() -> Vec<BoxFuture<'static, ()>>) {
    let mut running = JoinSet::new();
    let mut numbers = HashMap::new();
    for (number, task) in tasks().into_iter().enumerate() {
        numbers.insert(running.spawn(task).id(), number);
    }
    while let Some(ended) = running.join_next_with_id().await {
        let Err(error) = ended else { continue };
        let Some(number) = numbers.remove(&error.id()).filter(|_| error.is_panic()) else {
            continue;
        };
        tracing::error!("a task of the background has failed and begins again");
        tokio::time::sleep(RESTART_PAUSE).await;
        if let Some(task) = tasks().into_iter().nth(number) {
            numbers.insert(running.spawn(task).id(), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::supervise;
    use ota_core::BoxFuture;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test(start_paused = true)]
    async fn a_task_of_the_background_that_panics_begins_again() {
        let (begun, again) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let tasks = || {
            let (begun, again) = (Arc::clone(&begun), Arc::clone(&again));
            let panics: BoxFuture<'static, ()> = Box::pin(async move {
                assert!(begun.fetch_add(1, Ordering::Relaxed) > 0, "told to");
                again.notify_one();
                std::future::pending().await
            });
            vec![panics]
        };
        tokio::select! {
            () = supervise(tasks) => panic!("it ends although a task runs"),
            () = again.notified() => {}
        }
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
