//! The machine: what its clock costs, and how much work its cores do together.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::stats::median;
use super::work::chain;

/// As many workers as every contender uses.
pub(crate) fn workers() -> usize {
    scipar::Pool::global().num_workers()
}

/// Keeps the calling core busy.
pub(crate) fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Nanoseconds that an empty timed region seems to last.
pub(crate) fn clock_cost() -> f64 {
    let costs: Vec<f64> = (0..2_001)
        .map(|_| Instant::now().elapsed().as_nanos() as f64)
        .collect();
    median(&costs)
}

/// Work that busy loops, one on each core at once, do in the time in which one alone does 1. At most the number of
/// workers; less where cores share units, or other programs run.
pub(crate) fn capacity(workers: usize, steps: u32) -> f64 {
    let time = || {
        let began = Instant::now();
        black_box(chain(black_box(1.0), steps));
        began.elapsed().as_secs_f64()
    };
    let ratios: Vec<f64> = (0..7)
        .map(|_| {
            let alone = time();
            let barrier = Barrier::new(workers);
            let together: f64 = std::thread::scope(|scope| {
                let loops: Vec<_> = (0..workers)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            time()
                        })
                    })
                    .collect();
                loops
                    .into_iter()
                    .map(|thread| alone / thread.join().unwrap_or(f64::NAN))
                    .sum()
            });
            together
        })
        .collect();
    median(&ratios).min(workers as f64)
}

/// A line about the machine.
pub(crate) fn describe(quick: bool) -> String {
    let workers = workers();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{} {}, {workers} workers, which together do {:.2} times the work of one; a clock reading costs {:.0} ns; load average {}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        capacity(workers, if quick { 100_000 } else { 3_000_000 }),
        clock_cost(),
        if load.is_empty() { "unknown" } else { load },
    )
}

/// Sees how much of the cores other programs use. Knows nothing on systems other than Linux.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    began: Instant,
    busy: Option<f64>,
    own: Duration,
}

impl Others {
    pub(crate) fn watch() -> Self {
        Self {
            began: Instant::now(),
            busy: busy_seconds(),
            own: cpu_time::ProcessTime::now().as_duration(),
        }
    }

    /// The share of all cores since [`watch`](Self::watch) that was not idle and not ours. Unknown for short
    /// spans, as the system counts in hundredths of a second.
    pub(crate) fn share(&self) -> Option<f64> {
        let now = Self::watch();
        let span = (now.began - self.began).as_secs_f64();
        let others = now.busy? - self.busy? - (now.own - self.own).as_secs_f64();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (span > 0.1).then(|| (others / span / cores as f64).clamp(0.0, 1.0))
    }
}

/// Other programs' share of the cores above which a measurement is disturbed.
pub(crate) const DISTURBED: f64 = 0.05;

/// Waits until other programs leave the cores alone, measures, and measures again if they came back meanwhile: all
/// this for as long as `patience` lasts, from which it takes what it used. The second result is the other programs' share of the cores.
pub(crate) fn in_quiet<R>(
    patience: &mut Duration,
    mut measure: impl FnMut() -> R,
) -> (R, Option<f64>) {
    const LOOK: Duration = Duration::from_millis(200);
    loop {
        while *patience > LOOK {
            let others = Others::watch();
            std::thread::sleep(LOOK);
            *patience -= LOOK;
            if others.share().is_none_or(|share| share < DISTURBED) {
                break;
            }
        }
        let others = Others::watch();
        let result = measure();
        let share = others.share();
        if patience.is_zero() || share.is_none_or(|share| share < DISTURBED) {
            return (result, share);
        }
        *patience = patience.saturating_sub(others.began.elapsed().max(LOOK));
    }
}

/// The other programs' share as a mark at the end of a line: nothing where it does not matter.
pub(crate) fn mark(share: Option<f64>) -> String {
    match share {
        Some(share) if share >= DISTURBED => format!("{:.0} %", 100.0 * share),
        _ => String::new(),
    }
}

/// Seconds that all cores together have not been idle, time taken by other machines on the same host included.
fn busy_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((ticks.iter().sum::<f64>() - idle) / 100.0)
}
