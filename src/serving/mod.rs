//! Answers from the store: lists, rankings, histories and reasons, each of one committed epoch.
//!
//! Reads what the engine committed and never writes. An answer says how fresh it is: the epoch, the newest event
//! it covers, the model, and where it fell back, why.

pub mod algorithms;
pub mod catalogue;
pub mod clusters;
mod encoded;
pub mod filters;
pub mod http;
pub mod intervals;
pub mod list;
pub mod member;
pub mod models;
pub mod offline;
pub mod page;
pub mod performance;
pub mod popular;
pub mod rank;
pub mod rungs;
pub mod similar;
pub mod status;
pub mod together;
pub mod variants;
pub mod why;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::{Config, KindTable};
use crate::engine::committed::Committed;
use crate::engine::recover::{OtherConfig, Standing};
use crate::folder::Folder;
use crate::offline::Model;
use crate::processes::{Part, Share};
use crate::stores::part::PartStore;
use crate::stores::rocks::{BlockCache, RocksStore};
use crate::stores::{Store, StoreError, Table, Tables, formats};
use crate::variants::Making;
use catalogue::{Catalogue, CatalogueEntry};
use clusters::{Liked, LikedByCluster};
use filters::Shelves;
use models::Models;
use popular::Ranking;
use together::Pairs;
use variants::Counted;

/// Reads a data folder: each answer from one moment of the store.
pub struct Reader {
    store: Arc<dyn Store>,
    /// Which process of several the store is of.
    share: Option<Share>,
    /// The stores of all processes, where they can be read from here.
    whole: Option<Arc<dyn Store>>,
    /// What is known besides.
    pub known: Known,
}

/// What answers are made of besides the store, kept from one to the next.
pub struct Known {
    /// The folder.
    pub folder: Folder,
    /// The config.
    pub config: Config,
    /// Models that were read.
    pub models: Models,
    /// The catalogue, where it is kept in memory.
    pub catalogue: Option<Catalogue>,
    /// Up to which epoch all processes have everything, where there are several.
    pub committed: Option<Arc<Committed>>,
    /// How many members each variant has, as it was counted last.
    counted: Mutex<Option<Arc<Counted>>>,
    /// What the store last said of itself, and in which version of it.
    standing: Mutex<Option<(Option<u64>, Arc<Standing>)>>,
    /// The items of models by what the catalogue says of them, those that were asked for last at the end.
    shelves: Mutex<Vec<Arc<Shelves>>>,
    /// All that was trending in an epoch.
    trends: Mutex<Option<(u64, Arc<Ranking>)>>,
    /// All that was seen together in an epoch, where that was asked for.
    pairs: Mutex<Option<(u64, Arc<Pairs>)>>,
    /// What clusters like, of those that were asked for in an epoch.
    liked: Mutex<LikedByCluster>,
}

/// A data folder at one committed epoch.
pub struct Serving<'a> {
    /// The tables at that epoch.
    pub tables: &'a dyn Tables,
    /// What the store says it holds.
    pub standing: Arc<Standing>,
    /// What is known besides.
    pub known: &'a Known,
    /// The kinds as one model weighs them for all members, where that is asked for.
    kinds: Option<Arc<KindTable>>,
    store: &'a dyn Store,
    /// What may be done: nothing that takes longer.
    patience: Takes,
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
    /// The pipeline has ended before all its processes had what was read.
    #[error("{0}")]
    Ended(Arc<StoreError>),
    /// The folder's model failed.
    #[error(transparent)]
    Model(#[from] crate::offline::model::ModelError),
}

impl Reader {
    /// Opens a folder for reading, beside a process that may be writing. Stays at the epoch that was committed last.
    pub fn open(folder: &Folder, config: Config) -> Result<Self, ServingError> {
        Self::open_with(folder, config, RocksStore::open_reader(folder.path())?)
    }

    /// The same with a cache that other readers had before.
    pub fn open_cached(folder: &Folder, config: Config, cache: &BlockCache) -> Result<Self, ServingError> {
        Self::open_with(folder, config, RocksStore::open_reader_with(folder.path(), cache)?)
    }

    fn open_with(folder: &Folder, config: Config, store: RocksStore) -> Result<Self, ServingError> {
        let store = Arc::new(store);
        let reader = Reader::over(store, folder, config);
        if reader.read(|serving| Ok(serving.standing.epoch))? == 0 {
            return Err(StoreError::Empty(folder.path().to_owned()).into());
        }
        Ok(reader)
    }

    /// Reads a store that is open here; each answer is of the newest epoch. One that says that it is a part is read as one.
    pub fn over(store: Arc<dyn Store>, folder: &Folder, config: Config) -> Self {
        // What cannot be read is told whoever asks.
        let part = store.get(Table::Meta, formats::meta::PART).ok().flatten();
        let part = part.and_then(|value| serde_json::from_slice::<Part>(&value).ok());
        let reader = Reader::new(store, folder, config);
        match part {
            Some(part) => reader.of_part(part.share, None),
            None => reader,
        }
    }

    /// The same of the store of one process of several: where counts are wanted, which are in all stores, they are read in
    /// the whole, or it is said where they are.
    pub fn of_part(mut self, share: Share, whole: Option<Arc<dyn Store>>) -> Self {
        if self.share.replace(share).is_none() {
            self.store = Arc::new(PartStore::new(self.store, share));
        }
        self.whole = whole.or(self.whole);
        self
    }

    /// Which process of several the store is of; none where it has all.
    pub fn share(&self) -> Option<Share> {
        self.share
    }

    fn new(store: Arc<dyn Store>, folder: &Folder, config: Config) -> Self {
        let variants = config.variants.as_ref().map_or(0, |variants| variants.variants.len());
        let known = Known {
            folder: folder.clone(),
            models: Models::new(folder.clone(), variants),
            catalogue: None,
            committed: None,
            standing: Mutex::new(None),
            shelves: Mutex::default(),
            counted: Mutex::default(),
            trends: Mutex::new(None),
            pairs: Mutex::new(None),
            liked: Mutex::default(),
            config,
        };
        Reader { store, share: None, whole: None, known }
    }

    /// Keeps the catalogue in memory, as it is now. Whoever commits to the store tells it what changes.
    pub fn with_catalogue(mut self) -> Result<Self, ServingError> {
        self.known.catalogue =
            Some(self.read(|serving| Ok(Catalogue::read(serving.tables, serving.standing.epoch)?))?);
        Ok(self)
    }

    /// Shows no epoch before all processes have it, as that says.
    pub fn behind(mut self, committed: Arc<Committed>) -> Self {
        self.known.committed = Some(committed);
        self
    }

    /// Asks something of one moment.
    pub fn read<T>(
        &self,
        ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError>,
    ) -> Result<T, ServingError> {
        let (mut ask, mut answer) = (Some(ask), None);
        self.store.at_one_moment(&mut |tables| {
            if let Some(ask) = ask.take() {
                answer = Some(self.serving(tables, Takes::Long).and_then(|serving| ask(&serving)));
            }
        })?;
        answer.expect("a store shows a moment or says why not")
    }

    /// Asks something of one moment of all processes' stores.
    pub fn read_all<T>(
        &self,
        ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError>,
    ) -> Result<T, ServingError> {
        let Some(whole) = &self.whole else { return self.read(ask) };
        let (mut ask, mut answer) = (Some(ask), None);
        whole.at_one_moment(&mut |tables| {
            if let Some(ask) = ask.take() {
                answer = Some(self.serving(tables, Takes::Long).and_then(|serving| ask(&serving)));
            }
        })?;
        answer.expect("a store shows a moment or says why not")
    }

    /// Asks something of one moment; where that takes counts that are in the stores of all processes, of one of these.
    pub fn read_further<T>(
        &self,
        ask: impl Fn(&Serving<'_>) -> Result<T, ServingError>,
    ) -> Result<T, ServingError> {
        match self.read(&ask) {
            Err(ServingError::Store(StoreError::InAll { .. })) if self.whole.is_some() => self.read_all(ask),
            answer => answer,
        }
    }

    /// The same without ever waiting; nothing where that cannot be, because it would take a file or long work.
    pub fn read_in_memory<T>(
        &self,
        ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError>,
    ) -> Option<Result<T, ServingError>> {
        let (mut ask, mut answer) = (Some(ask), None);
        let of_one_moment = self.store.at_one_moment_in_memory(&mut |tables| {
            if let Some(ask) = ask.take() {
                answer = Some(self.serving(tables, Takes::Look).and_then(|serving| ask(&serving)));
            }
        });
        answer.filter(|answer| of_one_moment && !not_in_memory(answer))
    }

    /// The same, and what is worked out of it in a moment is worked out. What comes meanwhile changes nothing.
    pub fn read_cached<T>(
        &self,
        ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError>,
    ) -> Option<Result<T, ServingError>> {
        let (mut ask, mut answer) = (Some(ask), None);
        let shown = self.store.at_one_moment_cached(&mut |tables| {
            if let Some(ask) = ask.take() {
                answer = Some(self.serving(tables, Takes::Moment).and_then(|serving| ask(&serving)));
            }
        });
        match shown {
            Ok(true) => answer.filter(|answer| !not_in_memory(answer)),
            Ok(false) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Reads entries of a table from a key on into memory, so that nobody waits for them later. Gives back where the next
    /// begin, if there are more.
    pub fn warm(&self, table: Table, from: &[u8], bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.warm(table, from, bytes)
    }

    /// Asks for all of one moment: with its catalogue in memory, and the kinds as a given model weighs them.
    pub fn read_whole<T>(
        mut self,
        model: Option<&Model>,
        ask: impl FnOnce(&Serving<'_>) -> Result<T, ServingError>,
    ) -> Result<T, ServingError> {
        let (mut ask, mut answer) = (Some(ask), None);
        let store = self.store.clone();
        store.at_one_moment(&mut |tables| {
            let Some(ask) = ask.take() else { return };
            let known = Standing::of(tables).and_then(|standing| Catalogue::read(tables, standing.epoch));
            answer = Some(known.map_err(ServingError::from).and_then(|catalogue| {
                self.known.catalogue = Some(catalogue);
                let serving = self.serving(tables, Takes::Long)?;
                let (known, live) = (&self.known, serving.standing.lists.model.as_deref());
                let kinds = match model {
                    Some(model) => Arc::new(models::weighted(&known.config.kinds, &model.manifest)),
                    None => known.models.kinds(live, &known.config.kinds)?,
                };
                ask(&Serving { kinds: Some(kinds), ..serving })
            }));
        })?;
        answer.expect("a store shows a moment or says why not")
    }

    fn serving<'a>(&'a self, tables: &'a dyn Tables, patience: Takes) -> Result<Serving<'a>, ServingError> {
        let standing = self.known.standing(tables)?;
        if let Some(committed) = &self.known.committed
            && committed.epoch() < standing.epoch
        {
            // On disk here, and perhaps not in every process: nobody sees it before it is.
            if patience < Takes::Long {
                return Err(StoreError::NotInMemory.into());
            }
            if !committed.wait_at_most(standing.epoch, LAG).map_err(ServingError::Ended)? {
                return Err(StoreError::Apart.into());
            }
        }
        let store = &*self.store;
        Ok(Serving { tables, standing, known: &self.known, kinds: None, store, patience })
    }
}

fn not_in_memory<T>(answer: &Result<T, ServingError>) -> bool {
    matches!(answer, Err(ServingError::Store(StoreError::NotInMemory)))
}

/// How long an answer waits for the other processes to have what it shows.
const LAG: Duration = Duration::from_secs(5);

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// As long as a look at what is kept.
    Look,
    /// A millisecond of one core, at most.
    Moment,
    /// Longer.
    Long,
}

impl Known {
    /// Whether this is a process that serves, and not a command that answers once.
    pub fn serves(&self) -> bool {
        self.catalogue.is_some()
    }

    fn pairs(&self, epoch: u64) -> Option<Arc<Pairs>> {
        let kept = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(of, _)| *of == epoch).map(|(_, pairs)| pairs.clone())
    }

    fn keep_pairs(&self, epoch: u64, pairs: Pairs) {
        *self.pairs.lock().unwrap_or_else(PoisonError::into_inner) = Some((epoch, Arc::new(pairs)));
    }

    fn liked(&self, epoch: u64, cluster: u32) -> Option<Arc<Liked>> {
        self.liked.lock().unwrap_or_else(PoisonError::into_inner).get(epoch, cluster)
    }

    fn keep_liked(&self, epoch: u64, cluster: u32, liked: &Arc<Liked>) {
        self.liked.lock().unwrap_or_else(PoisonError::into_inner).keep(epoch, cluster, liked);
    }

    fn counted(&self) -> Option<Arc<Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_counted(&self, counted: &Arc<Counted>) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted.clone());
    }

    fn shelves(&self, version: &str) -> Option<Arc<Shelves>> {
        let kept = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|shelves| shelves.version == version).cloned()
    }

    fn keep_shelves(&self, shelves: &Arc<Shelves>) {
        let mut kept = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.version != shelves.version);
        if kept.len() == self.models.kept() {
            kept.remove(0);
        }
        kept.push(shelves.clone());
    }

    /// What the store says it holds; asked anew only where the epoch is another one.
    fn standing(&self, tables: &dyn Tables) -> Result<Arc<Standing>, StoreError> {
        let lock = || self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let version = tables.version();
        if let Some((_, standing)) = lock().as_ref().filter(|(own, _)| version.is_some() && *own == version) {
            return Ok(standing.clone());
        }
        let epoch = tables.get(Table::Meta, formats::meta::EPOCH)?;
        let epoch = epoch.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes);
        let mut last = lock();
        let same = |(_, standing): &(_, Arc<Standing>)| standing.epoch == epoch && !standing.pending;
        let (known, standing) = match last.take().filter(same) {
            Some((known, standing)) => (version.or(known), standing),
            None => (version, Arc::new(Standing::of(tables)?)),
        };
        *last = Some((known, standing.clone()));
        Ok(standing)
    }
}

impl Serving<'_> {
    /// The config.
    pub fn config(&self) -> &Config {
        &self.known.config
    }

    /// Whether the folder, being of an earlier format, has no such view yet.
    pub fn lacks(&self, view: Table) -> bool {
        self.standing.missing_views().contains(&view)
    }

    /// What a member's lists are made with.
    pub fn making(&self, member: &str) -> Making<'_> {
        self.standing.lists.of(member)
    }

    /// The kinds, as a member's model weighs them.
    fn kinds_of(&self, member: &str) -> Result<Arc<KindTable>, ServingError> {
        match &self.kinds {
            Some(kinds) => Ok(kinds.clone()),
            None => Ok(self.known.models.kinds(self.making(member).model, &self.config().kinds)?),
        }
    }

    /// To be asked before what takes its time: it is not done where nobody is to wait so long.
    fn takes(&self, takes: Takes) -> Result<(), StoreError> {
        if takes > self.patience { Err(StoreError::NotInMemory) } else { Ok(()) }
    }

    /// An item's title, where the catalogue has one.
    pub fn title(&self, item: &str) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.item(item)?.title)
    }

    /// What the catalogue says of an item; nothing where it is not in it.
    pub fn item(&self, item: &str) -> Result<CatalogueEntry, StoreError> {
        match self.kept_catalogue() {
            Some(kept) => Ok(kept.get(item)),
            None => CatalogueEntry::read(self.tables, item),
        }
    }
}
