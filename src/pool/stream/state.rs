//! What the threads of a stream agree on: counts, and the results that come next. A state machine
//! without threads, locks or clocks.
//!
//! It is read and changed under one lock. The consumer decides to sleep under that lock, in one step
//! with looking at the state, and every other thread asks [`needs_consumer`](State::needs_consumer)
//! when it gives the lock back (the drop of `Held`, so that no change can leave it out). Hence no
//! wake-up is lost, and what is left to show is that a consumer that sleeps will be needed some day.
//! While it sleeps, one of these holds:
//!
//! 1. A pump has begun (`begun > 0`). It computes, asks the source, or is on its way to the lock. It
//!    ends only when it finds under the lock that no item is waiting and that the source cannot be
//!    asked (there is no room, or another thread asks, which comes to the lock after that), or when
//!    another one was launched in its place. If it is the last one and leaves the source to be asked,
//!    `begun == 0 && can_ask()` wakes the consumer: case 2.
//! 2. No pump has begun, and the source can be asked. Then a pump is counted that was launched and
//!    waits for a thread of the pool, and the consumer does not sleep but nap: it looks again, and when
//!    it has had no luck for some naps it does the work itself.
//!
//! There is no third case. With `begun == 0` no item is waiting (only pumps hold items) or being
//! computed, so if the source cannot be asked either, then all that is in flight has a result, and
//! the consumer has one to take, or the stream is finished.
//!
//! In case 1 the pump may be long at an item or at the source, while others that it has taken wait. A
//! consumer that sleeps is told of them (`lying`), and then naps until they are taken.

use std::collections::VecDeque;

use crate::panic::Panic;

/// Nanoseconds of work for which a pump takes items at once: long against taking them, short against
/// the patience of a consumer.
const BATCH: u64 = 50_000;

/// Nanoseconds of work after which a pump hands over results that it has.
const PROMPT: u64 = 20_000;

/// Naps without luck after which the consumer computes items that are waiting while the source blocks.
const NAPS_BEHIND_THE_SOURCE: u32 = 4;

/// The same before it does what pumps do that do not come: the longer it waits, the less
/// often it is at a long item when they come after all.
const NAPS: u32 = 8;

/// The same where it has a time limit, and would ask a source that may block.
const NAPS_BEFORE_THE_SOURCE: u32 = 16;

/// What the source is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// No thread asks it for items.
    Free,
    /// One thread does.
    Asked,
    /// It has nothing more, and is gone.
    Ended,
}

/// How the consumer sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleep {
    /// It does not, or was woken already.
    Awake,
    /// It looks again soon.
    Nap,
    /// Until it is woken, or its time is over.
    Sound,
}

/// Results between pumps and consumer, and how many items are where.
pub(super) struct State<R> {
    ordered: bool,
    /// Results from item `base` on, `None` for those that are not there yet; without order,
    /// whatever is there.
    ready: VecDeque<Option<Result<R, Panic>>>,
    base: u64,
    window: usize,
    /// Pumps that are worth having, at most.
    max_pumps: usize,
    /// Items that were taken from the source, or may be by the thread that asks it, and that the
    /// consumer has not handed out.
    in_flight: usize,
    /// Of these, the ones whose results are not in `ready`.
    unfinished: usize,
    source: Source,
    /// Items that may be taken beyond the first one at once: few from a source that was slow of late.
    credit: usize,
    /// Pumps that were launched and have not ended.
    pumps: usize,
    /// Pumps at work, until they touch nothing of the stream any more.
    begun: usize,
    /// Threads that compute items.
    computing: usize,
    /// Of these, the ones that hold results back until they have computed several.
    batches: usize,
    /// Pumps that have had their threads for long, and of which none has been launched anew.
    overdue: usize,
    /// Pumps that have, and for each of which another one was launched: they end.
    relieved: usize,
    /// Counts what pumps did, so that the consumer sees whether they do anything.
    progress: u64,
    stopped: bool,
    /// Pumps have items that they have not begun, as far as is known.
    lying: bool,
    /// Set back by the thread that wakes the consumer.
    pub(super) sleep: Sleep,
    /// Nanoseconds that an item takes, as far as known; 0 before the first.
    cost: u64,
}

/// What a pump does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Computes so many of the items that it has, at most.
    Compute(usize),
    /// Asks the source for so many items, at most.
    Ask(usize),
    /// Looks for a moment whether the source comes free.
    Look,
    /// Takes items that another pump has and has not begun.
    Steal,
}

/// How things look from the consumer, which has no result to hand out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// There are no threads: the consumer's computes.
    pub(super) alone: bool,
    /// The consumer's thread is one of a pool, which may be the one that the work is waiting for.
    pub(super) on_pool: bool,
    /// The consumer has a time limit.
    pub(super) limited: bool,
    /// It has launched a pump since it last slept.
    pub(super) launched: bool,
    /// It has looked for results that pumps have and have not handed over.
    pub(super) looked: bool,
    /// Items are waiting while the thread that took them asks the source for more.
    pub(super) behind_source: bool,
    /// Items are waiting while the thread that took them computes another one.
    pub(super) behind_item: bool,
    /// Naps in which pumps did nothing although there was work.
    pub(super) naps: u32,
}

/// What the consumer does next, if it has no result to hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Launches a pump.
    Launch,
    /// Computes an item that is waiting.
    Compute,
    /// Asks the source for an item, and computes it.
    Ask,
    /// Sleeps; for a nap only if there is work that it may have to do itself.
    Sleep { nap: bool },
}

impl<R> State<R> {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            ordered,
            ready: VecDeque::new(),
            base: 0,
            window: 0,
            max_pumps: 0,
            in_flight: 0,
            unfinished: 0,
            source: Source::Free,
            credit: 0,
            pumps: 0,
            begun: 0,
            computing: 0,
            batches: 0,
            overdue: 0,
            relieved: 0,
            progress: 0,
            stopped: false,
            lying: false,
            sleep: Sleep::Awake,
            cost: 0,
        }
    }

    // The consumer.

    /// Notes how many results were handed out since the last time, and how much may be going on.
    pub(super) fn consumed(&mut self, handed_out: usize, window: usize, workers: usize) {
        self.in_flight -= handed_out;
        self.window = window;
        self.max_pumps = workers.min(window);
    }

    /// Moves the results that come next to the consumer.
    pub(super) fn take_ready(&mut self, near: &mut VecDeque<Result<R, Panic>>) {
        while self.is_next_ready() {
            near.extend(self.ready.pop_front().flatten());
            self.base += 1;
        }
    }

    /// The number of the item whose result comes next; `None` without order, where any will do.
    pub(super) fn next_number(&self) -> Option<u64> {
        self.ordered.then_some(self.base)
    }

    fn is_next_ready(&self) -> bool {
        matches!(self.ready.front(), Some(Some(_)))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.source == Source::Ended && self.unfinished == 0 && self.ready.is_empty()
    }

    /// Whether the consumer sleeps and has something to do.
    pub(super) fn needs_consumer(&self) -> bool {
        let stuck = || self.lying && self.computing < self.max_pumps || self.has_room_for_a_pump();
        match self.sleep {
            Sleep::Awake => false,
            _ if self.stopped => self.begun == 0,
            _ if self.has_news() || self.is_left_alone() => true,
            Sleep::Nap => false,
            Sleep::Sound => stuck(),
        }
    }

    /// Whether one more pump would find work. It is not worth a thread where items are short, as long
    /// as those pumps that there are get on.
    fn has_room_for_a_pump(&self) -> bool {
        self.can_ask() && self.pumps < self.max_pumps
    }

    /// Whether there is work, and no pump at work.
    fn is_left_alone(&self) -> bool {
        self.begun == 0 && self.can_ask()
    }

    /// Whether there is a result for the consumer, or the end.
    pub(super) fn has_news(&self) -> bool {
        self.is_next_ready() || self.is_finished()
    }

    pub(super) fn progress(&self) -> u64 {
        self.progress
    }

    /// Whether results may be with pumps that will hand them over within moments.
    pub(super) fn has_batches(&self) -> bool {
        self.batches > 0
    }

    /// Whether a pump is worth launching although there are results to hand out.
    pub(super) fn is_worth_a_pump(&self) -> bool {
        self.pumps == 0 && self.can_ask() && self.room() > self.window / 2
    }

    /// Whether there is work that a pump should do and that the consumer may have to see to.
    pub(super) fn has_work(&self, view: &View) -> bool {
        let pump = !view.alone && self.has_room_for_a_pump();
        pump || self.may_compute(view) || self.may_ask(view)
    }

    /// Whether the consumer may compute an item that is waiting: only beside fewer threads than the
    /// pool has.
    fn may_compute(&self, view: &View) -> bool {
        let waiting = view.behind_source || view.behind_item;
        waiting && self.computing < self.max_pumps
    }

    /// Whether the consumer may ask the source: only when no pump is at work, so that all items have
    /// results. While the source blocks, it could not hand those out.
    fn may_ask(&self, view: &View) -> bool {
        self.is_left_alone() || view.alone && self.can_ask()
    }

    /// What the consumer does, which has no result to hand out.
    pub(super) fn turn(&self, view: &View) -> Turn {
        if !view.alone && self.is_worth_launching(view) {
            return Turn::Launch;
        }
        let impatient = view.naps >= NAPS;
        let before = if view.on_pool {
            0
        } else {
            NAPS_BEHIND_THE_SOURCE
        };
        let compute = impatient || (view.behind_source && view.naps >= before);
        if self.may_compute(view) && compute {
            return Turn::Compute;
        }
        let ask = match view.limited {
            _ if view.alone => true,
            false => view.on_pool || impatient,
            // A source that has been quick will hardly block now.
            true if self.credit > 0 => impatient,
            true => view.naps >= NAPS_BEFORE_THE_SOURCE,
        };
        if self.may_ask(view) && ask {
            return Turn::Ask;
        }
        Turn::Sleep {
            nap: self.has_work(view),
        }
    }

    fn is_worth_launching(&self, view: &View) -> bool {
        if self.pumps == 0 {
            return self.can_ask();
        }
        let stuck = view.naps > 0; // one nap will do: it costs a pump that ends at once
        let source = self.can_ask() && (stuck || self.is_long());
        let items = view.behind_source || (view.behind_item && stuck);
        !view.launched && self.pumps < self.max_pumps && (source || items)
    }

    // Pumps.

    /// Counts a pump that is about to be launched.
    pub(super) fn launch(&mut self) {
        self.pumps += 1;
    }

    /// Counts one out that has ended, or for which there was no thread.
    pub(super) fn unlaunch(&mut self) {
        self.pumps -= 1;
    }

    /// Whether a pump should launch another one. What is known to be short is not worth a thread.
    pub(super) fn wants_pump(&self) -> bool {
        self.pumps < self.max_pumps && self.can_ask() && self.is_long()
    }

    /// A pump has had its thread for long.
    pub(super) fn note_overdue(&mut self) {
        self.overdue += 1;
    }

    /// Whether a pump is to be launched in the place of one that has had its thread for long, and
    /// that ends then. Counts it.
    pub(super) fn relieve(&mut self) -> bool {
        let relieve = self.overdue > 0 && !self.stopped;
        if relieve {
            self.overdue -= 1;
            self.relieved += 1;
            self.pumps += 1;
        }
        relieve
    }

    /// Whether a pump that has had its thread for long ends, as another one was launched.
    pub(super) fn is_relieved(&self) -> bool {
        self.relieved > 0
    }

    /// Such a pump has ended, for whatever reason.
    pub(super) fn end_overdue(&mut self) {
        match self.is_relieved() {
            true => self.relieved -= 1,
            false => self.overdue -= 1,
        }
    }

    pub(super) fn begin(&mut self) {
        self.begun += 1;
        self.progress += 1;
    }

    pub(super) fn end(&mut self) {
        self.begun -= 1;
    }

    /// What a pump does that has `own` items; `None` when it ends. `looked` is whether it has looked
    /// for the source to come free.
    pub(super) fn step(&self, own: usize, looked: bool) -> Option<Step> {
        if self.stopped {
            return None;
        }
        if own > 0 {
            return Some(Step::Compute(self.chunk().min(own)));
        }
        if self.can_ask() {
            let most = self.share().min(1 + self.credit).min(self.room());
            return Some(Step::Ask(most));
        }
        if self.source == Source::Asked && self.room() > 0 && !looked {
            return Some(Step::Look);
        }
        Some(Step::Steal)
    }

    /// How many items a thread takes at once.
    pub(super) fn share(&self) -> usize {
        let share = self.window / (2 * self.max_pumps.max(1));
        let by_time = BATCH.checked_div(self.cost).unwrap_or(1) as usize;
        by_time.min(share).max(1)
    }

    /// How many results a pump may hold back.
    fn chunk(&self) -> usize {
        (PROMPT.checked_div(self.cost).unwrap_or(1) as usize).max(1)
    }

    fn is_long(&self) -> bool {
        self.cost == 0 || self.cost.saturating_mul(self.share() as u64) > BATCH / 4
    }

    // The source.

    pub(super) fn room(&self) -> usize {
        self.window - self.in_flight.min(self.window)
    }

    pub(super) fn can_ask(&self) -> bool {
        self.source == Source::Free && self.room() > 0 && !self.stopped
    }

    /// This thread asks the source for so many items, at most. Their places are taken beforehand.
    pub(super) fn ask(&mut self, most: usize) {
        debug_assert!(self.can_ask() && most > 0 && most <= self.room());
        self.source = Source::Asked;
        self.in_flight += most;
        self.unfinished += most;
    }

    /// It has given `taken` of them, counting a panic as one.
    pub(super) fn asked(&mut self, most: usize, taken: usize, slow: bool, ended: bool) {
        self.source = match ended {
            true => Source::Ended,
            false => Source::Free,
        };
        self.in_flight -= most - taken;
        self.unfinished -= most - taken;
        self.credit = match slow {
            true => taken / 2,
            false => (2 * self.credit + 1).min(1 << 20),
        };
    }

    // Computing.

    pub(super) fn compute(&mut self, count: usize) {
        self.computing += 1;
        self.batches += usize::from(count > 1);
    }

    /// Ends what [`compute`](Self::compute) began.
    pub(super) fn computed(&mut self, count: usize) {
        self.computing -= 1;
        self.batches -= usize::from(count > 1);
    }

    /// Learns what an item costs from `count` of them: dearer at once, cheaper by and by, as a batch
    /// that turns out dear takes its time.
    pub(super) fn learn(&mut self, nanos: u128, count: usize) {
        let Some(cost) = nanos.checked_div(count as u128) else {
            return;
        };
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let cost = match self.cost {
            known if known == 0 || cost > known => cost,
            known => (known + cost) / 2,
        };
        self.cost = cost.max(1);
    }

    pub(super) fn note_progress(&mut self) {
        self.progress += 1;
    }

    /// Notes whether pumps have items that they have not begun, after a look at all of them.
    pub(super) fn set_lying(&mut self, lying: bool) {
        self.lying = lying;
    }

    /// Notes that a pump has some.
    pub(super) fn note_lying(&mut self) {
        self.lying = true;
    }

    /// Puts the result of an item where the consumer finds it.
    pub(super) fn put(&mut self, number: u64, result: Result<R, Panic>) {
        self.unfinished -= 1;
        if !self.ordered {
            self.ready.push_back(Some(result));
            return;
        }
        let place = (number - self.base) as usize;
        if self.ready.len() <= place {
            self.ready.resize_with(place + 1, || None);
        }
        self.ready[place] = Some(result);
    }

    // The end.

    /// No item is taken or begun any more.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether no pump is at work.
    pub(super) fn is_quiet(&self) -> bool {
        self.begun == 0
    }

    /// The results that were not handed out.
    pub(super) fn take_all(&mut self) -> VecDeque<Option<Result<R, Panic>>> {
        std::mem::take(&mut self.ready)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
