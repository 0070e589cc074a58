//! Everything at once, at random: tasks in tasks, cancellations, panics, maps in maps, scopes, streams that are dropped early and queues
//! that are closed at any moment, on pools of 1 to 3 threads that several threads share. What comes out is checked, and that it comes at all.
//!
//! `SCIPAR_STRESS_SEED` repeats the choices of a run, though not what the threads make of them; `SCIPAR_STRESS_SECONDS` sets how long it takes.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Meant, quiet, spin, watched};
use scipar::{Chunking, JoinError, JoinHandle, Pool, Queue, as_completed, wait_all, wait_any};

/// Numbers that look random (splitmix64).
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

    /// Dice of its own for another thread.
    fn another(&mut self) -> Self {
        Self(self.next())
    }

    /// A few microseconds, mostly.
    fn work(&mut self) -> Duration {
        match self.below(20) {
            0 => Duration::from_micros(200),
            n => Duration::from_micros(n / 4),
        }
    }
}

type Pools = Arc<Vec<Arc<Pool>>>;

/// The result of a task that gives `expected`, panics with it, or was cancelled.
#[track_caller]
fn check(result: Result<u64, JoinError>, expected: u64) {
    match result {
        Ok(value) => assert_eq!(value, expected),
        Err(JoinError::Panicked(panic)) => {
            let payload = panic.into_payload();
            match payload.downcast::<Meant>() {
                Ok(meant) => assert_eq!(meant.0 as u64, expected),
                Err(payload) => std::panic::resume_unwind(payload),
            }
        }
        Err(error) => assert!(error.is_cancelled(), "{error}"),
    }
}

/// A task that does something at random, and then gives a number or panics with it.
fn task(pools: &Pools, dice: &mut Dice, depth: u32) -> (JoinHandle<u64>, u64) {
    let expected = dice.below(1 << 30);
    let (inside, mut own) = (pools.clone(), dice.another());
    let panics = dice.below(12) == 0;
    let pool = &pools[dice.below(pools.len() as u64) as usize];
    let handle = pool.spawn(move || {
        act(&inside, &mut own, depth);
        if panics {
            panic_any(Meant(expected as usize));
        }
        expected
    });
    (handle, expected)
}

fn act(pools: &Pools, dice: &mut Dice, depth: u32) {
    let Some(depth) = depth.checked_sub(1) else {
        spin(dice.work());
        return;
    };
    let pool = pools[dice.below(pools.len() as u64) as usize].clone();
    match dice.below(6) {
        0 | 1 => tasks(pools, dice, depth),
        2 => scope(&pool, pools, dice, depth),
        3 => stream(&pool, pools, dice, depth),
        4 => maps(&pool, pools, dice, depth),
        _ => spin(dice.work()),
    }
}

fn tasks(pools: &Pools, dice: &mut Dice, depth: u32) {
    let count = 1 + dice.below(6);
    let (mut handles, expected): (Vec<_>, Vec<_>) =
        (0..count).map(|_| task(pools, dice, depth)).unzip();
    for handle in &handles {
        if dice.below(8) == 0 {
            handle.cancel();
        }
    }
    match dice.below(5) {
        0 => {
            for (result, expected) in wait_all(handles).into_iter().zip(expected) {
                check(result, expected);
            }
        }
        1 => {
            for (place, result) in as_completed(handles) {
                check(result, expected[place]);
            }
        }
        2 => {
            let first = wait_any(&handles);
            assert!(handles[first].is_finished());
            check(handles.swap_remove(first).join(), expected[first]);
        }
        3 => {
            // From the last to the first, with little patience.
            for (handle, expected) in handles.into_iter().zip(expected).rev() {
                match handle.join_timeout(Duration::from_micros(dice.below(300))) {
                    Ok(result) => check(result, expected),
                    Err(handle) if dice.below(2) == 0 => check(handle.join(), expected),
                    Err(handle) => drop(handle),
                }
            }
        }
        _ => drop(handles),
    }
}

fn scope(pool: &Pool, pools: &Pools, dice: &mut Dice, depth: u32) {
    let (begun, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let body_panics = dice.below(10) == 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            for i in 0..dice.below(6) {
                let mut own = dice.another();
                let (begun, over) = (&begun, &over);
                let handle = scope.spawn(move || {
                    begun.fetch_add(1, SeqCst);
                    let result = catch_unwind(AssertUnwindSafe(|| act(pools, &mut own, depth)));
                    over.fetch_add(1, SeqCst);
                    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload));
                    if own.below(12) == 0 {
                        panic_any(Meant(i as usize));
                    }
                    i
                });
                match dice.below(4) {
                    0 => check(handle.join(), i),
                    1 => _ = handle.cancel(),
                    2 => std::mem::forget(handle),
                    _ => drop(handle),
                }
            }
            if body_panics {
                panic_any(Meant(77));
            }
        });
    }));
    assert_eq!(
        begun.into_inner(),
        over.into_inner(),
        "a task outlives its scope"
    );
    if let Err(payload) = result {
        match payload.downcast::<Meant>() {
            Ok(meant) => assert!(meant.0 < 6 || meant.0 == 77),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    } else {
        assert!(!body_panics);
    }
}

fn stream(pool: &Pool, pools: &Pools, dice: &mut Dice, depth: u32) {
    let len = dice.below(60);
    let window = 1 + dice.below(20) as usize;
    let taken = dice.below(len + 20) as usize;
    let (ordered, panics, seed) = (dice.below(2) == 0, dice.below(3) == 0, dice.next());
    let pools = pools.clone();
    let work = move |i: u64| {
        let mut own = Dice(seed ^ i);
        if own.below(40) == 0 {
            act(&pools, &mut own, depth);
        } else {
            spin(own.work());
        }
        if panics && i % 16 == 5 {
            panic_any(Meant(i as usize));
        }
        i
    };
    let mut items = match ordered {
        true => pool.stream(0..len, work),
        false => pool.stream_unordered(0..len, work),
    }
    .window(window);
    let mut seen = vec![false; len as usize];
    for place in 0..taken {
        let i = match catch_unwind(AssertUnwindSafe(|| items.next())) {
            Ok(Some(i)) => i as usize,
            Ok(None) => {
                assert!(seen.into_iter().all(|seen| seen));
                return;
            }
            Err(payload) => match payload.downcast::<Meant>() {
                Ok(meant) => meant.0,
                Err(payload) => std::panic::resume_unwind(payload),
            },
        };
        assert!(!ordered || i == place);
        assert!(!std::mem::replace(&mut seen[i], true), "{i} came twice");
    }
}

fn maps(pool: &Pool, pools: &Pools, dice: &mut Dice, depth: u32) {
    let (len, seed) = (dice.below(40), dice.next());
    let chunking = match dice.below(3) {
        0 => Chunking::auto(),
        1 => Chunking::size(1 + dice.below(4) as usize),
        _ => Chunking::count(3),
    };
    let panics = dice.below(8) == 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.par_map_chunked(0..len, chunking, |i| {
            let mut own = Dice(seed ^ i);
            if own.below(20) == 0 {
                act(pools, &mut own, depth);
            }
            if panics && i == len / 2 {
                panic_any(Meant(i as usize));
            }
            i
        })
    }));
    match result {
        Ok(all) => assert!(all.into_iter().eq(0..len)),
        Err(payload) => match payload.downcast::<Meant>() {
            Ok(meant) => assert!(panics && meant.0 as u64 == len / 2),
            Err(payload) => std::panic::resume_unwind(payload),
        },
    }
}

/// Tasks that send and tasks that receive, until the queue is closed. Nobody waits here for a task that has not started: the threads
/// may all be busy with senders that wait for room.
fn queue(pools: &Pools, dice: &mut Dice) {
    let queue = match dice.below(3) {
        0 => Queue::unbounded(),
        n => Queue::bounded(dice.below(4) as usize + n as usize - 1),
    };
    let (sent, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut handles = Vec::new();
    for _ in 0..1 + dice.below(4) {
        let (queue, count) = (queue.clone(), sent.clone());
        let pool = &pools[dice.below(pools.len() as u64) as usize];
        handles.push(pool.spawn(move || {
            for i in 0..10_000 {
                if queue.send(i).is_err() {
                    break;
                }
                count.fetch_add(1, SeqCst);
            }
        }));
    }
    for _ in 0..dice.below(3) {
        let (queue, count) = (queue.clone(), received.clone());
        let pool = &pools[dice.below(pools.len() as u64) as usize];
        handles.push(pool.spawn(move || {
            while queue.recv().is_ok() {
                count.fetch_add(1, SeqCst);
            }
        }));
    }
    let mut own = 0;
    for _ in 0..dice.below(200) {
        own += u64::from(queue.try_recv().is_ok());
    }
    spin(dice.work());
    queue.close();
    for result in wait_all(handles) {
        result.unwrap();
    }
    own += queue.iter().count() as u64; // what lay in it when all had gone
    assert_eq!(sent.load(SeqCst), received.load(SeqCst) + own, "{queue:?}");
}

/// A pool that ends while it has tasks: all of them run, or are cancelled.
fn end_of_a_pool(dice: &mut Dice) {
    let pool = Arc::new(Pool::new(1 + dice.below(3) as usize));
    let pools: Pools = Arc::new(vec![Arc::new(Pool::new(1)), Arc::new(Pool::new(2))]);
    let ran = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..dice.below(30))
        .map(|_| {
            let (pools, ran, mut own) = (pools.clone(), ran.clone(), dice.another());
            pool.spawn(move || {
                act(&pools, &mut own, 1);
                ran.fetch_add(1, SeqCst);
            })
        })
        .collect();
    spin(dice.work());
    let now = dice.below(2) == 0;
    let pool = Arc::into_inner(pool).unwrap();
    match now {
        true => pool.shutdown_now(),
        false => pool.shutdown(),
    }
    assert!(handles.iter().all(JoinHandle::is_finished));
    let results = wait_all(handles);
    let all = results.len();
    let cancelled = results
        .into_iter()
        .filter(|result| result.as_ref().is_err_and(JoinError::is_cancelled))
        .count();
    assert!(now || cancelled == 0);
    assert!(ran.load(SeqCst) + cancelled <= all); // others panicked
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn everything_at_once_ends_with_the_right_results() {
    quiet();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed =
        from_environment("SCIPAR_STRESS_SEED").unwrap_or(since_epoch.as_nanos() as u64 % 1_000_000);
    let seconds = from_environment("SCIPAR_STRESS_SECONDS")
        .unwrap_or(5)
        .min(50);
    println!("SCIPAR_STRESS_SEED={seed}");
    let name = format!("everything at once with SCIPAR_STRESS_SEED={seed}");
    watched(&name, || {
        let start = Instant::now();
        let mut dice = Dice(seed);
        let rounds = AtomicUsize::new(0);
        while start.elapsed() < Duration::from_secs(seconds) {
            let pools: Pools = Arc::new((1..=3).map(|n| Arc::new(Pool::new(n))).collect());
            thread::scope(|scope| {
                for _ in 0..3 {
                    let (pools, rounds, mut own) = (pools.clone(), &rounds, dice.another());
                    scope.spawn(move || {
                        for _ in 0..50 {
                            match own.below(10) {
                                0 | 1 => queue(&pools, &mut own),
                                2 => end_of_a_pool(&mut own),
                                _ => act(&pools, &mut own, 4),
                            }
                            rounds.fetch_add(1, SeqCst);
                        }
                    });
                }
            });
        }
        println!("{rounds:?} rounds");
    });
}
