//! See `nearline::fuzzing::model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nearline::fuzzing::model(data));
