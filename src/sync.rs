//! The one seam between std and loom: what is synchronised by hand takes its primitives from here.

use std::time::Instant;

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{Thread, current, park, yield_now};
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current, park, yield_now};
}

pub(crate) use imp::*;

/// Locks. Whoever panicked with the lock held left nothing half done: no lock of this crate is held while foreign code runs.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits to be notified.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar
        .wait(guard)
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits to be notified, or for the deadline, if there is one; says `false` when it has passed.
pub(crate) fn wait_until<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> (MutexGuard<'a, T>, bool) {
    let Some(deadline) = deadline else {
        return (wait(condvar, guard), true);
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return (guard, false);
    }
    let (guard, _) = condvar
        .wait_timeout(guard, left)
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    (guard, true)
}

/// Moments to look again at what may be there any time, before falling asleep: `times` runs of some microseconds, each with longer and longer
/// pauses and then turns for other threads.
pub(crate) fn looks(times: u32) -> impl Iterator<Item = ()> {
    /// Models have no time.
    const ROUNDS: u32 = if cfg!(loom) { 0 } else { 11 };
    (0..times).flat_map(|_| 0..ROUNDS).map(|round| match round {
        0..=6 => (0..1 << round).for_each(|_| spin_loop()),
        _ => yield_now(),
    })
}
