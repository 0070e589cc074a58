//! Child processes: started, waited for, ended; and what a process is to itself.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::Descriptor;
use super::socket::{retried, timespec, wait};
use crate::process::os::Want;
use crate::timer::children;

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
