//! Worker processes: what it costs to start one, to call it, to send it items and arrays; beside a socket by hand, `procspawn`, and
//! Python's `multiprocessing` where there is a `python3`.
//!
//! ```text
//! cargo bench --bench process
//! cargo bench --bench process -- --only trip,arrays
//! ```
//!
//! Contenders run by turns, in an order shuffled anew in each round; lower quartiles are compared, as other programs only ever make
//! things slower. Python runs by itself, once for each table, and gives medians. Waking a process on another core takes longer than
//! everything else in a small call, so calls are measured with all processes on one core as well.

#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod measure;
#[cfg(unix)]
mod raw;

#[cfg(unix)]
pub(crate) use measure::{ends, made};

#[cfg(unix)]
fn main() {
    // Workers of all three kinds begin here, and come no further.
    scipar::process::init();
    raw::serve_if_worker();
    procspawn::init();
    measure::run();
}

#[cfg(not(unix))]
fn main() {
    println!("no worker processes here");
}
