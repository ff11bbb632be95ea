//! `nearline reshard`: the folders of a pipeline for another number of processes.

use super::args::ReshardArgs;
use super::{Context, Failure, show};
use crate::processes::reshard::{self, ReshardError, Resharded};

impl From<ReshardError> for Failure {
    fn from(error: ReshardError) -> Self {
        match error {
            ReshardError::Parts(error) => error.into(),
            ReshardError::Refused(why) => Failure::Use(why),
            ReshardError::File { .. } => Failure::Failed(error.to_string()),
        }
    }
}

/// `nearline reshard`.
pub fn reshard(context: &Context, args: &ReshardArgs) -> Result<(), Failure> {
    let made = reshard::reshard(&args.from, &args.to, context.config.store.plain)?;
    if context.json { show::json(&made) } else { show::text(&said(&made)) }
}

fn said(made: &Resharded) -> String {
    let row = |(process, folder): (usize, &reshard::Made)| {
        let numbers = [folder.members, folder.live_events, folder.retractions].map(show::count);
        [vec![process.to_string(), folder.folder.clone()], numbers.to_vec()].concat()
    };
    let header = ["process", "folder", "members", "live events", "retractions"];
    let table = show::table(&header, &[0, 2, 3, 4], made.folders.iter().enumerate().map(row));
    let items = show::counted(made.items, "item");
    format!(
        "{table}epoch {}, {items} in each; the next start makes all views anew. The folders before are as they were: remove \
         them once the new ones run, since a later forget does not reach them",
        made.epoch
    )
}
