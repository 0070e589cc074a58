//! Unix: socket pairs, descriptors in messages, children, signals.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::{DESCRIPTORS_AT_ONCE, Want};
use crate::timer::children;

/// An open file, socket or shared memory.
pub(in crate::process) type Descriptor = OwnedFd;

/// Whether there are worker processes on this system.
pub(in crate::process) const SUPPORTED: bool = true;

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
    /// The system dropped descriptors or bytes that had no place.
    pub(in crate::process) cut: bool,
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
    let cut = rustix::net::ReturnFlags::CTRUNC | rustix::net::ReturnFlags::TRUNC;
    Ok(Received {
        bytes: message.bytes,
        cut: message.flags.intersects(cut),
    })
}

fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
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

fn timespec(time: Duration) -> Timespec {
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
pub(in crate::process) fn take_stdin(expected: u64) -> io::Result<Option<Descriptor>> {
    if !is_stdin(expected) {
        return Ok(None);
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let empty = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(empty)?;
    Ok(Some(socket))
}

/// Ends this process and what it has started, at once.
pub(in crate::process) fn kill_self() -> ! {
    let own = rustix::process::getpid();
    if rustix::process::getpgrp() == own {
        let _ = rustix::process::kill_current_process_group(Signal::KILL);
    }
    let _ = rustix::process::kill_process(own, Signal::KILL);
    std::process::abort();
}

/// Whether this process has started others, in its own group, that it has not taken note of the end of.
pub(in crate::process) fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pgid(None), options).is_ok()
}

/// A child process, leader of a process group of its own.
#[derive(Debug)]
pub(in crate::process) struct Child {
    inner: std::process::Child,
    pid: Pid,
    /// Readable when it has ended; `None` where the system has no such thing.
    end: Option<Arc<Descriptor>>,
    status: Option<ExitStatus>,
}

/// The executable that runs now, even if its file has been replaced.
pub(in crate::process) fn own_executable() -> io::Result<std::path::PathBuf> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let link = std::path::PathBuf::from("/proc/self/exe");
        if link.exists() {
            return Ok(link);
        }
    }
    std::env::current_exe()
}

impl Child {
    /// Starts a command with a socket as its standard input, in a process group of its own.
    pub(in crate::process) fn start(
        mut command: Command,
        stdin: Descriptor,
        errors: std::io::PipeWriter,
    ) -> io::Result<Self> {
        command
            .stdin(Stdio::from(stdin))
            .stderr(errors)
            .process_group(0);
        let inner = command.spawn()?;
        let pid = Pid::from_child(&inner);
        children::enrol(inner.id());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let end = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .ok()
            .map(Arc::new);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let end = None;
        Ok(Self {
            inner,
            pid,
            end,
            status: None,
        })
    }

    pub(in crate::process) fn id(&self) -> u32 {
        self.inner.id()
    }

    /// A descriptor that is readable when it has ended.
    pub(in crate::process) fn end(&self) -> Option<&Arc<Descriptor>> {
        self.end.as_ref()
    }

    /// Whether it has ended; it is not taken note of, so its number stays its own.
    pub(in crate::process) fn has_ended(&self) -> bool {
        self.status.is_some()
            || matches!(
                rustix::process::waitid(
                    WaitId::Pid(self.pid),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
                ),
                Ok(Some(_)) | Err(Errno::CHILD)
            )
    }

    /// Waits for its end until a time; says whether it has ended.
    pub(in crate::process) fn wait_until(&self, until: Option<Instant>) -> bool {
        let mut pause = Duration::from_micros(50);
        loop {
            if self.has_ended() {
                return true;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return false;
            }
            match &self.end {
                Some(end) => {
                    let _ = wait(end, Want::Read, None, until);
                }
                None => {
                    std::thread::sleep(pause);
                    pause = (2 * pause).min(Duration::from_millis(10));
                }
            }
        }
    }

    /// Ends it and what it has started.
    pub(in crate::process) fn kill(&mut self) {
        if self.status.is_none() {
            // The leader has not been taken note of, so the number of its group is still its own.
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
            let _ = self.inner.kill();
        }
    }

    /// Takes note of its end, waiting for it, and ends what it has left behind in its group.
    pub(in crate::process) fn reap(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.wait_until(None);
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        let status = children::strike(self.inner.id(), || self.inner.wait())?;
        self.status = Some(status);
        Ok(status)
    }

    pub(in crate::process) fn status(&self) -> Option<ExitStatus> {
        self.status
    }
}

/// The signal that ended a process.
pub(in crate::process) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// What a signal is called.
pub(in crate::process) fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGALRM => "SIGALRM",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        _ => return None,
    })
}

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

/// Reads what is there of a pipe, after waiting for it or for the end of the process that `end` tells of.
/// Zero bytes: there will be no more.
pub(in crate::process) fn read_until_end(
    pipe: &std::io::PipeReader,
    end: Option<&Arc<Descriptor>>,
    has_ended: impl Fn() -> bool,
    space: &mut [u8],
) -> io::Result<usize> {
    /// How often is looked for the end where it does not tell of itself.
    const LOOK: Duration = Duration::from_millis(100);
    let mut ended = false;
    loop {
        let had_ended = ended;
        let readable = {
            let fds = &mut [
                PollFd::new(pipe, PollFlags::IN),
                PollFd::new(pipe, PollFlags::IN),
            ];
            let used = match end {
                Some(end) => {
                    fds[1] = PollFd::new(end, PollFlags::IN);
                    2
                }
                None => 1,
            };
            let timeout = if end.is_some() {
                None
            } else {
                Some(timespec(LOOK))
            };
            match poll(&mut fds[..used], timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    if used == 2 && !fds[1].revents().is_empty() || has_ended() {
                        ended = true;
                    }
                    !fds[0].revents().is_empty()
                }
            }
        };
        if readable {
            return retried(|| rustix::io::read(pipe, &mut *space));
        }
        // What was written between the look at the pipe and that at the process is seen by one more look.
        if had_ended {
            return Ok(0);
        }
    }
}

/// A file of memory that can be sealed.
pub(in crate::process) fn memory_file() -> io::Result<Descriptor> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use rustix::fs::MemfdFlags;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(rustix::fs::memfd_create("scipar", flags)?)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    Err(io::ErrorKind::Unsupported.into())
}

/// A temporary file that has lost its name.
pub(in crate::process) fn nameless_file() -> io::Result<Descriptor> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..1000 {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".scipar-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file.into());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The same nameless file, opened to be read only.
pub(in crate::process) fn read_only_again(file: &Descriptor) -> io::Result<Descriptor> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}", file.as_raw_fd());
    if !std::path::Path::new(&path).exists() {
        path = format!("/dev/fd/{}", file.as_raw_fd());
    }
    Ok(std::fs::File::open(path)?.into())
}

/// Whether a file has no name and the descriptor cannot write it.
pub(in crate::process) fn is_nameless_and_read_only(file: &Descriptor) -> io::Result<bool> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    let stat = rustix::fs::fstat(file)?;
    let is_file =
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
    Ok(is_file && stat.st_nlink == 0 && (flags & rustix::fs::OFlags::RWMODE).is_empty())
}

pub(in crate::process) fn len(file: &Descriptor) -> io::Result<u64> {
    Ok(rustix::fs::fstat(file)?.st_size.try_into().unwrap_or(0))
}

/// Gives a file a length.
pub(in crate::process) fn set_len(file: &Descriptor, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(file, bytes)?)
}

/// Gives a file on a disk the room for its length.
pub(in crate::process) fn reserve(file: &Descriptor, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        let flags = rustix::fs::FallocateFlags::empty();
        match retried(|| rustix::fs::fallocate(file, flags, 0, bytes)) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            result => return result,
        }
    }
    // Nothing is read from it before: zeros change nothing.
    let zeros = [0; 1 << 13];
    let mut at = 0;
    while at < bytes {
        let count = zeros.len().min((bytes - at) as usize);
        at += retried(|| rustix::io::pwrite(file, &zeros[..count], at))? as u64;
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
mod seals {
    use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals};

    use super::{Descriptor, io};

    const LEN: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

    pub(in crate::process) fn is_sealable(file: &Descriptor) -> bool {
        // A plain file in memory says that it can have no further seals, having none.
        fcntl_get_seals(file).is_ok_and(|seals| seals != SealFlags::SEAL)
    }

    /// Nobody can write it or change its length any more.
    pub(in crate::process) fn seal(file: &Descriptor) -> io::Result<()> {
        Ok(fcntl_add_seals(
            file,
            LEN | SealFlags::WRITE | SealFlags::SEAL,
        )?)
    }

    /// Nobody can change its length any more.
    pub(in crate::process) fn seal_len(file: &Descriptor) -> io::Result<()> {
        Ok(fcntl_add_seals(file, LEN)?)
    }

    pub(in crate::process) fn is_sealed(file: &Descriptor) -> io::Result<bool> {
        Ok(fcntl_get_seals(file)?.contains(LEN | SealFlags::WRITE))
    }

    pub(in crate::process) fn has_sealed_len(file: &Descriptor) -> io::Result<bool> {
        Ok(fcntl_get_seals(file)?.contains(LEN))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
mod seals {
    use super::{Descriptor, io};

    pub(in crate::process) fn is_sealable(_: &Descriptor) -> bool {
        false
    }

    pub(in crate::process) fn seal(_: &Descriptor) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn seal_len(_: &Descriptor) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn is_sealed(_: &Descriptor) -> io::Result<bool> {
        Ok(false)
    }

    pub(in crate::process) fn has_sealed_len(_: &Descriptor) -> io::Result<bool> {
        Ok(false)
    }
}

pub(in crate::process) use seals::{has_sealed_len, is_sealable, is_sealed, seal, seal_len};

/// Bytes in a file of memory, to be handed over by its descriptor.
pub(in crate::process) fn spill(bytes: &[u8]) -> io::Result<Descriptor> {
    use std::io::Write;
    let file = match memory_file() {
        Ok(file) => file,
        Err(error) if is_too_many_files(&error) => return Err(error),
        Err(_) => nameless_file()?,
    };
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// The bytes of a file of memory.
pub(in crate::process) fn unspill(file: Descriptor) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek};
    let mut file = std::fs::File::from(file);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
