//! The kernels: their plain formulas, the fast version on one worker, and the fast version on all.
//!
//! ```text
//! cargo bench --bench kernels                      everything
//! cargo bench --bench kernels -- --quick           smaller inputs, a few seconds
//! cargo bench --bench kernels -- --filter clouds   some inputs
//! ```
//!
//! Contenders of an input take turns, in an order shuffled anew in each round, as absolute times mean nothing between runs.
//! Every answer is compared with that of the first contender, bit for bit. Rivals in Python are in `benches/peers`.

#[path = "../common/mod.rs"]
mod common;
mod loops;
mod points;
mod policies;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;

use common::machine;
use common::stats::{Random, median, percentile};

/// Times the kernels: plain, serial, parallel.
#[derive(Parser, Debug)]
struct Options {
    /// Smaller inputs and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Every contender on tiny inputs, to see that the answers are right
    #[arg(long)]
    test: bool,
    /// Only inputs whose name contains this
    #[arg(long, value_name = "SUBSTR")]
    filter: Option<String>,
    /// Seconds per input
    #[arg(long, value_name = "S", default_value_t = 8.0)]
    seconds: f64,
    /// Seconds to spend, in all, on waiting until other programs leave the cores alone
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    patience: f64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// How large inputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Tiny,
    Quick,
    Full,
}

/// An input and those who compete on it, the first of whom is right.
struct Case {
    name: String,
    /// Floating-point operations of the plain formulas, or another measure of the work, and its name.
    work: (f64, &'static str),
    contenders: Vec<Contender>,
}

/// Gives a number that stands for the whole answer.
struct Contender {
    name: &'static str,
    run: Box<dyn Fn() -> u64>,
}

impl Contender {
    fn new(name: &'static str, run: impl Fn() -> u64 + 'static) -> Self {
        let run = Box::new(run);
        Contender { name, run }
    }
}

/// Stands for some numbers, bit by bit and in their order.
fn digest(bits: impl IntoIterator<Item = u64>) -> u64 {
    bits.into_iter().fold(0, |digest, bits| {
        (digest ^ bits)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31)
    })
}

fn main() {
    let mut options = Options::parse();
    // `cargo test --all-targets` builds without optimisation and is no measurement.
    options.test |= cfg!(debug_assertions);
    let size = match (options.test, options.quick) {
        (true, _) => Size::Tiny,
        (_, true) => Size::Quick,
        _ => Size::Full,
    };
    println!("{}\n", machine::describe(size != Size::Full));
    println!(
        "{:<34} {:<16} {:>7} {:>12} {:>12} {:>9} {:>12} {:>7}",
        "input", "contender", "rounds", "median s", "least s", "speed-up", "work / s", "others"
    );
    let seconds = match size {
        Size::Tiny => 0.0,
        Size::Quick => options.seconds / 8.0,
        Size::Full => options.seconds,
    };
    let mut patience = Duration::from_secs_f64(options.patience);
    let mut random = Random::new(5);
    // The inputs of a kernel are a module.
    let cases = points::cases(size).into_iter();
    let cases = cases.chain(loops::cases(size)).chain(policies::cases(size));
    for case in cases {
        let wanted = options.filter.as_deref();
        if wanted.is_none_or(|wanted| case.name.contains(wanted)) {
            measure(&case, seconds, &mut patience, &mut random);
        }
    }
}

fn measure(case: &Case, seconds: f64, patience: &mut Duration, random: &mut Random) {
    let answers: Vec<u64> = case.contenders.iter().map(|who| (who.run)()).collect();
    for (who, answer) in case.contenders.iter().zip(&answers) {
        assert_eq!(*answer, answers[0], "{}: {}", case.name, who.name);
    }
    let (times, others) = machine::in_quiet(patience, || {
        let mut times = vec![Vec::new(); case.contenders.len()];
        let mut order: Vec<usize> = (0..times.len()).collect();
        let began = Instant::now();
        loop {
            random.shuffle(&mut order);
            for &i in &order {
                let began = Instant::now();
                let answer = black_box((case.contenders[i].run)());
                times[i].push(began.elapsed().as_secs_f64());
                assert_eq!(answer, answers[0], "{}", case.contenders[i].name);
            }
            if began.elapsed().as_secs_f64() >= seconds {
                break times;
            }
        }
    });
    let first = median(&times[0]);
    let (work, unit) = case.work;
    for (who, times) in case.contenders.iter().zip(&times) {
        let time = median(times);
        println!(
            "{:<34} {:<16} {:>7} {:>12.6} {:>12.6} {:>9.2} {:>12} {:>7}",
            case.name,
            who.name,
            times.len(),
            time,
            percentile(times, 0.0),
            first / time,
            format!("{:.2} G{unit}", work / time / 1e9),
            machine::mark(others),
        );
    }
}
