//! Child processes: started, waited for, ended; and what a process is to itself.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};

use super::Descriptor;
use super::socket::{retried, timespec, wait};
use crate::process::os::Want;
use crate::timer::children;

/// Ends this process and what it has started, at once. Its own numbers are its own as long as it
/// runs.
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
///
/// # Whose number it is
///
/// The number of a process, which is its group's too, is given to another one as soon as its end
/// has been taken note of. That need not be done here: in a program that ignores `SIGCHLD`, or has
/// `SA_NOCLDWAIT`, the system does it, and a program may wait for any child of its own. A signal to
/// the number would then end what has nothing to do with this crate. So:
///
/// 1. Where the system has descriptors of processes (Linux 5.4), they are what is waited for and,
///    from 6.9 on, what groups are signalled by. They name the process and its group and never
///    another, even if the leader is gone.
/// 2. Otherwise a number is signalled only right after the system has said that this process has
///    such a child: one that runs, or has ended and not been waited for. Then the number is the
///    child's. Once it has said that there is none, it is not asked again, as another child could
///    have got the number.
///
/// What remains is the moment between the question and the signal in 2, in which the leader would
/// have to end, be waited for by others, and its number come round again. What a worker that is
/// gone has left in its group stays where the group cannot be named any more.
#[derive(Debug)]
pub(in crate::process) struct Child {
    pid: Pid,
    /// The process itself, readable when it has ended; `None` where the system has no such thing,
    /// or had no room for it.
    end: Option<Arc<Descriptor>>,
    /// Whether its end has been taken note of elsewhere.
    lost: AtomicBool,
    status: Option<ExitStatus>,
}

/// What the system says of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    /// It has not ended.
    Runs,
    /// It has ended, and its end has not been taken note of.
    Ended,
    /// There is none: others have taken note of its end.
    Lost,
}

impl Leader {
    /// Whether its number, which is its group's, can be no other process's.
    fn has_its_number(self) -> bool {
        match self {
            Leader::Runs | Leader::Ended => true,
            Leader::Lost => false,
        }
    }
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
        #[allow(
            clippy::zombie_processes,
            reason = "`reap` waits for it, by its descriptor where there is one"
        )]
        let pid = Pid::from_child(&command.spawn()?);
        let mut child = Self {
            pid,
            end: None,
            lost: AtomicBool::new(false),
            status: None,
        };
        children::enrol(child.id());
        child.name();
        Ok(child)
    }

    /// Opens the descriptor that names it, if the system has such things.
    fn name(&mut self) {
        #[cfg(target_os = "linux")]
        match rustix::process::pidfd_open(self.pid, rustix::process::PidfdFlags::empty()) {
            Ok(end) => {
                self.end = Some(Arc::new(end));
                // It may have been lost before it was opened, and the number be another's.
                match self.ask() {
                    Ok(Leader::Runs | Leader::Ended) => {}
                    Ok(Leader::Lost) => {
                        self.end = None;
                        self.lost.store(true, Ordering::Relaxed);
                    }
                    Err(_) => self.end = None, // Linux 5.3 has them, and does not wait for them
                }
            }
            Err(Errno::SRCH) => self.lost.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }

    pub(in crate::process) fn id(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// A descriptor that is readable when it has ended.
    pub(in crate::process) fn end(&self) -> Option<&Arc<Descriptor>> {
        self.end.as_ref()
    }

    fn wait_id(&self) -> WaitId<'_> {
        #[cfg(target_os = "linux")]
        if let Some(end) = &self.end {
            return WaitId::PidFd(end.as_fd());
        }
        WaitId::Pid(self.pid)
    }

    fn ask(&self) -> io::Result<Leader> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(self.wait_id(), look) {
            Ok(None) => Ok(Leader::Runs),
            Ok(Some(_)) => Ok(Leader::Ended),
            Err(Errno::CHILD) => Ok(Leader::Lost),
            Err(error) => Err(error.into()),
        }
    }

    /// What is known of it now; its end is not taken note of, so its number stays its own.
    fn leader(&self) -> Leader {
        if self.lost.load(Ordering::Relaxed) {
            return Leader::Lost;
        }
        let leader = self.ask().unwrap_or(Leader::Runs); // the system does not say
        if leader == Leader::Lost {
            self.lost.store(true, Ordering::Relaxed);
        }
        leader
    }

    /// Whether it has ended; it is not taken note of.
    pub(in crate::process) fn has_ended(&self) -> bool {
        self.status.is_some() || self.leader() != Leader::Runs
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
            self.kill_group();
            self.kill_leader();
        }
    }

    /// Ends all that is in its group.
    fn kill_group(&self) {
        if let Some(end) = &self.end
            && kill_group_of(end).is_ok()
        {
            return;
        }
        if self.leader().has_its_number() {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Ends it, if it has left its group.
    fn kill_leader(&self) {
        #[cfg(target_os = "linux")]
        if let Some(end) = &self.end
            && matches!(
                rustix::process::pidfd_send_signal(end, Signal::KILL),
                Ok(()) | Err(Errno::SRCH)
            )
        {
            return;
        }
        if self.leader().has_its_number() {
            let _ = rustix::process::kill_process(self.pid, Signal::KILL);
        }
    }

    /// Takes note of its end, waiting for it, and ends what it has left behind in its group. An
    /// error says that others have taken note of it, so that how it ended is not known.
    pub(in crate::process) fn reap(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.wait_until(None);
        self.kill_group();
        let status = children::strike(self.id(), || self.take_note())?;
        self.status = Some(status);
        Ok(status)
    }

    fn take_note(&self) -> io::Result<ExitStatus> {
        let lost = || io::Error::from(Errno::CHILD);
        if self.lost.load(Ordering::Relaxed) {
            return Err(lost());
        }
        // Without waiting: it has ended, and what is waited for after others have taken note of
        // that would be another child.
        #[cfg(target_os = "linux")]
        if self.end.is_some() {
            let now = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let status = retried(|| rustix::process::waitid(self.wait_id(), now))?;
            let status = status.ok_or_else(lost)?;
            let code = status.exit_status().map(|code| (code & 0xff) << 8);
            let core = if status.dumped() { 0x80 } else { 0 };
            let signal = status.terminating_signal().map(|signal| signal | core);
            return Ok(ExitStatus::from_raw(code.or(signal).unwrap_or(0)));
        }
        let now = WaitOptions::NOHANG;
        let status = retried(|| rustix::process::waitpid(Some(self.pid), now))?;
        let (_, status) = status.ok_or_else(lost)?;
        Ok(ExitStatus::from_raw(status.as_raw()))
    }

    pub(in crate::process) fn status(&self) -> Option<ExitStatus> {
        self.status
    }
}

/// Ends all processes of the group that the process of a descriptor leads or led. An error says
/// that this system cannot (before Linux 6.9).
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "rustix has the call without its flags, and so for the process alone"
)]
fn kill_group_of(leader: &Descriptor) -> Result<(), Errno> {
    let flags = libc::PIDFD_SIGNAL_PROCESS_GROUP;
    let (fd, no_more) = (leader.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: the descriptor is open, and no further information is given, so that the call looks
    // at no memory of this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            libc::SIGKILL,
            no_more,
            flags,
        )
    };
    let error = (result != 0).then(|| Errno::from_io_error(&io::Error::last_os_error()));
    match error {
        // Without one: the group is empty.
        None | Some(Some(Errno::SRCH)) => Ok(()),
        Some(error) => Err(error.unwrap_or(Errno::INVAL)),
    }
}

#[cfg(not(target_os = "linux"))]
fn kill_group_of(_: &Descriptor) -> Result<(), Errno> {
    Err(Errno::INVAL)
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

#[cfg(test)]
mod tests;
