use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Barrier, Mutex};

use super::*;
use crate::chunking::Chunking;

/// Computes until this thread has used `cpu` of CPU time.
fn burn(cpu: Duration) {
    let start = thread_time();
    while thread_time() - start < cpu {
        std::hint::spin_loop();
    }
}

fn on_every_thread<R: Send>(pool: &Pool, f: impl Fn() -> R + Sync) -> Vec<R> {
    pool.threads()
        .as_ref()
        .expect("threads for a test")
        .rayon()
        .broadcast(|_| f())
}

#[test]
fn threads_have_their_names() {
    let name = || std::thread::current().name().map(str::to_owned).unwrap();
    let pool = Pool::builder().workers(3).build().unwrap();
    assert_eq!(
        on_every_thread(&pool, name),
        ["scipar-0", "scipar-1", "scipar-2"]
    );
    let pool = Pool::builder()
        .workers(2)
        .thread_name(|i| format!("price-{i}"))
        .build()
        .unwrap();
    assert_eq!(on_every_thread(&pool, name), ["price-0", "price-1"]);
    assert!(pool.install(name).unwrap().starts_with("price-"));
    // Also those of a pool that starts them later.
    assert!(Pool::new(2).install(name).unwrap().starts_with("scipar-"));
}

/// Uses at least `depth` times 1 KiB of stack.
#[inline(never)]
fn deep(depth: usize) -> usize {
    let frame = std::hint::black_box([depth as u8; 1024]);
    if depth == 0 {
        0
    } else {
        deep(depth - 1) + usize::from(frame[depth % 1024] == depth as u8)
    }
}

#[test]
fn the_stack_is_as_large_as_asked_for() {
    // 32 MiB: sixteen times the standard size.
    let pool = Pool::builder()
        .workers(2)
        .stack_size(80 << 20)
        .build()
        .unwrap();
    assert_eq!(on_every_thread(&pool, || deep(32 << 10)), [32 << 10; 2]);
}

#[test]
fn hooks_are_called_once_on_each_thread_with_its_index() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (start, exit) = (log.clone(), log.clone());
    let pool = Pool::builder()
        .workers(4)
        .on_start(move |i| {
            start
                .lock()
                .unwrap()
                .push(("start", i, std::thread::current().id()))
        })
        .on_exit(move |i| {
            exit.lock()
                .unwrap()
                .push(("exit", i, std::thread::current().id()))
        })
        .build()
        .unwrap();
    // Whoever answers has started; more work changes nothing.
    let ids: BTreeSet<String> =
        on_every_thread(&pool, || format!("{:?}", std::thread::current().id()))
            .into_iter()
            .collect();
    pool.par_for_each_chunked(0..1_000, Chunking::size(1), |_| {
        burn(Duration::from_micros(10))
    });
    assert_eq!(log.lock().unwrap().len(), 4);
    drop(pool);
    let log = log.lock().unwrap();
    for kind in ["start", "exit"] {
        let of_kind: Vec<_> = log.iter().filter(|entry| entry.0 == kind).collect();
        let mut indices: Vec<usize> = of_kind.iter().map(|entry| entry.1).collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2, 3], "{kind}");
        let on: BTreeSet<String> = of_kind
            .iter()
            .map(|entry| format!("{:?}", entry.2))
            .collect();
        assert_eq!(on, ids, "{kind} hooks run on the pool's threads");
    }
}

#[test]
fn hooks_of_a_pool_that_starts_no_thread_are_not_called() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let pool = Pool::builder()
        .workers(1)
        .on_start(move |_| _ = counter.fetch_add(1, Ordering::SeqCst))
        .build()
        .unwrap();
    pool.par_for_each_chunked(0..100, Chunking::size(1), |_| {
        burn(Duration::from_micros(10))
    });
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    pool.install(|| ()).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn install_runs_on_the_pools_threads_and_gives_the_result_back() {
    let pool = Pool::new(3);
    let caller = std::thread::current().id();
    let words = [String::from("borrowed")];
    let (inside, threads, word) = pool
        .install(|| {
            (
                std::thread::current().id(),
                rayon::current_num_threads(),
                words[0].as_str(),
            )
        })
        .unwrap();
    assert_ne!(inside, caller);
    assert_eq!((threads, word), (3, "borrowed"));
    // Within itself it goes on where it is.
    assert!(
        pool.install(
            || pool.install(|| std::thread::current().id()).unwrap() == std::thread::current().id()
        )
        .unwrap()
    );
}

#[test]
fn a_refused_thread_is_an_error_that_says_which_one() {
    let impossible = || Pool::builder().stack_size(1 << 60);
    let error = impossible().workers(3).build().unwrap_err();
    assert_eq!(error.to_string(), "the system refused thread 1 of 3");
    assert!(!error.is_global_exists());
    assert!(error.source().is_some(), "the system's reason is kept");
    assert!(
        !error
            .source()
            .unwrap()
            .to_string()
            .contains("refused thread"),
        "the source is not repeated"
    );
    assert!(impossible().workers(3).build_global().is_err());

    // Where no thread is needed at once, the pool is made, and works on the caller's thread.
    let pool = impossible().workers(1).build().unwrap();
    let work = |_| burn(Duration::from_micros(20));
    pool.par_for_each_chunked(0..100, Chunking::auto(), work);
    assert_eq!(
        pool.install(|| 5).unwrap_err().to_string(),
        "the system refused thread 1 of 1"
    );
}

/// A pool whose threads are refused asks again, but not at each call, and less and less often.
#[test]
fn refused_threads_are_asked_for_again_after_growing_pauses() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let pool = Pool::builder()
        .workers(1)
        .stack_size(1 << 60)
        .thread_name(move |_| format!("{}", counter.fetch_add(1, Ordering::SeqCst)))
        .build()
        .unwrap();
    assert!(pool.threads_error().is_none(), "nothing has been refused");
    let began = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 && began.elapsed() < Duration::from_secs(20) {
        assert_eq!(pool.spawn(|| 7).join().unwrap(), 7);
        if asked.load(Ordering::SeqCst) > times.len() {
            times.push(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(times.len(), 3);
    assert!(
        times[1] - times[0] >= Duration::from_millis(99),
        "{times:?}"
    );
    assert!(
        times[2] - times[1] >= Duration::from_millis(199),
        "{times:?}"
    );
    let error = pool.threads_error().unwrap();
    assert_eq!(error.to_string(), "the system refused thread 1 of 1");
    assert_eq!(pool.num_threads(), 0);
}

#[test]
#[should_panic(expected = "at least one worker")]
fn no_workers_are_refused() {
    let _ = Pool::new(0);
}

#[test]
fn a_pool_describes_itself() {
    let pool = Pool::new(2);
    assert_eq!(
        format!("{pool:?}"),
        "Pool { num_workers: 2, started: false, .. }"
    );
    pool.install(|| ()).unwrap();
    assert_eq!(
        format!("{pool:?}"),
        "Pool { num_workers: 2, started: true, .. }"
    );
    assert!(
        format!("{:?}", Pool::builder().workers(2).stack_size(5)).contains("stack_size: Some(5)")
    );
}

#[test]
fn time_counts_the_cpu_of_all_workers_exactly() {
    let pool = Pool::builder().workers(2).build().unwrap();
    // Workers burn 60 ms, the caller another 10: whatever the machine does meanwhile, that is 70 ms of CPU time.
    let (wall, timing) = pool.time(|| {
        let wall = Instant::now();
        pool.par_for_each_chunked(0..60, Chunking::size(1), |_| burn(Duration::from_millis(1)));
        burn(Duration::from_millis(10));
        wall.elapsed()
    });
    assert!(timing.wall >= wall);
    assert!(timing.cpu >= Duration::from_millis(70), "{timing}");
    assert!(timing.cpu < Duration::from_millis(90), "{timing}");
    assert!(timing.cpu <= 3 * timing.wall, "{timing}");
    assert!(timing.resolution <= Duration::from_millis(1));
}

/// How many processors the machine gives to two threads of which each burns 20 ms.
fn processors_given_to_two() -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| burn(Duration::from_millis(20)));
        }
    });
    0.04 / start.elapsed().as_secs_f64()
}

#[test]
fn two_busy_workers_use_up_to_twice_the_wall_time() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let mut seen = Vec::new();
    let start = Instant::now();
    while seen.len() < 20 && start.elapsed() < Duration::from_secs(10) {
        let (_, timing) = pool.time(|| {
            pool.par_for_each_chunked(0..400, Chunking::auto(), |_| {
                burn(Duration::from_micros(100))
            })
        });
        // Two workers never use more than twice the wall time, but for the hand-over at the ends.
        assert!(timing.parallelism() < 2.1, "{timing}");
        if timing.parallelism() > 1.5 {
            assert_eq!(timing.bound(2), crate::timer::Bound::Parallel);
            return;
        }
        // It counts against the pool only where the machine had two processors to give.
        if processors_given_to_two() > 1.8 {
            seen.push(timing.parallelism());
        }
    }
    assert!(
        seen.len() < 20,
        "two busy workers never used more than 1.5 times the wall time: {seen:.2?}"
    );
    println!("not checked: the machine was too busy to give two processors");
}

#[test]
fn time_that_is_slept_away_is_not_cpu_time() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let (_, timing) =
        pool.time(|| on_every_thread(&pool, || std::thread::sleep(Duration::from_millis(50))));
    assert!(timing.wall >= Duration::from_millis(50));
    assert!(timing.cpu < Duration::from_millis(25), "{timing}");
    assert_eq!(timing.bound(2), crate::timer::Bound::Waiting);
}

#[test]
fn time_of_a_pool_without_threads_is_the_callers() {
    let pool = Pool::new(2);
    let (_, timing) = pool.time(|| burn(Duration::from_millis(20)));
    assert!(
        timing.cpu >= Duration::from_millis(20)
            && timing.cpu <= timing.wall + Duration::from_millis(1),
        "{timing}"
    );
    assert!(
        pool.threads.get().is_none(),
        "asking for the time started threads"
    );
}

#[test]
fn time_on_a_thread_of_the_pool_counts_that_thread_once() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let (_, timing) = pool
        .install(|| pool.time(|| burn(Duration::from_millis(20))))
        .unwrap();
    assert!(
        timing.cpu >= Duration::from_millis(20) && timing.cpu < Duration::from_millis(35),
        "{timing}"
    );
}

/// Neither waking threads nor their waiting is in the time of a call that they have no part in.
#[test]
fn time_of_a_short_call_is_the_callers_alone() {
    let pool = Pool::builder().workers(2).build().unwrap();
    on_every_thread(&pool, || burn(Duration::from_millis(5)));
    for _ in 0..100 {
        let ((), timing) = pool.time(|| ());
        assert!(timing.cpu < Duration::from_millis(1), "{timing}");
        let (_, timing) = pool.time(|| burn(Duration::from_micros(200)));
        assert!(timing.parallelism() < 1.1, "{timing}");
    }
}

#[test]
fn more_workers_than_any_pool_can_have_are_an_error() {
    let error = Pool::builder().workers(usize::MAX).build().unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
    assert!(Pool::new(usize::MAX).install(|| ()).is_err());
    assert_eq!(
        Pool::new(usize::MAX).par_map_chunked(0..3, 1, |i| i),
        [0, 1, 2]
    );
}

/// The first items of a program run on cold caches; that is no reason to start threads.
#[test]
fn a_short_first_call_starts_no_thread() {
    let started = (0..200)
        .filter(|_| {
            let pool = Pool::new(2);
            let xs = vec![1.0; 1_000];
            assert_eq!(pool.par_sum_chunked(&xs, Chunking::auto()), 1_000.0);
            pool.threads.get().is_some()
        })
        .count();
    assert!(started < 20, "{started} of 200 started threads"); // the system may interrupt some of them
}

#[test]
fn helpers_come_to_a_caller_on_any_thread() {
    // From a foreign thread, from a thread of the pool, and from one of another pool.
    let pool = Pool::builder().workers(2).build().unwrap();
    let other = Pool::builder().workers(2).build().unwrap();
    let helped = || {
        (0..200).any(|_| {
            let caller = std::thread::current().id();
            let threads = pool.par_map_chunked(0..200, Chunking::size(1), |_| {
                burn(Duration::from_micros(50));
                std::thread::current().id()
            });
            threads.into_iter().any(|thread| thread != caller)
        })
    };
    assert!(helped(), "a foreign thread was never helped");
    assert!(
        pool.install(helped).unwrap(),
        "a thread of the pool was never helped"
    );
    assert!(
        other.install(helped).unwrap(),
        "a thread of another pool was never helped"
    );
}

#[test]
fn a_pool_may_be_used_by_several_callers_while_it_starts() {
    for _ in 0..20 {
        let pool = Pool::new(2);
        let (start, done) = (Barrier::new(4), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(pool.install(|| 1).unwrap(), 1);
                    done.store(true, Ordering::Relaxed);
                });
            }
        });
        assert!(done.into_inner());
        assert_eq!(on_every_thread(&pool, || ()).len(), 2);
    }
}
