//! The pool: threads that help, and what it has learned about helping.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::schedule::{Nanos, Sites, Tick, WakeLog};
use crate::timer::{Timing, thread_time};

mod builder;
mod crew;
mod gate;
mod handle;
mod home;
mod inside;
mod placement;
mod scope;
mod steal;
mod stream;
mod task;

pub use builder::{PoolBuilder, PoolError};
pub(crate) use crew::{Call, with_helpers};
pub use handle::{
    AsCompleted, JoinHandle, ScopedJoinHandle, as_completed, wait_all, wait_any, wait_any_timeout,
};
pub(crate) use inside::enter;
pub use scope::Scope;
pub use stream::Stream;

use crate::fork;
use crate::workers::Workers;
use builder::Settings;
use home::Home;
use placement::Placement;
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
/// dropped on one of its own threads, the pool is left to end by itself.
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
/// Operations return when their work is done. Called on a thread of the same pool, of another pool
/// or of rayon, or from within an operation's closure, they do not deadlock: a call never waits for
/// a helper that has not started on its work, and a thread of a pool or of rayon that waits for
/// helpers, tasks or results does what it waits for itself, if no thread has begun with it. After a
/// millisecond it also does rayon's work of its own pool now and then, so that what others
/// [`install`](Self::install) there while it waits gets done. Of this crate's tasks and items it
/// does no others: on top of its stack they could wait for what lies below. So a task that waits
/// otherwise, say for a message of a task that has not started, needs a thread that is free.
///
/// Rayon code in a task or an item, such as a `par_iter`, waits by doing other work of the pool, as
/// it always does. It meets no other task or item of this crate on its thread, so a borrowed
/// thread-local `RefCell` is safe. A lock that is held across it is not: a thread that has taken a
/// piece of the `par_iter` may, before it is done with that, begin a task that wants the lock.
/// Inside `install` rayon's rules hold.
#[doc(alias = "ThreadPool")]
#[doc(alias = "Executor")]
pub struct Pool {
    num_workers: usize,
    settings: Settings,
    /// Started at first need. An error, once met, is kept: the pool then works on the caller's thread alone.
    threads: OnceLock<Result<Threads, PoolError>>,
    /// The process that the threads belong to; 0 before they are started. A fork of it has none of them.
    process: AtomicU32,
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

/// Running threads.
struct Threads {
    /// `None` only while the pool is dropped.
    rayon: Option<rayon::ThreadPool>,
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
    home: Home,
    /// Set when nothing is to be run that has not started.
    abandoned: Arc<AtomicBool>,
    /// `None` where the threads' affinity is to be left alone.
    placement: Option<Arc<Placement>>,
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
    /// No thread is started yet. Where the system refuses threads later on, the pool's work is done on
    /// the caller's thread; [`PoolBuilder::build`] starts them at once and says what went wrong.
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
            threads: OnceLock::new(),
            process: AtomicU32::new(0),
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
    #[must_use]
    pub fn num_workers(&self) -> usize {
        self.num_workers
    }

    /// Runs `f` on a thread of this pool, waits for it, and returns its result. Rayon code inside, such as
    /// parallel iterators, runs on this pool's threads.
    ///
    /// # Errors
    ///
    /// Where the system refused to start the threads.
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
    /// Dropping the pool waits for all tasks that were given to it. Where the system refuses threads, and in a fork of the process
    /// that the pool's threads belong to, the task runs right here, before this returns.
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
            let task = Arc::new(Task::new(f, None));
            task.run();
            return ScopedJoinHandle::new(task, Home::default());
        };
        threads.release();
        let task = Arc::new(Task::new(f, None));
        let running = Arc::clone(&task);
        let job = move || _ = running.run();
        threads.rayon().spawn_fifo(|| inside::run(job));
        ScopedJoinHandle::new(task, threads.home.clone())
    }

    /// Waits until all tasks that were given to the pool have run, and ends its threads. So does dropping it.
    ///
    /// On one of the pool's own threads it does not wait: the threads end by themselves.
    pub fn shutdown(self) {}

    /// As [`shutdown`](Self::shutdown), but tasks that have not started are cancelled.
    #[doc(alias = "terminate")]
    #[doc(alias = "cancel_futures")]
    pub fn shutdown_now(self) {
        if let Some(Ok(threads)) = self.threads.get() {
            threads.abandoned.store(true, Ordering::Relaxed);
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

    /// How many helpers a caller on this thread can have: every worker but itself.
    #[inline]
    pub(crate) fn max_helpers(&self) -> usize {
        self.num_workers - 1
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
                // A helper that lies on top of other foreign code is done without: none is waited
                // for.
                if let Some(inside) = inside::enter_if_outside() {
                    call.answer();
                    drop(call);
                    drop(inside);
                    inside::run_put_off();
                    crew::linger(spin);
                }
            });
        }
    }

    /// Keeps the helpers off this thread's core until the answer is dropped.
    pub(crate) fn place(&self) -> Placed<'_> {
        let placement = match self.threads.get() {
            Some(Ok(threads)) => threads.placement.as_deref(),
            _ => None,
        };
        if let Some(placement) = placement {
            placement.enter();
        }
        Placed(placement)
    }

    /// Whether threads have been started, and are there.
    #[inline]
    pub(crate) fn has_threads(&self) -> bool {
        self.threads.get().is_some_and(Result::is_ok)
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
        let here = fork::generation();
        if self.process.load(Ordering::Relaxed) != here {
            let known =
                self.process
                    .compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
            if known.is_err_and(|process| process != here) {
                // Not even a look: whoever was starting them when the process was forked will not finish.
                return Err(PoolError::forked());
            }
        }
        self.threads
            .get_or_init(|| self.settings.start(self.num_workers))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The home of the pool's threads, where there are any.
    fn home(&self) -> Home {
        match self.threads.get() {
            Some(Ok(threads)) => threads.home.clone(),
            _ => Home::default(),
        }
    }
}

impl Threads {
    fn rayon(&self) -> &rayon::ThreadPool {
        self.rayon
            .as_ref()
            .expect("the threads are there until the pool is dropped")
    }

    /// Lets the threads run wherever they may: for work that has no caller busy beside it.
    fn release(&self) {
        if let Some(placement) = &self.placement {
            placement.release();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let handles = self
            .handles
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if self.home.is_elsewhere() {
            // A fork has none of the threads, and nobody to answer if they are told to end.
            std::mem::forget((self.rayon.take(), std::mem::take(handles)));
            return;
        }
        let on_own_thread = self
            .rayon
            .as_ref()
            .is_some_and(|pool| pool.current_thread_index().is_some());
        self.rayon = None; // asks the threads to end once they have nothing left to do
        if on_own_thread {
            return; // cannot wait for itself; the threads end on their own
        }
        for handle in handles.drain(..) {
            let _ = handle.join(); // a thread that panicked has said so already
        }
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
