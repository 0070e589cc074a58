//! Where helpers run: anywhere that the process may, but not on the caller's core.
//!
//! After an idle time Linux tends to put a woken thread on the core of the thread that woke it, where it waits for
//! a whole time slice although another core is free; a call that should take half the time then takes all of it. So before
//! helpers are woken they are told to keep off the caller's core, if they do not already. It is a soft
//! measure: any other core of the thread's own mask will do.

#[cfg(target_os = "linux")]
pub(super) use linux::{Placement, pin};
#[cfg(not(target_os = "linux"))]
pub(super) use nothing::{Placement, pin};

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// More threads than this are not told: on a machine with so many cores a woken thread finds another one, and
    /// telling each thread costs a system call.
    const MOST: usize = 16;

    /// No core is avoided.
    const NONE: usize = usize::MAX;

    /// Pins this thread to one core of its mask, the `index`-th, round and round.
    pub(in crate::pool) fn pin(index: usize) {
        let Ok(mask) = sched_getaffinity(None) else {
            return;
        };
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|&core| mask.is_set(core))
            .collect();
        if let Some(&core) = cores.get(index % cores.len().max(1)) {
            let mut one = CpuSet::new();
            one.set(core);
            // What the system refuses leaves the thread where it was.
            let _ = sched_setaffinity(None, &one);
        }
    }

    /// The threads of a pool and the core that they keep off.
    #[derive(Debug)]
    pub(in crate::pool) struct Placement {
        /// Each thread with the mask that it was started with, which is never left.
        threads: Mutex<Vec<(Pid, CpuSet)>>,
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
            if let Ok(mask) = sched_getaffinity(None) {
                self.threads().push((gettid(), mask));
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
            self.avoided.store(core, Ordering::Relaxed);
            let own = gettid();
            let threads = self.threads();
            if threads.len() > MOST {
                return;
            }
            for (thread, mask) in threads.iter().filter(|(thread, _)| *thread != own) {
                let mut mask = *mask;
                if core < CpuSet::MAX_CPU && mask.count() > 1 {
                    mask.unset(core);
                }
                // A thread that has ended, or a mask that the system no longer allows, is no loss.
                let _ = sched_setaffinity(Some(*thread), &mask);
            }
        }

        fn threads(&self) -> std::sync::MutexGuard<'_, Vec<(Pid, CpuSet)>> {
            self.threads.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    pub(in crate::pool) fn pin(_index: usize) {}

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
