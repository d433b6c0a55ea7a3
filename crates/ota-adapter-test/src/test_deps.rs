//! What a provider is built with in a test.

use std::sync::Arc;
use std::time::Duration;

use ota_core::clock::Clock;
use ota_core::context::{Context, Priority};
use ota_core::drift::DriftCounter;
use ota_core::gate::OpenGate;
use ota_core::id::ProviderName;
use ota_core::provider::Dependencies;
use ota_core::random::SequenceRandom;

/// What a provider is built with: an open gate, a clock, randomness, and a drift counter that the test can read.
#[derive(Clone, Debug)]
pub struct TestDeps {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What the adapter has reported.
    pub drift: Arc<DriftCounter>,
    random: Arc<SequenceRandom>,
}

impl TestDeps {
    /// Creates it with a clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            drift: Arc::default(),
            random: Arc::default(),
        }
    }

    /// Returns the same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Returns the name of a provider.
    ///
    /// # Panics
    /// Never: the name is valid.
    #[must_use]
    pub fn name(&self) -> ProviderName {
        ProviderName::parse("under-test").unwrap()
    }

    /// Returns the dependencies of a provider whose pages cost at most `max_calls_per_page` calls. Every provider gets the same clock, randomness and drift
    /// counter, and a gate of its own.
    #[must_use]
    pub fn dependencies(&self, max_calls_per_page: u32) -> Dependencies {
        Dependencies {
            gate: Arc::new(OpenGate::new(Arc::clone(&self.clock))),
            clock: Arc::clone(&self.clock),
            random: self.random.clone(),
            drift: self.drift.clone(),
            fields: Arc::default(),
            max_calls_per_page,
        }
    }

    /// Returns the context of a caller who waits for an hour by the clock.
    #[must_use]
    pub fn context(&self) -> Context {
        let deadline = self.clock.monotonic() + Duration::from_secs(3600);
        Context::new("test", deadline, Priority::Interactive)
    }
}
