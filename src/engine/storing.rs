//! The thread that stores: it commits what the committer has put together, in order, while the next is put together.
//!
//! Sorting and writing a load takes as long as making it, so the two run side by side. At most one load is stored
//! while another is made.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use nearline_dataflows::types::Epoch;

use super::committed::{Committed, Counts};
use super::observer::{Commit, Observer};
use crate::failpoints::reach;
use crate::stores::{StoreError, Transaction};

/// What is to be stored.
pub enum Job<'s> {
    /// A load of a pending folder.
    Load(Box<dyn Transaction + 's>),
    /// Changes of no epoch, on disk with the next one at the latest.
    Write(Box<dyn Transaction + 's>),
    /// What ends an epoch, all before it being on disk.
    Close {
        /// Which epoch.
        epoch: Epoch,
        /// The rest of what is written for it.
        change: Box<dyn Transaction + 's>,
        /// Whether it must be on disk for the epoch to count.
        synced: bool,
        /// Counts up to the epoch.
        counts: Counts,
        /// What whoever observes is told.
        told: Option<Box<Commit>>,
    },
    /// Somebody waits until all before it is stored.
    Wait(Sender<()>),
}

/// The store failed; [`Committed`] says why.
#[derive(Debug)]
pub struct Stopped;

/// The way to the thread that stores.
pub struct Storing<'s>(Sender<Job<'s>>);

impl<'s> Storing<'s> {
    /// A way, and its end for [`run`].
    pub fn new() -> (Self, Receiver<Job<'s>>) {
        // Nothing waits on the way: whoever sends waits until it is taken.
        let (jobs, todo) = bounded(0);
        (Storing(jobs), todo)
    }

    /// Sends a job.
    pub fn send(&self, job: Job<'s>) -> Result<(), Stopped> {
        self.0.send(job).map_err(|_| Stopped)
    }

    /// Waits until all that was sent is stored.
    pub fn wait(&self) -> Result<(), Stopped> {
        let (reply, answer) = bounded(1);
        self.send(Job::Wait(reply))?;
        answer.recv().map_err(|_| Stopped)
    }
}

/// Stores job by job until there are no more or the store fails.
pub fn run(todo: &Receiver<Job<'_>>, committed: &Committed, observer: Option<&Arc<dyn Observer>>) {
    for job in todo {
        let done = match job {
            Job::Write(change) => change.commit(false),
            Job::Load(load) => load.commit(true).map(|()| reach("loaded")),
            Job::Close { epoch, change, synced, counts, told } => {
                if let (Some(observer), Some(commit)) = (observer, &told) {
                    observer.before(commit);
                }
                reach("commit");
                let began = Instant::now();
                change.commit(synced).map(|()| {
                    reach("committed");
                    let stored_in = began.elapsed();
                    let tell = observer.cloned().zip(told).map(|(observer, mut commit)| {
                        commit.stored_in = stored_in;
                        Box::new(move || observer.after(&commit)) as Box<dyn FnOnce() + Send>
                    });
                    committed.stored(epoch, counts, tell);
                })
            }
            Job::Wait(reply) => {
                // Whoever waited has gone away.
                let _ = reply.send(());
                Ok(())
            }
        };
        if let Err(failure) = done {
            fail(committed, failure);
            return;
        }
    }
}

/// Says that the store has failed.
pub fn fail(committed: &Committed, failure: StoreError) {
    tracing::error!(%failure, "nothing is committed any more");
    committed.fail(failure);
}
