//! What stops a run early, and what tells how far it is.

#[cfg(feature = "process")]
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[cfg(feature = "process")]
use crossbeam_channel::RecvTimeoutError;

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
    /// One of the states below. The listener is never called twice at once, and no thread ever
    /// waits for one that calls it: the listener may itself do work of this run, by way of rayon.
    telling: AtomicU8,
}

/// No thread is telling the listener.
const SILENT: u8 = 0;
/// A thread is.
const TELLING: u8 = 1;
/// A thread is, and tells the end as well: the last item was finished since it began.
const TELLING_THE_END: u8 = 2;

/// A thread that tells the listener; other threads can when it is dropped, also by a panic.
struct Teller<'a>(&'a AtomicU8);

impl Drop for Teller<'_> {
    fn drop(&mut self) {
        self.0.store(SILENT, Ordering::Release);
    }
}

/// Milliseconds between two reports: smooth to look at, nothing to compute.
const REPORT_EVERY: u64 = 50;

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
        }
    }

    /// Whether the run is to stop now.
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

    /// Counts items, and tells the listener if it is time to.
    pub(crate) fn finish(&self, items: usize) {
        let finished = self.count(items);
        if self.listener.is_none() {
            return;
        }
        let now = self.began.elapsed().as_millis() as u64;
        if finished == self.total || now >= self.next_report.load(Ordering::Relaxed) {
            self.report(finished == self.total);
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
        let claimed = self
            .telling
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| match state {
                SILENT => Some(TELLING),
                _ => end.then_some(TELLING_THE_END),
            });
        if claimed != Ok(SILENT) {
            return;
        }
        let teller = Teller(&self.telling);
        while self.tell(listener) < self.total {
            let silent = self.telling.compare_exchange(
                TELLING,
                SILENT,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if silent.is_ok() {
                std::mem::forget(teller); // the next one may have begun already
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

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
