//! The threads of a pool: started at need, asked for again later where the system refused them, and
//! ended with the pool.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::builder::{PoolError, Refused, Settings};
use super::home::{Home, Lease};
use super::placement::Placement;
use crate::fork;

/// How long a pool waits after a refusal before it asks for threads again; each further refusal
/// doubles it, up to the longest. Asking in vain costs some 50 microseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

thread_local! {
    /// Numbers of the pools whose start waits for this thread: it starts their threads, or is one
    /// of them and in `on_start`. For it they have no threads: it would have to wait for itself.
    static STARTING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A thread on which the start of a pool depends, until this is dropped.
#[derive(Debug)]
pub(super) struct Starting;

impl Starting {
    pub(super) fn begin(pool: u64) -> Self {
        STARTING.with_borrow_mut(|pools| pools.push(pool));
        Self
    }

    /// Makes this new thread, which is the pool's, such a one.
    pub(super) fn begin_thread(pool: u64) {
        STARTING.with_borrow_mut(|pools| pools.push(pool));
    }

    /// The end of that.
    pub(super) fn end_thread() {
        STARTING.with_borrow_mut(Vec::clear);
    }

    fn is_of(pool: u64) -> bool {
        STARTING.with_borrow(|pools| pools.contains(&pool))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        STARTING.with_borrow_mut(|pools| _ = pools.pop());
    }
}

/// Running threads.
pub(super) struct Threads {
    /// `None` only while the pool is dropped.
    pub(super) rayon: Option<rayon::ThreadPool>,
    pub(super) handles: Mutex<Vec<thread::JoinHandle<()>>>,
    pub(super) lease: Arc<Lease>,
    /// `None` where the threads' affinity is to be left alone.
    pub(super) placement: Option<Arc<Placement>>,
}

impl Threads {
    pub(super) fn rayon(&self) -> &rayon::ThreadPool {
        self.rayon
            .as_ref()
            .expect("the threads are there until the pool is dropped")
    }

    pub(super) fn home(&self) -> &Home {
        self.lease.home()
    }

    /// Lets the threads run wherever they may: for work that has no caller busy beside it.
    pub(super) fn release(&self) {
        if let Some(placement) = &self.placement {
            placement.release();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let handles = self.handles.get_mut();
        let handles = handles.unwrap_or_else(PoisonError::into_inner);
        if self.lease.home().is_elsewhere() {
            // A fork has none of the threads, and none answers where they are told to end.
            std::mem::forget((self.rayon.take(), std::mem::take(handles)));
            return;
        }
        let cannot_wait = self.lease.home().is_waited_for_here();
        self.rayon = None; // asks the threads to end once they have nothing left to do
        if cannot_wait {
            return; // the threads end on their own
        }
        for handle in handles.drain(..) {
            let _ = handle.join(); // a thread that panicked has said so already
        }
        // Those that threads of other pools run, which wait for them.
        self.lease.home().wait_empty();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("rayon", &self.rayon)
            .finish_non_exhaustive()
    }
}

/// The threads of a pool, once they are started.
#[derive(Debug)]
pub(super) struct Start {
    threads: OnceLock<Threads>,
    /// The process that the threads belong to; 0 before they are started. A fork of it has none.
    process: AtomicU32,
    /// How many threads there are; before they are started, as many as there may be.
    most: AtomicUsize,
    /// The pool's, unlike that of any other.
    number: u64,
    /// Locked while threads are started, and never while foreign code runs on the same thread.
    refusal: Mutex<Option<Refusal>>,
}

/// What the system did not give, all or in part.
#[derive(Debug)]
struct Refusal {
    error: PoolError,
    pause: Duration,
    /// When to ask again; `None` where that is of no use.
    again: Option<Instant>,
}

impl Refusal {
    fn after(earlier: Option<&Refusal>, error: PoolError) -> Self {
        let pause = match earlier {
            Some(earlier) => LONGEST_PAUSE.min(2 * earlier.pause),
            None => FIRST_PAUSE,
        };
        let again = Instant::now() + pause;
        Self {
            again: (!error.is_final()).then_some(again),
            error,
            pause,
        }
    }

    /// The error, where it is too early to ask again.
    fn holds(&self) -> Option<PoolError> {
        let asks = self.again.is_some_and(|again| again <= Instant::now());
        (!asks).then(|| self.error.clone())
    }
}

impl Start {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            threads: OnceLock::new(),
            process: AtomicU32::new(0),
            most: AtomicUsize::new(usize::MAX),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            refusal: Mutex::new(None),
        }
    }

    /// The threads, if they have been started, be it in a process of which this one is a fork.
    #[inline]
    pub(super) fn get(&self) -> Option<&Threads> {
        self.threads.get()
    }

    /// No more threads than so many can help.
    #[inline]
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// What the system refused when it was asked last.
    pub(super) fn error(&self) -> Option<PoolError> {
        if let Err(forked) = self.check_process() {
            return Some(forked);
        }
        self.refusal().as_ref().map(|refusal| refusal.error.clone())
    }

    /// The threads, started at need: `wanted` of them, or where the system refuses so many, half of
    /// those that it gave. In a fork of the process that they belong to there are none.
    pub(super) fn or_start(
        &self,
        settings: &Settings,
        wanted: usize,
    ) -> Result<&Threads, PoolError> {
        self.check_process()?;
        match self.threads.get() {
            Some(threads) => Ok(threads),
            None => self.start(settings, wanted, false),
        }
    }

    /// Starts `wanted` threads, and no fewer.
    pub(super) fn start_all(&self, settings: &Settings, wanted: usize) -> Result<(), PoolError> {
        self.check_process()?;
        self.start(settings, wanted, true).map(|_| ())
    }

    fn check_process(&self) -> Result<(), PoolError> {
        let here = fork::generation();
        if self.process.load(Ordering::Relaxed) != here {
            let known =
                self.process
                    .compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
            if known.is_err_and(|process| process != here) {
                // Not even a look: a thread that was starting them at the fork will not finish.
                return Err(PoolError::forked());
            }
        }
        Ok(())
    }

    #[cold]
    fn start(&self, settings: &Settings, wanted: usize, all: bool) -> Result<&Threads, PoolError> {
        if Starting::is_of(self.number) {
            return Err(PoolError::starting());
        }
        if let Some(error) = self.refusal().as_ref().and_then(Refusal::holds) {
            return Err(error);
        }
        let _starting = Starting::begin(self.number);
        let names = settings.names(wanted); // calls what the user gave, so before the lock
        let mut refusal = self.refusal();
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        if let Some(error) = refusal.as_ref().and_then(Refusal::holds) {
            return Err(error);
        }
        let refused = |error| Some(Refusal::after(refusal.as_ref(), error));
        match names.and_then(|names| start_some(settings, &names, self.number, all)) {
            Ok((threads, error)) => {
                *refusal = error.and_then(refused);
                let most = threads.rayon().current_num_threads();
                self.most.store(most, Ordering::Relaxed);
                Ok(self.threads.get_or_init(|| threads))
            }
            Err(error) => {
                *refusal = refused(error.clone());
                Err(error)
            }
        }
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts as many threads as there are names, or fewer, if fewer will do, and then says why.
///
/// Half of those that the system gave: what it has left belongs to the program, which would be
/// refused its next thread.
fn start_some(
    settings: &Settings,
    names: &[String],
    pool: u64,
    all: bool,
) -> Result<(Threads, Option<PoolError>), PoolError> {
    let mut first = None;
    let mut wanted = names.len();
    loop {
        let Refused { error, begun } = match settings.start(&names[..wanted], pool) {
            Ok(threads) => return Ok((threads, first)),
            Err(refused) => refused,
        };
        let error = first.get_or_insert(error);
        wanted = begun.len() / 2;
        if all || wanted == 0 {
            return Err(error.clone());
        }
        wait_for_ends(&begun);
    }
}

/// Waits for threads that have been told to end, so that they are not in the way of the next ones.
/// Not for long: their `on_start` may wait for as many threads as there are not.
fn wait_for_ends(handles: &[thread::JoinHandle<()>]) {
    const PATIENCE: Duration = Duration::from_millis(100);
    let began = Instant::now();
    while !handles.iter().all(thread::JoinHandle::is_finished) && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_micros(200));
    }
}
