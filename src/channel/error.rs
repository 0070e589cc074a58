//! What sending and receiving can end with. The names and variants are those of the standard
//! library's channels.
//!
//! "Disconnected" is the end of a channel as a handle sees it: it was closed, or its other side is
//! gone; on the thread of a worker that was asked to stop also where [a call would have
//! waited](crate::Stop#interrupted-waits).

use std::fmt;

use crossbeam_channel as raw;

/// A message could not be sent: the channel has ended. The message is in it.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sending on a closed channel")]
pub struct SendError<T>(pub T);

/// A message could not be sent at once. The message is in it.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// There is no room now; on a channel without room of its own, no receiver waits.
    #[error("sending on a full channel")]
    Full(T),
    /// The channel has ended.
    #[error("sending on a closed channel")]
    Disconnected(T),
}

/// A message could not be sent in time. The message is in it.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    #[error("timed out sending on a full channel")]
    Timeout(T),
    /// The channel has ended.
    #[error("sending on a closed channel")]
    Disconnected(T),
}

/// There is no message, and none will come: the channel has ended, and what was sent before has
/// been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("receiving on an empty and closed channel")]
pub struct RecvError;

/// No message could be received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// There is none now.
    #[error("receiving on an empty channel")]
    Empty,
    /// There is none, and none will come.
    #[error("receiving on an empty and closed channel")]
    Disconnected,
}

/// No message could be received in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvTimeoutError {
    /// None came in time.
    #[error("timed out receiving on an empty channel")]
    Timeout,
    /// There is none, and none will come.
    #[error("receiving on an empty and closed channel")]
    Disconnected,
}

/// Why [`JoinableSender::join`](super::JoinableSender::join) cannot say that every task was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTasksError {
    /// All receivers are gone, and tasks that were in the queue were dropped with the last one.
    #[error("{tasks} tasks were dropped unreceived, as no receiver was left")]
    Unreceived {
        /// How many.
        tasks: usize,
    },
    /// Not all were done in time.
    #[error("timed out joining the tasks of a queue")]
    Timeout,
    /// Not all are done, and this worker was asked to stop.
    #[error("the worker was asked to stop before the tasks of a queue were done")]
    Stopped,
}

impl<T> SendError<T> {
    /// The message.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// The message.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
        }
    }

    /// Whether there was no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, TrySendError::Full(_))
    }

    /// Whether the channel is closed.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, TrySendError::Disconnected(_))
    }
}

impl<T> SendTimeoutError<T> {
    /// The message.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            SendTimeoutError::Timeout(message) | SendTimeoutError::Disconnected(message) => message,
        }
    }

    /// Whether the time was over.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, SendTimeoutError::Timeout(_))
    }

    /// Whether the channel is closed.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, SendTimeoutError::Disconnected(_))
    }
}

// A message need not be `Debug` for its error to be.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Disconnected(_) => "Disconnected(..)",
        })
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendTimeoutError::Timeout(_) => "Timeout(..)",
            SendTimeoutError::Disconnected(_) => "Disconnected(..)",
        })
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(SendError(message): SendError<T>) -> Self {
        TrySendError::Disconnected(message)
    }
}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(SendError(message): SendError<T>) -> Self {
        SendTimeoutError::Disconnected(message)
    }
}

impl From<RecvError> for TryRecvError {
    fn from(RecvError: RecvError) -> Self {
        TryRecvError::Disconnected
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(RecvError: RecvError) -> Self {
        RecvTimeoutError::Disconnected
    }
}

// Not `From`: crossbeam's types are no part of this crate's interface.
pub(super) fn sent<T>(error: raw::SendError<T>) -> SendError<T> {
    SendError(error.0)
}

pub(super) fn try_sent<T>(error: raw::TrySendError<T>) -> TrySendError<T> {
    match error {
        raw::TrySendError::Full(message) => TrySendError::Full(message),
        raw::TrySendError::Disconnected(message) => TrySendError::Disconnected(message),
    }
}

pub(super) fn timed_sent<T>(error: raw::SendTimeoutError<T>) -> SendTimeoutError<T> {
    match error {
        raw::SendTimeoutError::Timeout(message) => SendTimeoutError::Timeout(message),
        raw::SendTimeoutError::Disconnected(message) => SendTimeoutError::Disconnected(message),
    }
}

pub(super) fn received(_: raw::RecvError) -> RecvError {
    RecvError
}

pub(super) fn try_received(error: raw::TryRecvError) -> TryRecvError {
    match error {
        raw::TryRecvError::Empty => TryRecvError::Empty,
        raw::TryRecvError::Disconnected => TryRecvError::Disconnected,
    }
}

pub(super) fn timed_received(error: raw::RecvTimeoutError) -> RecvTimeoutError {
    match error {
        raw::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
        raw::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
    }
}
