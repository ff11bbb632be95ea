//! What the processes of a pipeline tell each other before they begin, and what follows from it.
//!
//! Each comes to the same result by itself: it depends on what was said alone, and not on who said it to whom.

use serde::{Deserialize, Serialize};

use crate::digests::{DigestKey, hex};
use crate::processes::Share;
use crate::variants::MadeWith;

/// The version of what is said on connections. Processes of another one are refused.
pub const PROTOCOL: u32 = 1;

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Its release.
    pub release: String,
    /// Which process it is.
    #[serde(flatten)]
    pub share: Share,
    /// How many workers it has.
    pub workers: usize,
    /// Whether it loads in bulk.
    pub bulk: bool,
    /// The pipeline that its store is a part of; of a store that is new, what the first process proposes.
    pub pipeline: Option<String>,
    /// The fingerprint of its key.
    pub key: String,
    /// The first process's key, for those whose stores are new, as hexadecimal.
    pub key_for_new: Option<String>,
    /// The epoch that its store has committed last; 0 where it is new.
    pub epoch: u64,
    /// The newest epoch that it knows all stores to have had.
    pub synced: u64,
    /// Whether its store says already which pipeline it is a part of.
    pub part: bool,
    /// Whether it has not told the others what it has, after stores that ended with different epochs.
    pub untold: bool,
    /// Whether its views must be made anew.
    pub anew: bool,
    /// The hash of its config's meaning, as hexadecimal.
    pub meaning: String,
    /// What its lists are to be made with.
    pub lists: MadeWith,
    /// The centres of clusters in use there.
    pub centres: Option<String>,
    /// Where it answers over HTTP.
    pub http: Option<String>,
}

/// What follows.
#[derive(Clone)]
pub struct Agreed {
    /// The pipeline.
    pub pipeline: String,
    /// The epoch that all begin after.
    pub epoch: u64,
    /// Whether all make their views anew.
    pub anew: bool,
    /// Whether the stores ended with different epochs.
    pub differ: bool,
    /// The key that a store that is new is to have; none where it has its own.
    pub key: Option<DigestKey>,
}

/// Why the processes cannot be one pipeline.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Discord {
    /// Something is to be the same in all.
    #[error("process {process} has {what} {theirs}, and process {own_process} has {ours}; {advice}")]
    Differs {
        /// The other process.
        process: usize,
        /// This one.
        own_process: usize,
        /// What it is.
        what: &'static str,
        /// As it is there.
        theirs: String,
        /// As it is here.
        ours: String,
        /// What to do.
        advice: &'static str,
    },
    /// A folder is new beside others that are not.
    #[error(
        "the folder of process {process} is new, and those of others are parts of a pipeline that has begun: give it its own, \
         or restore it; or replay the logs into new folders"
    )]
    New {
        /// The process.
        process: usize,
    },
    /// A store has not what all stores had.
    #[error(
        "the store of process {process} ends with epoch {epoch}, and epoch {synced} was on disk in every process: what was \
         acknowledged is lost there; restore its folder, or all folders from backups of the same time, or replay the logs \
         into new folders"
    )]
    Behind {
        /// The process.
        process: usize,
        /// Where its store ends.
        epoch: u64,
        /// What all had.
        synced: u64,
    },
}

/// What follows from what all processes said, by number; `own` is this one.
pub fn agree(said: &[Hello], own: usize) -> Result<Agreed, Discord> {
    let ours = &said[own];
    for theirs in said {
        same(theirs, ours)?;
    }
    let synced = said.iter().map(|hello| hello.synced).max().unwrap_or(0);
    if let Some(behind) = said.iter().find(|hello| hello.epoch < synced) {
        return Err(Discord::Behind { process: behind.share.process, epoch: behind.epoch, synced });
    }
    let first = &said[0];
    let epoch = said.iter().map(|hello| hello.epoch).max().unwrap_or(0);
    if epoch > 0
        && let Some(new) = said.iter().find(|hello| !hello.part)
    {
        return Err(Discord::New { process: new.share.process });
    }
    let differ = said.iter().any(|hello| hello.epoch != epoch || hello.untold);
    let is_new = ours.epoch == 0;
    let given = first.key_for_new.as_deref().and_then(hex::<32>).map(DigestKey::new);
    Ok(Agreed {
        pipeline: said
            .iter()
            .find(|hello| hello.epoch > 0)
            .unwrap_or(first)
            .pipeline
            .clone()
            .unwrap_or_default(),
        epoch,
        anew: differ || said.iter().any(|hello| hello.anew),
        differ,
        key: given.filter(|key| is_new && key.fingerprint() != ours.key),
    })
}

/// Whether two processes say the same where they must.
fn same(theirs: &Hello, ours: &Hello) -> Result<(), Discord> {
    let differs = |what, [theirs_is, ours_is]: [String; 2], advice| {
        if theirs_is == ours_is {
            return Ok(());
        }
        let (process, own_process) = (theirs.share.process, ours.share.process);
        Err(Discord::Differs { process, own_process, what, theirs: theirs_is, ours: ours_is, advice })
    };
    let release = "start all processes with the same nearline";
    differs("protocol", [theirs, ours].map(|hello| hello.protocol.to_string()), release)?;
    differs("release", [theirs, ours].map(|hello| hello.release.clone()), release)?;
    let command = "give all processes the same command, but for --process and --data";
    differs("--processes", [theirs, ours].map(|hello| hello.share.processes.to_string()), command)?;
    differs("--workers", [theirs, ours].map(|hello| hello.workers.to_string()), command)?;
    let kind = |hello: &Hello| if hello.bulk { "`replay`" } else { "`run`" }.to_owned();
    differs("the command", [theirs, ours].map(kind), command)?;
    let config = "give all processes the same config";
    differs("a config of meaning", [theirs, ours].map(|hello| hello.meaning.clone()), config)?;
    let lists = |hello: &Hello| match (&hello.lists.model, &hello.lists.variants) {
        (None, None) => "none".to_owned(),
        (Some(model), None) => model.clone(),
        (_, Some(variants)) => serde_json::to_string(variants).unwrap_or_default(),
    };
    differs("lists by the model", [theirs, ours].map(lists), "give all processes the same --model")?;
    let centres = |hello: &Hello| hello.centres.clone().unwrap_or_else(|| "none".to_owned());
    differs("centres", [theirs, ours].map(centres), "the folders are not of one pipeline")?;
    if theirs.part && ours.part && (theirs.epoch > 0 || ours.epoch > 0) {
        let pipeline = |hello: &Hello| hello.pipeline.clone().unwrap_or_default();
        let folders = "give each process its own folder of one pipeline";
        differs("a folder of pipeline", [theirs, ours].map(pipeline), folders)?;
        differs("a key with the fingerprint", [theirs, ours].map(|hello| hello.key.clone()), folders)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(process: usize, epoch: u64) -> Hello {
        Hello {
            protocol: PROTOCOL,
            release: "1".into(),
            share: Share { process, processes: 2 },
            workers: 1,
            bulk: false,
            pipeline: (epoch > 0 || process == 0).then(|| "one".into()),
            key: DigestKey::new([if epoch > 0 { 0 } else { process as u8 }; 32]).fingerprint(),
            key_for_new: (process == 0).then(|| "00".repeat(32)),
            epoch,
            synced: epoch.saturating_sub(1),
            part: epoch > 0,
            untold: false,
            anew: false,
            meaning: "m".into(),
            lists: MadeWith::default(),
            centres: None,
            http: None,
        }
    }

    #[test]
    fn new_stores_take_the_first_ones_key_and_pipeline() {
        let said = [hello(0, 0), hello(1, 0)];
        let second = agree(&said, 1).unwrap();
        assert_eq!((second.pipeline.as_str(), second.epoch, second.anew), ("one", 0, false));
        assert_eq!(second.key.map(|key| *key.bytes()), Some([0; 32]));
        assert_eq!(agree(&said, 0).unwrap().key.map(|key| *key.bytes()), None);
    }

    #[test]
    fn stores_that_end_with_different_epochs_are_made_anew_beyond_the_newest() {
        let said = [hello(0, 7), hello(1, 8)];
        for own in [0, 1] {
            let agreed = agree(&said, own).unwrap();
            assert_eq!((agreed.epoch, agreed.anew, agreed.differ), (8, true, true));
        }
        let agreed = agree(&[hello(0, 8), hello(1, 8)], 0).unwrap();
        assert_eq!((agreed.epoch, agreed.anew, agreed.differ), (8, false, false));
    }

    #[test]
    fn a_store_without_what_all_had_is_refused() {
        let said = [hello(0, 9), hello(1, 5)];
        assert_eq!(agree(&said, 0).err().unwrap(), Discord::Behind { process: 1, epoch: 5, synced: 8 });
        let said = [hello(0, 0), hello(1, 5)];
        assert_eq!(agree(&said, 1).err().unwrap(), Discord::Behind { process: 0, epoch: 0, synced: 4 });
        // Nothing was known to be everywhere, and a folder is gone all the same.
        let said = [Hello { synced: 0, ..hello(0, 5) }, hello(1, 0)];
        assert_eq!(agree(&said, 0).err().unwrap(), Discord::New { process: 1 });
        // One that had not come to its first epoch is no such.
        let said = [Hello { synced: 0, ..hello(0, 1) }, Hello { part: true, ..hello(1, 0) }];
        assert!(agree(&said, 0).is_err_and(|error| error.to_string().contains("of one pipeline")));
        let said = [
            Hello { synced: 0, ..hello(0, 1) },
            Hello { part: true, key: hello(0, 1).key, pipeline: hello(0, 1).pipeline, ..hello(1, 0) },
        ];
        assert!(agree(&said, 0).is_ok_and(|agreed| agreed.differ));
        let said = [hello(0, 8), Hello { untold: true, ..hello(1, 8) }];
        assert!(agree(&said, 0).is_ok_and(|agreed| agreed.differ && agreed.anew));
    }

    #[test]
    fn what_must_be_the_same_and_is_not_is_named_with_what_to_do() {
        let other = |change: fn(&mut Hello)| {
            let mut said = [hello(0, 3), hello(1, 3)];
            change(&mut said[1]);
            agree(&said, 0).err().unwrap().to_string()
        };
        assert!(other(|hello| hello.workers = 2).contains("process 1 has --workers 2, and process 0 has 1"));
        assert!(other(|hello| hello.meaning = "n".into()).contains("the same config"));
        assert!(other(|hello| hello.lists.model = Some("v".into())).contains("lists by the model v"));
        assert!(other(|hello| hello.pipeline = Some("two".into())).contains("folder of one pipeline"));
        assert!(other(|hello| hello.bulk = true).contains("`replay`"));
    }
}
