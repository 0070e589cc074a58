//! The shared dispenser, and each worker's idea of how much to take from it.

use std::ops::Range;

use super::{Nanos, Tick};
use crate::sync::{AtomicUsize, Ordering};

/// Hands out the units from some first one on, in order, each once.
///
/// # Memory ordering
///
/// Relaxed: the position alone decides who owns a unit; results are published by the gate that every
/// helper leaves through.
#[derive(Debug)]
pub(crate) struct Dispenser {
    next: AtomicUsize,
    units: usize,
}

impl Dispenser {
    /// `units` is at most `isize::MAX`, so that late visitors cannot make the position wrap.
    pub(crate) fn new(first: usize, units: usize) -> Self {
        debug_assert!(isize::try_from(units).is_ok());
        Self {
            next: AtomicUsize::new(first),
            units,
        }
    }

    /// Units not handed out yet.
    pub(crate) fn left(&self) -> usize {
        self.units - self.handed()
    }

    /// All units before this one have been handed out, and none from it on.
    pub(crate) fn handed(&self) -> usize {
        self.next.load(Ordering::Relaxed).min(self.units)
    }

    /// The next units, `wanted` or what is left.
    fn take(&self, wanted: usize) -> Option<Range<usize>> {
        // Never asks for more than is left, so the position exceeds `units` by at most that much per worker.
        let start = self.next.fetch_add(wanted, Ordering::Relaxed);
        (start < self.units).then(|| start..self.units.min(start + wanted))
    }
}

/// One worker at the dispenser.
#[derive(Debug)]
pub(crate) struct Hand {
    /// Nanoseconds per unit, once something tells it.
    cost: Option<f64>,
    tick: Tick,
    /// Units of the chunk that is running or ran last, and when it began.
    chunk: usize,
    last: Nanos,
    /// Nanoseconds spent on chunks, visits included.
    busy: Nanos,
}

/// How many visits each worker still makes to what is left, by present knowledge. Many, because that
/// knowledge may be wrong: items that turn out `k` times dearer make a chunk that lasts `k / VISITS` of the
/// rest.
const VISITS: usize = 16;

impl Hand {
    pub(crate) fn new(cost: Option<f64>, tick: Tick, now: Nanos) -> Self {
        Self {
            cost,
            tick,
            chunk: 0,
            last: now,
            busy: 0,
        }
    }

    /// The present estimate of the cost of a unit.
    pub(crate) fn cost(&self) -> Option<f64> {
        self.cost
    }

    /// Nanoseconds spent on chunks up to the last visit.
    pub(crate) fn busy(&self) -> Nanos {
        self.busy
    }

    /// Takes the next chunk at time `now`, after the one before has been carried out, for one of
    /// `workers` workers.
    pub(crate) fn next(
        &mut self,
        now: Nanos,
        dispenser: &Dispenser,
        workers: usize,
    ) -> Option<Range<usize>> {
        self.look(now);
        let left = dispenser.left();
        if left == 0 {
            return None;
        }
        let share = left / VISITS / workers;
        let wanted = match self.cost {
            // Nothing is known: start small and double.
            None => (2 * self.chunk).min(share),
            Some(cost) => {
                let longest = (self.tick.longest_chunk() / cost) as usize;
                let shortest =
                    ((self.tick.shortest_chunk() / cost) as usize).min(left.div_ceil(workers));
                share.min(longest).max(shortest)
            }
        };
        let chunk = dispenser.take(wanted.clamp(1, left))?;
        self.chunk = chunk.len();
        Some(chunk)
    }

    /// Learns from the chunk that ended at `now`.
    fn look(&mut self, now: Nanos) {
        let now = now.max(self.last);
        let took = now - self.last;
        self.last = now;
        if self.chunk == 0 {
            return;
        }
        self.busy += took;
        let took = took as f64;
        if self.cost.is_none() && took < self.tick.telling() {
            return;
        }
        let seen = (took / self.chunk as f64).max(f64::MIN_POSITIVE);
        // Dearer at once, cheaper by and by: a chunk too small costs a visit, one too large keeps everybody waiting.
        self.cost = Some(match self.cost {
            Some(old) if seen < old => 0.5 * (old + seen),
            _ => seen,
        });
    }
}
