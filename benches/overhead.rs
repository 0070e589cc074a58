//! What a call costs where there is next to nothing to do: 1, 16 and 100 items of about 1 ns.
//!
//! ```text
//! cargo bench --bench overhead
//! ```
//!
//! Blocks of many calls, one contender after the other in an order shuffled anew in each round; the median over the rounds of the time per
//! call. A call includes making and dropping its result vector, for all alike. Answers are compared with the serial ones.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use rayon::prelude::*;
use scipar::{Chunking, par_map_chunked};

use common::machine;
use common::stats::{Random, median};
use common::work::{Light, Work, numbers};

/// The cost of a call with tiny inputs: serial, this crate's auto and serial schedules, rayon.
#[derive(Parser, Debug)]
struct Options {
    /// Each contender a few times, to see that the answers are right
    #[arg(long)]
    test: bool,
    /// Rounds: blocks of each contender
    #[arg(long, default_value_t = 401)]
    rounds: usize,
    /// Seconds to spend, in all, on waiting until other programs leave the cores alone
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    patience: f64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    /// `iter().map(f).collect::<Vec<_>>()`
    Iterator,
    Auto,
    Serial,
    Rayon,
}

impl Contender {
    const ALL: [Contender; 4] = [
        Contender::Iterator,
        Contender::Auto,
        Contender::Serial,
        Contender::Rayon,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::Iterator => "iterator, collect",
            Contender::Auto => "scipar, auto",
            Contender::Serial => "scipar, serial",
            Contender::Rayon => "rayon, par_iter",
        }
    }

    /// Nanoseconds per call over a block.
    fn block(self, items: &[f64], lasting: Duration) -> f64 {
        match self {
            Contender::Iterator => time(lasting, || {
                black_box(items).iter().map(Light::compute).collect()
            }),
            Contender::Auto => time(lasting, || {
                par_map_chunked(black_box(items), Chunking::auto(), Light::compute)
            }),
            Contender::Serial => time(lasting, || {
                par_map_chunked(black_box(items), Chunking::serial(), Light::compute)
            }),
            Contender::Rayon => time(lasting, || {
                black_box(items).par_iter().map(Light::compute).collect()
            }),
        }
    }

    fn answer(self, items: &[f64]) -> Vec<f64> {
        match self {
            Contender::Iterator => items.iter().map(Light::compute).collect(),
            Contender::Auto => par_map_chunked(items, Chunking::auto(), Light::compute),
            Contender::Serial => par_map_chunked(items, Chunking::serial(), Light::compute),
            Contender::Rayon => items.par_iter().map(Light::compute).collect(),
        }
    }
}

/// Calls in runs of 50 between two looks at the clock, until the time is over.
fn time(lasting: Duration, call: impl Fn() -> Vec<f64>) -> f64 {
    const RUN: u32 = 50;
    let mut calls = 0;
    let began = Instant::now();
    loop {
        for _ in 0..RUN {
            drop(black_box(call()));
        }
        calls += RUN;
        let took = began.elapsed();
        if took >= lasting {
            return took.as_nanos() as f64 / f64::from(calls);
        }
    }
}

/// The median time per call of each contender.
fn measure(items: &[f64], options: &Options, random: &mut Random) -> [f64; 4] {
    let lasting = lasting(options);
    let mut samples = Contender::ALL.map(|who| (who, Vec::new()));
    for (who, _) in &samples {
        who.block(items, 10 * lasting);
    }
    for _ in 0..options.rounds {
        random.shuffle(&mut samples);
        for (who, times) in &mut samples {
            times.push(who.block(items, lasting));
        }
    }
    samples.sort_by_key(|(who, _)| *who as usize);
    samples.map(|(_, times)| median(&times))
}

/// How long a block lasts at least.
fn lasting(options: &Options) -> Duration {
    Duration::from_micros(if options.test { 10 } else { 200 })
}

fn main() {
    let mut options = Options::parse();
    // `cargo test --all-targets` builds without optimisation and is no measurement.
    options.test |= cfg!(debug_assertions);
    if options.test {
        options.rounds = 3;
    }
    let lasting = lasting(&options);
    println!("{}", machine::describe(options.test));
    println!(
        "\nNanoseconds per call (median of {} blocks of {lasting:?} and more); `+`: more than the iterator. Items take about 1 ns each.\n",
        options.rounds
    );
    print!("{:<20}", "");
    for len in [1, 16, 100] {
        print!(" {:>10} {:>9}", format!("{len} items"), "+");
    }
    println!();

    let mut random = Random::new(7);
    let mut patience = Duration::from_secs_f64(options.patience);
    let columns = [1, 16, 100].map(|len| {
        let items = numbers(len);
        let expected = Contender::Iterator.answer(&items);
        let (medians, others) =
            machine::in_quiet(&mut patience, || measure(&items, &options, &mut random));
        for (who, answer) in Contender::ALL.map(|who| (who, who.answer(&items))) {
            assert_eq!(answer, expected, "{}", who.name());
        }
        (medians, others)
    });
    for (row, who) in Contender::ALL.into_iter().enumerate() {
        print!("{:<20}", who.name());
        for column in &columns {
            let (time, serial) = (column.0[row], column.0[0]);
            print!(" {time:>10.1} {:>+9.1}", time - serial);
        }
        println!();
    }
    print!("{:<20}", "other programs used");
    for (_, others) in &columns {
        let share = others.map_or("?".to_owned(), |share| format!("{:.0} %", 100.0 * share));
        print!(" {share:>10} {:>9}", "");
    }
    println!("\n\nPromise: auto costs at most 200 ns, or 5 %, more than the loop.");
}
