//! Streams at random: windows, pools, sources that are slow, block or panic, items that do, early ends, limits of time, consumers
//! within tasks, streams and scopes, several on one pool at once. What comes out is checked, and that it comes at all.
//!
//! `SCIPAR_STRESS_SEED` repeats the choices of a run, though not what the threads make of them; `SCIPAR_STRESS_SECONDS` sets how
//! long it takes.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Meant, quiet, spin};
use scipar::channel::RecvTimeoutError::{Disconnected, Timeout};
use scipar::{Pool, Stream};

/// Numbers that look random (splitmix64).
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Dice of its own for another thread.
    fn another(&mut self) -> Self {
        Self(self.next())
    }
}

/// What is going on: printed where it does not end.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<BTreeMap<u64, String>>>, Arc<AtomicU64>);

/// An entry on the board, until it is dropped.
struct Entry(Board, u64);

impl Board {
    fn enter(&self, what: String) -> Entry {
        let number = self.1.fetch_add(1, SeqCst);
        self.0.lock().unwrap().insert(number, what);
        Entry(self.clone(), number)
    }
}

impl Entry {
    fn note(&self, what: &str) {
        if let Some(entry) = self.0.0.lock().unwrap().get_mut(&self.1) {
            let head = entry.split(" | ").next().unwrap().to_owned();
            *entry = format!("{head} | {what}");
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().remove(&self.1);
    }
}

/// How a stream is to be, and how it is consumed.
#[derive(Clone, Debug)]
struct Plan {
    workers: usize,
    window: usize,
    len: u64,
    ordered: bool,
    scoped: bool,
    with_states: bool,
    /// Consumed within a task, and on another thread than the one that made it.
    in_task: bool,
    sent: bool,
    /// Microseconds that most items and asking the source take.
    item: u64,
    source: u64,
    /// One in so many, 0 for none.
    slow_items: u64,
    slow_source: u64,
    panics: u64,
    /// The source panics there.
    source_panics: u64,
    /// The consumer stops there.
    taken: u64,
    timeouts: u64,
    /// Items that consume a stream of their own, which may do the same.
    depth: u32,
}

impl Plan {
    fn new(dice: &mut Dice, depth: u32) -> Self {
        let len = [0, 1, 2, 10, 40, 300][dice.below(6) as usize];
        let short = depth > 0 || dice.one_in(2);
        Self {
            workers: 1 + dice.below(4) as usize,
            window: [1, 1, 2, 3, 8, 64][dice.below(6) as usize],
            len: if short { len.min(40) } else { len },
            ordered: dice.one_in(2),
            scoped: dice.one_in(3),
            with_states: dice.one_in(3),
            in_task: dice.one_in(2),
            sent: dice.one_in(4),
            item: [0, 0, 1, 10, 100][dice.below(5) as usize],
            source: [0, 0, 0, 5, 50][dice.below(5) as usize],
            slow_items: [0, 0, 7, 30][dice.below(4) as usize],
            slow_source: [0, 0, 0, 20][dice.below(4) as usize],
            panics: [0, 0, 5][dice.below(3) as usize],
            source_panics: if dice.one_in(6) { dice.below(20) } else { u64::MAX },
            taken: if dice.one_in(3) { dice.below(30) } else { u64::MAX },
            timeouts: [0, 0, 1, 3][dice.below(4) as usize],
            depth,
        }
    }

    /// Whether item `i` is one of those of which there is one in `n`.
    fn hits(i: u64, n: u64) -> bool {
        n > 0 && i % n == n / 2
    }

    fn has_panic(&self, i: u64) -> bool {
        Self::hits(i, self.panics)
    }

    /// A source as planned.
    fn source(&self) -> impl Iterator<Item = u64> + Send + 'static {
        let plan = self.clone();
        (0..self.len).inspect(move |&i| {
            if Plan::hits(i, plan.slow_source) {
                thread::sleep(Duration::from_millis(2));
            }
            spin(Duration::from_micros(plan.source));
            if i == plan.source_panics {
                panic_any(Meant(i as usize));
            }
        })
    }

    fn compute(&self, i: u64, pools: &Pools, board: &Board) -> u64 {
        if Self::hits(i, self.slow_items) {
            thread::sleep(Duration::from_millis(1));
        }
        spin(Duration::from_micros(self.item));
        if self.depth > 0 && i % 4 == 0 {
            let mut dice = Dice(i * 977 + u64::from(self.depth) + self.len);
            let plan = Plan::new(&mut dice, self.depth - 1);
            plan.run(pools, &mut dice, board);
        }
        if self.has_panic(i) {
            panic_any(Meant(i as usize));
        }
        i * 3
    }

    fn run(&self, pools: &Pools, dice: &mut Dice, board: &Board) {
        let entry = board.enter(format!("{self:?}"));
        let pool = &pools.0[self.workers - 1];
        if self.in_task {
            let (plan, inside, board, mut own) = (
                self.clone(),
                pools.clone(),
                board.clone(),
                dice.another(),
            );
            let task = pool.spawn(move || plan.make(&inside, &mut own, &board, &entry));
            task.join().unwrap();
        } else {
            self.make(pools, dice, board, &entry);
        }
    }

    fn make(&self, pools: &Pools, dice: &mut Dice, board: &Board, entry: &Entry) {
        let pool: &Pool = &pools.0[self.workers - 1];
        if self.scoped {
            let (borrowed, source) = (self, self.source());
            pool.scope(|scope| {
                let work = |i| borrowed.compute(i, pools, board);
                let make = |worker: usize| vec![worker; 3];
                let with_state = |state: &mut Vec<usize>, i| {
                    state.push(3);
                    work(i)
                };
                let stream = match (self.with_states, self.ordered) {
                    (false, true) => scope.stream(source, work),
                    (false, false) => scope.stream_unordered(source, work),
                    (true, true) => scope.stream_with(source, make, with_state),
                    (true, false) => scope.stream_unordered_with(source, make, with_state),
                };
                self.consume(stream, dice, entry);
            });
        } else {
            let (plan, inside, board) = (self.clone(), pools.clone(), board.clone());
            let work = move |i| plan.compute(i, &inside, &board);
            let make = |worker: usize| vec![worker; 3];
            let source = self.source();
            let stream = match (self.with_states, self.ordered) {
                (false, true) => pool.stream(source, work),
                (false, false) => pool.stream_unordered(source, work),
                (true, ordered) => {
                    let with_state = move |state: &mut Vec<usize>, i| {
                        state.push(3);
                        work(i)
                    };
                    match ordered {
                        true => pool.stream_with(source, make, with_state),
                        false => pool.stream_unordered_with(source, make, with_state),
                    }
                }
            };
            self.consume(stream, dice, entry);
        }
    }

    /// Consumes as planned, and checks what comes.
    fn consume(&self, stream: Stream<'_, u64>, dice: &mut Dice, entry: &Entry) {
        let stream = stream.window(self.window);
        if self.sent {
            let mut own = dice.another();
            thread::scope(|scope| {
                scope.spawn(move || self.drain(stream, &mut own, entry));
            });
        } else {
            self.drain(stream, dice, entry);
        }
    }

    fn drain(&self, mut stream: Stream<'_, u64>, dice: &mut Dice, entry: &Entry) {
        let mut seen = vec![0_u8; self.len as usize];
        let mut next_in_order = 0;
        let mut count = 0;
        let mut ended = false;
        while count < self.taken {
            entry.note(&format!("has {count}"));
            let result = catch_unwind(AssertUnwindSafe(|| {
                if self.timeouts == 0 || !dice.one_in(self.timeouts) {
                    return stream.next().ok_or(Disconnected);
                }
                stream.next_timeout(Duration::from_micros(dice.below(3) * dice.below(1000)))
            }));
            let (i, panicked) = match result {
                Ok(Ok(i)) => (i / 3, false),
                Ok(Err(Timeout)) => continue,
                Ok(Err(Disconnected)) => {
                    ended = true;
                    break;
                }
                Err(payload) => (payload.downcast_ref::<Meant>().unwrap().0 as u64, true),
            };
            assert_eq!(panicked, self.has_panic(i) || i == self.source_panics);
            if self.ordered {
                assert_eq!(i, next_in_order);
                next_in_order += 1;
            }
            seen[i as usize] += 1;
            count += 1;
        }
        assert!(seen.iter().all(|&times| times <= 1), "{seen:?}");
        if ended {
            let all = self.len.min(self.source_panics.saturating_add(1));
            assert_eq!(count, all, "{self:?}");
            assert_eq!(stream.next(), None);
        }
        entry.note("drops the stream");
        drop(stream);
        entry.note("is over");
    }
}

#[derive(Clone)]
struct Pools(Arc<Vec<Pool>>);

/// Whatever is done with streams, it ends, and gives what it should.
#[test]
fn streams_end_and_give_what_they_should() {
    let seconds = std::env::var("SCIPAR_STRESS_SECONDS");
    let seconds: u64 = seconds.map_or(4, |text| text.parse().unwrap());
    let seed = std::env::var("SCIPAR_STRESS_SEED").map_or_else(
        |_| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    quiet();
    let board = Board::default();
    let (done, over) = mpsc::channel::<()>();
    let watchdog = {
        let board = board.clone();
        let limit = Duration::from_secs(seconds + 60);
        thread::spawn(move || {
            if over.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("it does not end; seed {seed}; going on:");
                for (number, entry) in board.0.lock().unwrap().iter() {
                    eprintln!("{number}: {entry}");
                }
                std::process::abort();
            }
        })
    };
    let start = Instant::now();
    let rounds = AtomicU64::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let pools = Pools(Arc::new((1..=4).map(common::started).collect()));
        let mut dice = Dice(seed);
        thread::scope(|scope| {
            for _ in 0..3 {
                let (pools, board, mut dice) = (&pools, &board, dice.another());
                let rounds = &rounds;
                scope.spawn(move || {
                    while start.elapsed() < Duration::from_secs(seconds) {
                        let depth = dice.below(3) as u32;
                        Plan::new(&mut dice, depth).run(pools, &mut dice, board);
                        rounds.fetch_add(1, SeqCst);
                    }
                });
            }
        });
    }));
    drop(done);
    watchdog.join().unwrap();
    println!("{rounds:?} rounds, seed {seed}");
    if let Err(payload) = result {
        eprintln!("seed {seed}");
        std::panic::resume_unwind(payload);
    }
}
