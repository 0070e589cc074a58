//! Worker processes that crash, hang, are killed, flood, or were never workers: what it costs, and that nothing is left behind.
//!
//! Every test takes a lock, so that it can count this process's descriptors and children for itself.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unsafe_code, reason = "crashes and signals are what this is about")]

#[path = "common/children.rs"]
mod children;
mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use children::{alone, children, is_gone, kill, state};
use common::eventually;
use scipar::process::{
    Process, ProcessError, ProcessErrorKind, ProcessPool, ProcessPoolBuilder, Stderr, Task, task,
};
use scipar::{CancelToken, Chunking, Outcome, Outcomes, RunError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

scipar::process::test_worker!();

fn builder(workers: usize) -> ProcessPoolBuilder {
    ProcessPool::builder().workers(workers).stderr(Stderr::Kept)
}

fn pool(workers: usize) -> ProcessPool {
    builder(workers).build().unwrap()
}

/// An item, and the one that goes wrong.
const BAD: u64 = 7;

fn die(how: u32) {
    match how {
        0 => panic!("meant: a panic"),
        1 => std::process::abort(),
        // SAFETY: none, it is to be ended by the system for this.
        2 => unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) },
        3 => assert!(deep(u64::MAX) > 0),
        4 => std::process::exit(7),
        5 => kill(std::process::id(), libc::SIGKILL),
        6 => std::process::exit(0),
        _ => {}
    }
}

#[allow(unconditional_recursion, reason = "its stack is to overflow")]
fn deep(n: u64) -> u64 {
    let space = std::hint::black_box([n; 1000]);
    deep(space[17] - 1) + space[18]
}

fn touch(path: &Path) {
    std::fs::write(path, b"").unwrap();
}

/// Values whose serde goes wrong in a way of its own.
#[derive(Clone, Debug, PartialEq)]
enum Odd {
    Fine(u64),
    /// Encoding gives an error, after so many bytes.
    Unencodable(usize),
    /// Encoding panics, after so many bytes.
    PanicsAfter(usize),
    /// The process ends, after so many bytes.
    DiesAfter(usize, u32),
    /// Encoding does not end.
    Endless,
    Undecodable,
    PanicsInDecoding,
}

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeTuple};
        let mut tuple = serializer.serialize_tuple(3)?;
        let (tag, number, bytes) = match self {
            Odd::Fine(number) => (0_u8, *number, 0),
            Odd::Undecodable => (1, 0, 0),
            Odd::PanicsInDecoding => (2, 0, 0),
            Odd::Unencodable(bytes) | Odd::PanicsAfter(bytes) | Odd::DiesAfter(bytes, _) => {
                (0, 0, *bytes)
            }
            Odd::Endless => (0, 0, 0),
        };
        tuple.serialize_element(&tag)?;
        tuple.serialize_element(&number)?;
        tuple.serialize_element(&"x".repeat(bytes))?;
        match self {
            Odd::Unencodable(_) => return Err(S::Error::custom("meant")),
            Odd::PanicsAfter(_) => panic!("meant: in encoding"),
            Odd::DiesAfter(_, how) => die(*how),
            Odd::Endless => std::thread::sleep(Duration::from_secs(1000)),
            _ => {}
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (tag, number, _) = <(u8, u64, String)>::deserialize(deserializer)?;
        match tag {
            0 => Ok(Odd::Fine(number)),
            1 => Err(serde::de::Error::custom("meant")),
            _ => panic!("meant: in decoding"),
        }
    }
}

/// Tells how far the sender of an argument is.
#[derive(Debug)]
struct Big(Vec<f64>);

static HALF_SENT: AtomicBool = AtomicBool::new(false);

impl Serialize for Big {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (i, x) in self.0.iter().enumerate() {
            if i == self.0.len() / 1000 {
                HALF_SENT.store(true, Ordering::SeqCst);
            }
            seq.serialize_element(x)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Big {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Big)
    }
}

/// Panics when it is dropped in a worker, once it has been decoded there or is to be encoded.
#[derive(Debug, PartialEq, Serialize)]
struct Grenade {
    number: u64,
    filler: String,
    #[serde(skip)]
    armed: bool,
}

impl Grenade {
    fn new(number: u64, filler: usize, armed: bool) -> Self {
        let filler = "x".repeat(filler);
        Self {
            number,
            filler,
            armed,
        }
    }
}

static IN_WORKER: AtomicBool = AtomicBool::new(false);

impl<'de> Deserialize<'de> for Grenade {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (number, filler) = Deserialize::deserialize(deserializer)?;
        let armed = number == BAD && IN_WORKER.load(Ordering::SeqCst);
        Ok(Self {
            number,
            filler,
            armed,
        })
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        assert!(!self.armed, "meant: in a drop");
    }
}

/// Whoever decodes it takes a while before it reads on.
#[derive(Serialize)]
struct Slow(String);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::thread::sleep(Duration::from_millis(300));
        String::deserialize(deserializer).map(Slow)
    }
}

task! {
    fn next(x: u64) -> u64 { x + 1 }
    fn dies(x: u64, how: u32) -> u64 {
        if x == BAD {
            eprintln!("the first line\nlast words of {x}");
            die(how);
        }
        x + 1
    }
    fn dies_of(x: u64, poison: Vec<u64>) -> u64 {
        if poison.contains(&x) { std::process::abort() }
        x + 1
    }
    fn poisoned(poison: &Vec<u64>, x: u64) -> u64 {
        if poison.contains(&x) { std::process::abort() }
        x + 1
    }
    fn length(big: Big) -> usize { big.0.len() }
    fn marks_and_sleeps(path: PathBuf, ms: u64) -> u32 {
        touch(&path);
        std::thread::sleep(Duration::from_millis(ms));
        std::process::id()
    }
    fn marks_once(path: PathBuf) -> u32 {
        if !path.exists() {
            touch(&path);
            std::thread::sleep(Duration::from_secs(1000));
        }
        std::process::id()
    }
    fn endless_at(x: u64, bad: u64) -> u64 {
        if x == bad {
            eprintln!("last words of {x}");
            std::thread::sleep(Duration::from_secs(1000));
        }
        x + 1
    }
    fn made(x: u64, how: u32) -> Odd {
        match how {
            _ if x != BAD => Odd::Fine(x),
            0 => Odd::Unencodable(0),
            1 => Odd::Unencodable(500_000),
            2 => Odd::PanicsAfter(0),
            3 => Odd::PanicsAfter(500_000),
            4 => Odd::Undecodable,
            5 => Odd::PanicsInDecoding,
            6 => Odd::Endless,
            how => Odd::DiesAfter(500_000, how - 10),
        }
    }
    fn taken_slowly(_x: String) -> Slow { Slow("x".repeat(1 << 20)) }
    fn swallow(odd: Odd) -> u64 { match odd { Odd::Fine(x) => x + 1, _ => 0 } }
    fn floods(lines: u64, how: u32) -> u64 {
        use std::io::Write;
        let mut stderr = std::io::stderr().lock();
        for i in 0..lines {
            writeln!(stderr, "line {i} of very many, all of which are rather long and none of which is of any interest").unwrap();
            println!("line {i}");
        }
        writeln!(stderr, "last words of {lines}").unwrap();
        drop(stderr);
        die(how);
        lines
    }
    #[allow(clippy::zombie_processes, reason = "to be left behind is what it is for")]
    fn leaves_program(command: String, how: u32) -> u32 {
        let child = std::process::Command::new("sh").arg("-c").arg(command).spawn().unwrap();
        if how < 99 {
            eprintln!("grandchild {}", child.id());
        }
        die(how);
        child.id()
    }
    fn leaves_fork(how: u32) -> u32 {
        // SAFETY: the child only sleeps.
        let child = unsafe { libc::fork() };
        if child == 0 {
            loop {
                // SAFETY: no conditions.
                unsafe { libc::pause() };
            }
        }
        eprintln!("grandchild {child}");
        die(how);
        child as u32
    }
    fn start_never() { std::thread::sleep(Duration::from_secs(1000)); }
    fn start_badly(how: u32) { eprintln!("last words of an initializer"); die(how); }
    fn start_well_once(path: PathBuf) {
        if path.exists() { die(1); }
        touch(&path);
    }
    fn nested(depth: u32) -> Vec<u64> {
        let pool = ProcessPool::new(2).unwrap();
        if depth == 0 {
            return pool.par_map_chunked(0..10_u64, 2, next).unwrap();
        }
        let inner = pool.call(kind_of_a_pool, &()).unwrap();
        vec![u64::from(inner == "Nested")]
    }
    fn kind_of_a_pool() -> String {
        ProcessPool::new(1).map_or_else(|error| format!("{:?}", error.kind()), |_| "a pool".to_owned())
    }
    fn payload_that_panics() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) { panic!("meant: in the drop of a payload") }
        }
        std::panic::panic_any(Bomb);
    }
    fn long_text(len: usize) -> String { "x".repeat(len) }
    fn arm() { IN_WORKER.store(true, Ordering::SeqCst); }
    fn takes_grenade(grenade: Grenade) -> u64 { grenade.number + 1 }
    fn gives_grenade(x: u64, filler: usize) -> Grenade { Grenade::new(x, filler, x == BAD) }
    fn panics_with_grenade(x: u64) -> u64 {
        if x == BAD { std::panic::panic_any(Grenade::new(x, 0, true)) }
        x + 1
    }
    fn beside_grenade(grenade: &Grenade, x: u64) -> u64 { x + u64::from(grenade.filler.is_empty()) }
    fn first_of(a: u64, _b: u64) -> u64 { a }
    fn fails_with_grenade(grenade: Grenade) -> u64 {
        let number = grenade.number;
        std::mem::forget(grenade);
        assert!(number != 3, "meant: before the grenade");
        number + 1
    }
    fn closes_stderr(how: u32) -> u32 {
        let (reader, _) = std::io::pipe().unwrap();
        let stderr = rustix::io::dup(rustix::stdio::stderr()).unwrap();
        drop(stderr);
        rustix::stdio::dup2_stderr(reader).unwrap();
        eprintln!("nobody hears this");
        die(how);
        how
    }
    fn open_files(_array: scipar::process::Shared<u8>) -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }
}

/// Sets a flag when it is dropped.
struct Sets<'a>(&'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Everything is done but the bad item, which failed.
#[track_caller]
fn only_bad_failed(outcomes: &Outcomes<u64, ProcessError>, bad: &[u64]) {
    for (i, outcome) in outcomes.items.iter().enumerate() {
        match outcome {
            Outcome::Done(y) => assert_eq!(*y, i as u64 + 1),
            Outcome::Failed(_) if bad.contains(&(i as u64)) => {}
            other => panic!("{i}: {other:?}"),
        }
    }
    for bad in bad {
        assert!(
            matches!(outcomes.items[*bad as usize], Outcome::Failed(_)),
            "{bad}"
        );
    }
}

fn error_of<R>(outcome: &Outcome<R, ProcessError>) -> &ProcessError {
    match outcome {
        Outcome::Failed(error) => error,
        _ => panic!("it did not fail"),
    }
}

/// It works, and its last item too.
#[track_caller]
fn works(pool: &ProcessPool) {
    let y = pool.par_map_chunked(0..100_u64, 7, next).unwrap();
    assert!(y.into_iter().eq(1..=100));
}

fn log2_up(n: usize) -> usize {
    n.next_power_of_two().ilog2() as usize
}

#[test]
fn every_way_to_die_costs_the_item() {
    alone("ways to die", || {
        let ways: [(&str, u32, Option<i32>, Option<i32>); 6] = [
            ("abort", 1, Some(libc::SIGABRT), None),
            ("segmentation fault", 2, Some(libc::SIGSEGV), None),
            ("stack overflow", 3, Some(libc::SIGABRT), None),
            ("exit(7)", 4, None, Some(7)),
            ("SIGKILL", 5, Some(libc::SIGKILL), None),
            ("exit(0)", 6, None, Some(0)),
        ];
        for (name, how, signal, code) in ways {
            let pool = pool(2);
            let began = Instant::now();
            let items: Vec<_> = (0..40_u64).map(|x| (x, how)).collect();
            let outcomes = pool.over(&items).chunking(8).outcomes(dies);
            only_bad_failed(&outcomes, &[BAD]);
            let error = error_of(&outcomes.items[BAD as usize]);
            assert_eq!(
                (error.signal(), error.exit_code()),
                (signal, code),
                "{name}: {error}"
            );
            assert!(
                error.stderr().contains("the first line\nlast words of 7"),
                "{name}: {error:?}"
            );
            let extra = pool.num_starts() - 2;
            assert!(extra <= log2_up(8) + 1, "{name}: {extra} starts");
            println!("{name}: {:?}, {extra} starts: {error}", began.elapsed());

            let error = pool.par_map_chunked(&items, 8, dies).unwrap_err();
            assert_eq!(error.index(), Some(BAD as usize));
            let RunError::Failed { error, .. } = error else {
                panic!("{error}")
            };
            let text = error.to_string();
            let told = signal.map_or(format!("exit code {}", code.unwrap_or(0)), |signal| {
                format!("signal {signal}")
            });
            assert!(text.contains(&told), "{text}");
            if how != 3 {
                assert!(text.ends_with("its last words: last words of 7"), "{text}");
            }
            works(&pool);
        }
    });
}

#[test]
fn a_panic_costs_no_worker() {
    alone("panic", || {
        let pool = pool(2);
        let items: Vec<_> = (0..40_u64).map(|x| (x, 0)).collect();
        let outcomes = pool.over(&items).chunking(8).outcomes(dies);
        assert!(
            matches!(&outcomes.items[BAD as usize], Outcome::Panicked(panic) if panic.to_string() == "meant: a panic")
        );
        assert_eq!(outcomes.items.iter().filter(|o| o.is_done()).count(), 39);
        assert_eq!(pool.num_starts(), 2);
        let error = pool.call(dies, &(BAD, 0)).unwrap_err();
        assert!(error.is_panic());
        assert!(
            error
                .panic_location()
                .unwrap()
                .contains("process_faults.rs"),
            "{error}"
        );
        // A payload that panics once more when it is dropped.
        let error = pool.call(payload_that_panics, &()).unwrap_err();
        assert!(error.is_panic() || error.is_death(), "{error}");
        works(&pool);
    });
}

#[test]
fn values_that_panic_when_they_are_dropped_cost_themselves() {
    alone("drops", || {
        let pool = builder(2).initializer(arm, ()).build().unwrap();
        // Arguments, in the task.
        let items: Vec<_> = (0..20).map(|x| Grenade::new(x, 0, false)).collect();
        let outcomes = pool.over(&items).chunking(5).outcomes(takes_grenade);
        let done = outcomes.items.iter().filter(|outcome| outcome.is_done());
        assert_eq!(done.count(), 19);
        assert!(
            matches!(&outcomes.items[BAD as usize], Outcome::Panicked(panic) if panic.to_string() == "meant: in a drop")
        );
        // Results, in the worker, when they have been encoded.
        for filler in [0, 300_000] {
            let items: Vec<_> = (0..20_u64).map(|x| (x, filler)).collect();
            let outcomes = pool.over(&items).chunking(5).outcomes(gives_grenade);
            for (i, outcome) in outcomes.items.iter().enumerate() {
                match outcome {
                    Outcome::Done(grenade) => assert_eq!(grenade.number, i as u64),
                    Outcome::Failed(error) if i as u64 == BAD => {
                        assert_eq!(error.kind(), ProcessErrorKind::Encode, "{error}");
                        assert!(error.to_string().contains("meant: in a drop"), "{error}");
                    }
                    other => panic!("{i}: {other:?}"),
                }
            }
        }
        // A context, when it is forgotten.
        for _ in 0..3 {
            let context = Grenade::new(BAD, 0, false);
            let sums = pool
                .over(0..20_u64)
                .chunking(5)
                .context(&context)
                .map(beside_grenade);
            assert_eq!(sums.unwrap(), (1..=20).collect::<Vec<_>>());
        }
        // An item of a leaf that has failed, and is not called for.
        let items: Vec<_> = (0..20).map(|x| Grenade::new(x, 0, false)).collect();
        let error = pool.par_map_reduce_chunked(&items, 20, fails_with_grenade, || 0, first_of);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("meant: before the grenade"), "{error}");
        works(&pool);
        assert_eq!(pool.num_starts(), 2, "none of them costs a worker");
        // What a task panics with.
        let outcomes = pool
            .over(0..20_u64)
            .chunking(5)
            .outcomes(panics_with_grenade);
        let done = outcomes.items.iter().filter(|outcome| outcome.is_done());
        assert_eq!(done.count(), 19);
        assert!(!outcomes.items[BAD as usize].is_done());
        works(&pool);
    });
}

/// They go with their values, so that a worker has few of them open at a time.
#[test]
fn descriptors_of_many_items_are_not_all_open_at_once() {
    alone("few at a time", || {
        let pool = pool(1);
        let array = scipar::process::Shared::from_slice(&[1_u8; 10]).unwrap();
        let items = vec![array; 4000];
        let open = pool
            .par_map_chunked(&items, items.len(), open_files)
            .unwrap();
        let most = open.iter().max().unwrap();
        assert!(*most < 600, "{most} open files");
    });
}

#[test]
fn a_worker_that_closes_its_standard_error() {
    alone("closed", || {
        let pool = pool(1);
        assert_eq!(pool.call(closes_stderr, &99).unwrap(), 99);
        let error = pool.call(closes_stderr, &4).unwrap_err();
        assert_eq!((error.exit_code(), error.stderr()), (Some(7), ""));
        works(&pool);
    });
}

#[test]
fn poison_among_ten_thousand_fails_alone() {
    alone("poison", || {
        for poison in [
            vec![6173],
            vec![0],
            vec![9999],
            vec![3, 4, 5000, 5001, 9000],
        ] {
            let pool = pool(2);
            let chunk = 500;
            let began = Instant::now();
            let outcomes = pool
                .over(0..10_000_u64)
                .chunking(chunk)
                .context(&poison)
                .outcomes(poisoned);
            only_bad_failed(&outcomes, &poison);
            let extra = pool.num_starts() - 2;
            println!(
                "{} poisons: {extra} starts, {:?}",
                poison.len(),
                began.elapsed()
            );
            assert!(
                extra <= poison.len() * (log2_up(chunk) + 1),
                "{extra} starts for {poison:?}"
            );
            works(&pool);
        }
        // Where chunks are measured, too.
        let pool = pool(2);
        let poison = vec![6173];
        let outcomes = pool.over(0..10_000_u64).context(&poison).outcomes(poisoned);
        only_bad_failed(&outcomes, &poison);
        assert!(pool.num_starts() - 2 <= log2_up(10_000) + 1);
    });
}

#[test]
fn idle_workers_that_are_killed_cost_nothing() {
    alone("idle", || {
        let pool = builder(2).retries(0).build().unwrap();
        for _ in 0..3 {
            let pids = pool.idle_pids();
            assert_eq!(pids.len(), 2);
            for pid in &pids {
                kill(*pid, libc::SIGKILL);
            }
            assert!(eventually(|| pids.iter().all(|pid| is_gone(*pid))));
            let began = Instant::now();
            works(&pool);
            println!("two idle workers replaced: {:?}", began.elapsed());
        }
        assert!(pool.num_starts() >= 2 + 3, "{}", pool.num_starts());
    });
}

#[test]
fn a_worker_killed_while_it_reads() {
    alone("reading", || {
        for retries in [0, 1] {
            let pool = builder(1).retries(retries).build().unwrap();
            HALF_SENT.store(false, Ordering::SeqCst);
            let pid = pool.idle_pids()[0];
            // So that it is sure to be at it.
            kill(pid, libc::SIGSTOP);
            let big = Big(vec![1.5; 500_000]);
            let result = std::thread::scope(|scope| {
                let call = scope.spawn(|| pool.call(length, &big));
                assert!(eventually(|| HALF_SENT.load(Ordering::SeqCst)));
                assert!(!call.is_finished());
                kill(pid, libc::SIGKILL);
                call.join().unwrap()
            });
            match result {
                Ok(len) => assert_eq!((len, retries), (500_000, 1)),
                Err(error) => {
                    assert_eq!(
                        (error.signal(), retries),
                        (Some(libc::SIGKILL), 0),
                        "{error}"
                    );
                }
            }
            works(&pool);
        }
    });
}

#[test]
fn a_worker_killed_while_it_computes() {
    alone("computing", || {
        let dir = tempfile::tempdir().unwrap();
        for retries in [0, 1] {
            let pool = builder(1).retries(retries).build().unwrap();
            let pid = pool.idle_pids()[0];
            let path = dir.path().join(format!("{retries}"));
            let result = std::thread::scope(|scope| {
                let call = scope.spawn(|| pool.call(marks_once, &path));
                assert!(eventually(|| path.exists()));
                kill(pid, libc::SIGKILL);
                call.join().unwrap()
            });
            match result {
                Ok(other) => assert!(other != pid && retries == 1),
                Err(error) => assert_eq!(
                    (error.signal(), retries),
                    (Some(libc::SIGKILL), 0),
                    "{error}"
                ),
            }
            works(&pool);
        }
    });
}

#[test]
fn a_worker_that_dies_in_the_middle_of_its_answer() {
    alone("writing", || {
        let pool = pool(2);
        for (how, signal, code) in [
            (15, Some(libc::SIGKILL), None),
            (14, None, Some(7)),
            (11, Some(libc::SIGABRT), None),
        ] {
            let items: Vec<_> = (0..20_u64).map(|x| (x, how)).collect();
            let outcomes = pool.over(&items).chunking(5).outcomes(made);
            for (i, outcome) in outcomes.items.iter().enumerate() {
                match outcome {
                    Outcome::Done(y) => assert_eq!(*y, Odd::Fine(i as u64)),
                    Outcome::Failed(error) if i as u64 == BAD => {
                        assert_eq!(
                            (error.signal(), error.exit_code()),
                            (signal, code),
                            "{error}"
                        );
                    }
                    other => panic!("{i}: {other:?}"),
                }
            }
            works(&pool);
        }
    });
}

#[test]
fn values_that_cannot_be_encoded_or_decoded_cost_themselves() {
    alone("values", || {
        let pool = pool(2);
        let cases = [
            ("result, error at once", 0, ProcessErrorKind::Encode),
            (
                "result, error after half a megabyte",
                1,
                ProcessErrorKind::Encode,
            ),
            ("result, panic at once", 2, ProcessErrorKind::Encode),
            (
                "result, panic after half a megabyte",
                3,
                ProcessErrorKind::Encode,
            ),
            ("result, error in decoding", 4, ProcessErrorKind::Decode),
            ("result, panic in decoding", 5, ProcessErrorKind::Decode),
        ];
        for (name, how, kind) in cases {
            let items: Vec<_> = (0..20_u64).map(|x| (x, how)).collect();
            let outcomes = pool.over(&items).chunking(10).outcomes(made);
            for (i, outcome) in outcomes.items.iter().enumerate() {
                match outcome {
                    Outcome::Done(y) => assert_eq!(*y, Odd::Fine(i as u64), "{name}"),
                    Outcome::Failed(error) if i as u64 == BAD => {
                        assert_eq!(error.kind(), kind, "{name}: {error}")
                    }
                    other => panic!("{name}: {i}: {other:?}"),
                }
            }
            works(&pool);
        }
        let cases = [
            (
                "argument, error at once",
                Odd::Unencodable(0),
                ProcessErrorKind::Encode,
            ),
            (
                "argument, error after half a megabyte",
                Odd::Unencodable(500_000),
                ProcessErrorKind::Encode,
            ),
            (
                "argument, panic at once",
                Odd::PanicsAfter(0),
                ProcessErrorKind::Encode,
            ),
            (
                "argument, panic after half a megabyte",
                Odd::PanicsAfter(500_000),
                ProcessErrorKind::Encode,
            ),
            (
                "argument, error in decoding",
                Odd::Undecodable,
                ProcessErrorKind::Decode,
            ),
            (
                "argument, panic in decoding",
                Odd::PanicsInDecoding,
                ProcessErrorKind::Decode,
            ),
        ];
        for (name, bad, kind) in cases {
            let mut items: Vec<_> = (0..20_u64).map(Odd::Fine).collect();
            items[BAD as usize] = bad.clone();
            let outcomes = pool.over(&items).chunking(10).outcomes(swallow);
            only_bad_failed(&outcomes, &[BAD]);
            let error = error_of(&outcomes.items[BAD as usize]);
            assert_eq!(error.kind(), kind, "{name}: {error}");
            assert!(
                error.to_string().contains("meant")
                    || bad == Odd::Undecodable
                    || bad == Odd::Unencodable(0)
                    || bad == Odd::Unencodable(500_000),
                "{name}: {error}"
            );
            works(&pool);
        }
        assert_eq!(
            pool.num_starts(),
            2,
            "a value that does not travel costs no worker"
        );
        // One by itself, in a process of its own.
        for (bad, kind) in [
            (Odd::Unencodable(300_000), ProcessErrorKind::Encode),
            (Odd::Undecodable, ProcessErrorKind::Decode),
        ] {
            let result = Process::<()>::builder()
                .stderr(Stderr::Kept)
                .spawn(swallow, bad)
                .and_then(Process::join);
            assert_eq!(result.unwrap_err().kind(), kind);
        }
    });
}

#[test]
fn a_listener_or_an_argument_maker_that_panics_spoils_no_worker() {
    alone("panics here", || {
        common::quiet();
        let pool = builder(2).retries(0).build().unwrap();
        for _ in 0..3 {
            let panicked = common::meant_panic_in(|| {
                let _ = pool
                    .over(0..1000_u64)
                    .chunking(5)
                    .progress(|_| std::panic::panic_any(common::Meant(1)))
                    .map(takes_a_millisecond);
            });
            assert_eq!(panicked, Some(1));
            // A worker out of step would cost the item that it is given.
            pool.par_map_chunked(0..50_u64, 1, next).unwrap();
            let mut array = scipar::process::SharedMut::from_slice(&[0_u64; 100]).unwrap();
            let panicked = common::meant_panic_in(|| {
                let _ = pool.par_update_chunked(&mut array, 5, add_to, |range| match range.start {
                    50 => std::panic::panic_any(common::Meant(2)),
                    _ => 1,
                });
            });
            assert_eq!(panicked, Some(2));
            // A worker out of step would cost the item that it is given.
            pool.par_map_chunked(0..50_u64, 1, next).unwrap();
        }
    });
}

task! { fn takes_a_millisecond(x: u64) -> u64 { std::thread::sleep(Duration::from_millis(1)); x }
fn add_to(part: &mut [u64], by: u64) { for x in part { *x += by; } } }

#[test]
fn a_task_without_end_is_ended_by_time_by_token_and_by_deadline() {
    alone("endless", || {
        let limit = Duration::from_millis(100);
        let timed = builder(2).task_timeout(limit).retries(0).build().unwrap();
        let items: Vec<_> = (0..20_u64).map(|x| (x, BAD)).collect();
        let began = Instant::now();
        let outcomes = timed.over(&items).chunking(5).outcomes(endless_at);
        only_bad_failed(&outcomes, &[BAD]);
        let error = error_of(&outcomes.items[BAD as usize]);
        assert!(
            error.is_timeout() && error.stderr().contains("last words of 7"),
            "{error:?}"
        );
        println!(
            "task_timeout(100 ms): {:?}, {} starts",
            began.elapsed(),
            timed.num_starts()
        );
        assert!(timed.num_starts() <= 3);
        // What it makes does not end either: the worker cannot tell, so its parent does.
        let items: Vec<_> = (0..20_u64).map(|x| (x, 6)).collect();
        let began = Instant::now();
        let outcomes = timed.over(&items).chunking(1).outcomes(made);
        assert!(error_of(&outcomes.items[BAD as usize]).is_timeout());
        println!("endless encoding: {:?}", began.elapsed());
        works(&timed);

        let pool = pool(2);
        let items: Vec<_> = (0..20_u64).map(|x| (x, BAD)).collect();
        let began = Instant::now();
        let error = pool
            .over(&items)
            .chunking(5)
            .deadline(Duration::from_millis(200))
            .map(endless_at)
            .unwrap_err();
        assert!(
            matches!(error, RunError::DeadlineExceeded { .. }),
            "{error}"
        );
        println!("deadline(200 ms): {:?}", began.elapsed());
        works(&pool);
        let token = CancelToken::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("begun");
        std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                pool.over(vec![(path.clone(), 1_000_000)])
                    .cancel_on(&token)
                    .map(marks_and_sleeps)
            });
            assert!(eventually(|| path.exists()));
            let began = Instant::now();
            token.cancel();
            let error = run.join().unwrap().unwrap_err();
            assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
            println!("cancel: {:?}", began.elapsed());
        });
        works(&pool);
    });
}

#[test]
fn a_stopped_worker_is_ended_by_the_parent() {
    alone("SIGSTOP", || {
        let limit = Duration::from_millis(50);
        let pool = builder(1).task_timeout(limit).retries(0).build().unwrap();
        kill(pool.idle_pids()[0], libc::SIGSTOP);
        let began = Instant::now();
        let error = pool.call(next, &1).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        println!("stopped in a pool: {:?}", began.elapsed());
        works(&pool);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("begun");
        let builder = Process::<()>::builder()
            .task_timeout(limit)
            .stderr(Stderr::Kept);
        let process = builder
            .spawn(marks_and_sleeps, (path.clone(), 1_000_000))
            .unwrap();
        kill(process.pid(), libc::SIGSTOP);
        let began = Instant::now();
        let error = process.join().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        println!("stopped by itself: {:?}", began.elapsed());

        // Without a limit, dropping it is what ends it.
        let process = Process::spawn(next, 1).unwrap();
        kill(process.pid(), libc::SIGSTOP);
        let began = Instant::now();
        drop(process);
        assert!(began.elapsed() < Duration::from_secs(5));
        println!("a stopped one dropped: {:?}", began.elapsed());
    });
}

#[test]
fn a_slow_way_is_no_slow_task() {
    alone("slow way", || {
        let limit = Duration::from_millis(300);
        let pool = builder(1).task_timeout(limit).retries(0).build().unwrap();
        let process = Process::<()>::builder()
            .task_timeout(limit)
            .spawn(long_text, 3 << 20)
            .unwrap();
        let pid = process.pid();
        // Nobody takes its answer for longer than a task may take and the parent's patience beyond that.
        assert!(eventually(|| state(pid) == Some('S')));
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(process.join().unwrap().len(), 3 << 20);
        works(&pool);
    });
}

#[test]
fn a_worker_that_waits_for_room_uses_no_time() {
    alone("waiting", || {
        let pool = pool(1);
        // While it waits for room for an answer, the next order is there to be read, and longer than what is read ahead.
        let items = vec!["x".repeat(200_000); 3];
        let outcomes = pool.over(&items).chunking(1).outcomes(taken_slowly);
        assert!(outcomes.items.iter().all(Outcome::is_done));
        let cpu = outcomes.report.cpu.unwrap();
        assert!(cpu < Duration::from_millis(150), "{cpu:?} of CPU time");
    });
}

#[test]
fn floods_drown_nobody() {
    alone("floods", || {
        let pool = pool(2);
        let began = Instant::now();
        let outcomes = pool
            .over(&[(20_000_u64, 99), (20_000, 4), (1, 99)])
            .chunking(1)
            .outcomes(floods);
        println!("floods: {:?}", began.elapsed());
        assert!(outcomes.items[0].is_done() && outcomes.items[2].is_done());
        let error = error_of(&outcomes.items[1]);
        assert_eq!(error.exit_code(), Some(7));
        assert!(error.stderr().len() <= 4 << 10);
        assert!(error.stderr().ends_with("last words of 20000\n"), "{error}");
        works(&pool);
        // Somebody whom it left behind does so without end.
        let began = Instant::now();
        let error = pool
            .call(leaves_program, &("yes >&2".to_owned(), 4))
            .unwrap_err();
        assert_eq!(error.exit_code(), Some(7), "{error}");
        println!("an endless flood of a grandchild: {:?}", began.elapsed());
        works(&pool);
    });
}

/// The grandchild that the last words tell of.
fn grandchild(error: &ProcessError) -> u32 {
    let line = error
        .stderr()
        .lines()
        .rfind(|line| line.starts_with("grandchild "))
        .unwrap();
    line["grandchild ".len()..].parse().unwrap()
}

#[test]
fn grandchildren_go_with_their_parent() {
    alone("grandchildren", || {
        let pool = builder(1).retries(0).build().unwrap();
        for how in [4, 1, 5] {
            let began = Instant::now();
            let error = pool
                .call(leaves_program, &("sleep 1000 & sleep 1000".to_owned(), how))
                .unwrap_err();
            assert!(error.is_death(), "{error}");
            assert!(eventually(|| is_gone(grandchild(&error))));
            println!("a program left behind: {:?}", began.elapsed());
            let began = Instant::now();
            let error = pool.call(leaves_fork, &how).unwrap_err();
            assert!(error.is_death(), "{error}");
            assert!(eventually(|| is_gone(grandchild(&error))));
            println!("a fork left behind: {:?}", began.elapsed());
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        works(&pool);
        let left = [
            pool.call(leaves_program, &("exec sleep 1000".to_owned(), 99))
                .unwrap(),
            pool.call(leaves_fork, &99).unwrap(),
        ];
        assert!(left.iter().all(|pid| !is_gone(*pid)));
        let began = Instant::now();
        drop(pool);
        assert!(eventually(|| left.iter().all(|pid| is_gone(*pid))));
        println!("a pool with grandchildren dropped: {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(2));

        let process = Process::<()>::builder()
            .stderr(Stderr::Kept)
            .spawn(leaves_fork, 99)
            .unwrap();
        let left = process.join().unwrap();
        assert!(eventually(|| is_gone(left)));
    });
}

#[test]
fn what_is_no_worker_is_said_to_be_none() {
    alone("no workers", || {
        let limit = Duration::from_millis(300);
        let cases: [(&str, &[&str], ProcessErrorKind, &str); 8] = [
            (
                "true",
                &["/bin/true"],
                ProcessErrorKind::Handshake,
                "init()",
            ),
            ("cat", &["/bin/cat"], ProcessErrorKind::Handshake, "init()"),
            (
                "missing",
                &["/no/such/program"],
                ProcessErrorKind::Start,
                "/no/such/program",
            ),
            ("nothing", &[], ProcessErrorKind::Start, "empty"),
            (
                "garbage",
                &["sh", "-c", "yes >&0"],
                ProcessErrorKind::Handshake,
                "no worker",
            ),
            (
                "sleep",
                &["sleep", "1000"],
                ProcessErrorKind::Handshake,
                "in time",
            ),
            (
                "killed",
                &["sh", "-c", "echo last words >&2; kill -9 $$"],
                ProcessErrorKind::Handshake,
                "SIGKILL",
            ),
            (
                "closes",
                &["sh", "-c", "exec <&- ; exec sleep 1000"],
                ProcessErrorKind::Handshake,
                "init()",
            ),
        ];
        for (name, command, kind, said) in cases {
            for workers in [1, 5] {
                let began = Instant::now();
                let error = builder(workers)
                    .worker_command(command.iter().copied())
                    .start_timeout(limit)
                    .build()
                    .unwrap_err();
                let took = began.elapsed();
                assert_eq!(error.kind(), kind, "{name}: {error}");
                assert!(error.to_string().contains(said), "{name}: {error}");
                assert!(
                    took < Duration::from_secs(2),
                    "{name}, {workers} workers: {took:?}"
                );
                println!("{name}, {workers} workers: {took:?}: {error}");
                if name == "killed" {
                    assert_eq!(error.stderr(), "last words\n");
                }
            }
            let process = Process::<()>::builder()
                .worker_command(command.iter().copied())
                .start_timeout(limit)
                .stderr(Stderr::Kept);
            assert_eq!(process.spawn(next, 1).unwrap_err().kind(), kind, "{name}");
        }
        // Killed from outside, when it has not yet said a word.
        std::thread::scope(|scope| {
            let build = scope.spawn(|| builder(1).worker_command(["sleep", "1000"]).build());
            assert!(eventually(|| !children().is_empty()));
            let began = Instant::now();
            for child in children() {
                kill(child, libc::SIGKILL);
            }
            let error = build.join().unwrap().unwrap_err();
            assert!(error.to_string().contains("SIGKILL"), "{error}");
            println!("killed before its first word: {:?}", began.elapsed());
        });
    });
}

#[test]
fn initializers_that_fail() {
    alone("initializers", || {
        for (how, check) in [
            (0, ProcessError::is_panic as fn(&ProcessError) -> bool),
            (1, ProcessError::is_death),
        ] {
            let began = Instant::now();
            let error = builder(3)
                .initializer(start_badly, how)
                .build()
                .unwrap_err();
            assert!(check(&error), "{error}");
            assert!(
                error.to_string().starts_with("in the pool's initializer"),
                "{error}"
            );
            println!("initializer: {:?}: {error}", began.elapsed());
        }
        let limit = Duration::from_millis(100);
        let error = builder(2)
            .task_timeout(limit)
            .initializer(start_never, ())
            .build()
            .unwrap_err();
        assert!(error.is_timeout(), "{error}");
        // A worker that cannot be replaced ends the run, and says why; what has been done is there.
        let dir = tempfile::tempdir().unwrap();
        let pool = builder(1)
            .initializer(start_well_once, dir.path().join("once"))
            .build()
            .unwrap();
        assert_eq!(pool.call(next, &1).unwrap(), 2);
        let items: Vec<_> = (0..20_u64).map(|x| (x, 1)).collect();
        let outcomes = pool.over(&items).chunking(1).outcomes(dies);
        assert!(outcomes.items[..BAD as usize].iter().all(Outcome::is_done));
        let error = error_of(&outcomes.items[BAD as usize]);
        assert_eq!(error.signal(), Some(libc::SIGABRT), "{error}");
        let error = pool.par_map_chunked(0..10_u64, 1, next).unwrap_err();
        assert_eq!(error.index(), Some(0));
        // And when it can be again, it is.
        std::fs::remove_file(dir.path().join("once")).unwrap();
        works(&pool);
    });
}

mod twins {
    pub(super) fn one() -> scipar::process::Task<u64, u64, fn(u64) -> u64> {
        scipar::process::task! { fn twin(x: u64) -> u64 { x + 1 } }
        twin
    }
    pub(super) fn other() -> scipar::process::Task<u64, u64, fn(u64) -> u64> {
        scipar::process::task! { fn twin(x: u64) -> u64 { x + 2 } }
        twin
    }
}

#[test]
fn tasks_that_are_not_known_or_known_twice_are_refused() {
    alone("unknown", || {
        let pool = pool(2);
        fn stranger(x: u64) -> u64 {
            x
        }
        let unknown: Task<u64, u64> = Task::define("nobody::knows", stranger, stranger);
        let mistyped: Task<u64, u64> = Task::define(length.name(), stranger, stranger);
        for (task, said) in [(unknown, "nobody::knows"), (mistyped, "different builds")] {
            let error = pool.call(task, &1).unwrap_err();
            assert_eq!(error.kind(), ProcessErrorKind::UnknownTask);
            assert!(error.to_string().contains(said), "{error}");
            let error = pool.par_map_chunked(0..1000_u64, 10, task).unwrap_err();
            assert!(
                matches!(error, RunError::Failed { error, .. } if error.kind() == ProcessErrorKind::UnknownTask)
            );
        }
        for twin in [twins::one(), twins::other()] {
            let error = pool.call(twin, &1).unwrap_err();
            assert!(
                error.to_string().contains("two tasks are called"),
                "{error}"
            );
        }
        assert_eq!(
            (pool.num_starts(), twins::one()(1), twins::other()(1)),
            (2, 2, 3)
        );
        works(&pool);
    });
}

#[test]
fn workers_may_have_workers_and_those_may_not() {
    alone("nested", || {
        let pool = pool(2);
        let began = Instant::now();
        assert!(pool.call(nested, &0).unwrap().into_iter().eq(1..=10));
        println!("a nested pool: {:?}", began.elapsed());
        assert_eq!(pool.call(nested, &1).unwrap(), [1]);
    });
}

#[test]
fn killed_at_random_for_seconds() {
    alone("random kills", || {
        for (retries, seconds) in [(1, 2), (20, 3)] {
            let pool = builder(2).retries(retries).build().unwrap();
            let over = AtomicBool::new(false);
            let (mut runs, mut lost, mut kills) = (0, 0, 0);
            std::thread::scope(|scope| {
                let killer = scope.spawn(|| {
                    let (mut kills, mut random) = (0, 12345_u64);
                    while !over.load(Ordering::SeqCst) {
                        random = random
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        let all = children();
                        if let Some(pid) = all.get((random >> 33) as usize % all.len().max(1)) {
                            kill(*pid, libc::SIGKILL);
                            kills += 1;
                        }
                        std::thread::sleep(Duration::from_micros((random >> 40) % 60_000));
                    }
                    kills
                });
                // Ends the killer when an assertion fails, too.
                let end = Sets(&over);
                let began = Instant::now();
                while began.elapsed() < Duration::from_secs(seconds) {
                    let chunking =
                        [Chunking::auto(), Chunking::size(1), Chunking::size(100)][runs % 3];
                    let outcomes = pool.over(0..20_000_u64).chunking(chunking).outcomes(next);
                    for (i, outcome) in outcomes.items.iter().enumerate() {
                        match outcome {
                            Outcome::Done(y) => assert_eq!(*y, i as u64 + 1),
                            Outcome::Failed(error) => {
                                lost += 1;
                                assert!(
                                    retries < 20 && error.to_string().contains("SIGKILL"),
                                    "{i}: {error}"
                                );
                            }
                            other => panic!("{i}: {other:?}"),
                        }
                    }
                    runs += 1;
                }
                drop(end);
                kills = killer.join().unwrap();
            });
            println!(
                "retries({retries}): {kills} kills in {runs} maps, {lost} items lost, {} starts",
                pool.num_starts()
            );
            assert!(kills > 10);
            works(&pool);
        }
    });
}

#[test]
fn large_results() {
    alone("large", || {
        let pool = pool(1);
        let len = 64 << 20;
        let began = Instant::now();
        let back = pool.call(long_text, &len).unwrap();
        println!("{} MiB: {:?}", len >> 20, began.elapsed());
        assert_eq!(back.len(), len);
        assert!(back.bytes().step_by(4099).all(|byte| byte == b'x'));
        // Longer than a message may be: an error, and the pool goes on.
        let small = builder(1).message_limit(1 << 20).build().unwrap();
        let error = small.call(long_text, &len).unwrap_err();
        assert_eq!(error.kind(), ProcessErrorKind::Protocol, "{error}");
        works(&small);
    });
}

/// `cargo test --release --test process_faults -- --ignored`: 3 GiB of memory, and 10 s or so.
#[test]
#[ignore = "3 GiB of memory"]
fn a_result_of_a_gibibyte() {
    alone("a gibibyte", || {
        let pool = pool(1);
        let began = Instant::now();
        assert_eq!(pool.call(long_text, &(1 << 30)).unwrap().len(), 1 << 30);
        println!("1 GiB: {:?}", began.elapsed());
    });
}
