//! `model use`, `model rollback` and `variants promote`: what the lists are made with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::commands::{self, Ask};
use super::line_up::Change;
use super::opening::{self, Opening};
use super::watched::watched;
use super::{Context, Failure, pipe, show};
use crate::engine::TakenOver;
use crate::engine::recover::Standing;
use crate::engine::socket::{self, Request, Wanted};
use crate::folder::Folder;
use crate::stores::formats::Standby;
use crate::stores::rocks::RocksStore;

/// `nearline model use`.
pub fn use_model(context: &Context, model: &Path) -> Result<(), Failure> {
    // What cannot be used is refused here, and the running pipeline knows it by its full path.
    let path = model.canonicalize().map_err(|error| Failure::Use(format!("{}: {error}", model.display())))?;
    take_over(context, Wanted::Use(path), Change::model(Some(model)))
}

/// `nearline variants promote`.
pub fn promote(context: &Context, name: &str) -> Result<(), Failure> {
    take_over(context, Wanted::Promote(name.to_owned()), Change { promote: Some(name), ..Change::default() })
}

/// Asks the process that holds the folder, or does it here where nobody does.
fn take_over(context: &Context, wanted: Wanted, change: Change<'_>) -> Result<(), Failure> {
    let taken = match asked(context, wanted)? {
        Some(taken) => taken,
        None => {
            let before = standing(&context.folder)?.lists;
            let opened = opening::open_engine(
                &context.folder,
                &context.config,
                Opening { change, ..Opening::default() },
            )?;
            let stop = Arc::new(AtomicBool::new(false));
            pipe::stop_on_signal(stop.clone())?;
            opened.engine.handle().settle(&stop)?;
            let (epoch, _) = opened.engine.finish()?;
            let Standing { lists, standby, .. } = standing(&context.folder)?;
            if standby.is_some_and(|standby| !standby.ready) {
                return Err(Failure::No(
                    "broken off; the lists are built when the pipeline runs again".into(),
                ));
            }
            let previous = Some(&before).filter(|before| **before != lists && !before.is_nothing());
            TakenOver::new(&lists, previous, epoch)
        }
    };
    say(context, &taken)
}

/// `nearline model rollback`.
pub fn roll_back(context: &Context) -> Result<(), Failure> {
    let taken = match asked(context, Wanted::RollBack)? {
        Some(taken) => taken,
        None => {
            let opened = opening::open_engine(&context.folder, &context.config, Opening::default())?;
            let taken = opened.engine.handle().roll_back();
            opened.engine.finish()?;
            taken.map_err(|error| Failure::No(error.to_string()))?
        }
    };
    say(context, &taken)
}

fn standing(folder: &Folder) -> Result<Standing, Failure> {
    Ok(Standing::of(&RocksStore::open_reader(folder.path())?)?)
}

/// Asks the process that holds the folder, and shows how far it is; none where there is no such process.
fn asked(context: &Context, wanted: Wanted) -> Result<Option<TakenOver>, Failure> {
    let socket = context.folder.socket();
    let request = Request { model: Some(wanted), ..Request::default() };
    // The process that builds them is asked: to open the store, as readers do, would take a core away from it.
    let built = || match commands::ask(context, &Ask::Standby).ok().flatten() {
        Some(Some(Standby { ready: false, built, members, .. })) => Some((built.into(), members.into())),
        _ => None,
    };
    let Some(answer) = watched(|| Ok(socket::ask(&socket, &request)?), built)? else { return Ok(None) };
    match answer.taken_over {
        Some(taken) => Ok(Some(taken)),
        None => Err(Failure::No(answer.error.unwrap_or_else(|| {
            "the pipeline that holds the folder is of an older version, and cannot do this".into()
        }))),
    }
}

fn say(context: &Context, taken: &TakenOver) -> Result<(), Failure> {
    if context.json {
        return show::json(taken);
    }
    let TakenOver { model, variant, previous, epoch } = taken;
    let live = match variant {
        Some(variant) if model.is_empty() => format!("variant {variant} is every member's"),
        Some(variant) => format!("variant {variant} is every member's, and model {model} is live,"),
        None if model.is_empty() => "members are split between the variants".to_owned(),
        None => format!("model {model} is live"),
    };
    show::text(&match previous {
        Some(previous) if variant.is_some() || previous == model || previous.is_empty() => format!(
            "{live} from epoch {epoch} on\nwhat was before stands by: `nearline model rollback` goes back to it"
        ),
        Some(previous) => format!(
            "{live} from epoch {epoch} on\nmodel {previous} stands by: `nearline model rollback` goes back to it"
        ),
        None => format!("{}; nothing stands by", live.trim_end_matches(',')),
    })
}
