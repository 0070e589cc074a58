//! Whose orders a worker takes: those of a peer that could do by itself what it orders.
//!
//! A worker runs any task that it is told to, with any argument. Which socket that comes by is said
//! by an environment variable, and both are the choice of the process that starts the program. That
//! process must therefore not gain rights by it:
//!
//! 1. A program that gets rights from its file (set-user-ID, set-group-ID, capabilities, a security
//!    module's transition) takes no orders. The kernel says so when it starts the program
//!    (`AT_SECURE`); on systems that do not, the user and group IDs do.
//! 2. The socket was made by a process of the same user, or of root, which has all rights that this
//!    process has (Linux: `SO_PEERCRED`, the kernel's own note). This is for what starts programs
//!    as another user and passes on the environment, as `sudo` can be told to.

use std::io;
use std::os::fd::AsFd;

/// Whether the kernel has given this program rights that the process which started it may not have.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "a word of the kernel's to this process")]
fn has_rights_of_its_own() -> bool {
    // SAFETY: no conditions. It reads a list that the kernel has written before the program began.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn has_rights_of_its_own() -> bool {
    false
}

/// The user that made a socket with its peer.
// Not by rustix, whose numbers of processes are never zero: that of a peer in another PID namespace
// is.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "reads a note of the kernel's on a socket")]
fn maker(socket: impl AsFd) -> io::Result<u32> {
    use std::os::fd::AsRawFd;

    let mut found = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    let mut len = size_of_val(&found) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `found`, which has as many and is of plain
    // numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    match result {
        0 => Ok(found.uid),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Refuses a socket by whose peer this process must not be led.
pub(super) fn may_be_led(socket: impl AsFd) -> io::Result<()> {
    use rustix::process::{getegid, geteuid, getgid, getuid};

    let refused = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    let user = getuid();
    if has_rights_of_its_own() || user != geteuid() || getgid() != getegid() {
        return refused(
            "a program that has rights of its own (set-user-ID, set-group-ID, capabilities) is never a worker"
                .to_owned(),
        );
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        const ROOT: u32 = 0;
        let (maker, user) = (maker(socket)?, user.as_raw());
        if maker != user && maker != ROOT {
            return refused(format!(
                "its standard input is a socket of user {maker}, and it runs as user {user}: only root has workers that are other users"
            ));
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
    Ok(())
}
