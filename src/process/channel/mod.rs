//! Channels between processes, whose ends are sent inside of messages.

mod connection;
mod queue;
mod turn;

use std::fmt;

pub use connection::{Connection, pipe};
pub use queue::{Queue, Receiver, Sender};

use super::error::ProcessError;

#[cfg(test)]
mod tests;

/// The longest message that is received, in bytes.
const LONGEST: u64 = 16 << 30;

/// A message that was not sent, and why.
pub struct SendError<T> {
    message: Box<T>,
    error: Option<ProcessError>,
}

impl<T> SendError<T> {
    fn new(message: T, error: Option<ProcessError>) -> Self {
        Self {
            message: Box::new(message),
            error,
        }
    }

    /// The message.
    #[must_use]
    pub fn into_inner(self) -> T {
        *self.message
    }

    /// Whether nobody is left to receive it.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.error.is_none()
    }

    /// What went wrong, where it was not that nobody is left.
    #[must_use]
    pub fn error(&self) -> Option<&ProcessError> {
        self.error.as_ref()
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            None => f.write_str("sending to a channel between processes that nobody receives from"),
            Some(error) => write!(f, "sending to a channel between processes: {error}"),
        }
    }
}

impl<T> std::error::Error for SendError<T> {}

/// Why nothing was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Nobody is left to send, and everything that was sent has been received.
    #[error("receiving from a channel between processes that is empty and that nobody sends to")]
    Disconnected,
    /// The time is over.
    #[error("timed out receiving from a channel between processes")]
    Timeout,
    /// What was received is no message.
    #[error("receiving from a channel between processes: {0}")]
    Failed(ProcessError),
}

impl RecvError {
    /// Whether nobody is left to send.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, RecvError::Disconnected)
    }

    /// Whether the time was over.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, RecvError::Timeout)
    }
}
