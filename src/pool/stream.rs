//! Streams: a closure over an iterator of any length, with a bounded number of items in flight.
//!
//! A *pump* is a job of the pool that takes some items from the source, computes them, and puts the results where the consumer
//! finds them, again and again. It never waits for room: when the window is full it ends, and the consumer starts pumps anew as it makes
//! room. So a stream that nobody consumes holds no thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pool;
use super::home::{Home, is_on_a_pool};
use super::inside;
use super::scope::{Group, Scope, erased};
use super::steal::Steal;
use super::task::Runs;
use crate::channel::RecvTimeoutError;
use crate::panic::{Panic, discard};
use crate::sync::MutexGuard;

mod machine;

use machine::{Core, Machine, Out, Pumps};

/// Items in flight per worker, where nobody says otherwise.
const WINDOW_PER_WORKER: usize = 128;

/// The results of a closure over an iterator, computed by the threads of a [`Pool`] while they are consumed. Made by
/// [`Pool::stream`] and its relatives.
///
/// A stream is consumed on the thread that made it. Nothing happens before the first call of
/// `next`. From then on at most [`window`](Self::window) items are in flight: taken from the source
/// and not yet handed out. Dropping the stream stops it and waits for the items that are being
/// computed, and for the source if it is just being asked for an item. What panics in the drops of
/// the source, of items and of results then, on whichever thread, ends there.
///
/// # Panics
///
/// `next` goes on with a panic of the closure when it comes to that item, and of the source after all items before; further
/// calls go on with the items behind, of which there are none after a panic of the source.
#[must_use = "a stream computes nothing before it is consumed"]
pub struct Stream<'a, R> {
    /// `None` only while the stream is dropped.
    source: Option<Pumped<'a, R>>,
    workers: usize,
    window: usize,
    /// Results that are handed out next.
    near: VecDeque<Result<R, Panic>>,
    /// Results handed out since the machine was told.
    handed_out: usize,
    /// There are no threads: this one computes.
    alone: bool,
    ended: bool,
}

/// Where a stream's results come from.
struct Pumped<'a, R> {
    machine: Arc<dyn Machine<R> + 'a>,
    /// Starts a pump, if there are threads; says whether there are.
    launch: Box<dyn Fn() -> bool + 'a>,
}

impl Pool {
    /// Maps a closure over an iterator of any length, in parallel; the results come in the order of the items, as they are asked for.
    ///
    /// The source is pulled by the pool's threads, one at a time and only as far as the [window](Stream::window) allows, so it may be longer than
    /// memory, or endless. Results of what it has given do not wait for what it gives next: while it blocks, and no other thread is there, the
    /// consumer computes them. [`Scope::stream`] is the same for closures and sources that borrow.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = scipar::Pool::new(2);
    /// let squares = pool.stream(1_u64.., |n| n * n);
    /// assert_eq!(squares.take_while(|&n| n < 1000).sum::<u64>(), 10_416);
    /// ```
    #[doc(alias = "imap")]
    pub fn stream<I, R, F>(&self, source: I, f: F) -> Stream<'_, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.stream_of(source.into_iter(), f, true)
    }

    /// As [`stream`](Self::stream), with the results in the order in which they come.
    #[doc(alias = "imap_unordered")]
    pub fn stream_unordered<I, R, F>(&self, source: I, f: F) -> Stream<'_, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.stream_of(source.into_iter(), f, false)
    }

    fn stream_of<I, R, F>(&self, source: I, f: F, ordered: bool) -> Stream<'_, R>
    where
        I: Iterator + Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        fn pump(machine: Arc<dyn Pumps>) {
            machine.pump(&|| {
                let machine = Arc::clone(&machine);
                rayon::spawn_fifo(|| inside::run(move || pump(machine)));
            });
            discard(machine); // the last one drops the closure, which is the user's
        }
        let machine = Arc::new(Core::new(source, f, ordered));
        let pumps: Arc<dyn Pumps> = machine.clone();
        let launch = Box::new(move || {
            let Ok(threads) = self.threads() else {
                return false;
            };
            threads.release();
            let pumps = Arc::clone(&pumps);
            threads
                .rayon()
                .spawn_fifo(|| inside::run(move || pump(pumps)));
            true
        });
        Stream::new(machine, launch, self)
    }
}

impl<'scope> Scope<'_, 'scope> {
    /// As [`Pool::stream`], for a closure and a source that borrow from outside the scope.
    ///
    /// # Examples
    ///
    /// ```
    /// let text = String::from("3\n4\n5\n");
    /// let pool = scipar::Pool::new(2);
    /// let numbers: Vec<i32> = pool.scope(|scope| {
    ///     let numbers = scope.stream(text.lines(), |line| line.parse().unwrap());
    ///     numbers.collect()
    /// });
    /// assert_eq!(numbers, [3, 4, 5]);
    /// ```
    pub fn stream<'s, I, R, F>(&'s self, source: I, f: F) -> Stream<'s, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        self.stream_of(source.into_iter(), f, true)
    }

    /// As [`stream`](Self::stream), with the results in the order in which they come.
    pub fn stream_unordered<'s, I, R, F>(&'s self, source: I, f: F) -> Stream<'s, R>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'scope,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        self.stream_of(source.into_iter(), f, false)
    }

    fn stream_of<'s, I, R, F>(&'s self, source: I, f: F, ordered: bool) -> Stream<'s, R>
    where
        I: Iterator + Send + 'scope,
        I::Item: Send + 'scope,
        F: Fn(I::Item) -> R + Send + Sync + 'scope,
        R: Send + 'scope,
    {
        /// A pump is a task of the scope, so that the scope waits for it.
        fn task<'scope>(
            group: &Arc<Group<'scope>>,
            home: &Home,
            machine: &Arc<dyn Pumps + 'scope>,
        ) -> Arc<dyn Runs + 'scope> {
            let (home, machine) = (home.clone(), Arc::clone(machine));
            let again = Arc::clone(group);
            group.task(move || {
                machine.pump(&|| {
                    let task = task(&again, &home, &machine);
                    if home.is_here() {
                        let task = erased(task);
                        let job = move || _ = task.run();
                        rayon::spawn_fifo(|| inside::run(job));
                    } else {
                        task.run(); // the scope's end, on a thread that has no others to call
                    }
                });
            })
        }
        let machine = Arc::new(Core::new(source, f, ordered));
        let pumps: Arc<dyn Pumps + 'scope> = machine.clone();
        let launch = Box::new(move || {
            self.threads
                .map(|_| self.give(task(&self.group, &self.home(), &pumps)))
                .is_some()
        });
        Stream::new(machine, launch, self.pool)
    }
}

impl<'a, R> Stream<'a, R> {
    fn new(
        machine: Arc<dyn Machine<R> + 'a>,
        launch: Box<dyn Fn() -> bool + 'a>,
        pool: &Pool,
    ) -> Self {
        let workers = pool.num_workers();
        Self {
            source: Some(Pumped { machine, launch }),
            workers,
            window: WINDOW_PER_WORKER.saturating_mul(workers),
            near: VecDeque::new(),
            handed_out: 0,
            alone: false,
            ended: false,
        }
    }

    /// How many items may be in flight: taken from the source and not yet handed out. 128 per worker by default; with 1, one item is computed after the
    /// other.
    ///
    /// # Panics
    ///
    /// Where it is 0.
    #[track_caller]
    #[doc(alias = "buffersize")]
    pub fn window(mut self, items: usize) -> Self {
        assert!(items > 0, "a window of no items");
        self.window = items;
        self
    }

    /// The next result, if it comes within this time. On a thread of a pool it may take longer, by the item that it computes meanwhile.
    ///
    /// # Errors
    ///
    /// When none came in time, or the stream has ended.
    ///
    /// # Panics
    ///
    /// As `next`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<R, RecvTimeoutError> {
        // A time so long that no clock shows it is no limit.
        match self.next_by(Instant::now().checked_add(timeout)) {
            Some(result) => Ok(result),
            None if self.ended => Err(RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    fn next_by(&mut self, deadline: Option<Instant>) -> Option<R> {
        if !self.ended && (self.near.is_empty() || self.handed_out > self.window / 4) {
            self.fetch(deadline);
        }
        let result = self.near.pop_front()?;
        self.handed_out += 1;
        match result {
            Ok(result) => Some(result),
            Err(panic) => panic.resume(),
        }
    }

    /// Fetches results; waits until there is one, or the end, or for the deadline.
    fn fetch(&mut self, deadline: Option<Instant>) {
        let handed_out = std::mem::take(&mut self.handed_out);
        let Some(Pumped { machine, launch }) = &self.source else {
            return;
        };
        let mut out = machine.out();
        out.window = self.window;
        out.max_pumps = self.workers.min(self.window);
        out.in_flight -= handed_out;
        let mut launched = false;
        let mut steal = Steal::new();
        loop {
            out.take_ready(&mut self.near);
            if out.is_finished() {
                self.ended = true;
                return;
            }
            // One more pump when this thread is about to wait, though there is room; a first one again when there is room enough to be
            // worth it. Pumps call each other if there is work for more.
            let worth = match self.near.is_empty() {
                true => out.pumps < out.max_pumps && out.room() > 0,
                false => out.pumps == 0 && out.room() > out.window / 2,
            };
            if worth && !launched && !self.alone && !out.ended && (!out.pulling || out.holding) {
                launched = true;
                out.pumps += 1;
                drop(out);
                self.alone = !launch();
                out = machine.out();
                out.pumps -= usize::from(self.alone);
                continue; // results may have come meanwhile
            }
            let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if late || !self.near.is_empty() {
                return;
            }
            launched = false;
            out = sleep(&**machine, &mut steal, self.alone, deadline, out);
        }
    }
}

/// Waits for a change. On a thread of a pool, which may be the one that would bring it about, it works first.
fn sleep<'g, R>(
    machine: &'g (dyn Machine<R> + '_),
    steal: &mut Steal,
    alone: bool,
    deadline: Option<Instant>,
    mut out: MutexGuard<'g, Out<R>>,
) -> MutexGuard<'g, Out<R>> {
    /// How long items that were taken from the source may lie about while it blocks.
    const RESCUE: Duration = Duration::from_millis(1);
    if alone || is_on_a_pool() {
        let before = out.moment();
        drop(out);
        if machine.turn() {
            return machine.out();
        }
        out = machine.out();
        // What ended meanwhile found nobody waiting, and told nobody: a pump may be needed again.
        if out.has_news() || out.moment() != before {
            return out;
        }
    }
    let rescue = out.holding.then(|| Instant::now() + RESCUE);
    let until = rescue.into_iter().chain(deadline).min();
    out.waiting = true;
    let (mut out, _) = steal.or_wait(machine.results(), machine.changed(), out, until);
    out.waiting = false;
    if out.holding && rescue.is_some_and(|rescue| rescue <= Instant::now()) {
        drop(out);
        machine.rescue();
        out = machine.out();
    }
    out
}

impl<R> Iterator for Stream<'_, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.next_by(None)
    }
}

impl<R> std::iter::FusedIterator for Stream<'_, R> {}

impl<R> Drop for Stream<'_, R> {
    fn drop(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        let machine = &*source.machine;
        machine.stop();
        let mut steal = Steal::new();
        let mut out = machine.out();
        while out.active > 0 {
            (out, _) = steal.or_wait(machine.results(), machine.changed(), out, None);
        }
        drop(out);
        // All of this is the user's, may panic, and may be dropped by a panic.
        self.near.drain(..).for_each(discard);
        machine.clear();
        discard(source);
    }
}

impl<R> fmt::Debug for Stream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("window", &self.window)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
