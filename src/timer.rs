//! Wall and CPU time, and what their ratio means.

use std::fmt;
use std::time::{Duration, Instant};

use cpu_time::{ProcessTime, ThreadTime};

pub(crate) mod children;

/// Which CPU time a [`Timer`] reads beside the wall clock.
///
/// Where the system refuses to read a clock of CPU time, as a sandbox may, it stands at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// All threads of this process, as Python's `time.process_time`.
    ///
    /// The system adds the time of *other, still running* threads only at its own ticks, so a
    /// reading may lag by up to 10 ms per busy thread: [`Pool::time`](crate::Pool::time) sums
    /// the workers' own clocks and has no such lag.
    #[default]
    Process,
    /// The calling thread alone, as Python's `time.thread_time`. Read it on the thread that
    /// started the timer.
    Thread,
    /// This process, its child processes that have ended and been waited for, and (on Linux) the worker processes of
    /// `process` that have not: what Python's `process_time` leaves out. On systems other than Unix it is
    /// [`Clock::Process`].
    WithChildren,
}

impl Clock {
    fn now(self) -> Duration {
        match self {
            Clock::Process => process_time(),
            Clock::Thread => thread_time(),
            Clock::WithChildren => process_time() + children::cpu_time(),
        }
    }

    const fn resolution(self) -> Duration {
        match self {
            Clock::Thread => FINE,
            Clock::Process | Clock::WithChildren => TICK,
        }
    }
}

// Not `now`, which panics where the system refuses: helpers read these clocks, and a panic there
// ends the program.

/// The CPU time of the calling thread since it began; zero where the system does not say.
pub(crate) fn thread_time() -> Duration {
    try_thread_time().unwrap_or_default()
}

/// As [`thread_time`]; `None` where the system does not say.
pub(crate) fn try_thread_time() -> Option<Duration> {
    let time = ThreadTime::try_now().ok()?;
    Some(time.as_duration())
}

/// The CPU time of this process since it began; zero where the system does not say.
pub(crate) fn process_time() -> Duration {
    ProcessTime::try_now().map_or(Duration::ZERO, |time| time.as_duration())
}

/// Resolution of a thread's own clock: it counts nanoseconds, a reading costs a fraction of this.
const FINE: Duration = Duration::from_micros(1);
/// The longest tick that systems in use have (100 Hz).
const TICK: Duration = Duration::from_millis(10);

/// Measures wall and CPU time from its start.
///
/// # Examples
///
/// ```
/// use scipar::{Bound, Timer};
///
/// let timer = Timer::start();
/// std::thread::sleep(std::time::Duration::from_millis(50));
/// let timing = timer.elapsed();
/// assert!(timing.wall >= std::time::Duration::from_millis(50));
/// assert_eq!(timing.bound(1), Bound::Waiting); // wall time passed, CPU time did not
/// ```
#[doc(alias = "perf_counter")]
#[doc(alias = "process_time")]
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    clock: Clock,
    start: Reading,
    /// Where the lap that runs now began.
    lap: Reading,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: Instant,
    cpu: Duration,
}

impl Reading {
    fn now(clock: Clock) -> Self {
        Self {
            wall: Instant::now(),
            cpu: clock.now(),
        }
    }

    fn since(self, earlier: Self, resolution: Duration) -> Timing {
        Timing {
            wall: self.wall.saturating_duration_since(earlier.wall),
            cpu: self.cpu.saturating_sub(earlier.cpu),
            resolution,
        }
    }
}

impl Timer {
    /// Starts a timer with the process's CPU clock.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Clock::Process)
    }

    /// Starts a timer with a CPU clock of your choice.
    #[must_use]
    pub fn start_with(clock: Clock) -> Self {
        let start = Reading::now(clock);
        Self {
            clock,
            start,
            lap: start,
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Timing {
        Reading::now(self.clock).since(self.start, self.clock.resolution())
    }

    /// Time since the last lap, or since the start, and begins a new lap.
    /// Laps add up to [`elapsed`](Self::elapsed) exactly: no time falls between two.
    pub fn lap(&mut self) -> Timing {
        let now = Reading::now(self.clock);
        let timing = now.since(self.lap, self.clock.resolution());
        self.lap = now;
        timing
    }
}

/// Runs `f` and says how long it took, by the process's CPU clock.
///
/// # Examples
///
/// ```
/// let (sum, timing) = scipar::time(|| (0..1000_u64).sum::<u64>());
/// assert_eq!(sum, 499_500);
/// println!("{timing}");
/// ```
pub fn time<R>(f: impl FnOnce() -> R) -> (R, Timing) {
    let timer = Timer::start();
    let result = f();
    (result, timer.elapsed())
}

/// A stretch of wall and CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// What a clock on the wall shows.
    pub wall: Duration,
    /// What all counted threads (and processes) spent computing, added up.
    pub cpu: Duration,
    /// How far `cpu` may lag behind the truth; see [`Clock`].
    pub resolution: Duration,
}

impl Timing {
    /// A timing whose CPU time was added up from threads' own clocks.
    pub(crate) const fn exact(wall: Duration, cpu: Duration) -> Self {
        Self {
            wall,
            cpu,
            resolution: FINE,
        }
    }

    /// CPU time per wall time: how many processors were busy on average. 0 where no wall time passed.
    #[must_use]
    pub fn parallelism(&self) -> f64 {
        if self.wall.is_zero() {
            0.0
        } else {
            self.cpu.as_secs_f64() / self.wall.as_secs_f64()
        }
    }

    /// What the run was bound by, when it had `workers` workers to use.
    ///
    /// | [`parallelism`](Self::parallelism) | answer |
    /// |---|---|
    /// | at least 1.2, and `workers` above 1 | [`Bound::Parallel`] |
    /// | 0.8 or more | [`Bound::Serial`] |
    /// | less | [`Bound::Waiting`] |
    ///
    /// Below a few times [`resolution`](Self::resolution) the CPU time, and so the answer, means little.
    #[must_use]
    pub fn bound(&self, workers: usize) -> Bound {
        let parallelism = self.parallelism();
        if parallelism >= 1.2 && workers > 1 {
            Bound::Parallel
        } else if parallelism >= 0.8 {
            Bound::Serial
        } else {
            Bound::Waiting
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wall {:.3?}, CPU {:.3?}, parallelism {:.2}",
            self.wall,
            self.cpu,
            self.parallelism()
        )
    }
}

/// What a run was bound by, read off its wall and CPU time; see [`Timing::bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// More CPU time than wall time: several processors computed at once.
    Parallel,
    /// As much CPU time as wall time: one processor computed, because the work was serial, or
    /// small, or because the others waited for a lock.
    Serial,
    /// Less CPU time than wall time: the run waited, for input, for output or for the scheduler.
    Waiting,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Parallel => "parallel: several processors computed at once",
            Bound::Serial => "serial: one processor computed while the others had nothing to do",
            Bound::Waiting => "waiting: for input, output or the system's scheduler",
        })
    }
}

#[cfg(test)]
mod tests;
