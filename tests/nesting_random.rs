//! Nestings of this crate's calls, tasks and `install`, and of rayon's, as they come: nothing
//! deadlocks.
//!
//! `SCIPAR_STRESS_SECONDS=120 cargo test --release --test nesting_random` runs longer than the
//! test.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::{spin, started, watched};
use rayon::prelude::*;
use scipar::Pool;

fn nap() {
    std::thread::sleep(Duration::from_micros(300));
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}

/// Threads of rayon's call a pool whose items need a thread of rayon's.
#[test]
fn items_that_install_into_the_rayon_pool_that_calls() {
    watched("items_that_install_into_the_rayon_pool_that_calls", || {
        let (p, a) = (rayon_pool(2), started(4));
        for _ in 0..3 {
            p.install(|| {
                (0..2).into_par_iter().for_each(|_| {
                    a.par_for_each_chunked(0..20, 1, |_| {
                        nap();
                        p.install(nap);
                    });
                });
            });
        }
    });
}

/// The same between two pools of this crate.
#[test]
fn items_that_install_into_the_pool_that_calls() {
    watched("items_that_install_into_the_pool_that_calls", || {
        for workers in [1, 2, 3] {
            let (p, a) = (started(workers.max(2)), started(4));
            for _ in 0..3 {
                std::thread::scope(|scope| {
                    for _ in 0..workers {
                        scope.spawn(|| {
                            p.install(|| {
                                a.par_for_each_chunked(0..20, 1, |_| {
                                    nap();
                                    p.install(nap).unwrap();
                                });
                            })
                            .unwrap();
                        });
                    }
                });
            }
        }
    });
}

/// What a random nesting is made of.
struct World {
    pools: Vec<Pool>,
    rayons: Vec<rayon::ThreadPool>,
    done: AtomicUsize,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

impl World {
    /// Some nesting, a function of the seed; says how many leaves it has.
    fn go(&self, seed: u64, depth: u32) -> u64 {
        let mut random = Random(seed ^ 0x9E37_79B9_7F4A_7C15);
        random.below(2);
        self.done.fetch_add(1, SeqCst);
        if depth == 0 {
            match random.below(3) {
                0 => nap(),
                1 => spin(Duration::from_micros(random.below(100))),
                _ => {}
            }
            return 1;
        }
        let a = &self.pools[random.below(self.pools.len() as u64) as usize];
        let p = &self.rayons[random.below(self.rayons.len() as u64) as usize];
        let n = random.below(6);
        let inner = |i: u64| self.go(seed.wrapping_mul(31).wrapping_add(i + 1), depth - 1);
        match random.below(11) {
            0 => a.par_map_reduce_chunked(0..n, 1, inner, || 0, |x, y| x + y),
            1 => a.par_map_chunked(0..n, 1, inner).into_iter().sum(),
            2 => a.install(|| inner(0)).unwrap(),
            3 => a
                .install(|| (0..n).into_par_iter().map(inner).sum())
                .unwrap(),
            4 => p.install(|| inner(0)),
            5 => p.install(|| (0..n).into_par_iter().map(inner).sum()),
            6 => {
                let (x, y) = p.install(|| rayon::join(|| inner(0), || inner(1)));
                x + y
            }
            7 => a.scope(|scope| {
                let handles: Vec<_> = (0..n).map(|i| scope.spawn(move || inner(i))).collect();
                handles.into_iter().map(|h| h.join().unwrap()).sum()
            }),
            8 => {
                let sum = AtomicU64::new(0);
                a.scope(|scope| {
                    for i in 0..n {
                        let sum = &sum;
                        drop(scope.spawn(move || sum.fetch_add(inner(i), SeqCst)));
                    }
                });
                sum.into_inner()
            }
            9 => a.scope(|scope| scope.stream(0..n, inner).window(2).sum()),
            _ => a
                .over(0..n)
                .chunking(1)
                .map(inner)
                .unwrap()
                .into_iter()
                .sum(),
        }
    }
}

#[test]
fn random_nestings() {
    let seconds = std::env::var("SCIPAR_STRESS_SECONDS");
    let seconds = seconds.ok().and_then(|s| s.parse().ok()).unwrap_or(5.0);
    let began = Instant::now();
    let mut rounds = 0;
    let mut random = Random(1);
    while began.elapsed().as_secs_f64() < seconds {
        let world = World {
            pools: vec![started(2), Pool::new(3), started(4)],
            rayons: vec![rayon_pool(1), rayon_pool(2)],
            done: AtomicUsize::new(0),
        };
        for _ in 0..10 {
            let seeds = [random.below(1 << 30), random.below(1 << 30)];
            watched(&format!("a nesting of seeds {seeds:?}"), || {
                std::thread::scope(|scope| {
                    for seed in seeds {
                        let world = &world;
                        scope.spawn(move || {
                            let serial = world.go(seed, 4);
                            assert_eq!(serial, world.go(seed, 4));
                        });
                    }
                });
            });
            rounds += 1;
        }
    }
    println!("{rounds} rounds");
}

/// A task waits for its own stream; a pump that ends while the task looks for work is missed by
/// nobody.
#[test]
fn streams_that_are_consumed_in_tasks() {
    watched("streams_that_are_consumed_in_tasks", || {
        let p = std::sync::Arc::new(started(2));
        for window in [1, 1, 2, 3, 64] {
            for _ in 0..2_000 {
                let inner = std::sync::Arc::clone(&p);
                let sum =
                    p.spawn(move || inner.stream(0..20_u64, |x| x).window(window).sum::<u64>());
                assert_eq!(sum.join().unwrap(), 190);
            }
        }
    });
}

/// Rayon code in a task, or in an item, waits by doing other work of its pool, but no task or item:
/// what this one has of its thread, such as a `RefCell`, is not met again on top of it.
#[test]
fn rayon_inside_of_tasks_and_items_meets_no_sibling() {
    use std::cell::RefCell;
    thread_local! { static OWN: RefCell<u64> = const { RefCell::new(0) } }
    fn held() {
        OWN.with(|own| {
            let mut own = own.borrow_mut();
            let piece = |_| spin(Duration::from_micros(20));
            (0..8).into_par_iter().for_each(piece);
            *own += 1;
        });
    }
    watched("rayon_inside_of_tasks_and_items_meets_no_sibling", || {
        for workers in [2, 4] {
            let p = started(workers);
            for _ in 0..5 {
                let tasks: Vec<_> = (0..60).map(|_| p.spawn(held)).collect();
                for task in tasks {
                    task.join().unwrap();
                }
                p.install(|| p.par_for_each_chunked(0..60, 1, |_| held()))
                    .unwrap();
                p.par_for_each_chunked(0..60, 1, |_| held());
                p.scope(|scope| (0..60).for_each(|_| drop(scope.spawn(held))));
                let all = p.install(|| p.stream(0..60_u64, |_| held()).count());
                assert_eq!(all.unwrap(), 60);
                assert_eq!(p.stream_unordered(0..60_u64, |_| held()).count(), 60);
            }
        }
    });
}
