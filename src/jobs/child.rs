//! One attempt of a job: a process, what it says, and its end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::parent::{GRACE, VARIABLE};
use super::run::Way;
use crate::config::jobs::Job;

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How many lines of what it says are kept,
const LINES: usize = 20;
/// and how many bytes of each.
const WIDTH: usize = 500;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With exit code 0.
    Good,
    /// With another, or not at all.
    Failed {
        /// Its exit code; none where a signal ended it.
        exit: Option<i32>,
        /// Why it failed.
        why: String,
        /// What it said last.
        said: Vec<String>,
    },
    /// The process that began it is ending.
    Stopped,
}

/// Does a job once, until it ends, its time is over, or `stop` is set.
pub(super) fn attempt(job: &Job, way: &Way, stop: &AtomicBool) -> End {
    let failed = |why: String| End::Failed { exit: None, why, said: Vec::new() };
    let mut command = Command::new(&way.program);
    command.args(&way.before).args(job.arguments()).env(VARIABLE, &job.name);
    // What a terminal sends to the pipeline is not for it: that ends it in its own way.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("{} cannot be started: {error}", way.program.display())),
    };
    // Held open for as long as it runs: when it closes, the job ends.
    let stdin = child.stdin.take();
    let (out, err) = (tail(child.stdout.take()), tail(child.stderr.take()));
    let ended = wait(&mut child, job.timeout.map(|timeout| timeout.duration()), stop);
    drop(stdin);
    let [out, err] =
        [out, err].map(|tail| tail.map(|tail| tail.join().unwrap_or_default()).unwrap_or_default());
    // Who says nothing of an error may have said what came of it.
    let said = if err.is_empty() { out } else { err };
    match ended {
        Ended::Itself(status) if status.success() => End::Good,
        Ended::Itself(status) => End::Failed { exit: status.code(), why: why(status), said },
        Ended::Late(limit) => {
            let why = format!("it took longer than {} ms, its timeout, and was ended", limit.as_millis());
            End::Failed { exit: None, why, said }
        }
        Ended::Stopped => End::Stopped,
        Ended::Lost(error) => failed(format!("its end cannot be waited for: {error}")),
    }
}

fn why(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with exit code {code}"),
        None => format!("it was ended: {status}"),
    }
}

enum Ended {
    Itself(ExitStatus),
    Late(Duration),
    Stopped,
    Lost(std::io::Error),
}

fn wait(child: &mut Child, timeout: Option<Duration>, stop: &AtomicBool) -> Ended {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ended::Itself(status),
            Ok(None) => {}
            Err(error) => {
                end(child);
                return Ended::Lost(error);
            }
        }
        if stop.load(Ordering::Relaxed) {
            end(child);
            return Ended::Stopped;
        }
        if let Some(limit) = timeout.filter(|limit| began.elapsed() >= *limit) {
            end(child);
            return Ended::Late(limit);
        }
        std::thread::sleep(LOOK);
    }
}

/// Asks a process to end, and ends it where it does not.
fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It is not waited for yet, so its number is its own.
        let _ = kill_process(pid, Signal::TERM);
    }
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads to the end, and keeps the last lines.
fn tail(from: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<String>>> {
    let from = from?;
    std::thread::Builder::new().name("job-output".into()).spawn(move || last_lines(from)).ok()
}

fn last_lines(from: impl Read) -> Vec<String> {
    let mut lines = VecDeque::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end is read in parts.
        match reader.by_ref().take(1 << 16).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return lines.into(),
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text: String = text.trim_end().chars().take(WIDTH).collect();
        if text.is_empty() {
            continue;
        }
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole_and_bounded() {
        let text: String = (0..100).map(|number| format!("line {number}\n\n")).collect();
        let kept = last_lines(text.as_bytes());
        assert_eq!((kept.len(), &*kept[0], &*kept[LINES - 1]), (LINES, "line 80", "line 99"));
        let long = "é".repeat(1 << 20);
        let kept = last_lines(long.as_bytes());
        assert!(kept.len() <= LINES && kept.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(last_lines(&b"\xff no text"[..]), ["\u{fffd} no text"]);
    }
}
