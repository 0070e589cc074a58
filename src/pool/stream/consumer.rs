//! The consumer's side of a stream: it fetches results, launches pumps, sleeps while they work, and
//! works where they cannot.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::machine::{Core, now};
use super::shared::Held;
use super::state::{Sleep, Turn, View};
use super::work::Work;
use crate::panic::Panic;

/// For how long a consumer lets pumps finish batches of short items before it looks for results that
/// they have: about as long as such a batch takes. Models have no time.
const MOMENT: Duration = Duration::from_micros(if cfg!(loom) { 0 } else { 20 });

/// What a consumer knows from one time to the next.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) window: usize,
    /// Threads of the pool.
    workers: usize,
    /// Results handed out since the state was told.
    pub(super) handed_out: usize,
    /// There are no threads: this one computes.
    alone: bool,
    pub(super) on_pool: bool,
    patience: Patience,
}

impl Consumer {
    /// A consumer of a stream on a pool of so many workers, where a woken thread takes so long to
    /// arrive as a rule.
    pub(super) fn new(window: usize, workers: usize, arrival: Duration) -> Self {
        Self {
            window,
            workers,
            handed_out: 0,
            alone: false,
            on_pool: false,
            patience: Patience::new(arrival),
        }
    }

    /// See [`Machine::fetch`](super::machine::Machine::fetch).
    pub(super) fn fetch<I, W>(
        &mut self,
        core: &Core<I, W>,
        near: &mut VecDeque<Result<W::Result, Panic>>,
        deadline: Option<Instant>,
        launch: &dyn Fn() -> bool,
    ) -> bool
    where
        I: Iterator + Send,
        I::Item: Send,
        W: Work<I::Item>,
    {
        let is_late = || deadline.is_some_and(|deadline| deadline <= now());
        let mut view = View {
            on_pool: self.on_pool,
            limited: deadline.is_some(),
            ..View::default()
        };
        let mut worked = false;
        let mut held = core.hold();
        let handed_out = std::mem::take(&mut self.handed_out);
        held.state.consumed(handed_out, self.window, self.workers);
        if !self.on_pool && !self.alone && held.state.relieve() {
            held = self.launched(core, held, launch);
        }
        loop {
            held.state.take_ready(near);
            if held.state.is_finished() {
                return true;
            }
            if !near.is_empty() {
                if !self.alone && held.state.is_worth_a_pump() {
                    self.launch(core, held, launch);
                }
                return false;
            }
            view.alone = self.alone;
            if view.looked {
                (view.behind_item, view.behind_source) = held.waiting_items();
            }
            view.naps = match held.state.has_work(&view) {
                true => self.patience.naps(held.state.progress()),
                false => 0,
            };
            match held.state.turn(&view) {
                Turn::Launch => {
                    view.launched = true;
                    held = self.launch(core, held, launch);
                }
                // One item after the time is over at most, and one at all: who asks again and again
                // for no time gets on as well.
                Turn::Compute | Turn::Ask if worked && is_late() => return false,
                Turn::Compute => {
                    worked = true;
                    held = core.compute_one(held);
                }
                Turn::Ask => {
                    worked = true;
                    held = core.ask_one(held);
                }
                Turn::Sleep { .. } if !view.looked => {
                    if held.state.has_batches() && !MOMENT.is_zero() && !is_late() {
                        let moment = now() + MOMENT;
                        let until = deadline.map_or(moment, |deadline| deadline.min(moment));
                        held.wait(Sleep::Nap, Some(until));
                    }
                    held.collect();
                    view.looked = true;
                }
                Turn::Sleep { .. } if is_late() => return false,
                Turn::Sleep { nap } => {
                    let (sleep, due) = match nap {
                        true => (Sleep::Nap, self.patience.due),
                        false => (Sleep::Sound, None),
                    };
                    held.wait_for_any(sleep, due.into_iter().chain(deadline).min());
                    view.launched = false;
                }
            }
        }
    }

    /// Launches a pump.
    fn launch<'a, I, W>(
        &mut self,
        core: &'a Core<I, W>,
        mut held: Held<'a, I::Item, W::Result>,
        launch: &dyn Fn() -> bool,
    ) -> Held<'a, I::Item, W::Result>
    where
        I: Iterator + Send,
        I::Item: Send,
        W: Work<I::Item>,
    {
        held.state.launch();
        self.launched(core, held, launch)
    }

    /// Launches a pump that is counted.
    fn launched<'a, I, W>(
        &mut self,
        core: &'a Core<I, W>,
        held: Held<'a, I::Item, W::Result>,
        launch: &dyn Fn() -> bool,
    ) -> Held<'a, I::Item, W::Result>
    where
        I: Iterator + Send,
        I::Item: Send,
        W: Work<I::Item>,
    {
        drop(held);
        self.alone = !launch();
        let mut held = core.hold();
        if self.alone {
            held.state.unlaunch();
        }
        held
    }
}

impl<I, W> Core<I, W>
where
    I: Iterator + Send,
    I::Item: Send,
    W: Work<I::Item>,
{
    /// Computes one of the items that are waiting on this thread.
    fn compute_one<'a>(
        &'a self,
        mut held: Held<'a, I::Item, W::Result>,
    ) -> Held<'a, I::Item, W::Result> {
        match held.steal(1) {
            Some((number, mut items)) => {
                let item = items.pop_front();
                self.compute_on_this_thread(held, item.map(|item| (number, item)))
            }
            None => held,
        }
    }

    /// Asks the source for an item on this thread, and computes it.
    fn ask_one<'a>(
        &'a self,
        mut held: Held<'a, I::Item, W::Result>,
    ) -> Held<'a, I::Item, W::Result> {
        held.state.ask(1);
        drop(held);
        let mut item = None;
        let answer = self.ask(1, |number, taken| item = Some((number, taken)));
        let mut held = self.hold();
        held.asked(1, answer);
        self.compute_on_this_thread(held, item)
    }

    fn compute_on_this_thread<'a>(
        &'a self,
        mut held: Held<'a, I::Item, W::Result>,
        item: Option<(u64, I::Item)>,
    ) -> Held<'a, I::Item, W::Result> {
        let Some((number, item)) = item else {
            return held;
        };
        held.state.compute(1);
        drop(held);
        let began = now();
        let mut worker = self.work.enter();
        let result = self.work.call(&mut worker, item);
        self.work.leave(worker);
        let spent = now().saturating_duration_since(began).as_nanos();
        let mut held = self.hold();
        held.state.computed(1);
        held.state.learn(spent, 1);
        held.state.put(number, result);
        held
    }
}

/// How long a consumer lets work lie that pumps should do.
///
/// It is not a time but a number of naps, each of which ends with this thread being woken by the
/// system: where wake-ups are slow, because the machine is busy, naps take as much longer as the
/// pump's thread needs to come.
#[derive(Debug)]
struct Patience {
    /// How long the first nap is.
    nap: Duration,
    /// Naps without luck, one after the other.
    naps: u32,
    /// What the pumps had done by then.
    seen: u64,
    /// When the present nap is over.
    due: Option<Instant>,
}

impl Patience {
    fn new(arrival: Duration) -> Self {
        Self {
            nap: 10 * arrival, // long against the time that it usually takes
            naps: 0,
            seen: 0,
            due: None,
        }
    }

    /// How many naps are over in which pumps did nothing. There is work for them now.
    fn naps(&mut self, progress: u64) -> u32 {
        let now = now();
        match self.due {
            Some(due) if self.seen == progress => {
                if due > now {
                    return self.naps;
                }
                self.naps = self.naps.saturating_add(1);
            }
            _ => self.naps = 0,
        }
        self.seen = progress;
        self.due = Some(now + self.nap * (1 << self.naps.min(6)));
        self.naps
    }
}
