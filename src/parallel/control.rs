//! What stops a run early, and what tells how far it is.

#[cfg(feature = "process")]
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "process")]
use crossbeam_channel::RecvTimeoutError;

use super::outcome::RunError;
use crate::panic::{Panic, caught};

/// Cancels runs: clone it, keep one end, give the other to
/// [`Parallel::cancel_on`](super::Parallel::cancel_on).
///
/// # Examples
///
/// ```
/// let token = scipar::CancelToken::new();
/// let elsewhere = token.clone(); // a signal handler, another thread, a button
/// elsewhere.cancel();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every run that has this token or a clone of it, for good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Items that are finished, not merely begun.
    pub finished: usize,
    /// All items.
    pub total: usize,
    /// Time since the run began.
    pub elapsed: Duration,
}

/// Why a run ended before its last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    Deadline,
    /// Something panicked that is no item.
    Fault,
}

/// A panic of what belongs to a run and is no item; the first of these that happened is told.
#[derive(Debug)]
pub(crate) enum Thrown {
    Hint { index: usize, panic: Panic },
    State { worker: usize, panic: Panic },
    Listener(Panic),
}

impl Thrown {
    /// Of several the one with the lowest rank is told.
    fn rank(&self) -> (u8, usize) {
        match self {
            Thrown::Hint { .. } => (0, 0),
            Thrown::State { worker, .. } => (1, *worker),
            Thrown::Listener(_) => (2, 0),
        }
    }

    pub(crate) fn into_error<E>(self) -> RunError<E> {
        match self {
            Thrown::Hint { index, panic } => RunError::HintPanicked { index, panic },
            Thrown::State { worker, panic } => RunError::StatePanicked { worker, panic },
            Thrown::Listener(panic) => RunError::ListenerPanicked { panic },
        }
    }
}

/// Told about progress.
pub(crate) type Listener<'a> = Box<dyn Fn(Progress) + Send + Sync + 'a>;

/// What a run listens to and tells. Shared by its workers.
pub(crate) struct Control<'a> {
    cancel: Option<CancelToken>,
    deadline: Option<Instant>,
    listener: Option<Listener<'a>>,
    began: Instant,
    total: usize,
    finished: AtomicUsize,
    /// Milliseconds after the beginning at which progress is told next.
    next_report: AtomicU64,
    /// One of the states below. The listener is never called twice at once, and no thread ever waits
    /// for one that calls it: the listener may itself do work of this run, by way of rayon.
    telling: AtomicU8,
    /// Whether the run ends where something panics that is no item.
    ends_on_fault: bool,
    /// Set when it is to end for that.
    faulty: AtomicBool,
    thrown: Mutex<Option<Thrown>>,
    /// What a worker was stopped by, if one was.
    stopped: Mutex<Option<Stop>>,
}

/// No thread is telling the listener.
const SILENT: u8 = 0;
/// A thread is.
const TELLING: u8 = 1;
/// A thread is, and tells the end as well: the last item was finished since it began.
const TELLING_THE_END: u8 = 2;
/// The listener has panicked, and is not told any more.
const BROKEN: u8 = 3;

/// Milliseconds between two reports: smooth to look at, nothing to compute.
const REPORT_EVERY: u64 = 50;

/// How often a worker looks whether it is time for a report, as far as its items allow: so seldom that the
/// looks cost nothing beside the items.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// However cheap the items are, it looks after so many: they may become dear all of a sudden, and a look
/// costs less than a tenth of a nanosecond for each of so many.
const MOST_ITEMS: usize = 512;

/// After how many items a worker looks at the clock next.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Items until the next look; `usize::MAX` where there is no listener, which is never reached.
    pub(crate) left: usize,
    /// Items between the last look and the next one.
    step: usize,
    last: Instant,
}

impl<'a> Control<'a> {
    pub(crate) fn new(
        cancel: Option<CancelToken>,
        time: Option<Duration>,
        listener: Option<Listener<'a>>,
        total: usize,
    ) -> Self {
        let began = Instant::now();
        Self {
            cancel,
            // A time so long that no clock shows it is no deadline.
            deadline: time.and_then(|time| began.checked_add(time)),
            listener,
            began,
            total,
            finished: AtomicUsize::new(0),
            next_report: AtomicU64::new(REPORT_EVERY),
            telling: AtomicU8::new(SILENT),
            ends_on_fault: false,
            faulty: AtomicBool::new(false),
            thrown: Mutex::new(None),
            stopped: Mutex::new(None),
        }
    }

    /// Whether the run ends where something panics that is no item: where it is all or nothing.
    pub(crate) fn ends_on_fault(self, ends_on_fault: bool) -> Self {
        Self {
            ends_on_fault,
            ..self
        }
    }

    /// Whether the run is to end because something panicked that is no item.
    pub(crate) fn fault_stop(&self) -> Option<Stop> {
        let faulty = self.faulty.load(Ordering::Relaxed);
        faulty.then_some(Stop::Fault)
    }

    /// Whether it can be stopped from outside: whether to ask [`stop`](Self::stop) before each item.
    pub(crate) fn is_watched(&self) -> bool {
        self.cancel.is_some() || self.deadline.is_some()
    }

    /// Whether the run is to stop now, as it was cancelled or its time is over.
    pub(crate) fn stop(&self) -> Option<Stop> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(Stop::Cancelled);
        }
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Some(Stop::Deadline);
        }
        None
    }

    /// Notes what a worker was stopped by.
    pub(crate) fn note(&self, stop: Stop) {
        *lock(&self.stopped) = Some(stop);
    }

    /// Keeps a panic of what is no item.
    pub(crate) fn threw(&self, new: Thrown) {
        let loser = {
            let mut thrown = lock(&self.thrown);
            match &*thrown {
                Some(old) if old.rank() <= new.rank() => Some(new),
                _ => thrown.replace(new),
            }
        };
        drop(loser); // the user's payload, so not under the lock; the drop of a panic never unwinds
        if self.ends_on_fault {
            self.faulty.store(true, Ordering::Relaxed);
        }
    }

    /// What went wrong beside the items, or ended the run before the last of them.
    pub(crate) fn fault<E>(&self) -> Option<RunError<E>> {
        if let Some(thrown) = lock(&self.thrown).take() {
            return Some(thrown.into_error());
        }
        let (finished, total) = (self.finished(), self.total);
        match *lock(&self.stopped) {
            Some(Stop::Cancelled) => Some(RunError::Cancelled { finished, total }),
            Some(Stop::Deadline) => Some(RunError::DeadlineExceeded { finished, total }),
            Some(Stop::Fault) | None => None,
        }
    }

    /// What cancels the run.
    #[cfg(feature = "process")]
    pub(crate) fn token(&self) -> Option<&CancelToken> {
        self.cancel.as_ref()
    }

    /// When the run's time is over.
    #[cfg(feature = "process")]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A pace for a worker that begins.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            left: if self.listener.is_some() {
                1
            } else {
                usize::MAX
            },
            step: 1,
            last: self.began,
        }
    }

    /// Counts items when the pace says that it is time for a look; says after how many the next one is.
    #[cold]
    pub(crate) fn look(&self, pace: &mut Pace, items: usize) -> usize {
        let now = Instant::now();
        let took = (now - pace.last).as_nanos().max(1);
        let fitting = (pace.step as u128 * LOOK_EVERY.as_nanos() / took) as usize;
        pace.step = fitting.clamp(1, MOST_ITEMS.min(2 * pace.step));
        pace.last = now;
        self.finish(items);
        let now = (now - self.began).as_millis() as u64;
        if now >= self.next_report.load(Ordering::Relaxed) {
            self.report(false);
        }
        pace.step
    }

    /// Counts items, and tells the listener of the end if they were the last ones.
    pub(crate) fn finish(&self, items: usize) {
        // The thread that counts the last item, and no other one, sees that it is the last.
        if items > 0 && self.count(items) == self.total {
            self.report(true);
        }
    }

    /// Counts items, and tells nothing; says how many are finished.
    pub(crate) fn count(&self, items: usize) -> usize {
        self.finished.fetch_add(items, Ordering::Relaxed) + items
    }

    /// Tells the listener, unless another thread is just doing so; that one then tells the end too.
    fn report(&self, end: bool) {
        let Some(listener) = &self.listener else {
            return;
        };
        if !end && self.finished() == self.total {
            return; // the end is told by the thread that came to it
        }
        let claimed = self
            .telling
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| match state {
                SILENT => Some(TELLING),
                BROKEN => None,
                _ => end.then_some(TELLING_THE_END),
            });
        if claimed != Ok(SILENT) {
            return;
        }
        loop {
            match caught(|| self.tell(listener)) {
                Ok(told) if told < self.total => {}
                Ok(_) => return self.telling.store(SILENT, Ordering::Release),
                Err(panic) => {
                    self.telling.store(BROKEN, Ordering::Release);
                    return self.threw(Thrown::Listener(panic));
                }
            }
            let silent = self.telling.compare_exchange(
                TELLING,
                SILENT,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if silent.is_ok() {
                return;
            }
            self.telling.store(TELLING, Ordering::Relaxed); // and the end is told
        }
    }

    /// Calls the listener; says how many items it was told of.
    fn tell(&self, listener: &Listener<'_>) -> usize {
        let elapsed = self.began.elapsed();
        let next = elapsed.as_millis() as u64 + REPORT_EVERY;
        self.next_report.store(next, Ordering::Relaxed);
        let finished = self.finished();
        listener(Progress {
            finished,
            total: self.total,
            elapsed,
        });
        finished
    }

    /// Whether there is a listener.
    #[cfg(feature = "process")]
    pub(crate) fn is_heard(&self) -> bool {
        self.listener.is_some()
    }

    /// Tells the listener from this thread of what others [count](Self::count), until `over` is
    /// disconnected, and of the end.
    #[cfg(feature = "process")]
    pub(crate) fn tell_until(&self, over: &crossbeam_channel::Receiver<Infallible>) {
        let Some(listener) = &self.listener else {
            return;
        };
        let mut told = 0;
        loop {
            let wait = Duration::from_millis(REPORT_EVERY);
            let goes_on = over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            let finished = self.finished();
            if told < finished && (goes_on || finished == self.total) {
                told = self.tell(listener);
            }
            if !goes_on {
                return;
            }
        }
    }

    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
