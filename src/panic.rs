//! What foreign code throws: caught in one place, kept, dropped where nothing may unwind, and
//! stopped where it must not pass. No other file of this crate catches a panic.
//!
//! A payload is a value of the user's, so its `Drop` can panic as well, with a payload whose `Drop`
//! panics, and so on. Hence two rules, which `tests/layers.rs` checks by the words that they ban
//! elsewhere: what was caught becomes a [`Panic`] at once, whose own drop cannot unwind, and
//! other foreign values that are dropped where nobody could be told go through [`discard`].

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

/// A panic that was caught: its payload, and its message where it has one.
///
/// Dropping it drops the payload. Where the payload's own `Drop` panics, that second panic ends
/// there: the panic hook has reported it.
pub struct Panic(Box<Caught>);

struct Caught {
    message: Option<Cow<'static, str>>,
    /// Behind a lock that no thread ever waits for, so that errors which hold a panic can be shared
    /// between threads. `None` once the payload has been handed on.
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Panic {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let literal = payload.downcast_ref::<&'static str>();
        let text = || payload.downcast_ref::<String>();
        let message = match literal {
            Some(literal) => Some(Cow::Borrowed(*literal)),
            None => text().map(|text| Cow::Owned(text.clone())),
        };
        Self(Box::new(Caught {
            message,
            payload: Mutex::new(Some(payload)),
        }))
    }

    /// What was given to `panic!`, where that is text.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The payload, for a downcast.
    #[must_use]
    pub fn into_payload(mut self) -> Box<dyn Any + Send> {
        // What consumes a panic takes its payload, once.
        self.take().unwrap_or_else(|| Box::new(()))
    }

    /// Goes on with the panic on this thread.
    pub fn resume(self) -> ! {
        resume_unwind(self.into_payload())
    }

    fn take(&mut self) -> Option<Box<dyn Any + Send>> {
        let payload = self.0.payload.get_mut();
        payload.unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        discard(self.take());
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message().unwrap_or("a payload that is not text"))
    }
}

/// Runs foreign code; what it panics with is the error.
pub(crate) fn caught<R>(foreign: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(foreign)).map_err(Panic::new)
}

/// Drops a foreign value where no thread could be told of a panic in its drop. Never unwinds. What the
/// drop throws is dropped in turn, and what that throws; but as there may be no end to it, only so many
/// times, and the last is forgotten.
pub(crate) fn discard<T>(value: T) {
    const TIMES: usize = 4;
    let mut thrown = catch_unwind(AssertUnwindSafe(|| drop(value))).err();
    for _ in 0..TIMES {
        let Some(payload) = thrown else { return };
        thrown = catch_unwind(AssertUnwindSafe(|| drop(payload))).err();
    }
    mem::forget(thrown);
}

/// Ends the process where a panic would unwind through a stretch of code that other threads' use
/// of this stack, or the accounts of what was moved out of it, depend on. [`caught`] stands around
/// all foreign code in such a stretch, so this is for mistakes of this crate.
#[derive(Debug)]
pub(crate) struct NoUnwind(&'static str);

impl NoUnwind {
    /// From here on nothing may unwind until [`end`](Self::end); `what` is what unwound otherwise.
    pub(crate) fn begin(what: &'static str) -> Self {
        Self(what)
    }

    /// From here on things may unwind again.
    pub(crate) fn end(self) {
        mem::forget(self);
    }
}

impl Drop for NoUnwind {
    #[cold]
    fn drop(&mut self) {
        let _ = writeln!(
            std::io::stderr(),
            "scipar: a panic unwound {}: this is a bug of scipar, and going on would be unsound",
            self.0
        );
        std::process::abort();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
