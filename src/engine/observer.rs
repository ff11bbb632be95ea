//! Told what is committed as it happens: for whoever serves answers, counts, or tells others.
//!
//! The engine tells and never asks: an observer must be quick, and cannot hold it up with an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nearline_dataflows::graph::Delta;
use nearline_dataflows::members::Role;
use nearline_dataflows::types::Epoch;

use super::committed::Counts;
use super::ingest::AllNames;

/// What one commit changed.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The epoch.
    pub epoch: Epoch,
    /// Counts up to it.
    pub counts: Counts,
    /// How many records it has.
    pub records: u64,
    /// How many lines were rejected with it.
    pub rejected: u64,
    /// The members whose live lists were made anew.
    pub members: Vec<Arc<str>>,
    /// How many lists were made for them.
    pub lists: u64,
    /// The items whose catalogue record changed.
    pub items: Vec<Arc<str>>,
    /// Whether another model is live from here on.
    pub turned: bool,
    /// When its first record was taken in.
    pub opened: Option<Instant>,
    /// When the graph had worked it out.
    pub worked_out: Option<Instant>,
    /// How long the store took.
    pub stored_in: Duration,
}

/// Who is told.
pub trait Observer: Send + Sync {
    /// An epoch is about to be committed.
    fn before(&self, commit: &Commit) {
        let _ = commit;
    }

    /// An epoch is on disk, and readers see it.
    fn after(&self, commit: &Commit);

    /// An operator of the graph has worked for so long, in one worker.
    fn worked(&self, operator: &str, time: Duration) {
        let _ = (operator, time);
    }
}

impl Commit {
    /// What an epoch's deltas change.
    pub(super) fn of(epoch: Epoch, deltas: &[Delta], names: &AllNames) -> Self {
        let mut commit = Commit { epoch, worked_out: Some(Instant::now()), ..Commit::default() };
        for delta in deltas {
            match delta {
                Delta::Lists(Role::Live, lists) => {
                    commit.lists += lists.len() as u64;
                    let members = lists.iter().map(|list| names.members[list.member.index()].clone());
                    commit.members.extend(members);
                }
                Delta::Items(versions) => {
                    commit
                        .items
                        .extend(versions.iter().map(|version| names.items[version.item.index()].clone()));
                }
                _ => {}
            }
        }
        commit
    }
}
