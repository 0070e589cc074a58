//! Tasks and streams: what `spawn` plus `join` costs beside rayon's `spawn` and a channel, and what an item of a stream costs.
//!
//! ```text
//! cargo bench --bench tasks
//! ```
//!
//! Contenders run by turns, in an order shuffled anew in each round; medians are compared.

mod common;

use std::hint::black_box;
use std::sync::mpsc;
use std::time::Instant;

use clap::Parser;
use scipar::Pool;

use common::machine;
use common::stats::{Random, median};
use common::work::chain;

/// What tasks and items of streams cost.
#[derive(Parser, Debug)]
struct Options {
    /// One round of few tasks
    #[arg(long)]
    test: bool,
    /// Rounds
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

type Contender<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// Prints nanoseconds per `per` of each contender, and its ratio to the first.
fn race(
    title: &str,
    per: f64,
    rounds: usize,
    random: &mut Random,
    contenders: &mut [Contender<'_>],
) {
    println!("== {title}\n");
    let expected = contenders[0].1();
    let mut times = vec![Vec::new(); contenders.len()];
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &who in &order {
            let began = Instant::now();
            let answer = contenders[who].1();
            times[who].push(began.elapsed().as_nanos() as f64 / per);
            assert_eq!(answer, expected, "{}", contenders[who].0);
        }
    }
    let first = median(&times[0]);
    for ((name, _), times) in contenders.iter().zip(&times) {
        println!(
            "{name:<44} {:>12.1} ns {:>9.3}",
            median(times),
            median(times) / first
        );
    }
    println!();
}

fn main() {
    let mut options = Options::parse();
    options.test |= cfg!(debug_assertions);
    let rounds = if options.test { 1 } else { options.rounds };
    let mut random = Random::new(7);
    println!("{}\n", machine::describe(options.test));
    println!(
        "Medians of the time per task or item; the last column is the ratio to the first line.\n"
    );
    let workers = machine::workers();
    let pool = Pool::builder().workers(workers).build().expect("threads");
    let rayon = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()
        .expect("threads");

    for steps in [1, 3_000] {
        let work = move |i: usize| chain(black_box(i as f64), steps);
        let tasks = if options.test { 20 } else { 2_000 };
        let one_by_one = |run: &dyn Fn(usize) -> f64| (0..tasks / 10).map(run).sum::<f64>();
        race(
            &format!("one task of {steps} steps at a time: spawn, join"),
            (tasks / 10) as f64,
            rounds,
            &mut random,
            &mut [
                (
                    "rayon spawn, std sync_channel(1)",
                    Box::new(|| {
                        one_by_one(&|i| {
                            let (send, result) = mpsc::sync_channel(1);
                            rayon.spawn(move || send.send(work(i)).expect("awaited"));
                            result.recv().expect("sent")
                        })
                    }),
                ),
                (
                    "rayon spawn, crossbeam bounded(1)",
                    Box::new(|| {
                        one_by_one(&|i| {
                            let (send, result) = crossbeam_channel::bounded(1);
                            rayon.spawn(move || send.send(work(i)).expect("awaited"));
                            result.recv().expect("sent")
                        })
                    }),
                ),
                (
                    "scipar spawn, join",
                    Box::new(|| {
                        one_by_one(&|i| pool.spawn(move || work(i)).join().expect("no panic"))
                    }),
                ),
            ],
        );
        race(
            &format!("{tasks} tasks of {steps} steps at once: spawn all, join all"),
            tasks as f64,
            rounds,
            &mut random,
            &mut [
                (
                    "rayon spawn, std sync_channel(1)",
                    Box::new(|| {
                        let results: Vec<_> = (0..tasks)
                            .map(|i| {
                                let (send, result) = mpsc::sync_channel(1);
                                rayon.spawn(move || send.send(work(i)).expect("awaited"));
                                result
                            })
                            .collect();
                        results.into_iter().map(|r| r.recv().expect("sent")).sum()
                    }),
                ),
                (
                    "rayon spawn, crossbeam bounded(1)",
                    Box::new(|| {
                        let results: Vec<_> = (0..tasks)
                            .map(|i| {
                                let (send, result) = crossbeam_channel::bounded(1);
                                rayon.spawn(move || send.send(work(i)).expect("awaited"));
                                result
                            })
                            .collect();
                        results.into_iter().map(|r| r.recv().expect("sent")).sum()
                    }),
                ),
                (
                    "scipar spawn, join",
                    Box::new(|| {
                        let handles: Vec<_> =
                            (0..tasks).map(|i| pool.spawn(move || work(i))).collect();
                        handles
                            .into_iter()
                            .map(|h| h.join().expect("no panic"))
                            .sum()
                    }),
                ),
            ],
        );
    }

    let items = if options.test { 1_000 } else { 200_000_usize };
    for steps in [1, 100, 3_000] {
        let items = items / (steps as usize / 100 + 1);
        let work = move |i: usize| chain(black_box(i as f64), steps);
        race(
            &format!("a stream of {items} items of {steps} steps"),
            items as f64,
            rounds.div_ceil(4),
            &mut random,
            &mut [
                ("a serial iterator", Box::new(|| (0..items).map(work).sum())),
                (
                    "scipar stream",
                    Box::new(|| pool.stream(0..items, work).sum()),
                ),
                (
                    "scipar stream, window of 10,000",
                    Box::new(|| pool.stream(0..items, work).window(10_000).sum()),
                ),
            ],
        );
    }
}
