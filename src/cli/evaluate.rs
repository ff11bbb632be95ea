//! `evaluate`.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;

use super::args::{EvaluateArgs, PartName, ProtocolName};
use super::fit::{fit_options, iterations, live_set};
use super::{Context, Failure, show};
use crate::offline::evaluate::{
    Comparison, EvaluateError, EvaluateOptions, Part, Prequential, PrequentialOptions, Protocol, Report,
    Split, Stage, evaluate as evaluate_split, evaluate_lightgcn, evaluate_ncf, evaluate_prequential,
    evaluate_strong, evaluate_strong_log,
};
use crate::records::time::parse_rfc3339;

/// `nearline evaluate`.
pub fn evaluate(context: &Context, args: EvaluateArgs) -> Result<(), Failure> {
    args.check().map_err(Failure::Use)?;
    let train = fit_options(context, &args.fit)?;
    let kinds = &context.config.kinds;
    let files: Vec<&Path> = args.sources.sources.iter().map(Path::new).collect();
    let bar = iterations(train.iterations);
    let mut tell = |stage: Stage| tell(&bar, stage);
    match args.protocol {
        ProtocolName::Time | ProtocolName::Members => {
            let protocol = match args.protocol {
                ProtocolName::Members => Protocol::Members { seed: train.seed },
                _ => Protocol::Time(split(&args)?),
            };
            let live = live_set(context, &args.sources)?;
            let report = evaluate_split(&live, kinds, &EvaluateOptions { protocol, train }, &mut tell);
            say(context, &bar, report, Report::table)
        }
        ProtocolName::Prequential => {
            let options = PrequentialOptions {
                start: split(&args)?,
                refresh_hours: args.refresh_hours.unwrap_or(24),
                retrain_hours: args.retrain_hours,
                window_hours: args.window_hours,
                k: args.k.unwrap_or(20) as usize,
            };
            let live = live_set(context, &args.sources)?;
            let report = evaluate_prequential(&live, kinds, &options, &train, &mut tell);
            say(context, &bar, report, Prequential::table)
        }
        ProtocolName::Strong => {
            let found = match files[..] {
                [folder] if folder.join("train.csv").is_file() => {
                    let part = args.part.map_or(Part::default(), Part::from);
                    evaluate_strong(folder, part, &train, &mut tell)
                }
                _ if args.part.is_some() => {
                    let why = "--part goes with a folder of train.csv, test_tr.csv, test_te.csv and the like";
                    return Err(Failure::Use(why.into()));
                }
                _ => evaluate_strong_log(&live_set(context, &args.sources)?, kinds, &train, &mut tell),
            };
            say(context, &bar, found, Comparison::table)
        }
        ProtocolName::Lightgcn => {
            let (train_file, test_file) = lightgcn_files(&files)?;
            say(
                context,
                &bar,
                evaluate_lightgcn(&train_file, &test_file, &train, &mut tell),
                Comparison::table,
            )
        }
        ProtocolName::Ncf => {
            let &[given] = &files[..] else {
                let why =
                    "the protocol `ncf` wants one folder, or the beginning of NAME.train.rating and its like";
                return Err(Failure::Use(why.into()));
            };
            say(context, &bar, evaluate_ncf(given, &train, &mut tell), Comparison::table)
        }
    }
}

/// Where a log is divided.
fn split(args: &EvaluateArgs) -> Result<Split, Failure> {
    match &args.split_at {
        None => Ok(args.split.map_or(Split::default(), Split::Quantile)),
        Some(at) => match parse_rfc3339(at) {
            Ok(at) => Ok(Split::At(at)),
            Err(problem) => Err(Failure::Use(format!("--split-at {at}: {problem}"))),
        },
    }
}

fn lightgcn_files(given: &[&Path]) -> Result<(PathBuf, PathBuf), Failure> {
    match given {
        [folder] if folder.is_dir() => Ok((folder.join("train.txt"), folder.join("test.txt"))),
        [train, test] => Ok((train.into(), test.into())),
        _ => {
            let why =
                "the protocol `lightgcn` wants a folder with train.txt and test.txt, or these two files";
            Err(Failure::Use(why.into()))
        }
    }
}

fn say<R: Serialize>(
    context: &Context,
    bar: &ProgressBar,
    found: Result<R, EvaluateError>,
    table: impl Fn(&R) -> String,
) -> Result<(), Failure> {
    bar.finish_and_clear();
    let found = found.map_err(|error| Failure::Use(error.to_string()))?;
    if context.json { show::json(&found) } else { show::text(&table(&found)) }
}

fn tell(bar: &ProgressBar, stage: Stage) {
    match stage {
        Stage::Training(progress) => {
            bar.set_length(progress.of as u64);
            bar.set_position(progress.iteration as u64);
            bar.set_message(format!("training, loss {:.1}", progress.loss));
        }
        Stage::Testing { done, of } => {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            bar.set_message("tested");
        }
    }
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Validation => Part::Validation,
            PartName::Test => Part::Test,
        }
    }
}
