//! What a run of the long form gives back: errors, outcomes per item, and the report.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use crate::error::Panic;

/// Why a run of [`Parallel`](super::Parallel) has no complete result. `E` is the closure's own error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError<E = Infallible> {
    /// The closure panicked.
    #[error("item {index} panicked: {panic}")]
    Panicked {
        /// The item's index in the source.
        index: usize,
        /// What it panicked with.
        panic: Panic,
    },
    /// The closure gave an error.
    #[error("item {index} failed")]
    Failed {
        /// The item's index in the source.
        index: usize,
        /// The error.
        #[source]
        error: E,
    },
    /// Making or dropping the state of a worker panicked.
    #[error("the state of worker {worker} panicked: {panic}")]
    StatePanicked {
        /// The worker's number; the caller is number 0.
        worker: usize,
        /// What it panicked with.
        panic: Panic,
    },
    /// The listener of [`progress`](super::Parallel::progress) panicked.
    #[error("the progress listener panicked: {panic}")]
    ListenerPanicked {
        /// What it panicked with.
        panic: Panic,
    },
    /// The [cost hint](super::Parallel::cost_hint) panicked.
    #[error("the cost hint of item {index} panicked: {panic}")]
    HintPanicked {
        /// The index of the item that it was called with.
        index: usize,
        /// What it panicked with.
        panic: Panic,
    },
    /// The source has no items by index, or more of them than can be counted or stored.
    #[error("the source cannot be used: {panic}")]
    SourcePanicked {
        /// What it panicked with.
        panic: Panic,
    },
    /// The operation of a reduction panicked.
    #[error("the operation of the reduction panicked: {panic}")]
    OpPanicked {
        /// What it panicked with.
        panic: Panic,
    },
    /// The identity of a reduction of no items panicked.
    #[error("the identity of the reduction panicked: {panic}")]
    IdentityPanicked {
        /// What it panicked with.
        panic: Panic,
    },
    /// The run's [`CancelToken`](super::CancelToken) was cancelled.
    #[error("cancelled after {finished} of {total} items")]
    Cancelled {
        /// Items that were finished.
        finished: usize,
        /// All items.
        total: usize,
    },
    /// The run's time was over.
    #[error("the deadline came after {finished} of {total} items")]
    DeadlineExceeded {
        /// Items that were finished.
        finished: usize,
        /// All items.
        total: usize,
    },
}

impl<E> RunError<E> {
    /// Whether something panicked: the closure, or another one that belongs to the run.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.panic().is_some()
    }

    /// The panic, if it was one.
    #[must_use]
    pub fn panic(&self) -> Option<&Panic> {
        match self {
            RunError::Panicked { panic, .. }
            | RunError::StatePanicked { panic, .. }
            | RunError::ListenerPanicked { panic }
            | RunError::HintPanicked { panic, .. }
            | RunError::SourcePanicked { panic }
            | RunError::OpPanicked { panic }
            | RunError::IdentityPanicked { panic } => Some(panic),
            RunError::Failed { .. }
            | RunError::Cancelled { .. }
            | RunError::DeadlineExceeded { .. } => None,
        }
    }

    /// The panic, if it was one, to be resumed or downcast.
    #[must_use]
    pub fn into_panic(self) -> Option<Panic> {
        match self {
            RunError::Panicked { panic, .. }
            | RunError::StatePanicked { panic, .. }
            | RunError::ListenerPanicked { panic }
            | RunError::HintPanicked { panic, .. }
            | RunError::SourcePanicked { panic }
            | RunError::OpPanicked { panic }
            | RunError::IdentityPanicked { panic } => Some(panic),
            RunError::Failed { .. }
            | RunError::Cancelled { .. }
            | RunError::DeadlineExceeded { .. } => None,
        }
    }

    /// Whether the run was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, RunError::Cancelled { .. })
    }

    /// Whether the run's time was over.
    #[must_use]
    pub fn is_deadline_exceeded(&self) -> bool {
        matches!(self, RunError::DeadlineExceeded { .. })
    }

    /// Index of the item that failed or panicked, or whose cost hint did.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            RunError::Panicked { index, .. }
            | RunError::Failed { index, .. }
            | RunError::HintPanicked { index, .. } => Some(*index),
            _ => None,
        }
    }
}

/// What became of one item.
#[derive(Debug)]
pub enum Outcome<R, E = Infallible> {
    /// Its result.
    Done(R),
    /// The closure's error.
    Failed(E),
    /// The closure's panic.
    Panicked(Panic),
    /// The run ended before it.
    NotRun,
}

impl<R, E> Outcome<R, E> {
    /// The result, if there is one.
    #[must_use]
    pub fn done(self) -> Option<R> {
        match self {
            Outcome::Done(result) => Some(result),
            _ => None,
        }
    }

    /// Whether the item has a result.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Outcome::Done(_))
    }

    /// Whether the run ended before the item.
    #[must_use]
    pub fn is_not_run(&self) -> bool {
        matches!(self, Outcome::NotRun)
    }
}

/// What a run was worth.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Time from beginning to end.
    pub wall: Duration,
    /// Time that the workers spent on items, added up: about what a serial loop would have taken.
    pub serial_estimate: Duration,
    /// CPU time of the worker processes. `None` for a run on threads: time that with a [`Timer`](crate::Timer).
    pub cpu: Option<Duration>,
    /// Workers that took part, the caller included.
    pub workers: usize,
    /// How many workers the run could have had.
    pub max_workers: usize,
    /// Time on items of the worker that had most, over the mean of those that took part; 1 is perfect balance.
    pub imbalance: f64,
    /// Pieces that the items were handed out in.
    pub chunks: usize,
    /// Items that are finished.
    pub finished: usize,
    /// All items.
    pub total: usize,
    /// The items that took longest, the longest first: index and time. At most five.
    pub longest: Vec<(usize, Duration)>,
}

impl Report {
    /// How many times faster than the serial estimate the run was.
    #[must_use]
    pub fn speed_up(&self) -> f64 {
        self.serial_estimate.as_secs_f64() / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Speed-up per worker that the run could have had; 1 is perfect.
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        self.speed_up() / self.max_workers.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} items in {:.3?} (serial about {:.3?}, speed-up {:.2}), {} of {} workers in {} chunks, imbalance {:.2}",
            self.finished,
            self.total,
            self.wall,
            self.serial_estimate,
            self.speed_up(),
            self.workers,
            self.max_workers,
            self.chunks,
            self.imbalance,
        )
    }
}

/// Everything that came of a run: one [`Outcome`] per item, in order, and the [`Report`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcomes<R, E = Infallible> {
    /// What became of each item, in the order of the source.
    pub items: Vec<Outcome<R, E>>,
    /// What the run was worth.
    pub report: Report,
    /// What went wrong beside the items, or ended the run before the last of them: a cancel, a deadline, a
    /// panic of a worker's state, of the listener, of the hint, of the source. Items that were not run
    /// for it are [`Outcome::NotRun`]. Of several the first in the table of
    /// [`Parallel`](super::Parallel#when-something-panics) is kept.
    pub fault: Option<RunError>,
}

impl<R, E> Outcomes<R, E> {
    /// Indices of the items that the run did not come to.
    pub fn not_run(&self) -> impl Iterator<Item = usize> + '_ {
        self.items
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.is_not_run())
            .map(|(index, _)| index)
    }
}
