//! Dropping the messages of a queue that no handle can receive any more.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use super::super::unfinished::Unfinished;

/// Drops one message after the other. One whose drop panics keeps no other from being dropped, and
/// takes no thread with it that is panicking already, as it would if the panic left a destructor:
/// the first panic goes on when all is done, or ends here.
pub(super) struct Discard<'a> {
    tasks: Option<&'a Unfinished>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<'a> Discard<'a> {
    pub(super) fn new(tasks: Option<&'a Unfinished>) -> Self {
        Self { tasks, panic: None }
    }

    pub(super) fn extend<T>(&mut self, messages: impl IntoIterator<Item = T>) {
        for message in messages {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(message))) {
                self.panic.get_or_insert(payload);
            }
            if let Some(tasks) = self.tasks {
                tasks.lose();
            }
        }
    }

    pub(super) fn finish(self) {
        if let Some(payload) = self.panic
            && !thread::panicking()
        {
            resume_unwind(payload);
        }
    }
}
