//! `nearline forget`: erase members, with a receipt.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::args::ForgetArgs;
use super::commands::{self, Ask, Erasure};
use super::opening::{self, Opening};
use super::{Context, Failure, member_id, show};
use crate::engine::recover::Standing;
use crate::erasure::{By, Eraser, Receipt};
use crate::stores::StoreError;
use crate::stores::rocks::RocksStore;

/// `nearline forget`.
pub fn forget(context: &Context, args: &ForgetArgs) -> Result<(), Failure> {
    let mut members = args.members.clone();
    if let Some(file) = &args.file {
        members.extend(named_in(file)?);
    }
    members.iter().try_for_each(|member| member_id(member))?;
    let asked = if args.pending { Ask::Erase } else { Ask::Forget(members) };
    let Erasure { receipt, kept } = match commands::ask(context, &asked)? {
        Some(done) => done,
        None => alone(context, asked)?,
    };
    let Some(receipt) = receipt else {
        return show::text("nothing that was forgotten is still on the disk");
    };
    if let Some(path) = &args.receipt {
        let say =
            |error| Failure::Failed(format!("the receipt cannot be written to {}: {error}", path.display()));
        receipt.write(path).map_err(say)?;
    }
    if context.json { show::json(&receipt) } else { show::text(&text(&receipt, &kept)) }
}

/// Where nobody holds the folder.
fn alone(context: &Context, asked: Ask) -> Result<Erasure, Failure> {
    let standing = Standing::of(&RocksStore::open_reader(context.folder.path())?)?;
    if standing.epoch == 0 {
        return Err(StoreError::Empty(context.folder.path().to_owned()).into());
    }
    // Opened with another config, the folder would have every list made anew on the way.
    standing.made_with(context.config.meaning_hash())?;
    let opened = opening::open_engine(&context.folder, &context.config, Opening::default())?;
    let done = commands::perform(asked, &opened.eraser, &opened.engine.handle());
    opened.engine.finish()?;
    done
}

/// The ids that a file names, one a line.
fn named_in(file: &Path) -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Use(format!("{}: {error}", file.display())))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// Makes good, beside everything else, an erasure that an earlier process was to make.
pub(super) fn make_good(eraser: &Arc<Eraser>) -> Option<JoinHandle<()>> {
    if eraser.pending().is_ok_and(|pending| pending == 0) {
        return None;
    }
    let eraser = eraser.clone();
    let erase = move || match eraser.erase(By::Start) {
        Ok(Some((receipt, kept))) => show::aside(said(&receipt, &kept.display().to_string())),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "an earlier forget could not be made good"),
    };
    let erasing = std::thread::Builder::new().name("eraser".into()).spawn(erase);
    erasing
        .inspect_err(|error| tracing::error!(%error, "an earlier forget is made good at the next start"))
        .ok()
}

/// Waits for what was begun at the start, and erases what forgets among the records have left.
pub(super) fn at_end(eraser: &Eraser, begun: Option<JoinHandle<()>>) -> Result<(), Failure> {
    if let Some(begun) = begun {
        // What broke off is made good below.
        let _ = begun.join();
    }
    if let Some((receipt, kept)) = eraser.erase(By::End)? {
        show::aside(said(&receipt, &kept.display().to_string()));
    }
    Ok(())
}

fn said(receipt: &Receipt, kept: &str) -> String {
    let count = receipt.members.len();
    format!("{} erased; the receipt is in {kept}", show::counted(count as u64, "forgotten member"))
}

fn text(receipt: &Receipt, kept: &str) -> String {
    let mut text = String::new();
    for member in &receipt.members {
        let removed = &member.removed;
        text += &format!(
            "forgotten up to {}, from epoch {} on: {}, {}, {}, {}, {}\n  what is left is a keyed digest: {}\n",
            show::time(member.at),
            member.epoch,
            show::counted(removed.events, "event"),
            show::counted(removed.retractions, "retraction"),
            show::counted(removed.popularity + removed.performance, "count"),
            show::counted(removed.factors, "factor"),
            show::counted(removed.lists + removed.batch_lists, "list"),
            member.member_digest
        );
    }
    let trained: BTreeSet<&String> = receipt.members.iter().flat_map(|member| &member.models).collect();
    for model in trained {
        text += &format!("model {model} was trained on them: train anew, and say `nearline model use`\n");
    }
    for model in &receipt.models_unknown {
        text += &format!(
            "model {model} may have been trained on them: it came from elsewhere and does not say\n"
        );
    }
    text += &format!(
        "{} of the store written anew: {} before, {} now\n",
        show::counted(receipt.files.rewritten, "file"),
        show::bytes(receipt.files.bytes),
        show::bytes(receipt.files.bytes_after)
    );
    if receipt.rejected_redacted > 0 {
        text += &format!("{} redacted\n", show::counted(receipt.rejected_redacted, "rejected line"));
    }
    if !receipt.archived.is_empty() {
        text += &format!(
            "{} of the archive held them and gave way to others\n",
            show::counted(receipt.archived.len() as u64, "file")
        );
    }
    for left in &receipt.archives_left {
        text += &format!(
            "{left} held the archive before it was turned off there, and may still hold them: erase there\n"
        );
    }
    for mirror in &receipt.mirrors {
        text += &format!("the mirror at {mirror} holds nothing of them\n");
    }
    for left in &receipt.mirrors_left {
        text +=
            &format!("{left} held a mirror before it was given up, and may still hold them: erase there\n");
    }
    for backup in &receipt.backups {
        let where_to =
            if backup.reachable { "destroy it or make it anew" } else { "it is not there; find it" };
        text += &format!(
            "a backup of {} still holds them: {} ({where_to}, then say `nearline backup --gone`)\n",
            show::time(backup.made.at),
            backup.made.path
        );
    }
    text + &format!("the receipt is in {kept}\n")
}
