//! Payloads, items and results whose own `Drop` panics, with another one of their kind: nothing is
//! dropped twice, nothing hangs, nothing borrowed is used after its end, whatever loses a race.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use common::{Counted, Drops, eventually, started, watched};
use scipar::{CancelToken, Chunking, Outcome, Pool, Worker, as_completed};

/// Throws another one of itself when it is dropped, as deep as the number says. Owns memory, so
/// that a sanitizer sees a second drop.
#[derive(Debug)]
struct Nested(usize, Box<usize>);

fn nested(depth: usize) -> Nested {
    Nested(depth, Box::new(depth))
}

impl Drop for Nested {
    fn drop(&mut self) {
        assert_eq!(*self.1, self.0, "dropped after it was freed");
        if self.0 > 0 {
            panic_any(nested(self.0 - 1));
        }
    }
}

const DEPTHS: [usize; 4] = [1, 2, 3, 6];

/// Keeps the panics of this file off the terminal.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Nested>() {
                usual(info);
            }
        }));
    });
}

/// The depth of what `f` panics with; the payload is forgotten, as dropping it would panic here.
fn depth_of(f: impl FnOnce()) -> Option<usize> {
    let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).err()?;
    let nested = thrown.downcast::<Nested>().expect("a payload of this file");
    let depth = nested.0;
    std::mem::forget(nested);
    Some(depth)
}

/// Waits for `count` others to come here as well, for a while.
fn meet(arrived: &AtomicUsize, count: usize) {
    arrived.fetch_add(1, SeqCst);
    let began = Instant::now();
    while arrived.load(SeqCst) < count && began.elapsed() < Duration::from_millis(200) {
        std::hint::spin_loop();
    }
}

const LEN: usize = 100;

/// Runs an operation over items of which two, on different threads, panic at the same time, so that
/// one payload loses; then looks whether each item was dropped once.
fn two_that_panic(what: &str, run: impl Fn(&Pool, Vec<Counted>, &(dyn Fn(usize) + Sync))) {
    quiet();
    let mut met = 0;
    for workers in [2, 7] {
        let pool = started(workers);
        for depth in DEPTHS {
            for _ in 0..5 {
                let drops = Drops::new(LEN);
                let arrived = AtomicUsize::new(0);
                let bad = |index: usize| {
                    common::spin(Duration::from_micros(20));
                    if index >= 20 {
                        meet(&arrived, 2);
                        panic_any(nested(depth));
                    }
                };
                run(&pool, drops.all(), &bad);
                met += usize::from(arrived.load(SeqCst) >= 2);
                drops.assert_each_once(&format!("{what}, {workers} workers, {depth} deep"));
            }
        }
    }
    assert!(met > 0, "{what}: no two items ever panicked at once");
}

#[test]
fn maps_over_a_vector() {
    watched("maps_over_a_vector", || {
        two_that_panic("map", |pool, items, bad| {
            depth_of(|| drop(pool.par_map_chunked(items, 1, |item: Counted| bad(item.index))))
                .unwrap();
        });
        two_that_panic("map with results", |pool, items, bad| {
            let map = |item: Counted| {
                bad(item.index);
                item
            };
            depth_of(|| drop(pool.par_map_chunked(items, 1, map))).unwrap();
        });
        two_that_panic("for each", |pool, items, bad| {
            let each = |item: Counted| bad(item.index);
            depth_of(|| pool.par_for_each_chunked(items, 1, each)).unwrap();
        });
        two_that_panic("map by chunk", |pool, items, bad| {
            let chunk = |start: usize, _: scipar::VecChunk<'_, Counted>| bad(start);
            depth_of(|| drop(pool.par_map_by_chunk(items, 1, chunk))).unwrap();
        });
        two_that_panic("reduce", |pool, items, bad| {
            let map = |item: Counted| {
                bad(item.index);
                1
            };
            depth_of(|| _ = pool.par_map_reduce_chunked(items, 1, map, || 0, |a, b| a + b))
                .unwrap();
        });
    });
}

#[test]
fn the_long_form() {
    watched("the_long_form", || {
        two_that_panic("long map", |pool, items, bad| {
            let run = pool.over(items).chunking(1);
            let error = run.map(|item: Counted| bad(item.index)).unwrap_err();
            assert!(error.is_panic());
            drop(error); // with its payload: in vain
        });
        two_that_panic("outcomes", |pool, items, bad| {
            let run = pool.over(items).chunking(1);
            let outcomes = run.outcomes(|item: Counted| {
                bad(item.index);
                Ok::<_, ()>(())
            });
            assert!(matches!(outcomes.items[50], Outcome::Panicked(_)));
            drop(outcomes); // 80 payloads
        });
        two_that_panic("long map with states", |pool, items, bad| {
            let run = pool.over(items).chunking(1).worker_state(|_| Box::new(1));
            let error = run.map(|_, item: Counted| bad(item.index)).unwrap_err();
            drop(error);
        });
    });
}

/// The error with the higher index loses, and the panic against an error that comes before it.
#[test]
fn errors_that_lose() {
    watched("errors_that_lose", || {
        two_that_panic("errors", |pool, items, bad| {
            let map = |item: Counted| match item.index {
                index if index < 20 => {
                    bad(index);
                    Ok(())
                }
                index => {
                    let _ = depth_of(|| bad(index));
                    Err(nested(0))
                }
            };
            assert!(pool.par_try_map_chunked(items, 1, map).is_err());
        });
        for depth in DEPTHS {
            let pool = started(2);
            let drops = Drops::new(LEN);
            let arrived = AtomicUsize::new(0);
            let map = |item: Counted| match item.index {
                20 => {
                    meet(&arrived, 2);
                    panic_any(nested(depth))
                }
                21 => {
                    meet(&arrived, 2);
                    Err(nested(depth))
                }
                _ => {
                    common::spin(Duration::from_micros(20));
                    Ok(())
                }
            };
            let panicked = depth_of(|| {
                if let Err(error) = pool.par_try_map_chunked(drops.all(), 1, map) {
                    std::mem::forget(error);
                }
            });
            assert_eq!(panicked, Some(depth));
            drops.assert_each_once(&"an error that loses against a panic");
        }
    });
}

/// On a thread of the pool the end of a scope runs tasks itself; what they throw must not end the
/// wait for those that still use the stack.
#[test]
fn scopes_on_a_thread_of_the_pool() {
    watched("scopes_on_a_thread_of_the_pool", || {
        quiet();
        for depth in DEPTHS {
            for _ in 0..20 {
                let pool = Pool::builder().workers(2).build().unwrap();
                let own = vec![1_u64; 1000];
                let scoped = || {
                    pool.scope(|scope| {
                        for _ in 0..4 {
                            drop(scope.spawn(|| panic_any(nested(depth))));
                        }
                        drop(scope.spawn(|| {
                            common::spin(Duration::from_millis(1));
                            assert_eq!(own.iter().sum::<u64>(), 1000);
                        }));
                    });
                };
                let borrowed = AtomicUsize::new(0);
                let ended = AtomicBool::new(false);
                let raised = pool.install(|| {
                    depth_of(|| {
                        let stack = vec![1_u64; 1000];
                        let _after = Ended(&ended);
                        pool.scope(|scope| {
                            for _ in 0..4 {
                                drop(scope.spawn(|| panic_any(nested(depth))));
                            }
                            for _ in 0..2 {
                                drop(scope.spawn(|| {
                                    common::spin(Duration::from_millis(1));
                                    assert!(!ended.load(SeqCst), "the scope ended before its task");
                                    borrowed.fetch_add(stack.iter().sum::<u64>() as usize, SeqCst);
                                }));
                            }
                        });
                    })
                });
                assert_eq!(raised.unwrap(), Some(depth));
                assert_eq!(borrowed.into_inner(), 2000);
                assert_eq!(depth_of(scoped), Some(depth));
            }
        }
    });
}

struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn tasks_whose_handles_are_dropped() {
    watched("tasks_whose_handles_are_dropped", || {
        quiet();
        for depth in DEPTHS {
            let pool = Pool::builder().workers(2).build().unwrap();
            for _ in 0..20 {
                drop(pool.spawn(move || panic_any(nested(depth)))); // the payload goes
                drop(pool.spawn(move || nested(depth))); // the result goes
                let handle = pool.spawn(move || panic_any(nested(depth)));
                assert!(handle.join().unwrap_err().is_panic());
                let all: Vec<_> = (0..4)
                    .map(|_| pool.spawn(move || panic_any(nested(depth))))
                    .collect();
                let mut some = as_completed::<()>(all);
                assert!(some.next().unwrap().1.is_err());
                drop(some);
            }
            let (gate, closed) = std::sync::mpsc::channel::<()>();
            let closed = Mutex::new(closed);
            let closed = Arc::new(closed);
            let blocking: Vec<_> = (0..2)
                .map(|_| {
                    let closed = Arc::clone(&closed);
                    pool.spawn(move || _ = closed.lock().unwrap().recv())
                })
                .collect();
            let captured = nested(depth);
            let waiting = pool.spawn(move || std::mem::forget(captured));
            assert_eq!(depth_of(|| _ = waiting.cancel()), Some(depth - 1));
            for _ in 0..4 {
                let captured = nested(depth);
                drop(pool.spawn(move || {
                    let _ = &captured;
                }));
            }
            drop(gate);
            for handle in blocking {
                handle.join().unwrap();
            }
            pool.shutdown_now(); // what has not started is dropped, on the pool's threads
        }
    });
}

#[test]
fn streams() {
    watched("streams", || {
        quiet();
        for depth in DEPTHS {
            for take in [0, 1, 5, 40] {
                let pool = Pool::builder().workers(2).build().unwrap();
                // Results whose drops panic, from closures that panic, over items whose drops
                // panic.
                let ordered = pool.stream(0..1000, move |i: usize| match i % 3 {
                    0 => panic_any(nested(depth)),
                    _ => nested(depth),
                });
                consume(ordered.window(16), take);
                let items = std::iter::repeat_with(move || nested(depth)).take(1000);
                let unordered = pool.stream_unordered(items, |item: Nested| {
                    common::spin(Duration::from_micros(10));
                    std::mem::forget(item);
                });
                consume(unordered.window(64), take);
                let own = nested(depth); // one: two would abort in any Rust program
                let closure = pool.stream(0..100, move |i| {
                    let _ = &own;
                    i
                });
                consume(closure, take);
                let text = String::from("borrowed");
                let raised = depth_of(|| {
                    pool.scope(|scope| {
                        let items = std::iter::repeat_with(|| nested(depth)).take(1000);
                        let stream = scope.stream(items, |item: Nested| (text.len(), item));
                        consume(stream.window(16), take);
                    });
                });
                assert_eq!(raised, None);
                struct Source(#[expect(dead_code, reason = "is dropped")] Nested);
                impl Iterator for Source {
                    type Item = usize;
                    fn next(&mut self) -> Option<usize> {
                        None
                    }
                }
                let mut ending = pool.stream(Source(nested(depth)), |i| i);
                assert_eq!(depth_of(|| _ = ending.next()), Some(depth - 1));
            }
        }
    });
}

/// Takes some results, forgetting them, and drops the stream, which never unwinds.
fn consume<R>(mut stream: scipar::Stream<'_, R>, take: usize) {
    for _ in 0..take {
        let _ = depth_of(|| std::mem::forget(stream.next()));
    }
    assert_eq!(depth_of(|| drop(stream)), None);
}

#[test]
fn workers() {
    watched("workers", || {
        quiet();
        for depth in DEPTHS {
            let worker = Worker::spawn(move |_| panic_any(nested(depth)));
            drop(worker.join().unwrap_err());
            drop(Worker::spawn(move |_| panic_any(nested(depth))));
            let over = Arc::new(());
            let weak = Arc::downgrade(&over);
            Worker::spawn(move |_| {
                let _over = over;
                panic_any(nested(depth))
            })
            .detach();
            assert!(eventually(|| weak.upgrade().is_none()));
            Worker::spawn(move |_| nested(depth)).detach();
            // Its result is there before it is let go.
            for detach in [true, false] {
                let over = Worker::spawn(move |_| nested(depth));
                assert!(eventually(|| !over.is_alive()));
                if detach {
                    over.detach();
                } else {
                    drop(over);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20)); // for an abort of a detached one
    });
}

/// The listener's panic, beside those of items.
#[test]
fn listeners() {
    watched("listeners", || {
        quiet();
        for depth in DEPTHS {
            let pool = started(2);
            let drops = Drops::new(LEN);
            let run = pool
                .over(drops.all())
                .chunking(Chunking::size(1))
                .cancel_on(&CancelToken::new())
                .progress(|_| panic_any(nested(depth)));
            let result = run.map(|item: Counted| {
                common::spin(Duration::from_millis(1));
                item
            });
            assert!(result.unwrap_err().is_panic());
            drops.assert_each_once(&"a listener that panics");
        }
    });
}
