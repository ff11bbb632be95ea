//! Commands that change a folder: asked of the process that holds it, through its socket, or done here where nobody
//! does.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::opening::Opened;
use super::{Context, Failure, archive, batch, cluster, mirrors, now_ms};
use crate::backups::With;
use crate::batch::BatchQuery;
use crate::config::Config;
use crate::engine::Handle;
use crate::engine::recover::Standing;
use crate::engine::socket::{self, Commands, Request};
use crate::erasure::{By, Eraser, Receipt};
use crate::folder::Folder;
use crate::jobs::Scheduler;
use crate::publications::subscriptions::Bell;

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// Forget these members, and erase them.
    Forget(Vec<String>),
    /// Erase what was forgotten.
    Erase,
    /// Make a backup in this folder.
    Backup(PathBuf, With),
    /// Take a backup off the list.
    BackupGone(PathBuf),
    /// Say what stands by.
    Standby,
    /// Make lists for all members.
    Batch(BatchQuery),
    /// Say how far that is.
    BatchProgress,
    /// Do something for the archive.
    Archive(archive::Task),
    /// Do something for the mirrors.
    Mirrors(mirrors::Task),
    /// A publication has a new version.
    Published(String),
    /// Find members among the centres of clusters in this folder; among none, unless given.
    Centres(Option<PathBuf>),
    /// Do a job now.
    Job(String),
}

/// What comes of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Erasure {
    /// None where there was nothing to erase.
    pub receipt: Option<Receipt>,
    /// Where the receipt is kept.
    pub kept: String,
}

/// Commands as the process that holds the folder does them.
pub(super) fn of(
    opened: &Opened,
    (folder, config): (&Folder, Config),
    handle: Handle,
    bells: Vec<(String, Arc<Bell>)>,
    jobs: Option<Arc<Scheduler>>,
) -> Commands {
    let Opened { store, eraser, batches, archive, mirrors: mirrored, .. } = opened;
    let (store, eraser, batches) = (store.clone(), eraser.clone(), batches.clone());
    let (archived, mirrored, folder) = (archive.clone(), mirrored.clone(), folder.clone());
    Arc::new(move |asked| {
        let asked: Ask = serde_json::from_value(asked).map_err(|error| format!("not a command: {error}"))?;
        let done = match asked {
            Ask::Backup(to, with) => eraser
                .back_up(&to, with, now_ms())
                .map(serde_json::to_value)
                .map_err(|error| error.to_string()),
            Ask::BackupGone(path) => {
                eraser.forget_backup(&path).map(serde_json::to_value).map_err(|error| error.to_string())
            }
            Ask::Standby => Standing::of(&*store)
                .map(|standing| serde_json::to_value(standing.standby))
                .map_err(|error| error.to_string()),
            Ask::Batch(query) => {
                // Half of the cores: events come first.
                let threads = config.run.threads().div_ceil(2);
                batch::make(&batches, &query, &config, threads, &handle)
                    .map(serde_json::to_value)
                    .map_err(|failure| failure.to_string())
            }
            Ask::Archive(task) => archive::perform(archived.as_deref(), task)
                .map(serde_json::to_value)
                .map_err(|failure| failure.to_string()),
            Ask::Centres(centres) => {
                match cluster::take(&folder, &handle, centres.as_deref()) {
                    // A failure is the pipeline's; a no is an answer.
                    Err(failure @ Failure::Failed(_)) => Err(failure.to_string()),
                    used => Ok(serde_json::to_value(used.map_err(|failure| failure.to_string()))),
                }
            }
            Ask::Mirrors(task) => mirrors::perform(mirrored.as_deref(), &task)
                .map(serde_json::to_value)
                .map_err(|failure| failure.to_string()),
            Ask::BatchProgress => Ok(serde_json::to_value(batches.progress())),
            Ask::Job(name) => match &jobs {
                Some(jobs) => {
                    jobs.run_now(&name).map(serde_json::to_value).map_err(|error| error.to_string())
                }
                None => Err("the process that holds the folder does no jobs: wait for its end".to_owned()),
            },
            Ask::Published(name) => {
                let mut followed = bells.iter().filter(|(known, _)| *known == name).peekable();
                let any = followed.peek().is_some();
                followed.for_each(|(_, bell)| bell.ring());
                Ok(serde_json::to_value(any))
            }
            Ask::Forget(_) | Ask::Erase => perform(asked, &eraser, &handle)
                .map(serde_json::to_value)
                .map_err(|failure| failure.to_string()),
        };
        done?.map_err(|error| error.to_string())
    })
}

/// Forgets or erases.
pub(super) fn perform(asked: Ask, eraser: &Eraser, handle: &Handle) -> Result<Erasure, Failure> {
    let done = match asked {
        Ask::Forget(members) => Some(eraser.forget(&members, now_ms(), handle)?),
        _ => eraser.erase(By::Command)?,
    };
    let (receipt, kept) = done.unzip();
    Ok(Erasure { receipt, kept: kept.map(|path| path.display().to_string()).unwrap_or_default() })
}

/// Asks the process that holds the folder; none where nobody does.
pub(super) fn ask<T: for<'a> Deserialize<'a>>(context: &Context, asked: &Ask) -> Result<Option<T>, Failure> {
    let asked = serde_json::to_value(asked).map_err(|error| Failure::Failed(error.to_string()))?;
    let request = Request { command: Some(asked), ..Request::default() };
    let Some(response) = socket::ask(&context.folder.socket(), &request)? else { return Ok(None) };
    if let Some(error) = response.error {
        return Err(Failure::Failed(error));
    }
    let answer = serde_json::from_value(response.answer.unwrap_or(Value::Null));
    answer.map(Some).map_err(|error| {
        Failure::Failed(format!("the process that holds the folder does not know this command: {error}"))
    })
}
