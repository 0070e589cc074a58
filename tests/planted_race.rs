//! A data race on purpose, run only when asked: proves that the sanitizer's silence elsewhere means something.

#![allow(unsafe_code, reason = "plants a data race, under ThreadSanitizer only")]

use std::cell::UnsafeCell;

use scipar::{Chunking, Pool};

struct Racy(UnsafeCell<u64>);

// SAFETY: none: this is the planted mistake.
unsafe impl Sync for Racy {}

impl Racy {
    fn bump(&self) {
        // SAFETY: none: this is the planted mistake.
        unsafe { *self.0.get() += 1 };
    }
}

#[test]
fn a_planted_race_is_there_when_asked_for() {
    let pool = Pool::builder().workers(2).build().expect("two threads");
    let cell = Racy(UnsafeCell::new(0));
    let planted = std::env::var_os("SCIPAR_PLANT_A_RACE").is_some();
    for _ in 0..20 {
        pool.par_for_each_chunked(0..2000, Chunking::size(1), |_| {
            // Long enough that two threads take part.
            let until = std::time::Instant::now() + std::time::Duration::from_micros(20);
            while std::time::Instant::now() < until {}
            if planted {
                cell.bump();
            }
        });
    }
    if !planted {
        // SAFETY: nobody else is left.
        assert_eq!(unsafe { *cell.0.get() }, 0);
    }
}
