//! CPU time of child processes: those that have ended, and the worker processes that have not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Worker processes that have not been waited for. Whoever waits for one strikes it off under the lock, as from then on the system
/// counts it among those that have ended.
static ALIVE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn alive() -> MutexGuard<'static, Vec<u32>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a worker process from now on.
#[cfg(all(feature = "process", unix))]
pub(crate) fn enrol(process: u32) {
    alive().push(process);
}

/// Waits for a worker process that has ended.
#[cfg(all(feature = "process", unix))]
pub(crate) fn strike<T>(process: u32, wait: impl FnOnce() -> T) -> T {
    let mut alive = alive();
    alive.retain(|&other| other != process);
    wait()
}

/// CPU time of all child processes that have been waited for, and of the worker processes that have not.
pub(super) fn cpu_time() -> Duration {
    let alive = alive();
    let working: Duration = alive
        .iter()
        .filter_map(|&process| of_process(process))
        .sum();
    ended() + working
}

/// CPU time of a child process so far, its threads together; `None` where the system does not say,
/// or the number is no child's any more.
pub(crate) fn of_process(process: u32) -> Option<Duration> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in brackets, may hold anything. The number of the parent is the second word
        // after it, user and system time are the 12th and 13th.
        let words: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
        if words.get(1)?.parse() != Ok(std::process::id()) {
            return None;
        }
        // Threads that live, to the nanosecond; all of them, those that have ended too, to the tick.
        let mut threads = Duration::ZERO;
        for entry in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
            let path = entry.ok()?.path().join("schedstat");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            threads += Duration::from_nanos(nanos.unwrap_or(0));
        }
        let ticks: u64 =
            words.get(11)?.parse::<u64>().ok()? + words.get(12)?.parse::<u64>().ok()?;
        // The unit that Linux shows to programs, whatever its own is.
        const PER_SECOND: f64 = 100.0;
        Some(threads.max(Duration::from_secs_f64(ticks as f64 / PER_SECOND)))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = process;
        None
    }
}

/// CPU time, user and system, of all child processes that have been waited for.
#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "getrusage has no safe wrapper among the crate's dependencies"
)]
fn ended() -> Duration {
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
fn ended() -> Duration {
    Duration::ZERO
}
