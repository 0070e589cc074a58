//! Worker processes wherever code runs: in a test that has a process to itself, in a library that Python has loaded.

#![cfg(all(unix, feature = "process"))]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "common/example.rs"]
mod example;

use std::process::Command;

use scipar::process::{ProcessPool, task};

scipar::process::test_worker!();

task! {
    fn half(x: f64) -> f64 { x / 2.0 }
}

#[test]
fn a_test_has_workers() {
    let halves = ProcessPool::new(2)
        .unwrap()
        .par_map_chunked(&[1.0, 3.0], 1, half);
    assert_eq!(halves.unwrap(), [0.5, 1.5]);
}

/// As test runners do that give each test a process of its own.
#[test]
fn a_test_that_is_alone_in_its_process_has_workers() {
    let own = std::env::current_exe().unwrap();
    let alone = Command::new(own)
        .args(["a_test_has_workers", "--exact", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(
        alone.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

mod inside {
    use super::half;
    use scipar::process::Process;

    /// The worker's beginning is found from any module.
    #[test]
    fn a_test_in_a_module_has_workers() {
        assert_eq!(Process::spawn(half, 5.0).unwrap().join().unwrap(), 2.5);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_in_python_has_workers() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("no python3: skipped");
        return;
    }
    let library = example::library("python_host");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python_host/host.py");
    let host = Command::new("python3").arg(script).arg(library).output();
    let host = host.unwrap();
    assert!(host.status.success(), "{host:?}");
    let said = String::from_utf8_lossy(&host.stdout);
    assert!(
        said.contains("by worker processes: 666616.459197"),
        "{said}"
    );
}
