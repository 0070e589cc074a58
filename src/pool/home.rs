//! Which pool a thread and a task belong to, and how threads of pools wait: by doing themselves
//! what they wait for.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use super::tally::{OUTSIDE, Shift, Tally, line_of};
use crate::error::JoinError;
use crate::fork;

thread_local! {
    /// The house of this thread and its line there; `None` for threads of no pool.
    static SEAT: Cell<Option<(&'static House, usize)>> = const { Cell::new(None) };
    /// The tasks on this thread's stack: their houses, and the shifts that they are counted in.
    static RUNNING: RefCell<Vec<(&'static House, Shift)>> = const { RefCell::new(Vec::new()) };
}

/// What the threads and the tasks of one pool share.
///
/// It is never freed, but let again to other pools, so that tasks can refer to it without a count
/// of references that all of them would write to: that would cost more than all the rest of a small
/// task. A house is let again when the pool and its threads are gone and no task that was counted
/// in it is open ([`Tally::close`]); only tasks that are not over look into it.
#[derive(Debug)]
struct House {
    /// Set when no task is to run that has not started.
    abandoned: AtomicBool,
    tally: Tally,
}

/// Houses without a pool.
static VACANT: Mutex<Vec<&'static House>> = Mutex::new(Vec::new());

/// `None` in a fork of a process one of whose threads was at it: it has no such thread to go on.
fn vacant() -> Option<MutexGuard<'static, Vec<&'static House>>> {
    if fork::is_fork() {
        return match VACANT.try_lock() {
            Ok(houses) => Some(houses),
            Err(TryLockError::Poisoned(houses)) => Some(houses.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
    }
    Some(VACANT.lock().unwrap_or_else(PoisonError::into_inner))
}

impl House {
    fn let_again(&'static self) {
        self.abandoned.store(false, Ordering::Relaxed);
        // One that cannot be put back stays empty: some memory, in a fork.
        if let Some(mut houses) = vacant() {
            houses.push(self);
        }
    }
}

/// Keeps a house for a pool and its threads: the last one that is dropped gives it up.
#[derive(Debug)]
pub(super) struct Lease(Home);

impl Lease {
    /// A home for threads that are about to be started.
    pub(super) fn new() -> Arc<Self> {
        let house = vacant().and_then(|mut houses| houses.pop());
        let house = house.unwrap_or_else(|| {
            Box::leak(Box::new(House {
                abandoned: AtomicBool::new(false),
                tally: Tally::new(),
            }))
        });
        Arc::new(Self(Home {
            house: Some(house),
            process: fork::generation(),
        }))
    }

    pub(super) fn home(&self) -> &Home {
        &self.0
    }

    /// Makes this thread one of the home's, the `index`-th, until the answer is dropped.
    pub(super) fn settle(self: Arc<Self>, index: usize) -> Settled {
        SEAT.set(self.0.house.map(|house| (house, line_of(index))));
        Settled(self)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(house) = self.0.house
            && !self.0.is_elsewhere()
            && house.tally.close()
        {
            house.let_again();
        }
    }
}

/// A thread of a pool, for as long as it runs.
#[derive(Debug)]
pub(super) struct Settled(#[expect(dead_code, reason = "is there to be dropped")] Arc<Lease>);

impl Drop for Settled {
    fn drop(&mut self) {
        SEAT.set(None);
    }
}

/// The threads of one pool, in one process; none for a pool without threads.
#[derive(Clone, Default)]
pub(super) struct Home {
    house: Option<&'static House>,
    process: u32,
}

impl Home {
    /// Whether this thread is one of the home's.
    pub(super) fn is_here(&self) -> bool {
        let seat = SEAT.get();
        self.house
            .is_some_and(|own| seat.is_some_and(|(house, _)| ptr::eq(house, own)))
    }

    /// Whether a wait for all of the home's tasks would wait for this thread: it is one of the
    /// home's, or runs one of its tasks.
    pub(super) fn is_waited_for_here(&self) -> bool {
        self.is_here() || self.house.is_some_and(|own| shift_of(own).is_some())
    }

    /// Whether the threads are those of another process, of which this one is a fork.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.house.is_some() && self.process != fork::generation()
    }

    /// From now on no task runs that has not started.
    pub(super) fn abandon(&self) {
        if let Some(house) = self.house {
            house.abandoned.store(true, Ordering::Relaxed);
        }
    }

    /// Whether no task is to run that has not started.
    pub(super) fn is_abandoned(&self) -> bool {
        self.house
            .is_some_and(|house| house.abandoned.load(Ordering::Relaxed))
    }

    /// Counts a task of the home's as given.
    pub(super) fn begin(&self) -> Shift {
        let Some(own) = self.house else {
            return 0;
        };
        own.tally.begin(line_at(own), shift_of(own))
    }

    /// Counts a task of the home's as over.
    pub(super) fn end(&self, shift: Shift) {
        if let Some(own) = self.house
            && own.tally.end(line_at(own), shift)
            && !self.is_elsewhere() // the waiting thread is in another process, perhaps with the lock
            && own.tally.tell()
        {
            own.let_again();
        }
    }

    /// Notes that this thread runs a task of the home's, until the answer is dropped.
    pub(super) fn running(&self, shift: Shift) -> Running {
        let push = |house| RUNNING.try_with(|running| running.borrow_mut().push((house, shift)));
        Running(self.house.is_some_and(|house| push(house).is_ok()))
    }

    /// Waits until the tasks are over that were given before, and those that they gave in turn;
    /// says `false` when the deadline came first.
    pub(super) fn wait_idle(&self, deadline: Option<Instant>) -> bool {
        self.house.is_none_or(|house| house.tally.wait(deadline))
    }

    /// Waits until all tasks are over, where no more are given.
    pub(super) fn wait_empty(&self) {
        if let Some(house) = self.house {
            house.tally.wait_empty();
        }
    }

    /// Waits for what the home's threads will bring about. `ready` gives the result if it is there; `sleep` waits for it until the
    /// deadline. `work` does a part of what is waited for, if there is one that nobody has begun, and says whether there was.
    ///
    /// On a thread of a pool, whichever it is, `work` comes before sleeping. That is all the work it does meanwhile: with other work
    /// on top of its stack it could end up waiting for what lies below. So whoever waits for each other without a cycle does not
    /// deadlock: a stack is a chain of what waits for what.
    pub(super) fn wait<T>(
        &self,
        ready: impl Fn() -> Option<T>,
        mut work: impl FnMut() -> bool,
        sleep: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, JoinError> {
        let elsewhere = self.is_elsewhere();
        if !elsewhere && !is_on_a_pool() {
            return Ok(sleep());
        }
        loop {
            if let Some(result) = ready() {
                return Ok(Some(result));
            }
            if !work() {
                break;
            }
        }
        if elsewhere {
            return Err(JoinError::Forked); // what runs there never comes
        }
        Ok(sleep())
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// A task on this thread's stack, until this is dropped.
pub(super) struct Running(bool);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0 {
            let _ = RUNNING.try_with(|running| running.borrow_mut().pop());
        }
    }
}

/// The shift of the innermost task of a house that runs on this thread. None where this thread is
/// ending, so far that what it keeps for itself is gone.
fn shift_of(own: &'static House) -> Option<Shift> {
    let innermost = |running: &RefCell<Vec<(&'static House, Shift)>>| {
        let running = running.borrow();
        let mut inner = running.iter().rev();
        let found = inner.find(|(house, _)| ptr::eq(*house, own));
        found.map(|(_, shift)| *shift)
    };
    RUNNING.try_with(innermost).ok().flatten()
}

/// Where this thread counts tasks of a house.
fn line_at(own: &'static House) -> usize {
    match SEAT.get() {
        Some((house, line)) if ptr::eq(house, own) => line,
        _ => OUTSIDE,
    }
}

/// Whether this thread is one of any pool's.
pub(super) fn is_on_a_pool() -> bool {
    SEAT.get().is_some()
}
