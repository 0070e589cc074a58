//! Why a measurement cannot be made, or says nothing.

use crate::error::excerpt;
use crate::pool::PoolError;

/// Why a study cannot be made or a law not be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A study needs the run with one worker, which all others are compared with.
    #[error(
        "the worker counts {} lack 1, which speed-up is measured against",
        excerpt::few(counts)
    )]
    NoBaseline {
        /// The counts that were asked for.
        counts: Vec<usize>,
    },
    /// No pool has zero workers.
    #[error("the worker counts {} have a 0 among them", excerpt::few(counts))]
    ZeroWorkers {
        /// The counts that were asked for.
        counts: Vec<usize>,
    },
    /// A law with so many parameters cannot be fitted to fewer different worker counts.
    #[error(
        "a scaling law takes measurements with at least {needed} different worker counts, found {found}"
    )]
    TooFewCounts {
        /// How many different counts there were.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A measurement that is no measurement: a throughput that is not a positive finite number.
    #[error("the throughput {value} of {workers} workers is not a positive finite number")]
    BadThroughput {
        /// With how many workers.
        workers: usize,
        /// What was given.
        value: f64,
    },
    /// The law of the best fit would give one worker no positive throughput.
    #[error("no scaling law with a positive throughput of one worker fits the measurements")]
    NoFit,
    /// A sample that is not a finite number, or no sample at all.
    #[error("samples are finite numbers, at least one: found {found}")]
    BadSamples {
        /// What was found.
        found: String,
    },
    /// A pool could not be started.
    #[error("a pool of {workers} workers could not be started")]
    Pool {
        /// Its size.
        workers: usize,
        /// Why.
        #[source]
        source: PoolError,
    },
}

impl MeasureError {
    /// Whether more worker counts would help.
    #[must_use]
    pub fn is_too_few_counts(&self) -> bool {
        matches!(self, MeasureError::TooFewCounts { .. })
    }

    /// Whether a pool could not be started.
    #[must_use]
    pub fn is_pool(&self) -> bool {
        matches!(self, MeasureError::Pool { .. })
    }
}
