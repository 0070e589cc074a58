//! Which pool a thread belongs to, and how threads of pools wait: by doing themselves what they wait for.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::JoinError;
use crate::fork;

thread_local! {
    /// The home of this thread; 0 for threads of no pool.
    static HOME: Cell<u64> = const { Cell::new(0) };
    /// Set when this thread is to run no task that has not started. The thread's and not the tasks': a count of references that all
    /// tasks share would cost more than all the rest of a small task.
    static ABANDONED: OnceCell<Arc<AtomicBool>> = const { OnceCell::new() };
}

/// The threads of one pool, in one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Home {
    number: u64,
    process: u32,
}

impl Home {
    /// A home for threads that are about to be started.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            process: fork::generation(),
        }
    }

    /// Makes this thread one of the home's, for good. It runs no task any more when `abandoned` is set.
    pub(super) fn settle(&self, abandoned: Arc<AtomicBool>) {
        HOME.set(self.number);
        let _ = ABANDONED.with(|mine| mine.set(abandoned));
    }

    /// Whether this thread is one of the home's.
    pub(super) fn is_here(&self) -> bool {
        self.number != 0 && HOME.get() == self.number
    }

    /// Whether the threads are those of another process, of which this one is a fork.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.number != 0 && self.process != fork::generation()
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

/// Whether this thread is to run no task that has not started.
pub(super) fn is_abandoned() -> bool {
    ABANDONED.with(|mine| {
        mine.get()
            .is_some_and(|abandoned| abandoned.load(Ordering::Relaxed))
    })
}

/// Whether this thread is one of any pool's, a plain one of rayon's included.
pub(super) fn is_on_a_pool() -> bool {
    HOME.get() != 0 || rayon::current_thread_index().is_some()
}
