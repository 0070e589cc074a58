//! `Claim`: a task that is being worked on.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::super::unfinished::Unfinished;

/// A task of a [`JoinableQueue`](super::JoinableQueue) that is being worked on. It is done when
/// this is dropped.
#[must_use = "a claim that is dropped is done"]
pub struct Claim<'a, T> {
    // Dropped first, so that what a task's own drop does is done as well.
    task: T,
    done: Done<'a>,
}

#[derive(Debug)]
struct Done<'a>(&'a Unfinished);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<'a, T> Claim<'a, T> {
    pub(super) fn new(task: T, unfinished: &'a Unfinished) -> Self {
        Claim {
            task,
            done: Done(unfinished),
        }
    }

    /// Says that the task is done, and gives back the message.
    pub fn done(self) -> T {
        let Claim { task, done } = self;
        drop(done);
        task
    }
}

impl<T: fmt::Debug> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.task).finish()
    }
}

impl<T> Deref for Claim<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.task
    }
}

impl<T> DerefMut for Claim<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.task
    }
}
