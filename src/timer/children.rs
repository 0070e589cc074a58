//! CPU time of child processes that have ended.

use std::time::Duration;

/// CPU time, user and system, of all child processes that have been waited for.
#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "getrusage has no safe wrapper among the crate's dependencies"
)]
pub(super) fn cpu_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is valid for writes of one `rusage`, which is all the call writes.
    let status = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    if status != 0 {
        return Duration::ZERO; // only a bad address or selector fails, and neither is given
    }
    // SAFETY: `rusage` is plain integers, for which zeroed memory is a valid value.
    let usage = unsafe { usage.assume_init() };
    let duration = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// No system call known here counts them.
#[cfg(not(unix))]
pub(super) fn cpu_time() -> Duration {
    Duration::ZERO
}
