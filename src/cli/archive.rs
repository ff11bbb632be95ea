//! `nearline archive`: what is archived, and what can be done about it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::args::ArchiveCommand;
use super::commands::{self, Ask};
use super::opening::store_options;
use super::{Context, Failure, show};
use crate::archive::ledger::Ledger;
use crate::archive::{self, Archive, ArchiveError, ArchiveState, Compacted, Queue, Verdict};
use crate::engine::recover::Standing;
use crate::repositories::Repository;
use crate::stores::long_read::LongRead;
use crate::stores::rocks::RocksStore;
use crate::stores::{Store, StoreError};

/// How often the archive is compared with the store where the two go on meanwhile.
const TRIES: usize = 4;
/// How long it waits in between.
const AGAIN: Duration = Duration::from_millis(300);

/// What the process that holds the folder is asked to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    Ship,
    Compact,
    Backfill,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    /// How many records were archived.
    shipped: u64,
    /// What was put together.
    compacted: Compacted,
    /// How far the archive is.
    state: ArchiveState,
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let text = error.to_string();
        if error.is_bad_use() { Failure::Use(text) } else { Failure::Failed(text) }
    }
}

/// `nearline archive`.
pub(super) fn archive(context: &Context, command: ArchiveCommand) -> Result<(), Failure> {
    match command {
        ArchiveCommand::Status => status(context),
        ArchiveCommand::Files => files(context),
        ArchiveCommand::Ship => task(context, Task::Ship),
        ArchiveCommand::Compact => task(context, Task::Compact),
        ArchiveCommand::Backfill => task(context, Task::Backfill),
        ArchiveCommand::Verify => verify(context),
        ArchiveCommand::Leave => leave(context),
    }
}

/// Does a task, as the process that holds the folder.
pub(super) fn perform(archive: Option<&Archive>, task: Task) -> Result<Done, Failure> {
    let archive = archive.ok_or_else(none)?;
    let (mut shipped, mut compacted) = (0, Compacted::default());
    match task {
        Task::Ship => shipped = archive.drain()?,
        Task::Compact => compacted = archive.compact(true)?,
        Task::Backfill => {
            if !archive.make_anew(true)? {
                let said = "a bulk load is under way or was broken off: the archive is made anew after it; start `nearline run` to make good \
                            what was broken off";
                return Err(Failure::Failed(said.into()));
            }
            shipped = archive.drain()?;
        }
    }
    Ok(Done { shipped, compacted, state: archive.state()? })
}

fn none() -> Failure {
    Failure::Use(
        "this folder has no archive: name a repository in the config, [archive] repository = \"…\", and start \
         `nearline run`"
            .into(),
    )
}

fn task(context: &Context, task: Task) -> Result<(), Failure> {
    let done = match commands::ask(context, &Ask::Archive(task))? {
        Some(done) => done,
        None => alone(context, task)?,
    };
    if context.json {
        return show::json(&done);
    }
    let Done { shipped, compacted, state } = &done;
    let what = match task {
        Task::Ship => format!("{} archived", show::counted(*shipped, "record")),
        Task::Compact => format!(
            "{} of {} became {}",
            show::counted(compacted.files, "file"),
            show::counted(compacted.days, "day"),
            compacted.into
        ),
        Task::Backfill => "the archive was made anew".to_owned(),
    };
    show::text(&format!("{what}; {}\n", size(state)))
}

fn size(state: &ArchiveState) -> String {
    format!(
        "{} in {} ({}) of {}",
        show::counted(state.records, "record"),
        show::counted(state.files, "file"),
        show::bytes(state.bytes),
        state.repository
    )
}

/// Where nobody holds the folder.
fn alone(context: &Context, task: Task) -> Result<Done, Failure> {
    let reader = RocksStore::open_reader(context.folder.path())?;
    if Standing::of(&reader)?.epoch == 0 {
        return Err(StoreError::Empty(context.folder.path().to_owned()).into());
    }
    drop(reader);
    let store: Arc<dyn Store> =
        Arc::new(RocksStore::open(context.folder.path(), store_options(&context.config, false))?);
    let standing = Standing::of(&*store)?;
    let long_read = Arc::new(LongRead::default());
    let archive = Archive::of(&context.folder, &context.config, (&store, &standing), &long_read)?;
    perform(archive.as_deref(), task)
}

#[derive(Serialize)]
struct Status {
    archive: Option<ArchiveState>,
    waiting: Queue,
    archives_left: Vec<String>,
}

fn status(context: &Context) -> Result<(), Failure> {
    let store = RocksStore::open_reader(context.folder.path())?;
    let status = Status {
        archive: ArchiveState::of(&store)?,
        waiting: Queue::of(&store)?,
        archives_left: archive::left(&store)?,
    };
    if context.json {
        return show::json(&status);
    }
    let state = status.archive.as_ref().ok_or_else(none)?;
    let rows = rows(state, &status.waiting);
    show::text(&rows.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect::<String>())
}

/// What there is to say of an archive, as rows of a status.
pub(super) fn rows(state: &ArchiveState, waiting: &Queue) -> Vec<(&'static str, String)> {
    let at = state.at.map_or_else(String::new, |at| format!(", at {}", show::time(at)));
    let queued =
        format!("{} ({}) waiting", show::counted(waiting.records, "record"), show::bytes(waiting.bytes));
    let mut rows =
        vec![("archive", size(state)), ("", format!("up to epoch {}{at}; {queued}", state.archived))];
    if waiting.anew {
        rows.push(("", "to be made anew from the store, which a running pipeline does".to_owned()));
    }
    rows
}

fn files(context: &Context) -> Result<(), Failure> {
    let store = RocksStore::open_reader(context.folder.path())?;
    let state = ArchiveState::of(&store)?.ok_or_else(none)?;
    let repository =
        Repository::open(&state.repository, &context.config.access).map_err(ArchiveError::from)?;
    let ledger = Ledger::read(&repository).map_err(ArchiveError::from)?;
    let files = ledger.map(|ledger| ledger.files).unwrap_or_default();
    let place = |name: &str| {
        repository.path_of(name).map_or_else(|| repository.url_of(name), |path| path.display().to_string())
    };
    let files: Vec<String> = files.iter().map(|file| place(&file.name)).collect();
    if context.json {
        return show::json(&files);
    }
    show::text(&files.iter().map(|file| format!("{file}\n")).collect::<String>())
}

fn verify(context: &Context) -> Result<(), Failure> {
    let verdict = compared(context)?;
    if context.json {
        show::json(&verdict)?;
    } else {
        show::text(&format!(
            "{} of the archive come to {} and {}, up to epoch {}\n",
            show::counted(verdict.records, "record"),
            show::counted(verdict.live_events - verdict.missing.min(verdict.live_events), "live event"),
            show::counted(verdict.items, "item"),
            verdict.epoch
        ))?;
    }
    if verdict.equal() {
        return Ok(());
    }
    let examples = verdict.examples.iter().map(|example| format!("\n  {example}")).collect::<String>();
    Err(Failure::No(format!(
        "the archive lacks {} of what is live in the store, has {} that is not, and {} more than once{examples}",
        show::count(verdict.missing),
        show::count(verdict.beyond),
        show::count(verdict.repeated)
    )))
}

/// Compares, and does so again where a running pipeline archived or compacted meanwhile.
fn compared(context: &Context) -> Result<Verdict, Failure> {
    for _ in 0..TRIES {
        let store = RocksStore::open_reader(context.folder.path())?;
        match archive::verify(&context.folder, &context.config, &store) {
            Ok(verdict) if verdict.archived <= verdict.epoch => return Ok(verdict),
            Ok(_) | Err(ArchiveError::File { .. }) => std::thread::sleep(AGAIN),
            Err(error) => return Err(error.into()),
        }
    }
    let store = RocksStore::open_reader(context.folder.path())?;
    Ok(archive::verify(&context.folder, &context.config, &store)?)
}

fn leave(context: &Context) -> Result<(), Failure> {
    let store = RocksStore::open(context.folder.path(), store_options(&context.config, false))?;
    let left = archive::leave(&store)?.ok_or_else(none)?;
    show::text(&format!(
        "the archive is off. What {left} holds stays there, and `forget` does not reach it any more; take the repository \
         out of the config too, or the next start begins anew there\n"
    ))
}
