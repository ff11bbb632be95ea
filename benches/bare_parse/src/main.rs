//! Parses each line of a log to simd-json's tape and does nothing with it: the fastest that the library does. Arguments: the
//! log, and how many runs; prints the median, least and greatest time in seconds.

use std::time::Instant;

use simd_json::Buffers;

fn main() {
    let given: Vec<String> = std::env::args().collect();
    let log = std::fs::read(&given[1]).expect("the log can be read");
    let runs: usize = given.get(2).map_or(3, |runs| runs.parse().expect("a number of runs"));
    let mut all: Vec<f64> = (0..runs).map(|_| once(log.clone())).collect();
    all.sort_by(f64::total_cmp);
    println!("{} {} {}", all[all.len() / 2], all[0], all[all.len() - 1]);
}

/// It parses in place, so each run has a copy of its own, made before the clock starts.
fn once(mut log: Vec<u8>) -> f64 {
    let mut buffers = Buffers::new(1024);
    let mut tape = simd_json::Tape::null();
    let started = Instant::now();
    let mut rest = &mut log[..];
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, more) = rest.split_at_mut(end + 1);
        let mut reset = tape.reset();
        simd_json::fill_tape(&mut line[..end], &mut buffers, &mut reset).expect("a line is JSON");
        std::hint::black_box(&reset.0);
        tape = reset.reset();
        rest = more;
    }
    started.elapsed().as_secs_f64()
}
