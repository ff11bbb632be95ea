//! `nearline backup` and `nearline restore`.

use std::path::Path;

use super::args::BackupArgs;
use super::commands::{self, Ask};
use super::{Context, Failure, now_ms, show};
use crate::backups::{self, Backup, With};
use crate::engine::recover::Standing;
use crate::stores::StoreError;
use crate::stores::rocks::{RocksOptions, RocksStore};

/// `nearline backup`.
pub fn backup(context: &Context, args: &BackupArgs) -> Result<(), Failure> {
    // The process that holds the folder may have another working folder.
    let to = std::path::absolute(&args.to)?;
    if args.gone {
        let was = match commands::ask(context, &Ask::BackupGone(to.clone()))? {
            Some(was) => was,
            None => backups::forget(&alone(context)?, &to)?,
        };
        return match was {
            true => show::text(&format!("{} is no longer on the list of backups", to.display())),
            false => Err(Failure::No(format!("no backup of this folder was made in {}", to.display()))),
        };
    }
    let with = With { key: args.with_key, rejected: args.with_rejected };
    let made: Backup = match commands::ask(context, &Ask::Backup(to.clone(), with))? {
        Some(made) => made,
        None => backups::make(&alone(context)?, &context.folder, &to, with, now_ms())?,
    };
    if context.json {
        return show::json(&made);
    }
    let mut text = format!("epoch {} with {} in {}", made.epoch, events(&made), to.display());
    if !made.with_key {
        let key = context.folder.key_file();
        text += &format!("\nkeep {} apart: without it the backup cannot be restored", key.display());
    }
    show::text(&text)
}

/// The store, where nobody holds it.
fn alone(context: &Context) -> Result<RocksStore, Failure> {
    let data = context.folder.path();
    if Standing::of(&RocksStore::open_reader(data)?)?.epoch == 0 {
        return Err(StoreError::Empty(data.to_owned()).into());
    }
    Ok(RocksStore::open(data, RocksOptions { plain: context.config.store.plain, ..RocksOptions::default() })?)
}

/// `nearline restore`.
pub fn restore(context: &Context, backup: &Path, key: Option<&Path>) -> Result<(), Failure> {
    let restored = backups::restore(backup, &context.folder, key)?;
    if context.json {
        return show::json(&restored);
    }
    let data = context.folder.path().display();
    show::text(&format!("epoch {} with {} is in {data}", restored.epoch, events(&restored)))
}

fn events(backup: &Backup) -> String {
    show::counted(backup.live_events, "live event")
}
