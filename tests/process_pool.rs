//! Worker processes: maps, reductions, tasks, streams.

#![cfg(all(unix, feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::watched;
use scipar::process::{Process, ProcessErrorKind, ProcessPool, Shared, SharedMut, Stderr, task};
use scipar::{Chunking, Outcome, Pool};

scipar::process::test_worker!();

task! {
    fn square(x: f64) -> f64 { x * x }
    fn add(a: f64, b: f64) -> f64 { a + b }
    fn nothing() -> u32 { 7 }
    fn scaled(by: &Vec<f64>, i: usize) -> f64 { by[i] * 2.0 }
    fn poison(x: usize) -> usize { if x == 6173 { std::process::abort() } x + 1 }
    fn bad_luck(x: usize) -> usize { assert!(x != 33, "meant: {x}"); x }
    fn sum(data: Shared<f64>, start: usize, end: usize) -> f64 { data[start..end].iter().sum() }
    fn made(n: usize) -> Shared<f64> { Shared::build(n, |items| items.fill(1.5)).unwrap() }
    fn bump(part: &mut [f64], by: f64) { for x in part { *x += by; } }
    fn sleepy(ms: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(ms)); ms }
}

#[test]
fn a_map_is_that_of_threads() {
    watched("map", || {
        let pool = ProcessPool::new(2).unwrap();
        let xs: Vec<f64> = (0..10_000).map(f64::from).collect();
        let expected: Vec<f64> = xs.iter().map(|x| x * x).collect();
        for chunking in common::chunkings(xs.len()) {
            if chunking == Chunking::size(1) {
                continue;
            }
            let y = pool.par_map_chunked(&xs, chunking, square).unwrap();
            assert_eq!(y, expected, "{chunking:?}");
        }
        assert_eq!(pool.num_starts(), 2);
        assert_eq!(pool.call(nothing, &()).unwrap(), 7);
    });
}

#[test]
fn a_reduction_has_the_bits_of_threads() {
    watched("reduce", || {
        let pool = ProcessPool::new(2).unwrap();
        let xs: Vec<f64> = (0..5_000).map(|i| f64::from(i).sin()).collect();
        for chunking in [Chunking::auto(), Chunking::size(77), Chunking::count(5)] {
            let a = pool
                .par_map_reduce_chunked(&xs, chunking, square, || 0.0, add)
                .unwrap();
            let b =
                Pool::new(2).par_map_reduce_chunked(&xs, chunking, |x| x * x, || 0.0, |a, b| a + b);
            assert_eq!(a.to_bits(), b.to_bits());
        }
    });
}

#[test]
fn poison_fails_alone() {
    watched("poison", || {
        let pool = ProcessPool::builder()
            .workers(2)
            .stderr(Stderr::Kept)
            .build()
            .unwrap();
        let outcomes = pool.over(0..10_000_usize).chunking(1024).outcomes(poison);
        for (i, outcome) in outcomes.items.iter().enumerate() {
            match outcome {
                Outcome::Done(y) => assert_eq!(*y, i + 1),
                Outcome::Failed(error) if i == 6173 => {
                    assert_eq!(error.signal(), Some(6), "{error}")
                }
                other => panic!("{i}: {other:?}"),
            }
        }
        assert!(pool.num_starts() <= 2 + 11, "{}", pool.num_starts());
    });
}

#[test]
fn a_panic_costs_its_item() {
    watched("panic", || {
        let pool = ProcessPool::builder()
            .workers(2)
            .stderr(Stderr::Kept)
            .build()
            .unwrap();
        let outcomes = pool.over(0..100_usize).outcomes(bad_luck);
        assert!(
            outcomes
                .items
                .iter()
                .enumerate()
                .all(|(i, o)| o.is_done() == (i != 33))
        );
        assert_eq!(pool.num_starts(), 2);
        let error = pool
            .par_map_chunked(0..100_usize, 10, bad_luck)
            .unwrap_err();
        assert_eq!(error.index(), Some(33));
        assert!(error.to_string().contains("meant: 33"), "{error}");
    });
}

#[test]
fn context_shared_spawn_stream() {
    watched("rest", || {
        let pool = ProcessPool::new(2).unwrap();
        let table: Vec<f64> = (0..100).map(f64::from).collect();
        let y = pool.over(0..100_usize).context(&table).map(scaled).unwrap();
        assert_eq!(y[50], 100.0);
        let data = Shared::from_slice(&vec![1.0; 1000]).unwrap();
        let parts: Vec<_> = (0..10)
            .map(|i| (data.clone(), 100 * i, 100 * (i + 1)))
            .collect();
        assert_eq!(pool.par_map_chunked(&parts, 1, sum).unwrap(), [100.0; 10]);
        let back = pool.call(made, &1000).unwrap();
        assert_eq!(back.iter().sum::<f64>(), 1500.0);
        let mut array = SharedMut::from_slice(&[1.0; 100]).unwrap();
        pool.par_update_chunked(&mut array, 7, bump, |range| range.start as f64)
            .unwrap();
        assert_eq!(array[99], 1.0 + 98.0);
        let handle = pool.spawn(square, 3.0);
        assert_eq!(handle.join().unwrap().unwrap(), 9.0);
        let squares: Vec<f64> = pool
            .stream((0..50).map(f64::from), square)
            .map(Result::unwrap)
            .collect();
        assert_eq!(squares[7], 49.0);
        let process = Process::spawn(add, (1.0, 2.0)).unwrap();
        assert_eq!(process.join().unwrap(), 3.0);
    });
}

#[test]
fn a_task_that_takes_too_long_is_killed() {
    watched("timeout", || {
        let limit = std::time::Duration::from_millis(500);
        let pool = ProcessPool::builder()
            .workers(2)
            .task_timeout(limit)
            .build()
            .unwrap();
        let began = std::time::Instant::now();
        let times = [1, 2, 60_000, 3, 4, 5];
        let outcomes = pool.over(&times).chunking(3).outcomes(sleepy);
        for (i, outcome) in outcomes.items.iter().enumerate() {
            match outcome {
                Outcome::Failed(error) if i == 2 => assert!(error.is_timeout(), "{error}"),
                outcome => assert!(outcome.is_done(), "{i} {outcome:?}"),
            }
        }
        assert!(began.elapsed().as_secs() < 10);
    });
}

task! {
    fn busy(ms: u64) {
        let timer = scipar::Timer::start_with(scipar::Clock::Thread);
        while timer.elapsed().cpu < std::time::Duration::from_millis(ms) {}
    }
}

#[test]
fn the_clock_counts_workers_that_live() {
    watched("clock", || {
        let pool = ProcessPool::new(1).unwrap();
        let timer = scipar::Timer::start_with(scipar::Clock::WithChildren);
        let run = pool.over([300_u64].to_vec()).outcomes(busy);
        let timing = timer.elapsed();
        let least = std::time::Duration::from_millis(200);
        assert!(timing.cpu >= least, "{timing}");
        assert!(run.report.cpu.unwrap() >= least, "{}", run.report);
        assert_eq!(pool.num_starts(), 1);
    });
}

#[test]
fn a_killed_pool_ends_at_once() {
    watched("kill", || {
        let pool = ProcessPool::new(2).unwrap();
        let handles: Vec<_> = (0..4).map(|_| pool.spawn(sleepy, 600_000)).collect();
        pool.kill();
        for handle in handles {
            let error = handle.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ProcessErrorKind::Killed, "{error}");
        }
    });
}

#[test]
fn long_items_are_not_queued_behind_each_other() {
    watched("long items", || {
        let pool = ProcessPool::new(3).unwrap();
        for chunking in [Chunking::size(1), Chunking::auto()] {
            let began = std::time::Instant::now();
            let slept = pool.par_map_chunked(&[700_u64; 3], chunking, sleepy);
            assert_eq!(slept.unwrap(), [700; 3]);
            let took = began.elapsed().as_millis();
            assert!(
                took < 1_350,
                "{chunking:?}: {took} ms for three times 700 at once"
            );
        }
    });
}

task! {
    fn load(path: &Vec<u8>, i: usize, j: usize) -> usize { path.len() + i + j }
}

#[test]
fn a_context_goes_with_several_arguments_and_not_after_its_run() {
    watched("context", || {
        let pool = ProcessPool::new(1).unwrap();
        let context = vec![0_u8; 10];
        let sums = pool
            .over(&[(1_usize, 2_usize), (3, 4)])
            .context(&context)
            .map(load);
        assert_eq!(sums.unwrap(), [13, 17]);
    });
}

static ASKED: std::sync::RwLock<Option<ProcessPool>> = std::sync::RwLock::new(None);

/// Asks a worker while it is encoded for another one.
struct Asks(f64);

impl serde::Serialize for Asks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pool = ASKED.read().unwrap();
        let squared = pool.as_ref().unwrap().call(square, &self.0).unwrap();
        squared.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Asks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Asks)
    }
}

task! { fn ask(asks: Asks) -> f64 { asks.0 } }

/// All that runs on this side while a worker is held may ask the pool for another one, whatever
/// their number.
#[test]
fn code_of_a_run_may_use_its_pool() {
    watched("code_of_a_run_may_use_its_pool", || {
        for workers in [1, 2] {
            let pool = ProcessPool::new(workers).unwrap();
            let told = std::sync::Mutex::new(Vec::new());
            let slept = pool
                .over(&[30_u64; 10])
                .chunking(1)
                .progress(|p| {
                    assert_eq!(pool.call(square, &3.0).unwrap(), 9.0);
                    let elsewhere = std::thread::scope(|scope| {
                        scope.spawn(|| pool.call(nothing, &())).join().unwrap()
                    });
                    assert_eq!(elsewhere.unwrap(), 7);
                    told.lock().unwrap().push(p.finished);
                })
                .map(sleepy);
            assert_eq!(slept.unwrap(), [30; 10]);
            let told = told.into_inner().unwrap();
            assert!(told.len() >= 2 && told.is_sorted(), "{told:?}");
            assert_eq!(told.iter().filter(|n| **n == 10).count(), 1, "{told:?}");

            // What makes the arguments, and a `Serialize` of the user's.
            let mut array = SharedMut::from_slice(&[1.0; 10]).unwrap();
            pool.par_update_chunked(&mut array, 1, bump, |part| {
                pool.call(square, &(part.start as f64)).unwrap()
            })
            .unwrap();
            assert!(
                array
                    .iter()
                    .enumerate()
                    .all(|(i, x)| *x == 1.0 + (i * i) as f64)
            );

            *ASKED.write().unwrap() = Some(pool);
            let asked = ASKED.read().unwrap();
            let pool = asked.as_ref().unwrap();
            let asks = [Asks(1.0), Asks(2.0), Asks(3.0)];
            assert_eq!(
                pool.par_map_chunked(&asks, 1, ask).unwrap(),
                [1.0, 4.0, 9.0]
            );
            let handles = asks.map(|asks| pool.spawn(ask, asks));
            let answers = handles.map(|handle| handle.join().unwrap().unwrap());
            assert_eq!(answers, [1.0, 4.0, 9.0]);
            assert_eq!(
                pool.idle_pids().len(),
                workers,
                "{workers} workers, as before"
            );
        }
    });
}

/// A listener that panics ends the run, and its panic goes on on the caller's thread.
#[test]
fn a_panic_of_a_listener_goes_on() {
    common::quiet();
    watched("a_panic_of_a_listener_goes_on", || {
        let pool = ProcessPool::new(2).unwrap();
        let began = std::time::Instant::now();
        let meant = common::meant_panic_in(|| {
            let run = pool.over(&[20_u64; 500]).chunking(1);
            let run = run.progress(|_| std::panic::panic_any(common::Meant(1)));
            drop(run.map(sleepy));
        });
        assert_eq!(meant, Some(1));
        assert!(began.elapsed() < std::time::Duration::from_secs(3));
        assert_eq!(pool.call(square, &3.0).unwrap(), 9.0);
    });
}
#[test]
fn more_workers_than_can_be_are_an_error() {
    watched("too many", || {
        for workers in [usize::MAX, usize::MAX >> 24, 1 << 17] {
            let new = ProcessPool::new(workers).unwrap_err();
            let built = ProcessPool::builder().workers(workers).build().unwrap_err();
            for error in [new, built] {
                assert_eq!(error.kind(), ProcessErrorKind::Start, "{error}");
                let text = format!("{workers} workers are more than the ");
                assert!(error.to_string().contains(&text), "{error}");
            }
        }
    });
}
