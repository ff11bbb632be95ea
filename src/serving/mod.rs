//! Answers from the store: lists, rankings, histories and reasons, each of one committed epoch.
//!
//! Reads what the engine committed and never writes. An answer says how fresh it is: the epoch, the newest event
//! it covers, the model, and where it fell back, why.

pub mod list;
pub mod member;
pub mod performance;
pub mod popular;
pub mod similar;
pub mod status;
pub mod why;

use crate::config::{Config, KindTable};
use crate::engine::recover::{OtherConfig, Standing};
use crate::folder::Folder;
use crate::offline::model::Manifest;
use crate::stores::rocks::RocksStore;
use crate::stores::{Store, StoreError, Table, formats};

/// A view of a data folder at its last committed epoch.
pub struct Serving {
    /// The store.
    pub store: RocksStore,
    /// The folder.
    pub folder: Folder,
    /// What it says it holds.
    pub standing: Standing,
    /// The config.
    pub config: Config,
    /// The kinds, as the folder's model weighs them.
    pub kinds: KindTable,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer would be about other lists than the stored ones.
    #[error(transparent)]
    OtherConfig(#[from] OtherConfig),
    /// The folder's model failed.
    #[error(transparent)]
    Model(#[from] crate::offline::model::ModelError),
}

impl Serving {
    /// Opens a folder for reading, beside a process that may be writing.
    pub fn open(folder: &Folder, config: Config) -> Result<Self, ServingError> {
        let store = RocksStore::open_reader(folder.path())?;
        let standing = Standing::of(&store)?;
        if standing.epoch == 0 {
            return Err(StoreError::Empty(folder.path().to_owned()).into());
        }
        let mut kinds = config.kinds.clone();
        if let Some(version) = &standing.model {
            let manifest = Manifest::load(&folder.model(version))?;
            kinds.kinds = kinds.kinds.weighted_by(&manifest.weights(&kinds));
        }
        Ok(Serving { store, folder: folder.clone(), standing, config, kinds })
    }

    /// An item's title, where the catalogue has one.
    pub fn title(&self, item: &str) -> Result<Option<String>, StoreError> {
        Ok(self.item(item)?.title)
    }

    /// An item's title and whether it is withdrawn, where the catalogue has it.
    fn item(&self, item: &str) -> Result<CatalogueEntry, StoreError> {
        let Some(value) = self.store.get(Table::Items, item.as_bytes())? else {
            return Ok(CatalogueEntry::default());
        };
        let (_, withdrawn, body) = formats::decode_item(item.as_bytes(), &value)?;
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let title = body.get("title").and_then(|title| title.as_str()).map(str::to_owned);
        Ok(CatalogueEntry { title, withdrawn })
    }
}

/// What an answer says of an item.
#[derive(Debug, Default)]
struct CatalogueEntry {
    title: Option<String>,
    withdrawn: bool,
}
