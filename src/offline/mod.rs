//! Offline work: from logs or stored records to a model, and to numbers that say how good its lists are.
//!
//! ```text
//! batches ─→ live ─→ dataset ─→ train ─→ model (a folder)
//!              └──→ evaluate: dataset of a part, train, lists of the rest, metrics
//! ```
//!
//! Models also come from elsewhere and go there (`import.rs`, `export.rs`). Nothing here touches a running pipeline:
//! it reads records and writes a model folder.

pub mod centres;
pub mod checkpoint;
pub mod dataset;
pub mod evaluate;
pub mod export;
mod folder;
mod foreign;
pub(crate) mod fuzzing;
mod ids_file;
pub mod import;
mod items_file;
mod items_writer;
pub mod live;
pub mod manifest;
pub mod model;
pub mod norms;
mod npy;
mod npy_header;
mod origin;
mod spark;
pub mod stopping;
#[cfg(test)]
mod test_log;
mod tombstones;
pub mod train;
pub mod trained_on;
pub mod training;
pub mod tune;
pub mod validation;

pub use evaluate::{EvaluateOptions, Protocol, Report, evaluate};
pub use items_file::Rows;
pub use live::LiveSet;
pub use manifest::Manifest;
pub use model::{Model, ModelError};
pub use train::{Progress, TrainError, train};
