//! Threads of a pool that are inside foreign code, and the jobs that are kept off them.
//!
//! Rayon code in a task, or in an item, waits by doing other work of its pool: on top of the stack
//! of that task, and with what it holds. A sibling that wants the same lock would then wait for
//! what lies below it, and one that borrows the same `RefCell` of the thread would panic. So this
//! crate's jobs look where they are: inside of another one they are put off, and done by a thread
//! that is not, or by this one when it is done.

use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::{Mutex, lock};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Jobs of this thread's pool that were put off. The thread's and not the jobs': a count of
    /// references that all jobs share would cost more than all the rest of a small one.
    static PUT_OFF: OnceCell<Arc<PutOff>> = const { OnceCell::new() };
}

type Job = Box<dyn FnOnce() + Send>;

/// The jobs of a pool that were put off.
#[derive(Default)]
pub(super) struct PutOff {
    jobs: Mutex<VecDeque<Job>>,
    /// How many there are, to be looked at without the lock.
    count: AtomicUsize,
}

impl PutOff {
    /// Makes this thread one that does these jobs, for good.
    pub(super) fn settle(self: Arc<Self>) {
        let _ = PUT_OFF.with(|mine| mine.set(self));
    }

    fn push(&self, job: Job) {
        let mut jobs = lock(&self.jobs);
        jobs.push_back(job);
        self.count.store(jobs.len(), Ordering::Release);
    }

    fn pop(&self) -> Option<Job> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut jobs = lock(&self.jobs);
        let job = jobs.pop_front();
        self.count.store(jobs.len(), Ordering::Release);
        job
    }
}

/// This thread is inside foreign code for as long as this lives.
#[derive(Debug)]
pub(crate) struct Inside {
    /// Whether it was before.
    was: bool,
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.was);
    }
}

/// Goes inside, for a caller that runs foreign code itself: what it steals meanwhile is not of this
/// crate.
pub(crate) fn enter() -> Caller {
    Caller(Inside {
        was: INSIDE.replace(true),
    })
}

/// A caller inside of its own call. When it comes out, others are told of what was put off
/// meanwhile: below it on the stack there may be foreign code that is no job of this crate.
#[derive(Debug)]
pub(crate) struct Caller(Inside);

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.0.was
            && PUT_OFF.with(|jobs| {
                jobs.get()
                    .is_some_and(|jobs| jobs.count.load(Ordering::Relaxed) > 0)
            })
        {
            call_others();
        }
    }
}

/// Goes inside, for a job that is as well not done at all: `None` where this thread is inside
/// already.
pub(super) fn enter_if_outside() -> Option<Inside> {
    (!INSIDE.replace(true)).then(|| Inside { was: false })
}

/// Does a job of this thread's pool, and then those that were put off meanwhile; inside of another
/// job it puts it off.
pub(super) fn run(job: impl FnOnce() + Send + 'static) {
    match enter_if_outside() {
        Some(inside) => {
            job();
            drop(inside);
            run_put_off();
        }
        None => {
            let put_off = PUT_OFF.with(|jobs| jobs.get().cloned());
            match put_off {
                Some(jobs) => {
                    jobs.push(Box::new(job));
                    call_others();
                }
                None => job(), // no thread of a pool's
            }
        }
    }
}

/// Does what was put off, unless this thread is inside.
pub(super) fn run_put_off() {
    while let Some(inside) = enter_if_outside() {
        let job = PUT_OFF.with(|jobs| jobs.get().and_then(|jobs| jobs.pop()));
        let Some(job) = job else { return };
        job();
        drop(inside);
    }
}

/// Has each thread of this pool look for what was put off, those that sleep too.
fn call_others() {
    rayon::spawn_broadcast(|_| run_put_off());
}
