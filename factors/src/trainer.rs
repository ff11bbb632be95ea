//! Training step by step: what lies between two iterations is a value, to be looked at, saved and gone on from.
//!
//! It does not say when to stop, and writes nothing: that is for whoever steps it.

use std::ops::ControlFlow;

use crate::factors::Factors;
use crate::half_step::{half_step, teller};
use crate::level::Level;
use crate::loss::Loss;
use crate::matrix::Matrix;
use crate::progress::{Iteration, Progress, Step, TrainError};
use crate::side::Side;
use crate::start::start;
use crate::train::{Solve, TrainOptions, Trained};

/// The greatest rank at which nothing is quicker than exact solves.
const EXACT: usize = 32;

/// All that training hands from one iteration to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// How many iterations are done.
    pub iteration: usize,
    /// Member factors, a row for each row of the matrix.
    pub members: Factors,
    /// Item factors, a row for each column of the matrix.
    pub items: Factors,
}

/// Training between two iterations.
///
/// Item factors start as small normal numbers; each [`step`](Self::step) solves all members, then all items;
/// [`finish`](Self::finish) solves members once more against the final items. Whether stepped through or
/// [resumed](Self::resume) from any iteration, and on however many threads, the bits are the same.
///
/// ```
/// use std::ops::ControlFlow;
/// use nearline_factors::{Matrix, Regularisation, Solve, State, TrainOptions, Trainer};
///
/// let matrix = Matrix::from_rows(2, vec![0, 2, 3], vec![(0, 1.0), (1, 2.0), (1, 1.0)])?;
/// let regularisation = Regularisation::new(0.1, 0.01, 1.0)?;
/// let options = TrainOptions { rank: 2, iterations: 3, regularisation, seed: 1, threads: 1, solve: Solve::default() };
/// let mut on = |_: &_| ControlFlow::Continue(());
///
/// let mut trainer = Trainer::new(&matrix, &options)?;
/// trainer.step(&mut on)?;
/// let (members, items) = (trainer.members().clone(), trainer.items().clone());
/// let mut resumed = Trainer::resume(&matrix, &options, State { iteration: 1, members, items })?;
/// assert_eq!(trainer.step(&mut on)?, resumed.step(&mut on)?);
/// assert_eq!(trainer.finish(&mut on)?.items, resumed.finish(&mut on)?.items);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trainer<'a> {
    matrix: &'a Matrix,
    by_item: Matrix,
    /// How many pairs each item has.
    columns: Vec<usize>,
    options: TrainOptions,
    level: Level,
    iteration: usize,
    members: Factors,
    items: Factors,
    /// Always that of `items`.
    item_side: Side,
    losses: Vec<f64>,
    /// Whether a step was broken off, so that the factors are those of no iteration.
    broken: bool,
}

impl<'a> Trainer<'a> {
    /// Training before its first iteration.
    ///
    /// # Errors
    ///
    /// Where an option is out of its range or there is nothing to learn from.
    pub fn new(matrix: &'a Matrix, options: &TrainOptions) -> Result<Self, TrainError> {
        Self::with_level(matrix, options, Level::best())
    }

    /// Training as it was after `state.iteration` iterations.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and where the state does not fit the matrix, the rank or the number of iterations.
    /// Whether it came from this very matrix and these options is for whoever kept it to know.
    pub fn resume(matrix: &'a Matrix, options: &TrainOptions, state: State) -> Result<Self, TrainError> {
        check(matrix, options)?;
        if state.iteration > options.iterations {
            let (iteration, iterations) = (state.iteration, options.iterations);
            return Err(TrainError::TooFar { iteration, iterations });
        }
        for (side, factors, rows) in
            [("member", &state.members, matrix.members()), ("item", &state.items, matrix.items())]
        {
            let (got, wanted) = ((factors.rows(), factors.rank()), (rows, options.rank));
            if got != wanted {
                return Err(TrainError::Shape { side, got, wanted });
            }
        }
        Ok(Self::from_state(matrix, options, state, Level::best()))
    }

    /// [`new`](Self::new) with a forced instruction set.
    pub(crate) fn with_level(
        matrix: &'a Matrix,
        options: &TrainOptions,
        level: Level,
    ) -> Result<Self, TrainError> {
        check(matrix, options)?;
        let members = Factors::zeros(options.rank, matrix.members());
        let items = start(options.seed, matrix.items(), options.rank);
        Ok(Self::from_state(matrix, options, State { iteration: 0, members, items }, level))
    }

    fn from_state(matrix: &'a Matrix, options: &TrainOptions, state: State, level: Level) -> Self {
        let State { iteration, members, items } = state;
        let by_item = matrix.transpose();
        let columns = (0..by_item.members()).map(|item| by_item.row(item).len()).collect();
        let item_side = Side::new(level, &items, options.regularisation, options.threads);
        let (options, losses, broken) = (options.clone(), Vec::new(), false);
        Trainer {
            matrix,
            by_item,
            columns,
            options,
            level,
            iteration,
            members,
            items,
            item_side,
            losses,
            broken,
        }
    }

    /// One iteration: all members, all items, the loss.
    ///
    /// # Errors
    ///
    /// [`TrainError::Stopped`] where `progress` broke off. If that was within the iteration, its factors are lost
    /// and so is this value: every later step is `Stopped` too.
    pub fn step(
        &mut self,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Iteration, TrainError> {
        if self.broken {
            return Err(TrainError::Stopped);
        }
        self.broken = true;
        let (iteration, threads) = (self.iteration + 1, self.options.threads);
        let how = (threads, self.options.solve == Solve::Quickest && self.options.rank > EXACT);
        let mut tell = teller(progress, iteration, Step::Members);
        half_step(self.matrix, (&self.items, &self.item_side), &mut self.members, how, &mut tell)?;
        drop(tell);
        let member_side = self.side(&self.members);
        let mut tell = teller(progress, iteration, Step::Items);
        half_step(&self.by_item, (&self.members, &member_side), &mut self.items, how, &mut tell)?;
        drop(tell);
        self.item_side = self.side(&self.items);
        let loss = Loss { matrix: self.matrix, columns: &self.columns, threads };
        let loss = loss.of((&self.members, &member_side), (&self.items, &self.item_side));
        self.losses.push(loss);
        self.iteration = iteration;
        self.broken = false;
        let done = Iteration { iteration, loss };
        match progress(&Progress::Iteration(done)) {
            ControlFlow::Continue(()) => Ok(done),
            ControlFlow::Break(()) => Err(TrainError::Stopped),
        }
    }

    /// The last half-step: members against the items as they are, whether or not all iterations are done.
    ///
    /// # Errors
    ///
    /// [`TrainError::Stopped`] where `progress` broke off, now or within a step.
    pub fn finish(
        mut self,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Trained, TrainError> {
        if self.broken {
            return Err(TrainError::Stopped);
        }
        let mut tell = teller(progress, self.iteration, Step::LastMembers);
        let others = (&self.items, &self.item_side);
        half_step(self.matrix, others, &mut self.members, (self.options.threads, false), &mut tell)?;
        drop(tell);
        Ok(Trained { members: self.members, items: self.items, losses: self.losses })
    }

    /// How many iterations are done.
    pub fn iteration(&self) -> usize {
        self.iteration
    }

    /// Member factors of the last iteration, zeros before the first one. They are not solved against
    /// [`items`](Self::items), which came after them.
    pub fn members(&self) -> &Factors {
        &self.members
    }

    /// Item factors of the last iteration.
    pub fn items(&self) -> &Factors {
        &self.items
    }

    fn side(&self, factors: &Factors) -> Side {
        Side::new(self.level, factors, self.options.regularisation, self.options.threads)
    }
}

fn check(matrix: &Matrix, options: &TrainOptions) -> Result<(), TrainError> {
    let counts = [("rank", options.rank), ("iterations", options.iterations), ("threads", options.threads)];
    if let Some((option, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
        return Err(TrainError::Zero(option));
    }
    if matrix.nnz() == 0 {
        return Err(TrainError::NoPairs);
    }
    options.regularisation.checked().map_err(TrainError::Regularisation)?;
    Ok(())
}
