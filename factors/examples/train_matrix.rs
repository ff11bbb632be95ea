//! Trains on a matrix from disk and tells the time of each iteration: our side of `scripts/bench_implicit.sh`.
//!
//!     train_matrix FOLDER RANK ITERATIONS THREADS OUT
//!
//! FOLDER holds `indptr` (u64), `indices` (u32) and `data` (f32, confidences), little-endian; OUT gets the factors
//! after each iteration as `members.N` and `items.N` (f32, row-major).

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearline_factors::{Matrix, Progress, Regularisation, TrainOptions, train};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let folder = Path::new(&args[1]);
    let (rank, iterations, threads) = (args[2].parse()?, args[3].parse()?, args[4].parse()?);
    let matrix = read(folder)?;
    let regularisation = Regularisation::new(1.0, 0.01, 0.0)?;
    let options = TrainOptions { rank, iterations, regularisation, seed: 1, threads };
    let started = Instant::now();
    let mut last = Instant::now();
    let trained = train(&matrix, &options, &mut |progress| {
        match progress {
            Progress::Iteration(end) => {
                let constant: f64 = 0.0;
                let cells =
                    matrix.members() as f64 * matrix.items() as f64 - matrix.nnz() as f64 + total(&matrix);
                println!(
                    "{} {:.3} {:.3} {:.10}",
                    end.iteration,
                    started.elapsed().as_secs_f64(),
                    last.elapsed().as_secs_f64(),
                    (end.loss + constant) / cells
                );
                last = Instant::now();
            }
            Progress::Rows { step, done, total, .. } if done == total => {
                println!("   {step:?} {:.3}", last.elapsed().as_secs_f64())
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    println!("{} {}", trained.items.rows(), started.elapsed().as_secs_f64());
    Ok(())
}

fn total(matrix: &Matrix) -> f64 {
    (0..matrix.members()).flat_map(|m| matrix.row(m)).map(|(_, c)| f64::from(*c)).sum()
}

fn read(folder: &Path) -> Result<Matrix, Box<dyn Error>> {
    let indptr: Vec<usize> = fs::read(folder.join("indptr"))?
        .as_chunks()
        .0
        .iter()
        .map(|b| u64::from_le_bytes(*b) as usize)
        .collect();
    let indices = fs::read(folder.join("indices"))?;
    let data = fs::read(folder.join("data"))?;
    let indices = indices.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b));
    let entries: Vec<(u32, f32)> =
        indices.zip(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))).collect();
    let items = entries.iter().map(|(item, _)| *item as usize + 1).max().unwrap_or(0);
    Ok(Matrix::from_confidences(items, indptr, entries)?)
}
