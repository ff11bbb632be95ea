//! Training: alternating least squares (Hu, Koren and Volinsky 2008), on all cores.
//!
//! Members are solved against the items, then items against the members, and at the end members once more against
//! the final items: so folding a trained member in gives its trained factor, to the bit. Rows are solved by
//! themselves, so which thread solves which does not matter.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::factors::{Factors, Pair, Regularisation};
use crate::level::Level;
use crate::loss::loss;
use crate::matrix::Matrix;
use crate::side::base;
use crate::solve::{Padded, Scratch, solve};

/// Rows that a thread takes at a time.
const BLOCK: usize = 64;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainOptions {
    /// The length of a factor.
    pub rank: usize,
    /// How often members and items are solved in turn.
    pub iterations: usize,
    /// How factors are held small.
    pub regularisation: Regularisation,
    /// Where the first item factors are drawn from.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// A half-step has solved so many of its rows.
    Solved {
        /// The iteration, from 1; one more than there are for the last half-step of the members.
        iteration: usize,
        /// Rows of both sides that are solved in this iteration.
        rows: usize,
        /// Rows that it has.
        of: usize,
    },
    /// An iteration is over.
    Iteration {
        /// Which, from 1.
        iteration: usize,
        /// The loss after it.
        loss: f64,
    },
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainError {
    /// There is nothing to train on.
    Empty,
    /// An option cannot be.
    Options(&'static str),
    /// The caller broke off.
    Stopped,
}

impl std::fmt::Display for TrainError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TrainError::Empty => write!(out, "there is no pair of a member and an item to train on"),
            TrainError::Options(problem) => write!(out, "{problem}"),
            TrainError::Stopped => write!(out, "training was stopped"),
        }
    }
}

impl std::error::Error for TrainError {}

/// A trained model.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Members' factors, in the order of the rows.
    pub members: Factors,
    /// Items' factors, in the order of the columns.
    pub items: Factors,
    /// The loss after each iteration.
    pub losses: Vec<f64>,
}

/// Trains a model. `progress` is told how far it is, and may break it off.
pub fn train(
    matrix: &Matrix,
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    if let Some(problem) = options.regularisation.problem() {
        return Err(TrainError::Options(problem));
    }
    if options.rank == 0 {
        return Err(TrainError::Options("the rank must be above 0"));
    }
    if matrix.pairs() == 0 {
        return Err(TrainError::Empty);
    }
    let columns = matrix.transpose();
    let mut items = first_items(matrix.items(), options);
    let mut members = Factors::zeros(options.rank, matrix.members());
    let mut losses = Vec::with_capacity(options.iterations);
    let all = matrix.members() + matrix.items();
    for iteration in 1..=options.iterations {
        let mut report =
            |done: usize, rows: usize| progress(Progress::Solved { iteration, rows: done + rows, of: all });
        half_step(matrix, &items, &mut members, options, &mut |rows| report(0, rows))?;
        half_step(&columns, &members, &mut items, options, &mut |rows| report(matrix.members(), rows))?;
        let loss = loss(matrix, &members, &items, options.regularisation);
        losses.push(loss);
        if progress(Progress::Iteration { iteration, loss }).is_break() {
            return Err(TrainError::Stopped);
        }
    }
    let last = options.iterations + 1;
    half_step(matrix, &items, &mut members, options, &mut |rows| {
        progress(Progress::Solved { iteration: last, rows, of: matrix.members() })
    })?;
    Ok(Trained { members, items, losses })
}

/// Solves every row of `matrix` against the other side.
fn half_step(
    matrix: &Matrix,
    others: &Factors,
    own: &mut Factors,
    options: &TrainOptions,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<(), TrainError> {
    let level = Level::detect();
    let padded = Padded::new(options.rank, others.as_slice());
    let base = base(level, &padded, options.regularisation.alpha0);
    let next = AtomicUsize::new(0);
    let blocks = Mutex::new(own.as_mut_slice().chunks_mut(BLOCK * options.rank).enumerate());
    let solve_blocks = |report: &mut dyn FnMut(usize) -> bool| {
        let (mut scratch, mut pairs) = (Scratch::default(), Vec::new());
        loop {
            let taken = blocks.lock().map(|mut blocks| blocks.next());
            let Ok(Some((block, rows))) = taken else { return };
            for (place, out) in rows.chunks_exact_mut(options.rank).enumerate() {
                let row = matrix.row(block * BLOCK + place);
                pairs.clear();
                pairs.extend(row.iter().map(|(other, weight)| Pair::from_signed(*other, *weight)));
                let ridge = options.regularisation.ridge(pairs.len(), others.rows());
                solve(level, &base, &padded, &pairs, ridge, &mut scratch, out);
            }
            let solved = next.fetch_add(rows.len() / options.rank, Ordering::Relaxed);
            if !report(solved + rows.len() / options.rank) {
                // The others find no more blocks and end.
                if let Ok(mut blocks) = blocks.lock() {
                    blocks.by_ref().for_each(drop);
                }
                return;
            }
        }
    };
    let mut stopped = false;
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(|| solve_blocks(&mut |_| true));
        }
        solve_blocks(&mut |solved| {
            stopped = progress(solved).is_break();
            !stopped
        });
    });
    if stopped { Err(TrainError::Stopped) } else { Ok(()) }
}

/// Normal with deviation 0.1/√rank (Rendle et al. 2021): the sum of twelve uniform numbers less six, so that no
/// library's logarithm has a say.
fn first_items(rows: usize, options: &TrainOptions) -> Factors {
    let mut state = options.seed;
    let mut uniform = || {
        // SplitMix64 (Steele, Lea and Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let deviation = 0.1 / (options.rank as f64).sqrt();
    let mut items = Factors::zeros(options.rank, rows);
    for number in items.as_mut_slice() {
        let sum: f64 = (0..12).map(|_| uniform()).sum();
        *number = ((sum - 6.0) * deviation) as f32;
    }
    items
}
