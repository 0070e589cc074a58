//! What stops a run early, and what tells how far it is.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

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
    /// Held while the listener runs, so that it is never called twice at once.
    reporting: Mutex<()>,
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
            reporting: Mutex::new(()),
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
        let finished = self.finished.fetch_add(items, Ordering::Relaxed) + items;
        if self.listener.is_none() {
            return;
        }
        let now = self.began.elapsed().as_millis() as u64;
        if finished == self.total || now >= self.next_report.load(Ordering::Relaxed) {
            self.report(finished == self.total);
        }
    }

    /// Tells the listener, unless somebody is just doing so; the last report waits for its turn.
    fn report(&self, last: bool) {
        let Some(listener) = &self.listener else {
            return;
        };
        let _turn = match self.reporting.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) if !last => return,
            Err(TryLockError::WouldBlock) => self
                .reporting
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        };
        let elapsed = self.began.elapsed();
        self.next_report
            .store(elapsed.as_millis() as u64 + REPORT_EVERY, Ordering::Relaxed);
        listener(Progress {
            finished: self.finished.load(Ordering::Relaxed),
            total: self.total,
            elapsed,
        });
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
