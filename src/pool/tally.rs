//! Counts the tasks of a pool that are not over, without a number that all threads write to.
//!
//! Each thread of the pool counts in a line of its own, threads of others share one: tasks *given*
//! and tasks *over*. A waiting thread adds up the lines, those of tasks that are over first. As all
//! numbers only grow, equal sums mean that no task was open at the moment between the two.
//!
//! With one pair of sums a wait could last for as long as other threads give tasks. So each task
//! belongs to one of two *shifts*: that of the task that gives it, or else the one that is open.
//! The open shift changes when the other one has no task left, and two changes after a call every
//! task that had been given before the call is over, and what such tasks gave in turn, too.
//!
//! # Memory ordering
//!
//! A task's end (`end`) and a wait (`tell` and the loops) have to notice each other: the one adds
//! to its line and then looks for watchers, the other announces itself and then reads the lines,
//! all sequentially consistent, so that at least one of the two sees the other. A task that another
//! one gives is counted before the other is over, so a sum that has the end has the beginning.

use std::time::Instant;

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, lock, wait, wait_until};

/// Lines of the pool's own threads, and the last one for all other threads.
const LINES: usize = if cfg!(loom) { 2 } else { 17 };

/// The line of threads that are not the pool's.
pub(super) const OUTSIDE: usize = LINES - 1;

/// The line of a thread of the pool.
pub(super) fn line_of(index: usize) -> usize {
    index % OUTSIDE
}

/// One of the two shifts: 0 or 1.
pub(super) type Shift = usize;

/// What threads count that share no line with others: hence the size of two lines of the caches.
#[derive(Debug)]
#[repr(align(128))]
struct Line {
    given: [AtomicUsize; 2],
    over: [AtomicUsize; 2],
}

/// Tasks that are given and tasks that are over.
#[derive(Debug)]
pub(super) struct Tally {
    lines: [Line; LINES],
    /// The open shift.
    open: AtomicUsize,
    /// Threads that want to be told of ends; one more when the tally is closed.
    watchers: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How often the open shift has changed.
    changes: usize,
    /// No task is given any more, and the thread that finds that all are over is to say so.
    closed: bool,
}

impl Tally {
    pub(super) fn new() -> Self {
        let counters = || [AtomicUsize::new(0), AtomicUsize::new(0)];
        Self {
            lines: std::array::from_fn(|_| Line {
                given: counters(),
                over: counters(),
            }),
            open: AtomicUsize::new(0),
            watchers: AtomicUsize::new(0),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    /// Counts a task that is given, in this shift or, where no task gives it, in the open one.
    pub(super) fn begin(&self, line: usize, shift: Option<Shift>) -> Shift {
        let shift = shift.unwrap_or_else(|| self.open.load(Ordering::SeqCst));
        self.lines[line].given[shift].fetch_add(1, Ordering::SeqCst);
        shift
    }

    /// Counts a task that is over. Says whether a thread is to be [told](Self::tell).
    pub(super) fn end(&self, line: usize, shift: Shift) -> bool {
        self.lines[line].over[shift].fetch_add(1, Ordering::SeqCst);
        fence();
        self.watchers.load(Ordering::SeqCst) != 0
    }

    /// Tells waiting threads that a task is over. Says whether it was the last one ever: to one
    /// thread, once.
    pub(super) fn tell(&self) -> bool {
        let mut state = lock(&self.state);
        let last = state.closed && self.is_empty();
        if last {
            state.closed = false;
            self.watchers.fetch_sub(1, Ordering::SeqCst);
        }
        drop(state);
        self.changed.notify_all();
        last
    }

    /// From now on no task is given. Says whether all are over; where they are not yet,
    /// [`tell`](Self::tell) will say so.
    pub(super) fn close(&self) -> bool {
        let mut state = lock(&self.state);
        state.closed = true;
        self.watchers.fetch_add(1, Ordering::SeqCst);
        drop(state);
        self.tell()
    }

    /// Waits until all tasks are over that were given before, and those that they gave. Says
    /// `false` when the deadline came first.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        let _watching = self.watch();
        let mut state = lock(&self.state);
        let goal = state.changes.wrapping_add(2);
        // Threads that wait share the changes: those of another one count here as well.
        while goal.wrapping_sub(state.changes).wrapping_sub(1) < 2 {
            let next = state.changes.wrapping_add(1);
            if self.is_drained(next % 2) {
                state.changes = next;
                self.open.store(next % 2, Ordering::SeqCst);
                self.changed.notify_all();
                continue;
            }
            let in_time;
            (state, in_time) = wait_until(&self.changed, state, deadline);
            if !in_time {
                return false;
            }
        }
        true
    }

    /// Waits until all tasks are over, where no more are given.
    pub(super) fn wait_empty(&self) {
        if self.is_empty() {
            return;
        }
        let _watching = self.watch();
        let mut state = lock(&self.state);
        while !self.is_empty() {
            state = wait(&self.changed, state);
        }
    }

    fn is_empty(&self) -> bool {
        self.is_drained(0) && self.is_drained(1)
    }

    /// Whether at some moment during this call no task of the shift was open.
    fn is_drained(&self, shift: Shift) -> bool {
        let sum = |count: fn(&Line) -> &[AtomicUsize; 2]| {
            let counts = self.lines.iter().map(|line| &count(line)[shift]);
            counts.fold(0_usize, |sum, count| {
                sum.wrapping_add(count.load(Ordering::SeqCst))
            })
        };
        let over = sum(|line| &line.over);
        let given = sum(|line| &line.given);
        over == given
    }

    /// Has this thread told of ends until the answer is dropped.
    fn watch(&self) -> Watching<'_> {
        self.watchers.fetch_add(1, Ordering::SeqCst);
        fence();
        Watching(self)
    }
}

struct Watching<'a>(&'a Tally);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Loom knows sequential consistency of fences only; on processors the operations have it.
fn fence() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;

    /// A wait ends with the last task, and not before, however the two meet.
    #[test]
    fn a_wait_hears_of_the_end() {
        loom::model(|| {
            let tally = Arc::new(Tally::new());
            let done = Arc::new(AtomicUsize::new(0));
            let shift = tally.begin(OUTSIDE, None);
            let runner = {
                let (tally, done) = (tally.clone(), done.clone());
                loom::thread::spawn(move || {
                    done.store(1, Ordering::Relaxed);
                    if tally.end(line_of(0), shift) {
                        tally.tell();
                    }
                })
            };
            assert!(tally.wait(None));
            assert_eq!(done.load(Ordering::Relaxed), 1);
            runner.join().unwrap();
        });
    }

    /// What a task gives before its end is waited for as well.
    #[test]
    fn a_wait_hears_of_the_end_of_what_a_task_gave() {
        loom::model(|| {
            let tally = Arc::new(Tally::new());
            let done = Arc::new(AtomicUsize::new(0));
            let shift = tally.begin(OUTSIDE, None);
            let runner = {
                let (tally, done) = (tally.clone(), done.clone());
                loom::thread::spawn(move || {
                    let inner = tally.begin(line_of(0), Some(shift));
                    if tally.end(line_of(0), shift) {
                        tally.tell();
                    }
                    done.store(1, Ordering::Relaxed);
                    if tally.end(line_of(0), inner) {
                        tally.tell();
                    }
                })
            };
            assert!(tally.wait(None));
            assert_eq!(done.load(Ordering::Relaxed), 1);
            runner.join().unwrap();
        });
    }

    /// The end of the last task and the closing: one of the two says that it was the last.
    #[test]
    fn one_thread_hears_that_all_is_over() {
        loom::model(|| {
            let tally = Arc::new(Tally::new());
            let shift = tally.begin(OUTSIDE, None);
            let runner = {
                let tally = tally.clone();
                loom::thread::spawn(move || tally.end(line_of(0), shift) && tally.tell())
            };
            let closed = tally.close();
            let told = runner.join().unwrap();
            assert!(closed != told, "closing {closed}, telling {told}");
        });
    }
}
