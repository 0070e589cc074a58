//! Runs a job: the caller first, with helpers as soon as they pay. The decisions are those of
//! [`schedule`](crate::schedule); here are the threads, the clock and the panics.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::chunking::Chunking;
use crate::panic::{NoUnwind, Panic, caught};
use crate::pool::{Call, Pool, with_helpers};
use crate::schedule::{Dispenser, Hand, Key, Lead, Nanos, Sites, Step, Tick, Wake};

/// What a worker and a job tell each other while some units are run.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    /// The index of the item that the worker is at, where it stops early or unwinds.
    pub(crate) at: Cell<usize>,
    /// The index of an item that failed, so that none behind it needs to be run; [`NONE_FAILED`].
    failed: &'a AtomicUsize,
    /// Items that take about as long as the longest chunk should: a worker looks at
    /// [`is_over`](Self::is_over) as often.
    pub(crate) stretch: Cell<usize>,
}

/// No item has failed so far.
const NONE_FAILED: usize = usize::MAX;

impl<'a> Visit<'a> {
    fn new(failed: &'a AtomicUsize) -> Self {
        Self {
            at: Cell::new(NONE_FAILED),
            failed,
            stretch: Cell::new(usize::MAX),
        }
    }

    /// Whether the item `index`, and those behind it, need not be run any more. Those before it are: the
    /// lowest failure wins.
    #[inline]
    pub(crate) fn is_over(&self, index: usize) -> bool {
        index > self.failed.load(Ordering::Relaxed)
    }
}

/// Work in numbered units. The engine is compiled once, for all jobs: what is generic, the loop over the
/// items of some units, is in the job.
pub(crate) trait Job: Sync {
    /// What a worker has while it takes part. It is made, used and dropped on that worker's thread.
    type Local;

    /// Has worker `seat` take part, the caller being 0: calls `work` once with what the worker has, or not
    /// at all where it has nothing to work with. Says whether the others are to go on. Does not
    /// unwind, unless `work` does. No two threads have the same seat.
    fn attend(&self, seat: usize, work: impl FnOnce(&mut Self::Local)) -> Flow;

    /// Runs some units. Where it stops early or unwinds, it leaves the index of the item it was at in
    /// `visit`.
    ///
    /// However it ends, by running all units, by stopping early or by unwinding, an implementation has
    /// taken all items of `units` from its input, and has given all their places to `fill` or `skip` of
    /// its output: its own [`close`](Self::close) says so to both of them.
    ///
    /// # Safety
    ///
    /// 1. `units` lies within the job's units.
    /// 2. No unit is run twice.
    ///
    /// Not to be `#[inline]`: its address is the call site's name, and an inlined function has an address in every
    /// place that asks.
    #[allow(unsafe_code, reason = "declares what the buffers rely on")]
    unsafe fn run(&self, local: &mut Self::Local, units: Range<usize>, visit: &Visit<'_>) -> Flow;

    /// Says which units were given to `run`: exactly `0..handed`. Called once.
    ///
    /// # Safety
    ///
    /// What it says is true by the time the job is dropped or looked at.
    #[allow(unsafe_code, reason = "declares what the buffers rely on")]
    unsafe fn close(&self, handed: usize);
}

/// A job whose type is not known to the engine.
#[allow(unsafe_code, reason = "passes the obligations of `Job` on")]
trait AnyJob: Sync {
    /// As [`Job::attend`].
    fn attend(&self, seat: usize, work: &mut dyn FnMut(&mut dyn Part)) -> Flow;

    /// As [`Job::close`].
    unsafe fn close(&self, handed: usize);
}

/// One worker's part in a job.
#[allow(unsafe_code, reason = "passes the obligations of `Job` on")]
trait Part {
    /// As [`Job::run`].
    unsafe fn run(&mut self, units: Range<usize>, visit: &Visit<'_>) -> Flow;
}

#[allow(unsafe_code, reason = "passes the obligations of `Job` on")]
impl<J: Job> AnyJob for J {
    fn attend(&self, seat: usize, work: &mut dyn FnMut(&mut dyn Part)) -> Flow {
        Job::attend(self, seat, |local| work(&mut (self, local)))
    }

    unsafe fn close(&self, handed: usize) {
        // SAFETY: the obligation is the same.
        unsafe { Job::close(self, handed) };
    }
}

#[allow(unsafe_code, reason = "passes the obligations of `Job` on")]
impl<J: Job> Part for (&J, &mut J::Local) {
    unsafe fn run(&mut self, units: Range<usize>, visit: &Visit<'_>) -> Flow {
        // SAFETY: the obligations are the same.
        unsafe { self.0.run(self.1, units, visit) }
    }
}

/// How a worker goes on after some units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// With the next ones.
    Go,
    /// Not at all: no item behind the one that the visit is at needs to be run.
    Stop,
}

/// Rounds that a caller spins for its helpers' last chunks before it sleeps.
const SPINS: u32 = 2_000;

/// Of this many plain loops that need no look at the clock, one looks.
const SAMPLE: u32 = 16;

/// Says if a call is the plain serial loop because it was asked to be, or has nobody to share with.
#[inline]
pub(crate) fn is_serial(pool: &Pool, chunking: Chunking, len: usize) -> bool {
    len < 2 || chunking.is_serial() || pool.max_helpers() == 0
}

/// A call that is a plain loop on the caller's thread.
#[must_use = "what it took is learned when it has `ended`"]
pub(crate) struct PlainLoop<'a>(Option<Watch<'a>>);

/// Learns what the items of a site cost.
struct Watch<'a> {
    pool: &'a Pool,
    key: Key,
    items: usize,
    began: Nanos,
}

impl PlainLoop<'_> {
    /// All items were run. A loop that stopped early or unwound teaches nothing: it is not known here how
    /// many it came to.
    #[inline]
    pub(crate) fn ended(self) {
        if let Some(watch) = self.0 {
            watch.learn();
        }
    }
}

impl Watch<'_> {
    #[cold]
    fn learn(self) {
        let took = (self.pool.now() - self.began) as f64;
        let mut learned = self.pool.sites.recall(self.key);
        let short = took <= 2.0 * self.pool.tick().negligible();
        learned.learn(took / self.items as f64, short);
        self.pool.sites.note(self.key, learned);
    }
}

/// Says if a call is a plain loop because it is known to be so short that no helper would be woken; if it is too short for even one look at the clock, nobody looks. `J` names the call site.
#[inline]
pub(crate) fn plain_loop<J: Job>(pool: &Pool, len: usize) -> Option<PlainLoop<'_>> {
    let key = key::<J>();
    let known = pool.sites.recall(key);
    let predicted = f64::from(known.cost) * len as f64;
    if predicted == 0.0 {
        return None;
    }
    if known.is_short() && predicted <= pool.tick().negligible() && !is_sample() {
        return Some(PlainLoop(None));
    }
    let began = pool.now();
    let wake = pool.wakes.expect(pool.idle(began));
    // Twice the prediction leaves room for dearer items: only the last of them would be looked at anyway.
    if wake.helpers_for(2.0 * predicted, len, pool.max_helpers(), 1.0) > 0 {
        return None;
    }
    Some(PlainLoop(Some(Watch {
        pool,
        key,
        items: len,
        began,
    })))
}

/// The address of a function compiled for this job's type names the call site.
#[inline]
fn key<J: Job>() -> Key {
    Sites::key(J::run as *const () as usize)
}

/// Whether this call is the one in some that looks at the clock although the others do not.
#[inline]
fn is_sample() -> bool {
    thread_local! { static CALLS: Cell<u32> = const { Cell::new(0) } }
    CALLS.with(|calls| {
        calls.set(calls.get().wrapping_add(1));
        calls.get() % SAMPLE == 0
    })
}

/// A panic and the index of the item that it came from.
pub(crate) struct Fault {
    pub(crate) index: usize,
    pub(crate) panic: Panic,
}

impl Fault {
    /// Goes on with the panic.
    pub(crate) fn resume(self) -> ! {
        self.panic.resume()
    }
}

/// Runs `units` of `job`, which are `items` items, with the workers of `pool`: the caller first, with helpers as soon as
/// they pay. `Err` is the panic at the lowest index, after everybody has stopped.
///
/// Every unit before a failing one is run, whoever fails: the dispenser hands out in order, and what is
/// handed out is finished.
#[inline]
pub(crate) fn drive<J: Job>(pool: &Pool, units: usize, items: usize, job: &J) -> Result<(), Fault> {
    drive_job(pool, pool.max_helpers(), units, items, job, key::<J>())
}

/// As [`drive`], with fewer helpers than the pool has.
#[inline]
pub(crate) fn drive_with<J: Job>(
    pool: &Pool,
    max_helpers: usize,
    units: usize,
    items: usize,
    job: &J,
) -> Result<(), Fault> {
    drive_job(
        pool,
        max_helpers.min(pool.max_helpers()),
        units,
        items,
        job,
        key::<J>(),
    )
}

/// How the caller's first phase, alone, ended.
enum Alone {
    /// Nothing is left.
    Finished,
    /// Nothing that is left needs to be run.
    Stopped,
    /// The rest is worth so many helpers.
    Together(usize),
}

#[allow(unsafe_code, reason = "says how many units were handed out")]
fn drive_job(
    pool: &Pool,
    max_helpers: usize,
    units: usize,
    items: usize,
    job: &dyn AnyJob,
    key: Key,
) -> Result<(), Fault> {
    assert!(
        isize::try_from(units).is_ok(),
        "at most `isize::MAX` chunks"
    );
    // Until the job is closed, what was handed out is accounted for by this frame alone: were it lost,
    // items that closures own would be dropped again.
    let accounts = NoUnwind::begin("the accounts of a parallel call");
    let max_helpers = max_helpers
        .min(units.saturating_sub(1))
        .min(Dispenser::MOST_WORKERS - 1);
    let known = pool.sites.recall(key);
    // Experience is kept per item, so that it holds for any chunking; the schedule counts in units.
    let per_unit = items as f64 / units.max(1) as f64;
    let tick = pool.tick();
    let none_failed = AtomicUsize::new(NONE_FAILED);
    let visit = Visit::new(&none_failed);
    let mut led = None;
    let mut lead = |part: &mut dyn Part| {
        let began = pool.now();
        let idle = pool.idle(began);
        let wake = pool.wakes.expect(idle);
        let known = known.scaled(per_unit);
        let mut lead = Lead::new(units, max_helpers, wake, tick, known, began);
        let alone = caught(|| lead_alone(pool, &mut lead, began, part, &visit));
        let shared = match alone {
            Ok(Alone::Together(helpers)) => {
                let run = Run {
                    pool,
                    job,
                    dispenser: Dispenser::new(lead.done(), units),
                    failed: AtomicUsize::new(NONE_FAILED),
                    fault: Mutex::new(None),
                    cost: lead.cost(),
                    per_unit,
                    tick,
                    helpers: AtomicUsize::new(helpers),
                    uncalled: AtomicUsize::new(0),
                    first_help: AtomicU64::new(Nanos::MAX),
                    busy: AtomicU64::new(0),
                    timed: AtomicUsize::new(0),
                };
                let seen = run.together(part, wake, helpers, max_helpers);
                Some((run, seen, pool.now()))
            }
            _ => None,
        };
        led = Some((began, idle, lead, alone, shared));
    };
    if units > 0 {
        job.attend(0, &mut lead);
    }
    let Some((began, idle, lead, alone, shared)) = led else {
        // There is nothing to do, or nothing to do it with.
        // SAFETY: nothing was handed out, and nothing will be.
        unsafe { job.close(0) };
        accounts.end();
        return Ok(());
    };
    let Some((run, seen, ended)) = shared else {
        // SAFETY: these units were handed out above, and no others will be.
        unsafe { job.close(lead.done()) };
        accounts.end();
        let stopped = match alone {
            Ok(alone) => !matches!(alone, Alone::Finished),
            Err(panic) => {
                let index = visit.at.get();
                return Err(Fault { index, panic });
            }
        };
        if lead.close_call() {
            pool.wakes.doubt(idle);
        }
        // Of a stretch that stopped early it is not known how many items it came to.
        if lead.timed() > 0 {
            let mut learned = known;
            learned.learn(
                lead.spent() / (lead.timed() as f64 * per_unit),
                !stopped && lead.spent() <= 2.0 * tick.negligible(),
            );
            pool.sites.note(key, learned);
        }
        return Ok(());
    };

    // SAFETY: the lead handed out the first units, the dispenser the others up to there, and everybody has stopped.
    unsafe { job.close(run.dispenser.handed()) };
    accounts.end();
    if let Some(fault) = run
        .fault
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        return Err(fault);
    }

    let first_help = run.first_help.into_inner();
    let arrival = first_help.min(ended).saturating_sub(seen.called_at) as f64;
    pool.wakes.learn(
        idle,
        Wake {
            cost: seen.wake_cost,
            arrival,
        },
    );
    if first_help != Nanos::MAX {
        pool.note_help(ended);
    }
    // Time and units of chunks that ran to their ends: those of a run that stops early are not all.
    let work = lead.spent() + run.busy.into_inner() as f64;
    let timed = lead.timed() + run.timed.into_inner();
    if timed > 0 {
        let mut learned = known;
        learned.learn(work / (timed as f64 * per_unit), false);
        if run.failed.into_inner() == NONE_FAILED {
            learned.judge((ended - began) as f64 <= work);
        }
        pool.sites.note(key, learned);
    }
    Ok(())
}

/// The caller's first phase: it works alone until nothing is left or the rest is worth helpers.
#[allow(unsafe_code, reason = "hands units to the caller")]
fn lead_alone(
    pool: &Pool,
    lead: &mut Lead,
    began: Nanos,
    part: &mut dyn Part,
    visit: &Visit<'_>,
) -> Alone {
    let mut now = began;
    let mut asked = 0.0;
    loop {
        let range = match lead.next(now) {
            Step::Alone(range) => range,
            Step::Together { helpers } => {
                let alone = lead.spent() - asked;
                if pool.is_ready(alone) {
                    return Alone::Together(helpers);
                }
                asked += alone;
                lead.once_more()
            }
            Step::Finished => return Alone::Finished,
        };
        // SAFETY: the lead hands out every unit once, in order, to this thread.
        if unsafe { part.run(range, visit) } == Flow::Stop {
            return Alone::Stopped;
        }
        now = pool.now();
    }
}

/// A job that is being shared.
struct Run<'a> {
    pool: &'a Pool,
    job: &'a dyn AnyJob,
    dispenser: Dispenser,
    /// The lowest index of an item that failed, or at which the job had what it wants. No worker takes
    /// another chunk then.
    failed: AtomicUsize,
    /// The panic with the lowest index so far.
    fault: Mutex<Option<Fault>>,
    /// What a worker believes of the cost of a unit when it begins.
    cost: Option<f64>,
    /// Items per unit.
    per_unit: f64,
    tick: Tick,
    /// Helpers that the work is worth, by present knowledge: those among whom the rest is shared.
    helpers: AtomicUsize,
    /// Helpers that are wanted and have not been called yet.
    uncalled: AtomicUsize,
    /// When the first helper began.
    first_help: AtomicU64,
    /// Nanoseconds that all workers spent on chunks that they carried out, and the units of these.
    busy: AtomicU64,
    timed: AtomicUsize,
}

/// What the caller saw of its helpers' coming.
struct Seen {
    called_at: Nanos,
    /// The caller's own time per wake-up, in nanoseconds.
    wake_cost: f64,
}

/// Helpers that one worker wakes at most; they wake further ones.
const FAN_OUT: usize = 2;

impl Run<'_> {
    /// Shares the rest of the job with `helpers` others, and with more if the work turns out longer.
    fn together(
        &self,
        part: &mut dyn Part,
        wake: Wake,
        helpers: usize,
        max_helpers: usize,
    ) -> Seen {
        let work = |seat: usize, call: &Call| {
            let _counted = self.pool.count_cpu();
            self.first_help
                .fetch_min(self.pool.now(), Ordering::Relaxed);
            self.call_up_to(FAN_OUT, call);
            // Whoever comes too late for any item needs nothing to work with.
            if self.goes_on() && self.dispenser.left() > 0 {
                let mut work = |part: &mut dyn Part| self.participate(part, |_| ());
                if self.job.attend(seat, &mut work) == Flow::Stop {
                    self.fail(0);
                }
            }
        };
        with_helpers(&work, SPINS, |call| {
            let called_at = self.pool.now();
            let _placed = self.pool.place();
            self.uncalled.store(helpers, Ordering::Relaxed);
            let called = self.call_up_to(FAN_OUT, call);
            let wake_cost = (self.pool.now() - called_at) as f64 / called.max(1) as f64;
            self.participate(part, |hand| {
                // The caller alone asks for more, where the rest turns out to be worth it.
                let wanted = self.helpers.load(Ordering::Relaxed);
                if wanted < max_helpers
                    && let Some(cost) = hand.cost()
                {
                    let left = self.dispenser.left();
                    let more = wake.helpers_for(left as f64 * cost, left, max_helpers, 1.0);
                    if more > wanted {
                        self.helpers.store(more, Ordering::Relaxed);
                        self.uncalled.fetch_add(more - wanted, Ordering::Relaxed);
                        self.call_up_to(FAN_OUT, call);
                    }
                }
            });
            Seen {
                called_at,
                wake_cost,
            }
        })
    }

    /// Calls some of the helpers that are still wanted; says how many.
    fn call_up_to(&self, most: usize, call: &Call) -> usize {
        let mut called = 0;
        while called < most
            && self
                .uncalled
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
        {
            self.pool.send_helper(call);
            called += 1;
        }
        called
    }

    /// Works until nothing is left or somebody has failed. Never unwinds.
    #[allow(unsafe_code, reason = "hands units to one worker")]
    fn participate(&self, part: &mut dyn Part, between: impl Fn(&Hand)) {
        let visit = Visit::new(&self.failed);
        let mut hand = Hand::new(self.cost, self.tick, self.pool.now());
        let worked = caught(|| {
            while self.goes_on() {
                let workers = self.helpers.load(Ordering::Relaxed) + 1;
                let Some(chunk) = hand.next(self.pool.now(), &self.dispenser, workers) else {
                    break;
                };
                visit.stretch.set(self.stretch(hand.cost()));
                // SAFETY: the dispenser hands out every unit once.
                if unsafe { part.run(chunk, &visit) } == Flow::Stop {
                    self.fail(visit.at.get());
                }
                between(&hand);
            }
        });
        self.busy.fetch_add(hand.busy(), Ordering::Relaxed);
        self.timed.fetch_add(hand.timed(), Ordering::Relaxed);
        if let Err(panic) = worked {
            let index = visit.at.get();
            self.fail(index);
            let loser = {
                let mut first = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                match &*first {
                    Some(fault) if fault.index <= index => Some(Fault { index, panic }),
                    _ => first.replace(Fault { index, panic }),
                }
            };
            drop(loser); // the user's payload, so not under the lock; the drop of a panic never unwinds
        }
    }

    /// Whether workers are to take further chunks.
    fn goes_on(&self) -> bool {
        self.failed.load(Ordering::Relaxed) == NONE_FAILED
    }

    /// Notes that no item behind `index` needs to be run.
    fn fail(&self, index: usize) {
        self.failed
            .fetch_min(index.min(NONE_FAILED - 1), Ordering::Relaxed);
    }

    /// Items between two looks at whether another one has failed.
    fn stretch(&self, cost: Option<f64>) -> usize {
        /// Where nothing is known of their cost.
        const UNKNOWN: usize = 64;
        cost.map_or(UNKNOWN, |cost| {
            ((self.tick.longest_chunk() / cost * self.per_unit) as usize).max(1)
        })
    }
}
