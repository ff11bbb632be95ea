//! `nearline batch`: lists for all members, as the offline rung.

use std::path::Path;

use super::args::BatchArgs;
use super::commands::{self, Ask};
use super::opening::{self, Opening};
use super::publish::{self, What};
use super::watched::watched;
use super::{Context, Failure, line_up, now_ms, show};
use crate::batch::{BatchError, BatchQuery, Batches, Progress};
use crate::config::Config;
use crate::engine::Handle;
use crate::engine::recover::Standing;
use crate::serving::models::ServedModel;
use crate::stores::StoreError;
use crate::stores::formats::OfflineBatch;
use crate::stores::rocks::RocksStore;

/// `nearline batch`.
pub fn batch(context: &Context, args: &BatchArgs) -> Result<(), Failure> {
    let then = &args.then;
    match &then.publish {
        None => make_and_say(context, args),
        Some(name) => publish::publishing(context, name, then.to.as_deref(), |publications| {
            make_and_say(context, args)?;
            let told = publish::published(context, publications, name, &What::Lists)?;
            publish::said(context, publications, told)
        }),
    }
}

fn make_and_say(context: &Context, args: &BatchArgs) -> Result<(), Failure> {
    // What cannot be used is refused here, and the running pipeline knows it by its full path.
    let full = |model: &std::path::PathBuf| {
        model.canonicalize().map_err(|error| Failure::Use(format!("{}: {error}", model.display())))
    };
    let model = args.model.as_ref().map(full).transpose()?;
    let query = BatchQuery { algorithm: args.algorithm.clone(), model, limit: args.limit as usize };
    let made = match asked(context, &query)? {
        Some(made) => made,
        None => alone(context, &query)?,
    };
    if context.json {
        return show::json(&made);
    }
    let with = made.model.as_ref().map_or(String::new(), |model| format!(", model {model}"));
    let mut text = format!(
        "lists of {} by {}{with}, from epoch {}; served where fresh ones cannot be had, for {}",
        show::counted(made.members, "member"),
        made.algorithm,
        made.epoch,
        context.config.serve.offline_max_age,
    );
    if made.members == 0 {
        text += "\nno member has a list: there is nobody of whom this algorithm can say something";
    }
    show::text(&(text + "\n"))
}

/// Asks the process that holds the folder; none where nobody does.
fn asked(context: &Context, query: &BatchQuery) -> Result<Option<OfflineBatch>, Failure> {
    watched(
        || commands::ask(context, &Ask::Batch(query.clone())),
        || commands::ask(context, &Ask::BatchProgress).ok().flatten().map(done),
    )
}

fn done(progress: Progress) -> (u64, u64) {
    (progress.members, progress.of)
}

/// Where nobody holds the folder.
fn alone(context: &Context, query: &BatchQuery) -> Result<OfflineBatch, Failure> {
    let standing = Standing::of(&RocksStore::open_reader(context.folder.path())?)?;
    if standing.epoch == 0 {
        return Err(StoreError::Empty(context.folder.path().to_owned()).into());
    }
    // Opened with another config, the folder would have every list made anew on the way.
    standing.made_with(context.config.meaning_hash())?;
    let opened = opening::open_engine(&context.folder, &context.config, Opening::default())?;
    let (batches, handle) = (&*opened.batches, opened.engine.handle());
    let threads = context.config.run.threads();
    let made = watched(
        || make(batches, query, &context.config, threads, &handle),
        || Some(done(batches.progress())),
    );
    opened.engine.finish()?;
    made
}

/// Makes a batch in the process that holds the folder.
pub(super) fn make(
    batches: &Batches,
    query: &BatchQuery,
    config: &Config,
    threads: usize,
    handle: &Handle,
) -> Result<OfflineBatch, Failure> {
    let read = |path: &Path| line_up::read(config, path);
    let model = query.model.as_deref().map(read).transpose()?;
    let served = model.map(|model| ServedModel { side: model.side(), model });
    batches.make(query, served, threads, handle).map_err(|error| match error {
        BatchError::Refused(why) => Failure::No(why),
        BatchError::Serving(error) => error.into(),
        BatchError::Engine(error) => error.into(),
    })
}

/// The last batch in a line of `status`.
pub(super) fn said(batch: &OfflineBatch, config: &Config) -> String {
    let age = now_ms() - batch.made_at;
    let kept = config.serve.offline_max_age;
    let stale =
        if age > kept.ms() { format!(": no longer served, being older than {kept}") } else { String::new() };
    format!(
        "lists of {} by {}, made {} ago{stale}",
        show::counted(batch.members, "member"),
        batch.algorithm,
        show::age(age)
    )
}
