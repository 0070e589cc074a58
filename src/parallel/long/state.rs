//! What each worker has of its own: how it is made, what becomes of it, and what is noted of the worker.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::panic::{Panic, caught};
use crate::parallel::control::{Control, Pace, Thrown};
use crate::parallel::engine::Flow;
use crate::parallel::outcome::Report;

/// How a worker's state is made.
pub trait WorkerState: Sync + sealed::Sealed {
    /// What each worker has.
    type State;

    #[doc(hidden)]
    fn make(&self, worker: usize) -> Self::State;
}

#[allow(unnameable_types, reason = "the trait is sealed")]
mod sealed {
    pub trait Sealed {}
}

/// Workers have no state.
#[derive(Clone, Copy, Debug)]
pub struct NoState;

impl sealed::Sealed for NoState {}

impl WorkerState for NoState {
    type State = ();

    fn make(&self, _worker: usize) {}
}

/// Workers have a state, made by a closure.
pub struct MadeBy<M>(pub(super) M);

impl<M> fmt::Debug for MadeBy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeBy")
    }
}

impl<M> sealed::Sealed for MadeBy<M> {}

impl<T, M: Fn(usize) -> T + Sync> WorkerState for MadeBy<M> {
    type State = T;

    fn make(&self, worker: usize) -> T {
        (self.0)(worker)
    }
}

/// What becomes of the states when their workers are done.
pub(super) trait Keep<T>: Sync {
    /// Called by the worker that has had the state.
    fn keep(&self, worker: usize, state: T);
}

/// They are dropped, each on its worker's thread.
pub(super) struct Dropped;

impl<T> Keep<T> for Dropped {
    fn keep(&self, _worker: usize, state: T) {
        drop(state);
    }
}

/// They are kept, with their workers' numbers.
pub(super) struct Kept<T>(Mutex<Vec<(usize, T)>>);

impl<T> Kept<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// In the order of the workers' numbers.
    pub(super) fn into_states(self) -> impl Iterator<Item = T> {
        let mut states = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        states.sort_by_key(|(worker, _)| *worker);
        states.into_iter().map(|(_, state)| state)
    }
}

impl<T: Send> Keep<T> for Kept<T> {
    fn keep(&self, worker: usize, state: T) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((worker, state));
    }
}

/// What a worker has while it takes part, on its stack.
pub(super) struct Seat<T> {
    pub(super) state: T,
    pub(super) pace: Pace,
    pub(super) tally: Tally,
}

/// The seats of a run's workers.
pub(super) struct Seats<'a, W, K> {
    state: &'a W,
    keep: K,
    tallies: Mutex<Vec<Tally>>,
}

impl<'a, W: WorkerState, K: Keep<W::State>> Seats<'a, W, K> {
    pub(super) fn new(state: &'a W, keep: K) -> Self {
        Self {
            state,
            keep,
            tallies: Mutex::new(Vec::new()),
        }
    }

    /// Makes a worker's state and has it work with that; not at all where the state cannot be made. The
    /// state never leaves this thread, unless it is kept. Does not unwind, unless `work` does.
    pub(super) fn attend(
        &self,
        worker: usize,
        control: &Control<'_>,
        work: impl FnOnce(&mut Seat<W::State>),
    ) -> Flow {
        let threw = |panic: Panic| {
            control.threw(Thrown::State { worker, panic });
            match control.fault_stop() {
                Some(_) => Flow::Stop,
                None => Flow::Go,
            }
        };
        let state = match caught(|| self.state.make(worker)) {
            Ok(state) => state,
            Err(panic) => return threw(panic),
        };
        let mut seat = Seat {
            state,
            pace: control.pace(),
            tally: Tally::default(),
        };
        work(&mut seat);
        let Seat { state, tally, .. } = seat;
        if tally.chunks > 0 {
            let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
            tallies.push(tally);
        }
        match caught(|| self.keep.keep(worker, state)) {
            Ok(()) => Flow::Go,
            Err(panic) => threw(panic),
        }
    }

    /// What was kept, and what was noted.
    pub(super) fn into_parts(self) -> (K, Vec<Tally>) {
        let tallies = self.tallies.into_inner();
        (self.keep, tallies.unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is noted of a worker.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) busy: Duration,
    pub(super) chunks: usize,
    /// The longest items so far, the longest first.
    longest: Vec<(usize, Duration)>,
}

/// Items that a report names.
const LONGEST: usize = 5;

impl Tally {
    pub(super) fn note(&mut self, index: usize, time: Duration) {
        let longest = &mut self.longest;
        if longest.len() == LONGEST
            && longest
                .last()
                .is_some_and(|(_, shortest)| time <= *shortest)
        {
            return;
        }
        let at = longest.partition_point(|(_, other)| *other >= time);
        longest.insert(at, (index, time));
        longest.truncate(LONGEST);
    }

    /// The report of a run whose workers have these, one for each that had an item.
    pub(super) fn report(
        tallies: &[Self],
        wall: Duration,
        max_workers: usize,
        finished: usize,
        total: usize,
    ) -> Report {
        let serial_estimate: Duration = tallies.iter().map(|tally| tally.busy).sum();
        let mean = serial_estimate.as_secs_f64() / tallies.len().max(1) as f64;
        let most = tallies
            .iter()
            .map(|tally| tally.busy.as_secs_f64())
            .fold(0.0, f64::max);
        let mut all = Self::default();
        for (index, time) in tallies.iter().flat_map(|tally| &tally.longest) {
            all.note(*index, *time);
        }
        Report {
            wall,
            serial_estimate,
            cpu: None,
            workers: tallies.len(),
            max_workers,
            imbalance: if mean > 0.0 { most / mean } else { 1.0 },
            chunks: tallies.iter().map(|tally| tally.chunks).sum(),
            finished,
            total,
            longest: all.longest,
        }
    }
}
