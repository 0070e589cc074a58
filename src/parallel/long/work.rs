//! The units of a run in the order of the work, which a hint can change.

use std::ops::Range;

use crate::chunking::Split;
use crate::parallel::buffers::Input;
use crate::parallel::engine::Flow;
use crate::source::Source;

/// A source that is cut into units, and the order of these.
pub(super) struct Work<S: Source> {
    pub(super) input: Input<S>,
    pub(super) units: Split,
    /// The unit at each position of the work, where a hint decides; else position and unit are the same. Only
    /// [`cost_hint`](super::Parallel::cost_hint) makes one, which demands items that are `Copy`, so
    /// dropping those that are left out runs no foreign code: [`Rest`] relies on it.
    pub(super) order: Option<Vec<usize>>,
}

#[allow(unsafe_code, reason = "passes on what the engine hands out")]
impl<S: Source> Work<S> {
    /// Runs the units at some positions: side by side ones together, others one by one. Where that stops
    /// or unwinds, items of units that were not come to are taken and dropped, and `left_out` is
    /// told their indices.
    ///
    /// # Safety
    ///
    /// 1. The positions lie within the work and are handed out once.
    /// 2. `run` takes all items of its units.
    #[inline]
    pub(super) unsafe fn each(
        &self,
        positions: Range<usize>,
        mut run: impl FnMut(Range<usize>) -> Flow,
        left_out: impl Fn(Range<usize>),
    ) -> Flow {
        let Some(order) = &self.order else {
            return run(positions);
        };
        let mut rest = Rest {
            work: self,
            units: order[positions].iter(),
            left_out,
        };
        while let Some(&unit) = rest.units.next() {
            if run(unit..unit + 1) == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    /// Ends the handing out of positions; says before which index all items were taken.
    ///
    /// # Safety
    ///
    /// Exactly the positions `0..handed` were given to [`each`](Self::each), or will be before the
    /// input is used again.
    pub(super) unsafe fn close(&self, handed: usize, left_out: impl Fn(Range<usize>)) -> usize {
        let mut items = self.units.start(handed);
        if let Some(order) = &self.order {
            // Positions are not indices: what was not come to is taken and dropped here, so that all indices were.
            drop(Rest {
                work: self,
                units: order[handed..].iter(),
                left_out,
            });
            items = self.input.len();
        }
        // SAFETY: the promises of `close` and `each`, and the line above.
        unsafe { self.input.close(items) };
        items
    }
}

/// Units in the order of a hint that were not come to. Whether a worker stops or unwinds, they are taken
/// and dropped. That does not unwind, as their items are `Copy`: were it to, units after the one
/// that panics would count as taken.
struct Rest<'a, S: Source, L: Fn(Range<usize>)> {
    work: &'a Work<S>,
    units: std::slice::Iter<'a, usize>,
    left_out: L,
}

impl<S: Source, L: Fn(Range<usize>)> Drop for Rest<'_, S, L> {
    #[allow(unsafe_code, reason = "takes what the engine handed out")]
    fn drop(&mut self) {
        for &unit in self.units.by_ref() {
            debug_assert!(!std::mem::needs_drop::<S::Item>());
            let items = self.work.units.items(unit..unit + 1);
            // SAFETY: the order is a permutation of the units, and this one was handed to the code that
            // made this value, which has not come to it.
            drop(unsafe { self.work.input.take(items.clone()) });
            (self.left_out)(items);
        }
    }
}
