//! Worker processes from their start to their end, in a program that has a `main`: `init`, `Process`, parents that die, few
//! descriptors, forks. Acts follow each other, so that each can count this process's descriptors and children for itself.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(
    unsafe_code,
    reason = "fork, limits and signals are what this is about"
)]

#[cfg(all(target_os = "linux", feature = "process"))]
#[path = "../common/children.rs"]
mod children;
#[cfg(all(target_os = "linux", feature = "process"))]
#[path = "../common/mod.rs"]
mod common;
#[cfg(all(target_os = "linux", feature = "process"))]
mod linux;

fn main() {
    #[cfg(all(target_os = "linux", feature = "process"))]
    linux::main();
}
