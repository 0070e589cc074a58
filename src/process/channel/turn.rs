//! What one thread at a time uses, while no lock is held.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

/// A value that is taken to be used and put back, so that foreign code which runs meanwhile finds
/// out that it is in use, instead of waiting for itself.
#[derive(Debug)]
pub(super) struct Turn<T> {
    state: Mutex<State<T>>,
    back: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// In a box, as it goes back and forth. `None` while a thread has it.
    value: Option<Box<T>>,
    holder: Option<ThreadId>,
    waiting: usize,
}

/// How long a thread waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    No,
    Until(Instant),
    ForEver,
}

impl From<Option<Instant>> for Wait {
    fn from(until: Option<Instant>) -> Self {
        until.map_or(Wait::ForEver, Wait::Until)
    }
}

/// Why a thread cannot have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// This thread has it: to wait would be for ever.
    Here,
    /// Another one has had it for as long as this one would wait.
    Elsewhere,
}

impl<T> Turn<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            state: Mutex::new(State {
                value: Some(Box::new(value)),
                holder: None,
                waiting: 0,
            }),
            back: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it when no other thread has it.
    pub(super) fn take(&self, wait: Wait) -> Result<Taken<'_, T>, Busy> {
        let own = thread::current().id();
        let mut state = self.state();
        loop {
            if let Some(value) = state.value.take() {
                state.holder = Some(own);
                return Ok(Taken {
                    turn: self,
                    value: Some(value),
                });
            }
            if state.holder == Some(own) {
                return Err(Busy::Here);
            }
            let left = match wait {
                Wait::No => return Err(Busy::Elsewhere),
                Wait::ForEver => None,
                Wait::Until(until) => match until.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return Err(Busy::Elsewhere),
                },
            };
            state.waiting += 1;
            state = match left {
                None => self
                    .back
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let woken = self.back.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.waiting -= 1;
        }
    }
}

/// What this thread has taken; it goes back when this is dropped, by a panic as well.
#[derive(Debug)]
pub(super) struct Taken<'a, T> {
    turn: &'a Turn<T>,
    value: Option<Box<T>>,
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
            .as_ref()
            .expect("it goes back when this is dropped")
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
            .as_mut()
            .expect("it goes back when this is dropped")
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut state = self.turn.state();
        state.value = self.value.take();
        state.holder = None;
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.turn.back.notify_one();
        }
    }
}
