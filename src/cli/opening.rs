//! A data folder opened for writing: its store, the models in use, and an engine over them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nearline_dataflows::graph::Meaning;
use nearline_dataflows::types::Item;
use nearline_factors::ItemSide;

use super::{Context, Failure, now_ms};
use crate::batch::Batches;
use crate::config::{Config, KindTable};
use crate::engine::committed::Counts;
use crate::engine::observer::Observer;
use crate::engine::recover::Standing;
use crate::engine::{Beside, Engine, EngineOptions, GivenModel, ModelSource, socket};
use crate::erasure::Eraser;
use crate::failpoints::reach;
use crate::folder::Folder;
use crate::offline::Model;
use crate::sources::rejected::RejectedLog;
use crate::stores::Store;
use crate::stores::formats::Standby;
use crate::stores::long_read::LongRead;
use crate::stores::rocks::{RocksOptions, RocksStore};

/// An engine over a data folder.
pub struct Opened {
    pub engine: Engine,
    pub store: Arc<dyn Store>,
    pub eraser: Arc<Eraser>,
    pub batches: Arc<Batches>,
    /// Counts before anything was piped in.
    pub before: Counts,
}

/// How a folder is opened.
#[derive(Default)]
pub struct Opening<'a> {
    /// The model that lists are to be made with.
    pub model: Option<&'a Path>,
    /// How many threads run the graph.
    pub workers: Option<usize>,
    /// Whether lists are left to the end.
    pub bulk: bool,
    /// Told what is committed.
    pub observer: Option<Arc<dyn Observer>>,
}

/// Opens a folder for writing and starts an engine on it. Where `model` is not the one that the lists are made with,
/// it is built up beside that one and takes over; a bulk load makes all lists anew.
pub fn open_engine(folder: &Folder, config: &Config, opening: Opening<'_>) -> Result<Opened, Failure> {
    let Opening { model, workers, bulk, observer } = opening;
    let rocks = RocksOptions {
        block_cache: config.store.block_cache,
        write_buffer: config.store.write_buffer,
        plain: config.store.plain,
    };
    let store: Arc<dyn Store> = Arc::new(RocksStore::open(folder.path(), rocks)?);
    let standing = Standing::of(&*store)?;
    let given = model.map(|path| adopt(folder, config, path)).transpose()?;
    let anew = bulk || standing.epoch == 0 || standing.is_to_be_made_anew();
    let in_use = if anew || standing.meaning != Some(config.meaning_hash()) {
        InUse::anew(folder, &standing, given)?
    } else {
        InUse::beside(folder, &standing, given)?
    };
    let versions = in_use.versions();
    let own = folder.clone();
    let rejected =
        RejectedLog::open(&folder.rejected()).map_err(|error| about(&folder.rejected(), &error))?;
    let long_read = Arc::new(LongRead::default());
    let batches = Batches::new(store.clone(), folder.clone(), config.clone(), long_read.clone());
    let eraser = Arc::new(Eraser::new(store.clone(), folder.clone(), rejected.clone(), long_read));
    let options = EngineOptions {
        rejected: Some(rejected),
        key: folder.key(standing.key.as_deref())?,
        key_file: Some(folder.key_file()),
        bulk,
        beside: in_use
            .standby
            .map(|(model, ready)| Beside { model: given_model(model, folder, config), ready }),
        observer,
        drop_model: Some(Arc::new(move |version: &str| remove_model(&own.model(version)))),
        model: in_use.live.map(|model| given_model(model, folder, config)),
        ..engine_options(config, None, workers)
    };
    let engine = Engine::start(store.clone(), store.clone(), options)?;
    drop_other_models(folder, &versions.iter().map(String::as_str).collect::<Vec<_>>());
    if in_use.turn {
        engine.handle().roll_back().map_err(|error| Failure::Failed(error.to_string()))?;
    }
    Ok(Opened { engine, store, eraser, batches: Arc::new(batches), before: standing.counts })
}

/// What happened to a file, and what to do about it.
fn about(path: &Path, error: &std::io::Error) -> Failure {
    let said = error.to_string();
    Failure::Failed(format!("{}: {said}{}", path.display(), crate::stores::advice(&said)))
}

/// The models that a folder is opened with.
struct InUse {
    live: Option<Model>,
    /// The one beside it, and for how long its lists have been whole; none where they are to be built.
    standby: Option<(Model, Option<Duration>)>,
    /// Whether the two are to change places at once.
    turn: bool,
}

impl InUse {
    /// Where the views are made anew, or lists are made at the end of a bulk load: with the model that was asked for.
    /// What was being built is built afterwards; the model before is not kept.
    fn anew(folder: &Folder, standing: &Standing, given: Option<Model>) -> Result<Self, Failure> {
        let (live, standby) = match given {
            Some(given) => (Some(given), None),
            None => (load_own(folder, standing.model.as_deref())?, standby(folder, standing)),
        };
        Ok(InUse { live, standby: standby.filter(|(_, ready)| ready.is_none()), turn: false })
    }

    /// Where the lists are as the live model says.
    fn beside(folder: &Folder, standing: &Standing, given: Option<Model>) -> Result<Self, Failure> {
        let Some(given) = given else {
            let live = load_own(folder, standing.model.as_deref())?;
            return Ok(InUse { live, standby: standby(folder, standing), turn: false });
        };
        let (asked, live) = (&given.manifest.version, standing.model.as_deref());
        if live == Some(asked) {
            let standby = standby(folder, standing).filter(|(_, ready)| ready.is_some());
            return Ok(InUse { live: Some(given), standby, turn: false });
        }
        let ready = standing.standby.as_ref().filter(|known| known.model == *asked).and_then(age);
        Ok(match load_own(folder, live) {
            Ok(live) => InUse { live, standby: Some((given, ready)), turn: ready.is_some() },
            // Without its files the model is of no use, and all lists are made anew.
            Err(error) => {
                tracing::warn!(%error, "the model of the lists cannot be read: they are made anew with the one given");
                InUse { live: Some(given), standby: None, turn: false }
            }
        })
    }

    fn versions(&self) -> Vec<String> {
        let models = self.live.iter().chain(self.standby.iter().map(|(model, _)| model));
        models.map(|model| model.manifest.version.clone()).collect()
    }
}

/// One of the folder's own models, where it has one.
fn load_own(folder: &Folder, version: Option<&str>) -> Result<Option<Model>, Failure> {
    version.map(|version| load(&folder.model(version))).transpose()
}

/// For how long the lists of a standby model have been whole, where they are.
fn age(standby: &Standby) -> Option<Duration> {
    standby.ready.then(|| Duration::from_millis(now_ms().saturating_sub(standby.since).max(0) as u64))
}

/// The model that stands by, and for how long its lists have been whole. One whose files are gone or damaged is left
/// out.
fn standby(folder: &Folder, standing: &Standing) -> Option<(Model, Option<Duration>)> {
    let known = standing.standby.as_ref()?;
    match load(&folder.model(&known.model)) {
        Ok(model) => Some((model, age(known))),
        Err(error) => {
            tracing::warn!(%error, "the model that stands by cannot be read, and is left out");
            None
        }
    }
}

/// Other models than those in use leave no trace.
fn drop_other_models(folder: &Folder, versions: &[&str]) {
    if versions.is_empty() {
        return;
    }
    let models = std::fs::read_dir(folder.models()).into_iter().flatten().flatten();
    let other = |name: &std::ffi::OsStr| versions.iter().all(|version| name != *version);
    for model in models.filter(|model| other(&model.file_name())) {
        remove_model(&model.path());
    }
}

fn remove_model(model: &Path) {
    if let Err(error) = std::fs::remove_dir_all(model) {
        tracing::warn!(%error, model = %model.display(), "an earlier model could not be removed");
    }
}

/// The options that follow from a config and a model.
pub fn engine_options(config: &Config, model: Option<Model>, workers: Option<usize>) -> EngineOptions {
    let watching = &config.lists.continue_watching;
    EngineOptions {
        workers: workers.unwrap_or_else(|| config.run.threads()).max(1),
        meaning: Meaning {
            kinds: config.kinds.kinds.clone(),
            length: config.lists.length,
            half_life_hours: config.lists.half_life_hours,
            begun_from: watching.from,
            begun_below: watching.below,
            basket: config.lists.basket,
        },
        meaning_hash: config.meaning_hash(),
        kind_names: config.kinds.names.clone(),
        model: model.map(|model| {
            Box::new(Numbered { side: model.side(), own: None, model, table: config.kinds.clone() })
                as GivenModel
        }),
        beside: None,
        keep_previous: config.run.keep_previous.duration(),
        drop_model: None,
        epoch_interval: config.run.epoch,
        epoch_records: config.run.epoch_records,
        memory_limit: config.run.memory_limit,
        bulk: false,
        key: crate::digests::DigestKey::new([0; 32]),
        key_file: None,
        rejected: None,
        observer: None,
        rebuild: false,
    }
}

/// A model on its way into the graph.
struct Numbered {
    model: Model,
    /// Where it is kept.
    own: Option<PathBuf>,
    side: ItemSide,
    table: KindTable,
}

/// Makes a model ready for the graph, with all that takes long.
fn given_model(model: Model, folder: &Folder, config: &Config) -> GivenModel {
    let own = folder.model(&model.manifest.version);
    Box::new(Numbered { side: model.side(), own: Some(own), model, table: config.kinds.clone() })
}

impl ModelSource for Numbered {
    fn version(&self) -> &str {
        &self.model.manifest.version
    }

    fn keep(&self) -> Result<(), String> {
        let Some(own) = &self.own else { return Ok(()) };
        keep(&self.model, own).map_err(|failure| failure.to_string())
    }

    fn numbered(self: Box<Self>, number: &mut dyn FnMut(&str) -> Item) -> nearline_dataflows::model::Model {
        let Numbered { model, side, table, .. } = *self;
        model.with_side(side, &table, number)
    }
}

/// How a running pipeline takes in a model that a command names.
pub fn adopting(context: &Context, config: &Config) -> socket::Adopt {
    let (folder, config) = (context.folder.clone(), config.clone());
    Arc::new(move |path| {
        let model = adopt(&folder, &config, path).map_err(|failure| failure.to_string())?;
        Ok(given_model(model, &folder, &config))
    })
}

/// Loads a model, and keeps a copy in the data folder, so that answers and `verify` need nothing from elsewhere.
/// Item factors of Spark MLlib are taken with the config's weights and regularisation.
fn adopt(folder: &Folder, config: &Config, path: &Path) -> Result<Model, Failure> {
    let model = read_model(config, path)?;
    keep(&model, &folder.model(&model.manifest.version))?;
    Ok(model)
}

/// Reads a model: one of ours, or of Spark MLlib.
pub fn read_model(config: &Config, path: &Path) -> Result<Model, Failure> {
    if !Model::is_spark(path) {
        return load(path);
    }
    Model::from_spark(path, &config.kinds, &config.train).map_err(|error| Failure::Use(error.to_string()))
}

/// Keeps a model, where it is not kept already.
fn keep(model: &Model, own: &Path) -> Result<(), Failure> {
    if let Some(models) = own.parent() {
        std::fs::create_dir_all(models).map_err(|error| about(models, &error))?;
    }
    model.save(own).map_err(|error| Failure::Failed(error.to_string()))?;
    reach("model-kept");
    Ok(())
}

/// Loads one of our models.
pub fn load(path: &Path) -> Result<Model, Failure> {
    Model::load(path).map_err(|error| Failure::Use(error.to_string()))
}
