//! Streams with a state for each thread, and streams that are consumed on another thread than the one that made them.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use common::{Meant, quiet, spin, started, watched};
use scipar::{Pool, Stream};

/// What is noted of each state when it is made and used.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<ThreadId, Vec<usize>>>>);

impl Log {
    fn note(&self, number: usize) {
        let mut threads = self.0.lock().unwrap();
        threads
            .entry(thread::current().id())
            .or_default()
            .push(number);
    }
}

/// A state that knows where it was made, and must be used there and by one item at a time.
struct State {
    number: usize,
    thread: ThreadId,
    items: usize,
    dropped: Arc<AtomicUsize>,
}

impl State {
    fn new(number: usize, dropped: &Arc<AtomicUsize>) -> Self {
        Self {
            number,
            thread: thread::current().id(),
            items: 0,
            dropped: dropped.clone(),
        }
    }

    fn serve(&mut self) {
        assert_eq!(self.thread, thread::current().id());
        self.items += 1;
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, SeqCst);
    }
}

/// Each thread makes one state, however often pumps come and go, and keeps it until the stream is dropped.
#[test]
fn each_thread_makes_one_state() {
    watched("each thread makes one state", || {
        for workers in 1..=3 {
            for ordered in [true, false] {
                let pool = started(workers);
                let (log, dropped) = (Log::default(), Arc::new(AtomicUsize::new(0)));
                let make = {
                    let (log, dropped) = (log.clone(), dropped.clone());
                    move |number| {
                        log.note(number);
                        State::new(number, &dropped)
                    }
                };
                let work = |state: &mut State, i: u64| {
                    state.serve();
                    assert!(state.number < 4);
                    spin(Duration::from_micros(20));
                    i * 2
                };
                let mut items = match ordered {
                    true => pool.stream_with(0..500, make, work),
                    false => pool.stream_unordered_with(0..500, make, work),
                }
                .window(4);
                assert!(log.0.lock().unwrap().is_empty(), "made before it is needed");
                let mut all: Vec<u64> = items.by_ref().collect();
                all.sort_unstable();
                assert!(all.into_iter().eq((0..500).map(|i| i * 2)));
                assert_eq!(dropped.load(SeqCst), 0);
                drop(items);
                let threads = log.0.lock().unwrap();
                assert!(threads.values().all(|made| made.len() == 1));
                let mut numbers: Vec<usize> = threads.values().flatten().copied().collect();
                numbers.sort_unstable();
                assert!(numbers.iter().copied().eq(0..threads.len()));
                assert!(threads.len() <= workers + 1); // the consumer's, if it had to compute
                assert_eq!(dropped.load(SeqCst), threads.len());
            }
        }
    });
}

/// States may borrow what outlives a scope, and go with the stream.
#[test]
fn states_of_a_scope_borrow() {
    watched("states of a scope borrow", || {
        let pool = started(2);
        let text: Vec<String> = (0..300).map(|i| format!("{i} {i}")).collect();
        let separator = String::from(" ");
        let [ordered, unordered] = pool.scope(|scope| {
            let make = |_| Vec::<&str>::new();
            let work = |parts: &mut Vec<&'_ str>, line: &String| {
                parts.clear();
                parts.push(&separator);
                line.split(parts[0]).count()
            };
            [
                scope.stream_with(&text, make, work).sum::<usize>(),
                scope
                    .stream_unordered_with(&text, make, work)
                    .window(5)
                    .sum(),
            ]
        });
        assert_eq!((ordered, unordered), (600, 600));
    });
}

/// A panic in making a state comes in the place of the item that needed it, and the next item makes it anew. A panic of the
/// closure leaves the state as it is.
#[test]
fn panics_of_states_and_closures_lose_nothing() {
    quiet();
    watched("panics of states and closures", || {
        for workers in 1..=2 {
            let pool = started(workers);
            let made = Arc::new(AtomicUsize::new(0));
            let make = {
                let made = made.clone();
                move |_| {
                    if made.fetch_add(1, SeqCst) < 3 {
                        panic_any(Meant(1000));
                    }
                    0_usize
                }
            };
            let mut items = pool.stream_with(0..100_usize, make, |state, i| {
                *state += 1;
                if i % 10 == 9 {
                    panic_any(Meant(i));
                }
                i
            });
            let (mut failed, mut panicked, mut done) = (0, 0, 0);
            for i in 0..100 {
                match catch_unwind(AssertUnwindSafe(|| items.next())) {
                    Ok(item) => {
                        assert_eq!(item, Some(i));
                        done += 1;
                    }
                    Err(payload) => match payload.downcast_ref::<Meant>().unwrap().0 {
                        1000 => failed += 1,
                        index => {
                            assert!(index == i && i % 10 == 9);
                            panicked += 1;
                        }
                    },
                }
            }
            assert_eq!(items.next(), None);
            assert_eq!((failed, done + panicked), (3, 97));
            drop(items);
            assert!(made.load(SeqCst) <= 3 + workers + 1);
        }
    });
}

/// What panics in the drop of a state ends there, whoever drops it.
#[test]
fn a_state_may_panic_when_it_is_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Meant(5));
        }
    }
    quiet();
    watched("a state may panic when it is dropped", || {
        for workers in 1..=2 {
            for taken in [0, 1, 50] {
                let pool = started(workers);
                let mut items = pool.stream_with(0..50, |_| Bomb, |_, i| i);
                assert!(items.by_ref().take(taken).eq(0..taken));
                drop(items);
                assert_eq!(pool.spawn(|| 3).join().unwrap(), 3);
            }
        }
    });
}

/// An item of a stream may consume another stream with states; each has its own.
#[test]
fn streams_with_states_nest() {
    watched("streams with states nest", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let inside = pool.clone();
            let sums = pool.stream_with(
                0..20_u64,
                |worker| vec![worker; 2],
                move |outer, i| {
                    assert_eq!(outer.len(), 2);
                    let inner = inside.stream_with(0..20_u64, |_| 0, move |_, j| i * j);
                    inner.window(3).sum::<u64>()
                },
            );
            assert!(sums.eq((0..20).map(|i| 190 * i)));
        }
    });
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// A stream is consumed on another thread, partly or as a whole, and dropped there.
#[test]
fn a_stream_is_consumed_on_another_thread() {
    watched("a stream is consumed on another thread", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let mut items = is_send(pool.stream(0..1000, |i| i + 1));
            assert!(items.by_ref().take(10).eq(1..=10));
            thread::scope(|scope| {
                let half = scope.spawn(move || {
                    assert!(items.by_ref().take(490).eq(11..=500));
                    items
                });
                let rest = half.join().unwrap();
                scope.spawn(move || assert!(rest.eq(501..=1000)));
                let early = is_send(pool.stream_unordered(0.., |i: u64| i));
                scope.spawn(move || drop(early));
            });
        }
    });
}

/// So is one that borrows, on a thread that ends before the scope does.
#[test]
fn a_stream_of_a_scope_is_consumed_on_another_thread() {
    watched("a scope's stream on another thread", || {
        for workers in 1..=2 {
            let pool = started(workers);
            let numbers: Vec<u64> = (0..500).collect();
            let sum = pool.scope(|scope| {
                let items = is_send(scope.stream(&numbers, |i| i * 2));
                thread::scope(|threads| threads.spawn(|| items.sum::<u64>()).join().unwrap())
            });
            assert_eq!(sum, 249_500);
        }
    });
}

/// And by a task of the pool, which may be the only thread that there is.
#[test]
fn a_stream_is_consumed_by_a_task_of_its_pool() {
    watched("a stream is consumed by a task", || {
        for workers in 1..=2 {
            let pool = started(workers);
            for outer in [started(1), started(2)] {
                let items: Stream<'_, u64> = pool.stream(0..300, |i| i);
                let mut later = pool.stream_unordered(0..300_u64, |i| i);
                assert!(later.next().is_some());
                let sums = outer.scope(|scope| {
                    let elsewhere = scope.spawn(move || items.sum::<u64>());
                    elsewhere.join().unwrap() + pool.scope(|own| own.spawn(move || later.count() as u64).join().unwrap())
                });
                assert_eq!(sums, 44_850 + 299);
            }
        }
    });
}

/// Pools that live for ever have streams that do.
#[test]
fn a_stream_of_the_global_pool_is_static() {
    watched("a stream of the global pool", || {
        let items: Stream<'static, usize> = Pool::global().stream(0..100, |i| i);
        let thread = thread::spawn(move || items.sum::<usize>());
        assert_eq!(thread.join().unwrap(), 4950);
    });
}
