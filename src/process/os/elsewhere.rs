//! Systems without worker processes: no [`Descriptor`] and no [`Child`] can be made, so nothing that has one is ever run.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Want;

/// There is none.
#[derive(Debug)]
pub(in crate::process) struct Descriptor(Infallible);

impl Descriptor {
    pub(in crate::process) fn try_clone(&self) -> io::Result<Self> {
        match self.0 {}
    }
}

impl From<Descriptor> for std::fs::File {
    fn from(descriptor: Descriptor) -> Self {
        match descriptor.0 {}
    }
}

/// There is none.
#[derive(Debug)]
pub(in crate::process) struct Child(Infallible);

pub(in crate::process) const SUPPORTED: bool = false;

#[derive(Debug)]
pub(in crate::process) struct Received {
    pub(in crate::process) bytes: usize,
    pub(in crate::process) cut: bool,
    pub(in crate::process) lost: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::process) struct Ready {
    pub(in crate::process) readable: bool,
    pub(in crate::process) writable: bool,
    pub(in crate::process) other: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "there are no peers")]
pub(in crate::process) enum Peer {
    There,
    Finished,
    Gone,
}

fn none<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(in crate::process) fn stream_pair() -> io::Result<(Descriptor, Descriptor)> {
    none()
}

pub(in crate::process) fn packet_pair() -> io::Result<(Descriptor, Descriptor)> {
    none()
}

pub(in crate::process) fn send(
    socket: &Descriptor,
    _: [&[u8]; 2],
    _: &[Arc<Descriptor>],
) -> io::Result<usize> {
    match socket.0 {}
}

pub(in crate::process) fn receive(
    socket: &Descriptor,
    _: &mut [u8],
    _: &mut VecDeque<Descriptor>,
) -> io::Result<Received> {
    match socket.0 {}
}

pub(in crate::process) fn receive_waiting(
    socket: &Descriptor,
    _: &mut [u8],
    _: &mut VecDeque<Descriptor>,
) -> io::Result<Received> {
    match socket.0 {}
}

pub(in crate::process) fn limit_receiving(socket: &Descriptor, _: Duration) -> io::Result<()> {
    match socket.0 {}
}

pub(in crate::process) fn wait(
    fd: &Descriptor,
    _: Want,
    _: Option<&Descriptor>,
    _: Option<Instant>,
) -> io::Result<Ready> {
    match fd.0 {}
}

pub(in crate::process) fn wait_for_peer(
    socket: &Descriptor,
    _: Peer,
    _: Option<Duration>,
) -> io::Result<Peer> {
    match socket.0 {}
}

pub(in crate::process) fn finish_sending(socket: &Descriptor) {
    match socket.0 {}
}

pub(in crate::process) fn finish(socket: &Descriptor) {
    match socket.0 {}
}

pub(in crate::process) fn identity(socket: &Descriptor) -> io::Result<u64> {
    match socket.0 {}
}

pub(in crate::process) fn is_stdin(_: u64) -> bool {
    false
}

pub(in crate::process) fn take_stdin(_: u64) -> io::Result<Option<Descriptor>> {
    Ok(None)
}

/// Whether this process has started others.
pub(in crate::process) fn has_children() -> bool {
    false
}

pub(in crate::process) fn kill_self() -> ! {
    std::process::abort()
}

pub(in crate::process) fn own_executable() -> io::Result<PathBuf> {
    std::env::current_exe()
}

impl Child {
    pub(in crate::process) fn start(
        _: Command,
        stdin: Descriptor,
        _: io::PipeWriter,
    ) -> io::Result<Self> {
        match stdin.0 {}
    }

    pub(in crate::process) fn id(&self) -> u32 {
        match self.0 {}
    }

    pub(in crate::process) fn end(&self) -> Option<&Arc<Descriptor>> {
        match self.0 {}
    }

    pub(in crate::process) fn has_ended(&self) -> bool {
        match self.0 {}
    }

    pub(in crate::process) fn wait_until(&self, _: Option<Instant>) -> bool {
        match self.0 {}
    }

    pub(in crate::process) fn kill(&mut self) {
        match self.0 {}
    }

    pub(in crate::process) fn reap(&mut self) -> io::Result<ExitStatus> {
        match self.0 {}
    }

    pub(in crate::process) fn status(&self) -> Option<ExitStatus> {
        match self.0 {}
    }
}

pub(in crate::process) fn signal(_: ExitStatus) -> Option<i32> {
    None
}

pub(in crate::process) fn signal_name(_: i32) -> Option<&'static str> {
    None
}

pub(in crate::process) fn too_many_files() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

pub(in crate::process) fn most_descriptors_of_a_message() -> usize {
    0
}

pub(in crate::process) fn is_too_many_files(_: &io::Error) -> bool {
    false
}

pub(in crate::process) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

pub(in crate::process) fn read_until_end(
    _: &io::PipeReader,
    end: Option<&Arc<Descriptor>>,
    _: impl Fn() -> bool,
    _: &mut [u8],
) -> io::Result<usize> {
    match end {
        Some(end) => match end.0 {},
        None => Ok(0),
    }
}

pub(in crate::process) fn memory_file() -> io::Result<Descriptor> {
    none()
}

pub(in crate::process) fn nameless_file() -> io::Result<Descriptor> {
    none()
}

pub(in crate::process) fn read_only_again(file: &Descriptor) -> io::Result<Descriptor> {
    match file.0 {}
}

pub(in crate::process) fn makes_sealed_memory() -> io::Result<bool> {
    Ok(false)
}

pub(in crate::process) fn is_nameless(file: &Descriptor) -> bool {
    match file.0 {}
}

pub(in crate::process) fn is_read_only(file: &Descriptor) -> bool {
    match file.0 {}
}

pub(in crate::process) fn len(file: &Descriptor) -> io::Result<u64> {
    match file.0 {}
}

pub(in crate::process) fn set_len(file: &Descriptor, _: u64) -> io::Result<()> {
    match file.0 {}
}

pub(in crate::process) fn reserve(file: &Descriptor, _: u64) -> io::Result<()> {
    match file.0 {}
}

pub(in crate::process) fn is_sealable(file: &Descriptor) -> bool {
    match file.0 {}
}

pub(in crate::process) fn seal(file: &Descriptor) -> io::Result<()> {
    match file.0 {}
}

pub(in crate::process) fn seal_len(file: &Descriptor) -> io::Result<()> {
    match file.0 {}
}

pub(in crate::process) fn is_sealed(file: &Descriptor) -> bool {
    match file.0 {}
}

pub(in crate::process) fn has_sealed_len(file: &Descriptor) -> bool {
    match file.0 {}
}

/// Whether the file could be mapped: nothing is.
#[cfg(windows)]
impl std::os::windows::io::AsRawHandle for Descriptor {
    fn as_raw_handle(&self) -> std::os::windows::io::RawHandle {
        match self.0 {}
    }
}

pub(in crate::process) fn spill(_: &[u8]) -> io::Result<Descriptor> {
    none()
}

pub(in crate::process) fn unspill(file: Descriptor, _: u64) -> io::Result<Vec<u8>> {
    match file.0 {}
}
