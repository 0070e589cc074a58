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

/// Units that one visit takes at most. Of items that cost next to nothing (a compiler can remove a
/// loop without effect) a worker's share could be a good part of `usize`.
///
/// A visitor who comes when nothing is left, by a look that is out of date, moves the position
/// beyond the end, once, as it then goes away. So the position never exceeds `isize::MAX +
/// MOST_WORKERS * MOST_UNITS`, which is less than `usize::MAX`: it cannot wrap and hand out a unit
/// again.
const MOST_UNITS: usize = isize::MAX as usize / Dispenser::MOST_WORKERS;

impl Dispenser {
    /// Workers that may visit one dispenser: more than a pool of rayon's can have.
    pub(crate) const MOST_WORKERS: usize = if usize::BITS >= 64 { 1 << 16 } else { 1 << 8 };

    /// `units` is at most `isize::MAX`, and at most [`MOST_WORKERS`](Self::MOST_WORKERS) workers
    /// come, so that late visitors cannot make the position wrap.
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
        let wanted = wanted.min(MOST_UNITS);
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
    /// Nanoseconds spent on chunks, visits included, and the units of these.
    busy: Nanos,
    timed: usize,
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
            timed: 0,
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

    /// Units of the chunks that this time was spent on.
    pub(crate) fn timed(&self) -> usize {
        self.timed
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
        self.timed += self.chunk;
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// As many late visitors as there can be, each with the largest wish.
    #[test]
    fn late_visitors_do_not_make_the_position_wrap() {
        let dispenser = Dispenser::new(isize::MAX as usize - 1, isize::MAX as usize);
        assert_eq!(dispenser.take(usize::MAX).map(|units| units.len()), Some(1));
        for _ in 1..Dispenser::MOST_WORKERS {
            assert_eq!(dispenser.take(usize::MAX), None);
        }
        assert_eq!(dispenser.left(), 0);
    }

    #[test]
    fn a_visit_takes_no_more_than_the_bound_of_what_costs_nothing() {
        let dispenser = Dispenser::new(0, isize::MAX as usize);
        let mut hand = Hand::new(Some(f64::MIN_POSITIVE), Tick(20.0), 0);
        let units = hand.next(0, &dispenser, 2).expect("there are units");
        assert_eq!(units.len(), MOST_UNITS);
    }
}
