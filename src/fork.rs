//! Whether this process is a fork of the one in which something was made: threads do not survive a fork.

#[cfg(unix)]
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Forks between the first process that asked and this one.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// A number that is another one in a fork, and never 0. Costs a load, where asking for the process's number is a system call.
///
/// Processes made by other means than `fork`, such as a bare `clone`, are not told apart.
pub(crate) fn generation() -> u32 {
    #[cfg(unix)]
    {
        static REGISTERED: Once = Once::new();
        if !REGISTERED.is_completed() {
            REGISTERED.call_once(count_forks);
        }
    }
    GENERATION.load(Ordering::Relaxed)
}

/// Whether this process is a fork of the first one that asked.
pub(crate) fn is_fork() -> bool {
    generation() != 1
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "registers a function to be called in forks")]
fn count_forks() {
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the function is there for as long as this code is (where a library can be unloaded, the C library forgets its handlers
    // with it), and it does what is allowed in a child: one operation on an atomic.
    let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // Out of memory for a list entry: forks then go unnoticed, as they would without this.
    debug_assert_eq!(failed, 0);
}
