//! METG: the minimum effective task granularity, as Task Bench defines it (Slaughter et al., SC20).
//!
//! ```text
//! cargo bench --bench metg
//! ```
//!
//! METG(50 %) is the smallest granularity, in nanoseconds per task, at which a system still reaches half of the machine's peak. Here a
//! fixed amount of work (2 ms, then 20 ms of one core) is cut into `n` equal, independent tasks, finer from step to step by the square root of 2:
//!
//! - *granularity* `g` = serial time / `n`, where the serial time is that of a plain loop over the same tasks, measured in the same rounds;
//! - *peak* `C` = work per second of one busy loop per core, all at once, over that of one alone (at most the number of workers);
//! - *efficiency*(`g`) = serial time / (`C` x wall time), all times medians;
//! - METG(p) = where the efficiency crosses `p`, interpolated linearly over log `g`, next to the smallest `g` that still reaches it.
//!
//! The contenders are interleaved in shuffled rounds. A system whose efficiency falls under a tenth is left out of finer steps. A
//! loop without any parallelism has efficiency 1 / `C`, which on two cores is itself about 50 %: METG(75 %) is there to tell a system that falls
//! back to serial code in time from one that shares the work.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rayon::prelude::*;
use scipar::{Chunking, par_for_each_chunked};

use common::machine::{self, DISTURBED};
use common::stats::{Random, median};
use common::work::{chain, steps_for};

/// The smallest task granularity that still reaches half of the machine's peak.
#[derive(Parser, Debug)]
struct Options {
    /// Coarse tasks only, once each, to see that every task is run
    #[arg(long)]
    test: bool,
    /// Fewer rounds
    #[arg(long)]
    quick: bool,
    /// Print the efficiency at every granularity
    #[arg(long)]
    curves: bool,
    /// Total work in milliseconds; may be given several times
    #[arg(long, value_name = "MS", default_values_t = [2.0, 20.0])]
    work_ms: Vec<f64>,
    /// Seconds to spend, in all, on waiting until other programs leave the cores alone
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    patience: f64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Serial,
    OursAuto,
    /// Every task is a chunk.
    OursOne,
    Rayon,
    /// `with_max_len(1)`: every task is a job.
    RayonOne,
    /// `par()` as it comes.
    Orx,
    /// `chunk_size(1)`.
    OrxOne,
    /// One part per worker on scoped threads.
    Split,
}

impl Contender {
    const ALL: [Contender; 8] = [
        Contender::Serial,
        Contender::OursAuto,
        Contender::OursOne,
        Contender::Rayon,
        Contender::RayonOne,
        Contender::Orx,
        Contender::OrxOne,
        Contender::Split,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::Serial => "serial loop",
            Contender::OursAuto => "scipar, auto",
            Contender::OursOne => "scipar, size(1)",
            Contender::Rayon => "rayon",
            Contender::RayonOne => "rayon, max_len(1)",
            Contender::Orx => "orx",
            Contender::OrxOne => "orx, chunk 1",
            Contender::Split => "static split",
        }
    }

    /// Runs `tasks` tasks.
    #[inline]
    fn run(self, tasks: usize, workers: usize, task: impl Fn(usize) + Sync + Send + Copy) {
        match self {
            Contender::Serial => (0..tasks).for_each(task),
            Contender::OursAuto => par_for_each_chunked(0..tasks, Chunking::auto(), task),
            Contender::OursOne => par_for_each_chunked(0..tasks, Chunking::size(1), task),
            Contender::Rayon => (0..tasks).into_par_iter().for_each(task),
            Contender::RayonOne => (0..tasks).into_par_iter().with_max_len(1).for_each(task),
            Contender::Orx => orx::run(tasks, task),
            Contender::OrxOne => orx::run_single(tasks, task),
            Contender::Split => {
                let len = tasks.div_ceil(workers);
                std::thread::scope(|scope| {
                    for part in 1..workers {
                        let end = tasks.min((part + 1) * len);
                        scope.spawn(move || (part * len..end).for_each(task));
                    }
                    (0..tasks.min(len)).for_each(task);
                });
            }
        }
    }
}

mod orx {
    use orx_parallel::{IntoParIter, Par};

    pub(super) fn run(tasks: usize, task: impl Fn(usize) + Sync + Send + Copy) {
        (0..tasks).into_par().for_each(task);
    }

    pub(super) fn run_single(tasks: usize, task: impl Fn(usize) + Sync + Send + Copy) {
        (0..tasks).into_par().chunk_size(1).for_each(task);
    }
}

/// One contender's efficiency at granularities from coarse to fine.
struct Curve {
    who: Contender,
    points: Vec<(f64, f64)>,
    is_out: bool,
}

impl Curve {
    /// METG(`share`): `Err` with the granularity that is not undercut where the efficiency never falls below.
    fn metg(&self, share: f64) -> Result<f64, f64> {
        let Some(last) = self.points.iter().rposition(|(_, e)| *e >= share) else {
            return Ok(f64::INFINITY);
        };
        let (coarse, above) = self.points[last];
        let Some((fine, below)) = self.points.get(last + 1).copied() else {
            return Err(coarse);
        };
        let part = (above - share) / (above - below);
        Ok((coarse.ln() + part * (fine.ln() - coarse.ln())).exp())
    }
}

/// The curves, and other programs' share of the cores at each granularity.
fn sweep(
    options: &Options,
    work_ns: f64,
    workers: usize,
    capacity: f64,
    patience: &mut Duration,
) -> (Vec<Curve>, Vec<f64>) {
    let mut disturbed = Vec::new();
    let rounds = match (options.test, options.quick) {
        (true, _) => 1,
        (_, true) => 9,
        _ => 21,
    };
    let coarsest = work_ns / (8 * workers) as f64;
    let mut random = Random::new(5);
    let mut curves = Contender::ALL.map(|who| Curve {
        who,
        points: Vec::new(),
        is_out: false,
    });
    let mut nominal = coarsest;
    let mut steps = u32::MAX;
    while nominal > 4.0 {
        // Granularities from here on differ by at least one step of the chain.
        let wanted = steps_for(nominal).round() as u32;
        steps = wanted.min(steps - 1);
        nominal /= std::f64::consts::SQRT_2;
        let tasks = (work_ns / nominal / std::f64::consts::SQRT_2).round() as usize;
        let mut times: Vec<(usize, Vec<f64>)> = (0..curves.len())
            .filter(|&i| !curves[i].is_out)
            .map(|i| (i, Vec::new()))
            .collect();

        for (i, _) in &times {
            let seen = AtomicU64::new(0);
            curves[*i].who.run(tasks, workers, |index| {
                seen.fetch_add(index as u64 + 1, Ordering::Relaxed);
            });
            let all = tasks as u64;
            let name = curves[*i].who.name();
            assert_eq!(
                seen.into_inner(),
                all * (all + 1) / 2,
                "{name} left tasks out"
            );
        }
        let task = |index: usize| {
            black_box(chain(index as f64, steps));
        };
        let (_, others) = machine::in_quiet(patience, || {
            times.iter_mut().for_each(|(_, times)| times.clear());
            for round in 0..=rounds {
                random.shuffle(&mut times);
                for (i, times) in &mut times {
                    // Each contender once before, so that the one before it has left.
                    curves[*i].who.run(black_box(tasks), workers, task);
                    let began = Instant::now();
                    curves[*i].who.run(black_box(tasks), workers, task);
                    // The first round is warm-up.
                    if round > 0 {
                        times.push(began.elapsed().as_nanos() as f64);
                    }
                }
            }
        });
        disturbed.push(others.unwrap_or(0.0));
        let serial = times
            .iter()
            .find(|(i, _)| curves[*i].who == Contender::Serial)
            .map_or(f64::NAN, |(_, times)| median(times));
        for (i, times) in &times {
            let efficiency = serial / (capacity * median(times));
            curves[*i].points.push((serial / tasks as f64, efficiency));
            curves[*i].is_out = efficiency < 0.1 && curves[*i].who != Contender::Serial;
        }
        if steps <= 1 || (options.test && nominal < coarsest / 8.0) {
            break;
        }
    }
    (curves.into(), disturbed)
}

fn print_curves(curves: &[Curve]) {
    print!("{:>12}", "ns per task");
    for curve in curves {
        print!(" {:>18}", curve.who.name());
    }
    println!();
    for (row, (granularity, _)) in curves[0].points.iter().enumerate() {
        print!("{granularity:>12.1}");
        for curve in curves {
            match curve.points.get(row) {
                Some((_, efficiency)) => print!(" {efficiency:>18.3}"),
                None => print!(" {:>18}", "-"),
            }
        }
        println!();
    }
    println!();
}

fn main() {
    let mut options = Options::parse();
    // `cargo test --all-targets` builds without optimisation and is no measurement.
    options.test |= cfg!(debug_assertions);
    let workers = machine::workers();
    println!("{}", machine::describe(options.test));
    println!(
        "\nMETG(p) in nanoseconds per task: smaller is better. `<`: still above p at the finest granularity. `/ rayon`: METG(50 %) over that of\nrayon with `max_len(1)` (target for ours with size(1) against that, and for auto against plain rayon: at most 1/3).\n"
    );
    let mut patience = Duration::from_secs_f64(options.patience);
    if options.test {
        options.work_ms.truncate(1);
    }
    for work_ms in &options.work_ms {
        let steps = (work_ms * 1e6 / 3.0) as u32;
        let loops = if options.test {
            10_000
        } else {
            steps.max(6_000_000)
        };
        let (capacity, _) = machine::in_quiet(&mut patience, || machine::capacity(workers, loops));
        let (curves, disturbed) = sweep(&options, work_ms * 1e6, workers, capacity, &mut patience);
        println!("== {work_ms} ms of work, {workers} workers, peak C = {capacity:.2}\n");
        if options.curves {
            print_curves(&curves);
        }
        let value = |who, share| {
            curves
                .iter()
                .find(|curve| curve.who == who)
                .map_or(f64::NAN, |curve| curve.metg(share).unwrap_or_else(|g| g))
        };
        println!(
            "{:<20} {:>12} {:>12} {:>9} {:>14}",
            "", "METG(50 %)", "METG(75 %)", "/ rayon", "/ rayon, 1"
        );
        for curve in &curves {
            let show = |share| match curve.metg(share) {
                Ok(g) if g.is_infinite() => "never".to_owned(),
                Ok(g) => format!("{g:.1}"),
                Err(g) => format!("< {g:.1}"),
            };
            let own = value(curve.who, 0.5);
            println!(
                "{:<20} {:>12} {:>12} {:>9.2} {:>14.2}",
                curve.who.name(),
                show(0.5),
                show(0.75),
                own / value(Contender::Rayon, 0.5),
                own / value(Contender::RayonOne, 0.5),
            );
        }
        let disturbed = disturbed
            .iter()
            .filter(|share| **share >= DISTURBED)
            .count();
        println!(
            "{disturbed} of {} granularities were disturbed by other programs.\n",
            curves[0].points.len()
        );
    }
}
