//! The job behind the reductions of the long form: leaves item by item, until something stops it, combined
//! in the tree of the short forms.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::state::{Dropped, Seat, Seats, WorkerState};
use super::work::Work;
use crate::panic::{Held, discard};
use crate::parallel::buffers::Parts;
use crate::parallel::control::Control;
use crate::parallel::engine::{Flow, Job, Visit};
use crate::parallel::tree::Tree;
use crate::source::{Chunk, Source};

/// The job of a reduction.
pub(super) struct Leaves<'a, S: Source, W, R, F, O> {
    /// Its units are leaves.
    pub(super) work: Work<S>,
    pub(super) tree: Tree<R>,
    pub(super) control: Control<'a>,
    pub(super) seats: Seats<'a, W, Dropped>,
    pub(super) map: &'a F,
    pub(super) op: &'a O,
    /// The items that workers were at when the operation panicked.
    pub(super) op_panics: Mutex<Vec<usize>>,
}

#[allow(unsafe_code, reason = "takes what the engine hands out")]
impl<S, W, R, F, O> Job for Leaves<'_, S, W, R, F, O>
where
    S: Source,
    W: WorkerState,
    R: Send,
    F: Fn(&mut W::State, S::Item) -> R + Sync,
    O: Fn(R, R) -> R + Sync,
{
    type Local = Seat<W::State>;

    fn attend(&self, worker: usize, work: impl FnOnce(&mut Seat<W::State>)) -> Flow {
        self.seats.attend(worker, &self.control, work)
    }

    unsafe fn run(
        &self,
        seat: &mut Seat<W::State>,
        positions: Range<usize>,
        visit: &Visit<'_>,
    ) -> Flow {
        let run = |leaves| {
            // SAFETY: disjoint leaves have disjoint items, all within the input: the obligations of `run`.
            unsafe { self.bring(seat, leaves, visit) }
        };
        // SAFETY: the obligations are the same, and `bring` takes, or drops, all its items.
        unsafe { self.work.each(positions, run, |_| ()) }
    }

    unsafe fn close(&self, handed: usize) {
        // SAFETY: the engine's promise.
        unsafe { self.work.close(handed, |_| ()) };
    }
}

impl<S, W, R, F, O> Leaves<'_, S, W, R, F, O>
where
    S: Source,
    W: WorkerState,
    F: Fn(&mut W::State, S::Item) -> R + Sync,
    O: Fn(R, R) -> R + Sync,
{
    /// Brings some neighbouring leaves, until the run is to stop.
    ///
    /// # Safety
    ///
    /// The leaves' items lie within the input and are handed out once.
    #[allow(unsafe_code, reason = "takes what the engine hands out")]
    unsafe fn bring(
        &self,
        seat: &mut Seat<W::State>,
        leaves: Range<usize>,
        visit: &Visit<'_>,
    ) -> Flow {
        let units = self.work.units;
        // SAFETY: the caller's promise.
        let mut parts = unsafe { Parts::new(&self.work.input, units.items(leaves.clone())) };
        let combining = Combining {
            now: Cell::new(false),
            at: &visit.at,
            panics: &self.op_panics,
        };
        let op = |a, b| {
            combining.now.set(true);
            let both = (self.op)(a, b);
            combining.now.set(false);
            both
        };
        let leaf = |leaf| {
            let items = units.items(leaf..leaf + 1);
            self.leaf(seat, items.start, parts.up_to(items.end), visit, &op)
        };
        let flow = if self.tree.bring(leaves, leaf, &op) {
            Flow::Go
        } else {
            Flow::Stop
        };
        discard(parts); // items that are not run: the run has ended, and says why
        flow
    }

    /// Folds the items of a leaf, from `next` on, from left to right; `None` where the run is to stop.
    fn leaf(
        &self,
        seat: &mut Seat<W::State>,
        mut next: usize,
        chunk: Chunk<'_, S>,
        visit: &Visit<'_>,
        op: &impl Fn(R, R) -> R,
    ) -> Option<R> {
        let Seat { state, pace, .. } = seat;
        let mut counted = next;
        let mut look_at = next.saturating_add(pace.left);
        let mut sum: Option<Held<R>> = None;
        let mut chunk = chunk.into_iter();
        let watched = self.control.is_watched();
        let mut stop = None;
        let whole = loop {
            let Some(item) = chunk.next() else {
                break true;
            };
            if watched {
                stop = self.control.stop();
            }
            visit.at.set(next);
            if stop.is_some() || visit.is_over(next) {
                discard((item, chunk)); // not run: the run has ended, and says why
                break false;
            }
            let result = (self.map)(state, item);
            let result = match sum.take() {
                Some(before) => op(before.into_inner(), result),
                None => result,
            };
            sum = Some(Held::new(result));
            next += 1;
            if next == look_at {
                look_at = next + self.control.look(pace, next - counted);
                counted = next;
                stop = self.control.fault_stop();
            }
        };
        pace.left = look_at - next;
        self.control.finish(next - counted);
        if let Some(stop) = stop.or_else(|| self.control.fault_stop()) {
            visit.at.set(0); // no item needs to be run
            self.control.note(stop);
            return None;
        }
        if whole {
            sum.map(Held::into_inner)
        } else {
            None
        }
    }
}

/// Notes, when a worker unwinds, whether that is the operation's doing.
struct Combining<'a> {
    now: Cell<bool>,
    at: &'a Cell<usize>,
    panics: &'a Mutex<Vec<usize>>,
}

impl Drop for Combining<'_> {
    fn drop(&mut self) {
        if self.now.get() {
            let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
            panics.push(self.at.get());
        }
    }
}
