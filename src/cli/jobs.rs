//! `nearline jobs`, and the jobs of a running pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;

use super::args::{Cli, JobsArgs, JobsCommand};
use super::commands::{self, Ask};
use super::{Context, Failure, now_ms, pipe, show};
use crate::jobs::board::kept;
use crate::jobs::history::{JobState, Outcome, Run};
use crate::jobs::{JobsError, Publisher, Scheduler, Way};

/// How often it is looked whether a run that was asked for is to end.
const LOOK: Duration = Duration::from_millis(50);

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        match error {
            JobsError::None { .. } => Failure::Use(error.to_string()),
            JobsError::UnderWay(_) => Failure::No(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        }
    }
}

/// The jobs of a pipeline that goes on, which are not begun yet. Commands that cannot be are refused now, and not at night.
pub(super) fn scheduler(context: &Context) -> Result<Scheduler, Failure> {
    let mut before = vec!["--data".to_owned(), context.folder.path().display().to_string()];
    if let Some(file) = &context.config_file {
        before.extend(["--config".to_owned(), file.display().to_string()]);
    }
    for job in &context.config.jobs {
        let arguments = job.arguments();
        let typed = ["nearline"].into_iter().chain(before.iter().chain(&arguments).map(String::as_str));
        if let Err(error) = Cli::try_parse_from(typed) {
            let said = error.to_string();
            let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
            return Err(Failure::Use(format!(
                "`jobs.{}.command`: nearline {}: {first}",
                job.name,
                arguments.join(" ")
            )));
        }
    }
    let program = std::env::current_exe()?;
    let publications = &context.config.publications;
    let publisher =
        Publisher { repository: publications.repository.clone(), access: context.config.access.clone() };
    Ok(Scheduler::new(&context.folder, &context.config.jobs, Way { program, before, publisher }))
}

/// `nearline jobs`.
pub(super) fn jobs(context: &Context, args: &JobsArgs) -> Result<(), Failure> {
    match &args.command {
        None => list(context),
        Some(JobsCommand::Run { name }) => run(context, name),
        Some(JobsCommand::History { name, limit }) => history(context, name, *limit),
    }
}

/// The jobs of the config with what is known of them.
fn known(context: &Context) -> Result<Vec<JobState>, Failure> {
    let kept = kept(&context.folder.jobs())?;
    let jobs = &context.config.jobs;
    Ok(jobs
        .iter()
        .map(|job| {
            let known = kept.iter().find(|state| state.job == job.name && state.at == job.at.text());
            let command = job.arguments().join(" ");
            let unknown = || JobState {
                job: job.name.clone(),
                at: job.at.text().to_owned(),
                command: command.clone(),
                next: job.at.after(now_ms()),
                ..JobState::default()
            };
            known.cloned().unwrap_or_else(unknown)
        })
        .collect())
}

fn list(context: &Context) -> Result<(), Failure> {
    scheduler(context)?;
    let all = known(context)?;
    if context.json {
        return show::json(&all);
    }
    if all.is_empty() {
        return show::text("there are no jobs: give the config tables [jobs.NAME] (docs/jobs.md)\n");
    }
    let row = |state: &JobState| {
        vec![
            state.job.clone(),
            state.at.clone(),
            state.command.clone(),
            state.last().map_or("never".into(), said),
            state.next.map_or("-".into(), show::time),
            show::count(state.runs),
            show::count(state.failures),
        ]
    };
    let header = ["job", "at", "command", "last run", "next", "runs", "failed"];
    show::text(&show::table(&header, &[5, 6], all.iter().map(row)))
}

/// A run in some words.
fn said(run: &Run) -> String {
    match run.ended {
        Some(ended) => format!("{}, {} ago", run.outcome.as_str(), show::age(now_ms() - ended)),
        None => format!("{}, for {}", run.outcome.as_str(), show::age(now_ms() - run.began)),
    }
}

/// A job in a line of `status`.
pub(super) fn status_line(state: &JobState) -> String {
    let next = state.next.map_or(String::new(), |next| format!("; next at {}", show::time(next)));
    let mut text = format!("{}: {}{next}", state.job, state.last().map_or("never ran".into(), said));
    let whys = state.last().filter(|run| run.outcome != Outcome::Good).and_then(|run| run.why.as_deref());
    if let Some(why) = whys {
        text += &format!("; {why}");
    }
    if state.missed_at.is_some() {
        text += "; a run was missed, and none was good since";
    }
    text
}

fn history(context: &Context, name: &str, limit: usize) -> Result<(), Failure> {
    let kept = kept(&context.folder.jobs())?;
    let Some(state) = kept.into_iter().find(|state| state.job == name) else {
        let jobs = &context.config.jobs;
        if jobs.iter().any(|job| job.name == name) {
            return Err(Failure::No(format!("the job {name} never ran")));
        }
        let known = jobs.iter().map(|job| job.name.clone()).collect();
        return Err(JobsError::None { name: name.to_owned(), known }.into());
    };
    let runs: Vec<&Run> = state.history.iter().rev().take(limit).collect();
    if context.json {
        return show::json(&runs);
    }
    show::text(&runs.iter().map(|run| run_text(run)).collect::<String>())
}

/// A run with all that is known of it.
fn run_text(run: &Run) -> String {
    let took = run.ended.map_or(String::new(), |ended| format!(" after {}", show::age(ended - run.began)));
    let tries = if run.attempts > 1 { format!(", tried {} times", run.attempts) } else { String::new() };
    let mut text = format!("{}  {}{took}{tries}", show::time(run.began), run.outcome.as_str());
    if let Some(version) = &run.version {
        text += &format!("; published version {}", version.get(..12).unwrap_or(version));
    }
    if let Some(why) = &run.why {
        text += &format!(": {why}");
    }
    text += "\n";
    text + &run.said.iter().map(|line| format!("    {line}\n")).collect::<String>()
}

fn run(context: &Context, name: &str) -> Result<(), Failure> {
    let run = match commands::ask(context, &Ask::Job(name.to_owned()))? {
        Some(run) => run,
        None => alone(context, name)?,
    };
    if context.json {
        show::json(&run)?;
    } else {
        show::text(&run_text(&run))?;
    }
    match run.outcome {
        Outcome::Good => Ok(()),
        other => Err(Failure::No(format!("the job {name}: {}", other.as_str()))),
    }
}

/// Where nobody holds the folder.
fn alone(context: &Context, name: &str) -> Result<Run, Failure> {
    std::fs::create_dir_all(context.folder.path())?;
    let scheduler = scheduler(context)?;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    pipe::stop_on_signal(stop.clone())?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) {
                    scheduler.stop();
                }
                std::thread::sleep(LOOK);
            }
        });
        let run = scheduler.run_now(name);
        done.store(true, Ordering::Relaxed);
        Ok(run?)
    })
}
