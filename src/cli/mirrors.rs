//! `nearline mirrors`, and `nearline verify --mirror`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::args::MirrorsCommand;
use super::commands::{self, Ask};
use super::opening::store_options;
use super::{Context, Failure, show};
use crate::engine::recover::Standing;
use crate::mirrors::{self, Mirror, MirrorError, MirrorStatus, Mirrors};
use crate::stores::rocks::RocksStore;
use crate::stores::{Store, StoreError};

/// For how long what differs is looked at again, where the two go on meanwhile, and how long it waits in between. A look may itself
/// take long.
const TRY_FOR: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(250);

/// What the process that holds the folder is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// Bring one up, or all.
    Ship(Option<String>),
    /// Fill one anew.
    Fill(String),
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        let text = error.to_string();
        if error.is_bad_use() { Failure::Use(text) } else { Failure::Failed(text) }
    }
}

/// `nearline mirrors`.
pub(super) fn mirrors(context: &Context, command: MirrorsCommand) -> Result<(), Failure> {
    match command {
        MirrorsCommand::Status => status(context),
        MirrorsCommand::Ship { name } => task(context, &Task::Ship(name)),
        MirrorsCommand::Fill { name } => task(context, &Task::Fill(name)),
        MirrorsCommand::Leave { name } => leave(context, &name),
    }
}

fn none() -> Failure {
    Failure::Use(
        "this folder has no mirrors: name one in the config, [mirrors.NAME] url = \"…\", and start `nearline run`".into(),
    )
}

/// Does a task, as the process that holds the folder; says how far the mirrors are then.
pub(super) fn perform(mirrors: Option<&Mirrors>, task: &Task) -> Result<Vec<MirrorStatus>, Failure> {
    let mirrors = mirrors.ok_or_else(none)?;
    let wanted: Vec<&Mirror> = match task {
        Task::Ship(None) => mirrors.all().iter().collect(),
        Task::Ship(Some(name)) | Task::Fill(name) => vec![mirrors.named(name)?],
    };
    for mirror in &wanted {
        if matches!(task, Task::Fill(_)) {
            mirror.fill_anew()?;
        }
        if !mirrors.bring_up(mirror)? {
            let said = "a bulk load is under way or was broken off: mirrors are filled after it; start `nearline run` to make good \
                        what was broken off";
            return Err(Failure::Failed(said.into()));
        }
    }
    let status =
        |mirror: &&Mirror| MirrorStatus { name: mirror.name().to_owned(), state: mirror.state(), waiting: 0 };
    Ok(wanted.iter().map(status).collect())
}

fn task(context: &Context, task: &Task) -> Result<(), Failure> {
    let done = match commands::ask(context, &Ask::Mirrors(task.clone()))? {
        Some(done) => done,
        None => alone(context, task)?,
    };
    if context.json { show::json(&done) } else { show::text(&text(&done)) }
}

/// Where nobody holds the folder.
fn alone(context: &Context, task: &Task) -> Result<Vec<MirrorStatus>, Failure> {
    let reader = RocksStore::open_reader(context.folder.path())?;
    if Standing::of(&reader)?.epoch == 0 {
        return Err(StoreError::Empty(context.folder.path().to_owned()).into());
    }
    drop(reader);
    let store: Arc<dyn Store> =
        Arc::new(RocksStore::open(context.folder.path(), store_options(&context.config, false))?);
    let standing = Standing::of(&*store)?;
    let mirrors = Mirrors::of(&context.config, &store, &standing)?;
    perform(mirrors.as_deref(), task)
}

fn status(context: &Context) -> Result<(), Failure> {
    let store = RocksStore::open_reader(context.folder.path())?;
    let known = mirrors::status(&store)?;
    if context.json {
        let left = mirrors::left(&store)?;
        return show::json(&serde_json::json!({ "mirrors": known, "mirrors_left": left }));
    }
    if known.is_empty() {
        return Err(none());
    }
    show::text(&text(&known))
}

fn text(mirrors: &[MirrorStatus]) -> String {
    rows(mirrors).iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

/// What there is to say of mirrors, as rows of a status.
pub(super) fn rows(mirrors: &[MirrorStatus]) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    for (place, MirrorStatus { name, state, waiting }) in mirrors.iter().enumerate() {
        let at = state.at.map_or_else(String::new, |at| format!(", at {}", show::time(at)));
        rows.push((if place == 0 { "mirrors" } else { "" }, format!("{name}: {}", state.url)));
        let waiting = if *waiting > 0 {
            format!("; {} waiting", show::counted_as(*waiting, "entry", "entries"))
        } else {
            String::new()
        };
        let how_far = match &state.filling {
            Some(filling) => {
                format!("being filled, {} so far", show::counted_as(filling.written, "entry", "entries"))
            }
            None => format!("up to epoch {}", state.acked),
        };
        rows.push(("", format!("{how_far}{at}{waiting}")));
    }
    rows
}

fn leave(context: &Context, name: &str) -> Result<(), Failure> {
    let store = RocksStore::open(context.folder.path(), store_options(&context.config, false))?;
    let left = mirrors::leave(&store, name)?;
    show::text(&format!(
        "the mirror {name} is given up. What {left} holds stays there, and `forget` does not reach it any more; take the \
         mirror out of the config too, or the next start fills it anew\n"
    ))
}

/// `nearline verify --mirror NAME`.
pub(super) fn verify(context: &Context, name: &str) -> Result<(), Failure> {
    let known = context.config.mirrors.iter().find(|mirror| mirror.name == name);
    let mirror = known.ok_or_else(|| {
        let names: Vec<&str> = context.config.mirrors.iter().map(|mirror| mirror.name.as_str()).collect();
        let said = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Failure::Use(format!("the config names no mirror {name}; it names: {said}"))
    })?;
    let reader = || RocksStore::open_reader(context.folder.path());
    let store = reader()?;
    if Standing::of(&store)?.pending {
        let said = "the views lag behind the records: a bulk load or a rebuild is under way or was broken off; start \
                    `nearline run` to make them good";
        return Err(Failure::No(said.into()));
    }
    let mut comparison = mirrors::verify(mirror, &store)?;
    drop(store);
    let began = Instant::now();
    while !comparison.is_equal() && !comparison.again(&reader()?)? && began.elapsed() < TRY_FOR {
        std::thread::sleep(AGAIN);
    }
    let store = reader()?;
    let waiting = mirrors::status(&store)?.into_iter().find(|known| known.name == name);
    let waiting = waiting.map_or(0, |known| known.waiting);
    let verdict = comparison.verdict(&store)?;
    if context.json {
        show::json(&verdict)?;
    } else {
        show::text(&format!(
            "{} of the mirror {name} are as in the store, epoch {}\n",
            show::counted_as(verdict.same, "entry", "entries"),
            verdict.epoch
        ))?;
    }
    if verdict.equal() {
        return Ok(());
    }
    let examples = verdict.examples.iter().map(|example| format!("\n  {example}")).collect::<String>();
    let waits = if waiting > 0 {
        format!("; {} wait for the server, which `nearline mirrors ship` writes", show::count(waiting))
    } else {
        String::new()
    };
    Err(Failure::No(format!(
        "the mirror lacks {} of what is in the store, has {} that is not, and {} that says something else{waits}{examples}",
        show::count(verdict.missing),
        show::count(verdict.beyond),
        show::count(verdict.other)
    )))
}
