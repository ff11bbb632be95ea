//! How fast the kernels are on this machine: a small table over seeded data. It is a look, not a benchmark with
//! statistics.
//!
//!     cargo run --release -p nearline-factors --example kernel_speed -- [MEMBERS ITEMS PAIRS RANK THREADS]

use std::ops::ControlFlow;
use std::time::Instant;

use nearline_factors::{
    Bitmap, ItemSide, Matrix, Pair, Progress, Regularisation, Solve, Step, TrainOptions, Trained, train,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let size = |at: usize, default: usize| given.get(at).copied().unwrap_or(default);
    let (members, items, pairs) = (size(0, 20_000), size(1, 26_000), size(2, 1_400_000));
    let (rank, threads) = (size(3, 64), size(4, 2));
    println!("{members} members, {items} items, about {pairs} pairs, rank {rank}, {threads} threads");

    let matrix = skewed(members, items, pairs)?;
    println!("{:<44}{:>12}", "pairs", matrix.nnz());
    let regularisation = Regularisation::new(0.1, 0.01, 1.0)?;
    let options =
        TrainOptions { rank, iterations: 2, regularisation, seed: 1, threads, solve: Solve::default() };
    let trained = timed_training(&matrix, &options)?;

    let started = Instant::now();
    let model = ItemSide::new(trained.items.clone(), regularisation);
    println!("{:<44}{:>12.1}", "item side, ms", started.elapsed().as_secs_f64() * 1e3);
    time_fold_in(&model, &matrix);
    time_select(&model, &matrix, trained.members.as_slice());
    Ok(())
}

fn timed_training(matrix: &Matrix, options: &TrainOptions) -> Result<Trained, Box<dyn std::error::Error>> {
    let mut last = Instant::now();
    let trained = train(matrix, options, &mut |progress| {
        match progress {
            Progress::Rows { iteration, step, done, total }
                if done == total && *step != Step::LastMembers =>
            {
                let seconds = last.elapsed().as_secs_f64();
                println!("{:<44}{seconds:>12.2}", format!("iteration {iteration} to the end of {step:?}, s"));
            }
            Progress::Iteration(end) => {
                let seconds = last.elapsed().as_secs_f64();
                let name = format!("iteration {} with its loss ({:.0}), s", end.iteration, end.loss);
                println!("{name:<44}{seconds:>12.2}");
                last = Instant::now();
            }
            Progress::Rows { .. } => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(trained)
}

fn time_fold_in(model: &ItemSide, matrix: &Matrix) {
    let batch = matrix.members().min(10_000);
    let (mut offsets, mut pairs) = (vec![0], Vec::new());
    for member in 0..batch {
        pairs.extend(matrix.row(member).iter().map(|&(item, weight)| Pair::from_signed(item, weight)));
        offsets.push(pairs.len());
    }
    let mut factors = Vec::new();
    let started = Instant::now();
    model.fold_in_batch(&offsets, &pairs, &mut factors);
    let seconds = started.elapsed().as_secs_f64();
    println!("{:<44}{:>12.1}", "pairs a member in fold-in", pairs.len() as f64 / batch as f64);
    println!("{:<44}{:>12.0}", "fold-in, members a second, one thread", batch as f64 / seconds);
}

fn time_select(model: &ItemSide, matrix: &Matrix, members: &[f32]) {
    let (rank, available) = (model.items().rank(), Bitmap::full(model.items().rows()));
    let seen: Vec<Vec<u32>> = (0..matrix.members())
        .map(|member| matrix.row(member).iter().map(|&(item, _)| item).collect())
        .collect();
    let mut lists = Vec::new();
    for batch in [1, 4, 64, 4_000] {
        let batch = batch.min(matrix.members());
        let excluded: Vec<&[u32]> = seen[..batch].iter().map(Vec::as_slice).collect();
        let times = (2_000 / batch).max(1);
        let started = Instant::now();
        for _ in 0..times {
            model.select(&members[..batch * rank], &excluded, &available, 100, &mut lists);
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / (batch * times) as f64;
        println!("{:<44}{micros:>12.1}", format!("select 100, µs a member, batches of {batch}"));
    }
}

/// Members of a few to a few hundred pairs, items of a skewed popularity, one weight in twenty a dislike.
fn skewed(members: usize, items: usize, pairs: usize) -> Result<Matrix, Box<dyn std::error::Error>> {
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mean = pairs as f64 / members as f64;
    let (mut offsets, mut entries) = (vec![0], Vec::new());
    for _ in 0..members {
        let count = (mean * (0.1 + 1.8 * random())).ceil() as usize;
        let mut row: Vec<u32> = Vec::with_capacity(count);
        for _ in 0..count {
            row.push((random().powi(3) * items as f64) as u32);
        }
        row.sort_unstable();
        row.dedup();
        for item in row {
            let weight = 0.5 + random() as f32;
            entries.push((item, if random() < 0.05 { -weight } else { weight }));
        }
        offsets.push(entries.len());
    }
    Ok(Matrix::from_rows(items, offsets, entries)?)
}
