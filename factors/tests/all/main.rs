//! The tests of the numeric core, in one binary. Every result is held against a slow f64 computation that can be
//! checked by eye, or against itself made in another way.

mod data;
mod naive;

mod clusters;
mod explain;
mod fold_in;
mod implicit;
mod input;
mod levels;
mod select;
mod training;
