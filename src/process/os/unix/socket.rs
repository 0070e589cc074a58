//! Sockets: pairs, descriptors in messages, waiting.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use super::{Descriptor, rights};
use crate::process::os::{DESCRIPTORS_AT_ONCE, Want};

fn socket_pair(kind: SocketType) -> io::Result<(Descriptor, Descriptor)> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let flags = SocketFlags::CLOEXEC;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let flags = SocketFlags::empty();
    let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    for end in [&pair.0, &pair.1] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(pair)
}

/// Two connected sockets for a stream of bytes.
pub(in crate::process) fn stream_pair() -> io::Result<(Descriptor, Descriptor)> {
    socket_pair(SocketType::STREAM)
}

/// Two connected sockets for whole packets.
pub(in crate::process) fn packet_pair() -> io::Result<(Descriptor, Descriptor)> {
    socket_pair(SocketType::SEQPACKET)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_SIGNAL: SendFlags = SendFlags::empty(); // Rust's runtime ignores the signal

/// Writes what there is room for, with descriptors; [`io::ErrorKind::WouldBlock`] where there is none. Never raises SIGPIPE.
pub(in crate::process) fn send(
    socket: &Descriptor,
    parts: [&[u8]; 2],
    descriptors: &[Arc<Descriptor>],
) -> io::Result<usize> {
    let flags = NO_SIGNAL | SendFlags::DONTWAIT;
    if let (true, [bytes, []] | [[], bytes]) = (descriptors.is_empty(), parts) {
        return retried(|| rustix::net::send(socket, bytes, flags)); // the cheapest way
    }
    let parts = parts.map(IoSlice::new);
    retried(|| {
        if descriptors.is_empty() {
            let mut nothing = SendAncillaryBuffer::default();
            return rustix::net::sendmsg(socket, &parts, &mut nothing, flags);
        }
        debug_assert!(descriptors.len() <= DESCRIPTORS_AT_ONCE);
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = control.push(SendAncillaryMessage::ScmRights(&borrowed));
        debug_assert!(fits, "the space is for as many");
        rustix::net::sendmsg(socket, &parts, &mut control, flags)
    })
}

/// What one look at a socket brought.
#[derive(Debug)]
pub(in crate::process) struct Received {
    /// Bytes; zero at the end of the stream.
    pub(in crate::process) bytes: usize,
    /// The system dropped bytes of a packet that had no place.
    pub(in crate::process) cut: bool,
    /// The system dropped descriptors: more than [`DESCRIPTORS_AT_ONCE`], or more than this process
    /// may have open.
    pub(in crate::process) lost: bool,
}

/// Reads what is there; [`io::ErrorKind::WouldBlock`] where there is nothing.
pub(in crate::process) fn receive(
    socket: &Descriptor,
    space: &mut [u8],
    descriptors: &mut VecDeque<Descriptor>,
) -> io::Result<Received> {
    receive_with(socket, space, descriptors, RecvFlags::DONTWAIT)
}

/// Waits until there is something, and reads it: one call of the system instead of three. [`io::ErrorKind::WouldBlock`] after the time
/// of [`limit_receiving`].
pub(in crate::process) fn receive_waiting(
    socket: &Descriptor,
    space: &mut [u8],
    descriptors: &mut VecDeque<Descriptor>,
) -> io::Result<Received> {
    receive_with(socket, space, descriptors, RecvFlags::empty())
}

/// How long [`receive_waiting`] waits for this socket; for ever where nothing has been said.
pub(in crate::process) fn limit_receiving(socket: &Descriptor, limit: Duration) -> io::Result<()> {
    let which = rustix::net::sockopt::Timeout::Recv;
    Ok(rustix::net::sockopt::set_socket_timeout(
        socket,
        which,
        Some(limit),
    )?)
}

fn receive_with(
    socket: &Descriptor,
    space: &mut [u8],
    descriptors: &mut VecDeque<Descriptor>,
    flags: RecvFlags,
) -> io::Result<Received> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let mut control_space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut control_space);
    let message = retried(|| {
        let mut parts = [IoSliceMut::new(space)];
        rustix::net::recvmsg(socket, &mut parts, &mut control, flags)
    })?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            descriptors.extend(fds);
        }
    }
    Ok(Received {
        bytes: message.bytes,
        cut: message.flags.contains(ReturnFlags::TRUNC),
        lost: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

pub(super) fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Which of two descriptors has something.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::process) struct Ready {
    /// Something to read, the end, or an error.
    pub(in crate::process) readable: bool,
    /// Room to write.
    pub(in crate::process) writable: bool,
    /// The second descriptor has something to read.
    pub(in crate::process) other: bool,
}

pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// Waits for a descriptor, or for the second one to have something to read, until a time.
pub(in crate::process) fn wait(
    fd: &Descriptor,
    want: Want,
    other: Option<&Descriptor>,
    until: Option<Instant>,
) -> io::Result<Ready> {
    let wanted = match want {
        Want::Read => PollFlags::IN,
        Want::Write => PollFlags::IN | PollFlags::OUT,
        Want::WriteOnly => PollFlags::OUT,
    };
    loop {
        let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        let mut both = [
            PollFd::new(fd, wanted),
            PollFd::new(other.unwrap_or(fd), PollFlags::IN),
        ];
        let used = if other.is_some() { 2 } else { 1 };
        match poll(&mut both[..used], timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                let got = both[0].revents();
                return Ok(Ready {
                    readable: got.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
                    writable: got.contains(PollFlags::OUT),
                    other: other.is_some() && !both[1].revents().is_empty(),
                });
            }
        }
    }
}

/// How far the other side of a socket has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Peer {
    /// It is there.
    There,
    /// It sends no more.
    Finished,
    /// It is gone.
    Gone,
}

/// Waits until the peer of a socket has finished, or is gone, without reading.
pub(in crate::process) fn wait_for_peer(
    socket: &Descriptor,
    known: Peer,
    limit: Option<Duration>,
) -> io::Result<Peer> {
    // What is not asked for wakes nobody; the hang-up is always told.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let wanted = match known {
        Peer::There => PollFlags::RDHUP,
        Peer::Finished | Peer::Gone => PollFlags::empty(),
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let wanted = PollFlags::empty();
    let until = limit.map(|limit| Instant::now() + limit);
    loop {
        let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        let mut one = [PollFd::new(socket, wanted)];
        match poll(&mut one, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                let got = one[0].revents();
                if got.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                    return Ok(Peer::Gone);
                }
                return Ok(if got.is_empty() {
                    known
                } else {
                    Peer::Finished
                });
            }
        }
    }
}

/// Ends one direction of a socket, for all who hold it: the peer sees the end of the stream.
pub(in crate::process) fn finish_sending(socket: &Descriptor) {
    let _ = rustix::net::shutdown(socket, Shutdown::Write); // the peer may be gone already
}

/// Ends a socket for all who hold either end: what is in it can still be read, and everybody who waits is woken.
pub(in crate::process) fn finish(socket: &Descriptor) {
    let _ = rustix::net::shutdown(socket, Shutdown::Both); // the peer may be gone already
}

/// A number that names a socket in this process and in the one that it is handed to.
pub(in crate::process) fn identity(socket: &Descriptor) -> io::Result<u64> {
    Ok(rustix::fs::fstat(socket)?.st_ino)
}

/// Whether standard input is the socket of this identity.
pub(in crate::process) fn is_stdin(expected: u64) -> bool {
    rustix::fs::fstat(rustix::stdio::stdin()).is_ok_and(|stat| {
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        stat.st_ino == expected && kind == rustix::fs::FileType::Socket
    })
}

/// Takes standard input, if it is the socket of this identity, and leaves an empty one in its place.
///
/// [`io::ErrorKind::PermissionDenied`] where its peer must not lead this process.
pub(in crate::process) fn take_stdin(expected: u64) -> io::Result<Option<Descriptor>> {
    if !is_stdin(expected) {
        return Ok(None);
    }
    rights::may_be_led(rustix::stdio::stdin())?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let empty = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(empty)?;
    Ok(Some(socket))
}

#[cfg(test)]
mod tests;
