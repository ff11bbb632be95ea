//! What `train`, `tune` and `evaluate` have in common.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{FitArgs, SourceArgs};
use super::opening::of_all_members;
use super::{Context, Failure, pipe, show};
use crate::config::Train;
use crate::engine::recover::{self, Standing};
use crate::offline::LiveSet;
use crate::offline::live::Gatherer;
use crate::sources;
use crate::stores::rocks::RocksStore;

/// The config's options, with what was typed laid over them.
pub(super) fn fit_options(context: &Context, fit: &FitArgs) -> Result<Train, Failure> {
    let mut options = context.config.train.clone();
    options.rank = fit.rank.unwrap_or(options.rank);
    options.iterations = fit.iterations.unwrap_or(options.iterations);
    options.alpha0 = fit.alpha0.unwrap_or(options.alpha0);
    options.lambda = fit.lambda.unwrap_or(options.lambda);
    options.nu = fit.nu.unwrap_or(options.nu);
    options.seed = fit.seed.unwrap_or(options.seed);
    options.check().map_err(|error| Failure::Use(error.to_string()))?;
    Ok(options)
}

/// The live events of logs, or of the data folder where no log is named.
pub(super) fn live_set(context: &Context, given: &SourceArgs) -> Result<LiveSet, Failure> {
    let names = context.config.kinds.names.iter().map(String::as_str);
    if given.sources.is_empty() {
        let store = RocksStore::open_reader(context.folder.path())?;
        let standing = Standing::of(&store)?;
        of_all_members(&context.folder, &standing, "a model")?;
        let mut gatherer = Gatherer::new(names, context.folder.key(standing.key.as_deref())?);
        recover::records::<Failure>(&store, &standing, &mut |batch| {
            gatherer.take(&batch);
            Ok(())
        })?;
        return Ok(gatherer.finish());
    }
    let mut gatherer = Gatherer::new(names, crate::digests::DigestKey::new([0; 32]));
    let options = pipe::source_options(&context.config, given, false, Arc::new(AtomicBool::new(false)))?;
    let mut rejected = 0;
    for mut source in sources::open(&given.sources, &options, &|_| None)? {
        while let Some(batch) = source.next()? {
            rejected += batch.rejected.len() as u64;
            gatherer.take(&batch);
        }
    }
    if rejected > 0 {
        let count = show::count(rejected);
        show::aside(format_args!(
            "{count} lines were rejected and left out; `nearline check` says which and why"
        ));
    }
    Ok(gatherer.finish())
}

/// A bar for the iterations of training, on a terminal.
pub(super) fn iterations(of: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(of as u64), target);
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len}  {msg}  {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
