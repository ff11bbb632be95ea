//! Our side of `scripts/bench_implicit.sh`, which says what it measures and compares it with.
//!
//!     beside_implicit train FOLDER RANK ITERATIONS exact|quickest [OUT]
//!     beside_implicit serve FOLDER RANK ITEMS OUT
//!     beside_implicit catalogue ITEMS RANK
//!
//! FOLDER holds a sparse matrix, members × items, as `indptr` (u64), `indices` (u32) and `data` (f32): confidences c in
//! implicit's convention, pairs (c − 1, c), alpha0 = 1, nu = 0, lambda 0.01. Factors are f32, row-major; all is
//! little-endian. Everything but `catalogue` works on two threads, one member alone on one. Each line of the answer is a
//! name and a number.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearline_factors::{
    Bitmap, Factors, ItemSide, Matrix, Pair, Progress, Regularisation, Scored, Scratch, Solve, Step,
    TrainOptions, Trainer, Way,
};

const THREADS: usize = 2;
const BATCH: usize = 4_000;
const LISTED: usize = 100;
/// Members who are served alone.
const ALONE: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["train", folder, rank, iterations, solve, ref out @ ..] => {
            let solve = if solve == "exact" { Solve::Exact } else { Solve::Quickest };
            train(&read(folder)?, rank.parse()?, iterations.parse()?, solve, out.first().map(Path::new))
        }
        ["serve", folder, rank, items, out] => {
            let items = Factors::new(rank.parse()?, floats(Path::new(items))?)?;
            serve(&read(folder)?, items, Path::new(out))
        }
        ["catalogue", items, rank] => catalogue(items.parse()?, rank.parse()?),
        _ => Err("see the first lines of factors/examples/beside_implicit.rs".into()),
    }
}

fn regularisation() -> Result<Regularisation, Box<dyn Error>> {
    Ok(Regularisation::new(1.0, 0.01, 0.0)?)
}

/// Tells the seconds from the beginning to the end of each iteration, losses and files left out.
fn train(
    matrix: &Matrix,
    rank: usize,
    iterations: usize,
    solve: Solve,
    out: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    let options = TrainOptions {
        rank,
        iterations,
        regularisation: regularisation()?,
        seed: 1,
        threads: THREADS,
        solve,
    };
    let started = Instant::now();
    let mut trainer = Trainer::new(matrix, &options)?;
    let mut seconds = started.elapsed().as_secs_f64();
    for iteration in 1..=iterations {
        let (started, mut solved) = (Instant::now(), 0.0);
        trainer.step(&mut |progress| {
            // What follows the last item is the loss.
            if let Progress::Rows { step: Step::Items, done, total, .. } = progress
                && done == total
            {
                solved = started.elapsed().as_secs_f64();
            }
            ControlFlow::Continue(())
        })?;
        seconds += solved;
        println!("{iteration} {seconds:.4}");
        if let Some(out) = out {
            write(&out.join(format!("members.{iteration}")), trainer.members().as_slice())?;
            write(&out.join(format!("items.{iteration}")), trainer.items().as_slice())?;
        }
    }
    Ok(())
}

fn serve(matrix: &Matrix, items: Factors, out: &Path) -> Result<(), Box<dyn Error>> {
    let model = ItemSide::new(items, regularisation()?);
    let batches: Vec<Batch> =
        (0..matrix.members() / BATCH).map(|batch| Batch::of(matrix, batch * BATCH)).collect();
    // What is made when first asked for is not part of any request.
    batches[0].serve(&model, LISTED);

    tell("fold_in_batch", median(batches.iter().map(|batch| timed(|| batch.fold_in(&model)))) / BATCH as f64);
    let times = batches.iter().map(|batch| timed(|| batch.serve(&model, LISTED)));
    tell("serve_batch", median(times) / BATCH as f64);
    for (name, way) in [("alone_full", Way::Full), ("alone_pruned", Way::Pruned)] {
        tell(name, alone(&model, matrix, way));
    }

    let (factors, lists) = batches[0].serve(&model, LISTED);
    write(&out.join("factors"), &factors)?;
    let listed: Vec<f32> = lists.iter().flatten().map(|scored| scored.item as f32).collect();
    let scores: Vec<f32> = lists.iter().flatten().map(|scored| scored.score).collect();
    write(&out.join("listed"), &listed)?;
    write(&out.join("scores"), &scores)?;
    Ok(())
}

/// Seconds to fold one member in and list 100 items, one after the other on one thread.
fn alone(model: &ItemSide, matrix: &Matrix, way: Way) -> f64 {
    let (rank, available) = (model.items().rank(), Bitmap::full(model.items().rows()));
    let (mut scratch, mut factor, mut lists) = (Scratch::new(), vec![0.0; rank], Vec::new());
    let mut times = Vec::new();
    for member in 0..ALONE {
        let (pairs, seen) = member_of(matrix, member);
        times.push(timed(|| {
            model.fold_in(&pairs, &mut scratch, &mut factor);
            model.select_by(way, &factor, &[&seen], &available, LISTED, &mut lists);
        }));
    }
    // Members differ; their mean is what a busy server sees.
    times.iter().sum::<f64>() / times.len() as f64
}

/// Exact lists of ten out of very many items, one request at a time on one thread: of factors whose numbers are all
/// normal, where norms tell nothing, and of the same with norms as skewed as trained ones.
fn catalogue(items: usize, rank: usize) -> Result<(), Box<dyn Error>> {
    let mut normal = normal();
    let even: Vec<f32> = (0..items * rank).map(|_| normal()).collect();
    let mut skewed = even.clone();
    for row in skewed.chunks_exact_mut(rank) {
        let size = (0.5 * normal()).exp();
        row.iter_mut().for_each(|x| *x *= size);
    }
    let members: Vec<f32> = (0..200 * rank).map(|_| normal()).collect();
    for (kind, factors) in [("even", even), ("skewed", skewed)] {
        let model = ItemSide::new(Factors::new(rank, factors)?, regularisation()?);
        let (available, mut lists) = (Bitmap::full(items), Vec::new());
        for (name, way) in [("full", Way::Full), ("pruned", Way::Pruned)] {
            model.select_by(way, &members[..rank], &[&[]], &available, 10, &mut lists);
            let seconds = timed(|| {
                for member in members.chunks_exact(rank) {
                    model.select_by(way, member, &[&[]], &available, 10, &mut lists);
                }
            });
            tell(&format!("{kind}_{name}"), seconds / 200.0);
        }
    }
    Ok(())
}

/// Members who are served together.
struct Batch {
    offsets: Vec<usize>,
    pairs: Vec<Pair>,
    seen: Vec<Vec<u32>>,
}

impl Batch {
    fn of(matrix: &Matrix, first: usize) -> Self {
        let (mut offsets, mut pairs, mut seen) = (vec![0], Vec::new(), Vec::new());
        for member in first..first + BATCH {
            let (own, items) = member_of(matrix, member);
            pairs.extend(own);
            offsets.push(pairs.len());
            seen.push(items);
        }
        Batch { offsets, pairs, seen }
    }

    /// Each thread takes as many members as the other.
    fn fold_in(&self, model: &ItemSide) -> Vec<f32> {
        let part = |first: usize| {
            let mut factors = Vec::new();
            model.fold_in_batch(&self.offsets[first..=first + BATCH / THREADS], &self.pairs, &mut factors);
            factors
        };
        on_threads(part).concat()
    }

    fn serve(&self, model: &ItemSide, listed: usize) -> (Vec<f32>, Vec<Vec<Scored>>) {
        let available = Bitmap::full(model.items().rows());
        let part = |first: usize| {
            let last = first + BATCH / THREADS;
            let (mut factors, mut lists) = (Vec::new(), Vec::new());
            model.fold_in_batch(&self.offsets[first..=last], &self.pairs, &mut factors);
            let seen: Vec<&[u32]> = self.seen[first..last].iter().map(Vec::as_slice).collect();
            model.select(&factors, &seen, &available, listed, &mut lists);
            (factors, lists)
        };
        let (factors, lists): (Vec<_>, Vec<_>) = on_threads(part).into_iter().unzip();
        (factors.concat(), lists.concat())
    }
}

fn on_threads<T: Send>(part: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let part = &part;
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || part(t * BATCH / THREADS))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn member_of(matrix: &Matrix, member: usize) -> (Vec<Pair>, Vec<u32>) {
    matrix.row(member).iter().map(|&entry| (matrix.pair(entry), entry.0)).unzip()
}

fn tell(name: &str, seconds: f64) {
    println!("{name} {seconds:.9}");
}

fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let started = Instant::now();
    std::hint::black_box(work());
    started.elapsed().as_secs_f64()
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Normal numbers of a seed, by Box and Muller.
fn normal() -> impl FnMut() -> f32 {
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    move || ((-2.0 * random().ln()).sqrt() * (std::f64::consts::TAU * random()).cos()) as f32
}

fn read(folder: &str) -> Result<Matrix, Box<dyn Error>> {
    let bytes = |name: &str| fs::read(Path::new(folder).join(name));
    let indptr = bytes("indptr")?;
    let offsets = indptr.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
    let indices = bytes("indices")?;
    let items = indices.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let entries: Vec<(u32, f32)> = items.zip(floats(&Path::new(folder).join("data"))?).collect();
    let items = entries.iter().map(|(item, _)| *item as usize + 1).max().unwrap_or(0);
    Ok(Matrix::from_confidences(items, offsets, entries)?)
}

fn floats(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    Ok(fs::read(path)?.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn write(path: &Path, floats: &[f32]) -> Result<(), std::io::Error> {
    fs::write(path, floats.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}
