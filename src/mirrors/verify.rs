//! Whether a mirror has what the store has: every entry of one is looked for in the other.

use std::collections::HashMap;

use serde::Serialize;

use super::entries::{self, Body, Entry, Key, to_text};
use super::targets::{Target, open};
use super::{MirrorError, state};
use crate::config;
use crate::engine::recover::{self, Standing};
use crate::stores::mirrored::View;
use crate::stores::{StoreError, Tables};

/// So many of those that differ are said.
const EXAMPLES: usize = 8;

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// The epoch of the store.
    pub epoch: u64,
    /// The epoch up to which the server has acknowledged everything.
    pub acked: u64,
    /// How many entries are the same on both sides.
    pub same: u64,
    /// How many the mirror lacks.
    pub missing: u64,
    /// How many it has and the store has not.
    pub beyond: u64,
    /// How many it has that say something else.
    pub other: u64,
    /// Names of some of these.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Whether the two are equal.
    pub fn equal(&self) -> bool {
        self.missing + self.beyond + self.other == 0
    }
}

/// A comparison of a store with a mirror of it, which may both go on meanwhile.
pub struct Comparison {
    mirror: config::Mirror,
    target: Box<dyn Target>,
    same: u64,
    /// What differed when it was looked at.
    differs: Vec<Key>,
}

/// Compares a mirror with a store, entry by entry. What differs may have changed between the two looks:
/// [`Comparison::again`] looks at that once more.
pub fn verify(config: &config::Mirror, store: &dyn Tables) -> Result<Comparison, MirrorError> {
    let mut target = open(config)?;
    let mut there: HashMap<Key, blake3::Hash> = HashMap::new();
    target.each(&mut |key, body| {
        if key != Key::About {
            there.insert(key.clone(), hash(&key, &body));
        }
        Ok(())
    })?;
    let standing = Standing::of(store)?;
    let (mut same, mut differs) = (0, Vec::new());
    for view in &config.views {
        let mut compare = |key: &[u8], value: &[u8]| -> Result<(), StoreError> {
            if View::of(view.table(), key) != Some(*view) {
                return Ok(());
            }
            let Entry { key, body: Some(body) } = entries::entry(&standing, *view, key, Some(value))? else {
                return Ok(());
            };
            if there.remove(&key) == Some(hash(&key, &body)) {
                same += 1;
            } else {
                differs.push(key);
            }
            Ok(())
        };
        recover::each(store, view.table(), &mut compare)?;
    }
    differs.extend(there.into_keys());
    differs.sort();
    Ok(Comparison { mirror: config.clone(), target, same, differs })
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.differs.is_empty()
    }

    /// Looks once more at what differed, in the store as it is by now. Says whether nothing does any more.
    pub fn again(&mut self, store: &dyn Tables) -> Result<bool, MirrorError> {
        let standing = Standing::of(store)?;
        let mut differs = Vec::new();
        for some in self.differs.chunks(self.target.together()) {
            for (key, body) in some.iter().zip(self.target.get(some)?) {
                if entries::wanted(store, &standing, &self.mirror.views, key)? == body {
                    self.same += u64::from(body.is_some());
                } else {
                    differs.push(key.clone());
                }
            }
        }
        self.differs = differs;
        Ok(self.is_equal())
    }

    /// What there is to say of it.
    pub fn verdict(mut self, store: &dyn Tables) -> Result<Verdict, MirrorError> {
        let standing = Standing::of(store)?;
        let known = state::states(store)?.into_iter().find(|(name, _)| *name == self.mirror.name);
        let mut verdict = Verdict {
            epoch: standing.epoch,
            acked: known.map_or(0, |(_, state)| state.acked),
            same: self.same,
            ..Verdict::default()
        };
        for some in self.differs.chunks(self.target.together()) {
            for (key, there) in some.iter().zip(self.target.get(some)?) {
                let here = entries::wanted(store, &standing, &self.mirror.views, key)?;
                let (count, what) = match (&here, &there) {
                    (Some(_), None) => (&mut verdict.missing, "is missing"),
                    (None, Some(_)) => (&mut verdict.beyond, "is not in the store"),
                    (here, there) if here == there => (&mut verdict.same, ""),
                    _ => (&mut verdict.other, "says something else"),
                };
                *count += 1;
                if !what.is_empty() && verdict.examples.len() < EXAMPLES {
                    verdict.examples.push(format!("{} {what}", key.name(&self.mirror.prefix)));
                }
            }
        }
        Ok(verdict)
    }
}

fn hash(key: &Key, body: &Body) -> blake3::Hash {
    blake3::hash(to_text(key, body).as_bytes())
}
