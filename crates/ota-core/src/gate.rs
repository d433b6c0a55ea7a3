//! The gate that every vendor call passes.
//!
//! One trait method of a provider can make many vendor calls (statistics make nine where the vendor does not count), so quota, retry,
//! concurrency, breaker, attempt timeout and call metrics act on each vendor call. The adapter names the operation and
//! says whether it is safe to repeat; the gate decides when and how often the attempt runs.

use std::sync::Arc;

use crate::BoxFuture;
use crate::clock::Clock;
use crate::context::{Context, Moment};
use crate::error::{Error, ErrorKind, Result};

/// One vendor call as the gate sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VendorCall {
    /// The vendor's name of the operation; from a closed set, it becomes a metric label and a quota key.
    pub operation: &'static str,
    /// Whether the call can be repeated without harm if the response of the first one was lost.
    pub repeatable: bool,
}

impl VendorCall {
    /// Describes a call that only reads.
    #[must_use]
    pub const fn read(operation: &'static str) -> Self {
        Self {
            operation,
            repeatable: true,
        }
    }
}

/// The work that a gate runs, once for each attempt.
pub trait Attempt: Send {
    /// Sends the call once, freshly signed. `number` counts from 1.
    ///
    /// # Errors
    /// Returns the attempt's failure; the gate reads its kind and retry advice.
    fn run(&mut self, number: u32) -> BoxFuture<'_, Result<()>>;
}

/// The gate that every vendor call passes.
///
/// An implementation
/// - sends nothing after `cx.deadline`, and ends a wait that cannot end before it with `throttled` at once;
/// - runs the attempt at least once unless it refuses the call, and returns the last attempt's result;
/// - repeats only when the error's advice and the call's `repeatable` allow it;
/// - records each attempt in `cx.calls`, when it is sent and when it ends;
/// - holds no resources for a caller that has gone away, or that is no longer polled.
#[async_trait::async_trait]
pub trait Gate: Send + Sync + std::fmt::Debug {
    /// Runs `attempt` as often as the rules allow.
    ///
    /// # Errors
    /// Returns the last attempt's error, or the gate's own refusal: `throttled`, `timeout` or `unavailable`.
    async fn pass(&self, cx: &Context, call: VendorCall, attempt: &mut dyn Attempt) -> Result<()>;
}

/// Sends one vendor call through `gate` and returns what the successful attempt returned.
///
/// `attempt` is called once for each attempt and must sign afresh each time.
///
/// # Errors
/// As [`Gate::pass`]; every error carries the operation's name.
pub async fn call<T, F, Fut>(
    gate: &dyn Gate,
    cx: &Context,
    call: VendorCall,
    attempt: F,
) -> Result<T>
where
    T: Send,
    F: FnMut(u32) -> Fut + Send,
    Fut: Future<Output = Result<T>> + Send,
{
    struct Slot<T, F> {
        attempt: F,
        answer: Option<T>,
    }

    impl<T, F, Fut> Attempt for Slot<T, F>
    where
        T: Send,
        F: FnMut(u32) -> Fut + Send,
        Fut: Future<Output = Result<T>> + Send,
    {
        fn run(&mut self, number: u32) -> BoxFuture<'_, Result<()>> {
            Box::pin(async move {
                self.answer = Some((self.attempt)(number).await?);
                Ok(())
            })
        }
    }

    let mut slot = Slot {
        attempt,
        answer: None,
    };
    gate.pass(cx, call, &mut slot)
        .await
        .map_err(|error| match error.operation() {
            Some(_) => error,
            None => error.with_operation(call.operation),
        })?;
    slot.answer.ok_or_else(|| {
        Error::new(
            ErrorKind::Unexpected,
            "the gate reported success without an answer",
        )
        .with_operation(call.operation)
    })
}

/// A gate without limits: one attempt, no limit, no timeout. For tests of adapters.
#[derive(Clone, Debug)]
pub struct OpenGate {
    clock: Arc<dyn Clock>,
}

impl OpenGate {
    /// Creates the gate; the clock times the calls for [`Context::calls`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

#[async_trait::async_trait]
impl Gate for OpenGate {
    async fn pass(&self, cx: &Context, call: VendorCall, attempt: &mut dyn Attempt) -> Result<()> {
        let sent = Moment::now(&*self.clock);
        cx.calls.begin(call.operation);
        let result = attempt.run(1).await;
        let took = self
            .clock
            .monotonic()
            .saturating_duration_since(sent.monotonic);
        cx.calls.end(sent, took, result.is_ok());
        result
    }
}
