//! The machine of a stream: a source, its closure, and the results that wait for the consumer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use crate::panic::{Panic, caught, discard};
use crate::pool::inside::enter;
use crate::sync::{Condvar, Mutex, MutexGuard, Ordering, Slot, lock};

/// Nanoseconds of work that a pump takes at once: long against taking it, short against the patience of who waits for results.
const BATCH: u64 = 50_000;

/// Nanoseconds after which a pump no longer waits for further items of a slow source, hands over results that it has, or gives up waiting
/// for the source.
const PROMPT: u128 = 20_000;

/// Who takes items from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Pump,
    Consumer,
}

/// What pumps run on.
pub(super) trait Pumps: Send + Sync {
    /// Takes items from the source and computes them for as long as there is room; `more` starts another pump.
    fn pump(&self, more: &dyn Fn());
}

/// What the consumer uses.
pub(super) trait Machine<R>: Pumps {
    fn results(&self) -> &Mutex<Out<R>>;
    fn out(&self) -> MutexGuard<'_, Out<R>> {
        lock(self.results())
    }
    fn changed(&self) -> &Condvar;
    /// Does a part of the work on the consumer's thread: computes items that were taken, or takes one if there is none; says whether it did.
    fn turn(&self) -> bool;
    /// Computes items that were taken and that nobody computes, if there are any.
    fn rescue(&self);
    /// No item is taken or computed any more, but for those at which somebody is.
    fn stop(&self);
    /// Lets go of the source and of results that nobody fetched.
    fn clear(&self);
}

/// A source, its closure, and the results that wait for the consumer.
pub(super) struct Core<I: Iterator, F, R> {
    source: Slot<Source<I>>,
    todo: Mutex<Todo<I::Item>>,
    f: F,
    ordered: bool,
    out: Mutex<Out<R>>,
    changed: Condvar,
    stop: AtomicBool,
    /// Nanoseconds that an item takes, as far as known; 0 before the first.
    cost: AtomicU64,
}

struct Source<I> {
    /// `None` when it has ended.
    iter: Option<I>,
    /// Items taken from it.
    taken: u64,
    /// Items that may be taken beyond the first before any is computed: few from a source that was slow of late.
    credit: usize,
}

/// Items that were taken from the source and that nobody computes yet. They are here, for everybody, and not in the hands of who takes
/// them: the source may block before it gives the next one.
struct Todo<T> {
    first: u64,
    items: VecDeque<T>,
}

/// Results between pumps and consumer.
pub(super) struct Out<R> {
    /// Results from item `base` on; `None` for those that are not there yet. Without order, whatever is there.
    pub(super) results: VecDeque<Option<Result<R, Panic>>>,
    pub(super) base: u64,
    /// Items taken from the source, or about to be, and not handed out by the consumer.
    pub(super) in_flight: usize,
    /// Of these, the ones without a result.
    pub(super) pending: usize,
    pub(super) window: usize,
    pub(super) max_pumps: usize,
    /// Pumps that were started and have not ended.
    pub(super) pumps: usize,
    /// Threads that are taking or computing items.
    pub(super) active: usize,
    /// The source has nothing more.
    pub(super) ended: bool,
    /// Somebody is taking items.
    pub(super) pulling: bool,
    /// Somebody is taking items, and may have taken some that nobody computes yet.
    pub(super) holding: bool,
    /// The consumer sleeps.
    pub(super) waiting: bool,
}

impl<R> Out<R> {
    pub(super) fn room(&self) -> usize {
        self.window - self.in_flight.min(self.window)
    }

    /// What decides whether a pump is needed, to be compared with what it is at another time.
    pub(super) fn moment(&self) -> (usize, usize, bool, bool) {
        (self.pumps, self.in_flight, self.pulling, self.holding)
    }

    /// How many items somebody should take at once, by their cost.
    pub(super) fn share(&self, cost: u64) -> usize {
        let share = self.window / self.max_pumps.max(1).saturating_mul(2);
        let by_time = BATCH.checked_div(cost).unwrap_or(1) as usize;
        by_time.min(share).max(1)
    }

    /// Moves the results that come next to the consumer.
    pub(super) fn take_ready(&mut self, near: &mut VecDeque<Result<R, Panic>>) {
        while let Some(Some(_)) = self.results.front() {
            near.extend(self.results.pop_front().flatten());
            self.base += 1;
        }
    }

    /// Whether there is something for the consumer.
    pub(super) fn has_news(&self) -> bool {
        matches!(self.results.front(), Some(Some(_))) || self.is_finished()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.pending == 0 && self.results.is_empty()
    }
}

impl<I, F, R> Core<I, F, R>
where
    I: Iterator + Send,
    F: Fn(I::Item) -> R + Sync,
{
    pub(super) fn new(source: I, f: F, ordered: bool) -> Self {
        Self {
            source: Slot::new(Source {
                iter: Some(source),
                taken: 0,
                credit: 0,
            }),
            todo: Mutex::new(Todo {
                first: 0,
                items: VecDeque::new(),
            }),
            f,
            ordered,
            out: Mutex::new(Out {
                results: VecDeque::new(),
                base: 0,
                in_flight: 0,
                pending: 0,
                window: 0,
                max_pumps: 0,
                pumps: 0,
                active: 0,
                ended: false,
                pulling: false,
                holding: false,
                waiting: false,
            }),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            cost: AtomicU64::new(0),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Takes some items from the source; says whether it took any, or found the end. It does not where there is no room, or where somebody
    /// else is at it for long.
    ///
    /// The consumer takes one, and only when all that were taken have results: while the source blocks, it could not hand those out.
    fn pull(&self, who: Who) -> bool {
        let began = Instant::now();
        let mut source = loop {
            match self.source.take() {
                Some(source) => break source,
                None if who == Who::Pump && began.elapsed().as_nanos() < PROMPT => {
                    std::hint::spin_loop();
                }
                None => return false,
            }
        };
        let most = {
            let mut out = lock(&self.out);
            let share = out.share(self.cost.load(Ordering::Relaxed));
            let most = share.min(1 + source.credit).min(out.room());
            let most = match who {
                Who::Pump => most,
                Who::Consumer if out.pending > 0 => 0,
                Who::Consumer => most.min(1),
            };
            if self.is_stopped() || out.ended || most == 0 {
                return false;
            }
            out.in_flight += most;
            out.pending += most;
            out.pulling = true;
            out.holding = most > 1;
            if out.holding && out.waiting {
                self.changed.notify_all(); // from now on the consumer sleeps with one eye open
            }
            most
        };
        let first = source.taken;
        let mut panic = None;
        let mut ended = false;
        let began = Instant::now();
        let mut slow = false;
        let mut taken = 0;
        while taken < most && !ended && !slow && !self.is_stopped() {
            let iter = &mut source.iter;
            let item = caught(|| iter.as_mut().and_then(Iterator::next));
            match item {
                Ok(Some(item)) => {
                    taken += 1;
                    lock(&self.todo).items.push_back(item);
                }
                Ok(None) => ended = true,
                Err(thrown) => {
                    panic = Some(thrown);
                    ended = true;
                }
            }
            // The clock now and then: a source of numbers takes less time than the clock.
            slow = (taken % 8 == 1 || taken == most) && began.elapsed().as_nanos() > PROMPT;
        }
        source.credit = match slow {
            true => taken / 2,
            false => (2 * source.credit + 1).min(1 << 20),
        };
        source.taken = first + taken as u64;
        let exhausted = if ended { source.iter.take() } else { None };
        // Before the source is put back: who takes from it next says the same of itself.
        let mut out = lock(&self.out);
        out.pulling = false;
        out.holding = false;
        // At the end a place is kept for a panic, so that nobody takes the stream for finished before it is known that there is none.
        let kept = usize::from(ended);
        out.in_flight = out.in_flight + taken + kept - most;
        out.pending = out.pending + taken + kept - most;
        drop(out);
        drop(source);
        if ended {
            // Its drop is the user's as well.
            if let Err(thrown) = caught(|| drop(exhausted)) {
                panic.get_or_insert(thrown);
            }
            self.end(first + taken as u64, panic);
        }
        true
    }

    /// The source has nothing more, but perhaps a panic in the place that was kept for it.
    fn end(&self, place: u64, panic: Option<Panic>) {
        let mut out = lock(&self.out);
        out.ended = true;
        if panic.is_none() {
            out.in_flight -= 1;
            out.pending -= 1;
        }
        let wake = out.waiting && out.has_news();
        drop(out);
        match panic {
            Some(panic) => {
                self.hand_over(place, &mut vec![Err(panic)]);
            }
            None if wake => self.changed.notify_all(),
            None => (),
        }
    }

    /// Computes some of the items that were taken; says whether there were any.
    fn compute(&self, share: usize) -> bool {
        let (mut next, items) = {
            let mut todo = lock(&self.todo);
            let count = share.min(todo.items.len());
            if count == 0 {
                return false;
            }
            let first = todo.first;
            todo.first += count as u64;
            let items: Vec<I::Item> = todo.items.drain(..count).collect();
            (first, items)
        };
        let count = items.len();
        let mut results: Vec<Result<R, Panic>> = Vec::with_capacity(count);
        let began = Instant::now();
        let mut handed = 0;
        let mut rest = items.into_iter();
        while !self.is_stopped() // nobody wants the others then
            && let Some(item) = rest.next()
        {
            results.push(caught(|| (self.f)(item)));
            let spent = began.elapsed().as_nanos();
            if spent - handed > PROMPT {
                handed = spent;
                next = self.hand_over(next, &mut results);
            }
        }
        rest.for_each(discard); // dropping items is the user's business, and no thread waits for them
        let cost = (began.elapsed().as_nanos() / count as u128).max(1) as u64;
        let known = self.cost.load(Ordering::Relaxed);
        // Dearer at once, cheaper by and by: a batch that turns out dear holds up all results behind it.
        let cost = if known == 0 || cost > known {
            cost
        } else {
            (known + cost) / 2
        };
        self.cost.store(cost.max(1), Ordering::Relaxed);
        self.hand_over(next, &mut results);
        true
    }

    /// Puts results, of items from `next` on, where the consumer finds them; gives the number of the item after.
    fn hand_over(&self, next: u64, results: &mut Vec<Result<R, Panic>>) -> u64 {
        if results.is_empty() {
            return next; // which the consumer may have passed long since
        }
        let after = next + results.len() as u64;
        let mut out = lock(&self.out);
        out.pending -= results.len();
        if self.ordered {
            let place = (next - out.base) as usize;
            if out.results.len() < place + results.len() {
                out.results.resize_with(place + results.len(), || None);
            }
            for (i, result) in results.drain(..).enumerate() {
                out.results[place + i] = Some(result);
            }
        } else {
            out.results.extend(results.drain(..).map(Some));
        }
        let wake = out.waiting && matches!(out.results.front(), Some(Some(_)));
        drop(out);
        if wake {
            self.changed.notify_all();
        }
        after
    }

    fn share(&self) -> usize {
        lock(&self.out).share(self.cost.load(Ordering::Relaxed))
    }

    /// Counts this thread out, and a pump with it.
    fn rest(&self, pumps: usize) {
        let mut out = lock(&self.out);
        out.active -= 1;
        out.pumps -= pumps;
        let wake = out.waiting || (out.active == 0 && self.is_stopped());
        drop(out);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Counts another pump, if there is work for one.
    fn wants_pump(&self) -> bool {
        let mut out = lock(&self.out);
        let wanted = !out.ended && out.pumps < out.max_pumps && out.room() > 0;
        out.pumps += usize::from(wanted);
        wanted
    }
}

impl<I, F, R> Pumps for Core<I, F, R>
where
    I: Iterator + Send,
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
    R: Send,
{
    fn pump(&self, more: &dyn Fn()) {
        lock(&self.out).active += 1;
        loop {
            if self.compute(self.share()) {
                continue;
            }
            if !self.pull(Who::Pump) {
                break;
            }
            // What is known to be short is not worth another thread.
            let cost = self.cost.load(Ordering::Relaxed);
            let long = cost == 0 || cost * self.share() as u64 > BATCH / 4;
            if long && self.wants_pump() {
                more();
            }
        }
        self.rest(1);
    }
}

impl<I, F, R> Machine<R> for Core<I, F, R>
where
    I: Iterator + Send,
    I::Item: Send,
    F: Fn(I::Item) -> R + Send + Sync,
    R: Send,
{
    fn results(&self) -> &Mutex<Out<R>> {
        &self.out
    }

    fn changed(&self) -> &Condvar {
        &self.changed
    }

    fn turn(&self) -> bool {
        let _inside = enter();
        lock(&self.out).active += 1;
        let did = self.compute(self.share()) || self.pull(Who::Consumer);
        self.rest(0);
        did
    }

    fn rescue(&self) {
        let _inside = enter();
        lock(&self.out).active += 1;
        self.compute(self.share());
        self.rest(0);
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn clear(&self) {
        let source = self.source.take().and_then(|mut source| source.iter.take());
        let items = std::mem::take(&mut lock(&self.todo).items);
        let results = std::mem::take(&mut lock(&self.out).results);
        // One by one, and never unwinding: the stream may be dropped by a panic, and each of them
        // may panic.
        discard(source);
        items.into_iter().for_each(discard);
        results.into_iter().for_each(discard);
    }
}
