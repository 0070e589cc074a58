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
