//! The acts, and the programs that they start: this one, with the name of a part as its argument.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scipar::process::{
    self, Process, ProcessError, ProcessErrorKind, ProcessPool, ProcessPoolBuilder, Stderr, task,
};

use crate::children::{alone, children, is_gone, kill, num_descriptors, state};
use crate::common::eventually;

task! {
    fn next(x: u64) -> u64 { x + 1 }
    fn own_pid() -> u32 { std::process::id() }
    fn sleeps(path: PathBuf) {
        std::fs::write(&path, "").unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    }
    fn stops_when_asked(path: PathBuf) -> String {
        std::fs::write(&path, "").unwrap();
        process::stop().unwrap().wait();
        "asked".to_owned()
    }
    fn stops_not(path: PathBuf) {
        process::stop().unwrap().wait();
        std::fs::write(&path, "").unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    }
    fn spins_until_asked() -> u64 {
        let stop = process::stop().unwrap();
        (0..).find(|_| stop.is_set()).unwrap()
    }
    fn exits(code: i32) { std::process::exit(code); }
    fn long_text(len: usize) -> String { "x".repeat(len) }
    fn has_program() -> u32 { Command::new("sleep").arg("1000").spawn().unwrap().id() }
    fn has_program_and_sleeps(path: PathBuf) {
        let pid = Command::new("sleep").arg("1000").spawn().unwrap().id();
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, pid.to_string()).unwrap();
        std::fs::rename(unfinished, path).unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    }
    fn floods_stdout(lines: u64) -> u64 {
        for i in 0..lines { println!("line {i} of very many, all of which are rather long"); }
        lines
    }
    fn has_pool() -> String { kind_or(|pool| pool.call(next, &1).unwrap().to_string()) }
    fn has_pool_of_pools() -> String { kind_or(|pool| pool.call(has_pool, &()).unwrap()) }
    fn runs_this_program(part: String) -> String {
        let output = this_program(&part).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

fn kind_or(then: impl FnOnce(ProcessPool) -> String) -> String {
    ProcessPool::new(1).map_or_else(|error| format!("{:?}", error.kind()), then)
}

fn builder(workers: usize) -> ProcessPoolBuilder {
    ProcessPool::builder().workers(workers).stderr(Stderr::Kept)
}

fn this_program(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(part);
    command
}

fn wait_for(condition: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    assert!(eventually(condition));
    began.elapsed()
}

pub(crate) fn main() {
    let part = std::env::args().nth(1);
    if part.as_deref() == Some("uninitialized") {
        return uninitialized();
    }
    process::init();
    match part.as_deref() {
        Some("few files") => few_files(),
        Some("deaf") => deaf_parent(),
        Some("idle") => idle_parent(),
        Some("busy") => busy_parent(),
        Some("leaky") => leaky_parent(),
        Some("flood") => flooded_parent(),
        Some("one") => println!("{}", ProcessPool::new(1).unwrap().call(next, &1).unwrap()),
        _ => all(),
    }
}

fn all() {
    let acts: [(&str, fn()); 13] = [
        ("without init nothing is started", without_init),
        ("workers of a program with init have workers", nested_pools),
        ("join, and what is known before and after", join),
        ("join for a while", join_for_a_while),
        ("a process that is asked to stop", stop),
        ("a process that is killed", killed),
        ("a process that is dropped", dropped),
        ("a pool that is dropped", pool_dropped),
        ("a parent that is gone", parents_that_go),
        ("stdout", stdout_flooded),
        ("few files", || {
            assert!(this_program("few files").status().unwrap().success())
        }),
        ("SIGCHLD ignored", || {
            assert!(this_program("deaf").status().unwrap().success());
        }),
        ("forks", forks),
    ];
    let only = std::env::args().nth(1);
    for (name, act) in acts {
        if only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()) || only.starts_with('-'))
        {
            alone(name, act);
        }
    }
}

/// The part that forgets `init`.
fn uninitialized() {
    let error = ProcessPool::new(2).unwrap_err();
    assert!(children().is_empty(), "something was started");
    let single = Process::spawn(next, 1).map(drop).unwrap_err();
    eprintln!("{:?} {:?}", error.kind(), single.kind());
    println!("{error}");
}

fn without_init() {
    let output = this_program("uninitialized")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "NotInitialized NotInitialized\n"
    );
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("process::init()")
    );
    // As a worker's command: it says that it may not have workers itself, and ends.
    let exe = std::env::current_exe().unwrap();
    let began = Instant::now();
    let error = builder(2)
        .worker_command([exe.as_os_str(), "uninitialized".as_ref()])
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ProcessErrorKind::Handshake);
    assert_eq!(error.stderr(), "NotInitialized NotInitialized\n", "{error}");
    println!("  a worker without init: {:?}", began.elapsed());
}

fn nested_pools() {
    let pool = builder(1).build().unwrap();
    assert_eq!(pool.call(has_pool, &()).unwrap(), "2");
    assert_eq!(pool.call(has_pool_of_pools, &()).unwrap(), "Nested");
    // A program that a worker starts is no worker, though it finds the variable.
    assert_eq!(
        pool.call(runs_this_program, &"one".to_owned()).unwrap(),
        "2\n"
    );
}

fn join() {
    let began = Instant::now();
    let process = Process::spawn(next, 1).unwrap();
    let pid = process.pid();
    assert!(process.is_alive() && process.name().ends_with("next"));
    assert_eq!(process.join().unwrap(), 2);
    assert!(is_gone(pid) && children().is_empty());
    println!("  spawned and joined: {:?}", began.elapsed());

    // Long after it is done, it is alive until it is joined.
    let process = Process::spawn(long_text, 4 << 20).unwrap();
    assert!(eventually(|| state(process.pid()) == Some('S')));
    assert!(process.is_alive());
    assert_eq!(process.join().unwrap().len(), 4 << 20);

    let process = Process::spawn(spins_until_asked, ()).unwrap();
    assert!(eventually(
        || process.cpu_time().unwrap() >= Duration::from_millis(50)
    ));
    process.stop();
    assert!(process.join().unwrap() > 0);

    let mut process = Process::<()>::builder()
        .stderr(Stderr::Kept)
        .name("a name")
        .spawn(exits, 7)
        .unwrap();
    assert_eq!(process.name(), "a name");
    assert!(eventually(|| !process.is_alive()));
    assert_eq!(process.exit_status().unwrap().code(), Some(7));
    assert_eq!(process.cpu_time(), None);
    assert_eq!(process.join().unwrap_err().exit_code(), Some(7));
}

fn join_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("begun");
    let mut process = Process::spawn(stops_when_asked, path.clone()).unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        process = process.join_timeout(Duration::from_millis(20)).unwrap_err();
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert!(process.is_alive() && process.exit_status().is_none());
    }
    process = process.join_timeout(Duration::ZERO).unwrap_err();
    process.stop();
    assert_eq!(
        process
            .join_timeout(Duration::from_secs(30))
            .unwrap()
            .unwrap(),
        "asked"
    );

    let process = Process::<()>::builder()
        .stderr(Stderr::Kept)
        .spawn(sleeps, path)
        .unwrap();
    let pid = process.pid();
    let waiting = std::thread::spawn(move || process.join_timeout(Duration::from_secs(30)));
    kill(pid, libc::SIGTERM);
    let error = waiting.join().unwrap().unwrap().unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGTERM), "{error}");
}

fn stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("begun");
    let process = Process::spawn(stops_when_asked, path.clone()).unwrap();
    assert!(eventually(|| path.exists()));
    assert!(process.is_alive());
    process.stop();
    process.stop();
    assert_eq!(process.join().unwrap(), "asked");
}

fn killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("begun");
    let builder = || Process::<()>::builder().stderr(Stderr::Kept);
    for wait in [false, true] {
        let mut process = builder().spawn(sleeps, path.clone()).unwrap();
        assert!(eventually(|| !wait || path.exists()));
        let began = Instant::now();
        process.kill();
        process.kill();
        println!("  killed: {:?}", began.elapsed());
        assert!(!process.is_alive());
        let status = process.exit_status().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(libc::SIGKILL)
        );
        assert!(children().is_empty());
        let error = process.join().unwrap_err();
        assert_eq!(error.signal(), Some(libc::SIGKILL), "{error}");
    }
    let process = builder().spawn(sleeps, path.clone()).unwrap();
    kill(process.pid(), libc::SIGKILL);
    assert_eq!(process.join().unwrap_err().signal(), Some(libc::SIGKILL));
}

fn dropped() {
    let dir = tempfile::tempdir().unwrap();
    let timed = |name: &str, most: u64, act: &mut dyn FnMut()| {
        let began = Instant::now();
        act();
        println!("  dropped, {name}: {:?}", began.elapsed());
        assert!(
            began.elapsed() < Duration::from_secs(most),
            "{name}: {:?}",
            began.elapsed()
        );
        assert!(children().is_empty(), "{name}");
    };
    timed("at once", 4, &mut || drop(Process::spawn(next, 1).unwrap()));
    timed("with a result nobody takes", 4, &mut || {
        let process = Process::spawn(long_text, 4 << 20).unwrap();
        assert!(eventually(|| state(process.pid()) == Some('S')));
    });
    timed("computing", 4, &mut || {
        let path = dir.path().join("computing");
        let process = Process::spawn(sleeps, path.clone()).unwrap();
        assert!(eventually(|| path.exists()));
        drop(process);
    });
    timed("willing to stop", 2, &mut || {
        let path = dir.path().join("willing");
        let process = Process::spawn(stops_when_asked, path.clone()).unwrap();
        assert!(eventually(|| path.exists()));
        drop(process);
    });
    timed("dead already", 2, &mut || {
        let process = Process::<()>::builder()
            .stderr(Stderr::Kept)
            .spawn(exits, 3)
            .unwrap();
        assert!(eventually(|| !process.is_alive()));
        drop(process);
    });
    timed("killed while it is waited for", 2, &mut || {
        let path = dir.path().join("unwilling");
        let process = Process::spawn(stops_not, path.clone()).unwrap();
        let pid = process.pid();
        let dropping = std::thread::spawn(move || drop(process));
        assert!(eventually(|| path.exists()));
        kill(pid, libc::SIGKILL);
        dropping.join().unwrap();
    });
    timed("with a program of its own", 4, &mut || {
        let path = dir.path().join("program");
        let process = Process::spawn(has_program_and_sleeps, path.clone()).unwrap();
        assert!(eventually(|| path.exists()));
        let program = std::fs::read_to_string(path).unwrap().parse().unwrap();
        drop(process);
        assert!(eventually(|| is_gone(program)));
    });
}

fn pool_dropped() {
    for kill_on_drop in [false, true] {
        // Idle, killed, stopped: whatever they are at, they have the same seconds.
        let mut builder = builder(6);
        if kill_on_drop {
            builder = builder.kill_on_drop();
        }
        let pool = builder.build().unwrap();
        let pids = pool.idle_pids();
        for pid in &pids[..4] {
            kill(*pid, libc::SIGSTOP);
        }
        kill(pids[4], libc::SIGKILL);
        let began = Instant::now();
        drop(pool);
        println!(
            "  a pool of stopped workers dropped, kill_on_drop {kill_on_drop}: {:?}",
            began.elapsed()
        );
        assert!(began.elapsed() < Duration::from_secs(if kill_on_drop { 2 } else { 5 }));
        assert!(children().is_empty());
    }
    // What was spawned is done first.
    let pool = builder(2).build().unwrap();
    let handles: Vec<_> = (0..10_u64).map(|x| pool.spawn(next, x)).collect();
    drop(pool);
    for (x, handle) in (0..10).zip(handles) {
        assert_eq!(handle.join().unwrap().unwrap(), x + 1);
    }
}

/// Says which processes are to be gone when this one is, and waits to be killed.
fn say_and_sleep(pids: &[u32]) {
    println!(
        "{}",
        pids.iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    );
    std::thread::sleep(Duration::from_secs(1000));
}

fn idle_parent() {
    let pool = ProcessPool::new(2).unwrap();
    let mut pids = pool.idle_pids();
    pids.push(pool.call(has_program, &()).unwrap());
    say_and_sleep(&pids);
}

fn busy_parent() {
    let pool = ProcessPool::new(2).unwrap();
    let mut pids = pool.idle_pids();
    let dir = tempfile::tempdir().unwrap();
    let paths = [0, 1].map(|i| dir.path().join(i.to_string()));
    let _handles = [0, 1].map(|i| pool.spawn(has_program_and_sleeps, paths[i].clone()));
    for path in &paths {
        assert!(eventually(|| path.exists()));
        pids.push(std::fs::read_to_string(path).unwrap().parse().unwrap());
    }
    drop(dir);
    say_and_sleep(&pids);
}

/// Ends without having dropped its pool.
fn leaky_parent() {
    let pool = Box::leak(Box::new(ProcessPool::new(2).unwrap()));
    let mut pids = pool.idle_pids();
    pids.push(pool.call(has_program, &()).unwrap());
    println!(
        "{}",
        pids.iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    );
}

fn parents_that_go() {
    for part in ["idle", "busy", "leaky"] {
        let mut parent: Child = this_program(part).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let pids: Vec<u32> = line
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect();
        assert!(pids.len() >= 3, "{line}");
        if part != "leaky" {
            assert!(pids.iter().all(|pid| !is_gone(*pid)));
            parent.kill().unwrap();
        }
        parent.wait().unwrap();
        let took = wait_for(|| pids.iter().all(|pid| is_gone(*pid)));
        println!(
            "  {part} parent gone: all {} gone after {took:?}",
            pids.len()
        );
        assert!(took < Duration::from_secs(3), "{part}: {took:?}");
    }
}

fn flooded_parent() {
    let pool = ProcessPool::new(2).unwrap();
    let lines = pool
        .par_map_chunked(vec![20_000_u64; 4], 1, floods_stdout)
        .unwrap();
    assert_eq!(lines, [20_000; 4]);
    eprintln!("done");
}

fn stdout_flooded() {
    // Read: it all arrives, and is no part of the protocol.
    let mut parent = this_program("flood")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    parent
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.lines().count(), 80_000);
    assert!(parent.wait().unwrap().success());
    // Not read: they wait, as they would without this crate; and they go with their parent.
    let mut parent = this_program("flood")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = parent.stdout.as_ref().unwrap();
    assert!(eventually(|| unread(pipe) > 60_000));
    let workers = children_of(parent.id());
    assert_eq!(workers.len(), 2);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let took = wait_for(|| workers.iter().all(|pid| is_gone(*pid)));
    println!("  workers that wait for stdout gone after {took:?}");
}

fn children_of(parent: u32) -> Vec<u32> {
    let text = std::fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .map(|entry| {
            std::fs::read_to_string(entry.unwrap().path().join("children")).unwrap_or_default()
        });
    text.flat_map(|line| {
        line.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Bytes that wait in a pipe.
fn unread(pipe: &impl std::os::fd::AsRawFd) -> i32 {
    let mut bytes = 0;
    // SAFETY: `bytes` is valid for writing.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    assert_eq!(result, 0);
    bytes
}

/// The part that ignores the ends of its children, as some programs do that load a library.
fn deaf_parent() {
    // SAFETY: no handler is involved.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let pool = builder(2).build().unwrap();
    let error = pool.call(exits, &7).unwrap_err();
    assert!(error.is_death(), "{error}");
    assert!(
        error.to_string().starts_with("the worker process ended"),
        "{error}"
    );
    assert_eq!(pool.call(next, &1).unwrap(), 2);
    let began = Instant::now();
    drop(pool);
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(children().is_empty());
    assert_eq!(Process::spawn(next, 1).unwrap().join().unwrap(), 2);
}

/// The part that may open few files.
fn few_files() {
    let limit = libc::rlimit {
        rlim_cur: 64,
        rlim_max: 64,
    };
    // SAFETY: it points to a limit.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(result, 0);
    let before = num_descriptors();
    let works = |pool: &ProcessPool| {
        pool.par_map_chunked(0..100_u64, 7, next)
            .is_ok_and(|y| y.into_iter().eq(1..=100))
    };
    let pool = builder(2).build().unwrap();
    assert!(works(&pool));
    println!(
        "  a pool of two has {} descriptors",
        num_descriptors() - before
    );
    for _ in 0..3 {
        let mut pools = Vec::new();
        let error = loop {
            match builder(2).build() {
                Ok(pool) => pools.push(pool),
                Err(error) => break error,
            }
            assert!(pools.len() < 64, "they need descriptors");
        };
        assert_eq!(error.kind(), ProcessErrorKind::TooManyFiles, "{error}");
        assert!(pools.iter().all(works));
        println!("  {} pools, then: {error}", pools.len());
        let single = Process::spawn(next, 1).map(drop);
        assert!(single.is_ok_and(|()| true) || error.kind() == ProcessErrorKind::TooManyFiles);
        pools.truncate(pools.len() / 2);
        assert!(works(&builder(2).build().unwrap()));
    }
    // As many as a pool can have, and more than the system allows: the first that it refuses is the
    // last that is tried.
    let (began, children_before, descriptors) = (Instant::now(), children(), num_descriptors());
    let error = builder(65_000).build().unwrap_err();
    assert_eq!(error.kind(), ProcessErrorKind::TooManyFiles, "{error}");
    println!("  65,000 workers refused after {:?}", began.elapsed());
    assert_eq!(children(), children_before);
    assert!(eventually(|| num_descriptors() <= descriptors));
    // Workers that have to be replaced when there is not one descriptor left.
    for pid in pool.idle_pids() {
        kill(pid, libc::SIGKILL);
        assert!(eventually(|| is_gone(pid)));
    }
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    // The dead workers' own are enough for the first few tries; then there are none.
    let mut last = pool.call(next, &1);
    while last.is_ok() {
        for pid in pool.idle_pids() {
            kill(pid, libc::SIGKILL);
            let _ = eventually(|| is_gone(pid));
        }
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        last = pool.call(next, &1);
    }
    assert_eq!(
        last.as_ref().unwrap_err().kind(),
        ProcessErrorKind::TooManyFiles,
        "{last:?}"
    );
    let outcomes = pool.over(0..10_u64).outcomes(next);
    assert!(outcomes.items.iter().any(|outcome| !outcome.is_done()));
    files.clear();
    assert!(works(&pool));
    drop(pool);
    assert!(
        eventually(|| num_descriptors() <= before),
        "{} descriptors, {before} before",
        num_descriptors()
    );
    assert!(children().is_empty());
}

fn forks() {
    let mut pool = Some(builder(2).build().unwrap());
    let mut process = Some(
        Process::<()>::builder()
            .stderr(Stderr::Kept)
            .spawn(next, 1)
            .unwrap(),
    );
    let pids = pool.as_ref().unwrap().idle_pids();
    let forked = |error: &ProcessError| error.kind() == ProcessErrorKind::Forked;
    let began = Instant::now();
    let in_fork = |name: &str, act: &mut dyn FnMut()| {
        assert!(in_child(act), "in a fork: {name}");
    };
    {
        let pool = pool.as_ref().unwrap();
        in_fork("a call", &mut || {
            assert!(forked(&pool.call(next, &1).unwrap_err()))
        });
        in_fork("a map", &mut || {
            let error = pool.par_map_chunked(0..10_u64, 1, next).unwrap_err();
            assert!(
                matches!(&error, scipar::RunError::Failed { error, .. } if forked(error)),
                "{error}"
            );
        });
        in_fork("a spawn", &mut || {
            assert!(forked(&pool.spawn(next, 1).join().unwrap().unwrap_err()))
        });
        in_fork("a stream", &mut || {
            assert!(
                pool.stream(0..3_u64, next)
                    .all(|result| forked(&result.unwrap_err()))
            )
        });
        in_fork("a new pool", &mut || {
            assert_eq!(builder(1).build().unwrap().call(next, &1).unwrap(), 2)
        });
    }
    in_fork("dropping the pool", &mut || drop(pool.take()));
    in_fork("dropping a process", &mut || drop(process.take()));
    in_fork("joining a process", &mut || {
        assert!(forked(&process.take().unwrap().join().unwrap_err()))
    });
    in_fork("stopping and killing a process", &mut || {
        let process = process.as_mut().unwrap();
        process.stop();
        process.kill();
        assert!(process.exit_status().is_none());
    });
    println!("  nine forks: {:?}", began.elapsed());
    let (pool, process) = (pool.unwrap(), process.unwrap());
    assert!(
        pids.iter().all(|pid| !is_gone(*pid)),
        "a fork has killed a worker"
    );
    assert_eq!(pool.num_starts(), 2);
    assert_eq!(
        pool.call(own_pid, &()).map(|pid| pids.contains(&pid)).ok(),
        Some(true)
    );
    assert!(process.is_alive(), "a fork has killed a process");
    assert_eq!(process.join().unwrap(), 2);
}

/// Runs `act` in a fork of this process; says whether it ended well, and in time.
fn in_child(act: &mut dyn FnMut()) -> bool {
    // SAFETY: no other thread of this process holds a lock that the child needs; that is what is tested.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "the system refuses to fork");
    if child == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        // SAFETY: ends the child without running what its parent registered for its own end.
        unsafe { libc::_exit(i32::from(result.is_err())) }
    }
    let in_time = eventually(|| state(child as u32) == Some('Z'));
    if !in_time {
        kill(child as u32, libc::SIGKILL);
    }
    let mut status = 0;
    // SAFETY: the child is ours, and `status` is valid for writing.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    in_time && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}
