//! See `nearline::fuzzing::table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nearline::fuzzing::table(data));
