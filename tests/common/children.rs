//! What the tests of worker processes see of them from outside.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::common::{eventually, num_threads, watched};

/// The state of a process and the number of its parent, as `/proc` has them.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// `R`unning, `S`leeping, s`T`opped, `Z`ombie; `None` where there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    Some(stat(pid)?.0)
}

/// Whether a process runs no more; whoever has to take note of its end may not have done so.
///
/// Its first thread can have ended before the others, which is not yet the end of the process.
pub(crate) fn is_gone(pid: u32) -> bool {
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    state(pid).is_none_or(|state| matches!(state, 'Z' | 'X') && threads() <= 1)
}

/// This process's children, zombies too.
pub(crate) fn children() -> Vec<u32> {
    let own = std::process::id();
    let all = std::fs::read_dir("/proc").expect("Linux has /proc");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(_, parent)| parent == own))
        .collect()
}

/// Open descriptors of this process; one of them is what they are counted with.
pub(crate) fn num_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("Linux has /proc")
        .count()
}

/// What the open descriptors are of.
fn descriptor_names() -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir("/proc/self/fd").expect("Linux has /proc");
    all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .collect()
}

pub(crate) fn kill(pid: u32, signal: i32) {
    // SAFETY: no conditions; the process is a child of this one, or this one.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Runs a test when no other runs, watched; after it there are the descriptors and threads that there were, and no children.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| {
        watched(name, || {
            let (descriptors, threads) = (num_descriptors(), num_threads());
            test();
            assert!(
                eventually(|| children().is_empty()),
                "{name}: children are left: {:?}",
                children()
            );
            assert!(
                eventually(|| num_descriptors() <= descriptors),
                "{name}: {} descriptors, {descriptors} before: {:?}",
                num_descriptors(),
                descriptor_names()
            );
            // The harness starts a thread for each test that waits for this one: only many more are a leak.
            assert!(
                eventually(|| num_threads() <= threads + 8),
                "{name}: {} threads, {threads} before",
                num_threads()
            );
        });
    }));
    println!("{name}: {:?} in all", began.elapsed());
    if let Err(payload) = result {
        resume_unwind(payload);
    }
}
