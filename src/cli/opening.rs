//! A data folder opened for writing: its store, the models in use, and an engine over them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nearline_dataflows::graph::Meaning;

use super::line_up::{Change, LineUp};
use super::processes::{Joined, Joining};
use super::{Context, Failure, cluster, now_ms};
use crate::archive::Archive;
use crate::batch::Batches;
use crate::config::Config;
use crate::engine::committed::Counts;
use crate::engine::observer::Observer;
use crate::engine::recover::Standing;
use crate::engine::socket::{self, Wanted};
use crate::engine::{Beside, Engine, EngineOptions, GivenLineUp};
use crate::erasure::Eraser;
use crate::folder::Folder;
use crate::mirrors::Mirrors;
use crate::offline::centres::CentresFolder;
use crate::processes::Share;
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
    /// The archive, where there is one.
    pub archive: Option<Arc<Archive>>,
    /// The mirrors, where there are some.
    pub mirrors: Option<Arc<Mirrors>>,
    /// The other processes, where there are some.
    pub joined: Option<Joined>,
    /// Counts before anything was piped in.
    pub before: Counts,
}

/// How a folder is opened.
#[derive(Default)]
pub struct Opening<'a> {
    /// What lists are to be made with, where it is other than before.
    pub change: Change<'a>,
    /// How many threads run the graph.
    pub workers: Option<usize>,
    /// Whether lists are left to the end.
    pub bulk: bool,
    /// Told what is committed.
    pub observer: Option<Arc<dyn Observer>>,
    /// The other processes of the pipeline, where there are some.
    pub joining: Option<&'a Joining>,
}

/// Opens a folder for writing and starts an engine on it. Where the lists are to be made with something else than they
/// are, that is built up beside and takes over; a bulk load makes all lists anew.
pub fn open_engine(folder: &Folder, config: &Config, opening: Opening<'_>) -> Result<Opened, Failure> {
    let Opening { change, workers, bulk, observer, joining } = opening;
    let rocks = store_options(config, observer.is_some());
    let store: Arc<dyn Store> = Arc::new(RocksStore::open(folder.path(), rocks)?);
    let standing = Standing::of(&*store)?;
    if joining.is_none() {
        whole(folder, &standing)?;
    }
    // Processes build nothing beside: with another model all make their lists anew, before they are ready.
    let anew = bulk || joining.is_some() || standing.epoch == 0 || standing.is_to_be_made_anew();
    let in_use = if anew || standing.meaning != Some(config.meaning_hash()) {
        InUse::anew(folder, config, &standing, change)?
    } else {
        InUse::beside(folder, config, &standing, change)?
    };
    let centres = centres_in_use(folder, &standing);
    let versions = in_use.versions();
    let own = folder.clone();
    let rejected =
        RejectedLog::open(&folder.rejected()).map_err(|error| about(&folder.rejected(), &error))?;
    let long_read = Arc::new(LongRead::default());
    let batches = Batches::new(store.clone(), folder.clone(), config.clone(), long_read.clone());
    let archive = Archive::of(folder, config, (&store, &standing), &long_read)?;
    let mirrors = Mirrors::of(config, &store, &standing)?;
    let eraser = Eraser::new(store.clone(), folder.clone(), rejected.clone(), long_read);
    let eraser = Arc::new(eraser.with_archive(archive.clone()).with_mirrors(mirrors.clone()));
    let mut key = folder.key(standing.key.as_deref())?;
    let peers = joining.map(|joining| {
        let centres = centres.as_ref().map(|centres| centres.manifest.version.clone());
        let lists = (in_use.live.made_with.clone(), centres);
        let how = (workers.unwrap_or_else(|| config.run.threads()).max(1), bulk);
        joining.join((folder, &*store, &standing), config, lists, how, &mut key)
    });
    let mut peers = peers.transpose()?;
    let joined = joining.zip(peers.as_mut()).map(|(joining, peers)| joining.read_each_other(peers, &store));
    let joined = joined.transpose()?;
    let options = EngineOptions {
        rejected: Some(rejected),
        key,
        peers,
        key_file: Some(folder.key_file()),
        bulk,
        beside: in_use
            .standby
            .map(|(standby, ready)| Beside { line_up: standby.given(Some(folder), config), ready }),
        observer,
        drop_model: Some(Arc::new(move |version: &str| remove_model(&own.model(version)))),
        archive: archive.as_ref().map(|archive| archive.waiting().clone()),
        mirrors: mirrors.as_ref().map(|mirrors| mirrors.mirroring().clone()),
        centres: centres.as_ref().map(|centres| centres.centres.clone()),
        ..engine_options(config, Some(in_use.live.given(Some(folder), config)), workers)
    };
    let engine = Engine::start(store.clone(), store.clone(), options)?;
    drop_other_models(folder, &versions.iter().map(String::as_str).collect::<Vec<_>>());
    cluster::drop_others(folder, centres.as_ref().map(|centres| &*centres.manifest.version));
    if in_use.turn {
        engine.handle().roll_back().map_err(|error| Failure::Failed(error.to_string()))?;
    }
    Ok(Opened {
        engine,
        store,
        eraser,
        batches: Arc::new(batches),
        archive,
        mirrors,
        joined,
        before: standing.counts,
    })
}

/// Refuses a part of a pipeline of several processes.
fn whole(folder: &Folder, standing: &Standing) -> Result<(), Failure> {
    let Some(Share { process, processes }) = standing.part.as_ref().map(|part| part.share) else {
        return Ok(());
    };
    Err(Failure::Use(format!(
        "{} is the part of process {process} of a pipeline of {processes}: start that with `nearline run --processes \
         {processes} --process {process} --hosts FILE` and its others, or make a folder of one process of all parts with \
         `nearline reshard`",
        folder.path().display()
    )))
}

/// Refuses to take a part of a pipeline of several processes for all of it; `what` is what would be made of it.
pub(super) fn of_all_members(folder: &Folder, standing: &Standing, what: &str) -> Result<(), Failure> {
    let Some(Share { process, processes }) = standing.part.as_ref().map(|part| part.share) else {
        return Ok(());
    };
    Err(Failure::Use(format!(
        "{} has the members of process {process} of {processes} alone, and {what} would be of these: make a folder of all \
         parts with `nearline reshard`, or name the logs",
        folder.path().display()
    )))
}

/// How a store is opened for writing.
pub(super) fn store_options(config: &Config, for_answers: bool) -> RocksOptions {
    RocksOptions {
        block_cache: config.store.block_cache.max(if for_answers { config.serve.cache } else { 0 }),
        for_answers,
        write_buffer: config.store.write_buffer,
        plain: config.store.plain,
    }
}

/// What happened to a file, and what to do about it.
pub(super) fn about(path: &Path, error: &std::io::Error) -> Failure {
    let said = error.to_string();
    Failure::Failed(format!("{}: {said}{}", path.display(), crate::stores::advice(&said)))
}

/// What a folder is opened with.
struct InUse {
    live: LineUp,
    /// What stands beside it, and for how long its lists have been whole; none where they are to be built.
    standby: Option<(LineUp, Option<Duration>)>,
    /// Whether the two are to change places at once.
    turn: bool,
}

impl InUse {
    /// Where the views are made anew, or lists are made at the end of a bulk load: with what was asked for. What was
    /// being built is built afterwards; the line-up before is not kept.
    fn anew(
        folder: &Folder,
        config: &Config,
        standing: &Standing,
        change: Change<'_>,
    ) -> Result<Self, Failure> {
        let live = LineUp::wanted(folder, config, &standing.lists, change)?;
        let building = standing.standby.as_ref().filter(|known| !known.ready && change.is_none());
        let standby = building.and_then(|known| {
            let change = Change { renew: false, ..change };
            readable(LineUp::wanted(folder, config, &known.made_with(), change))
        });
        let standby = standby.filter(|standby| standby.made_with != live.made_with);
        Ok(InUse { live, standby: standby.map(|standby| (standby, None)), turn: false })
    }

    /// Where the lists are as the live line-up says.
    fn beside(
        folder: &Folder,
        config: &Config,
        standing: &Standing,
        change: Change<'_>,
    ) -> Result<Self, Failure> {
        let live = &standing.lists;
        let wanted = LineUp::wanted(folder, config, live, change)?;
        let known = standing.standby.as_ref();
        if wanted.made_with == *live {
            // Whoever asks for the live one wants no other.
            let known = known.filter(|known| known.ready || change.is_none());
            let standby = known
                .and_then(|known| Some((readable(LineUp::stored(folder, &known.made_with()))?, age(known))));
            return Ok(InUse { live: wanted, standby, turn: false });
        }
        let ready = known.filter(|known| known.made_with() == wanted.made_with).and_then(age);
        Ok(match LineUp::stored(folder, live) {
            Ok(live) => InUse { live, standby: Some((wanted, ready)), turn: ready.is_some() },
            // Without its files the model is of no use, and all lists are made anew.
            Err(error) => {
                tracing::warn!(%error, "the model of the lists cannot be read: they are made anew with the one given");
                InUse { live: wanted, standby: None, turn: false }
            }
        })
    }

    fn versions(&self) -> Vec<String> {
        let models =
            self.live.versions().chain(self.standby.iter().flat_map(|(standby, _)| standby.versions()));
        models.map(str::to_owned).collect()
    }
}

/// For how long the lists of a standby line-up have been whole, where they are.
fn age(standby: &Standby) -> Option<Duration> {
    standby.ready.then(|| Duration::from_millis(now_ms().saturating_sub(standby.since).max(0) as u64))
}

/// The centres that a store says are in use; none where their files are gone or damaged, and members belong nowhere then.
pub(super) fn centres_in_use(folder: &Folder, standing: &Standing) -> Option<CentresFolder> {
    let in_use = standing.centres.as_ref()?;
    let loaded = CentresFolder::load(&folder.centres_of(&in_use.version));
    loaded
        .inspect_err(
            |error| tracing::warn!(%error, "the centres of clusters cannot be read: members belong to none"),
        )
        .ok()
}

/// What stands by; one whose models are gone or damaged is left out.
fn readable(standby: Result<LineUp, Failure>) -> Option<LineUp> {
    standby
        .inspect_err(
            |error| tracing::warn!(%error, "the model that stands by cannot be read, and is left out"),
        )
        .ok()
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

/// The options that follow from a config and what lists are made with.
pub fn engine_options(config: &Config, live: Option<GivenLineUp>, workers: Option<usize>) -> EngineOptions {
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
        live,
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
        centres: None,
        archive: None,
        mirrors: None,
        peers: None,
        untold: false,
    }
}

/// How a running pipeline takes in what a command asks for.
pub fn adopting(context: &Context, config: &Config, store: &Arc<dyn Store>) -> socket::Adopt {
    let (folder, config, store) = (context.folder.clone(), config.clone(), store.clone());
    Arc::new(move |wanted| {
        let known = Standing::of(&*store).map_err(|error| error.to_string())?.lists;
        let change = match wanted {
            Wanted::Use(path) => Change { model: Some(path), ..Change::default() },
            Wanted::Promote(name) => Change { promote: Some(name), ..Change::default() },
            Wanted::RollBack => Change::default(),
        };
        let made = LineUp::wanted(&folder, &config, &known, change).map_err(|failure| failure.to_string())?;
        Ok(made.given(Some(&folder), &config))
    })
}
