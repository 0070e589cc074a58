//! The global pool is built once. It belongs to the process, so this is a binary of its own with one test in it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use common::spin;
use scipar::{Pool, par_map_chunked};

#[test]
fn the_global_pool_is_built_once_and_serves_the_free_functions() {
    let pool = Pool::builder()
        .workers(3)
        .thread_name(|i| format!("global-{i}"))
        .build_global()
        .unwrap();
    assert_eq!(pool.num_workers(), 3);
    assert!(std::ptr::eq(pool, Pool::global()));

    let error = Pool::builder().workers(5).build_global().unwrap_err();
    assert!(error.is_global_exists());
    assert!(
        error.to_string().contains("global pool exists already"),
        "{error}"
    );
    assert_eq!(Pool::global().num_workers(), 3);

    // The free functions use its threads.
    let helped = (0..200).any(|_| {
        let names = par_map_chunked(0..200, 1, |_| {
            spin(Duration::from_micros(100));
            std::thread::current().name().map(str::to_owned)
        });
        names
            .iter()
            .flatten()
            .any(|name| name.starts_with("global-"))
    });
    assert!(helped, "no thread of the global pool ever helped");
}
