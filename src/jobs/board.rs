//! What is known of all jobs, kept in `jobs.json`: every change is on disk before anybody goes on from it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::JobsError;
use super::history::{JobState, Outcome};
use crate::config::jobs::Job;
use crate::failpoints::reach;
use crate::publications::{json, now_ms};

/// The format of the file.
const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    jobs: Vec<JobState>,
}

/// All jobs of a folder, once they are loaded.
#[derive(Debug)]
pub struct Board {
    file: PathBuf,
    jobs: Mutex<Vec<JobState>>,
}

impl Board {
    /// One of which nothing is loaded yet.
    pub fn new(file: PathBuf) -> Board {
        Board { file, jobs: Mutex::default() }
    }

    /// The jobs of a config, with what the file says of them. A run that was under way was broken off: only the process
    /// that has the lock asks this.
    pub(super) fn load(&self, jobs: &[Job]) -> Result<(), JobsError> {
        let now = now_ms();
        let mut known = kept(&self.file)?;
        let mut states = Vec::new();
        for job in jobs {
            let place = known.iter().position(|state| state.job == job.name);
            let mut state = place.map(|place| known.swap_remove(place)).unwrap_or_else(|| JobState {
                job: job.name.clone(),
                since: now,
                ..JobState::default()
            });
            // At other times than before nothing was missed.
            if state.at != job.at.text() {
                (state.at, state.seen) = (job.at.text().to_owned(), now);
            }
            state.command = job.arguments().join(" ");
            (state.next, state.missed_before) = (job.at.after(state.seen), state.missed);
            if let Some(run) = state.open_mut() {
                (run.outcome, run.ended) = (Outcome::BrokenOff, Some(now));
                run.why = Some("the process that did it ended".to_owned());
            }
            states.push(state);
        }
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        *jobs = states;
        self.keep(&jobs)
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<JobState> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of them.
    pub fn get(&self, job: &str) -> Option<JobState> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().find(|state| state.job == job).cloned()
    }

    /// Something changes; when this comes back, it is on disk.
    pub(super) fn change(&self, job: &str, change: impl FnOnce(&mut JobState)) -> Result<(), JobsError> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = jobs.iter_mut().find(|state| state.job == job) {
            change(state);
        }
        self.keep(&jobs)
    }

    fn keep(&self, jobs: &[JobState]) -> Result<(), JobsError> {
        // A folder that never had jobs has no such file.
        if jobs.is_empty() && !self.file.exists() {
            return Ok(());
        }
        reach("jobs-changed");
        let kept = Kept { format: FORMAT, jobs: jobs.to_vec() };
        crate::folder::replace(&self.file, &json(&kept)).map_err(JobsError::io("write", &self.file))?;
        reach("jobs-kept");
        Ok(())
    }
}

/// What a file says; nothing where there is none.
pub fn kept(file: &Path) -> Result<Vec<JobState>, JobsError> {
    let damaged = |problem: String| JobsError::Damaged { path: file.to_path_buf(), problem };
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JobsError::io("read", file)(error)),
    };
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if kept.format != FORMAT {
        let problem = format!("it has format {}, and this program reads format {FORMAT}", kept.format);
        return Err(damaged(problem));
    }
    Ok(kept.jobs)
}

#[cfg(test)]
mod tests {
    use super::super::history::BegunBy;
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_run_that_was_under_way_when_a_process_died_is_broken_off_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jobs.json");
        let jobs = |at: &str| {
            let text = format!("[jobs.a]\nat = \"{at}\"\ncommand = [\"batch\"]");
            Config::parse(&text, "test.toml").unwrap().jobs
        };
        let loaded = |at: &str| {
            let board = Board::new(file.clone());
            board.load(&jobs(at)).unwrap();
            board
        };
        let board = loaded("0 3 * * *");
        board.change("a", |state| state.begin(5, BegunBy::Time, 1, 6)).unwrap();
        let seen = board.get("a").unwrap().seen;
        drop(board);
        let next = loaded("0 3 * * *").get("a").unwrap();
        assert_eq!((next.history[0].outcome, next.seen), (Outcome::BrokenOff, seen));
        // With other times it begins anew, and what was done stays known.
        let other = loaded("0 4 * * *").get("a").unwrap();
        assert!(other.seen >= seen && other.runs == 1);
        std::fs::write(&file, "nothing").unwrap();
        assert!(kept(&file).unwrap_err().to_string().contains("remove it to begin"));
    }
}
