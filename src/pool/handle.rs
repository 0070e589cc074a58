//! Handles of tasks: their results, one by one or as they come.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::home::Home;
use super::task::{Task, Watch};
use crate::error::JoinError;

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
    home: Home,
}

impl<'scope, R> ScopedJoinHandle<'scope, R> {
    pub(super) fn new(task: Arc<Task<'scope, R>>, home: Home) -> Self {
        Self { task, home }
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
        let taken = self.home.wait(
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
    }
}

/// Results in the order in which they come; see [`as_completed`].
pub struct AsCompleted<'scope, R> {
    handles: Vec<Option<ScopedJoinHandle<'scope, R>>>,
    watch: Arc<Watch>,
    left: usize,
}

impl<R> AsCompleted<'_, R> {
    /// The next result, if it comes within this time. `None` when the time is over, and when there is none left.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<(usize, Result<R, JoinError>)> {
        self.next_by(Instant::now().checked_add(timeout))
    }

    fn next_by(&mut self, deadline: Option<Instant>) -> Option<(usize, Result<R, JoinError>)> {
        if self.left == 0 {
            return None;
        }
        let place = first_of(&self.watch, self.handles.iter().flatten(), deadline);
        let place = match place {
            Ok(place) => place?,
            // Nobody will tell any more.
            Err(_) => self.handles.iter().position(Option::is_some)?,
        };
        let handle = self.handles[place].take()?;
        self.left -= 1;
        let result = handle.task.take().unwrap_or(Err(JoinError::Forked));
        Some((place, result))
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

/// Waits until one of several tasks is over, and says which one, by its place.
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

/// As [`wait_any`], for so long at most. `None` when the time is over.
#[must_use]
pub fn wait_any_timeout<R>(
    handles: &[ScopedJoinHandle<'_, R>],
    timeout: Duration,
) -> Option<usize> {
    let deadline = Instant::now().checked_add(timeout);
    wait_any_by(handles, deadline)
}

fn wait_any_by<R>(handles: &[ScopedJoinHandle<'_, R>], deadline: Option<Instant>) -> Option<usize> {
    let watch = Watch::new();
    for (place, handle) in handles.iter().enumerate() {
        handle.task.watch(&watch, place);
    }
    // In a fork, where nobody will tell: joining any of them says so.
    first_of(&watch, handles.iter(), deadline).unwrap_or(Some(0))
}

/// Waits for all tasks, and gives their results in the order of the handles.
#[doc(alias = "ALL_COMPLETED")]
pub fn wait_all<'scope, R>(
    handles: impl IntoIterator<Item = ScopedJoinHandle<'scope, R>>,
) -> Vec<Result<R, JoinError>> {
    handles.into_iter().map(ScopedJoinHandle::join).collect()
}

/// The place of the first task that ends.
fn first_of<'h, 'scope: 'h, R: 'h>(
    watch: &Watch,
    handles: impl Iterator<Item = &'h ScopedJoinHandle<'scope, R>> + Clone,
    deadline: Option<Instant>,
) -> Result<Option<usize>, JoinError> {
    let home = handles.clone().next().map(|handle| handle.home.clone());
    home.unwrap_or_default().wait(
        || watch.first(),
        || handles.clone().any(|handle| handle.task.run()),
        || watch.wait(deadline),
    )
}
