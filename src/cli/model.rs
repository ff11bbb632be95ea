//! `model show`, `model import` and `model export`.

use std::path::PathBuf;

use serde::Serialize;

use super::args::{ExportArgs, ImportArgs, ModelCommand};
use super::takeover;
use super::{Context, Failure, line_up, show};
use crate::config::Train;
use crate::engine::recover::Standing;
use crate::offline::export::To;
use crate::offline::import::Form;
use crate::offline::manifest::{Kind, Transform};
use crate::offline::model::{ITEMS, MANIFEST};
use crate::offline::norms::Norms;
use crate::offline::{Manifest, Model};
use crate::stores::StoreError;
use crate::stores::rocks::RocksStore;

/// `nearline model`.
pub fn model(context: &Context, command: ModelCommand) -> Result<(), Failure> {
    match command {
        ModelCommand::Show { folder } => show_model(context, folder),
        ModelCommand::Import(args) => import(context, &args),
        ModelCommand::Export(args) => export(context, args),
        ModelCommand::Use { folder } => takeover::use_model(context, &folder),
        ModelCommand::Rollback => takeover::roll_back(context),
    }
}

/// What `model show` answers.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    folder: String,
    on_disk: u64,
    norms: Norms,
}

fn show_model(context: &Context, folder: Option<PathBuf>) -> Result<(), Failure> {
    let folder = named_or_used(context, folder)?;
    let model = line_up::load(&folder)?;
    let size = |name| std::fs::metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
    let shown = Shown {
        manifest: &model.manifest,
        folder: folder.canonicalize().unwrap_or_else(|_| folder.clone()).display().to_string(),
        on_disk: size(MANIFEST) + size(ITEMS),
        norms: Norms::of(model.factors()),
    };
    if context.json { show::json(&shown) } else { show::text(&text(&shown)) }
}

/// The model that is named, or the one that the data folder's lists are made with.
fn named_or_used(context: &Context, named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(folder) = named {
        return Ok(folder);
    }
    let data = &context.folder;
    let standing = Standing::of(&RocksStore::open_reader(data.path())?)?;
    if standing.epoch == 0 {
        return Err(StoreError::Empty(data.path().to_owned()).into());
    }
    let version = standing.lists.model.ok_or_else(|| {
        let data = data.path().display();
        Failure::No(format!("{data} uses no model: name a model's folder, or give `run` one with --model"))
    })?;
    Ok(data.model(&version))
}

fn text(shown: &Shown<'_>) -> String {
    let Shown { manifest, folder, on_disk, norms } = shown;
    let counts = &manifest.counts;
    let mut rows = vec![
        ("model", manifest.version.clone()),
        ("folder", format!("{folder}, {}, format {}", show::bytes(*on_disk), manifest.format)),
        ("rank", manifest.rank.to_string()),
        ("items", show::count(counts.items)),
    ];
    if counts.events > 0 {
        let [events, members, pairs] = [counts.events, counts.members, counts.pairs].map(show::count);
        rows.push(("from", format!("{events} events of {members} members, {pairs} pairs")));
        rows.push(("trained at", manifest.trained_at.clone()));
    } else {
        rows.push(("from", "elsewhere".into()));
        rows.push(("imported at", manifest.trained_at.clone()));
    }
    rows.extend(manifest.loss.map(|loss| ("loss", format!("{loss:.1}"))));
    rows.push(("fold-in", fold_in(manifest)));
    let transform = match manifest.transform {
        Transform::Linear => "the weight is the signal".into(),
        Transform::Log1p => "the weight is the logarithm of one more than the signal".into(),
        Transform::Cap(cap) => format!("the weight is the signal, at most {cap}"),
    };
    rows.push(("transform", transform));
    let Norms { smallest, median, largest, zeros } = norms;
    rows.push(("norms", format!("{smallest:.4} at least, {median:.4} in the middle, {largest:.4} at most")));
    if *zeros > 0 {
        rows.push(("", format!("of zeros alone: {}", show::count(*zeros as u64))));
    }
    let kinds = manifest.kinds.iter().map(|(name, kind)| format!("{name:<12} {}", weight(kind)));
    rows.extend(kinds.enumerate().map(|(place, kind)| (if place == 0 { "kinds" } else { "" }, kind)));
    rows.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

/// The numbers that members are folded in with.
fn fold_in(manifest: &Manifest) -> String {
    let Manifest { alpha0, lambda, nu, .. } = manifest;
    format!("alpha0 {alpha0}, lambda {lambda}, nu {nu}")
}

fn weight(kind: &Kind) -> String {
    let mut words = format!("weight {}", kind.weight);
    if kind.times_value {
        words += " × value";
    }
    if let Some(from) = kind.counts_from {
        words += &format!(", from a value of {from} on");
    }
    if let Some(floor) = kind.floor {
        words += &format!(", no sum below {floor}");
    }
    words
}

fn import(context: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let given = [("--alpha0", args.alpha0), ("--lambda", args.lambda), ("--nu", args.nu)];
    let form = Form::of(&args.source, args.ids.as_deref())?;
    if let (Form::Ours, Some((flag, _))) = (&form, given.iter().find(|(_, number)| number.is_some())) {
        let source = args.source.display();
        return Err(Failure::Use(format!(
            "{source} is a model and says its own {flag}: leave the flag away"
        )));
    }
    let train = &context.config.train;
    let options = Train {
        alpha0: args.alpha0.unwrap_or(train.alpha0),
        lambda: args.lambda.unwrap_or(train.lambda),
        nu: args.nu.unwrap_or(train.nu),
        ..train.clone()
    };
    options.check().map_err(|error| Failure::Use(error.to_string()))?;
    let model = Model::import(&args.source, &form, &context.config.kinds, &options)?;
    let manifest = &model.manifest;
    if let Some(rank) = args.rank.filter(|rank| *rank != manifest.rank) {
        return Err(Failure::Use(format!(
            "{}: wrong rank: its factors are {} long, and --rank says {rank}; give other factors, or leave --rank away",
            args.source.display(),
            manifest.rank
        )));
    }
    model.save(&args.out)?;
    if context.json {
        return show::json(manifest);
    }
    show::text(&format!(
        "model {} in {}: rank {}, {} items; members are folded in with {}",
        manifest.version,
        args.out.display(),
        manifest.rank,
        show::count(manifest.counts.items),
        fold_in(manifest)
    ))
}

/// What `model export` answers.
#[derive(Serialize)]
struct Exported<'a> {
    version: &'a str,
    folder: String,
    files: &'a [&'a str],
}

fn export(context: &Context, args: ExportArgs) -> Result<(), Failure> {
    let model = line_up::load(&named_or_used(context, args.folder)?)?;
    let files = model.export(&args.to, args.format)?;
    let manifest = &model.manifest;
    if context.json {
        let folder = args.to.display().to_string();
        return show::json(&Exported { version: &manifest.version, folder, files: &files });
    }
    let paths: Vec<String> = files.iter().map(|file| args.to.join(file).display().to_string()).collect();
    let items = show::count(manifest.counts.items);
    let mut said = format!("{}: rank {}, {items} items", paths.join(" and "), manifest.rank);
    if args.format != To::Nearline {
        let Manifest { alpha0, lambda, nu, .. } = manifest;
        said += "\nkinds, transform and what members are folded in with are not in it: import it with the config that ";
        said += &format!("it was trained with and --alpha0 {alpha0} --lambda {lambda} --nu {nu}");
    }
    show::text(&said)
}
