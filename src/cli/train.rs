//! `nearline train`: from logs or the store to a model, iteration by iteration, with checkpoints in between.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nearline_factors::{Progress, Trainer};

use super::args::TrainArgs;
use super::publish::{self, What};
use super::train_progress::TrainProgress;
use super::train_saving::Saving;
use super::{Context, Failure, fit, pipe, show};
use crate::config::Train;
use crate::offline::checkpoint::{Checkpoint, CheckpointError, Checkpoints};
use crate::offline::dataset::Dataset;
use crate::offline::evaluate::Estimate;
use crate::offline::evaluate::EvaluateError;
use crate::offline::stopping::{self, Sign};
use crate::offline::train::{TrainError, transform};
use crate::offline::training::Training;
use crate::offline::validation::{Look, Validation};
use crate::offline::{LiveSet, Model};

/// `nearline train`.
pub fn train(context: &Context, args: TrainArgs) -> Result<(), Failure> {
    let then = &args.then;
    // Held until it is published.
    let scratch = if args.out.is_none() { Some(tempfile::tempdir()?) } else { None };
    let kept = scratch.as_ref().map(|scratch| scratch.path().join("model"));
    let out = args.out.clone().or(kept).unwrap_or_default();
    match &then.publish {
        None => make(context, &args, &out),
        Some(name) => publish::publishing(context, name, then.to.as_deref(), |publications| {
            make(context, &args, &out)?;
            let told = publish::published(context, publications, name, &What::Model(&out))?;
            publish::said(context, publications, told)
        }),
    }
}

fn make(context: &Context, args: &TrainArgs, out: &Path) -> Result<(), Failure> {
    let mut options = fit::fit_options(context, &args.fit)?;
    Model::may_save(out)?;
    refuse_to_begin_over(args)?;
    let live = fit::live_set(context, &args.sources)?;
    if let Some(patience) = args.stop_early {
        options.iterations = iterations(context, args, &options, &live, patience)?;
    }
    let model = trained(context, args, &options, &live)?;
    model.save(out)?;
    let manifest = &model.manifest;
    if context.json {
        return show::json(manifest);
    }
    let place = args.out.as_ref().map_or(String::new(), |out| format!(" in {}", out.display()));
    show::text(&format!(
        "model {}{place}: rank {}, {} items, from {} events of {} members",
        manifest.version,
        manifest.rank,
        show::count(manifest.counts.items),
        show::count(manifest.counts.events),
        show::count(manifest.counts.members),
    ))
}

/// A folder with checkpoints is for going on: beginning anew in it would lose them.
fn refuse_to_begin_over(args: &TrainArgs) -> Result<(), Failure> {
    let Some(folder) = args.checkpoint.as_deref().filter(|_| !args.resume) else { return Ok(()) };
    match Checkpoints::newest_in(folder)? {
        Some(iteration) => Err(Failure::Use(format!(
            "{} holds a checkpoint of iteration {iteration}: --resume goes on from it; to begin anew, name another \
             folder or remove that one",
            folder.display()
        ))),
        None => Ok(()),
    }
}

/// How many iterations are best, found on a part of the log. The model itself is then trained on all of it.
fn iterations(
    context: &Context,
    args: &TrainArgs,
    options: &Train,
    live: &LiveSet,
    patience: usize,
) -> Result<usize, Failure> {
    let table = &context.config.kinds;
    let protocol = args.validation.with_seed(options.seed);
    let validation = Validation::new(live, table, protocol, Look::All)?;
    let keep = |member, event: &_| validation.trains(member, event);
    let data = Dataset::new(live, &table.kinds, transform(options.transform), keep);
    let training = Training::new(live, &data, table, options)?;
    let mut progress = TrainProgress::measuring(options.iterations, context.json);
    let mut done = 0;
    let best = stopping::best(&training, (&validation, table), Some(patience), &mut |sign| {
        match sign {
            Sign::Step(step) => progress.show(step),
            Sign::Measured(figure) => {
                done += 1;
                progress.measured(done, figure);
            }
        }
        ControlFlow::Continue(())
    })?;
    progress.end();
    let Estimate { mean: figure, standard_error: error } = best.tally.ndcg_20(validation.weighing());
    show::aside(format_args!(
        "{} iterations are best: NDCG@20 {figure:.4} ± {error:.4} of {} members; now training on everything",
        best.iterations,
        show::count(validation.members() as u64)
    ));
    Ok(best.iterations)
}

fn trained(context: &Context, args: &TrainArgs, options: &Train, live: &LiveSet) -> Result<Model, Failure> {
    let table = &context.config.kinds;
    let data = Dataset::new(live, &table.kinds, transform(options.transform), |_, _| true);
    let training = Training::new(live, &data, table, options)?;
    let Some(folder) = &args.checkpoint else {
        return stepped(&training, (training.begin()?, Vec::new()), None, context.json);
    };
    let checkpoints = Checkpoints::open(folder, training.origin())?;
    let found = if args.resume { checkpoints.load()? } else { None };
    let begun = match found {
        Some(Checkpoint { losses, state }) => {
            show::aside(format_args!(
                "going on from iteration {} of {}",
                state.iteration, options.iterations
            ));
            (training.go_on(state)?, losses)
        }
        None => (training.begin()?, Vec::new()),
    };
    stepped(&training, begun, Some(Saving::new(checkpoints, args.checkpoint_every)), context.json)
}

/// Steps to the end. With checkpoints an interrupt breaks off, and what was not saved yet is; without there is nothing to
/// put in order, and it ends the process as ever.
fn stepped(
    training: &Training<'_>,
    (mut trainer, mut losses): (Trainer<'_>, Vec<f64>),
    mut saving: Option<Saving>,
    quiet: bool,
) -> Result<Model, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    if saving.is_some() {
        pipe::stop_on_signal(interrupted.clone())?;
    }
    let mut progress = TrainProgress::new(trainer.iteration(), training.iterations(), quiet);
    let mut on = |step: &Progress| {
        progress.show(step);
        // An iteration that is done counts, whatever comes with its end.
        let within = matches!(step, Progress::Rows { .. });
        if within && interrupted.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    while trainer.iteration() < training.iterations() {
        let done = trainer.step(&mut on).map_err(|error| broken_off(error, &mut saving))?;
        losses.push(done.loss);
        if let Some(saving) = &mut saving {
            saving.iteration(&trainer, &losses)?;
        }
    }
    let trained = trainer.finish(&mut on).map_err(|error| broken_off(error, &mut saving))?;
    progress.end();
    Ok(training.model(&trained.items, losses.last().copied())?)
}

fn broken_off(error: nearline_factors::TrainError, saving: &mut Option<Saving>) -> Failure {
    match saving {
        Some(saving) if error == nearline_factors::TrainError::Stopped => match saving.leave() {
            Ok(said) => Failure::Interrupted(said),
            Err(error) => error.into(),
        },
        _ => TrainError::from(error).into(),
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        Failure::Use(error.to_string())
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Failure::Use(error.to_string())
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        Failure::Use(error.to_string())
    }
}
