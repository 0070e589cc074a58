//! A solver: a parallel region, a tiny serial step, the next region, ten thousand times.
//!
//! ```text
//! cargo bench --bench iterate
//! ```
//!
//! A region maps the 1,000 values of a state into a second buffer, at a cost that makes the serial region 20, 50 or 200 us;
//! the serial step reads every 64th value, corrects the first one and swaps the buffers. Contenders advance their own copy of the state in
//! blocks of steps, by turns, in an order shuffled anew in each round; the end states must have the same bits.
//!
//! A second table has pauses of 10 ms before each region, in which a thread that spins burns time. CPU time is that of the whole
//! process while a contender's block runs.

mod common;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use clap::Parser;
use rayon::prelude::*;
use scipar::{Chunking, Pool, Timer, par_map_into_chunked};

use common::machine;
use common::stats::{Random, median};
use common::work::chain;

/// A solver's loop: short parallel regions with a serial step in between.
#[derive(Parser, Debug)]
struct Options {
    /// A few steps, to see that the answers are right
    #[arg(long)]
    test: bool,
    /// A fifth of the steps
    #[arg(long)]
    quick: bool,
    /// Regions per contender, back to back
    #[arg(long, default_value_t = 10_000)]
    steps: usize,
    /// Regions per contender, with pauses
    #[arg(long, default_value_t = 300)]
    paused_steps: usize,
    /// Microseconds that the serial region lasts
    #[arg(long, value_name = "US", value_delimiter = ',', default_values_t = [20.0, 50.0, 200.0])]
    regions: Vec<f64>,
    /// Pause before a region in the last table
    #[arg(long, value_name = "MS", default_value_t = 10)]
    pause_ms: u64,
    /// Seconds to spend, in all, on waiting until other programs leave the cores alone
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    patience: f64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

const ITEMS: usize = 1_000;
static SPINNING: LazyLock<Pool> = LazyLock::new(|| {
    let pool = Pool::builder().spin(Duration::from_micros(100)).build();
    pool.expect("a pool of all workers")
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Serial,
    Ours,
    /// A pool whose helpers look for more work for a while.
    OursSpinning,
    /// `par_iter_mut` zipped with `par_iter`.
    Rayon,
    /// The same on chunks, four per worker.
    RayonChunks,
}

impl Contender {
    const ALL: [Contender; 5] = [
        Contender::Serial,
        Contender::Ours,
        Contender::OursSpinning,
        Contender::Rayon,
        Contender::RayonChunks,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::Serial => "serial",
            Contender::Ours => "scipar, auto",
            Contender::OursSpinning => "scipar, spin 100 us",
            Contender::Rayon => "rayon, par_iter",
            Contender::RayonChunks => "rayon, par_chunks",
        }
    }

    fn region(self, from: &[f64], to: &mut [f64], steps: u32, workers: usize) {
        let f = |x: &f64| 0.5 * chain(*x, steps);
        match self {
            Contender::Serial => to.iter_mut().zip(from).for_each(|(y, x)| *y = f(x)),
            Contender::Ours => par_map_into_chunked(from, to, Chunking::auto(), f),
            Contender::OursSpinning => SPINNING.par_map_into_chunked(from, to, Chunking::auto(), f),
            Contender::Rayon => to
                .par_iter_mut()
                .zip(from.par_iter())
                .for_each(|(y, x)| *y = f(x)),
            Contender::RayonChunks => {
                let len = (ITEMS / (4 * workers)).max(1);
                to.par_chunks_mut(len)
                    .zip(from.par_chunks(len))
                    .for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(y, x)| *y = f(x)));
            }
        }
    }
}

/// One contender's state and times.
struct Solver {
    who: Contender,
    state: Vec<f64>,
    next: Vec<f64>,
    /// Nanoseconds per step, of each block, without pauses.
    wall: Vec<f64>,
    cpu: Duration,
}

impl Solver {
    fn new(who: Contender) -> Self {
        Self {
            who,
            state: (0..ITEMS).map(|i| i as f64).collect(),
            next: vec![0.0; ITEMS],
            wall: Vec::new(),
            cpu: Duration::ZERO,
        }
    }

    fn advance(&mut self, steps: usize, chain: u32, pause: Duration, workers: usize) {
        let timer = Timer::start();
        let mut wall = Duration::ZERO;
        for _ in 0..steps {
            if !pause.is_zero() {
                if pause < Duration::from_millis(1) {
                    machine::spin(pause);
                } else {
                    std::thread::sleep(pause);
                }
            }
            let began = Instant::now();
            self.who
                .region(black_box(&self.state), &mut self.next, chain, workers);
            let residual: f64 = self.next.iter().step_by(64).sum();
            self.next[0] += 1e-3 * residual;
            std::mem::swap(&mut self.state, &mut self.next);
            wall += began.elapsed();
        }
        self.wall.push(wall.as_nanos() as f64 / steps as f64);
        self.cpu += timer.elapsed().cpu;
    }
}

/// Steps of a chain that make the serial region as long as wanted.
fn calibrate(region_ns: f64) -> u32 {
    let mut steps = region_ns / ITEMS as f64 / 3.0;
    for _ in 0..6 {
        let mut solver = Solver::new(Contender::Serial);
        for _ in 0..9 {
            solver.advance(5, steps.round() as u32, Duration::ZERO, 1);
        }
        steps = (steps * region_ns / median(&solver.wall)).clamp(1.0, 1e6);
    }
    steps.round() as u32
}

/// A table of `regions`, in us; `blocks` turns of each contender.
fn table(
    regions: &[f64],
    total: usize,
    blocks: usize,
    pause: Duration,
    workers: usize,
    random: &mut Random,
    patience: &mut Duration,
) {
    println!(
        "{:<10} {:<20} {:>11} {:>9} {:>12} {:>10} {:>9} {:>7}",
        "region",
        "contender",
        "us / step",
        "speed-up",
        "us CPU / step",
        "/ serial",
        "/ rayon",
        "others"
    );
    for &region_us in regions {
        let chain = calibrate(1e3 * region_us);
        let (mut solvers, others) = machine::in_quiet(patience, || {
            let mut solvers: Vec<Solver> = Contender::ALL.into_iter().map(Solver::new).collect();
            for _ in 0..blocks {
                random.shuffle(&mut solvers);
                for solver in &mut solvers {
                    solver.advance((total / blocks).max(1), chain, pause, workers);
                }
            }
            solvers
        });
        solvers.sort_by_key(|solver| solver.who as usize);
        let steps = (blocks * (total / blocks).max(1)) as f64;
        let serial = median(&solvers[0].wall);
        let serial_cpu = solvers[0].cpu.as_nanos() as f64 / steps;
        let rayons = solvers[3..].iter().map(|s| median(&s.wall));
        let rayon = rayons.fold(f64::INFINITY, f64::min);
        for solver in &solvers {
            assert_eq!(solver.state, solvers[0].state, "{}", solver.who.name());
            let wall = median(&solver.wall);
            let cpu = solver.cpu.as_nanos() as f64 / steps;
            println!(
                "{:<10} {:<20} {:>11.1} {:>9.2} {:>12.1} {:>10.2} {:>9.2} {:>7}",
                format!("{region_us} us"),
                solver.who.name(),
                wall / 1e3,
                serial / wall,
                cpu / 1e3,
                cpu / serial_cpu,
                rayon / wall,
                machine::mark(others),
            );
        }
    }
}

fn main() {
    let mut options = Options::parse();
    // `cargo test --all-targets` builds without optimisation and is no measurement.
    options.test |= cfg!(debug_assertions);
    let share = match (options.test, options.quick) {
        (true, _) => 1_000,
        (_, true) => 5,
        _ => 1,
    };
    let workers = machine::workers();
    let blocks = if options.test { 2 } else { 20 };
    let mut random = Random::new(3);
    let mut patience = Duration::from_secs_f64(options.patience);
    println!("{}", machine::describe(options.test));
    println!(
        "\nMedian over {blocks} blocks of the time per step; speed-up over serial; CPU time of the process per step, and over that of the serial loop\n\
         (1: nothing burned); speed-up over the faster of the two rayons; the share of the cores that other programs used, where it matters. States are compared at the end.\n"
    );
    let steps = options.steps / share;
    println!("== {steps} steps back to back\n");
    table(
        &options.regions,
        steps,
        blocks,
        Duration::ZERO,
        workers,
        &mut random,
        &mut patience,
    );
    let gap = Duration::from_micros(100);
    println!("\n== {steps} steps with {gap:?} of serial work before each\n");
    table(
        &options.regions,
        steps,
        blocks,
        gap,
        workers,
        &mut random,
        &mut patience,
    );
    let steps = (options.paused_steps / share).max(2);
    let pause = Duration::from_millis(options.pause_ms);
    println!("\n== {steps} steps with a sleep of {pause:?} before each\n");
    table(
        &options.regions,
        steps,
        blocks.min(steps),
        pause,
        workers,
        &mut random,
        &mut patience,
    );
}
