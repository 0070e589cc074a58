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

use common::{eventually, spin, watched};
use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_setaffinity};
use scipar::{Chunking, Pool, PoolBuilder, Workers};

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
        a_mask_that_on_start_sets_is_kept(&all);
        a_thread_whose_mask_is_changed_is_left_alone(&all);
        a_process_that_is_confined_stays_so(&all);
        helpers_count_all_cores_and_hand_them_on(&all);
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

fn mask(cores: &[usize]) -> CpuSet {
    let mut mask = CpuSet::new();
    cores.iter().for_each(|&core| mask.set(core));
    mask
}

fn set_mask(thread: Option<Pid>, cores: &[usize]) {
    sched_setaffinity(thread, &mask(cores)).unwrap();
}

/// Everything that makes a pool place its threads, or let them go, from one core after the other.
fn use_in_every_way(pool: &Pool, all: &[usize]) {
    for core in all {
        let caller = [*core];
        thread::scope(|scope| {
            scope.spawn(|| {
                set_mask(None, &caller); // the caller's core is the one that helpers keep off
                for _ in 0..3 {
                    heavy(pool);
                }
                pool.spawn(|| spin(Duration::from_micros(50)))
                    .join()
                    .unwrap();
                heavy(pool);
                pool.install(|| ()).unwrap();
                heavy(pool);
            });
        });
    }
}

fn a_mask_that_on_start_sets_is_kept(all: &[usize]) {
    for &core in all {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&threads);
        let pool = Pool::builder()
            .workers(3)
            .on_start(move |_| {
                set_mask(None, &[core]);
                seen.lock().unwrap().push(gettid());
            })
            .build()
            .unwrap();
        use_in_every_way(&pool, all);
        assert!(eventually(|| threads.lock().unwrap().len() == 3));
        for &thread in &*threads.lock().unwrap() {
            assert_eq!(mask_of(Some(thread)), [core], "what `on_start` has set");
        }
    }
}

fn a_thread_whose_mask_is_changed_is_left_alone(all: &[usize]) {
    for &core in all {
        let (pool, threads) = pool(Pool::builder().workers(3));
        use_in_every_way(&pool, all);
        pool.install(|| ()).unwrap(); // all have their whole mask, which is not that of one core
        let changed = threads.lock().unwrap()[&1];
        set_mask(Some(changed), &[core]);
        use_in_every_way(&pool, all);
        pool.install(|| ()).unwrap();
        for (i, &thread) in threads.lock().unwrap().iter() {
            let expected = if *i == 1 { &[core] } else { all };
            assert_eq!(mask_of(Some(thread)), expected, "thread {i}");
        }
    }
}

/// What `taskset -a -p` does.
fn confine_process(cores: &[usize]) {
    for entry in std::fs::read_dir("/proc/self/task").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // One that has ended in between has no mask.
        let _ = sched_setaffinity(Pid::from_raw(name.parse().unwrap()), &mask(cores));
    }
}

fn a_process_that_is_confined_stays_so(all: &[usize]) {
    for &core in all {
        // After calls from each core, so that helpers have been on just the one that is left as well.
        for last in 0..all.len() {
            let (pool, threads) = pool(Pool::builder().workers(3));
            use_in_every_way(&pool, &all[..=last]);
            confine_process(&[core]);
            for round in 0..3 {
                heavy(&pool);
                pool.spawn(|| ()).join().unwrap();
                pool.install(|| ()).unwrap();
                for (i, &thread) in threads.lock().unwrap().iter() {
                    assert_eq!(mask_of(Some(thread)), [core], "thread {i}, round {round}");
                }
            }
            assert_eq!(Workers::all().count(), 1);
            let inside = pool.par_map_chunked(0..200, 1, |_| {
                spin(Duration::from_micros(20));
                Workers::all().count()
            });
            assert_eq!(inside, [1; 200]);
            later_pools_stay_within(core);
            confine_process(all);
            // They are no longer the pool's to place.
            use_in_every_way(&pool, all);
            for &thread in threads.lock().unwrap().values() {
                assert_eq!(mask_of(Some(thread)), all);
            }
        }
    }
}

fn later_pools_stay_within(core: usize) {
    for builder in [
        Pool::builder(),
        Pool::builder().keep_affinity(),
        Pool::builder().pin(),
    ] {
        let (later, threads) = pool(builder.workers(2));
        heavy(&later);
        later.install(|| ()).unwrap();
        for &thread in threads.lock().unwrap().values() {
            assert_eq!(
                mask_of(Some(thread)),
                [core],
                "of a pool that started later"
            );
        }
    }
}

/// A helper is kept off one core for a while. What it counts and what it starts does not go by that.
fn helpers_count_all_cores_and_hand_them_on(all: &[usize]) {
    let (outer, _) = pool(Pool::builder().workers(3));
    let here = Workers::all().count();
    let caller = gettid();
    let started = AtomicBool::new(false);
    let narrowed = AtomicBool::new(false);
    for _ in 0..50 {
        let counts = outer.par_map_chunked(0..100, 1, |_| {
            spin(Duration::from_micros(20));
            let before = mask_of(None);
            let count = Workers::all().count();
            if gettid() != caller && before != all {
                narrowed.store(true, Ordering::Relaxed);
                if !started.swap(true, Ordering::Relaxed) {
                    let (inner, threads) = pool(Pool::builder().workers(2).keep_affinity());
                    for &thread in threads.lock().unwrap().values() {
                        assert_eq!(mask_of(Some(thread)), all, "of a pool started by a helper");
                    }
                    drop(inner);
                }
            }
            count
        });
        assert_eq!(counts, [here; 100], "counted on helpers");
    }
    let narrowed = narrowed.into_inner();
    assert!(all.len() == 1 || narrowed, "no helper was kept off a core");
}
