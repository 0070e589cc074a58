//! Calls inside calls, inside rayon, from many threads at once, and pools that end in odd places: nothing deadlocks.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use common::{Meant, chunkings, meant_panic_in, spin, started, watched};
use rayon::prelude::*;
use scipar::{Chunking, Pool, par_map_chunked, par_map_reduce_chunked};

/// Enough work that helpers come.
fn heavy(pool: &Pool, chunking: Chunking) -> u64 {
    pool.par_map_reduce_chunked(
        0..100_u64,
        chunking,
        |i| {
            spin(Duration::from_micros(20));
            i
        },
        || 0,
        |a, b| a + b,
    )
}
const HEAVY: u64 = 99 * 100 / 2;

#[test]
fn a_map_in_a_map_in_a_map_on_one_pool() {
    watched("a map in a map in a map on one pool", || {
        for workers in [1, 2, 7] {
            let pool = started(workers);
            for chunking in chunkings(12) {
                let cube = pool.par_map_chunked(0..12, chunking, |i| {
                    pool.par_map_chunked(0..12, chunking, |j| {
                        pool.par_map_chunked(0..12, chunking, |k| {
                            spin(Duration::from_micros(5));
                            i * 144 + j * 12 + k
                        })
                    })
                });
                let flat: Vec<i32> = cube.into_iter().flatten().flatten().collect();
                assert!(
                    flat.into_iter().eq(0..1728),
                    "{workers} workers, {chunking}"
                );
            }
        }
    });
}

#[test]
fn maps_in_maps_on_two_pools_and_the_global_one() {
    watched("maps in maps on two pools and the global one", || {
        let (a, b) = (started(2), started(3));
        let sums = a.par_map_chunked(0..30, Chunking::size(1), |_| {
            let inner = b.par_map_chunked(0..5, 1, |_| {
                spin(Duration::from_micros(50));
                heavy(&a, Chunking::auto())
            });
            let free = par_map_chunked(0..5, 1, |_| heavy(&b, Chunking::count(4)));
            inner.into_iter().chain(free).sum::<u64>()
        });
        assert_eq!(sums, [10 * HEAVY; 30]);
    });
}

#[test]
fn free_functions_nest_within_each_other() {
    watched("free functions nest within each other", || {
        let total = par_map_reduce_chunked(
            0..20,
            1,
            |_| {
                par_map_reduce_chunked(
                    0..20,
                    Chunking::auto(),
                    |_| heavy(Pool::global(), Chunking::auto()),
                    || 0,
                    |a, b| a + b,
                )
            },
            || 0,
            |a, b| a + b,
        );
        assert_eq!(total, 400 * HEAVY);
    });
}

/// Calls itself, a level deeper in each item.
fn deeper(pool: &Pool, level: u32) -> usize {
    if level == 0 {
        spin(Duration::from_micros(10));
        return 1;
    }
    pool.par_map_reduce_chunked(
        0..3,
        Chunking::size(1),
        |_| deeper(pool, level - 1),
        || 0,
        |a, b| a + b,
    )
}

#[test]
fn seven_levels_of_calls_end() {
    watched("seven levels of calls end", || {
        for workers in [2, 7] {
            assert_eq!(deeper(&started(workers), 7), 3_usize.pow(7));
        }
    });
}

#[test]
fn calls_from_within_rayon_code() {
    watched("calls from within rayon code", || {
        let pool = started(2);
        let (a, b) = rayon::join(
            || heavy(&pool, Chunking::auto()),
            || heavy(Pool::global(), Chunking::size(1)),
        );
        assert_eq!((a, b), (HEAVY, HEAVY));

        let total = AtomicUsize::new(0);
        rayon::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|_| {
                    _ = total.fetch_add(heavy(&pool, Chunking::count(8)) as usize, SeqCst)
                });
            }
        });
        assert_eq!(total.into_inner() as u64, 20 * HEAVY);

        let all: Vec<u64> = (0..40)
            .into_par_iter()
            .map(|_| heavy(&pool, Chunking::auto()))
            .collect();
        assert_eq!(all, [HEAVY; 40]);

        let (send, receive) = mpsc::channel();
        let shared = Arc::new(pool);
        for _ in 0..8 {
            let (send, pool) = (send.clone(), shared.clone());
            rayon::spawn(move || send.send(heavy(&pool, Chunking::size(3))).unwrap());
        }
        drop(send);
        assert_eq!(receive.iter().collect::<Vec<_>>(), [HEAVY; 8]);
    });
}

#[test]
fn rayon_code_from_within_calls() {
    watched("rayon code from within calls", || {
        let pool = started(2);
        let sums = pool.par_map_chunked(0..50_u64, 1, |i| {
            spin(Duration::from_micros(30));
            let (a, b) = rayon::join(
                || heavy(&pool, Chunking::auto()),
                || (0..100_u64).into_par_iter().map(|j| i + j).sum::<u64>(),
            );
            (a, b)
        });
        assert!(
            sums.into_iter()
                .enumerate()
                .all(|(i, (a, b))| a == HEAVY && b == 100 * i as u64 + HEAVY)
        );
    });
}

#[test]
fn calls_from_within_install() {
    watched("calls from within install", || {
        let (a, b) = (started(2), started(2));
        let nested = a
            .install(|| {
                b.install(|| {
                    a.install(|| heavy(&a, Chunking::size(1)) + heavy(&b, Chunking::size(1)))
                })
            })
            .unwrap();
        assert_eq!(nested.unwrap().unwrap(), 2 * HEAVY);
        // Rayon's code inside runs on the pool's threads, and calls of this crate within it do too.
        let total: u64 = a
            .install(|| {
                (0..50)
                    .into_par_iter()
                    .map(|_| heavy(&a, Chunking::auto()))
                    .sum()
            })
            .unwrap();
        assert_eq!(total, 50 * HEAVY);
        // All threads of the pool are taken by callers: none is left to help, and none is waited for.
        let barrier = Barrier::new(2);
        let both = a
            .install(|| {
                rayon::join(
                    || {
                        barrier.wait();
                        heavy(&a, Chunking::size(1))
                    },
                    || {
                        barrier.wait();
                        heavy(&a, Chunking::size(1))
                    },
                )
            })
            .unwrap();
        assert_eq!(both, (HEAVY, HEAVY));
    });
}

#[test]
fn a_call_does_not_wait_for_threads_that_are_busy_with_other_work() {
    watched("a call does not wait for busy threads", || {
        let pool = started(2);
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let (began, begun) = mpsc::channel();
        pool.install(|| {
            for _ in 0..2 {
                let (wait, began) = (wait.clone(), began.clone());
                rayon::spawn(move || {
                    began.send(()).unwrap();
                    let _ = wait.recv(); // ends when `release` is dropped
                });
            }
        })
        .unwrap();
        assert_eq!(begun.iter().take(2).count(), 2);
        // Both threads are held up until after these calls.
        for chunking in chunkings(100) {
            assert_eq!(heavy(&pool, chunking), HEAVY, "{chunking}");
        }
        drop(release);
    });
}

#[test]
fn many_threads_call_one_pool_at_once() {
    watched("many threads call one pool at once", || {
        let pool = started(3);
        let start = Barrier::new(16);
        std::thread::scope(|scope| {
            for caller in 0..16_u64 {
                let (pool, start) = (&pool, &start);
                scope.spawn(move || {
                    start.wait();
                    for chunking in chunkings(50) {
                        let got = pool.par_map_chunked(0..50_u64, chunking, |i| {
                            spin(Duration::from_micros(10));
                            caller * 1_000 + i
                        });
                        assert!(
                            got.into_iter().eq(caller * 1_000..caller * 1_000 + 50),
                            "{chunking}"
                        );
                    }
                });
            }
        });
    });
}

#[test]
fn many_threads_meet_the_first_use_of_a_pool() {
    watched("many threads meet the first use of a pool", || {
        for _ in 0..20 {
            let pool = Pool::new(2);
            std::thread::scope(|scope| {
                let callers: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| heavy(&pool, Chunking::auto())))
                    .collect();
                for caller in callers {
                    assert_eq!(caller.join().unwrap(), HEAVY);
                }
            });
        }
    });
}

#[test]
fn a_panic_comes_through_nested_calls() {
    watched("a panic comes through nested calls", || {
        let (a, b) = (started(2), started(2));
        let index = meant_panic_in(|| {
            a.par_for_each_chunked(0..20_usize, 1, |i| {
                b.par_for_each_chunked(0..20_usize, 1, |j| {
                    spin(Duration::from_micros(20));
                    if i >= 7 && j >= 9 {
                        std::panic::panic_any(Meant(100 * i + j));
                    }
                });
            });
        });
        assert_eq!(index, Some(709));
        assert_eq!(
            (heavy(&a, Chunking::auto()), heavy(&b, Chunking::auto())),
            (HEAVY, HEAVY)
        );
        // And through `install`, whose pool goes on.
        assert_eq!(
            meant_panic_in(|| a.install(|| std::panic::panic_any(Meant(1))).unwrap()),
            Some(1)
        );
        assert_eq!(a.install(|| 5).unwrap(), 5);
    });
}

#[test]
fn a_pool_of_sixty_four_workers_works() {
    watched("a pool of sixty-four workers works", || {
        let pool = started(64);
        for chunking in chunkings(1_000) {
            let got = pool.par_map_chunked(0..1_000, chunking, |i| {
                spin(Duration::from_micros(5));
                i
            });
            assert!(got.into_iter().eq(0..1_000), "{chunking}");
            assert_eq!(heavy(&pool, chunking), HEAVY);
        }
    });
}

#[test]
fn two_hundred_pools_come_and_go() {
    watched("two hundred pools come and go", || {
        for i in 0..200 {
            let pool = if i % 2 == 0 { started(3) } else { Pool::new(3) };
            if i % 4 < 2 {
                assert_eq!(heavy(&pool, Chunking::auto()), HEAVY);
            }
        }
    });
}

#[test]
fn dropping_a_pool_waits_for_what_runs_on_it() {
    watched("dropping a pool waits for what runs on it", || {
        let pool = started(2);
        let done = Arc::new(AtomicUsize::new(0));
        pool.install(|| {
            for _ in 0..50 {
                let done = done.clone();
                rayon::spawn(move || {
                    spin(Duration::from_micros(200));
                    done.fetch_add(1, SeqCst);
                });
            }
        })
        .unwrap();
        drop(pool);
        assert_eq!(done.load(SeqCst), 50);
    });
}

#[test]
fn a_pool_may_be_dropped_on_a_thread_of_another_pool() {
    watched("a pool may be dropped on a thread of another pool", || {
        let (a, b) = (started(2), started(2));
        assert_eq!(heavy(&b, Chunking::size(1)), HEAVY);
        a.install(move || drop(b)).unwrap();
        // Pools made, used and dropped by the items of a call.
        let sums = a.par_map_chunked(0..20, 1, |_| heavy(&started(2), Chunking::size(1)));
        assert_eq!(sums, [HEAVY; 20]);
    });
}

#[test]
fn a_pool_may_be_dropped_on_its_own_thread() {
    watched("a pool may be dropped on its own thread", || {
        for _ in 0..20 {
            let exits = Arc::new(AtomicUsize::new(0));
            let counter = exits.clone();
            let pool = Pool::builder()
                .workers(2)
                .on_exit(move |_| _ = counter.fetch_add(1, SeqCst))
                .build()
                .unwrap();
            let pool = Arc::new(pool);
            let (last, wait) = mpsc::channel::<()>();
            let (used, outcome) = mpsc::channel();
            let own = pool.clone();
            pool.install(|| {
                rayon::spawn(move || {
                    let _ = wait.recv(); // until this is the last handle
                    used.send(heavy(&own, Chunking::size(1))).unwrap();
                    drop(own);
                });
            })
            .unwrap();
            drop(pool);
            drop(last);
            assert_eq!(outcome.recv().unwrap(), HEAVY);
            assert!(
                common::eventually(|| exits.load(SeqCst) == 2),
                "the threads of a pool dropped on one of them never ended"
            );
        }
    });
}

#[test]
fn a_pool_may_be_dropped_by_whoever_of_many_callers_is_last() {
    watched("a pool may be dropped by whoever is last", || {
        for _ in 0..50 {
            let pool = Arc::new(started(2));
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let pool = pool.clone();
                    std::thread::spawn(move || heavy(&pool, Chunking::auto()))
                })
                .collect();
            drop(pool);
            for caller in callers {
                assert_eq!(caller.join().unwrap(), HEAVY);
            }
        }
    });
}

#[test]
fn time_is_measured_from_within_and_while_threads_are_busy() {
    watched("time is measured from within", || {
        let pool = started(2);
        let (sum, timing) = pool
            .install(|| pool.time(|| heavy(&pool, Chunking::size(1))))
            .unwrap();
        assert_eq!(sum, HEAVY);
        assert!(timing.cpu > Duration::ZERO);
        let (timings, outer) = pool.time(|| {
            pool.par_map_chunked(0..10, 1, |_| pool.time(|| heavy(&pool, Chunking::auto())).1)
        });
        assert!(timings.iter().all(|t| t.wall <= outer.wall));
    });
}
