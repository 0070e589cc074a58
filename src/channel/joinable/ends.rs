//! The ends of a joinable queue.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Select;

use super::super::error::{
    JoinTasksError, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use super::super::queue::{Receiver, Sender};
use super::super::ready::{Receives, Register};
use super::super::unfinished::{Joined, Unfinished};
use super::Claim;

/// The sending end of a [`JoinableQueue`](super::JoinableQueue), which can wait for the tasks.
/// Clones are ends of the same queue.
///
/// It ends as a [`Sender`] does. Tasks that are in the queue when the last receiver is dropped are
/// dropped with it, and [`join`](Self::join) says how many.
pub struct JoinableSender<T> {
    end: Sender<T>,
    pub(super) unfinished: Arc<Unfinished>,
}

/// The receiving end of a [`JoinableQueue`](super::JoinableQueue). Clones are ends of the same
/// queue, and each task goes to one of them.
///
/// It ends as a [`Receiver`] does.
pub struct JoinableReceiver<T> {
    end: Receiver<T>,
    unfinished: Arc<Unfinished>,
}

impl<T> JoinableSender<T> {
    pub(super) fn new(end: Sender<T>, unfinished: Arc<Unfinished>) -> Self {
        Self { end, unfinished }
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

    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there. The task is in the error, and does not count.
    #[doc(alias = "put")]
    pub fn send(&self, task: T) -> Result<(), SendError<T>> {
        self.counted(|| self.end.send(task))
    }

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As there. The task is in the error, and does not count.
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, task: T) -> Result<(), TrySendError<T>> {
        self.counted(|| self.end.try_send(task))
    }

    /// As [`Sender::send_timeout`].
    ///
    /// # Errors
    ///
    /// As there. The task is in the error, and does not count.
    pub fn send_timeout(&self, task: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.counted(|| self.end.send_timeout(task, timeout))
    }

    /// Waits until every task that was sent, or is just being sent, is done.
    ///
    /// # Errors
    ///
    /// [`JoinTasksError::Unreceived`] when all receivers are gone and tasks were dropped with the
    /// last one, from then on always; [`JoinTasksError::Stopped`] on the thread of a worker that
    /// was asked to stop, where this would wait.
    pub fn join(&self) -> Result<(), JoinTasksError> {
        self.joined(None)
    }

    /// As [`join`](Self::join), for so long at most.
    ///
    /// # Errors
    ///
    /// [`JoinTasksError::Timeout`] when the time is over, and as [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), JoinTasksError> {
        // A time so long that no clock shows it is no limit.
        self.joined(Instant::now().checked_add(timeout))
    }

    fn joined(&self, deadline: Option<Instant>) -> Result<(), JoinTasksError> {
        match self.unfinished.join_interruptible(deadline) {
            Joined::Finished => match self.unfinished.lost() {
                0 => Ok(()),
                tasks => Err(JoinTasksError::Unreceived { tasks }),
            },
            Joined::Late => Err(JoinTasksError::Timeout),
            Joined::Stopped => Err(JoinTasksError::Stopped),
        }
    }
}

impl<T> JoinableReceiver<T> {
    pub(super) fn new(end: Receiver<T>, unfinished: Arc<Unfinished>) -> Self {
        Self { end, unfinished }
    }

    fn claim(&self, task: T) -> Claim<'_, T> {
        Claim::new(task, &self.unfinished)
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<Claim<'_, T>, RecvError> {
        self.end.recv().map(|task| self.claim(task))
    }

    /// As [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<Claim<'_, T>, TryRecvError> {
        self.end.try_recv().map(|task| self.claim(task))
    }

    /// As [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Claim<'_, T>, RecvTimeoutError> {
        self.end.recv_timeout(timeout).map(|task| self.claim(task))
    }

    /// The tasks, as they come, until the end, as [`recv`](Self::recv) knows it. The iterator
    /// blocks.
    pub fn iter(&self) -> impl Iterator<Item = Claim<'_, T>> {
        std::iter::from_fn(|| self.recv().ok())
    }
}

macro_rules! state {
    ($($end:ident)*) => {$(
        impl<T> $end<T> {
            /// Tasks that were sent, or are just being sent, and are not done, at this moment.
            #[must_use]
            pub fn unfinished(&self) -> usize {
                self.unfinished.count()
            }

            /// Tasks in the queue at this moment.
            #[must_use]
            #[doc(alias = "qsize")]
            pub fn len(&self) -> usize {
                self.end.len()
            }

            /// Whether no task is in the queue at this moment.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.end.is_empty()
            }

            /// Whether the queue has no room at this moment. Always so with a capacity of 0.
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.end.is_full()
            }

            /// How many tasks the queue holds; `None` without a limit.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.end.capacity()
            }

            /// As [`Queue::close`](crate::Queue::close).
            pub fn close(&self) {
                self.end.close();
            }

            /// Whether the queue has ended: it was closed, or no sender or no receiver is left.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.end.is_closed()
            }
        }

        impl<T> Clone for $end<T> {
            /// Another end of the same queue.
            fn clone(&self) -> Self {
                Self::new(self.end.clone(), Arc::clone(&self.unfinished))
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("unfinished", &self.unfinished())
                    .field("end", &self.end)
                    .finish()
            }
        }
    )*};
}

state! { JoinableSender JoinableReceiver }

impl<T> Register for JoinableReceiver<T> {
    fn register<'a>(&'a self, select: &mut Select<'a>) -> usize {
        self.end.register(select)
    }
}

impl<T> Receives for JoinableReceiver<T> {}
