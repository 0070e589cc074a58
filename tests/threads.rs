//! What a pool does to the process: when threads start, that they end, and that they cost nothing while idle.
//!
//! All of it is measured for the whole process, so this is a binary of its own with one test in it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::{Meant, eventually, meant_panic_in, num_threads, spin, started, watched};
use cpu_time::ProcessTime;
use scipar::{Chunking, Pool};

fn heavy(pool: &Pool) {
    pool.par_for_each_chunked(0..400, Chunking::auto(), |_| {
        spin(Duration::from_micros(50))
    });
}

#[test]
fn threads_start_at_need_end_with_their_pool_and_rest_when_idle() {
    watched("threads", || {
        // The test's own, its harness's and its watchdog's.
        let before = num_threads();
        making_pools_starts_nothing(before);
        small_work_starts_nothing(before);
        heavy_work_starts_what_was_asked_for(before);
        threads_end_with_their_pool(before);
        idle_threads_rest(before);
        a_spin_is_bounded(before);
    });
}

fn making_pools_starts_nothing(before: usize) {
    let pools = [1, 2, 64].map(Pool::new);
    let alone = Pool::builder().workers(1).build().unwrap();
    assert_eq!(Pool::global().num_workers(), scipar::Workers::all().count());
    assert_eq!(
        num_threads(),
        before,
        "a pool was made and has threads before its first use"
    );
    // Nor does dropping them.
    drop((pools, alone));
    assert_eq!(num_threads(), before);
}

fn small_work_starts_nothing(before: usize) {
    // A call that the system interrupts for long looks heavy, so several tries; to start threads for small work is to do so in all.
    let started_nothing = (0..20).any(|_| {
        let pool = Pool::new(2);
        // Every way to do next to nothing, on a pool that could start threads.
        for _ in 0..20 {
            for chunking in [
                Chunking::auto(),
                Chunking::size(1),
                Chunking::size(3),
                Chunking::count(8),
                Chunking::serial(),
            ] {
                assert_eq!(pool.par_map_chunked(0..3, chunking, |i| i + 1), [1, 2, 3]);
                assert_eq!(pool.par_sum_chunked(0..10, chunking), 45);
                assert_eq!(pool.par_map_chunked(0..0, chunking, |i: i32| i), [0; 0]);
            }
        }
        let after = num_threads();
        drop(pool);
        assert_ended(before, "small work");
        after == before
    });
    assert!(
        started_nothing,
        "small work started threads, twenty times out of twenty"
    );

    // Serial work, single items, single chunks, single workers, however heavy.
    let pool = Pool::new(2);
    pool.par_for_each_chunked(0..50, Chunking::serial(), |_| {
        spin(Duration::from_millis(1))
    });
    pool.par_for_each_chunked(0..1, Chunking::auto(), |_| spin(Duration::from_millis(5)));
    pool.par_for_each_chunked(0..50, Chunking::count(1), |_| {
        spin(Duration::from_millis(1))
    });
    heavy(&Pool::new(1));
    assert_eq!(num_threads(), before, "work for one started threads");
}

fn heavy_work_starts_what_was_asked_for(before: usize) {
    for workers in [2, 5] {
        let pool = Pool::new(workers);
        heavy(&pool);
        let seen = num_threads() - before;
        assert!(
            (1..=workers).contains(&seen),
            "{seen} threads for {workers} workers"
        );
        drop(pool);
        assert_ended(before, "dropping the pool");
    }
    let pool = started(3);
    assert_eq!(
        num_threads() - before,
        3,
        "`build` starts the threads at once"
    );
    drop(pool);
    assert_ended(before, "dropping a built pool");
}

/// A joined thread may be listed for a moment longer.
#[track_caller]
fn assert_ended(before: usize, after: &str) {
    assert!(
        eventually(|| num_threads() == before),
        "{} threads are left after {after}, before it {before}",
        num_threads()
    );
}

fn threads_end_with_their_pool(before: usize) {
    // After a panic.
    let pool = started(3);
    let index = meant_panic_in(|| {
        pool.par_for_each_chunked(0..100_usize, 1, |i| {
            spin(Duration::from_micros(50));
            if i == 90 {
                std::panic::panic_any(Meant(i));
            }
        });
    });
    assert_eq!(index, Some(90));
    drop(pool);
    assert_ended(before, "a panic");

    // Dropped on a thread of its own, and on one of another pool's.
    let pool = Arc::new(started(3));
    let (last, wait) = mpsc::channel::<()>();
    let own = pool.clone();
    pool.install(|| {
        rayon::spawn(move || {
            let _ = wait.recv();
            drop(own);
        });
    })
    .unwrap();
    drop(pool);
    drop(last);
    assert_ended(before, "dropping a pool on its own thread");
    let (a, b) = (started(2), started(2));
    heavy(&b);
    a.install(move || drop(b)).unwrap();
    drop(a);
    assert_ended(before, "dropping a pool on another's thread");

    // A hundred in a row, and some that the system refuses to start.
    for _ in 0..100 {
        heavy(&started(2));
    }
    assert_ended(before, "a hundred pools");
    for _ in 0..10 {
        assert!(
            Pool::builder()
                .workers(4)
                .stack_size(1 << 60)
                .build()
                .is_err()
        );
    }
    assert_ended(before, "ten pools that were refused");
}

fn idle_threads_rest(before: usize) {
    let pool = started(8);
    heavy(&pool);
    // Whatever threads do just after the work may last for some tries; burning goes on in all of them.
    let mut least = Duration::MAX;
    for _ in 0..30 {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        std::thread::sleep(Duration::from_millis(200));
        least = least.min(cpu.elapsed());
        assert!(wall.elapsed() >= Duration::from_millis(200));
        if least < Duration::from_millis(1) {
            break;
        }
    }
    assert!(
        least < Duration::from_millis(1),
        "an idle pool of 8 used {least:?} of CPU time in 200 ms"
    );
    drop(pool);
    assert_ended(before, "an idle pool");
}

/// A pool that looks for more work after a call stops looking when it was told to, and when it is dropped.
fn a_spin_is_bounded(before: usize) {
    let pool = Pool::builder()
        .workers(3)
        .spin(Duration::from_secs(3600)) // which is cut to 10 ms
        .build()
        .unwrap();
    for _ in 0..5 {
        heavy(&pool);
    }
    std::thread::sleep(Duration::from_millis(50));
    let cpu = ProcessTime::now();
    std::thread::sleep(Duration::from_millis(200));
    let burned = cpu.elapsed();
    assert!(burned < Duration::from_millis(5), "{burned:?} in 200 ms");
    heavy(&pool);
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_ended(before, "a pool that spins");
}
