//! Handles of tasks: their results, one by one or as they come.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::home::is_on_a_pool;
use super::task::{Task, Watch};
use crate::error::JoinError;
use crate::fork;

/// A task given to a pool with [`Pool::spawn`](super::Pool::spawn), and its result when it is there.
///
/// Dropping the handle lets the task run and its result, or its panic, go.
#[doc(alias = "Future")]
#[doc(alias = "AsyncResult")]
pub type JoinHandle<R> = ScopedJoinHandle<'static, R>;

/// A task given to a pool, which may borrow what lives for `'scope`, and its result when it is there.
///
/// It comes from [`Scope::spawn`](super::Scope::spawn), or from [`Pool::spawn`](super::Pool::spawn) as a [`JoinHandle`].
#[must_use = "a dropped handle lets the task's result go; `drop` it to say so"]
pub struct ScopedJoinHandle<'scope, R> {
    task: Arc<Task<'scope, R>>,
}

impl<'scope, R> ScopedJoinHandle<'scope, R> {
    pub(super) fn new(task: Arc<Task<'scope, R>>) -> Self {
        Self { task }
    }

    /// Waits for the task, and gives its result.
    ///
    /// Called on a thread of a pool it does not merely wait: if the task has not started, it runs right here. So tasks that join each
    /// other, without a cycle, do not deadlock, whatever the number of threads.
    ///
    /// # Errors
    ///
    /// When the task panicked, with the payload, or was cancelled.
    #[doc(alias = "get")]
    #[doc(alias = "result")]
    pub fn join(self) -> Result<R, JoinError> {
        match self.join_by(None) {
            Ok(result) => result,
            Err(_) => Err(JoinError::Forked),
        }
    }

    /// As [`join`](Self::join), for so long at most: when the time is over, the handle comes back. On a thread of a
    /// pool it may take longer, if it runs the task.
    ///
    /// # Errors
    ///
    /// `Err(handle)` when the time is over; `Ok(Err(error))` as [`join`](Self::join).
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<R, JoinError>, Self> {
        // A time so long that no clock shows it is no limit.
        self.join_by(Instant::now().checked_add(timeout))
    }

    fn join_by(self, deadline: Option<Instant>) -> Result<Result<R, JoinError>, Self> {
        let task = &self.task;
        let taken = task.home().wait(
            || task.take(),
            || task.run(),
            || {
                task.wait(deadline);
                task.take()
            },
        );
        match taken {
            Ok(Some(result)) => Ok(result),
            Ok(None) => Err(self),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Whether the task is over: it has a result, panicked, or was cancelled.
    #[must_use]
    #[doc(alias = "done")]
    #[doc(alias = "ready")]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Cancels the task if it has not started, so that it never runs; says whether it did. A task that runs is not disturbed.
    ///
    /// # Panics
    ///
    /// With the panic of a value that the task had captured and that panics when it is dropped. The task is cancelled nevertheless.
    pub fn cancel(&self) -> bool {
        self.task.cancel().unwrap_or_else(|panic| panic.resume())
    }
}

impl<R> Drop for ScopedJoinHandle<'_, R> {
    fn drop(&mut self) {
        self.task.detach();
    }
}

impl<R> fmt::Debug for ScopedJoinHandle<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// The results of several tasks in the order in which they come, each with the place of its handle among `handles`.
///
/// All handles are taken from the iterator before this returns. The time for all results grows with
/// their number, not with its square.
///
/// # Blocking
///
/// Each step waits for the next result. On a thread of a pool it first runs those tasks that no
/// thread has begun, one at a time.
///
/// # Examples
///
/// ```
/// let pool = scipar::Pool::new(2);
/// let handles = (0..10_u64).map(|i| pool.spawn(move || i * i));
/// for (i, result) in scipar::as_completed(handles) {
///     assert_eq!(result.unwrap(), (i * i) as u64);
/// }
/// ```
pub fn as_completed<'scope, R>(
    handles: impl IntoIterator<Item = ScopedJoinHandle<'scope, R>>,
) -> AsCompleted<'scope, R> {
    let watch = Watch::new();
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    for (place, handle) in handles.iter().enumerate() {
        if let Some(handle) = handle {
            handle.task.watch(&watch, place);
        }
    }
    AsCompleted {
        left: handles.len(),
        handles,
        watch,
        begun: 0,
        here: 0,
        process: fork::generation(),
    }
}

/// Results in the order in which they come; see [`as_completed`].
pub struct AsCompleted<'scope, R> {
    /// `None` for those whose results have been given.
    handles: Vec<Option<ScopedJoinHandle<'scope, R>>>,
    watch: Arc<Watch>,
    left: usize,
    /// Tasks before this place have been begun or cancelled.
    begun: usize,
    /// Tasks before this place belong to this process, or their results have been given.
    here: usize,
    /// The process of which `here` is known.
    process: u32,
}

impl<'scope, R> AsCompleted<'scope, R> {
    /// The next result, if it comes within this time. `None` when the time is over, and when there is none left.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<(usize, Result<R, JoinError>)> {
        self.next_by(Instant::now().checked_add(timeout))
    }

    fn next_by(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R, JoinError>)> {
        if self.left == 0 {
            return None;
        }
        let (place, handle) = self.next_ended(deadline)?;
        self.left -= 1;
        let result = handle.task.take().unwrap_or(Err(JoinError::Forked));
        Some((place, result))
    }

    /// The next task that is over, or that will never be, as this process is a fork without its thread.
    fn next_ended(
        &mut self,
        deadline: Option<Instant>,
    ) -> Option<(usize, ScopedJoinHandle<'scope, R>)> {
        loop {
            if let Some(place) = self.watch.first() {
                match self.handles[place].take() {
                    Some(handle) => return Some((place, handle)),
                    None => continue, // it has been given up, and then it ended
                }
            }
            let lost = self.first_elsewhere();
            if (lost.is_some() || is_on_a_pool()) && self.run_one() {
                continue;
            }
            if let Some(place) = lost {
                return self.handles[place].take().map(|handle| (place, handle));
            }
            let place = self.watch.wait(deadline)?;
            if let Some(handle) = self.handles[place].take() {
                return Some((place, handle));
            }
        }
    }

    /// Runs the first task that no thread has begun; says whether there was one.
    fn run_one(&mut self) -> bool {
        while let Some(handle) = self.handles.get(self.begun) {
            self.begun += 1;
            if handle.as_ref().is_some_and(|handle| handle.task.run()) {
                return true;
            }
        }
        false
    }

    /// The place of the first task of another process, of which this one is a fork.
    fn first_elsewhere(&mut self) -> Option<usize> {
        let process = fork::generation();
        if self.process != process {
            (self.process, self.here) = (process, 0);
        }
        while let Some(handle) = self.handles.get(self.here) {
            let is_elsewhere = |handle: &ScopedJoinHandle<'_, R>| handle.task.home().is_elsewhere();
            if handle.as_ref().is_some_and(is_elsewhere) {
                return Some(self.here);
            }
            self.here += 1;
        }
        None
    }
}

impl<R> Iterator for AsCompleted<'_, R> {
    type Item = (usize, Result<R, JoinError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_by(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R> ExactSizeIterator for AsCompleted<'_, R> {}
impl<R> std::iter::FusedIterator for AsCompleted<'_, R> {}

impl<R> fmt::Debug for AsCompleted<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// Waits until one of several tasks is over, and says which one, by its place: the first that ended,
/// of those that are over already any.
///
/// Each call looks at all handles. To take results one by one, as they come, use [`as_completed`]:
/// its time grows with the number of tasks, that of `wait_any` in a loop with the square of it.
///
/// # Blocking
///
/// On a thread of a pool, tasks that no thread has begun are run right here until one is over.
///
/// # Panics
///
/// Without handles: the wait would not end.
#[must_use]
#[track_caller]
#[doc(alias = "FIRST_COMPLETED")]
pub fn wait_any<R>(handles: &[ScopedJoinHandle<'_, R>]) -> usize {
    assert!(!handles.is_empty(), "nothing to wait for");
    wait_any_by(handles, None).unwrap_or(0)
}

/// As [`wait_any`], for so long at most. `None` when the time is over. On a thread of a pool it may take
/// longer, if it runs a task.
#[must_use]
pub fn wait_any_timeout<R>(
    handles: &[ScopedJoinHandle<'_, R>],
    timeout: Duration,
) -> Option<usize> {
    let deadline = Instant::now().checked_add(timeout);
    wait_any_by(handles, deadline)
}

fn wait_any_by<R>(handles: &[ScopedJoinHandle<'_, R>], deadline: Option<Instant>) -> Option<usize> {
    if let Some(ended) = handles.iter().position(ScopedJoinHandle::is_finished) {
        return Some(ended);
    }
    let watch = Watch::new();
    for (place, handle) in handles.iter().enumerate() {
        handle.task.watch(&watch, place);
    }
    let is_elsewhere = |handle: &ScopedJoinHandle<'_, R>| handle.task.home().is_elsewhere();
    let lost = handles.iter().position(is_elsewhere);
    if lost.is_some() || is_on_a_pool() {
        let ran = handles.iter().any(|handle| handle.task.run());
        // One that ran here has been noted. What runs in another process never comes: joining it says so.
        if !ran && let Some(lost) = lost {
            return watch.first().or(Some(lost));
        }
    }
    watch.wait(deadline)
}

/// Waits for all tasks, and gives their results in the order of the handles.
///
/// All handles are taken from the iterator before the first is waited for, so an iterator that spawns
/// as it goes, `(0..4).map(|i| pool.spawn(...))`, has its tasks run together.
///
/// # Blocking
///
/// On a thread of a pool, tasks that no thread has begun are run right here.
#[doc(alias = "ALL_COMPLETED")]
pub fn wait_all<'scope, R>(
    handles: impl IntoIterator<Item = ScopedJoinHandle<'scope, R>>,
) -> Vec<Result<R, JoinError>> {
    let handles: Vec<_> = handles.into_iter().collect();
    if is_on_a_pool() {
        // Before the first wait: what is waited for may wait for one that no thread has begun.
        for handle in &handles {
            handle.task.run();
        }
    }
    handles.into_iter().map(ScopedJoinHandle::join).collect()
}
