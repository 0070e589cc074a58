//! Bytes and descriptors that a peer could send, through the decoders of streams, pipes and queues.
#![no_main]

#[path = "../meter.rs"]
mod meter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| meter::run(|| scipar::process::fuzzing::wire(data)));
