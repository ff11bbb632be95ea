//! `nearline cluster`: centres of clusters from the members' factors, and which of them are in use.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nearline_factors::{ClusterOptions, Factors, cluster as make};
use serde::Serialize;

use super::args::ClusterArgs;
use super::commands::{self, Ask};
use super::opening::{self, Opening};
use super::publish::{self, What};
use super::watched::watched_by;
use super::{Context, Failure, show};
use crate::engine::recover::{self, Standing};
use crate::engine::{CentresError, CentresUsed, Handle};
use crate::folder::Folder;
use crate::offline::centres::{CentresFolder, CentresManifest};
use crate::serving::clusters::ClustersStatus;
use crate::stores::rocks::RocksStore;
use crate::stores::{StoreError, Table, formats};

impl From<CentresError> for Failure {
    fn from(error: CentresError) -> Self {
        match error {
            CentresError::Engine(error) => error.into(),
            other => Failure::No(other.to_string()),
        }
    }
}

/// `nearline cluster`.
pub fn cluster(context: &Context, args: &ClusterArgs) -> Result<(), Failure> {
    if args.none {
        return say_used(context, &used(context, None)?);
    }
    let given = args.used.as_ref().and_then(Option::as_ref);
    let makes = args.out.is_some() || args.then.publish.is_some();
    if let Some(folder) = given {
        if makes || args.clusters.or(args.iterations).is_some() || args.seed.is_some() {
            let why = "--use DIR takes centres that are there: say --use alone to use those that are made";
            return Err(Failure::Use(why.into()));
        }
        return say_used(context, &used(context, Some(folder))?);
    }
    if !makes && args.used.is_none() {
        let why = "say where the centres go: --out DIR, --publish NAME, or --use for this data folder";
        return Err(Failure::Use(why.into()));
    }
    match &args.then.publish {
        None => make_and_say(context, args).map(drop),
        Some(name) => publish::publishing(context, name, args.then.to.as_deref(), |publications| {
            let scratch = tempfile::tempdir()?;
            let own = scratch.path().join("centres");
            let made = make_and_say(context, args)?;
            made.save(&own)?;
            let told = publish::published(context, publications, name, &What::Centres(&own))?;
            publish::said(context, publications, told)
        }),
    }
}

/// What `cluster` answers.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    manifest: &'a CentresManifest,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<&'a CentresUsed>,
}

fn make_and_say(context: &Context, args: &ClusterArgs) -> Result<CentresFolder, Failure> {
    let made = made(context, args)?;
    if let Some(out) = &args.out {
        made.save(out)?;
    }
    let used = match &args.used {
        Some(_) => {
            let own = context.folder.centres_of(&made.manifest.version);
            made.save(&own)?;
            Some(used(context, Some(&own))?)
        }
        None => None,
    };
    let manifest = &made.manifest;
    if context.json {
        let folder = args.out.as_ref().map(|out| out.display().to_string());
        show::json(&Made { manifest, folder, used: used.as_ref() })?;
        return Ok(made);
    }
    let members: u64 = manifest.members.iter().sum();
    let per_member = manifest.inertia.last().unwrap_or(&0.0) / members.max(1) as f64;
    let (least, most) = (manifest.members.iter().min(), manifest.members.iter().max());
    show::text(&format!(
        "centres {} of model {}: {} clusters of {} to {} members, {}; 1 - cos to the centre is {per_member:.4} on average, \
         after moving {} times",
        manifest.version,
        manifest.model,
        manifest.clusters,
        show::count(*least.unwrap_or(&0)),
        show::count(*most.unwrap_or(&0)),
        show::count(members),
        manifest.inertia.len().saturating_sub(1),
    ))?;
    if let Some(out) = &args.out {
        show::text(&format!("they are in {}", out.display()))?;
    }
    used.map_or(Ok(()), |used| say_used(&Context { json: false, ..context.clone() }, &used))?;
    Ok(made)
}

/// Makes centres from the factors of one moment.
fn made(context: &Context, args: &ClusterArgs) -> Result<CentresFolder, Failure> {
    let known = &context.config.clusters;
    let options = ClusterOptions {
        clusters: args.clusters.map_or(known.count, |count| count as usize),
        iterations: args.iterations.map_or(known.iterations, |iterations| iterations as usize),
        seed: args.seed.unwrap_or(known.seed),
        threads: context.config.run.threads(),
    };
    let (factors, model, epoch) = factors(&context.folder)?;
    let moved = AtomicU64::new(0);
    let watch = &mut |times: usize, _: f64| {
        moved.store(times as u64, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    let said = |moved, of| format!("centres have moved {moved} times, of {of} at most");
    let clustered = watched_by(
        || make(&factors, &options, watch).map_err(|error| Failure::No(error.to_string())),
        || Some((moved.load(Ordering::Relaxed), options.iterations as u64)),
        ("{bar:30} centres have moved {pos} times, of {len} at most", &said),
    )?;
    let manifest = CentresManifest {
        format: 0,
        version: String::new(),
        model,
        rank: 0,
        clusters: 0,
        members: clustered.members,
        inertia: clustered.inertia,
        seed: options.seed,
        epoch,
        made_at: jiff::Timestamp::now().to_string(),
    };
    Ok(CentresFolder::new(manifest, clustered.centres))
}

/// The factors of all members whose lists are made with the live model, that model, and the epoch that they are of.
fn factors(folder: &Folder) -> Result<(Factors, String, u64), Failure> {
    let store = RocksStore::open_reader(folder.path())?;
    let standing = Standing::of(&store)?;
    if standing.epoch == 0 {
        return Err(StoreError::Empty(folder.path().to_owned()).into());
    }
    opening::of_all_members(folder, &standing, "centres")?;
    if standing.pending {
        return Err(Failure::No("the lists are being made anew: ask again when they are there".into()));
    }
    let Some(model) = standing.lists.model.clone() else {
        let why = "there is no live model, so members have no factors: train one and use it";
        return Err(Failure::No(why.into()));
    };
    let (mut values, mut rank) = (Vec::new(), 0);
    recover::each(&store, Table::Factors, &mut |key, value| {
        let member = String::from_utf8_lossy(key);
        if standing.lists.of(&member).model == Some(&*model) {
            let factor = formats::decode_factor(key, value)?;
            rank = factor.len();
            values.extend(factor);
        }
        Ok(())
    })?;
    if rank == 0 {
        return Err(Failure::No(format!(
            "no member has a factor of model {model}: there is nothing to cluster"
        )));
    }
    let factors = Factors::new(rank, values).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok((factors, model, standing.epoch))
}

/// Lets the process that holds the folder use centres, or none; or does it here where nobody does.
fn used(context: &Context, folder: Option<&Path>) -> Result<CentresUsed, Failure> {
    // What cannot be used is refused here, and the running pipeline knows it by its full path.
    let full = |folder: &Path| -> Result<(PathBuf, CentresFolder), Failure> {
        let centres = CentresFolder::load(folder)?;
        let path = folder.canonicalize();
        Ok((path.map_err(|error| Failure::Use(format!("{}: {error}", folder.display())))?, centres))
    };
    let (path, centres) = folder.map(full).transpose()?.unzip();
    let asked: Option<Result<CentresUsed, String>> = commands::ask(context, &Ask::Centres(path))?;
    if let Some(asked) = asked {
        return asked.map_err(Failure::No);
    }
    let standing = Standing::of(&RocksStore::open_reader(context.folder.path())?)?;
    if standing.epoch == 0 {
        return Err(StoreError::Empty(context.folder.path().to_owned()).into());
    }
    // Opened with another config, the folder would have every list made anew on the way.
    standing.made_with(context.config.meaning_hash())?;
    let opened = opening::open_engine(&context.folder, &context.config, Opening::default())?;
    let done = take_loaded(&context.folder, &opened.engine.handle(), centres);
    opened.engine.finish()?;
    done
}

/// Lets an engine use the centres in a folder, or none.
pub(super) fn take(data: &Folder, handle: &Handle, centres: Option<&Path>) -> Result<CentresUsed, Failure> {
    take_loaded(data, handle, centres.map(CentresFolder::load).transpose()?)
}

/// The same with centres that were loaded. A copy is kept, so that answers and `verify` need nothing from elsewhere.
fn take_loaded(
    data: &Folder,
    handle: &Handle,
    centres: Option<CentresFolder>,
) -> Result<CentresUsed, Failure> {
    if let Some(centres) = &centres {
        std::fs::create_dir_all(data.centres()).map_err(|error| opening::about(&data.centres(), &error))?;
        centres.save(&data.centres_of(&centres.manifest.version))?;
    }
    let used = handle.use_centres(centres.map(|centres| centres.centres))?;
    drop_others(data, used.centres.as_deref());
    Ok(used)
}

/// Centres that are in use no longer leave no trace.
pub(super) fn drop_others(data: &Folder, in_use: Option<&str>) {
    for other in std::fs::read_dir(data.centres()).into_iter().flatten().flatten() {
        if in_use.is_none_or(|version| other.file_name() != version)
            && let Err(error) = std::fs::remove_dir_all(other.path())
        {
            tracing::warn!(%error, centres = %other.path().display(), "earlier centres could not be removed");
        }
    }
}

/// The clusters in a line of `status`.
pub(super) fn said(clusters: &ClustersStatus) -> String {
    let ClustersStatus { centres, model, clusters, members } = clusters;
    let members = show::counted(*members, "member");
    let centres = centres.get(..12).unwrap_or(centres);
    let model = model.get(..12).unwrap_or(model);
    format!(
        "{members} in {}, centres {centres} of model {model}",
        show::counted((*clusters).into(), "cluster")
    )
}

fn say_used(context: &Context, used: &CentresUsed) -> Result<(), Failure> {
    if context.json {
        return show::json(used);
    }
    let CentresUsed { centres, previous, epoch } = used;
    show::text(&match (centres, previous) {
        (Some(centres), Some(previous)) => {
            format!(
                "members are found among centres {centres} from epoch {epoch} on; before it was {previous}"
            )
        }
        (Some(centres), None) => format!("members are found among centres {centres}, as of epoch {epoch}"),
        (None, Some(previous)) => {
            format!("members belong to no clusters from epoch {epoch} on; centres {previous} are gone")
        }
        (None, None) => "members belong to no clusters, as before".to_owned(),
    })
}
