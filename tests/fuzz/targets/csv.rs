//! Files that a user could have, through the readers, and what is accepted through the kernels.
#![no_main]

#[path = "../csv.rs"]
mod csv;

libfuzzer_sys::fuzz_target!(|data: &[u8]| csv::run(data));
