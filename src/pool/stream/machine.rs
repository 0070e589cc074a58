//! A stream at work: a source, what is done with its items, and the pumps.

use std::collections::VecDeque;
use std::time::Instant;

use super::consumer::Consumer;
use super::shared::{ANY, Held, Local, NONE, Shared};
use super::state::{Sleep, Step};
use super::work::Work;
use crate::panic::{Panic, caught, discard};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, Slot, lock, looks};

/// Nanoseconds after which a source is slow: who asks it gives up waiting for further items.
const SLOW: u128 = 20_000;

/// Nanoseconds after which a pump makes room for what waits for its thread, and gets in line again.
/// The consumer launches its successor, as what a thread of a pool gives to its pool comes before what
/// others have given.
const SHIFT: u128 = 10_000_000;

/// What pumps run on.
pub(super) trait Pumps: Send + Sync {
    /// Takes items from the source and computes them for as long as there is room; `more` starts
    /// another pump, or says that it cannot.
    fn pump(&self, more: &dyn Fn() -> bool);
}

/// What the consumer uses.
pub(super) trait Machine<R>: Pumps {
    /// Fetches results; waits until there is one, or the end, or for the deadline. Says whether it is
    /// the end. `launch` starts a pump, or says that there are no threads.
    fn fetch(
        &self,
        near: &mut VecDeque<Result<R, Panic>>,
        consumer: &mut Consumer,
        deadline: Option<Instant>,
        launch: &dyn Fn() -> bool,
    ) -> bool;
    /// Has no item taken or begun any more, and waits for those that are.
    fn stop(&self);
    /// Lets go of the source, of items and of results that nobody fetched.
    fn clear(&self);
}

/// A source, what is done with its items, and what came of them.
pub(super) struct Core<I: Iterator, W: Work<I::Item>> {
    /// Whoever asks it, by leave of the state, takes it out.
    source: Slot<Source<I>>,
    pub(super) work: W,
    shared: Mutex<Shared<I::Item, W::Result>>,
    changed: Condvar,
    /// As in the state, for pumps between two items.
    stop: AtomicBool,
    /// The number of the item for whose result the consumer sleeps: the pump that has it hands it over
    /// before it begins the next. Written under the lock, before the consumer looks through the pumps'
    /// items and results, each under its own lock: a pump that adds one afterwards sees the number.
    wanted: AtomicUsize,
}

struct Source<I> {
    /// `None` when it has ended.
    iter: Option<I>,
    /// Items taken from it.
    taken: u64,
}

/// What came of asking a source.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) taken: usize,
    pub(super) slow: bool,
    pub(super) ended: bool,
    /// The source's, and the number in whose place it comes.
    pub(super) panic: Option<(u64, Panic)>,
}

impl<I, W> Core<I, W>
where
    I: Iterator + Send,
    I::Item: Send,
    W: Work<I::Item>,
{
    pub(super) fn new(source: I, work: W, ordered: bool) -> Self {
        Self {
            source: Slot::new(Source {
                iter: Some(source),
                taken: 0,
            }),
            work,
            shared: Mutex::new(Shared::new(ordered)),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            wanted: AtomicUsize::new(NONE),
        }
    }

    pub(super) fn hold(&self) -> Held<'_, I::Item, W::Result> {
        Held::new(&self.shared, &self.changed, &self.wanted)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks the source for up to `most` items, which the state has allowed. They go where others find them, one by one:
    /// the source may block before it gives the next one.
    pub(super) fn ask(&self, most: usize, mut sink: impl FnMut(u64, I::Item)) -> Answer {
        let mut answer = Answer::default();
        let Some(mut source) = self.source.take() else {
            debug_assert!(false, "the source is asked by one thread at a time");
            return answer;
        };
        let mut panic = None;
        let began = now();
        while answer.taken < most && !answer.ended && !answer.slow && !self.is_stopped() {
            let iter = &mut source.iter;
            match caught(|| iter.as_mut().and_then(Iterator::next)) {
                Ok(Some(item)) => {
                    sink(source.taken, item);
                    source.taken += 1;
                    answer.taken += 1;
                }
                Ok(None) => answer.ended = true,
                Err(thrown) => {
                    panic = Some(thrown);
                    answer.ended = true;
                }
            }
            // The clock now and then: a source of numbers takes less time than the clock.
            let look = answer.taken % 8 == 1 || answer.taken == most;
            answer.slow = look && nanos_since(began) > SLOW;
        }
        let exhausted = if answer.ended {
            source.iter.take()
        } else {
            None
        };
        let number = source.taken;
        drop(source);
        // Its drop is the user's as well; the state does not know of the end before it is over.
        if let Err(thrown) = caught(|| drop(exhausted)) {
            panic.get_or_insert(thrown);
        }
        answer.panic = panic.map(|panic| (number, panic));
        answer
    }

    /// Computes up to `limit` of a pump's items.
    fn compute(
        &self,
        local: &Mutex<Local<I::Item, W::Result>>,
        worker: &mut W::Worker,
        limit: usize,
    ) -> Held<'_, I::Item, W::Result> {
        let began = now();
        let mut finished = None;
        let mut count = 0;
        loop {
            let mut own = lock(local);
            let last = finished.take().map(|(number, result)| {
                own.results.push((number, result));
                number
            });
            let next = match count < limit && !self.is_stopped() {
                true => own.pop(),
                false => None,
            };
            drop(own);
            if last.is_some_and(|number| self.is_wanted(number)) {
                self.hold().flush(local); // now, as the next item may take its time
            }
            let Some((number, item)) = next else {
                break;
            };
            finished = Some((number, self.work.call(worker, item)));
            count += 1;
        }
        let spent = nanos_since(began);
        let mut held = self.hold();
        held.state.computed(limit);
        held.state.learn(spent, count);
        held.state.note_progress();
        held.flush(local);
        held
    }

    fn is_wanted(&self, number: u64) -> bool {
        match self.wanted.load(Ordering::Relaxed) {
            NONE => false,
            ANY => true,
            wanted => wanted == number as usize,
        }
    }

    /// Looks for a moment whether the source can be asked.
    fn look(&self) {
        for () in looks(1) {
            let held = self.hold();
            if held.state.can_ask() || held.state.is_stopped() {
                return;
            }
        }
    }
}

impl<I, W> Pumps for Core<I, W>
where
    I: Iterator + Send,
    I::Item: Send,
    W: Work<I::Item>,
{
    fn pump(&self, more: &dyn Fn() -> bool) {
        let mut held = self.hold();
        if held.state.is_stopped() {
            return;
        }
        held.state.begin();
        let local = held.local();
        drop(held);
        let mut worker = self.work.enter();
        let mut looked = false;
        let began = now();
        let mut overdue = false;
        held = self.hold();
        loop {
            let own = lock(&local).items.len();
            if overdue && own == 0 && held.state.is_relieved() {
                break;
            }
            match held.state.step(own, looked) {
                Some(Step::Compute(limit)) => {
                    held.state.compute(limit);
                    if own > 1 {
                        held.state.note_lying(); // if the first one takes its time
                    }
                    drop(held);
                    held = self.compute(&local, &mut worker, limit);
                }
                Some(Step::Ask(most)) => {
                    held.state.ask(most);
                    lock(&local).asking = true;
                    drop(held);
                    let answer = self.ask(most, |number, item| {
                        lock(&local).push(number, item);
                        if self.wanted.load(Ordering::Relaxed) != NONE {
                            self.hold().state.note_lying(); // in case the next one takes its time
                        }
                    });
                    held = self.hold();
                    lock(&local).asking = false;
                    held.asked(most, answer);
                    held.state.note_progress();
                    if held.state.wants_pump() {
                        held.state.launch();
                        drop(held);
                        let launched = more();
                        held = self.hold();
                        if !launched {
                            held.state.unlaunch();
                        }
                    }
                }
                Some(Step::Look) => {
                    drop(held);
                    self.look();
                    held = self.hold();
                    looked = true;
                    continue;
                }
                Some(Step::Steal) => {
                    let share = held.state.share();
                    let Some((first, items)) = held.steal(share) else {
                        break;
                    };
                    lock(&local).fill(first, items);
                }
                None => break,
            }
            looked = false;
            if !overdue && nanos_since(began) > SHIFT {
                overdue = true;
                held.state.note_overdue();
            }
        }
        // In one step with finding that there is nothing to do.
        held.state.unlaunch();
        if overdue {
            held.state.end_overdue();
        }
        drop(held);
        self.work.leave(worker);
        held = self.hold();
        held.retire(&local);
        held.state.end();
    }
}

impl<I, W> Machine<W::Result> for Core<I, W>
where
    I: Iterator + Send,
    I::Item: Send,
    W: Work<I::Item>,
{
    fn fetch(
        &self,
        near: &mut VecDeque<Result<W::Result, Panic>>,
        consumer: &mut Consumer,
        deadline: Option<Instant>,
        launch: &dyn Fn() -> bool,
    ) -> bool {
        consumer.fetch(self, near, deadline, launch)
    }

    fn stop(&self) {
        let mut held = self.hold();
        held.state.stop();
        self.stop.store(true, Ordering::Relaxed);
        while !held.state.is_quiet() {
            held.wait(Sleep::Sound, None);
        }
    }

    fn clear(&self) {
        let source = self.source.take().and_then(|mut source| source.iter.take());
        let mut held = self.hold();
        let results = held.state.take_all();
        let locals: Vec<_> = held.take_locals();
        drop(held);
        // One by one, and never unwinding: the stream may be dropped by a panic, and each of them may
        // panic.
        discard(source);
        for local in locals {
            let mut local = lock(&local);
            let (items, results) = (
                std::mem::take(&mut local.items),
                std::mem::take(&mut local.results),
            );
            drop(local);
            items.into_iter().for_each(discard);
            results.into_iter().for_each(discard);
        }
        results.into_iter().for_each(discard);
        self.work.clear();
    }
}

/// The time. Models have none: there it stands still, and what is to happen later never does.
pub(super) fn now() -> Instant {
    #[cfg(not(loom))]
    return Instant::now();
    #[cfg(loom)]
    {
        static NOW: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *NOW.get_or_init(|| Instant::now() + std::time::Duration::from_secs(1 << 20))
    }
}

fn nanos_since(began: Instant) -> u128 {
    now().saturating_duration_since(began).as_nanos()
}
