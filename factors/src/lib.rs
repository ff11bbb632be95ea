//! The numeric core of Nearline: training a factor model, folding members in, scoring and selecting. Slices in,
//! slices out: no dataflow, no files, no ids, no clock.
//!
//! One rule shapes all of it: **a float depends on its inputs alone**. A factor is a function of the member's
//! pairs, in item order, and the model; a score is a function of one factor and one item. Neither depends on the
//! batch, the number of threads or the processor's vector width. So every sum has one order, written down where
//! it is made: over pairs in order, over k from 0 up, over rows in blocks of fixed size added in order.
//!
//! ```
//! use std::ops::ControlFlow;
//! use nearline_factors::{Bitmap, ItemSide, Matrix, Pair, Regularisation, Scratch, Solve, TrainOptions, train};
//!
//! // Members 0 and 1 like items 0 and 1; member 2 likes item 2 and dislikes item 0.
//! let entries = vec![(0, 1.0), (1, 1.0), (0, 1.0), (1, 2.0), (0, -3.0), (2, 1.0)];
//! let matrix = Matrix::from_rows(3, vec![0, 2, 4, 6], entries)?;
//! let regularisation = Regularisation::new(0.1, 0.01, 1.0)?;
//! let options = TrainOptions { rank: 2, iterations: 8, regularisation, seed: 1, threads: 1, solve: Solve::default() };
//! let trained = train(&matrix, &options, &mut |_| ControlFlow::Continue(()))?;
//!
//! // A new member who plays item 0 is offered item 1 first.
//! let model = ItemSide::new(trained.items, regularisation);
//! let mut factor = vec![0.0; 2];
//! model.fold_in(&[Pair::preferred(0, 1.0)], &mut Scratch::new(), &mut factor);
//! let mut lists = Vec::new();
//! model.select(&factor, &[&[0]], &Bitmap::full(3), 10, &mut lists);
//! assert_eq!(lists[0][0].item, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

mod ahead;
mod basis;
mod bitmap;
mod centres;
mod cholesky;
mod cluster;
mod descent;
mod dual;
mod exact;
mod factors;
mod gram;
mod half_step;
mod item_side;
mod keeper;
mod lanes;
mod level;
mod loss;
mod matrix;
mod pair;
mod parallel;
mod primal;
mod progress;
mod prune;
mod regularisation;
mod scan;
mod shelf;
mod side;
mod sketch;
mod spectrum;
mod start;
mod strips;
mod train;
mod trainer;
mod triangle;
mod vector;

/// Which arithmetic the factors and scores are of: it changes whenever a release gives other bits for the same
/// inputs, so that who stores them knows to make them anew.
pub const ARITHMETIC: u32 = 2;

pub use ahead::fetch_soon;
pub use bitmap::Bitmap;
pub use centres::Centres;
#[doc(hidden)]
pub use cluster::cluster_with_level;
pub use cluster::{ClusterError, ClusterOptions, Clustered, cluster};
pub use factors::{Factors, FactorsError};
pub use item_side::ItemSide;
pub use keeper::Scored;
#[doc(hidden)]
pub use level::Level;
pub use loss::loss;
pub use matrix::{Matrix, MatrixError};
pub use pair::Pair;
pub use progress::{Iteration, Progress, Step, TrainError};
pub use regularisation::{Regularisation, RegularisationError};
#[doc(hidden)]
pub use shelf::Way;
pub use side::Scratch;
#[doc(hidden)]
pub use train::train_with_level;
pub use train::{Solve, TrainOptions, Trained, train};
pub use trainer::{State, Trainer};
