//! Where the system refuses threads: a pool goes on with fewer, or none, leaves some to the program,
//! asks again, and says so.
//!
//! The limit is put on a child process of a user without rights, which is this binary again, running
//! one of its ignored tests.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Seen, eventually, num_threads, spin, watched};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use scipar::{Chunking, Pool};

/// As many threads as the child may have.
const LIMIT: usize = 30;

const ENDED: &str = "the child came to its end";

/// Runs one of the ignored tests, as a user who has no other process.
fn as_a_user_of_few_threads(test: &str) {
    static USERS: AtomicU32 = AtomicU32::new(0);
    if !geteuid().is_root() {
        println!("skipped: only root can start a process of a user who has no other");
        return;
    }
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    let user = 2_000_000_000 + 2 * std::process::id() + USERS.fetch_add(1, SeqCst) % 2;
    command.uid(user);
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: no process of another user can be started here: {error}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains(ENDED),
        "{text}{errors}"
    );
}

fn limit_threads() {
    let maximum = getrlimit(Resource::Nproc).maximum;
    let current = Some(LIMIT as u64);
    setrlimit(Resource::Nproc, Rlimit { current, maximum }).unwrap();
}

/// How many threads computed.
fn heavy(pool: &Pool) -> usize {
    let seen = Seen::default();
    let squares = pool.par_map_chunked(0..400_u64, Chunking::auto(), |i| {
        spin(Duration::from_micros(100));
        seen.note();
        i * i
    });
    assert!(squares.into_iter().eq((0..400).map(|i| i * i)));
    seen.count()
}

/// Takes all threads that the system has left for this user, until the answer is dropped.
struct Hog(Vec<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Hog {
    fn new() -> Self {
        let mut taken = Vec::new();
        loop {
            let (keep, kept) = mpsc::channel::<()>();
            let wait = move || _ = kept.recv();
            match thread::Builder::new().spawn(wait) {
                Ok(handle) => taken.push((keep, handle)),
                Err(_) => return Self(taken),
            }
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        for (keep, handle) in self.0.drain(..) {
            drop(keep);
            handle.join().unwrap();
        }
    }
}

#[test]
fn a_pool_takes_half_of_what_there_is() {
    as_a_user_of_few_threads("takes_half");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn takes_half() {
    watched("half of the threads", || {
        limit_threads();
        let pool = Pool::new(200);
        assert!(pool.num_threads() == 0 && pool.threads_error().is_none());
        let before = num_threads();
        assert!(eventually(|| heavy(&pool) > 1), "no thread ever helped");
        let left = LIMIT - before;
        let threads = pool.num_threads();
        assert!(
            (left / 2 - 2..=left / 2).contains(&threads),
            "{threads} threads, where {left} were to be had"
        );
        assert_eq!(pool.num_workers(), 200, "what was asked for");
        let error = pool.threads_error().unwrap().to_string();
        assert!(
            error.starts_with("the system refused thread ") && error.ends_with(" of 200"),
            "{error}"
        );
        // What the program starts itself is not refused, and other uses of the pool are as ever.
        thread::spawn(|| ()).join().unwrap();
        assert_eq!(pool.install(rayon::current_num_threads).unwrap(), threads);
        assert_eq!(pool.spawn(|| 5).join().unwrap(), 5);
        assert_eq!(pool.stream(0..100_u64, |i| i).sum::<u64>(), 4950);
        assert_eq!(pool.over(0..100_u64).map(|i| i).unwrap().len(), 100);
        pool.wait_idle();
        // All or an error, where that is what is asked for.
        let error = Pool::builder().workers(200).build().unwrap_err();
        assert!(error.to_string().ends_with(" of 200"), "{error}");
        drop(pool);
        assert!(eventually(|| num_threads() == before));
        let pool = Pool::builder().workers(5).build().unwrap();
        assert_eq!(pool.num_threads(), 5);
        assert!(pool.threads_error().is_none());
        println!("{ENDED}");
    });
}

#[test]
fn a_pool_without_threads_asks_again_now_and_then() {
    as_a_user_of_few_threads("asks_again");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn asks_again() {
    watched("asking again", || {
        limit_threads();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let pool = Pool::new(4);
        let single = Pool::builder()
            .workers(1) // starts its thread when it is needed
            .thread_name(move |_| format!("single-{}", counter.fetch_add(1, SeqCst)))
            .build()
            .unwrap();
        let hog = Hog::new();
        assert_eq!(heavy(&pool), 1);
        let caller = thread::current().id();
        let began = Instant::now();
        let mut calls = 0;
        while began.elapsed() < Duration::from_millis(400) {
            let ran_on = single.spawn(|| thread::current().id()).join();
            assert_eq!(ran_on.unwrap(), caller, "tasks run where they are given");
            calls += 1;
        }
        let (tries, time) = (asked.load(SeqCst), began.elapsed());
        // At once, and after 0.1, 0.3, 0.7, 1.5 seconds.
        let most = 1 + (1.0 + time.as_secs_f64() / 0.1).log2() as usize;
        assert!(
            (2..=most).contains(&tries),
            "{tries} tries for {calls} tasks in {time:?}"
        );
        for pool in [&pool, &single] {
            assert_eq!(pool.num_threads(), 0);
            let error = pool.threads_error().unwrap().to_string();
            assert!(
                error.starts_with("the system refused thread 1 of "),
                "{error}"
            );
            assert!(pool.install(|| ()).is_err());
        }
        drop(hog);
        // From now on there are threads, and the pools find out by themselves.
        assert!(eventually(|| heavy(&pool) > 1), "serial for life");
        let elsewhere = || single.spawn(|| thread::current().id()).join().unwrap() != caller;
        assert!(eventually(elsewhere), "serial for life");
        assert_eq!((pool.num_threads(), single.num_threads()), (4, 1));
        assert!(pool.threads_error().is_none() && single.threads_error().is_none());
        println!("{ENDED}");
    });
}
