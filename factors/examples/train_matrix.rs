//! Trains on a matrix of confidences from disk: our side of `scripts/bench_implicit.sh`.
//!
//!     train_matrix FOLDER RANK ITERATIONS THREADS exact|quickest [OUT]
//!
//! FOLDER holds `indptr` (u64), `indices` (u32) and `data` (f32), little-endian: a sparse matrix, members × items, of
//! confidences c in implicit's convention, pairs (c − 1, c), alpha0 = 1, nu = 0, lambda 0.01. Each iteration is told as
//! `iteration SECONDS`, progress and loss left out of the time; OUT gets the factors after each as `members.N` and `items.N`
//! (f32, row-major), so that another program may judge them.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearline_factors::{Factors, Matrix, Progress, Regularisation, Solve, Step, TrainOptions, Trainer};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rank, iterations, threads, solve, out @ ..] = &args[..] else {
        return Err("train_matrix FOLDER RANK ITERATIONS THREADS exact|quickest [OUT]".into());
    };
    let matrix = read(Path::new(folder))?;
    let options = TrainOptions {
        rank: rank.parse()?,
        iterations: iterations.parse()?,
        regularisation: Regularisation::new(1.0, 0.01, 0.0)?,
        seed: 1,
        threads: threads.parse()?,
        solve: if solve == "exact" { Solve::Exact } else { Solve::Quickest },
    };
    let started = Instant::now();
    let mut trainer = Trainer::new(&matrix, &options)?;
    let mut seconds = started.elapsed().as_secs_f64();
    for _ in 0..options.iterations {
        let (started, mut solved) = (Instant::now(), 0.0);
        let iteration = trainer.step(&mut |progress| {
            // The loss is made after the last item is solved.
            if let Progress::Rows { step: Step::Items, done, total, .. } = progress
                && done == total
            {
                solved = started.elapsed().as_secs_f64();
            }
            ControlFlow::Continue(())
        })?;
        seconds += solved;
        println!("{} {seconds:.3} {:.3}", iteration.iteration, started.elapsed().as_secs_f64() - solved);
        if let [out] = out {
            let out = Path::new(out);
            write(&out.join(format!("members.{}", iteration.iteration)), trainer.members())?;
            write(&out.join(format!("items.{}", iteration.iteration)), trainer.items())?;
        }
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Matrix, Box<dyn Error>> {
    let words = |name: &str| -> Result<Vec<[u8; 4]>, std::io::Error> {
        Ok(fs::read(folder.join(name))?.as_chunks::<4>().0.to_vec())
    };
    let indptr = fs::read(folder.join("indptr"))?;
    let offsets = indptr.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
    let items = words("indices")?.into_iter().map(u32::from_le_bytes);
    let entries: Vec<(u32, f32)> = items.zip(words("data")?.into_iter().map(f32::from_le_bytes)).collect();
    let items = entries.iter().map(|(item, _)| *item as usize + 1).max().unwrap_or(0);
    Ok(Matrix::from_confidences(items, offsets, entries)?)
}

fn write(path: &Path, factors: &Factors) -> Result<(), std::io::Error> {
    fs::write(path, factors.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}
