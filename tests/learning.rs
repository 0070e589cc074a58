//! What a pool has learned of wake-ups and places is not for ever: bad days end, places change.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use common::{Seen, spin, started};
use scipar::{Chunking, Pool};

/// One call of one place: `items` items that last so long; says how many threads took part.
fn call(pool: &Pool, items: usize, time: Duration) -> usize {
    let seen = Seen::default();
    pool.par_for_each_chunked(0..items, Chunking::auto(), |_| {
        seen.note();
        spin(time);
    });
    seen.count()
}

/// Holds the pool's threads until it is dropped.
struct Held {
    over: Arc<AtomicBool>,
    tasks: Vec<scipar::JoinHandle<()>>,
}

fn hold(pool: &Pool) -> Held {
    let over = Arc::new(AtomicBool::new(false));
    let held = |_| {
        let over = Arc::clone(&over);
        pool.spawn(move || {
            while !over.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let tasks = (0..pool.num_workers()).map(held).collect();
    Held { over, tasks }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        for task in self.tasks.drain(..) {
            task.join().unwrap();
        }
    }
}

/// Tasks have the threads while sixty calls look for helpers in vain; then the threads are free
/// again.
#[test]
fn a_bad_day_is_not_for_ever() {
    let milli = Duration::from_millis(1);
    for round in 0..2 {
        let pool = started(2);
        for _ in 0..5 {
            call(&pool, 100, milli / 10);
        }
        let held = hold(&pool);
        for _ in 0..60 {
            assert_eq!(call(&pool, 20, milli), 1, "the threads are held");
        }
        drop(held);
        for (items, time) in [(100, milli / 20), (100, milli)] {
            let shared = (0..40).filter(|_| call(&pool, items, time) == 2).count();
            assert!(
                shared >= 20,
                "round {round}: {shared} of 40 calls were shared"
            );
        }
    }
}

/// Each call comes from a thread that has never called before: each looks at what it takes.
#[test]
fn fresh_threads_find_out_that_a_place_has_become_dear() {
    let pool = started(2);
    let time = AtomicU64::new(0);
    let place = || {
        let seen = Seen::default();
        pool.par_for_each_chunked(0..100, Chunking::auto(), |_| {
            seen.note();
            spin(Duration::from_micros(time.load(Relaxed)));
        });
        seen.count()
    };
    for _ in 0..100 {
        place();
    }
    time.store(200, Relaxed);
    let shared = (0..40)
        .filter(|_| std::thread::scope(|scope| scope.spawn(place).join().unwrap()) == 2)
        .count();
    assert!(shared >= 30, "{shared} of 40 calls were shared");
}

/// A hundred cheap calls, a dear one, over and over: after the first dear calls that were looked
/// at, all are.
#[test]
fn dear_calls_among_cheap_ones_are_shared() {
    let pool = started(2);
    let place = |time: Duration| {
        let seen = Seen::default();
        pool.par_for_each_chunked(0..100, Chunking::auto(), |_| {
            if time > Duration::ZERO {
                seen.note();
                spin(time);
            }
        });
        seen.count()
    };
    let mut shared = 0;
    for round in 0..60 {
        for _ in 0..100 {
            place(Duration::ZERO);
        }
        let dear = place(Duration::from_micros(200)) == 2;
        shared += usize::from(dear && round >= 20);
    }
    assert!(shared >= 30, "{shared} of 40 dear calls were shared");
}
