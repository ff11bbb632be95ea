//! `nearline tune`: trials, line by line, and the best config so far on disk.

use std::fs;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nearline_factors::Progress;
use serde_json::json;

use super::args::TuneArgs;
use super::{Context, Failure, fit, pipe, show};
use crate::config::{self, Config, Edit, Train, Transform};
use crate::offline::evaluate::{Gain, Shared};
use crate::offline::stopping::Sign;
use crate::offline::tune::{self as tuning, HeldBack, News, Settings, Trial, TuneOptions, Tuned};

/// How many trials there are where neither their number nor their time is given.
const TRIALS: u32 = 40;

/// `nearline tune`.
pub fn tune(context: &Context, args: TuneArgs, config_file: Option<&Path>) -> Result<(), Failure> {
    let begun = Instant::now();
    let train = fit::fit_options(context, &args.fit)?;
    let out = Out::new(&args.out, config_file, train.clone())?;
    let live = fit::live_set(context, &args.sources)?;
    let trials = args.trials.or(if args.minutes.is_none() { Some(TRIALS) } else { None });
    let options = TuneOptions {
        protocol: args.validation.with_seed(train.seed),
        train,
        hold_back: !args.whole,
        searched: args.search,
        max_rank: args.max_rank,
        patience: args.stop_early,
        trials: trials.map(|trials| trials as usize),
        until: args.minutes.map(|minutes| begun + minutes),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    pipe::stop_on_signal(interrupted.clone())?;
    let mut shown = Shown::new(&options, context.json);
    let mut failed = None;
    let tuned = tuning::tune(&live, &context.config.kinds, &options, &mut |news| {
        let done = shown.news(&news).and_then(|()| match news {
            News::Ended(trial) if trial.best => out.save(&trial.settings),
            _ => Ok(()),
        });
        if let Err(failure) = done {
            failed.get_or_insert(failure);
        }
        let stop = failed.is_some() || interrupted.load(Ordering::Relaxed);
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    shown.bar.finish_and_clear();
    if let Some(failure) = failed {
        return Err(failure);
    }
    let tuned = tuned?;
    if context.json {
        return show::json(&json!({ "tuned": tuned, "config": args.out }));
    }
    show::text(&summary(&tuned, &args.out))
}

/// Where the best config goes, and what it is laid over.
struct Out<'a> {
    path: &'a Path,
    /// The config in use, as its file has it.
    text: String,
    base: Train,
}

impl<'a> Out<'a> {
    /// Reads the config that is in use, and refuses a place that is taken.
    fn new(path: &'a Path, config_file: Option<&Path>, base: Train) -> Result<Self, Failure> {
        if path.exists() {
            let taken =
                format!("{} is there already, and is not written over; name another file", path.display());
            return Err(Failure::Use(taken));
        }
        let file = config_file.unwrap_or(Path::new(config::FILE));
        let text = match fs::read_to_string(file) {
            // Without a config file the defaults are in use.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let out = Out { path, text, base };
        // Where nothing can be written, that is said before the search and not after it.
        drop(out.beside()?);
        Ok(out)
    }

    /// Writes the config with these settings, whole or not at all.
    fn save(&self, settings: &Settings) -> Result<(), Failure> {
        let weights = settings.weights.iter().map(|(kind, weight)| (kind.as_str(), *weight)).collect();
        let edit = Edit { train: &settings.train(&self.base), weights };
        let text = config::edited(&self.text, &edit).map_err(|problem| self.unwritable(&problem))?;
        Config::parse(&text, &self.path.display().to_string()).map_err(|error| {
            Failure::Failed(format!("{error}; this is a fault of Nearline, please report it"))
        })?;
        let mut file = self.beside()?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all());
        written.map_err(|error| self.unwritable(&error))?;
        file.persist(self.path).map_err(|error| self.unwritable(&error.error))?;
        Ok(())
    }

    fn beside(&self) -> Result<tempfile::NamedTempFile, Failure> {
        let folder =
            self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As any file that a person writes; temporary files are their owner's alone unless told otherwise.
        let mode = fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().prefix(".nearline-config-").permissions(mode).tempfile_in(folder);
        file.map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, problem: &dyn std::fmt::Display) -> Failure {
        Failure::Use(format!("cannot write the config {}: {problem}", self.path.display()))
    }
}

/// What is shown while it searches: a bar on a terminal, and each trial as a line.
struct Shown {
    bar: ProgressBar,
    quiet: bool,
    trials: Option<usize>,
    trial: usize,
}

impl Shown {
    fn new(options: &TuneOptions, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(options.trials.map(|trials| trials as u64), target);
        let style =
            ProgressStyle::with_template("{bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        Shown { bar: bar.with_style(style), quiet, trials: options.trials, trial: 0 }
    }

    fn news(&mut self, news: &News<'_>) -> Result<(), Failure> {
        match news {
            News::Begun(number) => self.trial = *number,
            News::Sign(Sign::Step(Progress::Iteration(done))) => {
                let of = self.trials.map_or(String::new(), |trials| format!(" of {trials}"));
                self.bar.set_message(format!("trial {}{of}, iteration {}", self.trial, done.iteration));
            }
            News::Sign(_) => {}
            News::Ended(trial) => {
                self.bar.set_position(trial.number as u64);
                if !self.quiet {
                    return self.bar.suspend(|| show::text(&line(trial)));
                }
            }
            News::LastLook => self.bar.set_message("a last look at what was held back"),
        }
        Ok(())
    }
}

/// `trial  3  rank 64, …  NDCG@20 0.0541 ± 0.0012  (+0.0031 ± 0.0004)  2.1 s  best so far`.
fn line(trial: &Trial) -> String {
    let figure = match (trial.ndcg_20, trial.standard_error, &trial.failure) {
        (Some(figure), Some(error), _) => format!("NDCG@20 {figure:.4} ± {error:.4}"),
        (_, _, failure) => failure.clone().unwrap_or_default(),
    };
    let gain = trial.gain.map_or(String::new(), |gain| format!("  ({})", signed(&gain)));
    let alike = if trial.shared.is_some_and(|shared| shared.nearly_one()) { "  nearly one list" } else { "" };
    let best = if trial.best { "  best so far" } else { "" };
    let (number, settings) = (trial.number, words(&trial.settings));
    format!("trial {number:>3}  {settings}  {figure}{gain}  {:.1} s{alike}{best}", trial.seconds)
}

/// Settings in a line.
fn words(settings: &Settings) -> String {
    let Settings { rank, iterations, alpha0, lambda, nu, transform, weights } = settings;
    let transform = match transform {
        Transform::Linear => "linear".to_owned(),
        Transform::Log1p => "log1p".to_owned(),
        Transform::Cap(micros) => format!("cap {}", *micros as f64 / 1e6),
    };
    let weights: String = weights.iter().map(|(kind, weight)| format!(", {kind} {weight}")).collect();
    format!(
        "rank {rank}, {iterations} iterations, alpha0 {alpha0}, lambda {lambda}, nu {nu}, {transform}{weights}"
    )
}

fn signed(gain: &Gain) -> String {
    format!("{:+.4} ± {:.4}", gain.ndcg_20, gain.standard_error)
}

/// What a good figure does not say.
fn warning(shared: &Shared) -> String {
    format!(
        "beware: it gives everybody nearly the same list: those of two members have {:.0} % in common, where lists by \
         popularity have {:.0} %; with a smaller lambda they are more of each member's own, and fresh events change \
         them (docs/tuning.md, \"A trap\")\n",
        100.0 * shared.nearline,
        100.0 * shared.popularity
    )
}

/// What was found, and how to use it.
fn summary(tuned: &Tuned, out: &Path) -> String {
    let (trials, out) = (tuned.trials.len(), out.display());
    let first = match tuned.first {
        1 => "the first trial".into(),
        number => format!("trial {number}, the first that a model came of"),
    };
    let best = &tuned.trials[tuned.best - 1];
    let mut text = if best.number == 1 {
        format!("of {trials} trials none was better than the first, the config as it is\n")
    } else {
        let over = best.gain.as_ref().map_or(String::new(), |gain| {
            let members = show::count(tuned.members as u64);
            format!("by the lists of {members} members its NDCG@20 is {} over {first}\n", signed(gain))
        });
        format!("the best of {trials} trials is {}: {}\n{over}", best.number, words(&best.settings))
    };
    if let Some(HeldBack { members, first: began, best, gain }) = &tuned.held_back {
        let verdict = if gain.ndcg_20 > 2.0 * gain.standard_error {
            ""
        } else {
            "; that is no clear gain, and the config as it is may do as well"
        };
        text += &format!(
            "on what no trial saw ({} members): NDCG@20 {best:.4} with it, {began:.4} with that of {first}, {}{verdict}\n",
            show::count(*members as u64),
            signed(gain),
        );
    }
    text += &best.shared.filter(Shared::nearly_one).map_or(String::new(), |shared| warning(&shared));
    text + &format!("it is in {out}: nearline --config {out} train … --out DIR")
}
