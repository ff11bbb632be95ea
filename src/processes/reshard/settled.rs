//! What is to be done before folders are made of others.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::{ReshardError, SAID};
use crate::engine::erasing;
use crate::processes::parts::{Opened, Parts};
use crate::stores::formats::meta;
use crate::stores::rocks::lock;
use crate::stores::{StoreError, Table};
use crate::{archive, mirrors};

/// Keeps writers away from a folder that is read.
pub(super) fn hold(path: &Path) -> Result<Option<File>, ReshardError> {
    if !path.join("store").exists() {
        return Err(StoreError::Empty(path.to_owned()).into());
    }
    Ok(lock::lock(path)?)
}

/// Refuses a folder of which something is still to be taken elsewhere.
pub(super) fn is_settled(part: &Opened) -> Result<(), ReshardError> {
    let data = part.folder.path().display();
    let refused = |what: String, say: &str| {
        let first = match part.standing.part {
            None => format!("say `nearline --data {data} {say}` with the pipeline's config"),
            Some(_) => "start the pipeline, which makes it good".to_owned(),
        };
        Err(ReshardError::Refused(format!("{data}: {what}: {first}, and then this again")))
    };
    let store = &*part.store;
    let erasing = erasing::marks(store)?.len();
    if erasing > 0 {
        let what = format!("{erasing} members were forgotten whose bytes are still on the disk");
        return refused(what, "forget --pending");
    }
    if let Some(building) = part.standing.standby.as_ref().filter(|standby| !standby.ready) {
        let why = format!(
            "{data}: {} is being built, which would be given up: let it take over first, with `nearline run`, or go back \
             with `nearline model rollback`",
            building.made_with()
        );
        return Err(ReshardError::Refused(why));
    }
    if archive::ArchiveState::of(store)?.is_some() {
        let queue = archive::Queue::of(store)?;
        if queue.anew || queue.records > 0 {
            let what = if queue.anew {
                "the archive is to be made anew".to_owned()
            } else {
                format!("{} records wait to be archived", queue.records)
            };
            return refused(what, "archive ship");
        }
    }
    for mirror in mirrors::status(store)? {
        if mirror.waiting > 0 || mirror.state.filling.is_some() {
            return refused(format!("the mirror {} is not where the store is", mirror.name), "mirrors ship");
        }
    }
    Ok(())
}

/// Refuses stores that do not say alike what all have.
pub(super) fn are_alike(parts: &Parts) -> Result<(), ReshardError> {
    for key in SAID.into_iter().chain([meta::KEY]) {
        let mut said = BTreeSet::new();
        for part in &parts.parts {
            said.insert(part.store.get(Table::Meta, key)?);
        }
        if said.len() > 1 {
            let key = String::from_utf8_lossy(key);
            return Err(ReshardError::Refused(format!(
                "the stores differ in `{key}`, which all have alike: start the pipeline, which makes them equal, and say \
                 this again"
            )));
        }
    }
    Ok(())
}
