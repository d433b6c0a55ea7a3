//! How a layer declares what it counts.
//!
//! `instruments!` lists the metrics of one layer, beside the code that counts them: name, kind, labels, help. The metrics themselves, their place in
//! `/metrics` and the table in `docs/operations.md` come from that list. Labels are from closed sets: configured names, operations, routes, kinds;
//! never an identifier.

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only increases, until the process ends.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Counts values by size; the values are seconds.
    Histogram,
}

impl Kind {
    /// Returns the kind as Prometheus names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Returns every value that it can have, where this program chooses them.
    pub values: Option<fn() -> Vec<&'static str>>,
}

/// One metric as operators know it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The labels.
    pub labels: &'static [Label],
    /// What it counts.
    pub help: &'static str,
}

impl Description {
    fn names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    /// Returns every combination of label values, where this program chooses all of them.
    fn combinations(&self) -> Option<Vec<Vec<&'static str>>> {
        let mut all = vec![Vec::new()];
        for label in self.labels {
            let values = label.values?();
            let longer = all.iter().flat_map(|one| {
                values.iter().map(move |value| {
                    let mut one = one.clone();
                    one.push(*value);
                    one
                })
            });
            all = longer.collect();
        }
        Some(all)
    }
}

/// Upper bounds of the buckets of a histogram, in seconds: from a cached response to the usual time limit of a request.
const BUCKETS: &[f64] = &[
    0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The labels of a metric that has none.
pub const NO_LABELS: [&str; 0] = [];

/// Declares the metrics of one layer as the fields of a struct. The doc comment of a field is the help text.
///
/// A label is a name, or a name with a function that returns its values (`"reason" = CutOff::words`). A counter whose labels all have such functions
/// is written from the start, so that its first count is an increase.
macro_rules! instruments {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[doc = $help:literal])+ $field:ident: $kind:ident $metric:literal [$($label:literal $(= $values:expr)?),*]),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $visibility struct $name { $($field: $crate::instrument::instruments!(@type $kind)),+ }

        impl $name {
            /// What is counted, as operators know it.
            $visibility const DESCRIPTIONS: &'static [$crate::instrument::Description] = &[$(
                $crate::instrument::Description {
                    name: $metric,
                    kind: $crate::instrument::Kind::$kind,
                    labels: &[$($crate::instrument::Label {
                        name: $label,
                        values: $crate::instrument::instruments!(@values $($values)?),
                    }),*],
                    help: concat!($($help),+).trim_ascii(),
                }
            ),+];

            /// Creates the metrics.
            $visibility fn register(registry: &prometheus::Registry) -> Self {
                let mut descriptions = Self::DESCRIPTIONS.iter();
                let mut next = || descriptions.next().expect("each field has one description");
                Self { $($field: $crate::instrument::Instrument::register(next(), registry)),+ }
            }
        }
    };
    (@type Counter) => { prometheus::IntCounterVec };
    (@type Gauge) => { prometheus::IntGaugeVec };
    (@type Histogram) => { prometheus::HistogramVec };
    (@values) => { None };
    (@values $values:expr) => { Some($values) };
}

pub(crate) use instruments;

/// A metric made from a declaration. Names and labels are constants and a test creates each, so an error is a mistake in the declaration.
pub(crate) trait Instrument: Collector + Clone + Sized + 'static {
    /// Creates it.
    fn create(of: &Description) -> prometheus::Result<Self>;

    /// Creates it and registers it.
    fn register(of: &Description, registry: &Registry) -> Self {
        let metric = Self::create(of).expect("names and labels are valid");
        let registered = registry.register(Box::new(metric.clone()));
        registered.expect("metric names are unique");
        metric
    }
}

impl Instrument for IntCounterVec {
    fn create(of: &Description) -> prometheus::Result<Self> {
        let counter = Self::new(Opts::new(of.name, of.help), &of.names())?;
        for values in of.combinations().unwrap_or_default() {
            counter.with_label_values(&values);
        }
        Ok(counter)
    }
}

impl Instrument for IntGaugeVec {
    fn create(of: &Description) -> prometheus::Result<Self> {
        Self::new(Opts::new(of.name, of.help), &of.names())
    }
}

impl Instrument for HistogramVec {
    fn create(of: &Description) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(of.name, of.help).buckets(BUCKETS.to_vec());
        Self::new(options, &of.names())
    }
}

/// Sets a gauge.
pub(crate) fn set(gauge: &IntGaugeVec, labels: &[&str], value: u64) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    gauge.with_label_values(labels).set(value);
}

/// Raises a counter to a total that is counted elsewhere.
pub(crate) fn raise(counter: &IntCounterVec, labels: &[&str], to: u64) {
    let counter = counter.with_label_values(labels);
    counter.inc_by(to.saturating_sub(counter.get()));
}
