//! Tasks and scopes against what users of Python's `concurrent.futures` and `multiprocessing.Pool` know: each test names the behaviour
//! that it checks, in the words of this crate.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Counted, Drops, MEANT, Meant, eventually, meant_panic_in, quiet, spin, started, watched,
};
use scipar::{JoinError, JoinHandle, Pool, as_completed, wait_all, wait_any, wait_any_timeout};

/// Longer than any wait that a test expects to end by itself.
const LONG: Duration = Duration::from_secs(30);

/// The index in the payload of a task that panicked as it was meant to.
#[track_caller]
fn meant<R>(result: Result<R, JoinError>) -> usize {
    let error = result.err().expect("the task panicked");
    assert!(error.is_panic() && !error.is_cancelled(), "{error}");
    let payload = error.into_panic().unwrap().into_payload();
    payload.downcast_ref::<Meant>().expect("a meant panic").0
}

/// A task that occupies one thread of the pool until it is released.
struct Blocker {
    handle: JoinHandle<()>,
    release: mpsc::Sender<()>,
}

impl Blocker {
    /// Returns when the task runs.
    fn on(pool: &Pool) -> Self {
        let (running, wait) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let handle = pool.spawn(move || {
            running.send(()).unwrap();
            let _ = released.recv();
        });
        wait.recv().unwrap();
        Self { handle, release }
    }

    fn release(self) {
        drop(self.release);
        self.handle.join().unwrap();
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("{MEANT} a drop");
        }
    }
}

// `concurrent.futures`: submit, result, exception, done, cancel.

/// submit, result: the future has what the callable returned, arguments and all.
#[test]
fn a_task_gives_its_result_once_it_is_joined() {
    watched("a task gives its result", || {
        let pool = started(2);
        let words = [String::from("a"), String::from("b")];
        let joined = pool.spawn(move || words.concat());
        let large = pool.spawn(|| vec![7_u8; 10 << 20]);
        let nothing = pool.spawn(|| ());
        assert_eq!(joined.join().unwrap(), "ab");
        assert_eq!(large.join().unwrap().len(), 10 << 20);
        nothing.join().unwrap();
        // Each its own, in any order of asking.
        let mut handles: Vec<_> = (0..100_usize).map(|i| pool.spawn(move || i * i)).collect();
        for i in (0..100).rev() {
            assert_eq!(handles.pop().unwrap().join().unwrap(), i * i);
        }
    });
}

/// submit: returns at once, also where all workers are busy.
#[test]
fn spawn_returns_at_once_where_all_threads_are_busy() {
    watched("spawn returns at once", || {
        let pool = started(1);
        let blocker = Blocker::on(&pool);
        let handles: Vec<_> = (0..1000).map(|i| pool.spawn(move || i)).collect();
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        blocker.release();
        let results: Vec<i32> = wait_all(handles).into_iter().map(Result::unwrap).collect();
        assert!(results.into_iter().eq(0..1000));
    });
}

/// max_workers: so many tasks run at once, and never more.
#[test]
fn as_many_tasks_run_at_once_as_there_are_workers() {
    watched("as many tasks run at once as there are workers", || {
        for workers in 1..=4 {
            let pool = started(workers);
            let together = Arc::new(Barrier::new(workers));
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let handles: Vec<_> = (0..4 * workers)
                .map(|_| {
                    let (together, now, most) = (together.clone(), now.clone(), most.clone());
                    pool.spawn(move || {
                        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        together.wait(); // for as many as there are threads
                        now.fetch_sub(1, SeqCst);
                    })
                })
                .collect();
            for result in wait_all(handles) {
                result.unwrap();
            }
            assert_eq!(most.load(SeqCst), workers);
        }
    });
}

/// Tasks start in the order in which they are submitted.
#[test]
fn tasks_start_in_the_order_in_which_they_are_given() {
    watched("tasks start in order", || {
        let pool = started(1);
        let blocker = Blocker::on(&pool);
        let order = Arc::new(Mutex::new(Vec::new()));
        let handles: Vec<_> = (0..50)
            .map(|i| {
                let order = order.clone();
                pool.spawn(move || order.lock().unwrap().push(i))
            })
            .collect();
        blocker.release();
        for result in wait_all(handles) {
            result.unwrap();
        }
        assert!(order.lock().unwrap().iter().copied().eq(0..50));
    });
}

/// The same where a task gives them to its own pool.
#[test]
fn tasks_given_by_a_task_start_in_order() {
    watched("tasks given by a task start in order", || {
        let pool = Arc::new(started(1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let (inside, noted) = (pool.clone(), order.clone());
        let giver = pool.spawn(move || {
            for i in 0..5 {
                let noted = noted.clone();
                drop(inside.spawn(move || noted.lock().unwrap().push(i)));
            }
        });
        giver.join().unwrap();
        assert!(eventually(|| order.lock().unwrap().len() == 5));
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    });
}

/// result, exception: what the callable raised, with its type, as often as it happens; the worker goes on.
#[test]
fn the_payload_of_a_panic_arrives_with_join() {
    quiet();
    watched("the payload of a panic arrives with join", || {
        let pool = started(2);
        for i in 0..200 {
            assert_eq!(meant(pool.spawn(move || panic_any(Meant(i))).join()), i);
        }
        let error = pool
            .spawn(|| panic!("{MEANT} with {} words", 2))
            .join()
            .unwrap_err();
        assert_eq!(error.to_string(), "the task panicked: meant: with 2 words");
        assert_eq!(
            error.into_panic().unwrap().message(),
            Some("meant: with 2 words")
        );
        // Goes on here, if one says so.
        let index = meant_panic_in(|| {
            let result = pool.spawn(|| panic_any(Meant(5))).join();
            result.unwrap_err().into_panic().unwrap().resume()
        });
        assert_eq!(index, Some(5));
        assert_eq!(pool.spawn(|| 1).join().unwrap(), 1);
    });
}

/// What a task captured goes with its end, though the handle lives on: no stale references.
#[test]
fn what_a_task_captured_is_dropped_when_it_is_over() {
    quiet();
    watched("what a task captured is dropped when it is over", || {
        let pool = started(2);
        /// The closure captures all of it, not the number alone.
        fn whole(counted: &Counted) -> usize {
            counted.index
        }
        let drops = Drops::new(3);
        let mut all = drops.all();
        let (last, second, first) = (all.pop().unwrap(), all.pop().unwrap(), all.pop().unwrap());
        let returns = pool.spawn(move || whole(&first));
        let panics = pool.spawn(move || panic_any(Meant(whole(&second))));
        assert!(eventually(|| returns.is_finished() && panics.is_finished()));
        assert_eq!((drops.of(0), drops.of(1)), (1, 1));
        let blockers = [Blocker::on(&pool), Blocker::on(&pool)];
        let cancelled = pool.spawn(move || whole(&last));
        assert_eq!(drops.of(2), 0);
        assert!(cancelled.cancel());
        assert_eq!(drops.of(2), 1, "the cancelled task keeps what it captured");
        for blocker in blockers {
            blocker.release();
        }
        assert_eq!(returns.join().unwrap(), 0);
        assert_eq!(meant(panics.join()), 1);
        drop(pool);
        drops.assert_each_once(&"captured");
    });
}

/// A result that nobody fetched goes with the handle; one that was fetched is moved, not copied.
#[test]
fn a_result_is_dropped_exactly_once() {
    watched("a result is dropped exactly once", || {
        let pool = started(2);
        let drops = Drops::new(300);
        for (i, counted) in drops.all().into_iter().enumerate() {
            let handle = pool.spawn(move || counted);
            match i % 3 {
                0 => assert_eq!(handle.join().unwrap().index, i),
                1 => drop(handle), // at any time, before the task's end or after
                _ => {
                    assert!(eventually(|| handle.is_finished()));
                    drop(handle);
                }
            }
        }
        drop(pool);
        drops.assert_each_once(&"results");
    });
}

/// done: false while pending and while running, true after a return, a raise and a cancellation.
#[test]
fn a_task_is_finished_after_its_end_and_not_before() {
    quiet();
    watched("a task is finished after its end", || {
        let pool = started(1);
        let blocker = Blocker::on(&pool);
        let (returns, panics) = (pool.spawn(|| 1), pool.spawn(|| panic_any(Meant(1))));
        let cancelled = pool.spawn(|| 2);
        assert!(!blocker.handle.is_finished(), "it runs");
        assert!(!returns.is_finished() && !panics.is_finished() && !cancelled.is_finished());
        assert!(cancelled.cancel());
        assert!(cancelled.is_finished());
        blocker.release();
        assert!(eventually(|| returns.is_finished() && panics.is_finished()));
        assert!(format!("{returns:?}").contains("finished: true"));
    });
}

/// cancel: a pending task never runs, and asking for its result says so.
#[test]
fn a_task_that_is_cancelled_before_its_start_never_runs() {
    watched("a cancelled task never runs", || {
        let pool = started(1);
        let ran = Arc::new(AtomicUsize::new(0));
        let blocker = Blocker::on(&pool);
        let handles: Vec<_> = (0..10)
            .map(|_| {
                let ran = ran.clone();
                pool.spawn(move || ran.fetch_add(1, SeqCst))
            })
            .collect();
        for handle in handles.iter().step_by(2) {
            assert!(handle.cancel());
        }
        blocker.release();
        for (i, result) in wait_all(handles).into_iter().enumerate() {
            match result {
                Ok(_) => assert_eq!(i % 2, 1),
                Err(error) => {
                    assert!(i % 2 == 0 && error.is_cancelled() && !error.is_panic());
                    assert!(error.to_string().contains("cancelled"));
                    assert!(error.into_panic().is_none());
                }
            }
        }
        drop(pool);
        assert_eq!(ran.load(SeqCst), 5);
    });
}

/// cancel: says no to a task that runs or is over, and leaves its result alone.
#[test]
fn a_task_that_started_is_not_cancelled() {
    quiet();
    watched("a task that started is not cancelled", || {
        let pool = started(1);
        let (running, wait) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let handle = pool.spawn(move || {
            running.send(()).unwrap();
            released.recv().is_err()
        });
        wait.recv().unwrap();
        assert!(!handle.cancel(), "it runs");
        drop(release);
        assert!(eventually(|| handle.is_finished()));
        assert!(!handle.cancel(), "it is over");
        assert!(handle.join().unwrap());
        let panicked = pool.spawn(|| panic_any(Meant(3)));
        assert!(eventually(|| panicked.is_finished()));
        assert!(!panicked.cancel());
        assert_eq!(meant(panicked.join()), 3);
    });
}

/// cancel against start: exactly one of them happens, whoever is first.
#[test]
fn a_task_is_run_or_cancelled_and_never_both() {
    watched("a task is run or cancelled", || {
        let pool = started(2);
        let (mut ran, mut cancelled) = (0, 0);
        for i in 0..2000 {
            let flag = Arc::new(AtomicBool::new(false));
            let inside = flag.clone();
            let handle = pool.spawn(move || inside.store(true, SeqCst));
            for _ in 0..i % 64 {
                std::hint::spin_loop();
            }
            let was_cancelled = handle.cancel();
            let result = handle.join();
            assert_eq!(flag.load(SeqCst), result.is_ok());
            assert_eq!(was_cancelled, result.is_err());
            *if was_cancelled {
                &mut cancelled
            } else {
                &mut ran
            } += 1;
        }
        println!("{ran} ran, {cancelled} were cancelled");
    });
}

/// What a cancelled task captured may panic as it is dropped: the task is over all the same.
#[test]
fn a_cancelled_task_is_over_also_where_a_drop_panics() {
    quiet();
    watched("a cancelled task whose drop panics is over", || {
        let pool = started(1);
        let blocker = Blocker::on(&pool);
        let bomb = Bomb;
        let handle = pool.spawn(move || {
            let _bomb = &bomb;
        });
        let _ = catch_unwind(AssertUnwindSafe(|| handle.cancel()));
        assert!(handle.is_finished());
        blocker.release();
        assert!(handle.join_timeout(LONG).unwrap().is_err());
    });
}

/// A result whose drop panics, and a payload whose drop panics, do no harm where nobody wants them.
#[test]
fn a_pool_survives_results_whose_drop_panics() {
    quiet();
    watched("a pool survives results whose drop panics", || {
        let pool = started(1);
        for _ in 0..20 {
            drop(pool.spawn(|| Bomb));
            drop(pool.spawn(|| panic_any(Bomb)));
            drop(pool.spawn(|| {
                let _bomb = Bomb;
            }));
        }
        let ended = pool.spawn(|| Bomb);
        assert!(eventually(|| ended.is_finished()));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(ended)));
        assert_eq!(pool.spawn(|| 4).join().unwrap(), 4);
    });
}

// `concurrent.futures` and `AsyncResult`: timeouts.

/// result(timeout), AsyncResult.get(timeout): an error when the time is over, and the task is as it was.
#[test]
fn a_join_that_runs_out_of_time_gives_the_handle_back() {
    watched("a join that runs out of time gives the handle back", || {
        let pool = started(1);
        let blocker = Blocker::on(&pool);
        let handle = pool.spawn(|| 9);
        let handle = handle.join_timeout(Duration::ZERO).unwrap_err();
        let start = Instant::now();
        let handle = handle.join_timeout(Duration::from_millis(50)).unwrap_err();
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_millis(50) && waited < Duration::from_secs(5),
            "{waited:?}"
        );
        assert!(!handle.is_finished());
        blocker.release();
        // A wait ends with the task, not with the time; there is no time too long.
        let start = Instant::now();
        assert_eq!(handle.join_timeout(LONG).unwrap().unwrap(), 9);
        assert_eq!(
            pool.spawn(|| 8)
                .join_timeout(Duration::MAX)
                .unwrap()
                .unwrap(),
            8
        );
        assert!(start.elapsed() < LONG / 2);
    });
}

/// get(0) of what is ready gives the result; what is cancelled or raised comes as such.
#[test]
fn a_finished_task_needs_no_time_to_be_joined() {
    quiet();
    watched("a finished task needs no time", || {
        let pool = started(1);
        let (returns, panics) = (pool.spawn(|| 3), pool.spawn(|| panic_any(Meant(4))));
        assert!(eventually(|| returns.is_finished() && panics.is_finished()));
        assert_eq!(returns.join_timeout(Duration::ZERO).unwrap().unwrap(), 3);
        assert_eq!(meant(panics.join_timeout(Duration::ZERO).unwrap()), 4);
        let blocker = Blocker::on(&pool);
        let cancelled = pool.spawn(|| 5);
        cancelled.cancel();
        let result = cancelled.join_timeout(Duration::ZERO).unwrap();
        assert!(result.unwrap_err().is_cancelled());
        blocker.release();
    });
}

/// The same on a thread of the pool: it does not wait for longer than it was told to for a task that runs elsewhere.
#[test]
fn a_join_with_a_timeout_inside_a_task_ends() {
    watched("a join with a timeout inside a task ends", || {
        let pool = started(2);
        let Blocker { handle, release } = Blocker::on(&pool);
        let waiter = pool.spawn(move || {
            let start = Instant::now();
            let handle = handle.join_timeout(Duration::from_millis(50)).unwrap_err();
            (handle, start.elapsed())
        });
        let (handle, waited) = waiter.join().unwrap();
        assert!(waited >= Duration::from_millis(50) && waited < Duration::from_secs(5));
        drop(release);
        handle.join().unwrap();
        // What has not started need not be waited for.
        let alone = Arc::new(started(1));
        let inside = alone.clone();
        let outer = alone.spawn(move || inside.spawn(|| 6).join_timeout(LONG).unwrap().unwrap());
        assert_eq!(outer.join().unwrap(), 6);
    });
}

// `concurrent.futures`: as_completed, wait.

/// as_completed: the futures as they complete, each once, and those that are complete already.
#[test]
fn results_come_as_completed() {
    quiet();
    watched("results come as completed", || {
        let pool = started(3);
        let (senders, handles): (Vec<_>, Vec<_>) = (0..3)
            .map(|i| {
                let (send, receive) = mpsc::channel::<()>();
                let handle = pool.spawn(move || {
                    let _ = receive.recv();
                    i * 10
                });
                (Some(send), handle)
            })
            .unzip();
        let mut senders: Vec<Option<mpsc::Sender<()>>> = senders;
        let mut completed = as_completed(handles);
        assert_eq!(completed.len(), 3);
        for i in [2, 0, 1] {
            assert!(completed.next_timeout(Duration::from_millis(5)).is_none());
            senders[i] = None; // this one ends now
            let (place, result) = completed.next_timeout(LONG).unwrap();
            assert_eq!((place, result.unwrap()), (i, i * 10));
        }
        assert_eq!(completed.len(), 0);
        assert!(completed.next().is_none() && completed.next_timeout(LONG).is_none());

        // Those that ended before, those that panic and those that are cancelled are among them.
        let ended = pool.spawn(|| 1);
        assert!(eventually(|| ended.is_finished()));
        let blockers = [(); 3].map(|()| Blocker::on(&pool));
        let cancelled = pool.spawn(|| 2);
        assert!(cancelled.cancel());
        let (panics, pending) = (pool.spawn(|| panic_any(Meant(7))), pool.spawn(|| 3));
        let mut completed = as_completed([pending, panics, cancelled, ended]);
        let first = [completed.next().unwrap(), completed.next().unwrap()];
        let mut places = first.map(|(place, result)| {
            assert!(result.as_ref().is_ok_and(|&x| x == 1) || result.unwrap_err().is_cancelled());
            place
        });
        places.sort_unstable();
        assert_eq!(places, [2, 3]);
        for blocker in blockers {
            blocker.release();
        }
        let mut rest: Vec<_> = completed.collect();
        rest.sort_by_key(|(place, _)| *place);
        let (last, first) = (rest.pop().unwrap(), rest.pop().unwrap());
        assert_eq!((first.0, first.1.unwrap()), (0, 3));
        assert_eq!((last.0, meant(last.1)), (1, 7));
        assert_eq!(as_completed(Vec::<JoinHandle<u8>>::new()).count(), 0);
    });
}

/// as_completed of many: nothing is lost and nothing comes twice.
#[test]
fn as_completed_gives_each_of_many_once() {
    watched("as_completed gives each of many once", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let handles = (0..2000_usize).map(|i| pool.spawn(move || i + 1));
            let mut seen = vec![false; 2000];
            for (place, result) in as_completed(handles) {
                assert_eq!(result.unwrap(), place + 1);
                assert!(!std::mem::replace(&mut seen[place], true));
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    });
}

/// as_completed, left early: the tasks run all the same.
#[test]
fn tasks_run_though_nobody_hears_of_their_end() {
    watched("tasks run though nobody hears of their end", || {
        let pool = started(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..100)
            .map(|_| {
                let ran = ran.clone();
                pool.spawn(move || ran.fetch_add(1, SeqCst))
            })
            .collect();
        assert_eq!(as_completed(handles).take(3).count(), 3);
        drop(pool);
        assert_eq!(ran.load(SeqCst), 100);
    });
}

/// wait with FIRST_COMPLETED: returns with the first, says which, and the handles stay usable.
#[test]
fn wait_any_says_which_task_is_over_first() {
    quiet();
    watched("wait_any says which task is over first", || {
        let pool = started(3);
        let blockers = [Blocker::on(&pool), Blocker::on(&pool)];
        let [a, b] = blockers;
        let handles = [
            a.handle,
            pool.spawn(|| spin(Duration::from_millis(1))),
            b.handle,
        ];
        assert_eq!(wait_any(&handles), 1);
        assert_eq!(wait_any(&handles), 1, "it is still over");
        let [first, _, last] = handles;
        let handles = [first, last];
        let start = Instant::now();
        assert_eq!(wait_any_timeout(&handles, Duration::from_millis(30)), None);
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert_eq!(wait_any_timeout(&handles, Duration::ZERO), None);
        drop(b.release);
        assert_eq!(wait_any_timeout(&handles, LONG), Some(1));
        drop(a.release);
        for result in wait_all(handles) {
            result.unwrap();
        }
        // A panic and a cancellation are ends as well.
        let blockers = [(); 3].map(|()| Blocker::on(&pool));
        let cancelled = [pool.spawn(|| ()), pool.spawn(|| ())];
        assert!(cancelled[1].cancel());
        assert_eq!(wait_any(&cancelled), 1);
        let panics = [pool.spawn(|| panic_any(Meant(1)))];
        for blocker in blockers {
            blocker.release();
        }
        assert_eq!(wait_any(&panics), 0);
        let [panics] = panics;
        assert_eq!(meant(panics.join()), 1);
    });
}

#[test]
#[should_panic(expected = "nothing to wait for")]
fn waiting_for_any_of_nothing_is_refused() {
    let _ = wait_any::<()>(&[]);
}

/// wait with ALL_COMPLETED: all results, in the order of the handles, panics and cancellations among them.
#[test]
fn wait_all_gives_the_results_in_the_order_of_the_handles() {
    quiet();
    watched("wait_all gives the results in order", || {
        let pool = started(2);
        let handles: Vec<_> = (0..300_usize)
            .map(|i| {
                pool.spawn(move || {
                    if i % 10 == 3 {
                        panic_any(Meant(i));
                    }
                    i
                })
            })
            .collect();
        for (i, result) in wait_all(handles).into_iter().enumerate() {
            if i % 10 == 3 {
                assert_eq!(meant(result), i);
            } else {
                assert_eq!(result.unwrap(), i);
            }
        }
        assert!(wait_all(Vec::<JoinHandle<()>>::new()).is_empty());
    });
}

/// Several threads may wait for tasks of one pool, and hand the handles on.
#[test]
fn handles_may_be_joined_on_any_thread() {
    watched("handles may be joined on any thread", || {
        let pool = started(2);
        let sums: Vec<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|t| {
                    let handles: Vec<_> = (0..50).map(|i| pool.spawn(move || t * i)).collect();
                    scope.spawn(|| wait_all(handles).into_iter().map(Result::unwrap).sum())
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(sums, [0, 1225, 2450, 3675]);
    });
}

// Executor.shutdown, Pool.close, Pool.join, Pool.terminate, and the ends of `with` blocks.

/// shutdown(wait=True), close and join, the end of a `with` block: all that was submitted is done.
#[test]
fn shutting_down_and_dropping_wait_for_all_tasks() {
    watched("shutting down waits for all tasks", || {
        for workers in 1..=3 {
            for end in [Pool::shutdown, drop] {
                let pool = started(workers);
                let ran = Arc::new(AtomicUsize::new(0));
                let mut handles = Vec::new();
                for i in 0..30 {
                    let ran = ran.clone();
                    let handle = pool.spawn(move || {
                        thread::sleep(Duration::from_millis(1));
                        ran.fetch_add(1, SeqCst)
                    });
                    if i % 2 == 0 {
                        handles.push(handle);
                    }
                }
                end(pool);
                assert_eq!(ran.load(SeqCst), 30);
                // Handles outlive the pool.
                assert!(handles.iter().all(JoinHandle::is_finished));
                assert!(wait_all(handles).into_iter().all(|result| result.is_ok()));
            }
        }
        Pool::new(2).shutdown(); // without a task there is nothing to wait for
        Pool::new(2).shutdown_now();
        started(2).shutdown_now();
    });
}

/// The end of a `with` block that is left by an exception waits as well.
#[test]
fn a_pool_that_is_dropped_by_a_panic_waits_for_its_tasks() {
    watched("a pool dropped by a panic waits", || {
        let ran = Arc::new(AtomicUsize::new(0));
        let index = meant_panic_in(|| {
            let pool = started(2);
            for _ in 0..10 {
                let ran = ran.clone();
                drop(pool.spawn(move || {
                    thread::sleep(Duration::from_millis(2));
                    ran.fetch_add(1, SeqCst)
                }));
            }
            panic_any(Meant(0));
        });
        assert_eq!((index, ran.load(SeqCst)), (Some(0), 10));
    });
}

/// shutdown(cancel_futures=True), terminate: what runs ends, what has not started never does, and both say so.
#[test]
fn shutting_down_now_cancels_what_has_not_started() {
    watched("shutting down now cancels", || {
        let pool = started(2);
        let blockers = [Blocker::on(&pool), Blocker::on(&pool)];
        let drops = Drops::new(100);
        let ran = Arc::new(AtomicUsize::new(0));
        let mut pending = Vec::new();
        for counted in drops.all() {
            let ran = ran.clone();
            pending.push(pool.spawn(move || {
                ran.fetch_add(1, SeqCst);
                drop(counted);
            }));
        }
        drop(pending.split_off(50)); // cancelled as well, though nobody asks
        let releases = blockers.map(|blocker| {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                drop(blocker.release);
                blocker.handle.join().unwrap(); // it ran to its end
            })
        });
        pool.shutdown_now();
        for release in releases {
            release.join().unwrap();
        }
        assert!(pending.iter().all(JoinHandle::is_finished));
        for result in wait_all(pending) {
            assert!(result.unwrap_err().is_cancelled());
        }
        assert_eq!(ran.load(SeqCst), 0);
        drops.assert_each_once(&"captured by cancelled tasks");
    });
}

/// The same where what a cancelled task captured panics as it is dropped.
#[test]
fn a_pool_that_is_shut_down_survives_a_drop_that_panics() {
    quiet();
    watched("shutting down survives a drop that panics", || {
        let pool = started(1);
        let (running, wait) = mpsc::channel();
        let first = pool.spawn(move || {
            running.send(()).unwrap();
            thread::sleep(Duration::from_millis(100));
        });
        wait.recv().unwrap();
        let bomb = Bomb;
        let second = pool.spawn(move || {
            let _bomb = &bomb;
        });
        pool.shutdown_now();
        assert!(first.join().is_ok() && second.join().is_err());
    });
}

/// A pool whose last owner is one of its tasks ends, and so do the tasks behind.
#[test]
fn a_pool_that_is_dropped_by_its_own_task_runs_the_others() {
    watched("a pool dropped by its own task runs the others", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let (go, gone) = mpsc::channel::<()>();
            let own = pool.clone();
            let last = pool.spawn(move || {
                let _ = gone.recv();
                drop(own);
                1
            });
            let others: Vec<_> = (0..20).map(|i| pool.spawn(move || i)).collect();
            drop(pool);
            drop(go);
            assert_eq!(last.join().unwrap(), 1);
            let results: Vec<i32> = wait_all(others).into_iter().map(Result::unwrap).collect();
            assert!(results.into_iter().eq(0..20));
        }
    });
}

/// Nobody has to keep the handle: the task runs, and its panic does no harm.
#[test]
fn tasks_with_dropped_handles_run_and_may_panic() {
    quiet();
    watched("tasks with dropped handles run and may panic", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let ran = Arc::new(AtomicUsize::new(0));
            for i in 0..200 {
                let ran = ran.clone();
                drop(pool.spawn(move || {
                    ran.fetch_add(1, SeqCst);
                    if i % 2 == 0 {
                        panic_any(Meant(i));
                    }
                }));
            }
            // All threads are there still.
            let together = Arc::new(Barrier::new(workers));
            let handles: Vec<_> = (0..workers)
                .map(|_| {
                    let together = together.clone();
                    pool.spawn(move || together.wait().is_leader())
                })
                .collect();
            let leaders = wait_all(handles)
                .into_iter()
                .filter(|r| *r.as_ref().unwrap());
            assert_eq!(leaders.count(), 1);
            drop(pool);
            assert_eq!(ran.load(SeqCst), 200);
        }
    });
}

// A task that waits for tasks of its own executor: in Python a deadlock that the manual warns of, here promised to end.

fn fib(pool: &Arc<Pool>, n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let inside = pool.clone();
    let one = pool.spawn(move || fib(&inside, n - 1));
    let inside = pool.clone();
    let two = pool.spawn(move || fib(&inside, n - 2));
    match n % 3 {
        0 => one.join().unwrap() + two.join().unwrap(),
        1 => {
            let two = two.join().unwrap();
            one.join().unwrap() + two
        }
        _ => wait_all([one, two]).into_iter().map(Result::unwrap).sum(),
    }
}

#[test]
fn tasks_that_spawn_and_join_recursively_end() {
    watched("tasks that spawn and join recursively end", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let inside = pool.clone();
            assert_eq!(pool.spawn(move || fib(&inside, 14)).join().unwrap(), 377);
            // From several threads at once, and from outside.
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| assert_eq!(fib(&pool, 10), 55));
                }
            });
        }
    });
}

#[test]
fn a_task_may_join_its_children_in_any_order() {
    watched("a task may join its children in any order", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let tasks = (0..7_usize).map(|step| {
                let pool = pool.clone();
                let again = pool.clone();
                again.spawn(move || {
                    let mut children: Vec<_> = (0..12_usize)
                        .map(|i| {
                            let inside = pool.clone();
                            Some(pool.spawn(move || {
                                spin(Duration::from_micros(20));
                                let grandchild = inside.spawn(move || i);
                                spin(Duration::from_micros(20));
                                grandchild.join().unwrap()
                            }))
                        })
                        .collect();
                    // 13 is prime, so that every step visits all.
                    let visit = (1..13_usize).map(|k| k * (step + 1) % 13 - 1);
                    visit
                        .map(|i| children[i].take().unwrap().join().unwrap())
                        .sum::<usize>()
                })
            });
            let tasks: Vec<_> = tasks.collect();
            for result in wait_all(tasks) {
                assert_eq!(result.unwrap(), 66);
            }
        }
    });
}

/// Each joins the one before, which may run, wait or not have started.
#[test]
fn chains_of_tasks_that_join_each_other_end() {
    watched("chains of tasks that join each other end", || {
        for workers in 1..=3 {
            let pool = started(workers);
            for round in 0..20 {
                let mut last = pool.spawn(move || spin(Duration::from_micros(round * 30)));
                for _ in 0..30 {
                    let before = last;
                    last = pool.spawn(move || before.join().unwrap());
                }
                last.join().unwrap();
            }
            // None has started when the last is joined, so that each runs on top of the one that joins it.
            let pool = Arc::new(pool);
            let inside = pool.clone();
            let blockers: Vec<_> = (1..workers).map(|_| Blocker::on(&pool)).collect();
            let deep = pool.spawn(move || {
                let mut last = inside.spawn(|| 0);
                for _ in 0..100 {
                    let before = last;
                    last = inside.spawn(move || before.join().unwrap() + 1);
                }
                last.join().unwrap()
            });
            assert_eq!(deep.join().unwrap(), 100);
            for blocker in blockers {
                blocker.release();
            }
        }
    });
}

/// Whoever waits for a task that runs elsewhere must not start one on top of itself that waits for what is below.
#[test]
fn a_task_that_joins_one_which_joins_a_running_one_ends() {
    watched(
        "a task that joins one which joins a running one ends",
        || {
            for workers in 2..=3 {
                let pool = started(workers);
                let (running, wait) = mpsc::channel();
                let first = pool.spawn(move || {
                    running.send(()).unwrap();
                    thread::sleep(Duration::from_millis(100));
                    1
                });
                wait.recv().unwrap();
                let (go, gone) = mpsc::channel();
                let second = pool.spawn(move || {
                    gone.recv().unwrap();
                    first.join().unwrap() + 1
                });
                let third = pool.spawn(move || second.join().unwrap() + 1);
                go.send(()).unwrap();
                assert_eq!(third.join().unwrap(), 3);
            }
        },
    );
}

/// Three stages, each of which joins the one before, of which `first` is the first.
fn stages(first: fn(&Pool)) {
    for workers in 1..=3 {
        let pool = Arc::new(started(workers));
        for _ in 0..20 {
            let inside = pool.clone();
            let first = pool.spawn(move || first(&inside));
            let second = pool.spawn(move || first.join().unwrap());
            let third = pool.spawn(move || second.join().unwrap());
            third.join().unwrap();
        }
    }
}

#[test]
fn a_task_that_joins_one_which_consumes_a_stream_ends() {
    watched("a task that joins one which consumes a stream ends", || {
        stages(|pool| {
            let items = pool.stream(0..200, |_| spin(Duration::from_micros(50)));
            assert_eq!(items.count(), 200);
        });
    });
}

#[test]
fn a_task_that_joins_one_with_a_scope_ends() {
    watched("a task that joins one with a scope ends", || {
        stages(|pool| {
            pool.scope(|scope| {
                for _ in 0..20 {
                    drop(scope.spawn(|| spin(Duration::from_micros(100))));
                }
            });
        });
    });
}

#[test]
fn a_task_that_joins_one_with_a_parallel_map_ends() {
    watched("a task that joins one with a parallel map ends", || {
        stages(|pool| {
            pool.par_for_each_chunked(0..100, 1, |_| spin(Duration::from_micros(20)));
        });
    });
}

/// wait_any and as_completed on a thread of the pool: what they wait for runs there, if nowhere else.
#[test]
fn a_task_may_wait_for_any_of_its_children() {
    watched("a task may wait for any of its children", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let waiters: Vec<_> = (0..2 * workers)
                .map(|_| {
                    let inside = pool.clone();
                    pool.spawn(move || {
                        let children: Vec<_> =
                            (0..20_usize).map(|i| inside.spawn(move || i)).collect();
                        let first = wait_any(&children);
                        assert!(children[first].is_finished());
                        let mut sum = 0;
                        for (place, result) in as_completed(children) {
                            assert_eq!(result.unwrap(), place);
                            sum += place;
                        }
                        let more = as_completed((0..5).map(|i| inside.spawn(move || i)));
                        sum + more.map(|(_, result)| result.unwrap()).sum::<usize>()
                    })
                })
                .collect();
            for result in wait_all(waiters) {
                assert_eq!(result.unwrap(), 200);
            }
        }
    });
}

/// One of those that are waited for waits for another, which nobody has started.
#[test]
fn waiting_for_any_starts_those_that_have_not_started() {
    watched("waiting for any starts those that have not started", || {
        let pool = Arc::new(started(2));
        let (send, receive) = mpsc::channel();
        let (running, wait) = mpsc::channel();
        let first = pool.spawn(move || {
            running.send(()).unwrap();
            receive.recv().unwrap()
        });
        wait.recv().unwrap();
        let inside = pool.clone();
        let waiter = pool.spawn(move || {
            let second = inside.spawn(move || {
                send.send(8).unwrap();
                9
            });
            as_completed([first, second])
                .map(|(_, result)| result.unwrap())
                .sum::<i32>()
        });
        assert_eq!(waiter.join().unwrap(), 17);
    });
}

/// Tasks of two pools that wait for each other, on one thread each, many levels deep.
#[test]
fn tasks_of_two_pools_that_join_each_other_end() {
    fn deeper(here: Arc<Pool>, there: Arc<Pool>, level: usize) -> usize {
        if level == 0 {
            return 0;
        }
        let (next, after) = (there.clone(), here.clone());
        let below = there.spawn(move || deeper(next, after, level - 1));
        spin(Duration::from_micros(20)); // so that it may have started, or not
        below.join().unwrap() + 1
    }
    watched("tasks of two pools that join each other end", || {
        for (a, b) in [(1, 1), (1, 2), (2, 2)] {
            for level in 1..12 {
                let (a, b) = (Arc::new(started(a)), Arc::new(started(b)));
                let (first, second) = (a.clone(), b.clone());
                let outer = a.spawn(move || deeper(first, second, level));
                // Meanwhile the other way round.
                let (first, second) = (b.clone(), a.clone());
                let other = b.spawn(move || deeper(first, second, level));
                assert_eq!(other.join().unwrap(), level);
                assert_eq!(outer.join().unwrap(), level);
            }
        }
    });
}

/// The shortest of these: a thread each, the outer one waits for the other pool, which waits for the first.
#[test]
fn a_pool_of_one_may_wait_for_a_pool_that_waits_for_it() {
    watched("a pool of one waits for a pool that waits for it", || {
        let (a, b) = (Arc::new(started(1)), Arc::new(started(1)));
        let (a_again, b) = (a.clone(), b.clone());
        let outer = a.spawn(move || {
            let middle = b.spawn(move || a_again.spawn(|| 7).join().unwrap());
            middle.join().unwrap()
        });
        assert_eq!(outer.join().unwrap(), 7);
    });
}

/// The panic of a child arrives where it is joined, on whatever thread it ran.
#[test]
fn panics_of_tasks_arrive_in_the_tasks_that_join_them() {
    quiet();
    watched("panics arrive in the tasks that join them", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let inside = pool.clone();
            let outer = pool.spawn(move || {
                for i in 0..50 {
                    let child = inside.spawn(move || panic_any(Meant(i)));
                    assert_eq!(meant(child.join()), i);
                }
                let last = inside.spawn(|| panic_any(Meant(99)));
                last.join().unwrap_err().into_panic().unwrap().resume()
            });
            assert_eq!(meant(outer.join()), 99);
        }
    });
}

/// Pool.apply: runs there, waits here; and a task may call maps, which may spawn tasks.
#[test]
fn tasks_in_maps_in_tasks_end() {
    watched("tasks in maps in tasks end", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            assert_eq!(
                pool.install(|| pool.spawn(|| 2).join().unwrap()).unwrap(),
                2
            );
            let tasks: Vec<_> = (0..10_u64)
                .map(|t| {
                    let inside = pool.clone();
                    pool.spawn(move || {
                        let xs = inside.par_map_chunked(0..20_u64, 1, |i| {
                            spin(Duration::from_micros(20));
                            inside.spawn(move || i * t).join().unwrap()
                        });
                        xs.into_iter().sum::<u64>()
                    })
                })
                .collect();
            for (t, result) in wait_all(tasks).into_iter().enumerate() {
                assert_eq!(result.unwrap(), 190 * t as u64);
            }
        }
    });
}

// Scopes: a `with` block around an executor, whose tasks may use what is outside.

#[test]
fn tasks_of_a_scope_borrow_and_give_results() {
    watched("tasks of a scope borrow and give results", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let mut numbers: Vec<u64> = (0..1000).collect();
            let offset = 5;
            let sums: u64 = pool.scope(|scope| {
                let handles: Vec<_> = numbers
                    .chunks_mut(100)
                    .map(|chunk| {
                        scope.spawn(|| {
                            chunk.iter_mut().for_each(|x| *x += offset);
                            chunk.iter().sum::<u64>()
                        })
                    })
                    .collect();
                wait_all(handles).into_iter().map(Result::unwrap).sum()
            });
            assert_eq!(sums, 999 * 500 + 5000);
            assert!(numbers.into_iter().eq(5..1005));
            // References may come back as results.
            let words = [String::from("x"), String::from("yy")];
            let longest = pool.scope(|scope| {
                let by_length = scope.spawn(|| words.iter().max_by_key(|word| word.len()));
                by_length.join().unwrap()
            });
            assert_eq!(longest.unwrap(), "yy");
        }
    });
}

/// The end of a `with` block: it waits for all tasks, also for those whose handles are gone.
#[test]
fn a_scope_ends_after_all_its_tasks() {
    watched("a scope ends after all its tasks", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let ran = AtomicUsize::new(0);
            let kept = pool.scope(|scope| {
                let mut kept = Vec::new();
                for i in 0..30 {
                    let handle = scope.spawn(|| {
                        thread::sleep(Duration::from_millis(1));
                        ran.fetch_add(1, SeqCst)
                    });
                    match i % 3 {
                        0 => kept.push(handle),
                        1 => drop(handle),
                        _ => std::mem::forget(handle),
                    }
                }
                kept
            });
            assert_eq!(ran.load(SeqCst), 30);
            assert!(kept.iter().all(|handle| handle.is_finished()));
            assert!(wait_all(kept).into_iter().all(|result| result.is_ok()));
        }
    });
}

#[test]
fn a_scope_has_everything_that_tasks_have() {
    quiet();
    watched("a scope has everything that tasks have", || {
        let pool = started(1);
        let text = String::from("text");
        let ran = AtomicUsize::new(0);
        pool.scope(|scope| {
            let blocker = Blocker::on(&pool);
            let task = || ran.fetch_add(text.len(), SeqCst);
            let (cancelled, runs) = (scope.spawn(task), scope.spawn(task));
            let cancelled_and_dropped = scope.spawn(task);
            assert!(cancelled.cancel() && cancelled_and_dropped.cancel());
            drop(cancelled_and_dropped);
            let runs = runs.join_timeout(Duration::from_millis(5)).unwrap_err();
            assert_eq!(
                wait_any_timeout(std::slice::from_ref(&runs), Duration::ZERO),
                None
            );
            blocker.release();
            assert!(cancelled.join().unwrap_err().is_cancelled());
            assert_eq!(as_completed([runs]).next().unwrap().1.unwrap(), 0);
            // A panic that is joined is dealt with.
            assert_eq!(meant(scope.spawn(|| panic_any(Meant(1))).join()), 1);
        });
        assert_eq!(ran.load(SeqCst), 4);
    });
}

fn sort(pool: &Pool, xs: &mut [u32]) {
    if xs.len() < 32 {
        xs.sort_unstable();
        return;
    }
    let middle = xs.len() / 2;
    xs.select_nth_unstable(middle);
    let (low, high) = xs.split_at_mut(middle);
    pool.scope(|scope| {
        let low = scope.spawn(|| sort(pool, low));
        sort(pool, high);
        if middle.is_multiple_of(2) {
            low.join().unwrap(); // or the end of the scope waits for it
        }
    });
}

#[test]
fn scopes_in_tasks_of_scopes_end() {
    watched("scopes in tasks of scopes end", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let mut xs: Vec<u32> = (0..4000_u32)
                .map(|i| i.wrapping_mul(2_654_435_761))
                .collect();
            let mut sorted = xs.clone();
            sorted.sort_unstable();
            let mut ys = xs.clone();
            sort(&pool, &mut xs);
            assert_eq!(xs, sorted);
            // All within a task of the pool.
            let inside = pool.clone();
            let ys = pool.spawn(move || {
                sort(&inside, &mut ys);
                ys
            });
            assert_eq!(ys.join().unwrap(), sorted);
        }
    });
}

#[test]
fn scopes_of_two_pools_nest() {
    watched("scopes of two pools nest", || {
        for workers in 1..=2 {
            let (a, b) = (started(workers), started(workers));
            let count = AtomicUsize::new(0);
            a.scope(|outer| {
                for _ in 0..10 {
                    drop(outer.spawn(|| {
                        b.scope(|inner| {
                            for _ in 0..5 {
                                drop(inner.spawn(|| {
                                    let back = a.scope(|scope| scope.spawn(|| 1).join().unwrap());
                                    count.fetch_add(back, SeqCst);
                                }));
                            }
                        });
                    }));
                }
            });
            assert_eq!(count.into_inner(), 50);
        }
    });
}

/// All threads of a pool are in scopes whose tasks have not started.
#[test]
fn tasks_on_all_threads_may_wait_for_scopes() {
    watched("tasks on all threads wait for scopes", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            let together = Arc::new(Barrier::new(workers));
            let tasks: Vec<_> = (0..3 * workers)
                .map(|t| {
                    let (inside, together) = (pool.clone(), together.clone());
                    pool.spawn(move || {
                        together.wait();
                        let sum = AtomicUsize::new(0);
                        inside.scope(|scope| {
                            let joined = scope.spawn(|| sum.fetch_add(t, SeqCst));
                            for _ in 0..9 {
                                drop(scope.spawn(|| sum.fetch_add(t, SeqCst)));
                            }
                            joined.join().unwrap();
                        });
                        sum.into_inner()
                    })
                })
                .collect();
            for (t, result) in wait_all(tasks).into_iter().enumerate() {
                assert_eq!(result.unwrap(), 10 * t);
            }
        }
    });
}

/// An exception in a `with` block: raised after all tasks have ended.
#[test]
fn a_panic_of_a_scope_goes_on_when_all_tasks_are_over() {
    watched("a panic of a scope goes on when all are over", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let ran = AtomicUsize::new(0);
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    for _ in 0..10 {
                        drop(scope.spawn(|| {
                            thread::sleep(Duration::from_millis(3));
                            ran.fetch_add(1, SeqCst)
                        }));
                    }
                    panic_any(Meant(17));
                });
            });
            assert_eq!((index, ran.into_inner()), (Some(17), 10));
            // The panic of the closure wins over those of tasks.
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    drop(scope.spawn(|| panic_any(Meant(1))));
                    thread::sleep(Duration::from_millis(2));
                    panic_any(Meant(2));
                });
            });
            assert_eq!(index, Some(2));
            assert_eq!(pool.spawn(|| 3).join().unwrap(), 3);
        }
    });
}

#[test]
fn a_panic_of_a_task_that_nobody_joined_goes_on_when_all_are_over() {
    watched("a panic of a task that nobody joined goes on", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let ran = AtomicUsize::new(0);
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    drop(scope.spawn(|| panic_any(Meant(4))));
                    for _ in 0..10 {
                        drop(scope.spawn(|| {
                            thread::sleep(Duration::from_millis(3));
                            ran.fetch_add(1, SeqCst)
                        }));
                    }
                });
            });
            assert_eq!((index, ran.into_inner()), (Some(4), 10));
            // Those that were joined are not raised again, those that were dropped after their end are.
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    assert_eq!(meant(scope.spawn(|| panic_any(Meant(5))).join()), 5);
                    let ended = scope.spawn(|| panic_any(Meant(6)));
                    assert!(eventually(|| ended.is_finished()));
                });
            });
            assert_eq!(index, Some(6));
            // One of several.
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    for i in 0..20 {
                        drop(scope.spawn(move || panic_any(Meant(i))));
                    }
                });
            });
            assert!(index.is_some_and(|index| index < 20));
        }
    });
}

/// The panic of a scope within a task is the panic of that task.
#[test]
fn a_panic_passes_through_nested_scopes() {
    watched("a panic passes through nested scopes", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let index = meant_panic_in(|| {
                pool.scope(|outer| {
                    drop(outer.spawn(|| {
                        pool.scope(|inner| drop(inner.spawn(|| panic_any(Meant(8)))));
                        unreachable!("the inner scope panics");
                    }));
                });
            });
            assert_eq!(index, Some(8));
        }
    });
}

/// Where a handle leaves its scope, whoever has it has the panic.
#[test]
fn a_handle_that_leaves_its_scope_takes_the_panic_along() {
    quiet();
    watched(
        "a handle that leaves its scope takes the panic along",
        || {
            let pool = started(1);
            let handle = pool.scope(|scope| scope.spawn(|| panic_any(Meant(3))));
            assert!(handle.is_finished());
            assert_eq!(meant(handle.join()), 3);
        },
    );
}

// What holds for many tasks, for lazy iterators of tasks, and between pools.

/// All handles are there before the first is joined, also where an iterator gives the tasks as it goes.
#[test]
fn tasks_of_a_lazy_iterator_run_together() {
    watched("tasks of a lazy iterator run together", || {
        let pool = started(4);
        let arrived = Arc::new(AtomicUsize::new(0));
        let task = || {
            let arrived = arrived.clone();
            pool.spawn(move || {
                arrived.fetch_add(1, SeqCst);
                let start = Instant::now();
                while arrived.load(SeqCst) < 4 && start.elapsed() < Duration::from_secs(5) {
                    thread::yield_now();
                }
                arrived.load(SeqCst)
            })
        };
        for seen in wait_all((0..4).map(|_| task())) {
            assert_eq!(seen.unwrap(), 4, "they ran one after the other");
        }
        arrived.store(0, SeqCst);
        for (_, seen) in as_completed((0..4).map(|_| task())) {
            assert_eq!(seen.unwrap(), 4, "they ran one after the other");
        }
    });
}

/// CPU time of this thread in `f`: other programs on the machine are not in it.
fn cpu_of<R>(f: impl FnOnce() -> R) -> (R, Duration) {
    let start = cpu_time::ThreadTime::now();
    let result = f();
    (result, start.elapsed())
}

/// Many times longer than tens of thousands of tasks take where the time grows with their number,
/// and many times shorter than where it grows with its square.
const MANY: usize = 60_000;
const TIME_FOR_MANY: Duration = Duration::from_secs(3);

#[test]
fn the_time_of_as_completed_grows_with_the_number_of_tasks() {
    watched("the time of as_completed grows with the number", || {
        let pool = started(1);
        let ended = |handles: &[JoinHandle<usize>]| handles.iter().all(JoinHandle::is_finished);
        let handles: Vec<_> = (0..MANY).map(|i| pool.spawn(move || i)).collect();
        assert!(eventually(|| ended(&handles)));
        let (count, time) = cpu_of(|| as_completed(handles).filter(|(_, r)| r.is_ok()).count());
        assert_eq!(count, MANY);
        assert!(time < TIME_FOR_MANY, "{time:?} for tasks that were over");
    });
}

#[test]
fn the_time_of_waiting_on_a_pools_thread_grows_with_the_number_of_tasks() {
    watched("waiting on a pool's thread grows with the number", || {
        let pool = Arc::new(started(1));
        let inside = pool.clone();
        let outer = pool.spawn(move || {
            let tasks = || (0..MANY).map(|i| inside.spawn(move || i));
            let (count, completed) = cpu_of(|| as_completed(tasks()).count());
            assert_eq!(count, MANY);
            let (results, all) = cpu_of(|| wait_all(tasks()));
            assert!(results.into_iter().map(Result::unwrap).eq(0..MANY));
            let ((), scope) = cpu_of(|| {
                inside.scope(|scope| (0..MANY).for_each(|i| drop(scope.spawn(move || i))));
            });
            [completed, all, scope]
        });
        let times = outer.join().unwrap();
        assert!(times.iter().all(|&time| time < TIME_FOR_MANY), "{times:?}");
    });
}

/// A thread that waits for all of several tasks starts those behind one that runs elsewhere.
#[test]
fn waiting_for_all_starts_those_that_have_not_started() {
    watched("waiting for all starts those that have not", || {
        let pool = Arc::new(started(2));
        let (send, receive) = mpsc::channel();
        let (running, wait) = mpsc::channel();
        let first = pool.spawn(move || {
            running.send(()).unwrap();
            receive.recv_timeout(LONG / 3)
        });
        wait.recv().unwrap();
        let inside = pool.clone();
        let waiter = pool.spawn(move || {
            let second = inside.spawn(move || {
                let _ = send.send(8); // too late where it starts after the first has given up
                Ok(9)
            });
            wait_all([first, second])
                .into_iter()
                .map(|result| result.unwrap().expect("the second starts"))
                .sum::<i32>()
        });
        assert_eq!(waiter.join().unwrap(), 17);
    });
}

/// Shutting down a pool cancels its own tasks, and not those of others that its threads wait for.
#[test]
fn shutting_down_now_leaves_tasks_of_other_pools_alone() {
    watched("shutting down leaves others' tasks alone", || {
        let (a, b) = (Arc::new(started(1)), started(1));
        let blocker = Blocker::on(&a);
        let (go, gone) = mpsc::channel::<()>();
        let (running, wait) = mpsc::channel();
        let inside = a.clone();
        let waiter = b.spawn(move || {
            running.send(()).unwrap();
            let _ = gone.recv();
            [inside.spawn(|| 1).join(), inside.spawn(|| 2).join()]
        });
        wait.recv().unwrap();
        let cancelled = b.spawn(|| 3);
        let shutdown = thread::spawn(move || b.shutdown_now());
        thread::sleep(Duration::from_millis(20)); // the flag is up before the join, or soon after
        drop(go);
        let results = waiter.join().unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert!(cancelled.join().unwrap_err().is_cancelled());
        shutdown.join().unwrap();
        blocker.release();
    });
}

/// The other way round: a task that its pool has given up does not run on a thread of another pool.
#[test]
fn a_task_of_a_pool_that_was_shut_down_runs_nowhere() {
    watched("a task of a pool that was shut down", || {
        let (a, b) = (started(1), started(1));
        let blocker = Blocker::on(&a);
        let ran = Arc::new(AtomicBool::new(false));
        let inside = ran.clone();
        let pending = a.spawn(move || inside.store(true, SeqCst));
        let shutdown = thread::spawn(move || a.shutdown_now());
        thread::sleep(Duration::from_millis(20));
        let joined = b.spawn(move || pending.join());
        let error = joined.join().unwrap().unwrap_err();
        assert!(error.is_cancelled() && !ran.load(SeqCst));
        blocker.release();
        shutdown.join().unwrap();
    });
}

/// A task may run on a thread of another pool, which joins it; its own pool waits for it nevertheless.
#[test]
fn dropping_a_pool_waits_for_its_tasks_on_other_pools_threads() {
    watched("dropping a pool waits for tasks elsewhere", || {
        for end in [Pool::shutdown, Pool::shutdown_now, drop] {
            let (a, b) = (started(1), started(1));
            let blocker = Blocker::on(&a);
            let over = Arc::new(AtomicBool::new(false));
            let (running, wait) = mpsc::channel();
            let inside = over.clone();
            let task = a.spawn(move || {
                running.send(()).unwrap();
                thread::sleep(Duration::from_millis(50));
                inside.store(true, SeqCst);
            });
            let joined = b.spawn(move || task.join());
            wait.recv().unwrap(); // on the thread of `b`: that of `a` is blocked
            drop(blocker);
            end(a);
            assert!(over.load(SeqCst), "the task runs on without its pool");
            joined.join().unwrap().unwrap();
        }
    });
}

// Waiting until a pool is idle: for tasks without handles, and of the global pool, which is never dropped.

#[test]
fn waiting_until_idle_waits_for_all_tasks_and_what_they_gave() {
    quiet();
    watched("waiting until idle waits for all tasks", || {
        for workers in 1..=3 {
            let pool = Arc::new(started(workers));
            pool.wait_idle(); // nothing was given
            let ran = Arc::new(AtomicUsize::new(0));
            fn chain(pool: &Arc<Pool>, ran: &Arc<AtomicUsize>, length: usize) {
                let (inside, counter) = (pool.clone(), ran.clone());
                drop(pool.spawn(move || {
                    thread::sleep(Duration::from_micros(300));
                    counter.fetch_add(1, SeqCst);
                    if length > 1 {
                        chain(&inside, &counter, length - 1);
                    }
                }));
            }
            for round in 1..=20 {
                for _ in 0..3 {
                    chain(&pool, &ran, 5);
                }
                drop(pool.spawn(|| panic_any(Meant(0))));
                let cancelled = pool.spawn(|| ());
                cancelled.cancel();
                pool.wait_idle();
                assert_eq!(ran.load(SeqCst), 15 * round, "{workers} workers");
                assert!(pool.wait_idle_timeout(Duration::ZERO), "it is idle");
            }
        }
    });
}

/// A pool that has not started has nothing to wait for, and is not started by asking.
#[test]
fn waiting_until_idle_starts_no_thread() {
    let pool = Pool::new(2);
    pool.wait_idle();
    assert!(pool.wait_idle_timeout(Duration::MAX));
    assert_eq!(pool.num_threads(), 0);
    pool.spawn(|| ()).join().unwrap();
    assert_eq!((pool.num_threads(), pool.num_workers()), (2, 2));
    assert!(pool.threads_error().is_none());
}

#[test]
fn waiting_until_idle_ends_when_its_time_is_over() {
    watched("waiting until idle has a limit", || {
        let pool = started(2);
        let blocker = Blocker::on(&pool);
        assert!(!pool.wait_idle_timeout(Duration::ZERO));
        let start = Instant::now();
        assert!(!pool.wait_idle_timeout(Duration::from_millis(30)));
        assert!(start.elapsed() >= Duration::from_millis(30));
        let release = thread::spawn(move || blocker.release());
        assert!(pool.wait_idle_timeout(LONG));
        release.join().unwrap();
        pool.wait_idle();
    });
}

/// Other threads may give tasks all the time, and may wait as well.
#[test]
fn waiting_until_idle_is_for_what_was_given_before() {
    watched("waiting until idle is for what was given", || {
        let pool = started(2);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        // Never fewer than some are open.
                        let some: Vec<_> = (0..8)
                            .map(|_| pool.spawn(|| spin(Duration::from_micros(50))))
                            .collect();
                        drop(pool.spawn(|| spin(Duration::from_micros(50))));
                        wait_all(some);
                    }
                });
            }
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            let over = Arc::new(AtomicBool::new(false));
                            let inside = over.clone();
                            drop(pool.spawn(move || inside.store(true, SeqCst)));
                            pool.wait_idle();
                            assert!(over.load(SeqCst), "it was given before");
                        }
                    })
                })
                .collect();
            for waiter in waiters {
                waiter.join().unwrap();
            }
            stop.store(true, SeqCst);
        });
    });
}

/// Where a pool would wait for itself it says so, and goes on working.
#[test]
fn a_pool_does_not_wait_for_itself() {
    quiet();
    watched("a pool does not wait for itself", || {
        let refused = |pool: &Pool| {
            let panic = catch_unwind(AssertUnwindSafe(|| pool.wait_idle_timeout(LONG)));
            let text = panic.unwrap_err();
            let text = text.downcast_ref::<&str>().unwrap();
            assert!(text.contains("own thread or task cannot wait"), "{text}");
        };
        for workers in 1..=2 {
            let (a, b) = (Arc::new(started(workers)), Arc::new(started(workers)));
            let inside = a.clone();
            a.spawn(move || refused(&inside)).join().unwrap();
            a.install(|| refused(&a)).unwrap();
            a.scope(|scope| scope.spawn(|| refused(&a)).join().unwrap());
            // One of its tasks on a thread of another pool.
            let blockers: Vec<_> = (0..workers).map(|_| Blocker::on(&a)).collect();
            let inside = a.clone();
            let task = a.spawn(move || refused(&inside));
            b.spawn(move || task.join().unwrap()).join().unwrap();
            blockers.into_iter().for_each(Blocker::release);
            // From a task of another pool it is a wait as any other.
            let (inside, ran) = (a.clone(), Arc::new(AtomicBool::new(false)));
            let flag = ran.clone();
            b.spawn(move || {
                drop(inside.spawn(move || flag.store(true, SeqCst)));
                inside.wait_idle();
            })
            .join()
            .unwrap();
            assert!(ran.load(SeqCst));
            a.wait_idle();
        }
    });
}

/// The last handle of a pool may be with its own task, wherever that runs or is dropped.
#[test]
fn a_pool_may_be_dropped_by_its_task_on_any_thread() {
    quiet();
    watched("a pool dropped by its task on any thread", || {
        for workers in 1..=2 {
            let b = started(2);
            // Run on a thread of another pool, while a third task waits for it.
            let a = Arc::new(started(workers));
            let blockers: Vec<_> = (0..workers).map(|_| Blocker::on(&a)).collect();
            let own = a.clone();
            let task = a.spawn(move || {
                let weak = Arc::downgrade(&own);
                drop(own);
                weak.strong_count()
            });
            let releases: Vec<_> = blockers
                .into_iter()
                .map(|b| (b.release, b.handle))
                .collect();
            drop(a);
            assert_eq!(b.spawn(move || task.join()).join().unwrap().unwrap(), 0);
            drop(releases);
            // Cancelled from outside: what it had captured is dropped there.
            let a = Arc::new(started(workers));
            let blockers: Vec<_> = (0..workers).map(|_| Blocker::on(&a)).collect();
            let own = a.clone();
            let task = a.spawn(move || drop(own));
            drop(a);
            let releases: Vec<_> = blockers
                .into_iter()
                .map(|b| (b.release, b.handle))
                .collect();
            assert!(task.cancel());
            drop(releases);
            // In a result that no thread asks for.
            let a = Arc::new(started(workers));
            let (go, gone) = mpsc::channel::<()>();
            let own = a.clone();
            drop(a.spawn(move || {
                let _ = gone.recv();
                own
            }));
            drop(a);
            drop(go);
        }
    });
}

// Tasks of a scope that spawn tasks in it: rayon's `scope.spawn(|s| s.spawn(...))`, std's by borrowing the scope.

#[test]
fn a_scopes_task_may_spawn_others_in_it() {
    fn count<'a: 's, 's>(
        scope: &scipar::Scope<'a, 's>,
        depth: usize,
        ran: &'s AtomicUsize,
        text: &'s str,
    ) {
        ran.fetch_add(text.len(), SeqCst);
        if depth > 0 {
            for i in 0..3 {
                let child = scope.spawn_with(move |scope| {
                    thread::yield_now();
                    count(scope, depth - 1, ran, text);
                    i
                });
                match i {
                    0 => drop(child),
                    1 => assert_eq!(child.join().unwrap(), 1),
                    _ => std::mem::forget(child),
                }
            }
        }
    }
    watched("a scope's task may spawn others in it", || {
        for workers in 1..=3 {
            for pool in [started(workers), Pool::new(workers)] {
                let text = String::from("text");
                let ran = AtomicUsize::new(0);
                pool.scope(|scope| count(scope, 5, &ran, &text));
                assert_eq!(ran.into_inner(), 4 * (3_usize.pow(6) - 1) / 2);
            }
        }
    });
}

/// The scope's end waits for tasks that are spawned by the last task that is open.
#[test]
fn a_scope_waits_for_tasks_that_its_last_task_spawns() {
    watched("a scope waits for late tasks", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let over = AtomicUsize::new(0);
            let borrowed = [1, 2, 3];
            let total = pool.scope(|scope| {
                let handle = scope.spawn_with(|scope| {
                    thread::sleep(Duration::from_millis(5)); // the scope's closure has returned
                    drop(scope.spawn_with(|scope| {
                        thread::sleep(Duration::from_millis(5));
                        drop(scope.spawn(|| {
                            thread::sleep(Duration::from_millis(5));
                            over.fetch_add(borrowed.len(), SeqCst);
                        }));
                        // A stream is a sibling as well.
                        let items = scope.stream(&borrowed, |x| x * 2);
                        over.fetch_add(items.sum::<i32>() as usize, SeqCst);
                    }));
                    borrowed.iter().sum::<i32>()
                });
                handle
            });
            assert_eq!(over.load(SeqCst), 15, "before the end of a task");
            assert_eq!(total.join().unwrap(), 6);
        }
    });
}

#[test]
fn a_panic_of_a_task_that_a_scopes_task_spawned_goes_on() {
    watched("a panic of a task of a task goes on", || {
        for workers in 1..=3 {
            let pool = started(workers);
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    drop(scope.spawn_with(|scope| drop(scope.spawn(|| panic_any(Meant(3))))));
                });
            });
            assert_eq!(index, Some(3));
            // Also where the task itself panics after it.
            let ran = AtomicBool::new(false);
            let index = meant_panic_in(|| {
                pool.scope(|scope| {
                    let outer = scope.spawn_with(|scope| {
                        drop(scope.spawn(|| ran.store(true, SeqCst)));
                        panic_any(Meant(4));
                    });
                    assert_eq!(meant(outer.join()), 4);
                    panic_any(Meant(5));
                });
            });
            assert_eq!((index, ran.into_inner()), (Some(5), true));
        }
    });
}

/// On a thread of another pool, which ends the scope; and within maps of its tasks.
#[test]
fn scopes_whose_tasks_spawn_work_on_threads_of_other_pools() {
    watched("scopes whose tasks spawn, on other pools", || {
        let (a, b) = (started(1), started(1));
        let count = AtomicUsize::new(0);
        b.install(|| {
            a.scope(|scope| {
                for _ in 0..5 {
                    drop(scope.spawn_with(|scope| {
                        b.par_for_each_chunked(0..4, 1, |_| {
                            drop(scope.spawn_with(|scope| {
                                drop(scope.spawn(|| count.fetch_add(1, SeqCst)));
                            }));
                        });
                    }));
                }
            });
        })
        .unwrap();
        assert_eq!(count.into_inner(), 20);
    });
}

// What a program gives to a pool while that is being started.

#[test]
fn closures_that_start_a_pool_may_use_it() {
    use std::sync::OnceLock;
    static POOL: OnceLock<Pool> = OnceLock::new();
    static OTHER: OnceLock<Pool> = OnceLock::new();
    static USED: AtomicUsize = AtomicUsize::new(0);
    fn work(pool: &'static OnceLock<Pool>) {
        let pool = pool.get().unwrap();
        assert_eq!(pool.spawn(|| 7).join().unwrap(), 7);
        let doubled = pool.par_map_chunked(0..50, 1, |i| {
            spin(Duration::from_micros(20));
            2 * i
        });
        assert_eq!(doubled[49], 98);
        pool.scope(|scope| scope.spawn(|| ()).join().unwrap());
        let _ = pool.wait_idle_timeout(Duration::from_millis(1));
        let _ = (pool.num_threads(), pool.threads_error());
        USED.fetch_add(1, SeqCst);
    }
    watched("closures that start a pool may use it", || {
        // One worker: its thread is started when it is needed, when the pool has its place.
        POOL.get_or_init(|| {
            let builder = Pool::builder().workers(1).thread_name(|i| {
                work(&POOL);
                work(&OTHER);
                format!("own-{i}")
            });
            let builder = builder.on_start(|_| {
                let pool = POOL.get().unwrap();
                assert_eq!(pool.spawn(|| 8).join().unwrap(), 8);
                USED.fetch_add(1, SeqCst);
            });
            builder.build().unwrap()
        });
        // Two that name their threads by each other's work.
        OTHER.get_or_init(|| {
            let builder = Pool::builder().workers(1).thread_name(|i| {
                work(&POOL);
                format!("other-{i}")
            });
            builder.build().unwrap()
        });
        let name = || thread::current().name().map(str::to_owned);
        let pool = POOL.get().unwrap();
        assert_eq!(pool.spawn(name).join().unwrap().unwrap(), "own-0");
        let other = OTHER.get().unwrap();
        assert_eq!(other.spawn(name).join().unwrap().unwrap(), "other-0");
        assert!(USED.load(SeqCst) >= 3);
    });
}
