//! The gate between a caller's stack and its helpers: who is inside may use what the caller
//! borrowed, and the caller does not leave before everybody is out.

use crate::sync::{AtomicUsize, Ordering, Thread, current, spin_loop};

/// Set once the gate is closed for good; the other bits count who is inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Counts helpers in and out.
///
/// A helper that comes late finds the gate closed and goes away without having touched anything, so a
/// caller never waits for a helper that has not started: no queue and no busy pool can hold it up.
///
/// # Memory ordering
///
/// * `enter` (acquire) reads what `new`'s thread released when it sent the helper its handle; that
///   hand-over synchronises by itself (the pool's queue), so only the count is ordered here.
/// * `leave` (release) publishes the helper's writes; `close_and_wait` (acquire) sees them when it reads
///   the count that `leave` wrote, or a later one of the same release sequence.
#[derive(Debug)]
pub(crate) struct Gate {
    state: AtomicUsize,
    owner: Thread,
}

impl Gate {
    /// An open gate, owned by this thread.
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicUsize::new(0),
            owner: current(),
        }
    }

    /// Goes in, unless the gate is closed. Whoever got in calls [`leave`](Self::leave) once.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & CLOSED == 0 {
            match self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Goes out. The last one wakes the owner if it waits.
    pub(crate) fn leave(&self) {
        if self.state.fetch_sub(1, Ordering::Release) == CLOSED | 1 {
            self.owner.unpark();
        }
    }

    /// Whether nobody can come in any more.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Closes the gate and waits until nobody is inside. Called by the owner, once.
    ///
    /// Spins for `spins` rounds before it rests: helpers are in the middle of a chunk of some
    /// microseconds. `rest` parks the thread, for as long as it likes, or does something useful.
    pub(crate) fn close_and_wait(&self, spins: u32, mut rest: impl FnMut()) {
        let mut inside = self.state.fetch_or(CLOSED, Ordering::Acquire);
        for _ in 0..spins {
            if inside & !CLOSED == 0 {
                return;
            }
            spin_loop();
            inside = self.state.load(Ordering::Acquire);
        }
        while self.state.load(Ordering::Acquire) != CLOSED {
            rest(); // `leave` unparks after its write, and a token that is left over costs one round
        }
    }
}

#[cfg(all(test, loom))]
#[allow(
    unsafe_code,
    reason = "the model reads and writes a cell that the gate protects"
)]
mod tests {
    use super::*;
    use crate::sync::park;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;

    /// The promise that the crew's unsafe code rests on: what a helper does inside happens before
    /// `close_and_wait` returns, and nobody is inside afterwards.
    #[test]
    fn nobody_is_inside_after_closing() {
        loom::model(|| {
            let gate = Arc::new(Gate::new());
            let alive = Arc::new(AtomicBool::new(true));
            let cell = Arc::new(loom::cell::UnsafeCell::new(0));
            let helpers: Vec<_> = (0..2)
                .map(|i| {
                    let (gate, alive, cell) = (gate.clone(), alive.clone(), cell.clone());
                    loom::thread::spawn(move || {
                        if gate.enter() {
                            assert!(
                                alive.load(Ordering::Relaxed),
                                "inside after the owner went on"
                            );
                            if i == 0 {
                                // SAFETY: only this helper writes, and only inside the gate.
                                cell.with_mut(|p| unsafe { *p += 1 });
                            }
                            gate.leave();
                        }
                    })
                })
                .collect();
            gate.close_and_wait(0, park);
            alive.store(false, Ordering::Relaxed);
            // SAFETY: nobody is inside any more: this is what the model checks.
            cell.with(|p| unsafe { assert!(*p <= 1) });
            for helper in helpers {
                helper.join().unwrap();
            }
        });
    }
}
