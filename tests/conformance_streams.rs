//! Streams against what users of `imap` and `imap_unordered` know, and against what the manual of streams promises beyond: each test names the
//! behaviour that it checks.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Counted, Drops, Meant, eventually, meant_panic_in, quiet, spin, started, watched};
use scipar::channel::RecvTimeoutError::{Disconnected, Timeout};
use scipar::{Pool, Queue, Stream, wait_all};

/// Longer than any wait that a test expects to end by itself.
const LONG: Duration = Duration::from_secs(30);

/// The next result, or the index of the panic that came in its place.
#[track_caller]
fn next<R>(stream: &mut Stream<'_, R>) -> Option<Result<R, usize>> {
    match catch_unwind(AssertUnwindSafe(|| stream.next())) {
        Ok(result) => result.map(Ok),
        Err(payload) => Some(Err(payload.downcast_ref::<Meant>().expect("meant").0)),
    }
}

/// Says when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn new() -> (Self, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (Self(dropped.clone()), dropped)
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

// Order, ends, lengths.

/// imap: the results of all items, in their order, however long each takes.
#[test]
fn results_come_in_the_order_of_the_items() {
    watched("results come in the order of the items", || {
        for workers in 1..=4 {
            let pool = started(workers);
            for window in [1, 2, 3, 17, 1000] {
                let items = pool.stream(0..300_u64, |i| {
                    spin(Duration::from_micros(i * 7919 % 30));
                    i * i
                });
                assert!(
                    items.window(window).eq((0..300).map(|i| i * i)),
                    "{workers} workers, window {window}"
                );
            }
            // Short items, which are computed many at a time.
            assert!(pool.stream(0..20_000, |i| i + 1).eq(1..=20_000));
        }
    });
}

/// imap_unordered: the same results, in whatever order.
#[test]
fn without_order_the_results_are_the_same() {
    watched("without order the results are the same", || {
        for workers in 1..=4 {
            let pool = started(workers);
            for window in [1, 2, 64] {
                let items = pool.stream_unordered(0..500_usize, |i| {
                    spin(Duration::from_micros(i as u64 * 31 % 20));
                    i
                });
                let mut seen = vec![false; 500];
                for i in items.window(window) {
                    assert!(!std::mem::replace(&mut seen[i], true), "{i} came twice");
                }
                assert!(seen.into_iter().all(|seen| seen));
            }
        }
    });
}

/// imap_unordered: what is ready is not held up by an item before it.
#[test]
fn without_order_nothing_waits_for_a_slow_item() {
    watched("without order nothing waits for a slow item", || {
        let pool = started(2);
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let mut items = pool
            .stream_unordered(0..40, move |i| {
                if i == 0 {
                    let _ = released.lock().unwrap().recv();
                }
                spin(Duration::from_micros(200));
                i
            })
            .window(8);
        // The window bounds what is in flight, not how far ahead of the slow item the others may be.
        let first: Vec<i32> = items.by_ref().take(39).collect();
        assert!(!first.contains(&0));
        drop(release);
        assert_eq!(items.next(), Some(0));
        assert_eq!(items.next(), None);
    });
}

/// An iterator that has ended stays so, and its source is not asked again.
#[test]
fn an_ended_stream_stays_ended() {
    watched("an ended stream stays ended", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for len in [0, 1, 2, 100] {
                let mut left = len;
                let source = std::iter::from_fn(move || {
                    assert!(left < usize::MAX, "asked again after its end");
                    left = left.wrapping_sub(1);
                    (left < usize::MAX).then_some(left)
                });
                let mut items = pool.stream(source, |i| i);
                assert_eq!(items.by_ref().count(), len);
                for _ in 0..3 {
                    assert_eq!(items.next(), None);
                }
            }
            assert_eq!(pool.stream(Vec::<u8>::new(), |x| x).next(), None);
            assert_eq!(pool.stream_unordered([0; 0], |x: u8| x).count(), 0);
        }
    });
}

/// imap of an endless iterator gives as much as one asks for.
#[test]
fn a_source_may_be_endless() {
    watched("a source may be endless", || {
        for workers in 1..=3 {
            let pool = started(workers);
            assert!(pool.stream(0.., |i| i).take(10_000).eq(0..10_000));
            assert!(pool.stream(0.., |i| i).window(1).take(100).eq(0..100));
            let some = pool.stream_unordered(0..=u64::MAX, |i| i);
            assert_eq!(some.take(1000).count(), 1000);
        }
    });
}

#[test]
#[should_panic(expected = "a window of no items")]
fn a_window_of_nothing_is_refused() {
    let pool = Pool::new(1);
    let _ = pool.stream(0..3, |i| i).window(0);
}

// Laziness and the window.

/// Nothing is taken before the first result is asked for, which imap does not promise and this does.
#[test]
fn a_stream_does_nothing_before_it_is_asked() {
    watched("a stream does nothing before it is asked", || {
        let pool = started(2);
        let taken = Arc::new(AtomicUsize::new(0));
        for ask in [false, true] {
            taken.store(0, SeqCst);
            let counter = taken.clone();
            let (flag, dropped) = Flag::new();
            let source = (0..100).inspect(move |_| {
                let _whole = &flag;
                counter.fetch_add(1, SeqCst);
            });
            let mut items = pool.stream(source, |i| i);
            thread::sleep(Duration::from_millis(30));
            assert_eq!(taken.load(SeqCst), 0);
            if ask {
                assert_eq!(items.next(), Some(0));
                assert!(taken.load(SeqCst) > 0);
            }
            drop(items);
            assert!(dropped.load(SeqCst), "the source is still there");
        }
    });
}

/// buffersize: no more is taken than the window allows, however slow the consumer is, and whatever the order.
#[test]
fn no_more_items_are_in_flight_than_the_window_allows() {
    watched("no more in flight than the window allows", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for (window, ordered) in [(1, true), (2, false), (5, true), (64, false), (64, true)] {
                let (taken, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                // Results that were asked for: the last may be on its way out.
                let asked = Arc::new(AtomicUsize::new(0));
                let source = (0..600_usize).inspect({
                    let (taken, most, asked) = (taken.clone(), most.clone(), asked.clone());
                    move |_| {
                        let taken = taken.fetch_add(1, SeqCst) + 1;
                        most.fetch_max(taken.saturating_sub(asked.load(SeqCst)), SeqCst);
                    }
                });
                let work = |i| {
                    spin(Duration::from_micros(3));
                    i
                };
                let mut items = match ordered {
                    true => pool.stream(source, work),
                    false => pool.stream_unordered(source, work),
                }
                .window(window);
                let mut count = 0;
                loop {
                    asked.fetch_add(1, SeqCst);
                    if items.next().is_none() {
                        break;
                    }
                    count += 1;
                    if count % 100 == 0 {
                        thread::sleep(Duration::from_millis(5)); // back-pressure
                        assert!(taken.load(SeqCst) <= count + window);
                    }
                }
                assert_eq!(count, 600);
                let most = most.load(SeqCst);
                assert!(most <= window, "{most} in flight, window {window}");
            }
        }
    });
}

/// "128 per worker by default".
#[test]
fn the_window_has_a_bound_by_default() {
    watched("the window has a bound by default", || {
        let pool = started(2);
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let source = (0..).inspect(move |_| _ = counter.fetch_add(1, SeqCst));
        let mut items = pool.stream(source, |i: u64| i);
        assert_eq!(items.next(), Some(0));
        thread::sleep(Duration::from_millis(50));
        assert!(taken.load(SeqCst) <= 257, "{taken:?}");
    });
}

/// "With 1, one item is computed after the other."
#[test]
fn with_a_window_of_one_items_are_computed_one_after_the_other() {
    watched("a window of one", || {
        let pool = started(3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (running, highest) = (now.clone(), most.clone());
        let items = pool.stream(0..200, move |i| {
            highest.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            spin(Duration::from_micros(20));
            running.fetch_sub(1, SeqCst);
            i
        });
        assert!(items.window(1).eq(0..200));
        assert_eq!(most.load(SeqCst), 1);
    });
}

/// As many items are computed at once as there are threads.
#[test]
fn all_threads_compute_dear_items() {
    watched("all threads compute dear items", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let together = Arc::new(Barrier::new(workers));
            let items = pool.stream(0..4 * workers, move |i| {
                together.wait();
                spin(Duration::from_millis(1));
                i
            });
            assert!(items.eq(0..4 * workers));
        }
    });
}

/// The source is asked by one thread at a time.
#[test]
fn a_source_is_asked_by_one_thread_at_a_time() {
    watched("a source is asked by one thread at a time", || {
        let pool = started(3);
        let busy = AtomicBool::new(false);
        let mut next = 0;
        let source = std::iter::from_fn(move || {
            assert!(!busy.swap(true, SeqCst));
            spin(Duration::from_micros(5));
            busy.store(false, SeqCst);
            next += 1;
            Some(next)
        });
        let items = pool.stream(source, |i| {
            spin(Duration::from_micros(20));
            i
        });
        assert!(items.take(1000).eq(1..=1000));
    });
}

// Slow sources.

/// A source that gives the next item only when the results of all before have been seen, in rounds of so many items.
fn in_step(workers: usize, round: usize, ordered: bool, cost: Duration) {
    let pool = started(workers);
    let requests = Queue::unbounded();
    let work = move |i: usize| {
        spin(cost);
        i
    };
    let mut answers = match ordered {
        true => pool.stream(requests.clone(), work),
        false => pool.stream_unordered(requests.clone(), work),
    };
    for first in (0..20 * round).step_by(round) {
        for i in first..first + round {
            requests.send(i).unwrap();
        }
        let mut seen: Vec<usize> = answers.by_ref().take(round).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(first..first + round));
    }
    requests.close();
    assert_eq!(answers.next(), None);
}

/// imap over a queue that the consumer feeds: a result does not wait for the items behind it.
#[test]
fn a_stream_gives_the_results_of_all_items_that_its_source_gave() {
    watched("a stream gives all results that there are", || {
        for workers in 1..=3 {
            for round in [1, 2, 3, 7, 40] {
                for cost in [0, 50, 2000] {
                    if cost * round < 10_000 {
                        in_step(workers, round, true, Duration::from_micros(cost as u64));
                        in_step(workers, round, false, Duration::from_micros(cost as u64));
                    }
                }
            }
        }
    });
}

/// A source that waits until its consumer has seen the result before, for seconds at most: nobody has to.
#[test]
fn results_of_a_slow_source_come_long_before_its_next_item() {
    watched("results of a slow source come promptly", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let (seen, see) = mpsc::channel();
            let mut next = 0;
            let source = std::iter::from_fn(move || {
                if next > 0 {
                    see.recv_timeout(Duration::from_secs(10))
                        .expect("the result before was seen");
                }
                thread::sleep(Duration::from_millis(1));
                next += 1;
                (next <= 30).then_some(next)
            });
            let mut items = pool.stream(source, |i| i * 2);
            for i in 1..=30 {
                assert_eq!(items.next(), Some(i * 2));
                seen.send(()).unwrap();
            }
            assert_eq!(items.next(), None);
        }
    });
}

/// The same where the consumer is fast and items come in bursts: what came before a pause is there during it.
#[test]
fn results_of_a_burst_come_before_the_next_burst() {
    watched("results of a burst come before the next", || {
        let pool = started(2);
        let seen = Arc::new(AtomicUsize::new(0));
        let (watched, mut given) = (seen.clone(), 0_usize);
        let source = std::iter::from_fn(move || {
            // A burst is 25 items; before the next one all of it has to be seen.
            if given.is_multiple_of(25) {
                assert!(eventually(|| watched.load(SeqCst) == given));
            }
            given += 1;
            (given <= 500).then_some(given)
        });
        for _ in pool.stream(source, |i| i) {
            seen.fetch_add(1, SeqCst);
        }
        assert_eq!(seen.load(SeqCst), 500);
    });
}

/// The iterator of imap has a `next` with a timeout: nothing is lost where the time is over.
#[test]
fn a_result_that_is_not_there_in_time_comes_later() {
    quiet();
    watched("a result that is not there in time comes later", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let (release, released) = mpsc::channel::<()>();
            let released = Mutex::new(released);
            let mut items = pool.stream(0..4_usize, move |i| match i {
                1 => {
                    let _ = released.lock().unwrap().recv();
                    i
                }
                2 => panic_any(Meant(2)),
                _ => i,
            });
            assert_eq!(items.next_timeout(LONG), Ok(0));
            for _ in 0..3 {
                let start = Instant::now();
                let late = items.next_timeout(Duration::from_millis(20)).unwrap_err();
                assert!(late == Timeout && start.elapsed() >= Duration::from_millis(20));
                assert!(start.elapsed() < Duration::from_secs(5));
            }
            assert_eq!(items.next_timeout(Duration::ZERO), Err(Timeout));
            drop(release);
            assert_eq!(items.next_timeout(Duration::MAX), Ok(1));
            assert_eq!(next(&mut items), Some(Err(2)));
            assert_eq!(items.next_timeout(LONG), Ok(3));
            assert_eq!(items.next_timeout(LONG), Err(Disconnected));
            assert_eq!(items.next(), None);
        }
        // A source that blocks is no result either.
        let pool = started(2);
        let requests = Queue::unbounded();
        let mut answers = pool.stream(requests.clone(), |i| i);
        for i in 0..10 {
            let late = answers.next_timeout(Duration::from_millis(5));
            assert_eq!(late, Err(Timeout));
            requests.send(i).unwrap();
            assert_eq!(answers.next_timeout(LONG), Ok(i));
        }
        requests.close();
        assert_eq!(answers.next_timeout(LONG), Err(Disconnected));
    });
}

// Early ends.

/// "Dropping the stream stops it and waits for the items that are being computed": afterwards nothing runs, and source, items and results are gone.
#[test]
fn an_early_drop_waits_for_what_is_being_computed() {
    watched("an early drop waits", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for consumed in 0..30 {
                let running = Arc::new(AtomicUsize::new(0));
                let (flag, dropped) = Flag::new();
                let source = (0..10_000).inspect(move |_| {
                    let _whole = &flag;
                });
                let counter = running.clone();
                let mut items = pool.stream(source, move |i| {
                    counter.fetch_add(1, SeqCst);
                    spin(Duration::from_micros(50));
                    counter.fetch_sub(1, SeqCst);
                    i
                });
                assert!(items.by_ref().take(consumed).eq(0..consumed));
                drop(items);
                assert_eq!(running.load(SeqCst), 0, "something is still computed");
                assert!(dropped.load(SeqCst), "the source is still there");
            }
        }
    });
}

/// Nothing is lost and nothing dropped twice, however early the stream ends.
#[test]
fn every_item_is_dropped_exactly_once() {
    quiet();
    watched("every item is dropped exactly once", || {
        for workers in 1..=3 {
            for consumed in [0, 1, 5, 100, 199, 200, 201] {
                let drops = Drops::new(200);
                let pool = started(workers);
                let mut items = pool
                    .stream(drops.all(), |counted: Counted| {
                        if counted.index % 50 == 49 {
                            panic_any(Meant(counted.index));
                        }
                        counted
                    })
                    .window(32);
                for _ in 0..consumed {
                    if next(&mut items).is_none() {
                        break;
                    }
                }
                drop(items);
                drop(pool);
                drops.assert_each_once(&format_args!("{consumed} consumed"));
            }
        }
    });
}

/// A consumer that panics drops its stream as any other end of it does.
#[test]
fn a_consumer_may_panic() {
    watched("a consumer may panic", || {
        let pool = started(2);
        let (flag, dropped) = Flag::new();
        let index = meant_panic_in(|| {
            let source = (0..1000).inspect(move |_| {
                let _whole = &flag;
            });
            for i in pool.stream(source, |i| i) {
                if i == 30 {
                    panic_any(Meant(i));
                }
            }
        });
        assert_eq!(index, Some(30));
        assert!(dropped.load(SeqCst));
        assert!(pool.stream(0..10, |i| i).eq(0..10));
    });
}

// Panics.

/// imap: an exception comes in the place of its item, all results before are delivered, and those behind are still to be had.
#[test]
fn a_panic_of_the_closure_comes_in_the_place_of_its_item() {
    quiet();
    watched("a panic comes in the place of its item", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for window in [1, 4, 500] {
                for panics in [
                    |i: usize| i == 0,
                    |i: usize| i == 77,
                    |i: usize| i == 149,
                    |i: usize| i.is_multiple_of(3),
                    |_: usize| true,
                ] {
                    let mut items = pool
                        .stream(0..150_usize, move |i| {
                            if panics(i) {
                                panic_any(Meant(i));
                            }
                            i
                        })
                        .window(window);
                    for i in 0..150 {
                        let expected = if panics(i) { Err(i) } else { Ok(i) };
                        assert_eq!(next(&mut items), Some(expected));
                    }
                    assert_eq!(next(&mut items), None);
                }
            }
        }
    });
}

/// imap_unordered: each exception once, each result once.
#[test]
fn without_order_panics_are_among_the_results() {
    quiet();
    watched("without order panics are among the results", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let mut items = pool.stream_unordered(0..200_usize, |i| {
                if i.is_multiple_of(4) {
                    panic_any(Meant(i));
                }
                i
            });
            let mut seen = vec![false; 200];
            while let Some(result) = next(&mut items) {
                let (Ok(i) | Err(i)) = result;
                assert_eq!(result.is_err(), i.is_multiple_of(4));
                assert!(!std::mem::replace(&mut seen[i], true));
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    });
}

/// imap: an exception of the iterable comes after the results of all items before it, and is the end.
#[test]
fn a_panic_of_the_source_comes_after_all_items_before() {
    quiet();
    watched("a panic of the source comes after all before", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for (at, window) in [(0, 3), (1, 1), (50, 7), (333, 1000)] {
                let source = (0..1000_usize).inspect(move |&i| {
                    if i == at {
                        panic_any(Meant(i));
                    }
                });
                let (flag, dropped) = Flag::new();
                let source = source.inspect(move |_| {
                    let _whole = &flag;
                });
                let mut items = pool
                    .stream(source, |i| {
                        spin(Duration::from_micros(5));
                        i
                    })
                    .window(window);
                for i in 0..at {
                    assert_eq!(next(&mut items), Some(Ok(i)));
                }
                assert_eq!(next(&mut items), Some(Err(at)));
                assert_eq!(next(&mut items), None);
                assert_eq!(next(&mut items), None);
                drop(items);
                assert!(dropped.load(SeqCst));
            }
            // Without order it comes once, with every result.
            let source = (0..1000_usize).inspect(|&i| {
                if i == 100 {
                    panic_any(Meant(i));
                }
            });
            let mut items = pool.stream_unordered(source, |i| i);
            let all: Vec<_> = std::iter::from_fn(|| next(&mut items)).collect();
            assert_eq!(all.len(), 101);
            assert_eq!(all.iter().filter(|result| result.is_err()).count(), 1);
        }
    });
}

/// The drop of a source, which comes with its end, is the user's as well.
#[test]
fn a_source_may_panic_when_it_is_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic_any(Meant(9));
            }
        }
    }
    quiet();
    watched("a source may panic when it is dropped", || {
        let pool = started(2);
        let bomb = Bomb;
        let source = (0..20).inspect(move |_| {
            let _whole = &bomb;
        });
        let mut items = pool.stream(source, |i| i);
        for i in 0..20 {
            assert_eq!(next(&mut items), Some(Ok(i)));
        }
        assert_eq!(next(&mut items), Some(Err(9)));
        assert_eq!(next(&mut items), None);
        drop(items);
        // The closure's drop, with or without a result fetched.
        for consumed in [0, 1, 20] {
            let bomb = Bomb;
            let mut items = pool.stream(0..20, move |i| {
                let _whole = &bomb;
                i
            });
            assert!(items.by_ref().take(consumed).eq(0..consumed));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(items)));
        }
        assert_eq!(pool.spawn(|| 3).join().unwrap(), 3);
    });
}

// Streams on the pool's own threads.

/// All threads of a pool are consumers of its streams: they compute the items themselves.
#[test]
fn tasks_on_all_threads_may_consume_streams() {
    watched("tasks on all threads consume streams", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let together = Arc::new(Barrier::new(workers));
            let tasks: Vec<_> = (0..2 * workers)
                .map(|t| {
                    let (inside, together) = (pool.clone(), together.clone());
                    pool.spawn(move || {
                        together.wait();
                        let ordered = inside.stream(0..200, move |i| {
                            spin(Duration::from_micros(5));
                            i * t
                        });
                        assert!(ordered.window(10).eq((0..200).map(|i| i * t)));
                        inside
                            .stream_unordered(0..200, move |i| i * t)
                            .sum::<usize>()
                    })
                })
                .collect();
            for (t, result) in wait_all(tasks).into_iter().enumerate() {
                assert_eq!(result.unwrap(), 19_900 * t);
            }
        }
    });
}

/// A stream whose closure consumes a stream, whose closure spawns a task and joins it, all on one pool.
#[test]
fn streams_nest() {
    watched("streams nest", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let outside = pool.clone();
            let sums = pool.stream(0..20_usize, move |i| {
                let inside = outside.clone();
                let inner = outside.stream(0..20_usize, move |j| {
                    let task = inside.spawn(move || i * j);
                    task.join().unwrap()
                });
                inner.window(4).sum::<usize>()
            });
            assert!(sums.eq((0..20).map(|i| 190 * i)));
        }
    });
}

/// A stream may be the source of another one.
#[test]
fn a_stream_of_a_stream_is_in_order() {
    watched("a stream of a stream is in order", || {
        // The second source holds a thread while it waits, as every source that blocks.
        for workers in 2..=3 {
            let pool = started(workers);
            let pool = &pool;
            let (send, receive) = mpsc::sync_channel(4);
            thread::scope(|scope| {
                let second = pool.stream(receive, |i| i * 2);
                scope.spawn(move || {
                    for i in pool.stream(0..500, |i| i + 1) {
                        send.send(i).unwrap();
                    }
                });
                assert!(second.eq((1..=500).map(|i| i * 2)));
            });
        }
    });
}

/// Several consumers share the threads of a pool, on their own threads.
#[test]
fn several_streams_share_a_pool() {
    watched("several streams share a pool", || {
        for workers in 1..=2 {
            let pool = started(workers);
            thread::scope(|scope| {
                for t in 0..4 {
                    let pool = &pool;
                    scope.spawn(move || {
                        let items = pool.stream(0..1000, move |i| i * t);
                        assert!(items.window(5).eq((0..1000).map(|i| i * t)));
                    });
                }
            });
            // Taken in turns by one consumer; one that is left alone holds no thread.
            let mut streams: Vec<_> = (0..5)
                .map(|t| pool.stream(0..100, move |i| i * t).window(3))
                .collect();
            for i in 0..100 {
                for (t, stream) in streams.iter_mut().enumerate() {
                    assert_eq!(stream.next(), Some(i * t));
                }
                assert_eq!(pool.spawn(move || i).join().unwrap(), i);
            }
        }
    });
}

/// A consumer within a task feeds the source: it has the results of what the source gave, and is not asked itself for the next item.
#[test]
fn a_task_may_feed_the_source_of_the_stream_that_it_consumes() {
    watched("a task feeds the source of its stream", || {
        for workers in 2..=3 {
            let pool = Arc::new(started(workers));
            let inside = pool.clone();
            let task = pool.spawn(move || {
                let requests = Queue::unbounded();
                let mut answers = inside.stream(requests.clone(), |i| {
                    spin(Duration::from_millis(5)); // meanwhile the consumer must not wait for the source
                    i
                });
                for i in 0..20 {
                    requests.send(i).unwrap();
                    thread::sleep(Duration::from_millis(1)); // so that somebody computes it already
                    assert_eq!(answers.next(), Some(i));
                }
                requests.close();
                answers.next()
            });
            assert_eq!(task.join().unwrap(), None);
        }
    });
}

// Scopes.

#[test]
fn a_stream_of_a_scope_borrows() {
    watched("a stream of a scope borrows", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let text: String = (0..500).map(|i| format!("{i}\n")).collect();
            let seen = AtomicUsize::new(0);
            let parse = |line: &str| -> usize {
                seen.fetch_add(1, SeqCst);
                line.parse().unwrap()
            };
            let (all, mut unordered, some) = pool.scope(|scope| {
                let all: Vec<usize> = scope.stream(text.lines(), parse).collect();
                let unordered: Vec<usize> = scope
                    .stream_unordered(text.lines(), parse)
                    .window(9)
                    .collect();
                let some: Vec<&str> = scope.stream(text.lines(), |line| line).take(3).collect();
                (all, unordered, some)
            });
            unordered.sort_unstable();
            assert!(all.iter().copied().eq(0..500) && all == unordered);
            assert_eq!(some, ["0", "1", "2"]);
            assert_eq!(seen.into_inner(), 1000);
        }
    });
}

/// Within tasks of the pool, where the scope's thread computes what nobody else does.
#[test]
fn streams_of_scopes_in_tasks_end() {
    watched("streams of scopes in tasks end", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let tasks: Vec<_> = (0..2 * workers)
                .map(|t| {
                    let inside = pool.clone();
                    pool.spawn(move || {
                        let numbers: Vec<usize> = (0..300).map(|i| i * t).collect();
                        inside.scope(|scope| {
                            let (a, b) = (
                                scope.stream(&numbers, |&x| x),
                                scope.stream_unordered(&numbers, |&x| x),
                            );
                            a.window(7).sum::<usize>() + b.take(300).sum::<usize>()
                        })
                    })
                })
                .collect();
            for (t, result) in wait_all(tasks).into_iter().enumerate() {
                assert_eq!(result.unwrap(), 2 * 44_850 * t);
            }
        }
    });
}

/// A stream that is never dropped does not outlive its scope: nothing touches what it borrowed afterwards.
#[test]
fn a_forgotten_stream_is_over_when_its_scope_is() {
    watched("a forgotten stream is over when its scope is", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for consumed in 0..10 {
                let mut numbers: Vec<usize> = (0..2000).collect();
                let (running, computed) = (AtomicUsize::new(0), AtomicUsize::new(0));
                pool.scope(|scope| {
                    let mut items = scope.stream(&numbers, |&x| {
                        running.fetch_add(1, SeqCst);
                        spin(Duration::from_micros(20));
                        computed.fetch_add(1, SeqCst);
                        running.fetch_sub(1, SeqCst);
                        x
                    });
                    assert!(items.by_ref().take(consumed).eq(0..consumed));
                    std::mem::forget(items);
                });
                let so_far = computed.load(SeqCst);
                assert_eq!(running.load(SeqCst), 0);
                numbers.iter_mut().for_each(|x| *x = usize::MAX);
                if consumed % 5 == 1 {
                    thread::sleep(Duration::from_millis(5));
                }
                assert_eq!(computed.load(SeqCst), so_far);
            }
        }
    });
}

/// A panic in a scope ends its streams first.
#[test]
fn a_panic_of_a_scope_ends_its_streams() {
    watched("a panic of a scope ends its streams", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let running = AtomicUsize::new(0);
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    let items = scope.stream(0.., |i: usize| {
                        running.fetch_add(1, SeqCst);
                        spin(Duration::from_micros(30));
                        running.fetch_sub(1, SeqCst);
                        if i == 50 {
                            panic_any(Meant(i));
                        }
                    });
                    items.for_each(drop);
                });
            });
            assert_eq!((index, running.into_inner()), (Some(50), 0));
        }
    });
}

// Memory.

/// The resident set of this process, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

/// imap fills its task queue with an endless iterable; a window does not.
#[cfg(target_os = "linux")]
#[test]
fn a_long_stream_needs_no_more_memory_than_a_short_one() {
    watched("a long stream needs constant memory", || {
        let len: u64 = if cfg!(debug_assertions) {
            1_000_000
        } else {
            10_000_000
        };
        let pool = started(2);
        for ordered in [true, false] {
            // Items with memory of their own, of which more than 16 MB go through in either case.
            let work = |i: u64| vec![i; 4];
            let mut items = match ordered {
                true => pool.stream(0..len / 2, work),
                false => pool.stream_unordered(0..len / 2, work),
            }
            .window(256);
            assert_eq!(items.by_ref().take(10_000).count(), 10_000); // what is needed at all is there now
            let before = resident();
            let (mut most, mut count, start) = (before, 10_000, Instant::now());
            for item in items {
                assert_eq!(item.len(), 4);
                count += 1;
                if count % 65_536 == 0 {
                    most = most.max(resident());
                }
            }
            assert_eq!(count, len / 2);
            let grown = most.max(resident()).saturating_sub(before);
            assert!(grown < 16 << 20, "{grown} bytes in {:?}", start.elapsed());
        }
    });
}
