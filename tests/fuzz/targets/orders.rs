//! Orders that a parent could give, through a worker that carries them out.
#![no_main]

#[path = "../meter.rs"]
mod meter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| meter::run(|| scipar::process::fuzzing::orders(data)));
