//! What a stream does with an item: calls a closure, with a state of the thread's own or without.

use std::thread::{self, ThreadId};

use crate::panic::{Panic, caught, discard};
use crate::sync::{Mutex, lock};

/// What is done with an item.
pub(super) trait Work<T>: Send + Sync {
    type Result: Send;
    /// What a thread has while it computes.
    type Worker;

    /// This thread begins to compute.
    fn enter(&self) -> Self::Worker;
    fn call(&self, worker: &mut Self::Worker, item: T) -> Result<Self::Result, Panic>;
    /// This thread computes no more for now.
    fn leave(&self, worker: Self::Worker);
    /// Lets go of what threads have left. No thread computes any more.
    fn clear(&self);
}

/// Calls a closure.
pub(super) struct Stateless<F>(pub(super) F);

impl<T, R: Send, F: Fn(T) -> R + Send + Sync> Work<T> for Stateless<F> {
    type Result = R;
    type Worker = ();

    fn enter(&self) {}

    fn call(&self, (): &mut (), item: T) -> Result<R, Panic> {
        caught(|| (self.0)(item))
    }

    fn leave(&self, (): ()) {}

    fn clear(&self) {}
}

/// Calls a closure with a state, of which each thread has one.
pub(super) struct Stateful<S, M, F> {
    make: M,
    f: F,
    left: Mutex<Vec<Left<S>>>,
}

/// What a thread has left; it is in the place of the thread's number.
struct Left<S> {
    thread: ThreadId,
    /// `None` while the thread computes, and before it has made one.
    state: Option<S>,
}

/// A thread's number and state, the latter from its first item on.
pub(super) struct Worker<S> {
    number: usize,
    state: Option<S>,
}

impl<S, M, F> Stateful<S, M, F> {
    pub(super) fn new(make: M, f: F) -> Self {
        Self {
            make,
            f,
            left: Mutex::new(Vec::new()),
        }
    }
}

impl<T, R, S, M, F> Work<T> for Stateful<S, M, F>
where
    R: Send,
    S: Send,
    M: Fn(usize) -> S + Send + Sync,
    F: Fn(&mut S, T) -> R + Send + Sync,
{
    type Result = R;
    type Worker = Worker<S>;

    fn enter(&self) -> Worker<S> {
        let thread = thread::current().id();
        let mut left = lock(&self.left);
        let number = left.iter().position(|left| left.thread == thread);
        let number = number.unwrap_or_else(|| {
            let state = None;
            left.push(Left { thread, state });
            left.len() - 1
        });
        let state = left[number].state.take();
        Worker { number, state }
    }

    fn call(&self, worker: &mut Worker<S>, item: T) -> Result<R, Panic> {
        let state = match &mut worker.state {
            Some(state) => state,
            none => match caught(|| (self.make)(worker.number)) {
                Ok(state) => none.insert(state),
                Err(panic) => {
                    discard(item);
                    return Err(panic);
                }
            },
        };
        caught(|| (self.f)(state, item))
    }

    fn leave(&self, worker: Worker<S>) {
        let mut left = lock(&self.left);
        let place = &mut left[worker.number].state;
        // A closure that consumes its own stream has made a second one on this thread.
        let one_too_many = match place {
            None => std::mem::replace(place, worker.state),
            Some(_) => worker.state,
        };
        drop(left);
        discard(one_too_many);
    }

    fn clear(&self) {
        let states = std::mem::take(&mut *lock(&self.left));
        states.into_iter().for_each(|left| discard(left.state));
    }
}
