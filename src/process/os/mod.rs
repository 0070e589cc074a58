//! What the process room asks of the operating system, and nothing that knows what a task is.
//!
//! Two implementations of the same names: Unix, and systems where there are no worker processes yet, whose every
//! function gives [`io::ErrorKind::Unsupported`]. Everything above this floor is compiled everywhere.

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use elsewhere::*;
#[cfg(unix)]
pub(super) use unix::*;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Something to read, or the end.
    Read,
    /// Room to write, or something to read.
    Write,
    /// Room to write, whatever there is to read.
    WriteOnly,
}

/// Descriptors that one message of the system may carry; the kernel's own limit is 253.
pub(super) const DESCRIPTORS_AT_ONCE: usize = 64;
