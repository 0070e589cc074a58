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
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A panic that was caught: its payload, and its message where it has one.
///
/// Dropping it drops the payload. Where the payload's own `Drop` panics, that second panic ends
/// there: the panic hook has reported it, and its payload is never dropped (text excepted).
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
        self.take()
            .expect("only what consumes a panic takes its payload")
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

/// Drops a foreign value where no thread could be told of a panic in its drop. Never unwinds: what
/// the drop throws is forgotten, as dropping that could throw again, without end.
pub(crate) fn discard<T>(value: T) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        if thrown.is::<&'static str>() || thrown.is::<String>() {
            drop(thrown); // text drops quietly, and most panics are text
        } else {
            mem::forget(thrown);
        }
    }
}

/// Drops some values that lie side by side, each once, whatever their drops do: a panic goes on when all of
/// them are dropped, further ones end there, and so do all of them where something unwinds already.
/// (The drop of a slice is not enough: at a second panic it ends the process.)
///
/// # Safety
///
/// There are `len` initialised values at `start`, which nothing else reaches and nobody uses again.
#[inline]
#[allow(unsafe_code, reason = "drops values behind a raw pointer")]
pub(crate) unsafe fn drop_each<T>(start: *mut T, len: usize) {
    if !mem::needs_drop::<T>() {
        return;
    }
    let mut rest = Rest { start, len };
    if thread::panicking() {
        return; // `rest` lets nothing out
    }
    while let Some(value) = rest.next() {
        // SAFETY: `rest` gives each value once, and its values are as the caller promises.
        unsafe { ptr::drop_in_place(value) };
    }
}

/// The values of [`drop_each`] that are left.
struct Rest<T> {
    start: *mut T,
    len: usize,
}

impl<T> Rest<T> {
    #[inline]
    fn next(&mut self) -> Option<*mut T> {
        self.len = self.len.checked_sub(1)?;
        let value = self.start;
        self.start = value.wrapping_add(1);
        Some(value)
    }
}

impl<T> Drop for Rest<T> {
    #[inline]
    #[allow(unsafe_code, reason = "drops values behind a raw pointer")]
    fn drop(&mut self) {
        while let Some(value) = self.next() {
            // SAFETY: as in `drop_each`. What was thrown is a `Panic`, whose drop does not unwind.
            drop(caught(|| unsafe { ptr::drop_in_place(value) }));
        }
    }
}

/// A foreign value that is about to be used. Where that does not come about, because something unwinds
/// or stops early, it goes the way of [`discard`].
#[derive(Debug)]
pub(crate) struct Held<T>(Option<T>);

impl<T> Held<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    #[inline]
    pub(crate) fn into_inner(mut self) -> T {
        self.take()
    }

    /// Makes another value of it. If that unwinds, there is none.
    #[inline]
    pub(crate) fn update(&mut self, f: impl FnOnce(T) -> T) {
        let value = self.take();
        self.0 = Some(f(value));
    }

    #[inline]
    fn take(&mut self) -> T {
        let value = self.0.take();
        value.expect("it is there until something unwinds")
    }
}

impl<T> Drop for Held<T> {
    #[inline]
    fn drop(&mut self) {
        if mem::needs_drop::<T>()
            && let Some(value) = self.0.take()
        {
            discard(value);
        }
    }
}

/// Some of these.
#[derive(Debug)]
pub(crate) struct HeldVec<T>(Vec<T>);

impl<T> HeldVec<T> {
    #[inline]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Adds values. Where their iterator unwinds, those that it has given are kept.
    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = T>) {
        self.0.extend(values);
    }

    #[inline]
    pub(crate) fn into_inner(mut self) -> Vec<T> {
        mem::take(&mut self.0)
    }
}

impl<T> Drop for HeldVec<T> {
    #[inline]
    fn drop(&mut self) {
        while let Some(value) = self.0.pop() {
            discard(value);
        }
    }
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
