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

/// A value that threads use one after the other, without a lock that is held while they do: foreign
/// code that runs on it can do what it likes, even come back here, and finds the slot empty.
#[derive(Debug)]
pub(crate) struct Slot<T>(Mutex<Option<Box<T>>>);

impl<T> Slot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Some(Box::new(value))))
    }

    /// The value, if no thread has it now. It is put back when the answer is dropped.
    pub(crate) fn take(&self) -> Option<Taken<'_, T>> {
        let value = lock(&self.0).take()?;
        Some(Taken {
            slot: self,
            value: Some(value),
        })
    }
}

/// The value of a [`Slot`], until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a, T> {
    slot: &'a Slot<T>,
    /// `None` only while it is being put back.
    value: Option<Box<T>>,
}

impl<T> std::ops::Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until the drop")
    }
}

impl<T> std::ops::DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is there until the drop")
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        *lock(&self.slot.0) = self.value.take();
    }
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
