//! `JoinableQueue`: a queue that knows how much of what was sent is done.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Select;

use super::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use super::queue::Queue;
use super::ready::{Receives, Register};
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, lock, wait_until};

/// A [`Queue`] whose messages are tasks: [`join`](Self::join) waits until all that were sent are done.
///
/// Receiving gives a [`Claim`], which counts as done when it is dropped, also by a panic of the thread that works on it. So nobody has to
/// say it, and nobody can say it twice.
///
/// # Examples
///
/// ```
/// use scipar::JoinableQueue;
///
/// let jobs = JoinableQueue::unbounded();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| while let Ok(job) = jobs.recv() {
///             assert!(*job < 10); // the work; `job` is done where it goes out of scope
///         });
///     }
///     for i in 0..10 {
///         jobs.send(i).unwrap();
///     }
///     jobs.join(); // all ten are done
///     jobs.close(); // the two threads end
/// });
/// ```
pub struct JoinableQueue<T> {
    queue: Queue<T>,
    unfinished: Arc<Unfinished>,
}

/// How many tasks were sent and are not done.
#[derive(Debug)]
struct Unfinished {
    count: AtomicUsize,
    /// Held by who waits between looking at the count and falling asleep, and by who makes it zero before waking others.
    lock: Mutex<()>,
    zero: Condvar,
}

impl Unfinished {
    fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            lock: Mutex::new(()),
            zero: Condvar::new(),
        }
    }

    fn begin(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// What happened before is seen by whoever [`join`](Self::join)s.
    fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(lock(&self.lock));
            self.zero.notify_all();
        }
    }

    /// Waits until nothing is unfinished, or the deadline; says which.
    fn join(&self, deadline: Option<Instant>) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return true;
        }
        let mut guard = lock(&self.lock);
        while self.count.load(Ordering::Acquire) != 0 {
            let in_time;
            (guard, in_time) = wait_until(&self.zero, guard, deadline);
            if !in_time {
                return false;
            }
        }
        true
    }
}

impl<T> JoinableQueue<T> {
    /// As [`Queue::bounded`].
    #[must_use]
    pub fn bounded(capacity: usize) -> Self {
        Self::of(Queue::bounded(capacity))
    }

    /// As [`Queue::unbounded`].
    #[must_use]
    pub fn unbounded() -> Self {
        Self::of(Queue::unbounded())
    }

    fn of(queue: Queue<T>) -> Self {
        Self {
            queue,
            unfinished: Arc::new(Unfinished::new()),
        }
    }

    /// Counts a task, unless it could not be sent.
    fn counted<E>(&self, send: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        // First, as the task may be done before `send` returns.
        self.unfinished.begin();
        let sent = send();
        if sent.is_err() {
            self.unfinished.end();
        }
        sent
    }

    fn claim(&self, task: T) -> Claim<'_, T> {
        Claim {
            task,
            done: Done(&self.unfinished),
        }
    }

    /// As [`Queue::send`].
    ///
    /// # Errors
    ///
    /// When the queue is closed. The task is in the error, and does not count.
    #[doc(alias = "put")]
    pub fn send(&self, task: T) -> Result<(), SendError<T>> {
        self.counted(|| self.queue.send(task))
    }

    /// As [`Queue::try_send`].
    ///
    /// # Errors
    ///
    /// When the queue is full, or closed. The task is in the error, and does not count.
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, task: T) -> Result<(), TrySendError<T>> {
        self.counted(|| self.queue.try_send(task))
    }

    /// As [`Queue::send_timeout`].
    ///
    /// # Errors
    ///
    /// When the queue was full all the time, or is closed. The task is in the error, and does not count.
    pub fn send_timeout(&self, task: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.counted(|| self.queue.send_timeout(task, timeout))
    }

    /// Receives a task; blocks while there is none.
    ///
    /// # Errors
    ///
    /// When the queue is closed and nothing is left in it.
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<Claim<'_, T>, RecvError> {
        self.queue.recv().map(|task| self.claim(task))
    }

    /// Receives a task if there is one.
    ///
    /// # Errors
    ///
    /// When there is none now, or none will come.
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<Claim<'_, T>, TryRecvError> {
        self.queue.try_recv().map(|task| self.claim(task))
    }

    /// Receives a task; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When none came in time, or none will come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Claim<'_, T>, RecvTimeoutError> {
        self.queue
            .recv_timeout(timeout)
            .map(|task| self.claim(task))
    }

    /// Waits until every task that was sent, or is just being sent, is done. Who calls this with a claim in hand waits for itself.
    ///
    /// Tasks that are in the queue are waited for as well: somebody has to receive them, also after
    /// [`close`](Self::close).
    pub fn join(&self) {
        self.unfinished.join(None);
    }

    /// As [`join`](Self::join), for so long at most. Says whether everything is done.
    #[must_use]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        // A time so long that no clock shows it is no limit.
        self.unfinished.join(Instant::now().checked_add(timeout))
    }

    /// Tasks that were sent, or are just being sent, and are not done, at this moment.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished.count.load(Ordering::Acquire)
    }

    /// Tasks in the queue at this moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no task is in the queue at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the queue has no room at this moment. Always so with a capacity of 0.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// The tasks, as they come, until the queue is closed and empty. The iterator blocks.
    pub fn iter(&self) -> impl Iterator<Item = Claim<'_, T>> {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// How many tasks it holds; `None` without a limit.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.queue.capacity()
    }

    /// As [`Queue::close`].
    pub fn close(&self) {
        self.queue.close();
    }

    /// Whether somebody has closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

impl<T> Clone for JoinableQueue<T> {
    /// Another handle of the same queue.
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            unfinished: Arc::clone(&self.unfinished),
        }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue")
            .field("unfinished", &self.unfinished())
            .field("queue", &self.queue)
            .finish()
    }
}

impl<T> Register for JoinableQueue<T> {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        self.queue.register(select)
    }
}

impl<T> Receives for JoinableQueue<T> {}

/// A task of a [`JoinableQueue`] that somebody works on. It is done when this is dropped.
#[must_use = "a claim that is dropped is done"]
pub struct Claim<'a, T> {
    // Dropped first, so that what a task's own drop does is done as well.
    task: T,
    done: Done<'a>,
}

#[derive(Debug)]
struct Done<'a>(&'a Unfinished);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<T> Claim<'_, T> {
    /// Says that the task is done, and gives back the message.
    pub fn done(self) -> T {
        let Claim { task, done } = self;
        drop(done);
        task
    }
}

impl<T: fmt::Debug> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.task).finish()
    }
}

impl<T> Deref for Claim<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.task
    }
}

impl<T> DerefMut for Claim<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.task
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;

    /// Nobody sleeps through the moment when the last task is done, and what was done is seen.
    #[test]
    fn join_sees_the_last_task() {
        loom::model(|| {
            let unfinished = Arc::new(Unfinished::new());
            let work = Arc::new(AtomicUsize::new(0));
            unfinished.begin();
            unfinished.begin();
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (unfinished, work) = (unfinished.clone(), work.clone());
                    loom::thread::spawn(move || {
                        work.fetch_add(1, Ordering::Relaxed);
                        unfinished.end();
                    })
                })
                .collect();
            assert!(unfinished.join(None));
            assert_eq!(work.load(Ordering::Relaxed), 2);
            for worker in workers {
                worker.join().unwrap();
            }
        });
    }
}
