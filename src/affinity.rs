//! The masks of threads: the cores that each may run on.
//!
//! A thread of a pool is kept off some core for a while (`pool/placement.rs`), within the mask that
//! it has by rights: its *base*. What depends on a mask, such as how many workers there are to be,
//! or what mask a thread has that is started there, goes by the base.
//!
//! Masks are the user's: a batch system's binding, `taskset`, a call in `on_start`. So a mask is
//! read again before it is set, and a thread whose mask is not what this crate set last is left
//! alone from then on. Where a whole process is confined to just the cores that a thread of ours
//! was kept to, its mask stays the same; but then the process's first thread has got that mask,
//! too, and had another one.

#[cfg(target_os = "linux")]
pub(crate) use linux::{Placed, adopt, first_mask, pin, unplaced, unplaced_mask};
#[cfg(not(target_os = "linux"))]
pub(crate) use nothing::{adopt, pin, unplaced, unplaced_mask};

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_setaffinity};

    use crate::fork;

    thread_local! {
        /// This thread, if it is one that is placed.
        static OWN: RefCell<Option<Arc<Placed>>> = const { RefCell::new(None) };
    }

    /// The cores that a thread may run on.
    type Cores = CpuSet;

    /// A thread that is kept off a core now and then.
    #[derive(Debug)]
    pub(crate) struct Placed {
        thread: Pid,
        /// The process that has the thread; a fork of it has not.
        process: u32,
        /// What the process's first thread had when this one was started.
        first: Option<Cores>,
        /// `None` once another has set the thread's mask.
        masks: Mutex<Option<Masks>>,
    }

    #[derive(Clone, Copy, Debug)]
    struct Masks {
        base: Cores,
        /// What this crate set last, or found at first.
        last: Cores,
    }

    impl Placed {
        /// This thread, with the mask that it has now as its base.
        pub(crate) fn this_thread() -> Option<Arc<Self>> {
            let base = sched_getaffinity(None).ok()?;
            let masks = Some(Masks { base, last: base });
            let own = Arc::new(Self {
                thread: gettid(),
                process: fork::generation(),
                first: first_mask(),
                masks: Mutex::new(masks),
            });
            let kept = Arc::clone(&own);
            OWN.try_with(|own| own.replace(Some(kept))).ok();
            Some(own)
        }

        pub(crate) fn is(&self, thread: Pid) -> bool {
            self.thread == thread
        }

        /// Lets the thread run on all cores of its base but this one. `first` is the mask that the
        /// process's first thread has now.
        pub(crate) fn keep_off(&self, core: Option<usize>, first: Option<Cores>) {
            let mut masks = self.masks();
            let Some(Masks { base, .. }) = self.untouched(&mut masks, first) else {
                return;
            };
            let mut wanted = base;
            if let Some(core) = core
                && core < Cores::MAX_CPU
                && base.count() > 1
            {
                wanted.unset(core);
            }
            self.set(&mut masks, wanted);
        }

        /// The thread's masks, if they are what this crate knows of them; otherwise they are
        /// another's from now on.
        fn untouched(&self, masks: &mut Option<Masks>, first: Option<Cores>) -> Option<Masks> {
            let known = (*masks)?;
            let now = sched_getaffinity(Some(self.thread)).ok();
            let confined = first != self.first && first == now;
            if now != Some(known.last) || confined || self.process != fork::generation() {
                *masks = None;
            }
            *masks
        }

        fn set(&self, masks: &mut Option<Masks>, wanted: Cores) {
            if let Some(masks) = masks
                && masks.last != wanted
                // A thread that has ended, or a mask that the system no longer allows, is no loss.
                && sched_setaffinity(Some(self.thread), &wanted).is_ok()
            {
                masks.last = wanted;
            }
        }

        fn masks(&self) -> MutexGuard<'_, Option<Masks>> {
            self.masks.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// The mask of the process's first thread, whose number is the process's.
    pub(crate) fn first_mask() -> Option<Cores> {
        let first = Pid::from_raw(i32::try_from(std::process::id()).ok()?)?;
        sched_getaffinity(Some(first)).ok()
    }

    fn own() -> Option<Arc<Placed>> {
        OWN.try_with(|own| own.borrow().clone()).ok().flatten()
    }

    /// The mask that this thread would have if it were not placed; `None` where it is not.
    pub(crate) fn unplaced_mask() -> Option<Cores> {
        let own = own()?;
        let masks = own.untouched(&mut own.masks(), first_mask())?;
        (masks.base != masks.last).then_some(masks.base)
    }

    /// Gives this new thread the mask of the thread that started it, where it inherited another.
    pub(crate) fn adopt(mask: Option<Cores>) {
        if let Some(mask) = mask {
            let _ = sched_setaffinity(None, &mask); // where it is refused the thread stays as it is
        }
    }

    /// Runs `f`, which asks the system for this thread's mask and is not foreign code, as if the
    /// thread were not placed.
    pub(crate) fn unplaced<R>(f: impl FnOnce() -> R) -> R {
        let Some(own) = own() else {
            return f();
        };
        let mut masks = own.masks();
        let Some(Masks { base, last }) = own.untouched(&mut masks, first_mask()) else {
            return f();
        };
        own.set(&mut masks, base);
        let result = f();
        own.set(&mut masks, last);
        result
    }

    /// Pins this thread to one core of its mask, the `index`-th, round and round.
    pub(crate) fn pin(index: usize) {
        let Ok(mask) = sched_getaffinity(None) else {
            return;
        };
        let cores: Vec<usize> = (0..Cores::MAX_CPU)
            .filter(|&core| mask.is_set(core))
            .collect();
        if let Some(&core) = cores.get(index % cores.len().max(1)) {
            let mut one = Cores::new();
            one.set(core);
            // What the system refuses leaves the thread where it was.
            let _ = sched_setaffinity(None, &one);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    //! Other systems place threads themselves, and have no way to be told.

    pub(crate) fn unplaced_mask() -> Option<()> {
        None
    }

    pub(crate) fn adopt(_mask: Option<()>) {}

    pub(crate) fn unplaced<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    pub(crate) fn pin(_index: usize) {}
}
