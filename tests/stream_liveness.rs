//! Streams neither hang nor hold anything back: a consumer is woken by whatever concerns it, a result that is there does not
//! wait for an item that is not, and a consumer whose pool has no thread to spare computes itself.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{started, watched};
use scipar::channel::RecvTimeoutError::{Disconnected, Timeout};
use scipar::{JoinHandle, Pool, Queue, Stream};

/// Longer than any wait that a test expects to end by itself.
const LONG: Duration = Duration::from_secs(30);

/// Long against everything that a test does but its slow items.
const SLOW: Duration = Duration::from_millis(1500);

/// Short against a slow item, long against what a loaded machine takes for the others.
const SOON: Duration = Duration::from_millis(700);

// Wake-ups.

/// A consumer on a thread of the pool sleeps only while there is a thread that will wake it.
#[test]
fn a_consumer_on_a_thread_of_the_pool_is_woken() {
    watched("a consumer on a thread of the pool is woken", || {
        // With one item in flight each pump ends while its consumer falls asleep. The models in
        // `src/pool/stream/tests.rs` go through all the ways in which that can happen.
        for (workers, window, seconds) in [(2, 1, 5), (3, 1, 1), (2, 2, 1), (1, 1, 1)] {
            let pool = Arc::new(started(workers));
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(seconds) {
                let inside = pool.clone();
                let task = pool.spawn(move || {
                    let items = inside.stream(0..100_u64, |x| x);
                    items.window(window).sum::<u64>()
                });
                assert_eq!(task.join().unwrap(), 4950);
            }
        }
    });
}

// Results that are there.

/// A stream of `len` items, of which one is slow.
fn one_is_slow(pool: &Pool, len: usize, slow: usize, ordered: bool) -> Stream<'_, usize> {
    let work = move |i| {
        if i == slow {
            thread::sleep(SLOW);
        }
        i
    };
    match ordered {
        true => pool.stream(0..len, work),
        false => pool.stream_unordered(0..len, work),
    }
}

/// What a thread computes one after the other is handed over before it is all done.
#[test]
fn finished_results_do_not_wait_for_the_next_item() {
    watched("finished results do not wait for the next item", || {
        for workers in 1..=2 {
            let pool = started(workers);
            for ordered in [true, false] {
                for len in [2, 3, 8, 100, 500] {
                    let began = Instant::now();
                    let mut items = one_is_slow(&pool, len, len - 1, ordered);
                    for _ in 0..len - 1 {
                        assert!(items.next().unwrap() < len - 1);
                    }
                    let took = began.elapsed();
                    assert!(took < SOON, "{len} items, {workers} workers: {took:?}");
                    drop(items);
                }
            }
        }
    });
}

/// So does a consumer that waits for some time only get all that is there in that time.
#[test]
fn a_timeout_is_not_while_there_are_results() {
    watched("no timeout while there are results", || {
        for (workers, slow) in [(1, 499), (2, 499), (2, 448), (3, 20)] {
            let pool = started(workers);
            for ordered in [true, false] {
                let mut items = one_is_slow(&pool, 500, slow, ordered);
                let mut count = 0;
                let late = loop {
                    match items.next_timeout(Duration::from_millis(300)) {
                        Ok(_) => count += 1,
                        Err(error) => break error,
                    }
                };
                let expected = if ordered { slow } else { 499 };
                assert_eq!((late, count), (Timeout, expected), "{workers} workers");
            }
        }
    });
}

/// Without order, items that a thread has taken and not begun are computed by another one while it is busy.
#[test]
fn without_order_items_behind_a_slow_one_are_computed() {
    watched("items behind a slow one are computed", || {
        let pool = started(2);
        for len in [40, 300, 1000] {
            for slow in [0, 1, len / 2, len - 2] {
                let began = Instant::now();
                let mut items = one_is_slow(&pool, len, slow, false);
                for _ in 0..len - 1 {
                    assert_ne!(items.next(), Some(slow));
                }
                let took = began.elapsed();
                assert!(took < SOON, "item {slow} of {len}: {took:?}");
                assert_eq!(items.next(), Some(slow));
            }
        }
    });
}

/// The consumer computes on its own thread of the pool, and hands out what it has before it goes on.
#[test]
fn a_consumer_that_computes_hands_out_at_once() {
    watched("a consumer that computes hands out at once", || {
        for workers in 1..=2 {
            let pool = Arc::new(started(workers));
            for ordered in [true, false] {
                let inside = pool.clone();
                let task = pool.spawn(move || {
                    let began = Instant::now();
                    let mut items = one_is_slow(&inside, 100, 99, ordered);
                    for _ in 0..99 {
                        assert!(items.next().unwrap() < 99);
                    }
                    began.elapsed()
                });
                let took = task.join().unwrap();
                assert!(took < SOON, "{workers} workers: {took:?}");
            }
        }
    });
}

// Pools whose threads are taken.

/// A pool all of whose threads wait until a sender is dropped.
fn taken(workers: usize) -> (Pool, mpsc::Sender<()>, Vec<JoinHandle<()>>) {
    let pool = started(workers);
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let running = Arc::new(AtomicUsize::new(0));
    let tasks = (0..workers)
        .map(|_| {
            let (released, running) = (released.clone(), running.clone());
            pool.spawn(move || {
                running.fetch_add(1, SeqCst);
                let _ = released.lock().unwrap().recv();
            })
        })
        .collect();
    assert!(common::eventually(|| running.load(SeqCst) == workers));
    (pool, release, tasks)
}

/// Where all threads wait for what the consumer does after a result, the consumer computes the result.
#[test]
fn a_stream_flows_while_all_threads_of_its_pool_wait_for_its_consumer() {
    watched("a stream flows on a pool without free threads", || {
        for workers in 1..=3 {
            for ordered in [true, false] {
                for window in [1, 2, 64] {
                    let (pool, release, tasks) = taken(workers);
                    let mut items = match ordered {
                        true => pool.stream(0..100, |i| i * 2),
                        false => pool.stream_unordered(0..100, |i| i * 2),
                    }
                    .window(window);
                    for i in 0..50 {
                        assert_eq!(items.next(), Some(i * 2));
                    }
                    drop(release);
                    let mut rest: Vec<i32> = items.collect();
                    rest.sort_unstable();
                    assert!(rest.into_iter().eq((50..100).map(|i| i * 2)));
                    tasks.into_iter().for_each(|task| task.join().unwrap());
                }
            }
        }
    });
}

/// The same for streams that borrow; a scope does not wait for threads that it had no use for.
#[test]
fn a_stream_of_a_scope_flows_while_all_threads_wait() {
    watched("a scope's stream flows without free threads", || {
        for workers in 1..=3 {
            for ordered in [true, false] {
                for consumed in [0, 1, 30, 100] {
                    let (pool, release, tasks) = taken(workers);
                    let numbers: Vec<usize> = (0..100).collect();
                    pool.scope(|scope| {
                        let items = match ordered {
                            true => scope.stream(&numbers, |&i| i),
                            false => scope.stream_unordered(&numbers, |&i| i),
                        };
                        let some: Vec<usize> = items.take(consumed).collect();
                        assert!(some.into_iter().eq(0..consumed));
                    });
                    drop(release);
                    tasks.into_iter().for_each(|task| task.join().unwrap());
                }
            }
        }
    });
}

/// The same with a limit of time, and within one that is short by calling again.
#[test]
fn a_timeout_finds_results_while_all_threads_wait() {
    watched("timeouts on a pool without free threads", || {
        for workers in 1..=2 {
            for ordered in [true, false] {
                for limit in [LONG, Duration::from_millis(5), Duration::ZERO] {
                    let (pool, release, tasks) = taken(workers);
                    let mut items = match ordered {
                        true => pool.stream(0..50, |i| i),
                        false => pool.stream_unordered(0..50, |i| i),
                    };
                    let mut expected = 0;
                    loop {
                        match items.next_timeout(limit) {
                            Ok(i) => {
                                assert_eq!(i, expected);
                                expected += 1;
                            }
                            Err(Timeout) => assert!(limit < LONG),
                            Err(Disconnected) => break,
                        }
                    }
                    assert_eq!(expected, 50);
                    drop(release);
                    tasks.into_iter().for_each(|task| task.join().unwrap());
                }
            }
        }
    });
}

/// What a stream that is dropped captured is dropped with it, although no thread was there to hear of its end.
#[test]
fn a_dropped_stream_lets_go_although_no_thread_is_free() {
    watched("a dropped stream lets go", || {
        let (pool, release, tasks) = taken(2);
        let (held, hold) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let mut items = pool.stream(0..10, move |i| {
            let _whole = &held;
            i
        });
        assert_eq!(items.next(), Some(0));
        drop(items);
        assert_eq!(
            hold.recv_timeout(LONG),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
        drop(release);
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// A stream whose threads are taken by another stream that never ends.
#[test]
fn a_stream_flows_beside_an_endless_one() {
    watched("a stream beside an endless one", || {
        let pool = started(1);
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut endless = pool.stream(0_u64.., |i| i);
                while done.load(SeqCst) == 0 {
                    endless.next();
                }
            });
            for _ in 0..20 {
                assert!(pool.stream(0..1000, |i| i).eq(0..1000));
            }
            done.store(1, SeqCst);
        });
    });
}

/// Tasks get their turn on threads that are busy with a stream without end, also while its consumer sees to it that there is
/// always something to compute.
#[test]
fn a_task_runs_beside_an_endless_stream() {
    watched("a task beside an endless stream", || {
        for workers in 1..=2 {
            let pool = started(workers);
            let done = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        let mut endless = pool.stream(0_u64.., |i| i);
                        while done.load(SeqCst) == 0 {
                            endless.next();
                        }
                    });
                }
                for i in 0..10 {
                    assert_eq!(pool.spawn(move || i).join().unwrap(), i);
                }
                done.store(1, SeqCst);
            });
        }
    });
}

/// A limit of time holds on a thread of a pool too, where another thread can wait for the source.
#[test]
fn a_timeout_on_a_thread_of_the_pool_is_kept() {
    watched("a timeout on a thread of the pool is kept", || {
        let pool = Arc::new(started(2));
        let inside = pool.clone();
        let task = pool.spawn(move || {
            let requests = Queue::unbounded();
            let mut answers = inside.stream(requests.clone(), |i| i);
            for i in 0..20 {
                let late = answers.next_timeout(Duration::from_millis(5));
                assert_eq!(late, Err(Timeout));
                requests.send(i).unwrap();
                assert_eq!(answers.next_timeout(LONG), Ok(i));
            }
            requests.close();
            answers.next_timeout(LONG)
        });
        assert_eq!(task.join().unwrap(), Err(Disconnected));
    });
}
