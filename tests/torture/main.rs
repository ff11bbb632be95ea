//! Torture: real `nearline` processes are fed a log drawn from a seed and killed at random moments, again and again;
//! nothing that was acknowledged may be lost, and in the end the digest must be that of a folder that nobody disturbed.
//!
//! `cargo test` runs a few dozen kills of it; `scripts/torture.sh --minutes N [--seed S]` as many as there is time for.
//! Where `NEARLINE_KAFKA` names a broker, trials of the same seeds follow that are fed through a topic of it.
//! A seed decides the records, how they are delivered and the plan of every life and its end: the same seed is the same
//! trial. What a process has come to when it is killed by the clock depends on the machine all the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "this is a program of its own, and talks to people")]

mod process;
mod topic;
mod trial;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use trial::{Shape, Tally, Trial};

/// The name by which `cargo test NAME` finds it.
const NAME: &str = "killed_at_any_moment_nothing_acknowledged_is_lost_and_the_digest_is_the_same";

/// What is asked for.
struct Asked {
    until: Duration,
    trials: usize,
    shape: Shape,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ours = ["--minutes", "--seed", "--trials", "--kills", "--workers", "--program"];
    let asked = if args.iter().any(|arg| ours.contains(&arg.as_str())) {
        match asked(&args) {
            Ok(asked) => asked,
            Err(why) => {
                println!(
                    "{why}\nusage: torture [--minutes N] [--trials N] [--seed S] [--kills A_TRIAL] [--workers 1,2,3] [--program PATH]"
                );
                return ExitCode::from(2);
            }
        }
    } else {
        // The short one. A name on the command line is that of some other test.
        if args.iter().any(|arg| arg == "--list") {
            println!("{NAME}: test");
            return ExitCode::SUCCESS;
        }
        if args.iter().any(|arg| !arg.starts_with('-') && !NAME.contains(arg.as_str())) {
            return ExitCode::SUCCESS;
        }
        let shape =
            Shape { seed: 1, kills: 12, workers: vec![1, 2, 3], large: false, program: None, brokers: None };
        Asked { until: Duration::MAX, trials: 4, shape }
    };
    let mut total = torture(&asked);
    let seeds = total.trials as u64;
    match brokers() {
        Some(brokers) => {
            // As many trials again, or one of the short ones, that are fed through Kafka.
            let trials = if asked.shape.large { asked.trials } else { 1 };
            let shape = Shape { brokers: Some(brokers), ..asked.shape.clone() };
            println!("through Kafka:");
            total.add(&torture(&Asked { trials, shape, ..asked }));
        }
        None => println!("skipped: trials through Kafka, as NEARLINE_KAFKA names no broker"),
    }
    println!("{}", table(&asked, seeds, &total));
    if total.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The broker to feed through, where there is one.
fn brokers() -> Option<String> {
    std::env::var("NEARLINE_KAFKA").ok().filter(|brokers| !brokers.is_empty())
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let shape =
        Shape { seed: 0, kills: 16, workers: vec![1, 2, 3], large: true, program: None, brokers: None };
    let mut asked = Asked { until: Duration::MAX, trials: usize::MAX, shape };
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    asked.shape.seed = clock.as_secs() % 1_000_000 * 1_000;
    let mut limited = false;
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} wants a value"))?;
        let number =
            || value.parse::<u64>().map_err(|_| format!("{flag} wants a number, and {value:?} is none"));
        match flag.as_str() {
            "--minutes" => asked.until = Duration::from_secs(60 * number()?),
            "--trials" => asked.trials = number()? as usize,
            "--seed" => asked.shape.seed = number()?,
            "--kills" => asked.shape.kills = number()?.max(1) as usize,
            "--program" => asked.shape.program = Some(value.into()),
            "--workers" => {
                let each = value
                    .split(',')
                    .map(|each| each.parse().map_err(|_| format!("{each:?} is no number of workers")));
                asked.shape.workers = each.collect::<Result<_, _>>()?;
            }
            _ => return Err(format!("{flag} is not known")),
        }
        limited |= matches!(flag.as_str(), "--minutes" | "--trials");
    }
    if !limited {
        asked.trials = 1;
    }
    Ok(asked)
}

/// Trial after trial, the seed one more each time.
fn torture(asked: &Asked) -> Tally {
    let began = Instant::now();
    let mut total = Tally::default();
    for number in 0..asked.trials {
        if began.elapsed() >= asked.until {
            break;
        }
        let shape = Shape { seed: asked.shape.seed + number as u64, ..asked.shape.clone() };
        let folder = tempfile::Builder::new().prefix("torture-").tempdir().unwrap();
        let mut trial = Trial::new(&shape, folder.path().to_owned());
        let ended = trial.run();
        let tally = &mut trial.tally;
        tally.differences = usize::from(ended.is_err());
        let said = match ended {
            Ok(()) => "no difference".to_owned(),
            Err(why) => {
                let kept = folder.keep();
                let workers: Vec<String> = shape.workers.iter().map(usize::to_string).collect();
                format!(
                    "DIFFERENT: {why}\n  the folder is kept: {}\n  again: scripts/torture.sh --seed {} --trials 1 --kills {} --workers {}",
                    kept.display(),
                    shape.seed,
                    shape.kills,
                    workers.join(","),
                )
            }
        };
        println!(
            "{:>5} s  seed {}: {} records, {} kills, {} cut at a byte, {} answers, {} acknowledged records looked for: {said}",
            began.elapsed().as_secs(),
            shape.seed,
            tally.records,
            tally.kills,
            tally.cuts,
            tally.answers,
            tally.checked,
        );
        total.add(tally);
    }
    total
}

fn table(asked: &Asked, seeds: u64, total: &Tally) -> String {
    let last = asked.shape.seed + seeds.saturating_sub(1);
    let rows = [
        ("seeds", format!("{} to {last}", asked.shape.seed)),
        ("kills (SIGKILL)", total.kills.to_string()),
        ("cut at a byte (RLIMIT_FSIZE)", total.cuts.to_string()),
        ("starts", total.starts.to_string()),
        ("records", total.records.to_string()),
        ("bytes", total.bytes.to_string()),
        ("answers of the socket and of forgets", total.answers.to_string()),
        ("models asked to take over while it ran", total.swaps.to_string()),
        ("acknowledged records looked for", total.checked.to_string()),
        ("differences", total.differences.to_string()),
    ];
    rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect()
}
