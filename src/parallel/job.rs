//! The job behind the long form: items one by one, with a state per worker, until something stops it.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::buffers::{Input, Output};
use super::control::{Control, Stop};
use super::engine::{Flow, Job, Visit};
use super::long::WorkerState;
use super::outcome::Report;
use crate::chunking::Split;
use crate::source::Source;
use crate::sync::Slot;

/// What a worker keeps over its chunks.
pub(super) struct Seat<T> {
    pub(super) state: Option<T>,
    busy: Duration,
    chunks: usize,
    /// The longest items so far, the longest first.
    longest: Vec<(usize, Duration)>,
}

/// Items that a report names.
const LONGEST: usize = 5;

impl<T> Seat<T> {
    pub(super) fn new() -> Self {
        Self {
            state: None,
            busy: Duration::ZERO,
            chunks: 0,
            longest: Vec::new(),
        }
    }

    fn note(longest: &mut Vec<(usize, Duration)>, index: usize, time: Duration) {
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

    pub(super) fn report(
        seats: &[Self],
        wall: Duration,
        max_workers: usize,
        finished: usize,
        total: usize,
    ) -> Report {
        let took_part: Vec<&Self> = seats.iter().filter(|seat| seat.chunks > 0).collect();
        let serial_estimate: Duration = took_part.iter().map(|seat| seat.busy).sum();
        let mean = serial_estimate.as_secs_f64() / took_part.len().max(1) as f64;
        let most = took_part
            .iter()
            .map(|seat| seat.busy.as_secs_f64())
            .fold(0.0, f64::max);
        let mut longest = Vec::new();
        for (index, time) in took_part.iter().flat_map(|seat| &seat.longest) {
            Self::note(&mut longest, *index, *time);
        }
        Report {
            wall,
            serial_estimate,
            cpu: None,
            workers: took_part.len(),
            max_workers,
            imbalance: if mean > 0.0 { most / mean } else { 1.0 },
            chunks: took_part.iter().map(|seat| seat.chunks).sum(),
            finished,
            total,
            longest,
        }
    }
}

/// The job of a run.
pub(super) struct Long<'a, S: Source, W: WorkerState, R, E, F> {
    pub(super) input: Input<S>,
    pub(super) output: Output<R>,
    /// The item at each position of the work, where a hint decides; else positions are grains. Only
    /// [`cost_hint`](super::Parallel::cost_hint) makes one, which demands items that are `Copy`, so
    /// dropping those that are left out runs no foreign code: [`Rest`] and `leave_out` rely on it.
    pub(super) order: Option<Vec<usize>>,
    pub(super) grains: Split,
    pub(super) control: Control<'a>,
    /// By number of the worker, each used by that worker alone.
    pub(super) seats: Vec<Slot<Seat<W::State>>>,
    /// Why the run was ended, if it was.
    pub(super) stopped: Mutex<Option<Stop>>,
    /// The error with the lowest index so far.
    pub(super) error: Mutex<Option<(usize, E)>>,
    pub(super) state: &'a W,
    /// Items are timed one by one.
    pub(super) timed: bool,
    pub(super) f: &'a F,
}

#[allow(unsafe_code, reason = "takes and fills what the engine hands out")]
impl<S, W, R, E, F> Job for Long<'_, S, W, R, E, F>
where
    S: Source,
    W: WorkerState,
    R: Send,
    E: Send,
    F: Fn(&mut W::State, S::Item) -> Result<R, E> + Sync,
{
    unsafe fn run(&self, number: usize, units: Range<usize>, visit: &Visit<'_>) -> Flow {
        let began = Instant::now();
        let mut seat = self.seats[number].take().expect("a seat has one worker");
        seat.chunks += 1;
        let flow = match &self.order {
            None => {
                let items = self.grains.items(units);
                // SAFETY: disjoint units have disjoint items.
                unsafe { self.stretch(number, &mut seat, items, visit) }
            }
            Some(order) => {
                let mut rest = Rest {
                    job: self,
                    items: order[units].iter(),
                };
                loop {
                    let Some(&item) = rest.items.next() else {
                        break Flow::Go;
                    };
                    // SAFETY: the order is a permutation, so disjoint positions have different items.
                    if unsafe { self.stretch(number, &mut seat, item..item + 1, visit) }
                        == Flow::Stop
                    {
                        break Flow::Stop;
                    }
                }
            }
        };
        seat.busy += began.elapsed();
        flow
    }

    unsafe fn close(&self, handed: usize) {
        let mut items = self.grains.start(handed);
        if let Some(order) = &self.order {
            // Positions are not indices: what was not come to is taken and dropped here, so that all indices were.
            drop(Rest {
                job: self,
                items: order[items..].iter(),
            });
            items = order.len();
        }
        // SAFETY: `run` takes all the items of its units.
        unsafe { self.input.close(items) };
        // SAFETY: and it gives them all to `fill` or `skip`.
        unsafe { self.output.close(items) };
    }
}

impl<S, W, R, E, F> Long<'_, S, W, R, E, F>
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
        number: usize,
        seat: &mut Seat<W::State>,
        items: Range<usize>,
        visit: &Visit<'_>,
    ) -> Flow {
        let at = &visit.at;
        at.set(items.start);
        let end = items.end;
        let mut next = items.start;
        let mut stop = None;
        let mut error = None;
        let mut done = 0;
        {
            // Taken first, so that whatever unwinds below drops them.
            // SAFETY: the caller's promise.
            let chunk = unsafe { self.input.take(items.clone()) };
            let Seat { state, longest, .. } = seat;
            let unmade = LeftOut {
                output: &self.output,
                items: items.clone(),
            };
            let state = state.get_or_insert_with(|| self.state.make(number));
            std::mem::forget(unmade); // the state is made, so the stretch goes on to be filled
            let results = chunk.into_iter().map_while(|item| {
                stop = self.control.stop();
                if stop.is_some() || visit.is_over(next) {
                    return None;
                }
                let began = self.timed.then(Instant::now);
                let result = (self.f)(state, item);
                if let Some(began) = began {
                    Seat::<W::State>::note(longest, next, began.elapsed());
                }
                next += 1;
                done += usize::from(result.is_ok());
                result.map_err(|e| error = Some(e)).ok()
            });
            // SAFETY: the caller's promise; the output has a place per item.
            unsafe { self.output.fill(items, at, results) };
        }
        self.control.finish(done);
        if let Some(stop) = stop {
            *lock(&self.stopped) = Some(stop);
            return Flow::Stop;
        }
        let Some(error) = error else {
            return if next < end { Flow::Stop } else { Flow::Go };
        };
        let loser = {
            let mut first = lock(&self.error);
            match &*first {
                Some((index, _)) if *index <= at.get() => Some((at.get(), error)),
                _ => first.replace((at.get(), error)),
            }
        };
        drop(loser); // the user's code, so not under the lock
        Flow::Stop
    }
}

impl<S, W, R, E, F> Long<'_, S, W, R, E, F>
where
    S: Source,
    W: WorkerState,
{
    /// Takes items and drops them, and leaves their places empty. Does not unwind: only an order by
    /// hint leaves items out, and then they are `Copy`.
    ///
    /// # Safety
    ///
    /// The items lie within the input and are handed out once.
    #[allow(unsafe_code, reason = "takes what the engine hands out")]
    unsafe fn leave_out(&self, items: Range<usize>) {
        debug_assert!(!std::mem::needs_drop::<S::Item>());
        // SAFETY: the caller's promise.
        drop(unsafe { self.input.take(items.clone()) });
        drop(LeftOut {
            output: &self.output,
            items,
        });
    }
}

/// Items of a worker's chunk, in the order of a hint, that it has not come to. Whether it stops or
/// unwinds, they are taken and dropped, and their places stay empty. The drop does not unwind, as
/// `leave_out` does not: were it to, the items after the one that panics would keep places that
/// count as filled.
struct Rest<'a, 'j, S: Source, W: WorkerState, R, E, F> {
    job: &'a Long<'j, S, W, R, E, F>,
    items: std::slice::Iter<'a, usize>,
}

impl<S: Source, W: WorkerState, R, E, F> Drop for Rest<'_, '_, S, W, R, E, F> {
    #[allow(unsafe_code, reason = "takes what the engine handed out")]
    fn drop(&mut self) {
        for &item in self.items.by_ref() {
            // SAFETY: the items were handed to whoever made this value, who has not come to those that are left.
            unsafe { self.job.leave_out(item..item + 1) };
        }
    }
}

/// Places that get no result.
struct LeftOut<'a, R> {
    output: &'a Output<R>,
    items: Range<usize>,
}

impl<R> Drop for LeftOut<'_, R> {
    #[allow(unsafe_code, reason = "marks what was handed out as not filled")]
    fn drop(&mut self) {
        // SAFETY: whoever makes this value was handed the items and does not fill their places.
        unsafe { self.output.skip(self.items.clone()) };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
