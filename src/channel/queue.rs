//! `Queue`: many senders, many receivers, ends that disconnect, and an end by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Select;

use super::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use super::ready::{Receives, Register};
use super::unfinished::Unfinished;

mod closing;
mod discard;
mod ends;
#[cfg(not(loom))]
mod interruptible;
mod iter;
mod shared;

pub use ends::{Receiver, Sender};
pub use iter::{IntoIter, Iter, TryIter};

/// A first-in, first-out queue between threads. A `Queue` can send and receive, and as long as one
/// is left, [`recv`](Self::recv) waits for a message and [`send`](Self::send) for room: **a
/// forgotten [`close`](Self::close) is a thread that waits for ever.** Its ends need no `close`.
/// They disconnect by being dropped, also by `?` or a panic.
///
/// [`into_ends`](Self::into_ends) gives a [`Sender`] and a [`Receiver`], and no `Queue` is left.
/// When the last sender is dropped, receivers get what was sent before and then the end. When the
/// last receiver is dropped, sending fails and hands the message back. [`sender`](Self::sender) and
/// [`receiver`](Self::receiver) give ends of a queue that is kept: it counts as one of each, so a
/// thread that only receives keeps a receiver and drops the queue.
///
/// The messages of one sender arrive in the order in which they were sent, and each goes to one
/// receiver. All handles can be cloned.
///
/// [`close`](Self::close) ends a queue for all handles at once: sending fails, and receivers get
/// what was sent before and then the end.
///
/// # Examples
///
/// ```
/// use scipar::{Queue, Worker};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, receiver) = Queue::bounded(2).into_ends();
/// let consumer = Worker::spawn(move |_| receiver.iter().sum::<u64>());
/// for i in 0..1000 {
///     sender.send(i)?; // fails when the consumer is gone, which ends where this is left early
/// }
/// drop(sender); // nothing more will come
/// assert_eq!(consumer.join()?, 499_500);
/// # Ok(())
/// # }
/// ```
///
/// # Workers
///
/// On the thread of a [`Worker`](crate::Worker) that was asked to stop, or is being dropped, no
/// call waits any more: see [`Stop`](crate::Stop#interrupted-waits). So a worker that waits on a
/// queue can always be dropped, whichever of the two goes out of scope first.
///
/// # Cost
///
/// Messages go through a channel of crossbeam-channel, each with a number of eight bytes; sending
/// and receiving look at two flags besides. Handles are counted where they are cloned and dropped.
#[doc(alias = "SimpleQueue")]
#[doc(alias = "channel")]
#[doc(alias = "mpmc")]
pub struct Queue<T> {
    // Dropped first: the last receiver leaves nothing for the last sender to ring for.
    receiver: Receiver<T>,
    sender: Sender<T>,
}

impl<T> Queue<T> {
    /// A queue that holds up to `capacity` messages; sending blocks while it is full. With a
    /// capacity of 0 a message goes from hand to hand: sending blocks until a receiver takes it.
    #[must_use]
    #[doc(alias = "maxsize")]
    pub fn bounded(capacity: usize) -> Self {
        Self::of(ends::ends(Some(capacity), None))
    }

    /// A queue without a limit; sending never blocks.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::of(ends::ends(None, None))
    }

    /// A queue of tasks.
    pub(super) fn counted(capacity: Option<usize>, tasks: Arc<Unfinished>) -> Self {
        Self::of(ends::ends(capacity, Some(tasks)))
    }

    fn of((sender, receiver): (Sender<T>, Receiver<T>)) -> Self {
        Self { receiver, sender }
    }

    /// An end that can send and not receive.
    #[must_use]
    pub fn sender(&self) -> Sender<T> {
        self.sender.clone()
    }

    /// An end that can receive and not send.
    #[must_use]
    pub fn receiver(&self) -> Receiver<T> {
        self.receiver.clone()
    }

    /// Both ends of this handle, of which nothing else is left: the queue ends when one side is
    /// gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use scipar::Queue;
    ///
    /// let (sender, receiver) = Queue::unbounded().into_ends();
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert!(receiver.into_iter().eq([1]));
    ///
    /// let (sender, receiver) = Queue::bounded(1).into_ends();
    /// drop(receiver);
    /// assert_eq!(sender.send("back").unwrap_err().into_inner(), "back");
    /// ```
    #[must_use]
    #[doc(alias = "split")]
    pub fn into_ends(self) -> (Sender<T>, Receiver<T>) {
        (self.sender, self.receiver)
    }

    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// When the queue is closed, also while this waits; on the thread of a worker that [was asked
    /// to stop](crate::Stop#interrupted-waits) where it would wait. The message is in the error.
    #[inline]
    #[doc(alias = "put")]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message)
    }

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// When the queue is full, or closed. The message is in the error.
    #[inline]
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.sender.try_send(message)
    }

    /// As [`Sender::send_timeout`].
    ///
    /// # Errors
    ///
    /// When the queue was full all the time, and as [`send`](Self::send). The message is in the
    /// error.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.sender.send_timeout(message, timeout)
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// When the queue is closed and nothing is left in it; on the thread of a worker that [was
    /// asked to stop](crate::Stop#interrupted-waits) where it would wait.
    #[inline]
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receiver.recv()
    }

    /// As [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// When there is none now, or none will come.
    #[inline]
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// When none came in time, and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// As [`Receiver::recv_many`].
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). `buffer` is as it was.
    #[doc(alias = "drain")]
    pub fn recv_many(&self, buffer: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        self.receiver.recv_many(buffer, max)
    }

    /// Messages in the queue at this moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether no message is in the queue at this moment.
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Whether the queue has no room at this moment. Always so with a capacity of 0.
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.receiver.is_full()
    }

    /// How many messages it holds; `None` without a limit.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.receiver.capacity()
    }

    /// Closes the queue for good. Calls that wait return; sending fails; receivers get what was
    /// sent before, and then the end. Closing again does nothing.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        self.receiver.close();
    }

    /// Whether the queue was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }

    /// The messages, as they come, until the queue is closed and empty. The iterator blocks.
    pub fn iter(&self) -> Iter<'_, T> {
        self.receiver.iter()
    }

    /// The messages that are there; the iterator ends where it would have to wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        self.receiver.try_iter()
    }
}

impl<T> Clone for Queue<T> {
    /// Another handle of the same queue.
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver(),
            sender: self.sender(),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl<T> Register for Queue<T> {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        self.receiver.register(select)
    }
}

impl<T> Receives for Queue<T> {}

#[cfg(all(test, loom))]
mod tests;
