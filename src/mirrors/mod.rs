//! Mirrors: lists and counts in the servers that people run (memcached, Redis, Cassandra, MySQL, topics of Kafka), kept as the store has them.
//!
//! The commit that changes an entry queues its key (`engine/mirroring.rs`). A mirror reads the queue epoch by epoch, writes what
//! the store has under each key by then, and notes the epoch that the server has acknowledged; what all mirrors have is
//! taken out of the queue. So one that was down, or a process that was killed, goes on where it was, and nothing waits for a
//! server. Where more changed than is queued (a load, another model, a server that was away for too long) a mirror is
//! *filled* anew: everything is written, and what the store has not is taken out.

pub mod entries;
mod filling;
mod keeping;
mod mirror;
mod state;
mod targets;
mod verify;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

pub use keeping::Keeper;
pub use mirror::Mirror;
pub use state::{MirrorState, MirrorStatus, left, states, status};
pub use targets::{Target, open};
pub use verify::{Comparison, Verdict, verify};

use self::mirror::Step;
use crate::config::{Config, SettingError};
use crate::engine::mirroring::Mirroring;
use crate::engine::recover::Standing;
use crate::stores::formats::meta;
use crate::stores::mirrored::View;
use crate::stores::{Store, StoreError, Table};

/// Why something could not be mirrored.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting cannot be had.
    #[error("the mirror {mirror}: {source}")]
    Setting {
        /// The mirror.
        mirror: String,
        /// Which.
        source: SettingError,
    },
    /// The server failed.
    #[error("the mirror {mirror} at {url}: {message}")]
    Server {
        /// The mirror.
        mirror: String,
        /// Its address.
        url: String,
        /// What was said.
        message: String,
    },
    /// The server has not what the mirror has written, or somebody else has written there: it is to be filled anew.
    #[error("the mirror {mirror} at {url} is filled anew: {message}")]
    Forgotten {
        /// The mirror.
        mirror: String,
        /// Its address.
        url: String,
        /// What was noticed.
        message: String,
    },
    /// The folder, the config and the command do not belong together.
    #[error("{0}")]
    Refused(String),
}

impl MirrorError {
    /// Whether what was given is at fault, and not the store or a server.
    pub fn is_bad_use(&self) -> bool {
        matches!(self, MirrorError::Refused(_) | MirrorError::Setting { .. })
    }
}

/// The mirrors of the folder that this process holds.
pub struct Mirrors {
    store: Arc<dyn Store>,
    mirrors: Vec<Mirror>,
    mirroring: Arc<Mirroring>,
    /// Up to which epoch the queue has been emptied.
    emptied: Mutex<u64>,
}

impl Mirrors {
    /// The mirrors that the config names, if it names some. `standing` is that of the store, which was just opened and takes
    /// nothing yet.
    pub fn of(
        config: &Config,
        store: &Arc<dyn Store>,
        standing: &Standing,
    ) -> Result<Option<Arc<Mirrors>>, MirrorError> {
        let known = states(&**store)?;
        for (name, state) in &known {
            let given = config.mirrors.iter().find(|mirror| mirror.name == *name);
            if given.is_none_or(|given| given.url != state.url) {
                let instead = given.map_or_else(
                    || {
                        "and the config names no such mirror: give the config that does with --config"
                            .to_owned()
                    },
                    |given| format!("and the config says {}: give the address that it has", given.url),
                );
                return Err(MirrorError::Refused(format!(
                    "this folder has the mirror {name} at {}, {instead}, or give the mirror up with `nearline mirrors \
                     leave {name}`",
                    state.url
                )));
            }
        }
        if config.mirrors.is_empty() {
            return Ok(None);
        }
        let mut change = store.begin();
        let mut mirrors = Vec::new();
        for given in &config.mirrors {
            let state = known.iter().find(|(name, _)| *name == given.name).map(|(_, state)| state.clone());
            let state = MirrorState::begin(state, given, standing.epoch);
            state.put(&given.name, &mut *change);
            mirrors.push(Mirror::new(given.clone(), store.clone(), state));
        }
        change.commit(true)?;
        let wanted = |view: &View| config.mirrors.iter().any(|mirror| mirror.views.contains(view));
        let views = View::ALL.into_iter().filter(wanted).collect();
        let some = some(&**store)?;
        Ok(Some(Arc::new(Mirrors {
            store: store.clone(),
            mirrors,
            mirroring: Arc::new(Mirroring::of(views, &some)),
            emptied: Mutex::new(0),
        })))
    }

    /// What the engine queues by.
    pub fn mirroring(&self) -> &Arc<Mirroring> {
        &self.mirroring
    }

    /// All of them.
    pub fn all(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// One of them.
    pub fn named(&self, name: &str) -> Result<&Mirror, MirrorError> {
        self.mirrors.iter().find(|mirror| mirror.name() == name).ok_or_else(|| {
            let names: Vec<&str> = self.mirrors.iter().map(Mirror::name).collect();
            MirrorError::Refused(format!("there is no mirror {name}; there are: {}", names.join(", ")))
        })
    }

    /// Does a piece of a mirror's work, and takes out of the queue what all have by then.
    fn step(&self, mirror: &Mirror) -> Result<Step, MirrorError> {
        let done = mirror.step()?;
        self.empty()?;
        Ok(done)
    }

    /// Brings a mirror to where the store is. False where the store's views are being made anew, and there is nothing to
    /// bring it to.
    pub fn bring_up(&self, mirror: &Mirror) -> Result<bool, MirrorError> {
        loop {
            match self.step(mirror)? {
                Step::More => {}
                done => return Ok(done == Step::Whole),
            }
        }
    }

    /// Brings all to where the store is, each as far as its server lets it; the first error is the answer.
    pub fn bring_all_up(&self) -> Result<bool, MirrorError> {
        let done: Vec<_> = self.mirrors.iter().map(|mirror| self.bring_up(mirror)).collect();
        done.into_iter().try_fold(true, |all, done| Ok(all & done?))
    }

    /// Takes out of the queue what all mirrors have.
    fn empty(&self) -> Result<(), StoreError> {
        let all_have = self.mirrors.iter().map(Mirror::acked).min().unwrap_or(0);
        let mut emptied = self.emptied.lock().unwrap_or_else(PoisonError::into_inner);
        if all_have > *emptied {
            state::empty_queue(&*self.store, *emptied, all_have)?;
            *emptied = all_have;
        }
        Ok(())
    }
}

/// The views of which a store has an entry at all.
fn some(store: &dyn Store) -> Result<Vec<View>, StoreError> {
    let mut some = Vec::new();
    for view in View::ALL {
        let mut look = |key: &[u8], _: &[u8]| match View::of(view.table(), key) {
            Some(of) if of == view => {
                some.push(view);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        store.scan(view.table(), view.prefix(), &[], &mut look)?;
    }
    Ok(some)
}

/// Gives a mirror up: from now on nothing is queued for it, and `forget` does not reach it. Says where it was.
pub fn leave(store: &dyn Store, name: &str) -> Result<String, MirrorError> {
    let known = states(store)?;
    let Some((_, state)) = known.iter().find(|(known, _)| known == name) else {
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let said = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(MirrorError::Refused(format!("this folder has no mirror {name}; it has: {said}")));
    };
    let mut left = left(store)?;
    left.retain(|known| *known != state.url);
    left.push(state.url.clone());
    let mut change = store.begin();
    change.put(Table::Meta, meta::MIRRORS_LEFT, &serde_json::to_vec(&left).unwrap_or_default());
    change.delete(Table::Meta, &state::key_of(name));
    change.commit(true)?;
    if known.len() == 1 {
        store.clear(Table::MirrorQueue)?;
    }
    Ok(state.url.clone())
}
