//! Helpers at work on what lies on a caller's stack.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::steal::Steal;

/// What helpers do: called once by each of them, with its number, from 1, and the means to call more.
pub(crate) type Work<'a> = dyn Fn(usize, &Call) + Sync + 'a;

/// Some helpers around one piece of work.
#[derive(Debug)]
struct Crew {
    gate: Gate,
    /// Valid for as long as somebody is inside the gate.
    work: NonNull<Work<'static>>,
    seats: AtomicUsize,
}

#[allow(
    unsafe_code,
    reason = "a pointer to the caller's closure is shared with its helpers"
)]
// SAFETY: `work` points to a `Sync` closure, so calling it from any thread is sound while it lives,
// which the gate ensures (see `Crew::help`); the other fields are `Send` and `Sync` themselves.
unsafe impl Send for Crew {}
#[allow(
    unsafe_code,
    reason = "a pointer to the caller's closure is shared with its helpers"
)]
// SAFETY: as above.
unsafe impl Sync for Crew {}

impl Crew {
    #[allow(unsafe_code, reason = "calls a closure on another thread's stack")]
    fn help(&self, call: &Call) {
        if !self.gate.enter() {
            return;
        }
        let _inside = Inside(&self.gate);
        // SAFETY: this thread is inside the gate, so `with_helpers`, which borrows the closure, has not
        // returned from `close_and_wait`: the closure is alive, and it stays so until `_inside` is dropped.
        let work = unsafe { self.work.as_ref() };
        work(self.seats.fetch_add(1, Ordering::Relaxed) + 1, call);
    }
}

/// Leaves the gate when dropped, also by a panic.
struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Closes the gate when dropped, so that not even a panic frees what helpers use.
struct Closing<'a>(&'a Gate, u32);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut steal = Steal::new();
        self.0.close_and_wait(self.1, || steal.or_park());
    }
}

/// Calls for one more helper; may be cloned and used by the helpers themselves.
#[derive(Clone, Debug)]
pub(crate) struct Call(Arc<Crew>);

impl Call {
    /// What a helper runs. If it comes too late it does nothing.
    pub(crate) fn answer(&self) {
        self.0.help(self);
    }
}

/// Looks for more work of this thread's pool, and does it, until there has been none for so long.
pub(crate) fn linger(time: Duration) {
    thread_local! { static LINGERS: Cell<bool> = const { Cell::new(false) } }
    // Work that is done meanwhile ends here again: the outermost loop goes on, and no stack grows.
    if time.is_zero() || LINGERS.replace(true) {
        return;
    }
    let mut idle_since = Instant::now();
    while idle_since.elapsed() < time {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => idle_since = Instant::now(),
            Some(rayon::Yield::Idle) => std::hint::spin_loop(),
            None => break,
        }
    }
    LINGERS.set(false);
}

/// Runs `lead` on this thread while whoever answers the [`Call`] runs `work`; returns when `lead` has
/// returned and everybody who started has finished. Who has not started by then never will.
#[allow(
    unsafe_code,
    reason = "erases the lifetime of a closure that the gate keeps alive"
)]
pub(crate) fn with_helpers<R>(work: &Work<'_>, spins: u32, lead: impl FnOnce(&Call) -> R) -> R {
    let work: NonNull<Work<'_>> = NonNull::from(work);
    // SAFETY: only the lifetime changes, which has no part in the layout of a pointer. The pointer is
    // used inside the gate only, and `closing` keeps this frame, which borrows the closure, until
    // nobody is inside or can come in.
    let work = unsafe { std::mem::transmute::<NonNull<Work<'_>>, NonNull<Work<'static>>>(work) };
    let call = Call(Arc::new(Crew {
        gate: Gate::new(),
        work,
        seats: AtomicUsize::new(0),
    }));
    let closing = Closing(&call.0.gate, spins);
    let result = lead(&call);
    drop(closing);
    result
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn late_helpers_do_nothing() {
        let ran = AtomicUsize::new(0);
        let late = with_helpers(
            &|_, _| {
                ran.fetch_add(1, Ordering::Relaxed);
            },
            0,
            Call::clone,
        );
        late.answer();
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_caller_waits_for_whoever_started() {
        let done = AtomicUsize::new(0);
        let (started, wait) = mpsc::sync_channel(0);
        let started = std::sync::Mutex::new(started);
        let work = |seat: usize, call: &Call| {
            assert_eq!(seat, 1);
            started.lock().unwrap().send(()).unwrap();
            while !call.0.gate.is_closed() {
                std::thread::yield_now();
            }
            done.store(1, Ordering::Relaxed);
        };
        let helper = with_helpers(&work, 100, |call| {
            let call = call.clone();
            let helper = std::thread::spawn(move || call.answer());
            wait.recv().unwrap();
            helper
        });
        assert_eq!(done.load(Ordering::Relaxed), 1);
        helper.join().unwrap();
    }

    #[test]
    fn the_gate_is_closed_after_a_panic_of_the_caller() {
        let ran = AtomicUsize::new(0);
        let work = |_: usize, _: &Call| {
            ran.fetch_add(1, Ordering::Relaxed);
        };
        let late = std::sync::Mutex::new(None);
        let thrown = crate::panic::caught(|| {
            with_helpers(&work, 0, |call| {
                *late.lock().unwrap() = Some(call.clone());
                std::panic::resume_unwind(Box::new("the caller's")); // past the hook, which is slow
            })
        });
        assert_eq!(thrown.unwrap_err().message(), Some("the caller's"));
        // The closure still lives here, so that a gate left open shows itself by a count.
        late.into_inner().unwrap().unwrap().answer();
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    }

    /// A helper that is inside when the caller panics stays until it sees that the gate is closed,
    /// which is before the caller can go on.
    #[test]
    fn a_panic_of_the_caller_waits_too() {
        let done = AtomicUsize::new(0);
        let (started, wait) = mpsc::sync_channel(0);
        let started = std::sync::Mutex::new(started);
        let work = |_: usize, call: &Call| {
            started.lock().unwrap().send(()).unwrap();
            while !call.0.gate.is_closed() {
                std::thread::yield_now();
            }
            done.store(1, Ordering::Relaxed);
        };
        let thrown = crate::panic::caught(|| {
            with_helpers(&work, 100, |call| {
                let call = call.clone();
                std::thread::spawn(move || call.answer());
                wait.recv().unwrap();
                std::panic::resume_unwind(Box::new("the caller's"));
            })
        });
        assert!(thrown.is_err());
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
