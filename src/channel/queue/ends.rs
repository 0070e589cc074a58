//! The ends of a queue.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Select;

use super::super::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use super::super::ready::{Receives, Register};
use super::super::unfinished::Unfinished;
use super::iter::{Iter, TryIter};
use super::shared::Shared;

/// The sending end of a [`Queue`](super::Queue), made by [`Queue::sender`](super::Queue::sender)
/// and [`Queue::into_ends`](super::Queue::into_ends). Clones are ends of the same queue.
///
/// When the last one is dropped, and no `Queue` is left, receivers get what was sent before and
/// then the end.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The receiving end of a [`Queue`](super::Queue), made by
/// [`Queue::receiver`](super::Queue::receiver) and [`Queue::into_ends`](super::Queue::into_ends).
/// Clones are ends of the same queue, and each message goes to one of them.
///
/// When the last one is dropped, and no `Queue` is left, sending fails and hands the message back,
/// also where it waits already; the messages that are left are dropped.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// Both ends of a new queue.
pub(super) fn ends<T>(
    capacity: Option<usize>,
    tasks: Option<Arc<Unfinished>>,
) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared::new(capacity, tasks));
    let sender = Sender {
        shared: Arc::clone(&shared),
    };
    (sender, Receiver { shared })
}

impl<T> Sender<T> {
    /// Sends a message; blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// When no receiver is left, or the queue is closed, also while this waits; on the thread of a
    /// worker that [was asked to stop](crate::Stop#interrupted-waits) where it would wait. The
    /// message is in the error.
    #[inline]
    #[doc(alias = "put")]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let sent = self.shared.send(message, || None);
        sent.map_err(|error| SendError(error.into_inner()))
    }

    /// Sends a message if that is possible at once.
    ///
    /// # Errors
    ///
    /// When the queue is full, when it is closed, and when no receiver is left. The message is in
    /// the error.
    #[inline]
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.shared.try_send(message)
    }

    /// Sends a message; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When the queue was full all the time, and as [`send`](Self::send). The message is in the
    /// error.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        // A time so long that no clock shows it is no limit.
        self.shared
            .send(message, || Instant::now().checked_add(timeout))
    }
}

impl<T> Receiver<T> {
    /// Receives a message; blocks while there is none.
    ///
    /// # Errors
    ///
    /// When nothing is left in the queue and it has ended: no sender is left, or it is closed. On
    /// the thread of a worker that [was asked to stop](crate::Stop#interrupted-waits) where it
    /// would wait.
    #[inline]
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.shared.recv().map_err(|_| RecvError)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// When there is none now, or none will come.
    #[inline]
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.shared.try_recv()
    }

    /// Receives a message; blocks for so long at most.
    ///
    /// # Errors
    ///
    /// When none came in time, and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // A time so long that no clock shows it is no limit.
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return self.recv().map_err(RecvTimeoutError::from);
        };
        self.shared
            .recv_deadline(deadline)
            .map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            })
    }

    /// Appends up to `max` messages to `buffer`: waits for the first one, and takes with it what is
    /// there, without waiting for more. Says how many it took, which is 0 only where `max` is.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). `buffer` is as it was.
    #[doc(alias = "drain")]
    pub fn recv_many(&self, buffer: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        let before = buffer.len();
        buffer.push(self.recv()?);
        while buffer.len() - before < max {
            match self.try_recv() {
                Ok(message) => buffer.push(message),
                Err(_) => break,
            }
        }
        Ok(buffer.len() - before)
    }

    /// The messages, as they come, until the end, as [`recv`](Self::recv) knows it. The iterator
    /// blocks.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there; the iterator ends where it would have to wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

macro_rules! state {
    ($($end:ident)*) => {$(
        impl<T> $end<T> {
            /// Messages in the queue at this moment.
            #[must_use]
            #[doc(alias = "qsize")]
            pub fn len(&self) -> usize {
                self.shared.len()
            }

            /// Whether no message is in the queue at this moment.
            #[must_use]
            #[doc(alias = "empty")]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether the queue has no room at this moment. Always so with a capacity of 0.
            #[must_use]
            #[doc(alias = "full")]
            pub fn is_full(&self) -> bool {
                self.shared.is_full()
            }

            /// How many messages the queue holds; `None` without a limit.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.shared.capacity()
            }

            /// As [`Queue::close`](super::Queue::close): ends the queue for every handle.
            #[doc(alias = "shutdown")]
            pub fn close(&self) {
                self.shared.close();
            }

            /// Whether the queue has ended: it was closed, or no sender or no receiver is left.
            #[must_use]
            #[doc(alias = "is_disconnected")]
            pub fn is_closed(&self) -> bool {
                self.shared.is_closed()
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("closed", &self.is_closed())
                    .finish()
            }
        }
    )*};
}

state! { Sender Receiver }

impl<T> Clone for Sender<T> {
    /// Another sending end of the same queue.
    fn clone(&self) -> Self {
        self.shared.add_sender();
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Clone for Receiver<T> {
    /// Another receiving end of the same queue.
    fn clone(&self) -> Self {
        self.shared.add_receiver();
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.remove_receiver();
    }
}

impl<T> Register for Receiver<T> {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        self.shared.register(select)
    }
}

impl<T> Receives for Receiver<T> {}
