//! Where a pool's threads may run: within the mask that they were started with, off the caller's core, and nobody else's thread is touched.
//!
//! Masks belong to threads of the whole process, so this is a binary of its own with one test in it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{spin, watched};
use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_setaffinity};
use scipar::{Chunking, Pool, PoolBuilder};

fn mask_of(thread: Option<Pid>) -> Vec<usize> {
    let mask = sched_getaffinity(thread).unwrap();
    (0..CpuSet::MAX_CPU)
        .filter(|&core| mask.is_set(core))
        .collect()
}

/// A pool, and the system's numbers of its threads.
fn pool(builder: PoolBuilder) -> (Pool, Arc<Mutex<BTreeMap<usize, Pid>>>) {
    let threads = Arc::new(Mutex::new(BTreeMap::new()));
    let seen = Arc::clone(&threads);
    let pool = builder
        .on_start(move |i| {
            seen.lock().unwrap().insert(i, gettid());
        })
        .build()
        .unwrap();
    while threads.lock().unwrap().len() < pool.num_workers() {
        thread::yield_now();
    }
    (pool, threads)
}

/// A call that is worth its helpers.
fn heavy(pool: &Pool) {
    pool.par_for_each_chunked(0..200, Chunking::auto(), |_| {
        spin(Duration::from_micros(20))
    });
}

#[test]
fn only_the_pools_threads_are_placed_and_only_within_their_mask() {
    watched("affinity", || {
        let all = mask_of(None);
        callers_pools_and_bystanders(&all);
        kept_affinity_is_kept(&all);
        pinned_threads_have_a_core_each(&all);
        a_mask_of_one_core(&all);
    });
}

fn callers_pools_and_bystanders(all: &[usize]) {
    let over = AtomicBool::new(false);
    let (first, first_threads) = pool(Pool::builder().workers(3));
    let (second, second_threads) = pool(Pool::builder().workers(2));
    thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(mask_of(None), all, "a thread of nobody's");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let callers: Vec<_> = (0..3)
            .map(|i| {
                let (first, second) = (&first, &second);
                scope.spawn(move || {
                    for round in 0..30 {
                        heavy(if (i + round) % 2 == 0 { first } else { second });
                        // A call from a thread of the other pool.
                        first.par_for_each_chunked(0..4, Chunking::size(1), |_| heavy(second));
                        assert_eq!(mask_of(None), all, "a caller's");
                        thread::sleep(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        bystander.join().unwrap();
    });
    let mut placed = 0;
    for threads in [&first_threads, &second_threads] {
        for &thread in threads.lock().unwrap().values() {
            let mask = mask_of(Some(thread));
            assert!(!mask.is_empty() && mask.iter().all(|core| all.contains(core)));
            placed += usize::from(mask.len() < all.len());
        }
    }
    assert!(
        all.len() == 1 || placed > 0,
        "nobody was ever kept off a core"
    );
    // What has no caller beside it may use every core again.
    first.install(|| assert_eq!(mask_of(None), all)).unwrap();
}

fn kept_affinity_is_kept(all: &[usize]) {
    let (pool, threads) = pool(Pool::builder().workers(3).keep_affinity());
    for _ in 0..10 {
        heavy(&pool);
        for &thread in threads.lock().unwrap().values() {
            assert_eq!(mask_of(Some(thread)), all);
        }
    }
}

fn pinned_threads_have_a_core_each(all: &[usize]) {
    let (pool, threads) = pool(Pool::builder().workers(all.len() + 1).pin());
    heavy(&pool);
    for (&i, &thread) in threads.lock().unwrap().iter() {
        assert_eq!(mask_of(Some(thread)), [all[i % all.len()]], "thread {i}");
    }
    assert_eq!(mask_of(None), all, "the caller's");
}

/// Threads inherit the mask of who starts them: here one core, the caller's.
fn a_mask_of_one_core(all: &[usize]) {
    let restricted = thread::spawn({
        let core = all[0];
        move || {
            let mut one = CpuSet::new();
            one.set(core);
            sched_setaffinity(None, &one).unwrap();
            let (pool, threads) = pool(Pool::builder().workers(3));
            for _ in 0..5 {
                heavy(&pool);
                for &thread in threads.lock().unwrap().values() {
                    assert_eq!(mask_of(Some(thread)), [core]);
                }
            }
        }
    });
    restricted.join().unwrap();
    assert_eq!(mask_of(None), all);
}
