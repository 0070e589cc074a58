//! What a parallel map costs where there is next to nothing to do: `x^10` over 3,000 numbers.
//!
//! ```sh
//! cargo run --release --example overhead -- --plot overhead.svg
//! ```
//!
//! One published post measured 22.8 s for this map in parallel, in Python with one task per item, against
//! 0.01 s in a plain loop. Here is the same experiment with threads: one task per item, chunks of a
//! chosen size, and chunks that the crate measures for itself. The plot goes on to work that is worth
//! sharing: it shows where a second core begins to pay.
//!
//! The contenders take turns in one process, each for a millisecond or for one call if that is longer, so that
//! what else the machine does hits all alike. Each answer is compared with the serial one.

#[allow(dead_code)] // The half that reads is for other examples.
#[path = "common/files.rs"]
mod files;
#[path = "overhead/plot.rs"]
mod plot;
#[allow(dead_code)] // Numbers are read by clap here.
#[path = "common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rayon::ThreadPool;
use rayon::prelude::*;

use scipar::{Chunking, Pool, Workers};

use plot::Point;

/// Compares a serial loop, rayon and this crate on the map of x^10 over 3,000 numbers.
#[derive(Debug, Parser)]
struct Args {
    /// Draw the speed-up for 100 ns to 100 ms of work (about 15 seconds)
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Worker threads, 1 to 1024, rayon's as well [default: one per processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,

    /// A few rounds only, and work of up to 10 ms: a second, to see that it runs
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    terminal::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let output = match &args.plot {
        Some(path)
            if path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("svg")) =>
        {
            Some(files::Output::new(path, [])?)
        }
        Some(path) => {
            let message = "expected a plot name that ends in .svg";
            return Err(format!("{}: {message}", path.display()).into());
        }
        None => None,
    };
    let workers = args
        .workers
        .map_or(Workers::all(), |n| Workers::exactly(n as usize));
    let pool = Pool::builder().workers(workers).build()?;
    let peer = rayon::ThreadPoolBuilder::new()
        .num_threads(pool.num_workers())
        .build()?;

    terminal::print(&powers(&pool, &peer, if args.quick { 11 } else { 301 }))?;
    if let Some(output) = output {
        let (halves, rounds) = if args.quick { (10, 3) } else { (12, 31) };
        let points = speed_ups(&pool, &peer, halves, rounds);
        let svg = plot::svg(&points, pool.num_workers())?;
        let staged = output.stage(|file| file.write_all(svg.as_bytes()))?;
        for path in files::commit(vec![staged])? {
            terminal::print(&format!(
                "\n{}wrote {}\n",
                plot::listing(&points),
                path.display()
            ))?;
        }
    }
    Ok(())
}

/// A way to compute a map, and its name in the table.
type Contender<'a> = (String, Box<dyn Fn() -> Vec<f64> + 'a>);

/// The experiment of the post, as a table.
fn powers(pool: &Pool, peer: &ThreadPool, rounds: usize) -> String {
    let numbers: Vec<f64> = (0..3_000).map(f64::from).collect();
    let xs = || black_box(numbers.as_slice());
    let f = |x: &f64| x.powi(10);

    let mut contenders: Vec<Contender> = vec![
        (
            "serial iterator".into(),
            Box::new(|| xs().iter().map(f).collect()),
        ),
        (
            "rayon par_iter".into(),
            Box::new(|| peer.install(|| xs().par_iter().map(f).collect())),
        ),
        (
            "rayon with_max_len(1)".into(),
            Box::new(|| peer.install(|| xs().par_iter().with_max_len(1).map(f).collect())),
        ),
    ];
    let two_each = 2 * pool.num_workers();
    for (name, chunking) in [
        ("size(1)".to_owned(), Chunking::size(1)),
        ("size(375)".to_owned(), Chunking::size(375)),
        (format!("count({two_each})"), Chunking::count(two_each)),
        ("auto()".to_owned(), Chunking::auto()),
    ] {
        let map = move || pool.par_map_chunked(xs(), chunking, f);
        contenders.push((format!("scipar {name}"), Box::new(map)));
    }

    let times = medians(&contenders, rounds);
    let mut table = format!(
        "x^10 over 3000 items, a pool of {}, medians of {rounds} rounds\n\n{:<24}{:>12}{:>14}\n",
        pool.num_workers(),
        "",
        "microseconds",
        "times serial"
    );
    for ((name, _), time) in contenders.iter().zip(&times) {
        table += &format!("{name:<24}{:>12.2}{:>14.2}\n", time * 1e6, time / times[0]);
    }
    table
}

/// Median seconds per call of each contender. They take turns: A B C, A B C; the first turns are not counted.
fn medians(contenders: &[Contender], rounds: usize) -> Vec<f64> {
    let (_, serial) = &contenders[0];
    let expected = serial();
    let mut samples = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for ((name, map), samples) in contenders.iter().zip(&mut samples) {
            let (mut calls, start) = (0, Instant::now());
            let (answer, took) = loop {
                let answer = black_box(map());
                calls += 1;
                let took = start.elapsed();
                if took >= Duration::from_millis(1) {
                    break (answer, took);
                }
            };
            assert!(answer == expected, "{name} differs from the serial loop");
            if round > 0 {
                samples.push(took.as_secs_f64() / f64::from(calls));
            }
        }
    }
    let median = |mut samples: Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    samples.into_iter().map(median).collect()
}

/// Maps of items of about 100 ns each: 1 item, 3, 10, 32 and so on, `halves` times half a power of ten.
fn speed_ups(pool: &Pool, peer: &ThreadPool, halves: u32, rounds: usize) -> Vec<Point> {
    let steps = steps_for(100e-9);
    let f = |x: &f64| chain(*x, steps);
    let lengths = (0..=halves).map(|half| 10_f64.powf(f64::from(half) / 2.0).round() as u32);
    let measure = |len| {
        let numbers: Vec<f64> = (0..len).map(f64::from).collect();
        let xs = || black_box(numbers.as_slice());
        let contenders: [Contender; 3] = [
            ("serial".into(), Box::new(|| xs().iter().map(f).collect())),
            (
                "auto".into(),
                Box::new(|| pool.par_map_chunked(xs(), Chunking::auto(), f)),
            ),
            (
                "rayon".into(),
                Box::new(|| peer.install(|| xs().par_iter().map(f).collect())),
            ),
        ];
        let times = medians(&contenders, rounds);
        Point {
            serial: times[0],
            auto: times[0] / times[1],
            rayon: times[0] / times[2],
        }
    };
    lengths.map(measure).collect()
}

/// Steps that depend on each other, so that no compiler shortens them.
fn chain(x: f64, steps: u32) -> f64 {
    (0..steps).fold(x, |x, _| x * 0.999 + 0.01)
}

/// The number of steps that make an item take `seconds`, found in a loop over items because neighbours
/// overlap in the processor.
fn steps_for(seconds: f64) -> u32 {
    let xs: Vec<f64> = (0..1_000).map(f64::from).collect();
    let mut steps = 50;
    for _ in 0..4 {
        let time = |_| {
            let start = Instant::now();
            black_box(xs.iter().map(|x| chain(*x, steps)).sum::<f64>());
            start.elapsed().as_secs_f64() / xs.len() as f64
        };
        let fastest = (0..20).map(time).fold(f64::INFINITY, f64::min);
        steps = (f64::from(steps) * seconds / fastest).round().max(1.0) as u32;
    }
    steps
}
