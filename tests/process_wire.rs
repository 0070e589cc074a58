//! What a broken or hostile peer can make this process allocate: never more than a small multiple of what truly arrived, and about
//! a mebibyte. And that what borrowed values need is freed.

#![cfg(all(target_os = "linux", feature = "process"))]
#![allow(unsafe_code, reason = "counts allocations, and takes a socket apart")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::watched;
use scipar::process::{Connection, RecvError, pipe};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, and how much it has given out.
struct Counting;

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated beyond those before, at most, meanwhile.
fn peak_of<R>(work: impl FnOnce() -> R) -> (usize, R) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// The counts are of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn files() -> BTreeSet<RawFd> {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.map(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    })
    .collect()
}

/// A connection, and the bare other end of it.
fn half<B>() -> (Connection<u8, B>, UnixStream) {
    let before = files();
    let (near, far) = pipe::<u8, B>().unwrap();
    let mut new = files();
    new.retain(|fd| !before.contains(fd) && is_socket(*fd));
    let fd = *new.last().unwrap();
    // SAFETY: it makes a number of a number.
    let copy = unsafe { libc::dup(fd) };
    // SAFETY: the copy is this function's own.
    let bare = unsafe { UnixStream::from_raw_fd(copy) };
    drop(far);
    (near, bare)
}

fn is_socket(fd: RawFd) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
}

fn header(kind: u8, len: usize, descriptors: u8) -> Vec<u8> {
    let mut bytes = vec![0x5c, 0xa9, kind, descriptors];
    bytes.extend((len as u32).to_le_bytes());
    bytes
}

/// 2^60, as a length.
const HUGE: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

/// Whatever is announced.
const ALLOWED: usize = (1 << 20) + 6 * (64 << 10);

fn refused<B: DeserializeOwned + std::fmt::Debug>(sent: &[u8], what: &str) {
    let (near, mut far) = half::<B>();
    let mut sent = sent.to_vec();
    let (peak, result) = peak_of(|| {
        far.write_all(&sent).unwrap();
        drop(far);
        near.recv()
    });
    assert!(
        matches!(result, Err(RecvError::Disconnected | RecvError::Failed(_))),
        "{what}: {result:?}"
    );
    assert!(peak < ALLOWED + 4 * sent.len(), "{what}: {peak}");
    sent.clear();
}

fn message(body: &[u8]) -> Vec<u8> {
    let mut bytes = header(1, body.len(), 0);
    bytes.extend(body);
    bytes
}

#[test]
fn announcements_are_not_believed() {
    let _alone = alone();
    watched("announcements", || {
        refused::<u64>(&header(1, 64 << 10, 0), "a header alone");
        refused::<u64>(&header(1, (64 << 10) + 1, 0), "a segment that is too long");
        refused::<String>(&message(&HUGE), "a string");
        refused::<Vec<u64>>(&message(&HUGE), "numbers");
        refused::<Vec<u8>>(&message(&HUGE), "bytes");
        refused::<Vec<[u64; 32]>>(&message(&HUGE), "arrays");
        refused::<BTreeMap<u64, String>>(&message(&HUGE), "a map");
        refused::<Vec<String>>(&message(&[&HUGE[..], &HUGE[..]].concat()), "strings");
        refused::<Borrowed>(&message(&HUGE), "a borrowed string");
        // Segments that never end it.
        let mut many = header(0, HUGE.len() + 1000, 0);
        many.extend(HUGE);
        many.extend([b'x'; 1000]);
        for _ in 0..100 {
            many.extend(header(0, 1000, 0));
            many.extend([b'x'; 1000]);
        }
        refused::<String>(&many, "a string over many segments");
        refused::<Borrowed>(&many, "a borrowed string over many segments");
        let mut announced = header(1, 1, 255);
        announced.push(0);
        refused::<u8>(&announced, "descriptors");
        refused::<u8>(&header(7, 1, 0), "a kind");
        refused::<u8>(b"GET / HTTP/1.1\r\n\r\n", "something else");
    });
}

/// Text that is asked for as text that outlives the decoder.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Borrowed(String);

impl<'de> Deserialize<'de> for Borrowed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(|text| Self(text.to_owned()))
    }
}

#[test]
fn what_values_borrow_is_freed_with_them() {
    let _alone = alone();
    watched("borrowed", || {
        let (a, b) = pipe::<Vec<Borrowed>, ()>().unwrap();
        let round = |count: usize, len: usize| {
            let sent = vec![Borrowed("x".repeat(len)); count];
            std::thread::scope(|scope| {
                let copy = sent.clone();
                scope.spawn(|| a.send(copy).unwrap());
                assert_eq!(b.recv().unwrap(), sent);
            });
        };
        round(10, 100_000);
        let before = LIVE.load(Ordering::Relaxed);
        for _ in 0..5 {
            round(10, 100_000);
            round(100_000, 10); // a long list is dropped without recursion
        }
        let kept = LIVE.load(Ordering::Relaxed).saturating_sub(before);
        assert!(kept < 1 << 20, "{kept} bytes are still there");
    });
}

/// What was read ahead of both sides' long messages does not stay.
#[test]
fn room_for_reading_ahead_is_given_back() {
    let _alone = alone();
    watched("read ahead", || {
        let (a, b) = pipe::<String, String>().unwrap();
        let before = LIVE.load(Ordering::Relaxed);
        let talk = |end: &Connection<String, String>| {
            end.send("x".repeat(20_000_000)).unwrap();
            assert_eq!(end.recv().unwrap().len(), 20_000_000);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| talk(&a));
            talk(&b);
        });
        for _ in 0..2 {
            a.send("short".to_owned()).unwrap();
            b.send("short".to_owned()).unwrap();
            assert_eq!(
                (b.recv().unwrap(), a.recv().unwrap()),
                ("short".into(), "short".into())
            );
        }
        let kept = LIVE.load(Ordering::Relaxed).saturating_sub(before);
        assert!(kept < 2 << 20, "{kept} bytes are still there");
    });
}
