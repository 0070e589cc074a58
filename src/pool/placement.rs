//! Where helpers run: anywhere that they may, but not on the caller's core.
//!
//! After an idle time Linux tends to put a woken thread on the core of the thread that woke it, where it waits for
//! a whole time slice although another core is free; a call that should take half the time then takes all of it. So before
//! helpers are woken they are told to keep off the caller's core, if they do not already. It is a soft
//! measure: any other core of the thread's own mask will do, and a thread whose mask another has set is left alone.

#[cfg(target_os = "linux")]
pub(super) use linux::Placement;
#[cfg(not(target_os = "linux"))]
pub(super) use nothing::Placement;

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use rustix::thread::{gettid, sched_getcpu};

    use crate::affinity::{Placed, first_mask};

    /// More threads than this are not told: on a machine with so many cores a woken thread finds another one, and
    /// telling each thread costs system calls.
    const MOST: usize = 16;

    /// No core is avoided.
    const NONE: usize = usize::MAX;

    /// The threads of a pool and the core that they keep off.
    #[derive(Debug)]
    pub(in crate::pool) struct Placement {
        threads: Mutex<Vec<Arc<Placed>>>,
        avoided: AtomicUsize,
        /// Callers whose helpers are at work: the first one decides.
        callers: AtomicUsize,
    }

    impl Placement {
        pub(in crate::pool) fn new() -> Self {
            Self {
                threads: Mutex::new(Vec::new()),
                avoided: AtomicUsize::new(NONE),
                callers: AtomicUsize::new(0),
            }
        }

        /// Called by each thread of the pool when it starts.
        pub(in crate::pool) fn register(&self) {
            if let Some(thread) = Placed::this_thread() {
                let mut threads = self.threads();
                threads.push(Arc::clone(&thread));
                let core = self.avoided.load(Ordering::Relaxed);
                if core != NONE && threads.len() <= MOST {
                    thread.keep_off(Some(core), first_mask());
                }
            }
        }

        /// Keeps the other threads off the core that this thread is on, until [`leave`](Self::leave) at least.
        pub(in crate::pool) fn enter(&self) {
            if self.callers.fetch_add(1, Ordering::Relaxed) == 0 {
                self.avoid(sched_getcpu());
            }
        }

        pub(in crate::pool) fn leave(&self) {
            self.callers.fetch_sub(1, Ordering::Relaxed);
        }

        /// Lets the threads run wherever they might when they were started: for work that has no caller beside it.
        pub(in crate::pool) fn release(&self) {
            self.avoid(NONE);
        }

        fn avoid(&self, core: usize) {
            if self.avoided.load(Ordering::Relaxed) == core {
                return;
            }
            let threads = self.threads();
            self.avoided.store(core, Ordering::Relaxed);
            if threads.len() > MOST {
                return;
            }
            let (own, first) = (gettid(), first_mask());
            for thread in threads.iter().filter(|thread| !thread.is(own)) {
                thread.keep_off((core != NONE).then_some(core), first);
            }
        }

        fn threads(&self) -> MutexGuard<'_, Vec<Arc<Placed>>> {
            self.threads.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    /// Other systems place threads themselves, and have no way to be told.
    #[derive(Debug)]
    pub(in crate::pool) struct Placement;

    impl Placement {
        pub(in crate::pool) fn new() -> Self {
            Self
        }

        pub(in crate::pool) fn register(&self) {}
        pub(in crate::pool) fn enter(&self) {}
        pub(in crate::pool) fn leave(&self) {}
        pub(in crate::pool) fn release(&self) {}
    }
}
