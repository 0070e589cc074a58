//! What several test binaries share.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::HashSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, Once};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use scipar::{Chunking, Pool};

/// Computes for so long, by the clock on the wall.
pub(crate) fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// A pool whose threads run already, so that helpers come to the first call that is worth it.
pub(crate) fn started(workers: usize) -> Pool {
    Pool::builder()
        .workers(workers)
        .build()
        .expect("the system has threads for a test")
}

/// One of each kind of chunking, with the edges of each, for a source of `len` items.
pub(crate) fn chunkings(len: usize) -> Vec<Chunking> {
    vec![
        Chunking::auto(),
        Chunking::auto().min_len(64),
        Chunking::size(1),
        Chunking::size(3),
        Chunking::size(256),
        Chunking::size(usize::MAX),
        Chunking::count(1),
        Chunking::count(3),
        Chunking::count(8),
        Chunking::count(len + 5),
        Chunking::serial(),
    ]
}

/// Runs a test that could hang. After a minute the process ends with a message instead.
pub(crate) fn watched<R>(name: &str, test: impl FnOnce() -> R) -> R {
    const LIMIT: Duration = Duration::from_secs(60);
    let (done, wait) = mpsc::channel::<()>();
    let message = format!("\n`{name}` has not ended within {LIMIT:?}: a deadlock\n");
    let watchdog = std::thread::spawn(move || {
        if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            // Past the test harness, which holds back what a test prints.
            let _ = std::io::stderr().write_all(message.as_bytes());
            std::process::abort();
        }
    });
    let result = catch_unwind(AssertUnwindSafe(test));
    drop(done);
    let _ = watchdog.join();
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Which threads were seen at work.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashSet<ThreadId>>);

impl Seen {
    pub(crate) fn note(&self) {
        self.0
            .lock()
            .expect("nobody panics here")
            .insert(std::thread::current().id());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("nobody panics here").len()
    }
}

/// A panic that a test means to happen; [`quiet`] keeps it off the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant(pub(crate) usize);

/// The mark of a meant panic whose payload is a string.
pub(crate) const MEANT: &str = "meant:";

/// Silences the panics that tests mean to happen, and only those.
pub(crate) fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let meant = payload.is::<Meant>()
                || payload
                    .downcast_ref::<String>()
                    .is_some_and(|s| s.starts_with(MEANT))
                || payload
                    .downcast_ref::<&str>()
                    .is_some_and(|s| s.starts_with(MEANT));
            if !meant {
                usual(info);
            }
        }));
    });
}

/// The index in the payload of a meant panic in `f`; `None` where nothing panics.
pub(crate) fn meant_panic_in(f: impl FnOnce()) -> Option<usize> {
    quiet();
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(payload.downcast_ref::<Meant>().expect("a meant panic").0)
}

/// How often things numbered from 0 were dropped.
#[derive(Debug)]
pub(crate) struct Drops(Vec<AtomicUsize>);

impl Drops {
    pub(crate) fn new(len: usize) -> Arc<Self> {
        Arc::new(Self((0..len).map(|_| AtomicUsize::new(0)).collect()))
    }

    /// Everything there is, in order, each counted here when it is dropped.
    pub(crate) fn all(self: &Arc<Self>) -> Vec<Counted> {
        (0..self.0.len()).map(|index| self.counted(index)).collect()
    }

    pub(crate) fn counted(self: &Arc<Self>, index: usize) -> Counted {
        Counted {
            index,
            drops: self.clone(),
            boxed: Box::new(index),
        }
    }

    pub(crate) fn of(&self, index: usize) -> usize {
        self.0[index].load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn assert_each_once(&self, what: &dyn std::fmt::Display) {
        for index in 0..self.0.len() {
            assert_eq!(self.of(index), 1, "{what}: drops of {index}");
        }
    }
}

/// Something whose drops are counted. Owns memory too, so that a leak checker sees what is lost
/// and a sanitizer what is dropped twice.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) index: usize,
    drops: Arc<Drops>,
    boxed: Box<usize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_eq!(*self.boxed, self.index, "dropped after it was freed");
        self.drops.0[self.index].fetch_add(1, Ordering::SeqCst);
    }
}

/// Threads of this process.
#[cfg(target_os = "linux")]
pub(crate) fn num_threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .expect("Linux has /proc")
        .count()
}

/// Waits, for 20 s at most, until something holds. Says whether it does.
pub(crate) fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(20) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
