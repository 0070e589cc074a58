//! Models of a stream, by loom: a consumer, a pool's threads, and the pumps that they run.
//!
//! Models have no time, so naps have no end of their own: a consumer that nothing wakes is a deadlock,
//! which loom reports.

use std::collections::VecDeque;
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use super::consumer::Consumer;
use super::machine::{Core, Machine, Pumps};
use super::work::{Stateless, Work};
use crate::sync::{Condvar, Mutex, lock, wait};

/// Jobs that were given to the pool and not begun, until it is closed.
#[derive(Default)]
struct Jobs {
    waiting: usize,
    closed: bool,
}

/// The threads of a pool, and what they wait for.
struct Threads {
    jobs: Arc<(Mutex<Jobs>, Condvar)>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Threads {
    fn new<P: Pumps + 'static>(count: usize, pumps: &Arc<P>) -> Self {
        let jobs = Arc::new((Mutex::new(Jobs::default()), Condvar::new()));
        let threads = (0..count)
            .map(|_| {
                let (jobs, pumps) = (jobs.clone(), pumps.clone());
                thread::spawn(move || {
                    while Self::next(&jobs) {
                        pumps.pump(&|| Self::give(&jobs));
                    }
                })
            })
            .collect();
        Self { jobs, threads }
    }

    fn give(jobs: &(Mutex<Jobs>, Condvar)) -> bool {
        lock(&jobs.0).waiting += 1;
        jobs.1.notify_one();
        true
    }

    fn next(jobs: &(Mutex<Jobs>, Condvar)) -> bool {
        let mut state = lock(&jobs.0);
        while state.waiting == 0 && !state.closed {
            state = wait(&jobs.1, state);
        }
        let more = state.waiting > 0;
        state.waiting -= usize::from(more);
        more
    }

    fn join(self) {
        lock(&self.jobs.0).closed = true;
        self.jobs.1.notify_all();
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// A stream's consumer, and what it has not handed out.
struct Reader<I: Iterator, W: Work<I::Item>> {
    core: Arc<Core<I, W>>,
    consumer: Consumer,
    near: VecDeque<W::Result>,
    ended: bool,
}

impl<I, W> Reader<I, W>
where
    I: Iterator + Send,
    I::Item: Send,
    W: Work<I::Item>,
{
    fn new(core: &Arc<Core<I, W>>, window: usize, workers: usize, on_pool: bool) -> Self {
        let mut consumer = Consumer::new(window, workers, Duration::from_micros(10));
        consumer.on_pool = on_pool;
        Self {
            core: core.clone(),
            consumer,
            near: VecDeque::new(),
            ended: false,
        }
    }

    fn next(&mut self, threads: &Threads) -> Option<W::Result> {
        if self.near.is_empty() && !self.ended {
            let mut near = VecDeque::new();
            let launch = || Threads::give(&threads.jobs);
            self.ended = self
                .core
                .fetch(&mut near, &mut self.consumer, None, &launch);
            self.near.extend(near.into_iter().map(Result::unwrap));
        }
        let result = self.near.pop_front()?;
        self.consumer.handed_out += 1;
        Some(result)
    }
}

/// All results of a stream of `len` items, and its end.
fn consumed(len: usize, window: usize, threads: usize, on_pool: bool, ordered: bool) {
    loom::model(move || {
        let core = Arc::new(Core::new(0..len, Stateless(|i| i), ordered));
        let pool = Threads::new(threads, &core);
        let workers = threads + usize::from(on_pool);
        let mut reader = Reader::new(&core, window, workers, on_pool);
        let mut seen: Vec<usize> = std::iter::from_fn(|| reader.next(&pool)).collect();
        if !ordered {
            seen.sort_unstable();
        }
        assert!(seen.into_iter().eq(0..len));
        core.stop();
        core.clear();
        pool.join();
    });
}

/// The consumer is one of the pool's two threads, and each pump ends while it falls asleep.
#[test]
fn a_consumer_on_a_pool_is_woken() {
    consumed(2, 1, 1, true, true);
}

#[test]
fn a_consumer_is_woken() {
    consumed(2, 1, 1, false, true);
}

#[test]
fn a_consumer_of_two_pumps_is_woken() {
    consumed(2, 2, 2, false, false);
}

#[test]
fn a_consumer_with_a_wide_window_is_woken() {
    consumed(3, 4, 1, true, true);
}

/// Once a stream has stopped, no pump is at work, and none begins.
#[test]
fn nothing_is_computed_after_the_stop() {
    loom::model(|| {
        let running = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let work = {
            let running = running.clone();
            move |i: usize| {
                running.fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
                running.fetch_sub(1, loom::sync::atomic::Ordering::Relaxed);
                i
            }
        };
        let core = Arc::new(Core::new(0.., Stateless(work), true));
        let pool = Threads::new(1, &core);
        let mut reader = Reader::new(&core, 2, 1, false);
        assert_eq!(reader.next(&pool), Some(0));
        core.stop();
        let stopped = running.load(loom::sync::atomic::Ordering::Relaxed);
        assert_eq!(stopped, 0);
        core.clear();
        pool.join();
    });
}

/// A flag that threads wait for.
#[derive(Clone)]
struct Flag(Arc<(Mutex<bool>, Condvar)>);

impl Flag {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn set(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let mut set = lock(&self.0.0);
        while !*set {
            set = wait(&self.0.1, set);
        }
    }
}

/// A pump that has computed two items of three hands over the second one's result before it begins
/// the third, which is over only after that.
#[test]
fn a_result_does_not_wait_for_the_next_item() {
    loom::model(|| {
        let seen = Flag::new();
        let work = {
            let seen = seen.clone();
            move |i: usize| {
                if i == 2 {
                    seen.wait();
                }
                i
            }
        };
        let core = Arc::new(Core::new(0..3, Stateless(work), true));
        let pool = Threads::new(1, &core);
        let mut reader = Reader::new(&core, 4, 1, false);
        assert_eq!(reader.next(&pool), Some(0));
        assert_eq!(reader.next(&pool), Some(1));
        seen.set();
        assert_eq!(reader.next(&pool), Some(2));
        core.stop();
        core.clear();
        pool.join();
    });
}

/// An item that a pump has taken does not wait for the next one, which the source gives only after
/// that. The consumer computes it, as there is no other thread.
#[test]
fn an_item_does_not_wait_for_the_source() {
    loom::model(|| {
        let seen = Flag::new();
        let source = {
            let seen = seen.clone();
            (0..3).inspect(move |&i| {
                if i == 2 {
                    seen.wait();
                }
            })
        };
        let core = Arc::new(Core::new(source, Stateless(|i: i32| i), true));
        let pool = Threads::new(1, &core);
        let mut reader = Reader::new(&core, 8, 2, true);
        assert_eq!(reader.next(&pool), Some(0));
        assert_eq!(reader.next(&pool), Some(1));
        seen.set();
        assert_eq!(reader.next(&pool), Some(2));
        core.stop();
        core.clear();
        pool.join();
    });
}
