//! Tasks, scopes and streams leave no thread behind when their pool is gone.
//!
//! Threads are counted for the whole process, so this is a binary of its own with one test in it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::{Meant, eventually, meant_panic_in, num_threads, quiet, spin, watched};
use scipar::{Pool, wait_all};

#[test]
fn tasks_scopes_and_streams_leave_no_thread_behind() {
    quiet();
    watched("no thread is left behind", || {
        // The test's own, its harness's and its watchdog's.
        let before = num_threads();
        for (what, test) in [
            ("tasks", tasks as fn(&Arc<Pool>)),
            ("tasks in tasks", tasks_in_tasks),
            ("scopes", scopes),
            ("streams", streams),
            ("streams in tasks", streams_in_tasks),
        ] {
            for workers in 1..=3 {
                for _ in 0..5 {
                    let pool = Arc::new(Pool::new(workers));
                    assert_eq!(num_threads(), before, "a pool that was not used");
                    test(&pool);
                    let seen = num_threads() - before;
                    assert_eq!(seen, workers, "{what} started {seen} for {workers} workers");
                    drop(pool);
                    assert_ended(before, what);
                }
            }
        }
        ended_at_once(before);
        ended_by_a_task(before);
    });
}

/// A joined thread may be listed for a moment longer.
#[track_caller]
fn assert_ended(before: usize, after: &str) {
    assert!(
        eventually(|| num_threads() == before),
        "{} threads are left after {after}, before it {before}",
        num_threads()
    );
}

fn tasks(pool: &Arc<Pool>) {
    let handles: Vec<_> = (0..50).map(|i| pool.spawn(move || i)).collect();
    for i in 0..50 {
        drop(pool.spawn(move || panic_any(Meant(i))));
    }
    assert!(wait_all(handles).into_iter().all(|result| result.is_ok()));
}

fn tasks_in_tasks(pool: &Arc<Pool>) {
    let handles: Vec<_> = (0..20)
        .map(|i| {
            let inside = pool.clone();
            pool.spawn(move || {
                let child = inside.spawn(move || i);
                child.join().unwrap()
            })
        })
        .collect();
    assert!(wait_all(handles).into_iter().all(|result| result.is_ok()));
}

fn scopes(pool: &Arc<Pool>) {
    let count = AtomicUsize::new(0);
    pool.scope(|scope| {
        for _ in 0..20 {
            drop(
                scope
                    .spawn(|| pool.scope(|inner| drop(inner.spawn(|| count.fetch_add(1, SeqCst))))),
            );
        }
    });
    assert_eq!(count.load(SeqCst), 20);
    let index = meant_panic_in(|| pool.scope(|scope| drop(scope.spawn(|| panic_any(Meant(1))))));
    assert_eq!(index, Some(1));
}

fn streams(pool: &Arc<Pool>) {
    let work = |i| {
        spin(Duration::from_micros(10));
        i
    };
    assert!(pool.stream(0..200, work).eq(0..200));
    assert_eq!(pool.stream_unordered(0.., work).take(50).count(), 50);
    assert_eq!(pool.stream(0.., work).next(), Some(0)); // dropped early
    drop(pool.stream(0.., work)); // never asked
    let numbers: Vec<usize> = (0..100).collect();
    pool.scope(|scope| {
        let mut items = scope.stream(&numbers, |&i| i);
        assert_eq!(items.next(), Some(0));
        std::mem::forget(items);
    });
}

fn streams_in_tasks(pool: &Arc<Pool>) {
    let handles: Vec<_> = (0..6)
        .map(|_| {
            let inside = pool.clone();
            pool.spawn(move || inside.stream(0..100, |i| i).sum::<i32>())
        })
        .collect();
    for result in wait_all(handles) {
        assert_eq!(result.unwrap(), 4950);
    }
    // Tasks keep the pool until their closures are gone, which is before their ends.
    assert_eq!(Arc::strong_count(pool), 1);
}

fn ended_at_once(before: usize) {
    for workers in 1..=3 {
        let pool = Pool::new(workers);
        let handles: Vec<_> = (0..100)
            .map(|_| pool.spawn(|| spin(Duration::from_micros(200))))
            .collect();
        pool.shutdown_now();
        assert_ended(before, "shutting down now");
        assert!(handles.iter().all(|handle| handle.is_finished()));
    }
}

fn ended_by_a_task(before: usize) {
    for workers in 1..=3 {
        let pool = Arc::new(Pool::new(workers));
        let (last, wait) = mpsc::channel::<()>();
        let own = pool.clone();
        let handle = pool.spawn(move || {
            let _ = wait.recv();
            own.stream(0..10, |i| i).count()
        });
        drop(pool);
        drop(last);
        assert_eq!(handle.join().unwrap(), 10);
        assert_ended(before, "dropping a pool on its own thread");
    }
}
