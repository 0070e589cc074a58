//! The pool: threads that help, and what it has learned about helping.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::schedule::{Nanos, Sites, Tick, WakeLog};
use crate::timer::{Timing, thread_time};

mod builder;
mod crew;
mod gate;
mod handle;
mod home;
mod placement;
mod scope;
mod start;
mod stream;
mod tally;
mod task;

pub use builder::{PoolBuilder, PoolError};
pub(crate) use crew::{Call, with_helpers};
pub use handle::{
    AsCompleted, JoinHandle, ScopedJoinHandle, as_completed, wait_all, wait_any, wait_any_timeout,
};
pub use scope::Scope;
pub use stream::Stream;

use crate::workers::Workers;
use builder::Settings;
use home::Home;
use placement::Placement;
use start::{Start, Threads};
use task::Task;

/// Worker threads, and what they have learned about the work they are given.
///
/// The free functions, such as [`par_map_chunked`](crate::par_map_chunked), use the
/// [global pool](Pool::global); a pool of your own has its own number of workers and ends when you
/// drop it. The operations of the family are methods of the pool as well as free functions.
///
/// A pool of `n` workers computes on `n` threads at once, the caller's included. Its threads
/// ([rayon](https://docs.rs/rayon)'s) start with the first work that is worth sharing, sleep when there
/// is none, and are joined when the pool is dropped: from outside the pool this waits for what runs on it;
/// dropped on one of its own threads or by one of its tasks, the pool is left to end by itself.
///
/// # Examples
///
/// ```
/// use scipar::{Chunking, Pool};
///
/// let pool = Pool::new(4);
/// let squares = pool.par_map_chunked(0..1000_u64, Chunking::auto(), |x| x * x);
/// assert_eq!(squares[999], 998_001);
/// ```
///
/// # Forks
///
/// A child process made by `fork` has none of its parent's threads. There the pool works, on the caller's thread alone, and
/// [`install`](Self::install) gives an error. A pool that is made in the child has threads of its own.
///
/// # Blocking
///
/// Operations return when their work is done. Called on a thread of the same pool, of another pool or of
/// rayon, or from within an operation's closure, they do not deadlock: a call never waits for a helper
/// that has not started on its work. Nor do tasks, scopes and streams that wait for each other without a cycle: a thread of a pool that waits does
/// what it waits for itself, if nobody has begun. It does nothing else meanwhile, so a task that waits otherwise, say for a message of a task
/// that has not started, needs a thread that is free. Inside [`install`](Self::install) rayon's rules hold.
#[doc(alias = "ThreadPool")]
#[doc(alias = "Executor")]
pub struct Pool {
    num_workers: usize,
    settings: Settings,
    /// Started at first need.
    threads: Start,
    pub(crate) sites: Sites,
    pub(crate) wakes: WakeLog,
    /// Where the pool's clock begins.
    epoch: Instant,
    /// Nanoseconds per clock reading, as bits of an `f32`; 0 until measured.
    tick: AtomicU32,
    /// When helpers last worked, by the pool's clock.
    last_help: AtomicU64,
    /// Nanoseconds that callers worked alone while they wanted helpers and there were no threads yet.
    wanted: AtomicU64,
    /// Nanoseconds of CPU time that the pool's threads spent on work for callers.
    helped: AtomicU64,
}

thread_local! {
    /// Whether this thread's CPU time is being counted already.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// A stretch in which a thread's CPU time is counted, once, however such stretches are nested.
pub(crate) struct Counted<'a> {
    total: Option<&'a AtomicU64>,
    start: Duration,
    /// Whether this is the outermost stretch.
    outermost: bool,
}

impl<'a> Counted<'a> {
    fn begin(total: Option<&'a AtomicU64>) -> Self {
        let outermost = !COUNTED.replace(true);
        Self {
            total,
            start: thread_time(),
            outermost,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.outermost {
            return;
        }
        COUNTED.set(false);
        if let Some(total) = self.total {
            let spent = thread_time().saturating_sub(self.start);
            total.fetch_add(spent.as_nanos() as u64, Ordering::Relaxed);
        }
    }
}

/// Keeps helpers off a caller's core for as long as it lives.
pub(crate) struct Placed<'a>(Option<&'a Placement>);

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if let Some(placement) = self.0 {
            placement.leave();
        }
    }
}

static GLOBAL: OnceLock<Pool> = OnceLock::new();

impl Pool {
    /// A pool of so many workers: a number, or a rule of [`Workers`].
    ///
    /// No thread is started yet. Where the system refuses threads later on, the pool goes on with half of
    /// those that it could have had, so that the program finds some, too; where there are none, its work is
    /// done on the caller's thread, and it asks again after a while (0.1 s, longer each time, 10 s at
    /// most). [`num_threads`](Self::num_threads) and [`threads_error`](Self::threads_error) show what became
    /// of it; [`PoolBuilder::build`] starts all threads at once or gives an error.
    ///
    /// # Panics
    ///
    /// Where the number is zero.
    #[must_use]
    #[track_caller]
    pub fn new(workers: impl Into<Workers>) -> Self {
        Self::with_settings(workers.into(), Settings::default())
    }

    /// Options for a new pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    /// The pool of the free functions: [`Workers::all`], unless
    /// [`build_global`](PoolBuilder::build_global) came first.
    #[must_use]
    #[inline]
    pub fn global() -> &'static Pool {
        GLOBAL.get_or_init(|| Pool::new(Workers::all()))
    }

    fn with_settings(workers: Workers, settings: Settings) -> Self {
        Self {
            num_workers: workers.count(),
            settings,
            threads: Start::new(),
            sites: Sites::new(),
            wakes: WakeLog::default(),
            epoch: Instant::now(),
            tick: AtomicU32::new(0),
            last_help: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            helped: AtomicU64::new(0),
        }
    }

    /// How many workers compute at once, the caller included. At least 1.
    ///
    /// This is what was asked for. [`num_threads`](Self::num_threads) says what the system has given.
    #[must_use]
    pub fn num_workers(&self) -> usize {
        self.num_workers
    }

    /// How many threads the pool has now: none before the first work that is worth sharing, and in a fork
    /// of the process; as many as [workers](Self::num_workers) afterwards, unless the system refused some.
    /// Starts none.
    #[must_use]
    pub fn num_threads(&self) -> usize {
        let here = |threads: &&Threads| !threads.home().is_elsewhere();
        let threads = self.threads.get().filter(here);
        threads.map_or(0, |threads| threads.rayon().current_num_threads())
    }

    /// Why there are fewer threads than workers, where the system refused some when it was asked last, or
    /// this process is a fork of the one that they belong to. Starts none.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = scipar::Pool::new(2);
    /// pool.spawn(|| ()).join()?;
    /// if let Some(error) = pool.threads_error() {
    ///     eprintln!("{} of {} threads: {error}", pool.num_threads(), pool.num_workers());
    /// }
    /// # Ok::<(), scipar::JoinError>(())
    /// ```
    #[must_use]
    pub fn threads_error(&self) -> Option<PoolError> {
        self.threads.error()
    }

    /// Runs `f` on a thread of this pool, waits for it, and returns its result. Rayon code inside, such as
    /// parallel iterators, runs on this pool's threads.
    ///
    /// # Errors
    ///
    /// Where the system refused to start the threads, and in a fork of the process that they belong to.
    ///
    /// # Panics
    ///
    /// With the payload of `f`, if `f` panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let pool = scipar::Pool::new(2);
    /// let sum: u64 = pool.install(|| (0..1000_u64).into_par_iter().sum())?;
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), scipar::PoolError>(())
    /// ```
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R, PoolError> {
        let threads = self.threads()?;
        threads.release();
        Ok(threads.rayon().install(|| {
            let _counted = self.count_cpu();
            f()
        }))
    }

    /// Gives a task to one of this pool's threads, of which there are as many as workers, and returns at once. The handle has the result. Tasks that one thread gives start in the order
    /// in which it gives them, as threads become free; one that is [joined](ScopedJoinHandle::join) on a thread of a pool may start earlier.
    ///
    /// Dropping the pool waits for all tasks that were given to it. The [global pool](Self::global) is never
    /// dropped: what is not over when `main` returns is lost, unless it was joined or `main` ends with
    /// [`wait_idle`](Self::wait_idle).
    ///
    /// Where the system refuses threads, and in a fork of the process that the pool's threads belong to, the
    /// task runs right here, before this returns.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = scipar::Pool::new(2);
    /// let square = pool.spawn(|| 12 * 12);
    /// assert_eq!(square.join()?, 144);
    /// # Ok::<(), scipar::JoinError>(())
    /// ```
    #[doc(alias = "submit")]
    #[doc(alias = "apply_async")]
    pub fn spawn<R, F>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let Ok(threads) = self.threads() else {
            let task = Arc::new(Task::new(f, Home::default(), None));
            task.run();
            return ScopedJoinHandle::new(task);
        };
        threads.release();
        let task = Arc::new(Task::new(f, threads.home().clone(), None));
        let running = Arc::clone(&task);
        threads.rayon().spawn_fifo(move || {
            running.run();
        });
        ScopedJoinHandle::new(task)
    }

    /// Waits until all tasks are over that were given to the pool before, whatever became of their handles,
    /// and those that they gave to it in turn. Tasks that others give meanwhile are not waited for.
    ///
    /// It is for the end of `main`, and for tasks of the [global pool](Self::global), which is never dropped.
    /// Streams are waited for where they are dropped, scopes where they end.
    ///
    /// Without threads, before the first task or in a fork of the process, it returns at once.
    ///
    /// # Panics
    ///
    /// On one of the pool's own threads, and in one of its tasks on any thread, which would wait for itself.
    ///
    /// # Blocking
    ///
    /// Until then. A task that waits for the thread which calls this makes a cycle, as with any other wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::Pool;
    ///
    /// drop(Pool::global().spawn(|| println!("this line is not lost")));
    /// Pool::global().wait_idle();
    /// ```
    #[track_caller]
    #[doc(alias = "join")]
    #[doc(alias = "drain")]
    pub fn wait_idle(&self) {
        self.wait_idle_by(None);
    }

    /// As [`wait_idle`](Self::wait_idle), for so long at most; says `false` when the time is over.
    ///
    /// # Panics
    ///
    /// As [`wait_idle`](Self::wait_idle).
    #[track_caller]
    #[must_use = "`false` says that tasks are not over"]
    pub fn wait_idle_timeout(&self, timeout: Duration) -> bool {
        // A time so long that no clock shows it is no limit.
        self.wait_idle_by(Instant::now().checked_add(timeout))
    }

    #[track_caller]
    fn wait_idle_by(&self, deadline: Option<Instant>) -> bool {
        let home = self.home();
        if home.is_elsewhere() {
            return true;
        }
        assert!(
            !home.is_waited_for_here(),
            "a pool's own thread or task cannot wait until the pool is idle"
        );
        home.wait_idle(deadline)
    }

    /// Waits until all tasks that were given to the pool have run, and ends its threads. So does dropping it.
    ///
    /// On one of the pool's own threads, and in one of its tasks on any thread, it does not wait: the threads
    /// end by themselves.
    pub fn shutdown(self) {}

    /// As [`shutdown`](Self::shutdown), but tasks that have not started are cancelled.
    #[doc(alias = "terminate")]
    #[doc(alias = "cancel_futures")]
    pub fn shutdown_now(self) {
        if let Some(threads) = self.threads.get() {
            threads.home().abandon();
        }
    }

    /// Runs `f` on this thread and says how long it took, in wall time and in CPU time.
    ///
    /// The CPU time is that of this thread and of the pool's threads while they worked for one of its callers, each
    /// read from its own clock: it has no lag, where the [process's clock](crate::Clock::Process) lags by milliseconds,
    /// and waking threads and waiting for work are not in it. Work for other callers of this pool is counted,
    /// work of other pools is not; of what [`install`](Self::install) runs, the closure is, and what rayon
    /// hands to further threads is not, nor are tasks and streams: take a [`Timer`](crate::Timer) for those.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::{Chunking, Pool};
    ///
    /// let pool = Pool::new(2);
    /// let (_, timing) = pool.time(|| pool.par_map_chunked(0..1000, Chunking::auto(), |x| x + 1));
    /// println!("{timing}, bound: {}", timing.bound(pool.num_workers()));
    /// ```
    pub fn time<R>(&self, f: impl FnOnce() -> R) -> (R, Timing) {
        let _counted = Counted::begin(None);
        let helped = self.helped.load(Ordering::Relaxed);
        let wall = Instant::now();
        let own = thread_time();
        let result = f();
        let own = thread_time().saturating_sub(own);
        let wall = wall.elapsed();
        let helped = self.helped.load(Ordering::Relaxed).wrapping_sub(helped);
        (
            result,
            Timing::exact(wall, own + Duration::from_nanos(helped)),
        )
    }

    /// Counts this thread's CPU time as the pool's until the answer is dropped.
    pub(crate) fn count_cpu(&self) -> Counted<'_> {
        Counted::begin(Some(&self.helped))
    }

    /// How many helpers a caller on this thread can have: every worker but itself, and no more than
    /// there are threads.
    #[inline]
    pub(crate) fn max_helpers(&self) -> usize {
        (self.num_workers - 1).min(self.threads.most())
    }

    /// Nanoseconds on the pool's clock.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        // 64 bits of nanoseconds last for 584 years.
        self.epoch.elapsed().as_nanos() as Nanos
    }

    /// What a reading of the clock costs, measured at the first call.
    #[inline]
    pub(crate) fn tick(&self) -> Tick {
        let known = f32::from_bits(self.tick.load(Ordering::Relaxed));
        if known > 0.0 {
            return Tick(f64::from(known));
        }
        self.measure_tick()
    }

    #[cold]
    fn measure_tick(&self) -> Tick {
        let readings: [Nanos; 33] = std::array::from_fn(|_| self.now());
        let shortest = readings.windows(8).map(|w| w[7] - w[0]).min().unwrap_or(0) as f32 / 7.0;
        let tick = shortest.max(1.0);
        self.tick.store(tick.to_bits(), Ordering::Relaxed);
        Tick(f64::from(tick))
    }

    /// For how long the helpers had nothing to do, at time `now`.
    pub(crate) fn idle(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.last_help.load(Ordering::Relaxed))
    }

    /// Notes that helpers worked until `now`.
    pub(crate) fn note_help(&self, now: Nanos) {
        self.last_help.store(now, Ordering::Relaxed);
    }

    /// Sends one more of the pool's threads to a caller; does nothing where there are no threads.
    pub(crate) fn send_helper(&self, call: &Call) {
        if let Ok(threads) = self.threads() {
            let call = call.clone();
            let spin = self.settings.spin;
            threads.rayon().spawn(move || {
                call.answer();
                drop(call);
                crew::linger(spin);
            });
        }
    }

    /// Keeps the helpers off this thread's core until the answer is dropped.
    pub(crate) fn place(&self) -> Placed<'_> {
        let threads = self.threads.get();
        // A fork has none of the threads, and those of its parent are not its to place.
        let threads = threads.filter(|threads| !threads.home().is_elsewhere());
        let placement = threads.and_then(|threads| threads.placement.as_deref());
        if let Some(placement) = placement {
            placement.enter();
        }
        Placed(placement)
    }

    /// Whether helpers are to be had: threads are there, or callers that wanted some have worked alone for long enough
    /// to start them. `alone` is for how long this one has, since it asked before.
    ///
    /// Time that was spent is asked for, not time that is expected: the first items of a program run on cold caches and look
    /// a hundred times as dear as they are.
    pub(crate) fn is_ready(&self, alone: f64) -> bool {
        /// Starting a thread costs tens of microseconds, once.
        const WORTH_A_THREAD: u64 = 25_000;
        if self.threads.get().is_some() {
            return self.threads().is_ok();
        }
        let alone = alone as u64;
        let waited = self
            .wanted
            .fetch_add(alone, Ordering::Relaxed)
            .saturating_add(alone);
        waited / WORTH_A_THREAD >= self.num_workers as u64 && self.threads().is_ok()
    }

    /// The threads, started at need. In a fork of the process that they belong to there are none.
    fn threads(&self) -> Result<&Threads, PoolError> {
        self.threads.or_start(&self.settings, self.num_workers)
    }

    /// The home of the pool's threads, where there are any.
    fn home(&self) -> Home {
        let threads = self.threads.get();
        threads.map_or_else(Home::default, |threads| threads.home().clone())
    }
}

// A panic in a call's closure leaves nothing of the pool half done: its state is statistics and running threads.
impl std::panic::UnwindSafe for Pool {}
impl std::panic::RefUnwindSafe for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("num_workers", &self.num_workers)
            .field("started", &self.threads.get().is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
