//! Unix.

mod child;
mod memory;
mod rights;
mod socket;

use std::io;
use std::os::fd::OwnedFd;

pub(in crate::process) use child::*;
pub(in crate::process) use memory::*;
pub(in crate::process) use socket::*;

/// An open file, socket or shared memory.
pub(in crate::process) type Descriptor = OwnedFd;

/// Whether there are worker processes on this system.
pub(in crate::process) const SUPPORTED: bool = true;

/// The error of a process that may open no more files.
pub(in crate::process) fn too_many_files() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

/// Whether an error says that no more files may be open.
pub(in crate::process) fn is_too_many_files(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ETOOMANYREFS)
    )
}

/// Whether an error says that the peer is gone.
pub(in crate::process) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}
