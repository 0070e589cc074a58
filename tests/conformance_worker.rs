//! What users of Python's `threading.Thread` and `multiprocessing.Process` and of Rust's `std::thread` rely on, restated for `Worker`. The
//! comment of each test names the behaviour that it checks, and says where ours is different on purpose.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;
#[path = "conformance_worker/waits.rs"]
mod waits;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Drops, MEANT, Meant, eventually, quiet, spin, watched};
use scipar::{JoinError, Stop, Worker, wait_ready, wait_ready_timeout};

/// Long enough that a thread which does not wait would be through, though nothing breaks where it is not.
const TICK: Duration = Duration::from_millis(40);

/// No wait that has an end takes so long, also where the machine is busy.
const LONG: Duration = Duration::from_secs(20);

/// Runs until it is told to stop.
fn obedient() -> Worker<&'static str> {
    Worker::spawn(|stop| {
        stop.wait();
        "stopped"
    })
}

/// Runs until the sender is dropped, and does not look whether it should stop.
fn deaf() -> (mpsc::Sender<()>, Worker<&'static str>) {
    let (go, gone) = mpsc::channel();
    let worker = Worker::spawn(move |_| {
        let _ = gone.recv();
        "ended"
    });
    (go, worker)
}

/// Threads of this process with this name. (All threads cannot be counted here: the test harness starts and ends some as well.)
#[cfg(target_os = "linux")]
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == name)
        .count()
}

// Names and options.

/// `Thread(name=...)`: it is the thread's, and can be asked for. Without one there is one all the same.
#[test]
fn a_worker_has_a_name_which_is_its_threads() {
    let own_name = |_: &Stop| thread::current().name().map(str::to_owned);
    let worker = Worker::spawn(own_name);
    assert_eq!(worker.name(), "worker");
    assert_eq!(worker.join().unwrap().as_deref(), Some("worker"));
    for name in [
        "reader",
        "",
        "ein Name mit \u{e4}, länger als Linux ihn haben will",
    ] {
        let worker = Worker::builder().name(name).spawn(own_name).unwrap();
        assert_eq!(worker.name(), name);
        assert!(format!("{worker:?}").contains(name));
        assert_eq!(worker.join().unwrap().as_deref(), Some(name));
    }
}

/// `std::thread::Builder` panics or fails for a name with a NUL byte; here it is an error, and nothing has been started.
#[test]
fn a_name_with_a_nul_byte_is_an_error() {
    let drops = Drops::new(1);
    let captured = drops.counted(0);
    let error = Worker::builder()
        .name("a\0b")
        .spawn(move |_| drop(captured))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("NUL"));
    drops.assert_each_once(&"what the closure captured");
}

/// `threading.stack_size`, `std::thread::Builder::stack_size`: there is so much of it.
#[test]
fn a_worker_has_the_stack_that_was_asked_for() {
    fn deep(left: usize) -> usize {
        let frame = std::hint::black_box([left; 128]);
        match left {
            0 => 0,
            _ => deep(left - 1) + frame[left % 128] - left + 1,
        }
    }
    let worker = Worker::builder().stack_size(256 << 20);
    let worker = worker.spawn(|_| deep(30_000)).unwrap();
    assert_eq!(worker.join().unwrap(), 30_000);
}

/// A stack that no system has is an error of `spawn`, not a panic.
#[test]
fn a_thread_that_the_system_refuses_is_an_error() {
    let spawned = Worker::builder().stack_size(1 << 55).spawn(|_| ());
    assert!(spawned.is_err());
}

// Life and end.

/// `Process.is_alive`: until its function has returned, whether or not somebody has joined.
#[test]
fn a_worker_is_alive_until_its_closure_returns() {
    watched("is_alive", || {
        let (go, worker) = deaf();
        assert!(worker.is_alive());
        thread::sleep(TICK);
        assert!(worker.is_alive());
        assert!(format!("{worker:?}").contains("alive: true"));
        drop(go);
        assert!(eventually(|| !worker.is_alive()));
        assert!(format!("{worker:?}").contains("alive: false"));
        assert_eq!(worker.join().unwrap(), "ended");
    });
}

/// `join` waits for the end and asks for nothing (`threading`, `multiprocessing`); as in `std` it gives the result.
#[test]
fn join_waits_for_the_result_without_asking_for_it() {
    watched("join", || {
        let (tell, told) = mpsc::channel();
        let worker = Worker::spawn(move |stop| {
            let stopped = stop.wait_timeout(TICK);
            tell.send(stop.clone()).unwrap();
            (stopped, stop.is_set())
        });
        assert_eq!(worker.join().unwrap(), (false, false));
        assert!(told.recv().unwrap().is_set(), "nobody is left to wait for");
    });
}

/// When `join` returns, the thread is over: its thread-locals have been dropped, and what the closure captured.
#[test]
fn nothing_of_a_worker_is_left_after_join() {
    struct Local(Arc<AtomicBool>);
    impl Drop for Local {
        fn drop(&mut self) {
            thread::sleep(TICK);
            self.0.store(true, SeqCst);
        }
    }
    thread_local! { static LOCAL: std::cell::RefCell<Option<Local>> = const { std::cell::RefCell::new(None) } }
    watched("nothing is left", || {
        for way in 0..3 {
            let dropped = Arc::new(AtomicBool::new(false));
            let drops = Drops::new(2);
            let (captured, result) = (drops.counted(0), drops.counted(1));
            let worker = {
                let dropped = dropped.clone();
                Worker::spawn(move |_| {
                    LOCAL.set(Some(Local(dropped)));
                    drop(captured);
                    result
                })
            };
            match way {
                0 => drop(worker.join().unwrap()),
                1 => drop(worker.join_timeout(LONG).unwrap().unwrap()),
                _ => drop(worker),
            }
            assert!(dropped.load(SeqCst), "way {way}");
            drops.assert_each_once(&format!("way {way}"));
        }
    });
}

/// `join(timeout)` returns when the time is over, and the process can be joined again. Here the worker comes back in the error.
#[test]
fn join_with_a_limit_gives_the_worker_back() {
    watched("join_timeout", || {
        let (go, mut worker) = deaf();
        for time in [Duration::ZERO, TICK, TICK] {
            let start = Instant::now();
            worker = worker.join_timeout(time).unwrap_err();
            assert!((time..time + LONG).contains(&start.elapsed()));
            assert!(worker.is_alive() && worker.name() == "worker");
        }
        let join = thread::spawn(move || {
            let start = Instant::now();
            let result = worker.join_timeout(LONG);
            assert!(start.elapsed() < LONG);
            result.unwrap().unwrap()
        });
        thread::sleep(TICK);
        assert!(!join.is_finished());
        drop(go);
        assert_eq!(join.join().unwrap(), "ended");

        let worker = obedient();
        worker.stop();
        let result = worker.join_timeout(Duration::MAX).unwrap();
        assert_eq!(result.unwrap(), "stopped");
    });
}

/// A process that is over is joined at once, with any limit.
#[test]
fn a_worker_that_is_over_is_joined_at_once() {
    watched("a worker that is over", || {
        let worker = Worker::spawn(|_| 7);
        assert!(eventually(|| !worker.is_alive()));
        thread::sleep(TICK); // its result may be on the way still
        assert_eq!(worker.join_timeout(Duration::ZERO).unwrap().unwrap(), 7);
    });
}

/// The same the moment it is not alive any more: with Python's `Process` and `Thread` a `join` then does not wait.
#[test]
fn a_worker_that_is_not_alive_is_joined_at_once() {
    for _ in 0..1000 {
        let worker = Worker::spawn(|_| 7);
        while worker.is_alive() {}
        assert_eq!(worker.join_timeout(Duration::ZERO).unwrap().unwrap(), 7);
    }
}

// Panics.

/// An exception in a thread does not end the program (`threading`); `std`'s `join` gives the payload. Here both text and other payloads.
#[test]
fn the_panic_of_a_worker_is_the_error_of_its_join() {
    quiet();
    watched("a worker's panic", || {
        let text = Worker::<()>::spawn(|_| panic!("{MEANT} number {}", 7));
        assert!(eventually(|| !text.is_alive()));
        let error = text.join().unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert!(error.to_string().contains("number 7"), "{error}");
        let panic = error.into_panic().unwrap();
        assert_eq!(panic.message(), Some("meant: number 7"));

        let other = Worker::<()>::spawn(|_| std::panic::panic_any(Meant(8)));
        let error = other.join_timeout(LONG).unwrap().unwrap_err();
        let panic = error.into_panic().unwrap();
        assert_eq!(panic.message(), None);
        assert_eq!(panic.into_payload().downcast_ref(), Some(&Meant(8)));

        let resumed = Worker::<()>::spawn(|_| std::panic::panic_any(Meant(9)));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            if let Err(JoinError::Panicked(panic)) = resumed.join() {
                panic.resume();
            }
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&Meant(9)));
    });
}

/// A panic that nobody joins for goes nowhere, as in `std` and in `threading`.
#[test]
fn a_worker_that_panics_may_be_dropped_or_let_go() {
    quiet();
    watched("a panic that nobody asks for", || {
        drop(Worker::<()>::spawn(|_| std::panic::panic_any(Meant(1))));
        let (tell, told) = mpsc::channel::<()>();
        Worker::<()>::spawn(move |_| {
            let _tell = tell;
            std::panic::panic_any(Meant(2));
        })
        .detach();
        assert!(told.recv().is_err());
    });
}

// Stopping.

/// `Event.is_set` and `wait`: false and waiting before `stop`, true and at once after it, for all who look, as often as they look.
/// (`Process.terminate` has no counterpart: a thread that does not look runs on.)
#[test]
fn stop_is_seen_by_everybody_who_looks() {
    watched("stop", || {
        let (tell, told) = mpsc::channel();
        let worker = Worker::spawn(move |stop| {
            tell.send(stop.clone()).unwrap();
            stop.wait();
            assert!(stop.is_set() && stop.clone().is_set());
            stop.wait();
            stop.wait_timeout(Duration::ZERO)
        });
        let stop = told.recv().unwrap();
        assert!(!stop.is_set());
        for time in [Duration::ZERO, TICK] {
            let start = Instant::now();
            assert!(!stop.wait_timeout(time));
            assert!((time..time + LONG).contains(&start.elapsed()));
            assert_eq!(wait_ready_timeout(&[&stop], Duration::ZERO), None);
        }
        let watchers = [LONG, Duration::MAX].map(|limit| {
            let stop = stop.clone();
            thread::spawn(move || {
                let start = Instant::now();
                assert!(stop.wait_timeout(limit) && start.elapsed() < LONG);
            })
        });
        let watchers = watchers.into_iter().chain([
            thread::spawn({
                let stop = stop.clone();
                move || stop.wait()
            }),
            thread::spawn({
                let stop = stop.clone();
                move || assert_eq!(wait_ready(&[&stop]), 0)
            }),
        ]);
        let watchers: Vec<_> = watchers.collect();
        thread::sleep(TICK);
        assert!(watchers.iter().all(|watcher| !watcher.is_finished()));
        assert!(worker.is_alive());
        worker.stop();
        worker.stop();
        assert!(stop.is_set());
        watchers.into_iter().for_each(|w| w.join().unwrap());
        assert!(worker.join().unwrap());
    });
}

/// `stop` does not wait, does not harm a worker that does not look, and does nothing to one that is over.
#[test]
fn stop_only_asks() {
    watched("stop only asks", || {
        let (go, worker) = deaf();
        worker.stop();
        thread::sleep(TICK);
        assert!(worker.is_alive());
        drop(go);
        assert_eq!(worker.join().unwrap(), "ended");

        let over = Worker::spawn(|_| 7);
        assert!(eventually(|| !over.is_alive()));
        over.stop();
        assert_eq!(over.join().unwrap(), 7);
    });
}

/// A `stop` that comes before the thread has begun is not lost.
#[test]
fn a_worker_that_is_stopped_at_once_sees_it() {
    watched("stopped at once", || {
        for _ in 0..200 {
            let worker = obedient();
            worker.stop();
            assert_eq!(worker.join().unwrap(), "stopped");
        }
    });
}

/// Handles may be given to other threads, and asked by several at once.
#[test]
fn a_worker_may_be_watched_and_stopped_from_any_thread() {
    watched("from any thread", || {
        let worker = obedient();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    assert!(eventually(|| !worker.is_alive()));
                    assert!(worker.cpu_time().is_some());
                });
            }
            scope.spawn(|| worker.stop());
            scope.spawn(|| worker.stop());
        });
        let join = thread::spawn(move || worker.join().unwrap());
        assert_eq!(join.join().unwrap(), "stopped");
    });
}

// Dropping and letting go.

/// Different from `std` and Python on purpose: a worker that goes out of scope is asked to stop and waited for.
#[test]
fn dropping_a_worker_stops_it_and_waits() {
    watched("dropping a worker", || {
        let over = Arc::new(AtomicBool::new(false));
        let worker = {
            let over = over.clone();
            Worker::spawn(move |stop| {
                stop.wait();
                thread::sleep(TICK);
                over.store(true, SeqCst);
            })
        };
        drop(worker);
        assert!(over.load(SeqCst));
    });
}

/// The same on the way out of a panic, so that what the worker works for is not left behind.
#[test]
fn a_worker_is_stopped_where_its_owner_panics() {
    quiet();
    watched("its owner panics", || {
        let over = Arc::new(AtomicBool::new(false));
        let inside = over.clone();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _worker = Worker::spawn(move |stop| {
                stop.wait();
                inside.store(true, SeqCst);
            });
            std::panic::panic_any(Meant(1));
        }));
        assert!(caught.is_err() && over.load(SeqCst));
    });
}

/// A worker that drops its own handle does not wait for itself, and sees the stop.
#[test]
fn a_worker_that_drops_itself_does_not_wait_for_itself() {
    watched("a worker drops itself", || {
        let (give, given) = mpsc::channel::<Worker<()>>();
        let (tell, told) = mpsc::channel();
        let worker = Worker::spawn(move |stop| {
            let own = given.recv().unwrap();
            assert!(own.is_alive() && !stop.is_set());
            drop(own);
            tell.send(stop.is_set()).unwrap();
        });
        give.send(worker).unwrap();
        assert_eq!(told.recv_timeout(LONG), Ok(true));
    });
}

/// A daemonic thread, or a `std` handle that is dropped: it runs on, and nothing asks it to stop.
#[test]
fn a_worker_that_is_let_go_runs_on() {
    watched("let go", || {
        let (go, gone) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let drops = Drops::new(1);
        let result = drops.counted(0);
        Worker::spawn(move |stop| {
            let stopped = stop.wait_timeout(TICK);
            let _ = gone.recv();
            tell.send((stopped, stop.is_set(), stop.clone())).unwrap();
            result
        })
        .detach();
        thread::sleep(TICK);
        assert!(told.try_recv().is_err(), "it was not waited for");
        drop(go);
        let (before, after, stop) = told.recv_timeout(LONG).unwrap();
        assert!(!before && !after);
        // When it is over, its result is dropped, and those who wait for its stop are set free.
        assert!(stop.wait_timeout(LONG));
        assert!(eventually(|| drops.of(0) == 1));
    });
}

// Time.

/// Like `time.thread_time` of the thread: it grows while the worker computes, and stays as it is when the worker is over.
#[test]
fn cpu_time_grows_and_is_final_at_the_end() {
    watched("cpu_time", || {
        let worker = Worker::spawn(|stop| {
            while !stop.is_set() {
                spin(Duration::from_micros(100));
            }
        });
        if cfg!(target_os = "linux") {
            let mut last = Duration::ZERO;
            for _ in 0..3 {
                assert!(eventually(|| worker.cpu_time().unwrap() > last));
                last = worker.cpu_time().unwrap();
            }
            let enough = Duration::from_millis(20);
            assert!(eventually(|| worker.cpu_time().unwrap() > enough));
        }
        worker.stop();
        assert!(eventually(|| !worker.is_alive()));
        let total = worker.cpu_time().unwrap();
        assert!(total < 2 * LONG);
        spin(TICK);
        assert_eq!(worker.cpu_time(), Some(total));
        assert!(worker.join().is_ok());
    });
}

/// Waiting is not computing.
#[test]
fn a_worker_that_waits_takes_no_cpu_time() {
    watched("a worker that waits", || {
        let worker = obedient();
        thread::sleep(5 * TICK);
        worker.stop();
        assert!(eventually(|| !worker.is_alive()));
        assert!(worker.cpu_time().unwrap() < 2 * TICK);
    });
}

// Threads.

/// Each worker is one thread, which is gone when it has been joined, dropped, or has ended by itself.
#[test]
#[cfg(target_os = "linux")]
fn the_threads_of_workers_go_away() {
    watched("the threads of workers", || {
        const NAME: &str = "counted-worker";
        let named = || Worker::builder().name(NAME);
        for _ in 0..5 {
            assert_eq!(threads_named(NAME), 0);
            let begun = Arc::new(AtomicUsize::new(0));
            let workers: Vec<_> = (0..6)
                .map(|_| {
                    let begun = begun.clone();
                    let worker = named().spawn(move |stop| {
                        begun.fetch_add(1, SeqCst);
                        stop.wait();
                    });
                    worker.unwrap()
                })
                .collect();
            assert!(eventually(|| begun.load(SeqCst) == 6));
            assert_eq!(threads_named(NAME), 6);
            for (i, worker) in workers.into_iter().enumerate() {
                worker.stop();
                match i % 3 {
                    0 => worker.join().unwrap(),
                    1 => worker.join_timeout(LONG).unwrap().unwrap(),
                    _ => drop(worker),
                }
            }
            // The system takes a thread off its list a moment after the end.
            assert!(eventually(|| threads_named(NAME) == 0));
            // A thread takes its name as it begins: before that it would not be counted.
            let (has_begun, wait) = mpsc::channel();
            let detached = named().spawn(move |_| has_begun.send(()));
            detached.unwrap().detach();
            wait.recv().unwrap();
            assert!(eventually(|| threads_named(NAME) == 0));
        }
    });
}

/// `threading`: `join` of the current thread raises, as it would wait for itself.
#[test]
fn a_worker_that_joins_itself_panics() {
    quiet();
    watched("a worker that joins itself", || {
        let (give, take) = std::sync::mpsc::channel::<Worker<bool>>();
        let (tell, hear) = std::sync::mpsc::channel();
        let worker = Worker::spawn(move |_| {
            let myself = take.recv().unwrap();
            let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| myself.join()));
            tell.send(joined.is_err()).unwrap();
            true
        });
        give.send(worker).unwrap();
        assert!(hear.recv().unwrap());
    });
}
