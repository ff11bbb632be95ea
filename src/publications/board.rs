//! What a running pipeline knows of the publications that it follows: shown in `status`, metrics and over HTTP, kept in
//! `subscriptions.json` of the data folder so that a restart goes on from it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::failed::Failed;
use super::manifest::{Kind, Latest, Publication};
use super::now_ms;

/// A publication that is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Followed {
    /// Its name.
    pub publication: String,
    /// What it is used as: model, lists, catalogue, or watch.
    #[serde(rename = "use")]
    pub used: String,
    /// Its repository.
    pub repository: String,
    /// Since when it is followed, in milliseconds since 1970.
    pub since: i64,
    /// The newest version.
    pub newest: Option<Newest>,
    /// The version that is in use here.
    pub in_use: Option<Used>,
    /// Why the last attempt to look for it or to take it over failed, where none succeeded since.
    pub failure: Option<Failed>,
    /// How many such attempts failed.
    pub failures: u64,
    /// Why the last attempt to publish it failed, where none succeeded since.
    pub publish_failure: Option<Failed>,
}

/// The newest version of a publication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Newest {
    /// The version.
    pub version: String,
    /// What it holds.
    pub kind: Kind,
    /// When it was made, in milliseconds since 1970.
    pub made_at: i64,
    /// When it became the newest.
    pub published_at: i64,
    /// The model that it is, or was made with.
    pub model: Option<String>,
    /// How many bytes it has.
    pub size: u64,
}

/// The version in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Used {
    /// The version.
    pub version: String,
    /// When it became the newest.
    pub published_at: i64,
    /// Since when it is in use here.
    pub since: i64,
}

/// What came to be known of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// There is a newer version.
    Published,
    /// It is in use here.
    InUse,
    /// It cannot be had, or not be used.
    Failed,
}

/// Told what happens.
pub type Listener = Box<dyn Fn(Happened, &Followed) + Send + Sync>;

/// All that is followed.
#[derive(Default)]
pub struct Board {
    followed: Mutex<BTreeMap<String, Followed>>,
    /// Where it is kept.
    file: Option<PathBuf>,
    listeners: Mutex<Vec<Listener>>,
}

impl Newest {
    /// Of a publication that became the newest.
    pub fn of(publication: &Publication, published_at: i64) -> Self {
        Newest {
            version: publication.version.clone(),
            kind: publication.kind,
            made_at: publication.made_at,
            published_at,
            model: publication.model.clone(),
            size: publication.size(),
        }
    }

    /// As the pointer says it.
    pub(super) fn pointer(&self) -> Latest {
        let Newest { version, published_at, .. } = self;
        Latest { format: super::manifest::FORMAT, version: version.clone(), published_at: *published_at }
    }
}

impl Board {
    /// With what a file says from before.
    pub fn kept_in(file: PathBuf) -> Self {
        let followed = kept(&file).into_iter().map(|one| (one.publication.clone(), one)).collect();
        Board { followed: Mutex::new(followed), file: Some(file), listeners: Mutex::default() }
    }

    /// Goes on with these and no others: publication, what it is used as, and repository.
    pub fn follow(&self, wanted: &[(String, String, String)]) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *followed);
        for (publication, used, repository) in wanted {
            let known = before.remove(publication);
            let same = known.filter(|known| known.used == *used && known.repository == *repository);
            let one = same.unwrap_or_else(|| Followed {
                publication: publication.clone(),
                used: used.clone(),
                repository: repository.clone(),
                since: now_ms(),
                newest: None,
                in_use: None,
                failure: None,
                failures: 0,
                publish_failure: None,
            });
            followed.insert(publication.clone(), one);
        }
        self.keep(&followed);
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, publication: &str) -> Option<Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).get(publication).cloned()
    }

    /// Has somebody told what happens from here on.
    pub fn tell(&self, listener: Listener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Something changed; where something happened, listeners are told.
    pub(super) fn change(
        &self,
        publication: &str,
        happened: Option<Happened>,
        change: impl FnOnce(&mut Followed),
    ) {
        let changed = {
            let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(one) = followed.get_mut(publication) else { return };
            change(one);
            one.clone()
        };
        if let Some(happened) = happened {
            let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().for_each(|listener| listener(happened, &changed));
        }
        // After whoever waits for it was told: it takes a disk.
        self.keep(&self.followed.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn keep(&self, followed: &BTreeMap<String, Followed>) {
        // Whoever follows nothing, and never did, has no such file.
        let Some(file) = self.file.as_ref().filter(|file| !followed.is_empty() || file.exists()) else {
            return;
        };
        let all: Vec<&Followed> = followed.values().collect();
        if let Err(error) = crate::folder::replace(file, &super::json(&all)) {
            tracing::warn!(%error, file = %file.display(), "what is known of publications cannot be kept");
        }
    }
}

/// What a file says; nothing where there is none, or none that can be read: it is found out again.
pub fn kept(file: &std::path::Path) -> Vec<Followed> {
    let bytes = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}
