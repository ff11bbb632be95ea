//! When `nearline train` saves a checkpoint, and what it says when it is interrupted.

use std::time::Instant;

use nearline_factors::{State, Trainer};

use super::args::Every;
use crate::offline::checkpoint::{Checkpoint, CheckpointError, Checkpoints};

/// The checkpoints of one training, as it goes.
pub(super) struct Saving {
    checkpoints: Checkpoints,
    every: Every,
    /// When the last one was saved, or training began.
    saved_at: Instant,
    /// An iteration that is done and not saved: an interrupt still saves it.
    unsaved: Option<Checkpoint>,
}

impl Saving {
    pub(super) fn new(checkpoints: Checkpoints, every: Every) -> Self {
        Saving { checkpoints, every, saved_at: Instant::now(), unsaved: None }
    }

    /// An iteration is done.
    pub(super) fn iteration(&mut self, trainer: &Trainer<'_>, losses: &[f64]) -> Result<(), CheckpointError> {
        let iteration = trainer.iteration();
        let due = match self.every {
            Every::Iterations(every) => iteration.is_multiple_of(every),
            Every::Time(span) => self.saved_at.elapsed() >= span,
        };
        let (members, items) = (trainer.members().clone(), trainer.items().clone());
        let checkpoint = Checkpoint { losses: losses.to_vec(), state: State { iteration, members, items } };
        if !due {
            self.unsaved = Some(checkpoint);
            return Ok(());
        }
        self.unsaved = None;
        self.checkpoints.save(&checkpoint)?;
        self.saved_at = Instant::now();
        Ok(())
    }

    /// Saves what is not saved yet, and says where training stopped and how to go on.
    pub(super) fn leave(&mut self) -> Result<String, CheckpointError> {
        if let Some(checkpoint) = self.unsaved.take() {
            self.checkpoints.save(&checkpoint)?;
        }
        let folder = self.checkpoints.folder();
        let shown = folder.display();
        Ok(match Checkpoints::newest_in(folder)? {
            Some(iteration) => format!(
                "training stopped after iteration {iteration}, which is saved in {shown}; the same command with --resume \
                 goes on from there"
            ),
            None => "training stopped before the end of its first iteration, and nothing is saved".into(),
        })
    }
}
