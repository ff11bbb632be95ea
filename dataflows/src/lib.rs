//! The dataflow graph of Nearline: one file per view, its vocabulary, and its oracle.
//!
//! The graph is pure: it reads no clock, file, socket or random number. Records go in by epoch, changes of the
//! views come out by epoch, and the same records give the same views in any order and any cut.

pub mod catalogue;
pub mod clusters;
mod counts;
pub mod graph;
pub mod histories;
pub mod history;
pub mod kinds;
pub mod line_up;
pub mod lists;
pub mod members;
pub mod model;
mod narrow;
pub mod now;
pub mod oracle;
mod packed;
pub mod performance;
mod placed;
pub mod popularity;
pub mod profile;
pub mod progress;
mod runs;
pub mod signals;
pub mod spread;
pub mod together;
pub mod transform;
pub mod trending;
pub mod types;
