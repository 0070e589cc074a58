//! A child made by `fork` has none of its parent's threads: the pools it inherits work without them, or say so, and never hang.
//!
//! Forking a test harness with its threads would test the harness, so this is a plain program.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unsafe_code, reason = "fork is unsafe, and what this is about")]

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    use std::time::Duration;

    use scipar::{Chunking, Pool};

    let heavy = |pool: &Pool| {
        let item = |i: u64| {
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
            i * i
        };
        let squares = pool.par_map_chunked(0..300_u64, Chunking::auto(), item);
        assert_eq!(squares[299], 299 * 299);
    };

    // What a user may do in a child, in turn. Each has a child of its own, as a hang of one would hide the others.
    type Act<'a> = (&'a str, Box<dyn FnOnce(&Pool) + 'a>);
    let unused = Pool::new(3);
    let acts: Vec<Act<'_>> = vec![
        ("a map", Box::new(heavy)),
        (
            "a map on the global pool",
            Box::new(|_| heavy(Pool::global())),
        ),
        (
            "a map on a pool that was not used before",
            Box::new(|_| heavy(&unused)),
        ),
        ("a new pool", Box::new(|_| heavy(&Pool::new(2)))),
        (
            "install",
            Box::new(|pool| assert!(pool.install(|| 1).unwrap_err().is_forked())),
        ),
        (
            "spawn",
            Box::new(|pool| assert_eq!(pool.spawn(|| 7).join().unwrap(), 7)),
        ),
        (
            "a scope",
            Box::new(|pool| {
                let text = String::from("text");
                let len = pool.scope(|scope| scope.spawn(|| text.len()).join().unwrap());
                assert_eq!(len, 4);
            }),
        ),
        (
            "a stream",
            Box::new(|pool| {
                assert_eq!(pool.stream(0..1000_u64, |i| i + 1).sum::<u64>(), 500_500);
            }),
        ),
        (
            "waiting until idle",
            Box::new(|pool| {
                pool.wait_idle();
                assert!(pool.wait_idle_timeout(Duration::ZERO));
                pool.spawn(|| 7).join().unwrap();
                pool.wait_idle();
            }),
        ),
        (
            "asking for the threads",
            Box::new(|pool| {
                assert_eq!((pool.num_threads(), pool.num_workers()), (0, 3));
                assert!(pool.threads_error().unwrap().is_forked());
                assert_eq!(
                    (unused.num_threads(), unused.threads_error().is_none()),
                    (0, true)
                );
            }),
        ),
        (
            "as_completed of tasks of a new pool",
            Box::new(|_| {
                let new = Pool::new(2);
                let handles = (0..50).map(|i| new.spawn(move || i));
                assert_eq!(scipar::as_completed(handles).count(), 50);
                new.wait_idle();
                drop(new);
                Pool::new(2).spawn(|| ()).join().unwrap();
            }),
        ),
        (
            "the long form",
            Box::new(|pool| {
                let run = pool.over(0..100_u64).map(|i| i * 2);
                assert_eq!(run.unwrap()[99], 198);
            }),
        ),
    ];

    let pool = Pool::new(3);
    heavy(&pool);
    heavy(Pool::global());
    // Joined in children, where it cannot end.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let running = pool.spawn(move || held.recv());
    std::thread::sleep(Duration::from_millis(20));
    let worker = scipar::Worker::spawn(scipar::Stop::wait);
    let mut failed = 0;
    let count = acts.len() + 6;
    for (name, act) in acts {
        failed += u32::from(!in_child(name, || act(&pool)));
    }
    // Some that run in the parent, some that end in a fork, and some that are over.
    let parents = |pool: &Pool| {
        let over = pool.spawn(|| 1);
        while !over.is_finished() {
            std::thread::yield_now();
        }
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let runs = pool.spawn(move || {
            let _ = held.recv();
            2
        });
        std::thread::sleep(Duration::from_millis(20));
        (vec![runs, over], hold)
    };
    let (handles, hold_some) = parents(&pool);
    let mut handles = Some(handles);
    let mixed = |handles: Vec<scipar::JoinHandle<i32>>, new: &Pool| {
        let mut handles = handles;
        handles.extend((3..6).map(|i| new.spawn(move || i)));
        handles
    };
    failed += u32::from(!in_child("as_completed of tasks of both processes", || {
        let new = Pool::new(2);
        let mut results: Vec<_> =
            scipar::as_completed(mixed(handles.take().unwrap(), &new)).collect();
        results.sort_by_key(|(place, _)| *place);
        let results: Vec<_> = results.into_iter().map(|(_, result)| result.ok()).collect();
        assert_eq!(results, [None, Some(1), Some(3), Some(4), Some(5)]);
    }));
    failed += u32::from(!in_child("wait_all of tasks of both processes", || {
        let new = Pool::new(2);
        let results = scipar::wait_all(mixed(handles.take().unwrap(), &new));
        let results: Vec<_> = results.into_iter().map(Result::ok).collect();
        assert_eq!(results, [None, Some(1), Some(3), Some(4), Some(5)]);
    }));
    drop(hold_some);
    let mut running = Some(running);
    let mut pool = Some(pool);
    failed += u32::from(!in_child("joining a task that runs in the parent", || {
        assert!(running.take().unwrap().join().is_err());
    }));
    failed += u32::from(!in_child("dropping the pool", || drop(pool.take())));
    let mut worker = Some(worker);
    failed += u32::from(!in_child("dropping a worker", || drop(worker.take())));
    failed += u32::from(!in_child(
        "joining a worker that lives in the parent",
        || {
            let worker = worker.take().unwrap();
            worker.stop();
            assert!(worker.join().is_err());
        },
    ));
    drop(hold);
    drop((running, pool, worker));
    println!(
        "{} of {count} acts in a fork were all right",
        count as u32 - failed
    );
    assert_eq!(failed, 0);
}

/// Runs `act` in a fork of this process; says whether it ended well, and in time.
#[cfg(unix)]
fn in_child(name: &str, act: impl FnOnce()) -> bool {
    // SAFETY: the child runs code of this program that takes no lock which another thread could have held; that it
    // works nevertheless where the pool's threads are missing is what is tested.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "the system refuses to fork");
    if child == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        // SAFETY: ends the child without running what its parent registered for its own end.
        unsafe { libc::_exit(i32::from(result.is_err())) }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for writing.
        let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        if ended == child {
            let well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
            if !well {
                eprintln!("in a fork: {name} failed");
            }
            return well;
        }
        if std::time::Instant::now() > deadline {
            eprintln!("in a fork: {name} hangs");
            // SAFETY: the child is ours, and has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
