//! The numeric core of Nearline: Gram matrix, solve, train, score, select. Slices in, slices out.
//!
//! No dataflow, no input or output, no types of the rest of the product. One rule governs every kernel: a float
//! depends on its inputs alone, never on batch, tile, thread, neighbours or the width of the instructions.
//!
//! The objective is that of implicit matrix factorisation (Hu, Koren and Volinsky 2008) with the unobserved weight
//! and the frequency-scaled ridge of Rendle et al. (2021, "Revisiting the Performance of iALS", section 3):
//!
//! minimise Σ_S w (x·y − t)² + α₀ Σ_all (x·y)² + Σ_u λ (n_u + α₀ N_items)^ν ‖x_u‖² + the same for items.

mod factors;
// The one place for `unsafe`: calls of functions compiled for instructions that were found on this processor.
#[expect(unsafe_code, reason = "a call of a target-feature function is unsafe; `level.rs` holds the proof")]
mod kernels;
mod level;
mod loss;
mod matrix;
mod select;
mod side;
mod solve;
mod train;

pub use factors::{Factors, FactorsError, Pair, Regularisation};
pub use level::Level;
pub use loss::loss;
pub use matrix::{Matrix, MatrixError};
pub use select::{Bitmap, Scored};
pub use side::ItemSide;
pub use solve::Scratch;
pub use train::{Progress, TrainError, TrainOptions, Trained, train};
