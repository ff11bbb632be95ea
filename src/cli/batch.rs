//! `nearline batch`: lists for all members, as the offline rung.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::BatchArgs;
use super::commands::{self, Ask};
use super::opening::{self, Opening};
use super::publish::{self, What};
use super::{Context, Failure, line_up, now_ms, show};
use crate::batch::{BatchError, BatchQuery, Batches, Progress};
use crate::config::Config;
use crate::engine::Handle;
use crate::engine::recover::Standing;
use crate::serving::models::ServedModel;
use crate::stores::StoreError;
use crate::stores::formats::OfflineBatch;
use crate::stores::rocks::RocksStore;

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often it is said where there is no terminal to draw a bar on.
const SAY_EVERY: Duration = Duration::from_secs(5);

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
        || commands::ask(context, &Ask::BatchProgress).ok().flatten(),
    )
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
    let made =
        watched(|| make(batches, query, &context.config, threads, &handle), || Some(batches.progress()));
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

/// Does something that takes long, and shows how far it is.
fn watched<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
    progress: impl Fn() -> Option<Progress>,
) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let working = scope.spawn(work);
        let (bar, mut said, mut looked) = (bar(), Instant::now(), Instant::now());
        while !working.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
            if looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            let Some(Progress { members, of }) = progress() else { continue };
            bar.set_length(of);
            bar.set_position(members);
            if bar.is_hidden() && said.elapsed() >= SAY_EVERY {
                let [members, of] = [members, of].map(show::count);
                show::aside(format_args!("lists of {members} of {of} members"));
                said = Instant::now();
            }
        }
        bar.finish_and_clear();
        working.join().unwrap_or_else(|_| Err(Failure::Failed("the batch ended before its time".into())))
    })
}

fn bar() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:30} lists of {pos} of {len} members  {eta} left");
    ProgressBar::with_draw_target(Some(0), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
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
