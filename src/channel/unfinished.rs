//! How much of what was sent is done.

#[cfg(not(loom))]
use std::convert::Infallible;
use std::time::Instant;

#[cfg(not(loom))]
use super::interrupt;
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, lock, wait_until};

/// How many tasks were sent and are not done, and how many were lost.
#[derive(Debug)]
pub(super) struct Unfinished {
    count: AtomicUsize,
    /// Tasks that no receiver was left for. Not counted in `count` any more.
    lost: AtomicUsize,
    /// Held by a thread that waits, between looking at the count and falling asleep, and by the one
    /// that makes it zero before it wakes the others.
    lock: Mutex<Waiting>,
    zero: Condvar,
}

/// For those who wait on threads that can be interrupted: disconnected when the count is zero.
#[derive(Debug, Default)]
struct Waiting {
    #[cfg(not(loom))]
    event: Option<(
        crossbeam_channel::Sender<Infallible>,
        crossbeam_channel::Receiver<Infallible>,
    )>,
}

/// How a wait for all tasks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Finished,
    /// The time was over.
    Late,
    /// The worker that waits was asked to stop.
    #[cfg_attr(loom, allow(dead_code, reason = "a model has no workers"))]
    Stopped,
}

impl Unfinished {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            lock: Mutex::new(Waiting::default()),
            zero: Condvar::new(),
        }
    }

    pub(super) fn begin(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// What happened before is seen by a thread that [`join`](Self::join)s.
    pub(super) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiting = std::mem::take(&mut *lock(&self.lock));
            self.zero.notify_all();
            drop(waiting);
        }
    }

    /// As [`end`](Self::end), of a task that was not done.
    pub(super) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.end();
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::Acquire)
    }

    /// Waits until nothing is unfinished, or the deadline.
    pub(super) fn join(&self, deadline: Option<Instant>) -> Joined {
        if self.count() == 0 {
            return Joined::Finished;
        }
        let mut guard = lock(&self.lock);
        while self.count() != 0 {
            let in_time;
            (guard, in_time) = wait_until(&self.zero, guard, deadline);
            if !in_time {
                return Joined::Late;
            }
        }
        Joined::Finished
    }

    /// As [`join`](Self::join), or until a stop that this thread is told of.
    pub(super) fn join_interruptible(&self, deadline: Option<Instant>) -> Joined {
        #[cfg(not(loom))]
        if interrupt::is_possible() {
            loop {
                let event = {
                    let mut waiting = lock(&self.lock);
                    if self.count() == 0 {
                        return Joined::Finished;
                    }
                    let new = || crossbeam_channel::bounded(0);
                    waiting.event.get_or_insert_with(new).1.clone()
                };
                match interrupt::wait(&event, deadline) {
                    interrupt::Woken::ByEvent => {}
                    interrupt::Woken::ByStop => return Joined::Stopped,
                    interrupt::Woken::Late => return Joined::Late,
                }
            }
        }
        self.join(deadline)
    }
}

#[cfg(all(test, loom))]
mod tests;
