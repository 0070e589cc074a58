//! `JoinableQueue`: a queue that knows how much of what was sent is done.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Select;

use super::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use super::queue::Queue;
use super::ready::{Receives, Register};
use super::unfinished::{Joined, Unfinished};

mod claim;
mod ends;

pub use claim::Claim;
pub use ends::{JoinableReceiver, JoinableSender};

/// A [`Queue`] whose messages are tasks: [`join`](Self::join) waits until all that were sent are
/// done.
///
/// Receiving gives a [`Claim`], which counts as done when it is dropped, also by a panic of the
/// thread that works on it. So nothing has to say it, and nothing can say it twice.
///
/// As a `Queue` it can send and receive: as long as one is left, `recv` waits without an end unless
/// it is closed, and `join` waits for a receiver of what is in it. [`into_ends`](Self::into_ends)
/// gives ends that disconnect, also by `?` or a panic, and [a `join`](JoinableSender::join) that
/// says which tasks no receiver was left for.
///
/// # Examples
///
/// ```
/// use scipar::JoinableQueue;
///
/// let (jobs, receiver) = JoinableQueue::unbounded().into_ends();
/// let workers = [(); 2].map(|()| {
///     let receiver = receiver.clone();
///     std::thread::spawn(move || {
///         for job in receiver.iter() {
///             assert!(*job < 10); // the work; `job` is done where it goes out of scope
///         }
///     })
/// });
/// drop(receiver); // the workers have theirs
/// for i in 0..10 {
///     jobs.send(i)?;
/// }
/// jobs.join()?; // all ten are done; an error if both threads had panicked before
/// drop(jobs); // the two threads end
/// for worker in workers {
///     worker.join().unwrap();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JoinableQueue<T> {
    receiver: JoinableReceiver<T>,
    sender: JoinableSender<T>,
}

impl<T> JoinableQueue<T> {
    /// As [`Queue::bounded`].
    #[must_use]
    pub fn bounded(capacity: usize) -> Self {
        Self::of(Some(capacity))
    }

    /// As [`Queue::unbounded`].
    #[must_use]
    pub fn unbounded() -> Self {
        Self::of(None)
    }

    fn of(capacity: Option<usize>) -> Self {
        let unfinished = Arc::new(Unfinished::new());
        let queue = Queue::counted(capacity, Arc::clone(&unfinished));
        let (sender, receiver) = queue.into_ends();
        Self {
            receiver: JoinableReceiver::new(receiver, Arc::clone(&unfinished)),
            sender: JoinableSender::new(sender, unfinished),
        }
    }

    /// An end that can send and not receive.
    #[must_use]
    pub fn sender(&self) -> JoinableSender<T> {
        self.sender.clone()
    }

    /// An end that can receive and not send.
    #[must_use]
    pub fn receiver(&self) -> JoinableReceiver<T> {
        self.receiver.clone()
    }

    /// Both ends of this handle, of which nothing else is left: the queue ends when one side is
    /// gone.
    #[must_use]
    #[doc(alias = "split")]
    pub fn into_ends(self) -> (JoinableSender<T>, JoinableReceiver<T>) {
        (self.sender, self.receiver)
    }

    /// As [`Queue::send`].
    ///
    /// # Errors
    ///
    /// When the queue is closed. The task is in the error, and does not count.
    #[doc(alias = "put")]
    pub fn send(&self, task: T) -> Result<(), SendError<T>> {
        self.sender.send(task)
    }

    /// As [`Queue::try_send`].
    ///
    /// # Errors
    ///
    /// When the queue is full, or closed. The task is in the error, and does not count.
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, task: T) -> Result<(), TrySendError<T>> {
        self.sender.try_send(task)
    }

    /// As [`Queue::send_timeout`].
    ///
    /// # Errors
    ///
    /// When the queue was full all the time, or is closed. The task is in the error, and does not
    /// count.
    pub fn send_timeout(&self, task: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.sender.send_timeout(task, timeout)
    }

    /// Receives a task; blocks while there is none.
    ///
    /// # Errors
    ///
    /// When the queue is closed and nothing is left in it.
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<Claim<'_, T>, RecvError> {
        self.receiver.recv()
    }

    /// Receives a task if there is one.
    ///
    /// # Errors
    ///
    /// When there is none now, or none will come.
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<Claim<'_, T>, TryRecvError> {
        self.receiver.try_recv()
    }

    /// Receives a task; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When none came in time, or none will come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Claim<'_, T>, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// Waits until every task that was sent, or is just being sent, is done. A thread with a claim
    /// in hand waits for itself.
    ///
    /// # Blocking
    ///
    /// Tasks that are in the queue are waited for as well, also after [`close`](Self::close): where
    /// all threads that received are gone, this waits for ever, as its own handle could receive
    /// them. It is not interrupted by a worker's [`Stop`](crate::Stop) either, as it has no way to
    /// say that tasks are left. [`JoinableSender::join`] ends with an error in both cases.
    pub fn join(&self) {
        self.sender.unfinished.join(None);
    }

    /// As [`join`](Self::join), for so long at most. Says whether everything is done.
    #[must_use]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        // A time so long that no clock shows it is no limit.
        let deadline = Instant::now().checked_add(timeout);
        self.sender.unfinished.join(deadline) == Joined::Finished
    }

    /// Tasks that were sent, or are just being sent, and are not done, at this moment.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.sender.unfinished()
    }

    /// Tasks in the queue at this moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether no task is in the queue at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Whether the queue has no room at this moment. Always so with a capacity of 0.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.receiver.is_full()
    }

    /// The tasks, as they come, until the queue is closed and empty. The iterator blocks.
    pub fn iter(&self) -> impl Iterator<Item = Claim<'_, T>> {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// How many tasks it holds; `None` without a limit.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.receiver.capacity()
    }

    /// As [`Queue::close`].
    pub fn close(&self) {
        self.receiver.close();
    }

    /// Whether the queue was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }
}

impl<T> Clone for JoinableQueue<T> {
    /// Another handle of the same queue.
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver(),
            sender: self.sender(),
        }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue")
            .field("unfinished", &self.unfinished())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl<T> Register for JoinableQueue<T> {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        self.receiver.register(select)
    }
}

impl<T> Receives for JoinableQueue<T> {}
