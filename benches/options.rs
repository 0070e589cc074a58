//! What the options of the long form cost, and what they bring.
//!
//! ```text
//! cargo bench --bench options
//! ```
//!
//! Progress: a map of many cheap items with a listener and without one. Cost hints: 64 items of which the last one is 50 times as long as the
//! others, in order and the longest first. Contenders are interleaved, in an order shuffled anew in each round; medians are compared.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use rayon::prelude::*;
use scipar::{Chunking, Parallel, par_map_chunked};

use common::machine;
use common::stats::{Random, median, percentile};
use common::work::chain;

/// What the options of the long form cost, and what they bring.
#[derive(Parser, Debug)]
struct Options {
    /// One round on small inputs
    #[arg(long)]
    test: bool,
    /// Rounds
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

type Contender<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// Times of each contender, in ns; the answers are compared.
fn race(rounds: usize, random: &mut Random, contenders: &mut [Contender<'_>]) -> Vec<Vec<f64>> {
    let expected = contenders[0].1();
    let mut times = vec![Vec::new(); contenders.len()];
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for round in 0..=rounds {
        random.shuffle(&mut order);
        for &who in &order {
            let began = Instant::now();
            let answer = contenders[who].1();
            let took = began.elapsed().as_nanos() as f64;
            assert_eq!(answer, expected, "{}", contenders[who].0);
            if round > 0 {
                times[who].push(took); // the first round warms up
            }
        }
    }
    times
}

fn table(contenders: &[Contender<'_>], times: &[Vec<f64>]) {
    println!(
        "{:<40} {:>12} {:>12} {:>9}",
        "contender", "median ms", "quartile ms", "/ first"
    );
    let first = median(&times[0]);
    for ((name, _), times) in contenders.iter().zip(times) {
        println!(
            "{name:<40} {:>12.4} {:>12.4} {:>9.4}",
            median(times) / 1e6,
            percentile(times, 0.25) / 1e6,
            median(times) / first
        );
    }
    println!();
}

fn main() {
    let mut options = Options::parse();
    options.test |= cfg!(debug_assertions);
    let rounds = if options.test { 1 } else { options.rounds };
    let mut random = Random::new(5);
    println!("{}\n", machine::describe(options.test));

    for (items, steps) in [(1_000_000, 3), (100_000, 60), (1_000, 6_000)] {
        let items = if options.test { items / 1_000 } else { items };
        println!("== progress: {items} items of {steps} steps\n");
        let xs: Vec<f64> = (0..items).map(f64::from).collect();
        let f = move |x: &f64| chain(*x, steps);
        let told = AtomicUsize::new(0);
        let sum = |ys: Vec<f64>| ys[ys.len() / 2] + ys[ys.len() - 1];
        let mut contenders: Vec<Contender<'_>> = vec![
            (
                "the long form",
                Box::new(|| sum(Parallel::over(&xs).map(f).expect("no panic"))),
            ),
            (
                "the same, with a listener",
                Box::new(|| {
                    let run = Parallel::over(&xs).progress(|p| {
                        told.store(p.finished, Ordering::Relaxed);
                    });
                    let ys = run.map(f).expect("no panic");
                    assert_eq!(told.load(Ordering::Relaxed), xs.len());
                    sum(ys)
                }),
            ),
            (
                "the short form",
                Box::new(|| sum(par_map_chunked(&xs, Chunking::auto(), f))),
            ),
        ];
        let times = race(rounds, &mut random, &mut contenders);
        table(&contenders, &times);
    }

    let unit = if options.test { 100 } else { 30_000 };
    println!("== cost hints: 64 items, the last one 50 times as long as the others\n");
    let costs: Vec<u32> = (0..64).map(|i| if i == 63 { 50 } else { 1 }).collect();
    let f = |cost: &u32| chain(f64::from(*cost), cost * unit);
    let sum = |ys: Vec<f64>| ys.iter().sum::<f64>();
    let mut contenders: Vec<Contender<'_>> = vec![
        (
            "serial",
            Box::new(|| sum(black_box(&costs).iter().map(f).collect())),
        ),
        (
            "in order",
            Box::new(|| sum(par_map_chunked(&costs, Chunking::auto(), f))),
        ),
        (
            "longest first",
            Box::new(|| {
                let run = Parallel::over(&costs).cost_hint(|cost| f64::from(*cost));
                sum(run.map(f).expect("no panic"))
            }),
        ),
        (
            "rayon, par_iter",
            Box::new(|| sum(costs.par_iter().map(f).collect())),
        ),
        (
            "rayon, with_max_len(1)",
            Box::new(|| sum(costs.par_iter().with_max_len(1).map(f).collect())),
        ),
    ];
    let times = race(rounds, &mut random, &mut contenders);
    table(&contenders, &times);
    let total: u32 = costs.iter().sum();
    let workers = machine::workers() as u32;
    println!(
        "the least possible with {workers} workers: {:.4} of serial",
        f64::from((total.div_ceil(workers)).max(50)) / f64::from(total)
    );
}
