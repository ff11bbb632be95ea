//! See `nearline::fuzzing::lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nearline::fuzzing::lines(data));
