//! The job behind the maps of the long form: items one by one, until something stops it.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::state::{Keep, Seat, Seats, WorkerState};
use super::work::Work;
use crate::panic::discard;
use crate::parallel::buffers::Output;
use crate::parallel::control::Control;
use crate::parallel::engine::{Flow, Job, Visit};
use crate::source::Source;

/// The job of a map.
pub(super) struct Items<'a, S: Source, W, K, R, E, F> {
    /// Its units are grains, or single items where a hint decides on the order.
    pub(super) work: Work<S>,
    pub(super) output: Output<R>,
    pub(super) control: Control<'a>,
    pub(super) seats: Seats<'a, W, K>,
    /// The error with the lowest index so far.
    pub(super) error: Mutex<Option<(usize, E)>>,
    /// Items are timed one by one.
    pub(super) timed: bool,
    pub(super) f: &'a F,
}

#[allow(unsafe_code, reason = "takes and fills what the engine hands out")]
impl<S, W, K, R, E, F> Job for Items<'_, S, W, K, R, E, F>
where
    S: Source,
    W: WorkerState,
    K: Keep<W::State>,
    R: Send,
    E: Send,
    F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
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
        let began = Instant::now();
        seat.tally.chunks += 1;
        let run = |units| {
            let items = self.work.units.items(units);
            // SAFETY: disjoint units have disjoint items, all within the input: the obligations of `run`.
            unsafe { self.stretch(seat, items, visit) }
        };
        // SAFETY: the obligations are the same, and `stretch` takes all its items.
        let flow = unsafe {
            self.work
                .each(positions, run, |items| self.leave_out(items))
        };
        seat.tally.busy += began.elapsed();
        flow
    }

    unsafe fn close(&self, handed: usize) {
        // SAFETY: the engine's promise.
        let items = unsafe { self.work.close(handed, |items| self.leave_out(items)) };
        // SAFETY: all places of items that were taken are given to `fill` or `skip`.
        unsafe { self.output.close(items) };
    }
}

impl<S, W, K, R, E, F> Items<'_, S, W, K, R, E, F>
where
    S: Source,
    W: WorkerState,
    F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
{
    /// Does some neighbouring items, until the run is to stop.
    ///
    /// # Safety
    ///
    /// The items lie within the input and are handed out once.
    #[allow(unsafe_code, reason = "takes and fills what the engine hands out")]
    unsafe fn stretch(
        &self,
        seat: &mut Seat<W::State>,
        items: Range<usize>,
        visit: &Visit<'_>,
    ) -> Flow {
        let at = &visit.at;
        at.set(items.start);
        let Range { start, end } = items;
        let mut next = start;
        let mut stop = None;
        let mut error = None;
        // Items before this one were counted.
        let mut counted = start;
        let Seat { state, pace, tally } = seat;
        let mut look_at = next.saturating_add(pace.left);
        let watched = self.control.is_watched();
        // SAFETY: the caller's promise.
        let mut chunk = unsafe { self.work.input.take(items.clone()) }.into_iter();
        let results = std::iter::from_fn(|| {
            if watched {
                stop = self.control.stop();
            }
            if stop.is_some() || visit.is_over(next) {
                return None;
            }
            let item = chunk.next()?;
            let began = self.timed.then(Instant::now);
            let result = (self.f)(state, item);
            if let Some(began) = began {
                tally.note(next, began.elapsed());
            }
            match result {
                Ok(result) => {
                    next += 1;
                    if next == look_at {
                        look_at = next + self.control.look(pace, next - counted);
                        counted = next;
                        stop = self.control.fault_stop();
                    }
                    Some(result)
                }
                Err(e) => {
                    error = Some(e);
                    None
                }
            }
        });
        // SAFETY: the caller's promise; the output has a place per item.
        unsafe { self.output.fill(items, at, results) };
        pace.left = look_at - next;
        self.control.finish(next - counted);
        if next < end {
            discard(chunk); // items that are not run: the run has ended, and says why
        }
        if let Some(stop) = stop.or_else(|| self.control.fault_stop()) {
            at.set(0); // no item needs to be run
            self.control.note(stop);
            return Flow::Stop;
        }
        let Some(error) = error else {
            return if next < end { Flow::Stop } else { Flow::Go };
        };
        let loser = {
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            match &*first {
                Some((index, _)) if *index <= at.get() => Some((at.get(), error)),
                _ => first.replace((at.get(), error)),
            }
        };
        discard(loser); // the user's code, so not under the lock; a plain loop would not have met it
        Flow::Stop
    }
}

impl<S: Source, W, K, R, E, F> Items<'_, S, W, K, R, E, F> {
    /// Leaves places without results.
    #[allow(unsafe_code, reason = "marks what was handed out as not filled")]
    fn leave_out(&self, items: Range<usize>) {
        // SAFETY: `Work` calls this for items that were handed out and that `stretch` is not called for.
        unsafe { self.output.skip(items) };
    }
}
