//! How fast the kernels are here: `cargo run --release -p nearline-factors --example kernel_speed`.
//!
//! Arguments, all optional: members, items, pairs a member, rank, threads. Prints a table; asserts nothing.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::ops::ControlFlow;
use std::time::Instant;

use nearline_factors::{
    Bitmap, Factors, ItemSide, Matrix, Pair, Progress, Regularisation, TrainOptions, train,
};

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let of = |place: usize, default: usize| given.get(place).copied().unwrap_or(default);
    let (members, items, pairs, rank, threads) =
        (of(0, 138_000), of(1, 26_000), of(2, 70), of(3, 64), of(4, 2));
    let mut state = 1_u64;
    let mut draw = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    let (mut offsets, mut entries) = (vec![0], Vec::new());
    for _ in 0..members {
        let mut chosen: Vec<u32> = (0..pairs).map(|_| (draw(items) * draw(items) / items) as u32).collect();
        chosen.sort_unstable();
        chosen.dedup();
        entries.extend(chosen.into_iter().map(|item| (item, 1.0)));
        offsets.push(entries.len());
    }
    let matrix = Matrix::from_rows(items, offsets, entries).expect("rows are sorted");
    let regularisation = Regularisation { alpha0: 0.1, lambda: 0.01, nu: 1.0 };
    let options = TrainOptions { rank, iterations: 1, regularisation, seed: 1, threads };
    println!("{members} members, {items} items, {} pairs, rank {rank}, {threads} threads", matrix.pairs());

    let started = Instant::now();
    let mut iteration = 0.0;
    let trained = train(&matrix, &options, &mut |progress| {
        if let Progress::Iteration { .. } = progress {
            iteration = started.elapsed().as_secs_f64();
        }
        ControlFlow::Continue(())
    })
    .expect("there are pairs");
    println!("{:<44}{iteration:>10.2} s", "one iteration of training, loss included");

    let side = ItemSide::new(
        Factors::new(rank, trained.items.as_slice().to_vec()).expect("whole rows"),
        regularisation,
    );
    let batch = members.min(4_000);
    let (mut offsets, mut all) = (vec![0], Vec::new());
    let mut excluded = Vec::new();
    for member in 0..batch {
        let row = matrix.row(member);
        all.extend(row.iter().map(|(item, weight)| Pair::from_signed(*item, *weight)));
        offsets.push(all.len());
        excluded.push(row.iter().map(|(item, _)| *item).collect::<Vec<u32>>());
    }
    let started = Instant::now();
    let mut factors = Vec::new();
    side.fold_in_batch(&offsets, &all, &mut factors);
    let rate = batch as f64 / started.elapsed().as_secs_f64();
    println!("{:<44}{rate:>10.0} members/s", "fold-in, one core");

    let slices: Vec<&[u32]> = excluded.iter().map(Vec::as_slice).collect();
    let started = Instant::now();
    let mut best = Vec::new();
    side.select(&factors, &slices, &Bitmap::full(items), 100, &mut best);
    let each = started.elapsed().as_secs_f64() * 1e6 / batch as f64;
    println!("{:<44}{each:>10.1} µs a member", "score all items and select 100, one core");
    let best: usize = best.iter().map(Vec::len).sum();
    println!("({best} entries selected)");
}
