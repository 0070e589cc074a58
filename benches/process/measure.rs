//! The measurements.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use clap::Parser;
use scipar::Chunking;
use scipar::process::{Process, ProcessPool, Shared, task};

use super::common::machine;
use super::common::stats::{Random, median, percentile};
use super::raw::Raw;

task! {
    fn inc(x: u64) -> u64 { x + 1 }
    fn take(array: Vec<f64>) -> f64 { ends(&array) }
    fn give(len: usize) -> Vec<f64> { made(len) }
    fn first(array: Shared<f64>) -> f64 { array[0] }
    fn peak() -> u64 { peak_here() }
}

/// Something that is right only if an array has arrived.
pub(crate) fn ends(array: &[f64]) -> f64 {
    array[0] + array[array.len() - 1] + array.len() as f64
}

pub(crate) fn made(len: usize) -> Vec<f64> {
    let mut array = vec![1.5; len];
    array[0] = 0.25;
    array
}

/// What worker processes cost.
#[derive(Parser, Debug)]
struct Options {
    /// One round of little work
    #[arg(long)]
    test: bool,
    /// Rounds
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// Only these: start, trip, map, arrays, shared, memory
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only contenders with this in their names, to profile them
    #[arg(long, default_value = "")]
    contender: String,
    /// Without Python
    #[arg(long)]
    no_python: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    options: Options,
    rounds: usize,
    random: Random,
    python: bool,
}

type Contender<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// What a table says of each contender.
#[derive(Clone, Copy)]
enum Unit {
    /// Microseconds for each of so many.
    Each(usize),
    /// Gigabytes a second, of so many bytes.
    Bandwidth(usize),
}

impl Unit {
    fn show(self, seconds: f64) -> String {
        match self {
            Unit::Each(count) => format!("{:>12.3} us", seconds * 1e6 / count as f64),
            Unit::Bandwidth(bytes) => format!("{:>10.3} GB/s", bytes as f64 / seconds / 1e9),
        }
    }
}

impl Bench {
    /// Prints the lower quartile and the median of each contender, and the ratio of its quartile to that of the first.
    fn race(
        &mut self,
        title: &str,
        unit: Unit,
        rounds: usize,
        contenders: &mut [Contender<'_>],
        python: &[(&str, Option<f64>)],
    ) {
        println!("\n== {title}\n");
        let wanted = |name: &str| name.contains(&self.options.contender);
        let mut contenders: Vec<_> = contenders
            .iter_mut()
            .filter(|(name, _)| wanted(name))
            .collect();
        let Some((_, answer)) = contenders.first_mut() else {
            return;
        };
        let expected = answer();
        let mut times = vec![Vec::new(); contenders.len()];
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        // The first round warms up.
        for round in 0..=rounds {
            self.random.shuffle(&mut order);
            for &who in &order {
                let began = Instant::now();
                let answer = contenders[who].1();
                let took = began.elapsed().as_secs_f64();
                assert_eq!(answer, expected, "{}", contenders[who].0);
                if round > 0 || self.options.test {
                    times[who].push(took);
                }
            }
        }
        let base = percentile(&times[0], 0.25);
        println!(
            "{:<46} {:>15} {:>15} {:>8} {:>8}",
            "", "lower quartile", "median", "ratio", "paired"
        );
        let ratio = |time: f64| match unit {
            Unit::Each(_) => time / base,
            Unit::Bandwidth(_) => base / time,
        };
        for ((name, _), own) in contenders.iter().zip(&times) {
            let quartile = percentile(own, 0.25);
            // Within a round whatever disturbs, disturbs all.
            let pairs: Vec<f64> = own.iter().zip(&times[0]).map(|(a, b)| a / b).collect();
            let paired = match unit {
                Unit::Each(_) => median(&pairs),
                Unit::Bandwidth(_) => 1.0 / median(&pairs),
            };
            println!(
                "{name:<46} {} {} {:>8.3} {paired:>8.3}",
                unit.show(quartile),
                unit.show(median(own)),
                ratio(quartile),
            );
        }
        for (name, micros) in python {
            let Some(micros) = micros else { continue };
            let seconds = match unit {
                Unit::Each(count) => micros * count as f64 / 1e6,
                Unit::Bandwidth(_) => micros / 1e6,
            };
            println!(
                "{name:<46} {:>15} {} {:>8.3}",
                "",
                unit.show(seconds),
                ratio(seconds)
            );
        }
    }

    /// What the script says of `what`, by name.
    fn python(&self, what: &str) -> HashMap<String, f64> {
        if !self.python {
            return HashMap::new();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/process_peer.py");
        let size = if self.options.test { "quick" } else { "whole" };
        let output = Command::new("python3").args([script, what, size]).output();
        let output = output.expect("python3 was there");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    fn wants(&self, what: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|only| only == what)
    }

    fn start(&mut self) {
        let python = self.python("start");
        let rounds = self.rounds;
        self.race(
            "start a worker, one call, end",
            Unit::Each(1),
            rounds,
            &mut [
                ("a socket by hand", Box::new(|| Raw::start().next(1) as f64)),
                (
                    "scipar Process: spawn, join",
                    Box::new(|| {
                        let process = Process::spawn(inc, 1).expect("a process");
                        process.join().expect("a result") as f64
                    }),
                ),
                (
                    "scipar ProcessPool of 1",
                    Box::new(|| {
                        let pool = ProcessPool::new(1).expect("a worker");
                        pool.call(inc, &1).expect("a result") as f64
                    }),
                ),
                (
                    "procspawn: spawn, join",
                    Box::new(|| {
                        let process = procspawn::spawn(1_u64, |x| x + 1);
                        process.join().expect("a result") as f64
                    }),
                ),
            ],
            &[
                (
                    "Python Process: start, join",
                    python.get("process").copied(),
                ),
                ("Python Pool(1)", python.get("pool").copied()),
            ],
        );
    }

    /// A small call and its answer; everything that takes part is started here, and so is where this thread is.
    fn trip(&mut self, title: &str) {
        let python = self.python("trip");
        // Few at a time: most rounds then fit between two interruptions by other programs.
        let calls = 20_u64;
        let mut raw = Raw::start();
        let pool = ProcessPool::new(1).expect("a worker");
        let other = procspawn::Pool::new(1).expect("a worker");
        let rounds = if self.options.test {
            1
        } else {
            20 * self.rounds
        };
        self.race(
            &format!("round trip of a small call, {title}"),
            Unit::Each(calls as usize),
            rounds,
            &mut [
                (
                    "a socket by hand",
                    Box::new(|| (0..calls).map(|i| raw.next(i)).sum::<u64>() as f64),
                ),
                (
                    "scipar ProcessPool::call",
                    Box::new(|| {
                        let call = |i| pool.call(inc, &i).expect("a result");
                        (0..calls).map(call).sum::<u64>() as f64
                    }),
                ),
                (
                    "procspawn Pool::spawn, join",
                    Box::new(|| {
                        let call = |i| other.spawn(i, |x: u64| x + 1).join().expect("a result");
                        (0..calls).map(call).sum::<u64>() as f64
                    }),
                ),
            ],
            &[("Python Pool.apply", python.get("apply").copied())],
        );
        other.shutdown();
    }

    fn map(&mut self) {
        let python = self.python("map");
        for workers in [1, 2] {
            let mut raws: Vec<Raw> = (0..workers).map(|_| Raw::start()).collect();
            let pool = ProcessPool::new(workers).expect("workers");
            let other = procspawn::Pool::new(workers).expect("workers");
            for (chunk, items) in [(Some(1), 2_000), (Some(100), 20_000), (None, 200_000)] {
                let items = if self.options.test { items / 20 } else { items };
                let xs: Vec<u64> = (0..items).collect();
                let chunking = chunk.map_or(Chunking::auto(), Chunking::size);
                let by_hand = chunk.unwrap_or(10_000);
                let title = match chunk {
                    Some(chunk) => format!("chunks of {chunk}"),
                    None => "chunks by measurement (by hand: of 10,000)".to_owned(),
                };
                let mut contenders: Vec<Contender<'_>> = vec![
                    (
                        "a socket by hand, one message at a time",
                        Box::new(|| {
                            let half = xs.len().div_ceil(workers);
                            std::thread::scope(|scope| {
                                let drivers: Vec<_> = raws
                                    .iter_mut()
                                    .zip(xs.chunks(half))
                                    .map(|(raw, some)| {
                                        scope.spawn(move || raw.next_of_all(some, by_hand))
                                    })
                                    .collect();
                                let sum = drivers.into_iter().map(|one| one.join().expect("a sum"));
                                sum.sum::<u64>() as f64
                            })
                        }),
                    ),
                    (
                        "scipar par_map_chunked",
                        Box::new(|| {
                            let y = pool.par_map_chunked(&xs, chunking, inc);
                            y.expect("results").iter().sum::<u64>() as f64
                        }),
                    ),
                ];
                if chunk == Some(1) {
                    contenders.push((
                        "procspawn Pool::spawn for each, join",
                        Box::new(|| {
                            let spawn = |&x: &u64| other.spawn(x, |x: u64| x + 1);
                            let handles: Vec<_> = xs.iter().map(spawn).collect();
                            let results = handles.into_iter().map(|one| one.join());
                            results.map(|y| y.expect("a result")).sum::<u64>() as f64
                        }),
                    ));
                }
                let name = format!(
                    "map{}x{workers}",
                    chunk.map_or("auto".to_owned(), |chunk| chunk.to_string())
                );
                let python = python.get(&name).copied();
                let rounds = self.rounds;
                self.race(
                    &format!("map of {items} cheap items, {workers} workers, {title}"),
                    Unit::Each(xs.len()),
                    rounds,
                    &mut contenders,
                    &[("Python Pool.map", python)],
                );
            }
            other.shutdown();
        }
    }

    fn arrays(&mut self) {
        let python = self.python("array");
        let pool = ProcessPool::new(1).expect("a worker");
        for megabytes in [1, 64] {
            let len = (megabytes << 20) / size_of::<f64>();
            let array = made(len);
            let rounds = if megabytes > 1 {
                self.rounds.div_ceil(3)
            } else {
                4 * self.rounds
            };
            // Each side has one worker, used by several lines.
            let raw = std::cell::RefCell::new(Raw::start());
            self.race(
                &format!("{megabytes} MiB of Vec<f64> to a worker"),
                Unit::Bandwidth(megabytes << 20),
                rounds,
                &mut [
                    (
                        "a socket by hand, postcard as a whole",
                        Box::new(|| raw.borrow_mut().take(&array)),
                    ),
                    (
                        "a socket by hand, memory as it is",
                        Box::new(|| raw.borrow_mut().take_bytes(&array)),
                    ),
                    (
                        "scipar ProcessPool::call",
                        Box::new(|| pool.call(take, &array).expect("a result")),
                    ),
                ],
                &[(
                    "Python Pool.apply, array.array",
                    python.get(&format!("take{megabytes}")).copied(),
                )],
            );
            self.race(
                &format!("{megabytes} MiB of Vec<f64> from a worker"),
                Unit::Bandwidth(megabytes << 20),
                rounds,
                &mut [
                    (
                        "a socket by hand, postcard as a whole",
                        Box::new(|| ends(&raw.borrow_mut().give(len))),
                    ),
                    (
                        "a socket by hand, memory as it is",
                        Box::new(|| ends(&raw.borrow_mut().give_bytes(len))),
                    ),
                    (
                        "scipar ProcessPool::call",
                        Box::new(|| ends(&pool.call(give, &len).expect("a result"))),
                    ),
                ],
                &[(
                    "Python Pool.apply, array.array",
                    python.get(&format!("give{megabytes}")).copied(),
                )],
            );
        }
    }

    fn shared(&mut self) {
        let calls = 20;
        let pool = ProcessPool::new(1).expect("a worker");
        let large = if self.options.test { 64 } else { 512 };
        let [small, large] = [64, large].map(|megabytes: usize| {
            let len = (megabytes << 20) / size_of::<f64>();
            Shared::build(len, |items| items.fill(1.0)).expect("memory")
        });
        let of = |array: &Shared<f64>| {
            let call = |_| pool.call(first, array).expect("a result");
            (0..calls).map(call).sum::<f64>()
        };
        let rounds = self.rounds;
        self.race(
            "a call with a Shared<f64>, of which the worker reads one element",
            Unit::Each(calls),
            rounds,
            &mut [
                (
                    "a call with a number",
                    Box::new(|| {
                        let call = |_| pool.call(inc, &0).expect("a result");
                        (0..calls).map(call).sum::<u64>() as f64
                    }),
                ),
                ("64 MiB", Box::new(|| of(&small))),
                ("512 MiB", Box::new(|| of(&large))),
            ],
            &[],
        );
    }

    /// How much each process had at its worst, beyond what it had before; in arrays.
    fn memory(&mut self) {
        println!("\n== peak memory of a call with 64 MiB, in arrays of 64 MiB\n");
        let len = (64 << 20) / size_of::<f64>();
        let array = made(len);
        let copies = |kilobytes: u64| kilobytes as f64 / 1024.0 / 64.0;
        let line = |title: &str, here: f64, there: f64| {
            println!("{title:<46} here {here:>6.2}, in the worker {there:>6.2}");
        };
        for sending in [true, false] {
            let pool = ProcessPool::new(1).expect("a worker");
            let worker = || pool.call(peak, &()).expect("a result");
            let before = worker();
            let here = forget_peak();
            if sending {
                assert_eq!(pool.call(take, &array).expect("a result"), ends(&array));
            } else {
                let answer = pool.call(give, &len).expect("a result");
                assert_eq!(ends(&answer), ends(&array));
            }
            let here = here.map_or(f64::NAN, |before| {
                copies(peak_here().saturating_sub(before))
            });
            let there = copies(worker().saturating_sub(before));
            if sending {
                line("argument (here with the caller's own)", here + 1.0, there);
            } else {
                line("result", here, there);
            }
        }
    }
}

fn status(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The largest resident size of this process so far, in kB; zero where the system does not say.
fn peak_here() -> u64 {
    status("VmHWM:").unwrap_or(0)
}

/// Has the system forget the largest resident size; gives that of now.
fn forget_peak() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    status("VmRSS:")
}

/// Keeps this thread, and whatever it starts meanwhile, on one core. `false` where that cannot be.
#[cfg(target_os = "linux")]
fn on_one_core(work: impl FnOnce()) -> bool {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(usual) = sched_getaffinity(None) else {
        return false;
    };
    let mut one = CpuSet::new();
    let core = (0..CpuSet::MAX_CPU).find(|&core| usual.is_set(core));
    one.set(core.unwrap_or(0));
    if sched_setaffinity(None, &one).is_err() {
        return false;
    }
    work();
    sched_setaffinity(None, &usual).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn on_one_core(_: impl FnOnce()) -> bool {
    false
}

pub(crate) fn run() {
    let mut options = Options::parse();
    options.test |= cfg!(debug_assertions);
    let python = !options.no_python
        && Command::new("python3")
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success());
    println!("{}", machine::describe(options.test));
    if !python {
        println!("without Python: there is no python3, or it is not wanted");
    }
    let mut bench = Bench {
        rounds: if options.test { 1 } else { options.rounds },
        random: Random::new(7),
        python,
        options,
    };
    if bench.wants("start") {
        bench.start();
    }
    if bench.wants("trip") {
        bench.trip("on any core");
        if !on_one_core(|| bench.trip("all on one core")) {
            println!("\nprocesses cannot be kept on one core here");
        }
    }
    if bench.wants("map") {
        bench.map();
    }
    if bench.wants("arrays") {
        bench.arrays();
    }
    if bench.wants("shared") {
        bench.shared();
    }
    if bench.wants("memory") {
        bench.memory();
    }
}
