//! The stores of a pipeline's other processes, read from here: moments of theirs beside one of ours.
//!
//! ```text
//! Whole (a Store) ─→ one moment of our store ─┐
//!        │                                    ├─→ Union, all of one epoch ─→ whoever reads
//!        └─→ Remote ─→ connection ─→ Answering (a moment of theirs) ─┘
//! ```
//!
//! A connection shows one moment at a time: it is asked for, read with `get` and pages of `scan`, and released. Its process
//! holds it for no longer than that, so that nothing removed is kept on a disk by readers elsewhere.

mod answering;
mod asking;
mod protocol;
mod whole;

pub use answering::answer;
pub use asking::{Remote, RemoteMoment};
pub use whole::Whole;

/// The first byte of a connection on which a store is read.
pub const TAG: u8 = b'T';

#[cfg(test)]
mod tests;
