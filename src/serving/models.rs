//! The models that answers are made with, read once and kept as long as they are in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nearline_factors::ItemSide;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Serving, ServingError};
use crate::config::KindTable;
use crate::engine::recover::Standing;
use crate::erasure::models::versions;
use crate::folder::Folder;
use crate::offline::Model;
use crate::offline::model::{Manifest, ModelError};
use crate::stores::formats::Standby;
use crate::variants::MadeWith;

/// How many models are kept in memory: the live one, the one beside it, and one that was live a moment ago; and of each
/// variant two.
const KEPT: usize = 3;
const KEPT_OF_VARIANT: usize = 2;

/// A model, ready to fold in and to score.
pub struct ServedModel {
    /// The model.
    pub model: Model,
    /// Its items with all that is derived from them.
    pub side: ItemSide,
}

/// A model of the folder.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelAnswer {
    /// Its version.
    pub version: String,
    /// Whether lists are made with it.
    pub live: bool,
    /// Of which variants, where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// Whether it stands by.
    pub standby: bool,
    /// The length of its factors.
    pub rank: usize,
    /// How many items it has.
    pub items: u64,
    /// How many members it was trained on.
    pub members: u64,
    /// The weight of every pair.
    pub alpha0: f32,
    /// How strongly factors are held small.
    pub lambda: f32,
    /// The power of the number of pairs in that.
    pub nu: f32,
    /// When it was trained, RFC 3339 in UTC.
    pub trained_at: String,
    /// The loss after the last iteration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

/// The model beside the live one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BesideAnswer {
    /// Its version.
    pub model: String,
    /// The variant that every member has with it, where one was promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Whether its lists are whole: it could be live at once. Else they are being built.
    pub ready: bool,
    /// Of how many members they are built.
    pub built: u32,
    /// Of how many there are to be lists.
    pub members: u32,
    /// Since when it has been ready, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// The models of a folder.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelsAnswer {
    /// The version that lists are made with.
    pub live: Option<String>,
    /// The model beside it.
    pub standby: Option<BesideAnswer>,
    /// All that are kept.
    pub models: Vec<ModelAnswer>,
}

impl Serving<'_> {
    /// The models of the folder.
    pub fn models(&self) -> Result<ModelsAnswer, ServingError> {
        // Lists that are being built count for no epoch.
        let standing = Standing::of(self.tables)?;
        let standby = standing.standby.as_ref().map(Standby::made_with);
        let live = standing.lists.models();
        let mut models = Vec::new();
        for version in versions(&self.known.folder).unwrap_or_default() {
            // One that is just being dropped.
            let Ok(manifest) = Manifest::load(&self.known.folder.model(&version)) else { continue };
            models.push(ModelAnswer {
                live: live.contains(version.as_str()),
                variants: used_by(&standing.lists, &version),
                standby: standby.iter().any(|standby| standby.models().contains(version.as_str())),
                version,
                rank: manifest.rank,
                items: manifest.counts.items,
                members: manifest.counts.members,
                alpha0: manifest.alpha0,
                lambda: manifest.lambda,
                nu: manifest.nu,
                trained_at: manifest.trained_at,
                loss: manifest.loss,
            });
        }
        let beside = standing.standby.map(|standby| BesideAnswer {
            variant: standby.variants.and_then(|variants| variants.promoted),
            since: standby.ready.then_some(standby.since),
            model: standby.model,
            ready: standby.ready,
            built: standby.built,
            members: standby.members,
        });
        Ok(ModelsAnswer { live: standing.lists.model, standby: beside, models })
    }
}

/// The variants whose lists are made with a model.
fn used_by(lists: &MadeWith, version: &str) -> Vec<String> {
    let makings = lists.line_up().into_iter().filter(|making| making.model == Some(version));
    makings.filter_map(|making| making.variant.map(str::to_owned)).collect()
}

/// Models by version, the one that was asked for last at the end.
type Kept<T> = Mutex<Vec<(String, Arc<T>)>>;

/// The models of a folder.
pub struct Models {
    folder: Folder,
    models: Kept<ServedModel>,
    kinds: Kept<KindTable>,
    kept: usize,
}

impl Models {
    /// Those of a folder with so many variants, none of which is read yet.
    pub fn new(folder: Folder, variants: usize) -> Self {
        let kept = KEPT + KEPT_OF_VARIANT * variants;
        Models { folder, models: Mutex::default(), kinds: Mutex::default(), kept }
    }

    /// A model, which is read where it was not yet: that may take seconds.
    pub fn get(&self, version: &str) -> Result<Arc<ServedModel>, ModelError> {
        if let Some(model) = self.ready(version) {
            return Ok(model);
        }
        let model = Model::load(&self.folder.model(version))?;
        let served = Arc::new(ServedModel { side: model.side(), model });
        keep(&self.models, self.kept, version, &served);
        Ok(served)
    }

    /// How many are kept in memory at most.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// A model that was read before.
    pub fn ready(&self, version: &str) -> Option<Arc<ServedModel>> {
        find(&self.models, version)
    }

    /// The kinds as a model weighs them; as the config does without a model.
    pub fn kinds(&self, version: Option<&str>, table: &KindTable) -> Result<Arc<KindTable>, ModelError> {
        let name = version.unwrap_or_default();
        if let Some(kinds) = find(&self.kinds, name) {
            return Ok(kinds);
        }
        let kinds = Arc::new(match version {
            Some(version) => weighted(table, &Manifest::load(&self.folder.model(version))?),
            None => table.clone(),
        });
        keep(&self.kinds, self.kept, name, &kinds);
        Ok(kinds)
    }
}

/// The kinds as a model weighs them.
pub(super) fn weighted(table: &KindTable, manifest: &Manifest) -> KindTable {
    let mut kinds = table.clone();
    kinds.kinds = kinds.kinds.weighted_by(&manifest.weights(&kinds));
    kinds
}

fn lock<T>(kept: &Kept<T>) -> MutexGuard<'_, Vec<(String, Arc<T>)>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find<T>(kept: &Kept<T>, version: &str) -> Option<Arc<T>> {
    lock(kept).iter().find(|(own, _)| own == version).map(|(_, value)| value.clone())
}

fn keep<T>(kept: &Kept<T>, most: usize, version: &str, value: &Arc<T>) {
    let mut kept = lock(kept);
    kept.retain(|(own, _)| own != version);
    if kept.len() == most {
        kept.remove(0);
    }
    kept.push((version.to_owned(), value.clone()));
}
