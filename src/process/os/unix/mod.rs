//! Unix.

mod child;
mod memory;
mod rights;
mod socket;

use std::io;
use std::os::fd::OwnedFd;

pub(in crate::process) use child::*;
#[cfg(test)]
pub(in crate::process) use memory::tests::WithoutSealedMemory;
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

/// Descriptors that a peer may have this process keep for values that have not taken them: half of
/// what it may have open, so that no peer takes the places of everything else.
pub(in crate::process) fn most_descriptors_of_a_message() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX) / 2
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
