//! Workers that are corrupt, or mean harm: what they can make their parent keep, and how long they
//! can make it wait.
//!
//! They are this program, started as a worker that speaks by hand. Each costs its parent an error
//! of a kind, and nothing that lasts.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(
    unsafe_code,
    reason = "a module that several tests share sends signals"
)]

#[path = "common/children.rs"]
mod children;
mod common;
#[path = "common/peer.rs"]
mod peer;

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use children::{alone, num_descriptors};
use peer::{
    Entry, Hello, LAST, MORE, Order, SEGMENT, Setup, VOID, header, message, read_message, take,
    value,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use scipar::process::{
    Process, ProcessError, ProcessErrorKind, ProcessPool, ProcessPoolBuilder, Stderr, task,
};
use serde::{Deserialize, Serialize};

scipar::process::test_worker!();

/// Says how a worker is to behave.
const HOW: &str = "SCIPAR_TEST_HOSTILE";

/// A value without end, if it is not bounded.
#[derive(Debug, Serialize, Deserialize)]
struct Nested(Option<Box<Nested>>);

task! {
    fn next(x: u64) -> u64 { x + 1 }
    fn length(text: String) -> u64 { text.len() as u64 }
    fn nested() -> Nested { Nested(None) }
    fn nothings() -> Vec<()> { Vec::new() }
    fn skipped() -> Vec<Skipped> { Vec::new() }
    fn slowly(x: u64) -> u64 { std::thread::sleep(Duration::from_millis(100)); x }
    fn sum(a: u64, b: u64) -> u64 { a + b }
}

/// Takes room, and no bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Skipped {
    #[serde(skip)]
    _room: [u64; 32],
}

/// Sends bytes with so many descriptors.
fn send_with(parent: &UnixStream, bytes: &[u8], count: usize) -> io::Result<usize> {
    let null = File::open("/dev/null")?;
    let all = vec![null.as_fd(); count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&all)));
    let flags = SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(
        parent,
        &[IoSlice::new(bytes)],
        &mut control,
        flags,
    )?)
}

/// The beginning of an answer whose message goes on.
fn begun(id: u64) -> Vec<u8> {
    let body = value(&peer::Answer { id });
    let mut bytes = header(MORE, body.len(), 0);
    bytes.extend(body);
    bytes
}

/// A result in a segment of its own.
fn result<R: Serialize>(entry: &Entry<R>) -> Vec<u8> {
    let body = value(entry);
    let mut bytes = header(MORE, body.len(), 0);
    bytes.extend(body);
    bytes
}

fn ending(wall: Duration, cpu: Duration) -> Vec<u8> {
    message(&value(&Entry::<()>::End { wall, cpu }))
}

/// Sends it again and again, at intervals, until the parent has had enough.
fn again(mut parent: &UnixStream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    loop {
        parent.write_all(bytes)?;
        std::thread::sleep(pause);
    }
}

fn behave(how: &str, id: u64, mut parent: &UnixStream) -> io::Result<()> {
    let answer = message(&peer::answer(id, &[1_u64]));
    let soon = Duration::from_millis(20);
    match how {
        "well" => parent.write_all(&answer),
        // Descriptors that nothing announces.
        "with the answer" => send_with(parent, &answer, 60).map(drop),
        "in the middle" => {
            parent.write_all(&answer[..11])?;
            send_with(parent, &answer[11..], 60).map(drop)
        }
        "with every byte" => {
            for byte in answer {
                send_with(parent, &[byte], 60)?;
            }
            Ok(())
        }
        "after the answer" => {
            let mut both = answer;
            both.push(0x5c);
            // The parent reads them together, as it does not run between.
            send_with(parent, &both, 60).map(drop)
        }
        "fewer than announced" | "more than announced" | "very many at once" => {
            let count = match how {
                "fewer than announced" => 2,
                "more than announced" => 4,
                _ => 200,
            };
            let body = &answer[8..];
            let mut bytes = header(LAST, body.len(), 3);
            bytes.extend(body);
            send_with(parent, &bytes, count).map(drop)
        }
        // Announced, and endless.
        "announced" => loop {
            send_with(parent, &header(MORE, 0, 60), 60)?;
        },
        "announced after the end" => {
            parent.write_all(&begun(id))?;
            parent.write_all(&result(&Entry::Value(1_u64)))?;
            let end = Entry::<()>::End {
                wall: soon,
                cpu: soon,
            };
            parent.write_all(&result(&end))?;
            loop {
                send_with(parent, &header(MORE, 0, 60), 60)?;
            }
        }
        // Segments without an end, and without bytes.
        "empty" => again(parent, &header(MORE, 0, 0).repeat(1000), Duration::ZERO),
        "void" => again(parent, &header(VOID, 0, 0).repeat(1000), Duration::ZERO),
        "void at intervals" => {
            parent.write_all(&begun(id))?;
            again(parent, &header(VOID, 0, 0), soon)
        }
        // Words without an end, each in time.
        "dribble" => {
            parent.write_all(&header(LAST, SEGMENT, 0))?;
            again(parent, &[1], soon)
        }
        "dribble of segments" => {
            parent.write_all(&begun(id))?;
            let mut bytes = header(MORE, 1, 0);
            bytes.push(0xff);
            again(parent, &bytes, soon)
        }
        "dribble of results" => {
            parent.write_all(&begun(id))?;
            again(parent, &result(&Entry::Value(1_u64)), soon)
        }
        "dribble after the end" => {
            parent.write_all(&begun(id))?;
            parent.write_all(&result(&Entry::Value(1_u64)))?;
            let end = Entry::<()>::End {
                wall: soon,
                cpu: soon,
            };
            parent.write_all(&result(&end))?;
            again(parent, &[header(MORE, 1, 0), vec![7]].concat(), soon)
        }
        "results" => {
            parent.write_all(&begun(id))?;
            again(parent, &result(&Entry::Value(1_u64)), Duration::ZERO)
        }
        "no result" => parent.write_all(&message(&peer::answer::<u64>(id, &[]))),
        "another answer" => parent.write_all(&message(&peer::answer(id + 1, &[1_u64]))),
        // Values that take no bytes, or a stack that has an end.
        "deep" => {
            let mut body = value(&peer::Answer { id });
            body.push(0);
            body.extend(vec![1; 50_000]);
            parent.write_all(&message(&body))
        }
        "nothings" => {
            let mut body = value(&peer::Answer { id });
            body.push(0);
            body.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
            body.extend([9; 100]);
            parent.write_all(&message(&body))
        }
        "nothings of nothings" => {
            let mut body = value(&peer::Answer { id });
            body.push(0);
            for _ in 0..15_000 {
                body.extend([0xff, 0xff, 0x03]); // 65,535 each
            }
            parent.write_all(&message(&body))
        }
        "centuries" => {
            parent.write_all(&begun(id))?;
            parent.write_all(&result(&Entry::Value(1_u64)))?;
            parent.write_all(&ending(Duration::MAX, Duration::MAX))
        }
        _ => panic!("how to behave: {how:?}"),
    }
}

/// Does not read what it is told, and says much.
fn flood(mut parent: &UnixStream, bytes: &[u8], most: usize, pause: Duration) -> io::Result<()> {
    for _ in 0..most / bytes.len() {
        parent.write_all(bytes)?;
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    Ok(())
}

/// Where such workers begin.
#[test]
fn hostile_worker() {
    let Ok(how) = std::env::var(HOW) else { return };
    let parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    let mut socket = &parent;
    let mut work = || -> io::Result<()> {
        socket.write_all(&message(&value(&Hello::new())))?;
        let setup = read_message(&mut socket)?;
        let _: Setup = take(&mut &setup[..]);
        match &*how {
            "flood" => {
                let answer = message(&peer::answer(1, &vec![1_u64; 10_000]));
                return flood(&parent, &answer, 400 << 20, Duration::ZERO);
            }
            "dribble of answers" => {
                let soon = Duration::from_millis(20);
                let answer = message(&peer::answer(1, &[1_u64]));
                return flood(&parent, &answer, 1 << 30, soon);
            }
            _ => {}
        }
        loop {
            let order = read_message(&mut socket)?;
            let Order::Run { id, .. } = take(&mut &order[..]);
            behave(&how, id, &parent)?;
        }
    };
    let _ = work(); // the parent has had enough
}

fn hostile(how: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap();
    let line = format!(
        "exec '{}' hostile_worker --exact --nocapture --test-threads=1 >/dev/null 2>&1",
        own.display()
    );
    ["env", &format!("{HOW}={how}"), "sh", "-c", &line]
        .map(str::to_owned)
        .to_vec()
}

/// A pool of one such worker; items are tried once.
fn builder(how: &str) -> ProcessPoolBuilder {
    ProcessPool::builder()
        .workers(1)
        .retries(0)
        .stderr(Stderr::Kept)
        .worker_command(hostile(how))
}

const LIMIT: Duration = Duration::from_millis(200);

/// How long a worker that was given [`LIMIT`] for an item can make its parent wait for one, with
/// the time that a busy machine takes.
const LONGEST: Duration = Duration::from_secs(15);

#[track_caller]
fn refused(how: &str, error: &ProcessError, kind: ProcessErrorKind, said: &str) {
    assert_eq!(error.kind(), kind, "{how}: {error}");
    assert!(error.to_string().contains(said), "{how}: {error}");
}

/// What a worker has answered before it is found out counts; it itself is of no more use.
#[track_caller]
fn costs_the_worker(pool: &ProcessPool, how: &str, said: &str) {
    match pool.call(next, &0) {
        Ok(result) => assert_eq!(result, 1, "{how}"),
        Err(error) => refused(how, &error, ProcessErrorKind::Protocol, said),
    }
    assert!(pool.idle_pids().is_empty(), "{how}: it is kept");
}

/// Memory that this process has had at most, in bytes.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

#[test]
fn one_that_behaves() {
    alone("well", || {
        let pool = builder("well").build().unwrap();
        for _ in 0..3 {
            assert_eq!(pool.call(next, &0).unwrap(), 1);
        }
        assert_eq!(pool.par_map_chunked(0..10_u64, 1, next).unwrap(), [1; 10]);
        assert_eq!(pool.num_starts(), 1);
    });
}

#[test]
fn descriptors_that_no_segment_announced() {
    alone("unannounced", || {
        for (how, said) in [
            (
                "with the answer",
                "60 descriptors that no segment announced",
            ),
            ("in the middle", "60 descriptors that no segment announced"),
            (
                "with every byte",
                "60 descriptors that no segment announced",
            ),
            ("fewer than announced", "3 descriptors were to come"),
            ("more than announced", "3 descriptors were to come"),
            ("very many at once", "descriptors that no segment announced"),
        ] {
            let pool = builder(how).build().unwrap();
            let before = num_descriptors();
            for _ in 0..3 {
                let error = pool.call(next, &0).unwrap_err();
                refused(how, &error, ProcessErrorKind::Protocol, said);
                assert!(num_descriptors() <= before, "{how}: {}", num_descriptors());
            }
        }
        // What comes after a good answer costs the worker, and not the answer.
        let how = "after the answer";
        let pool = builder(how).build().unwrap();
        let before = num_descriptors();
        for calls in 1..=5 {
            costs_the_worker(&pool, how, "no segment");
            assert!(
                num_descriptors() <= before,
                "{calls}: {}",
                num_descriptors()
            );
        }
    });
}

#[test]
fn descriptors_without_end() {
    alone("announced", || {
        for how in ["announced", "announced after the end"] {
            let pool = builder(how).build().unwrap();
            let before = num_descriptors();
            let began = Instant::now();
            costs_the_worker(&pool, how, "no value has taken");
            println!("{how}: {:?}", began.elapsed());
            assert!(num_descriptors() <= before, "{how}: {}", num_descriptors());
        }
    });
}

#[test]
fn segments_without_end_or_bytes() {
    alone("empty", || {
        for (how, said) in [
            ("empty", "neither bytes nor descriptors"),
            ("void", "voids a value where there is none"),
            ("void at intervals", "voids a value where there is none"),
        ] {
            for limit in [None, Some(LIMIT)] {
                let builder = builder(how).message_limit(1 << 20);
                let builder = match limit {
                    Some(limit) => builder.task_timeout(limit),
                    None => builder,
                };
                let error = builder.build().unwrap().call(next, &0).unwrap_err();
                refused(how, &error, ProcessErrorKind::Protocol, said);
            }
        }
    });
}

#[test]
fn words_in_time_and_no_answer() {
    alone("dribble", || {
        for how in [
            "dribble",
            "dribble of segments",
            "dribble of results",
            "dribble after the end",
        ] {
            let began = Instant::now();
            let pool = builder(how).task_timeout(LIMIT).build().unwrap();
            match pool.call(next, &0) {
                Ok(result) => assert!(result == 1 && pool.idle_pids().is_empty(), "{how}"),
                Err(error) => assert!(error.is_timeout(), "{how}: {error}"),
            }
            println!("{how}, in a pool: {:?}", began.elapsed());
            assert!(began.elapsed() < LONGEST, "{how}: {:?}", began.elapsed());
            let began = Instant::now();
            let process = Process::<()>::builder()
                .task_timeout(LIMIT)
                .worker_command(hostile(how));
            let error = process.spawn(next, 0).and_then(Process::join).unwrap_err();
            println!("{how}, by itself: {:?}: {error}", began.elapsed());
            assert!(began.elapsed() < LONGEST, "{how}: {:?}", began.elapsed());
        }
        // While the parent waits for room for what it says.
        let began = Instant::now();
        let pool = builder("dribble of answers").task_timeout(LIMIT);
        let text = "x".repeat(8 << 20);
        let error = pool.build().unwrap().call(length, &text).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        println!("while the parent speaks: {:?}", began.elapsed());
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
        // A deadline and a token end what never has to be waited for.
        let pool = builder("results").build().unwrap();
        let began = Instant::now();
        let run = pool.over(vec![0_u64]).deadline(Duration::from_millis(300));
        run.map(next).unwrap_err();
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    });
}

#[test]
fn more_results_than_items_or_none() {
    alone("results", || {
        for (how, said) in [
            ("results", "more results than"),
            ("no result", "result"),
            ("another answer", "an answer to run"),
        ] {
            let pool = builder(how).build().unwrap();
            match how {
                // It is in step.
                "no result" => drop(pool.call(next, &0).unwrap_err()),
                _ => costs_the_worker(&pool, how, said),
            }
            let process = Process::<()>::builder().worker_command(hostile(how));
            let error = process.spawn(next, 0).and_then(Process::join).unwrap_err();
            refused(how, &error, ProcessErrorKind::Protocol, said);
        }
    });
}

#[test]
fn what_is_read_ahead_has_a_bound() {
    alone("flood", || {
        let limit = 1 << 20;
        let text = "x".repeat(32 << 20);
        let pool = builder("flood").message_limit(limit).build().unwrap();
        let before = most_memory();
        let error = pool.call(length, &text).unwrap_err();
        let more = most_memory() - before;
        println!("{more} bytes: {error}");
        refused(
            "flood",
            &error,
            ProcessErrorKind::Protocol,
            "before they were asked for",
        );
        assert!(more < 16 << 20, "{more} bytes");
    });
}

#[test]
fn values_that_are_deep_or_many_of_nothing() {
    alone("deep", || {
        let deep = |how| builder(how).build().unwrap();
        let error = deep("deep").call(nested, &()).unwrap_err();
        refused("deep", &error, ProcessErrorKind::Decode, "levels");
        for how in ["nothings", "nothings of nothings"] {
            let before = most_memory();
            let error = deep(how).call(nothings, &()).unwrap_err();
            refused(how, &error, ProcessErrorKind::Decode, "");
            let error = deep(how).call(skipped, &()).unwrap_err();
            refused(how, &error, ProcessErrorKind::Decode, "");
            let more = most_memory() - before;
            assert!(more < 1 << 30, "{how}: {more} bytes");
        }
    });
}

#[test]
fn times_that_cannot_be_added_up() {
    alone("times", || {
        let pool = builder("centuries").build().unwrap();
        let results = pool.par_map_chunked(0..5_u64, 1, next);
        assert_eq!(results.unwrap(), [1; 5]);
    });
}

/// The time is that of an item, and a leaf of many has as much for each.
#[test]
fn a_leaf_of_many_items_is_given_the_time_of_each() {
    alone("leaf", || {
        let pool = ProcessPool::builder().workers(1).task_timeout(LIMIT);
        let pool = pool.build().unwrap();
        let total = pool.par_map_reduce_chunked(0..30_u64, 30, slowly, || 0, sum);
        assert_eq!(total.unwrap(), 435);
    });
}
