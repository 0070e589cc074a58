//! Queues and pipes against crossbeam-channel, which they are built on, the standard library's channels and flume.
//!
//! ```text
//! cargo bench --bench channels
//! ```
//!
//! A round moves some thousands of numbers from producers to consumers, each on a thread of its own, which meet at a barrier first; every
//! number has to arrive. Contenders run by turns, in an order shuffled anew in each round; medians of the time per message are compared.
//! "In workers" is the same queue on threads whose waits a stop can interrupt, as a `Worker`'s are.
//!
//! The last table is about one thread alone: 100 messages are in the queue, and are received one by one or together.

mod common;

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use scipar::{Queue, Sender, Worker};

use common::machine;
use common::stats::{Random, geometric_mean, median};

/// Queues against the channels of other crates.
#[derive(Parser, Debug)]
struct Options {
    /// One round of few messages
    #[arg(long)]
    test: bool,
    /// Rounds per cell
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// Only cells whose name contains this, as in "spsc" or "bounded 1000"
    #[arg(long, value_name = "SUBSTR")]
    filter: Option<String>,
    /// Seconds to spend, in all, on waiting until other programs leave the cores alone
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    patience: f64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One end of a channel each, for every producer and consumer.
type Ends<S, R> = (Vec<S>, Vec<R>);

/// What kind of thread an end is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Thread,
    Worker,
}

impl On {
    fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self {
            On::Thread => f(),
            On::Worker => {
                let (tell, told) = mpsc::channel();
                let _worker = Worker::spawn(move |stop| {
                    let _ = tell.send(stop.clone());
                    stop.wait();
                });
                let stop = told.recv().expect("it tells");
                stop.interruptible(f)
            }
        }
    }
}

/// Moves numbers; gives nanoseconds per message.
fn transfer<S: Send, R: Send>(
    (senders, receivers): Ends<S, R>,
    messages: usize,
    on: On,
    send: impl Fn(&S, usize) + Sync,
    recv: impl Fn(&R) -> usize + Sync,
) -> f64 {
    let start = Barrier::new(senders.len() + receivers.len());
    let (each, taken) = (messages / senders.len(), messages / receivers.len());
    let (start, send, recv) = (&start, &send, &recv);
    let (times, sum) = std::thread::scope(|scope| {
        let producers: Vec<_> = senders
            .into_iter()
            .map(|sender| {
                let produce = move || {
                    start.wait();
                    let began = Instant::now();
                    for i in 0..each {
                        send(&sender, i);
                    }
                    began
                };
                scope.spawn(move || on.run(produce))
            })
            .collect();
        let consumers: Vec<_> = receivers
            .into_iter()
            .map(|receiver| {
                let consume = move || {
                    start.wait();
                    let sum: usize = (0..taken).map(|_| recv(&receiver)).sum();
                    (Instant::now(), sum)
                };
                scope.spawn(move || on.run(consume))
            })
            .collect();
        let began = producers
            .into_iter()
            .map(|p| p.join().expect("no panic"))
            .min();
        let ends: Vec<_> = consumers
            .into_iter()
            .map(|c| c.join().expect("no panic"))
            .collect();
        let ended = ends.iter().map(|(at, _)| *at).max();
        let time = ended.zip(began).map_or(Duration::ZERO, |(e, b)| e - b);
        (time, ends.iter().map(|(_, sum)| sum).sum::<usize>())
    });
    let threads = messages / each;
    assert_eq!(sum, threads * (each * (each - 1) / 2), "messages were lost");
    times.as_nanos() as f64 / messages as f64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Ours,
    InWorkers,
    Crossbeam,
    Std,
    Flume,
}

impl Contender {
    const ALL: [Contender; 5] = [
        Contender::Ours,
        Contender::InWorkers,
        Contender::Crossbeam,
        Contender::Std,
        Contender::Flume,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::Ours => "scipar",
            Contender::InWorkers => "in workers",
            Contender::Crossbeam => "crossbeam",
            Contender::Std => "std mpsc",
            Contender::Flume => "flume",
        }
    }

    /// Nanoseconds per message; `None` where the contender has no such channel.
    fn run(self, cell: &Cell, messages: usize) -> Option<f64> {
        fn clones<T: Clone>(of: &T, count: usize) -> Vec<T> {
            vec![of.clone(); count]
        }
        let &Cell {
            producers,
            consumers,
            capacity,
        } = cell;
        Some(match self {
            Contender::Ours | Contender::InWorkers => {
                let queue = capacity.map_or_else(Queue::unbounded, Queue::bounded);
                let (s, r) = queue.into_ends();
                let ends = (clones(&s, producers), clones(&r, consumers));
                let on = match self {
                    Contender::InWorkers => On::Worker,
                    _ => On::Thread,
                };
                let send = |s: &Sender<usize>, i| s.send(i).expect("alive");
                transfer(ends, messages, on, send, |r| r.recv().expect("alive"))
            }
            Contender::Crossbeam => {
                let (s, r) =
                    capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
                let ends = (clones(&s, producers), clones(&r, consumers));
                let send = |s: &crossbeam_channel::Sender<usize>, i| s.send(i).expect("alive");
                transfer(ends, messages, On::Thread, send, |r| {
                    r.recv().expect("alive")
                })
            }
            Contender::Std if consumers > 1 => return None,
            Contender::Std => match capacity {
                Some(capacity) => {
                    let (s, r) = mpsc::sync_channel(capacity);
                    let send = |s: &mpsc::SyncSender<usize>, i| s.send(i).expect("alive");
                    let ends = (clones(&s, producers), vec![r]);
                    transfer(ends, messages, On::Thread, send, |r| {
                        r.recv().expect("alive")
                    })
                }
                None => {
                    let (s, r) = mpsc::channel();
                    let send = |s: &mpsc::Sender<usize>, i| s.send(i).expect("alive");
                    let ends = (clones(&s, producers), vec![r]);
                    transfer(ends, messages, On::Thread, send, |r| {
                        r.recv().expect("alive")
                    })
                }
            },
            Contender::Flume => {
                let (s, r) = capacity.map_or_else(flume::unbounded, flume::bounded);
                let ends = (clones(&s, producers), clones(&r, consumers));
                let send = |s: &flume::Sender<usize>, i| s.send(i).expect("alive");
                transfer(ends, messages, On::Thread, send, |r| {
                    r.recv().expect("alive")
                })
            }
        })
    }
}

struct Cell {
    producers: usize,
    consumers: usize,
    capacity: Option<usize>,
}

impl Cell {
    fn name(&self) -> String {
        let shape = match (self.producers, self.consumers) {
            (1, 1) => "spsc",
            (_, 1) => "mpsc",
            _ => "mpmc",
        };
        match self.capacity {
            Some(capacity) => format!("{shape} bounded {capacity}"),
            None => format!("{shape} unbounded"),
        }
    }
}

fn transfers(options: &Options, random: &mut Random, patience: &mut Duration) {
    print!("{:<20}", "ns per message");
    for who in Contender::ALL {
        print!(" {:>10}", who.name());
    }
    println!(" {:>12} {:>8} {:>7}", "/ crossbeam", "/ best", "others");
    let mut ratios = Vec::new();
    for (producers, consumers) in [(1, 1), (4, 1), (4, 4)] {
        for capacity in [Some(0), Some(1), Some(1_000), None] {
            let cell = Cell {
                producers,
                consumers,
                capacity,
            };
            if options
                .filter
                .as_ref()
                .is_some_and(|f| !cell.name().contains(f.as_str()))
            {
                continue;
            }
            let messages = match capacity {
                _ if options.test => 400,
                Some(0 | 1) => 8_000,
                _ => 200_000,
            };
            let rounds = if options.test { 1 } else { options.rounds };
            let (times, others) = machine::in_quiet(patience, || {
                let mut times = vec![Vec::new(); Contender::ALL.len()];
                let mut order: Vec<usize> = (0..Contender::ALL.len()).collect();
                for _ in 0..rounds {
                    random.shuffle(&mut order);
                    for &who in &order {
                        times[who].extend(Contender::ALL[who].run(&cell, messages));
                    }
                }
                times
            });
            let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
            print!("{:<20}", cell.name());
            for time in &medians {
                match time.is_nan() {
                    true => print!(" {:>10}", "-"),
                    false => print!(" {time:>10.1}"),
                }
            }
            let of = |who| medians[Contender::ALL.iter().position(|c| *c == who).unwrap_or(0)];
            let best = medians[2..].iter().copied().fold(f64::INFINITY, f64::min);
            ratios.push(of(Contender::Crossbeam) / medians[0]);
            println!(
                " {:>12.2} {:>8.2} {:>7}",
                of(Contender::Crossbeam) / medians[0],
                best / medians[0],
                machine::mark(others)
            );
        }
    }
    println!(
        "\ngeometric mean of the speed over crossbeam's: {:.3}\n",
        geometric_mean(ratios)
    );
}

/// Receiving what is there, 100 messages, on one thread.
fn at_100_queued(options: &Options, random: &mut Random) {
    const QUEUED: usize = 100;
    let names = [
        "recv",
        "recv_many",
        "crossbeam recv",
        "crossbeam try_iter",
        "flume recv",
        "flume drain",
    ];
    println!(
        "{:<20} {:>10} {:>10} {:>10}",
        "ns per message", names[0], names[1], "ratio"
    );
    for capacity in [Some(1_000), None] {
        let queue = capacity.map_or_else(Queue::unbounded, Queue::bounded);
        let (sender, receiver) = queue.into_ends();
        let (s, r) = capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
        let (fs, fr) = capacity.map_or_else(flume::unbounded, flume::bounded);
        let mut buffer: Vec<usize> = Vec::with_capacity(QUEUED);
        let mut times = vec![Vec::new(); names.len()];
        let mut order: Vec<usize> = (0..names.len()).collect();
        for _ in 0..if options.test { 2 } else { 3_000 } {
            random.shuffle(&mut order);
            for &who in &order {
                for i in 0..QUEUED {
                    match who {
                        0 | 1 => sender.send(i).expect("alive"),
                        2 | 3 => s.send(i).expect("alive"),
                        _ => fs.send(i).expect("alive"),
                    }
                }
                buffer.clear();
                let began = Instant::now();
                match who {
                    0 => (0..QUEUED).for_each(|_| buffer.extend(receiver.recv())),
                    1 => {
                        while buffer.len() < QUEUED
                            && receiver.recv_many(&mut buffer, QUEUED).is_ok()
                        {
                        }
                    }
                    2 => (0..QUEUED).for_each(|_| buffer.extend(r.recv())),
                    3 => buffer.extend(r.try_iter()),
                    4 => (0..QUEUED).for_each(|_| buffer.extend(fr.recv())),
                    _ => buffer.extend(fr.drain()),
                }
                times[who].push(began.elapsed().as_nanos() as f64 / QUEUED as f64);
                assert_eq!(black_box(&buffer).len(), QUEUED);
            }
        }
        let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
        println!(
            "{:<20} {:>10.2} {:>10.2} {:>10.2}",
            capacity.map_or("unbounded".to_owned(), |n| format!("bounded {n}")),
            medians[0],
            medians[1],
            medians[0] / medians[1]
        );
        for (name, time) in names.iter().zip(&medians).skip(2) {
            println!("    {name:<24} {time:>6.2}");
        }
    }
}

fn main() {
    let mut options = Options::parse();
    options.test |= cfg!(debug_assertions);
    let mut random = Random::new(9);
    let mut patience = Duration::from_secs_f64(options.patience);
    println!("{}\n", machine::describe(options.test));
    transfers(&options, &mut random, &mut patience);
    at_100_queued(&options, &mut random);
}
