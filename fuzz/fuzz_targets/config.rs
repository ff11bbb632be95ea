//! See `nearline::fuzzing::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nearline::fuzzing::config(data));
