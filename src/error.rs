//! Errors of more than one room.

pub(crate) mod excerpt;

use crate::panic::Panic;

/// Why a task or a worker has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked.
    #[error("the task panicked: {0}")]
    Panicked(Panic),
    /// It was cancelled before it started, and never ran.
    #[error("the task was cancelled before it started")]
    Cancelled,
    /// This process is a fork of the one whose thread ran it, and has no such thread.
    #[error("the task ran on a thread that this process, a fork, does not have")]
    Forked,
}

impl JoinError {
    /// Whether it panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, JoinError::Cancelled)
    }

    /// The panic, if it was one.
    #[must_use]
    pub fn into_panic(self) -> Option<Panic> {
        match self {
            JoinError::Panicked(panic) => Some(panic),
            _ => None,
        }
    }
}
