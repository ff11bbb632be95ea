//! The thread that begins runs when it is time, and at its own start those that were missed or broken off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::board::Board;
use super::history::{BegunBy, JobState, Outcome, Run};
use super::run::{Way, see_through};
use super::{JobsError, Lock};
use crate::config::jobs::Job;
use crate::folder::Folder;
use crate::publications::now_ms;

/// How often it is looked what time it is.
const LOOK: Duration = Duration::from_millis(100);
/// After how long a time is missed, in milliseconds: a busy machine may look some moments late.
const LATE: i64 = 60_000;
/// How many times that were missed are counted, at most.
const MOST: u64 = 10_000;

/// Does the jobs of a folder, until this goes.
pub struct Scheduler {
    own: Arc<Own>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Own {
    folder: Folder,
    jobs: Vec<Job>,
    board: Arc<Board>,
    way: Way,
    stop: AtomicBool,
    lock: Mutex<Option<Lock>>,
    runs: Mutex<Vec<JoinHandle<()>>>,
}

impl Scheduler {
    /// One that does nothing yet.
    pub fn new(folder: &Folder, jobs: &[Job], way: Way) -> Scheduler {
        let own = Own {
            folder: folder.clone(),
            jobs: jobs.to_vec(),
            board: Arc::new(Board::new(folder.jobs())),
            way,
            stop: AtomicBool::new(false),
            lock: Mutex::default(),
            runs: Mutex::default(),
        };
        Scheduler { own: Arc::new(own), thread: Mutex::default() }
    }

    /// Begins to look at the time, as soon as no other process does the jobs of the folder.
    pub fn begin(&self) -> Result<(), JobsError> {
        let (own, file) = (self.own.clone(), self.own.folder.jobs());
        if own.jobs.is_empty() && !file.exists() {
            return Ok(());
        }
        let spawned = std::thread::Builder::new().name("jobs".into()).spawn(move || own.look());
        let thread = spawned.map_err(JobsError::io("start a thread for", &file))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// What is known of the jobs.
    pub fn board(&self) -> &Arc<Board> {
        &self.own.board
    }

    /// Does a job now, and waits for its end: a run that was asked for, and is not made good where it is broken off.
    pub fn run_now(&self, name: &str) -> Result<Run, JobsError> {
        let own = &self.own;
        let job = own.jobs.iter().find(|job| job.name == name);
        let job = job.ok_or_else(|| JobsError::None {
            name: name.to_owned(),
            known: own.jobs.iter().map(|job| job.name.clone()).collect(),
        })?;
        own.take()?;
        if own.stop.load(Ordering::Relaxed) {
            return Err(JobsError::Ending);
        }
        let begun = Begun { due: now_ms(), by: BegunBy::Command, attempts: 0, missed: 0 };
        let number = own.note(job, &begun)?.ok_or_else(|| JobsError::UnderWay(name.to_owned()))?;
        see_through(job, &own.board, &own.way, &own.stop)?;
        let state = own.board.get(name).unwrap_or_default();
        state
            .history
            .into_iter()
            .rev()
            .find(|run| {
                run.number == number && run.outcome != Outcome::Skipped && run.outcome != Outcome::Missed
            })
            .ok_or(JobsError::Ending)
    }

    /// Ends what is under way, and begins nothing any more.
    pub fn stop(&self) {
        self.own.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.thread().unpark();
            // One that panicked begins nothing any more.
            let _ = thread.join();
        }
        let runs = std::mem::take(&mut *self.own.runs.lock().unwrap_or_else(PoisonError::into_inner));
        for run in runs {
            let _ = run.join();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A run that is to be begun.
struct Begun {
    due: i64,
    by: BegunBy,
    attempts: u32,
    /// How many times were missed up to then.
    missed: u64,
}

impl Own {
    /// Takes the lock and reads what is known, where that is not done yet.
    fn take(&self) -> Result<(), JobsError> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            let taken = Lock::take(&self.folder)?;
            self.board.load(&self.jobs)?;
            *lock = Some(taken);
        }
        Ok(())
    }

    fn look(self: &Arc<Self>) {
        let mut said = false;
        while let Err(error) = self.take() {
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "jobs are not done for now");
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::park_timeout(LOOK);
        }
        for job in &self.jobs {
            told(job, self.make_good(job));
        }
        while !self.stop.load(Ordering::Relaxed) {
            for job in &self.jobs {
                told(job, self.see_to(job, now_ms()));
            }
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            runs.retain(|run| !run.is_finished());
            drop(runs);
            std::thread::park_timeout(LOOK);
        }
    }

    /// At the start: one run for all that was missed, or was broken off.
    fn make_good(self: &Arc<Self>, job: &Job) -> Result<(), JobsError> {
        let Some(state) = self.board.get(&job.name) else { return Ok(()) };
        let now = now_ms();
        let missed = job.at.last_between(state.seen, now, MOST);
        match broken_off(&state) {
            // It may be the job itself that ends the process: it is tried as often as any.
            Some(run) if run.attempts > job.retries.max(1) => self.board.change(&job.name, |state| {
                state.failures += 1;
                let broken = state.history.iter_mut().rev().find(|one| one.number == run.number);
                broken.into_iter().for_each(|run| run.outcome = Outcome::Failed);
            }),
            Some(run) => {
                // Before what was missed is noted, by which it would be the newest no more.
                let missed = missed.map_or(0, |(_, count)| count);
                self.spawn(
                    job,
                    Begun { due: run.due, by: BegunBy::BrokenOff, attempts: run.attempts, missed },
                )
            }
            None => missed.map_or(Ok(()), |(due, count)| self.missed(job, due, count)),
        }
    }

    /// Begins a run where it is time.
    fn see_to(self: &Arc<Self>, job: &Job, now: i64) -> Result<(), JobsError> {
        let Some(state) = self.board.get(&job.name) else { return Ok(()) };
        if state.next.is_none_or(|next| next > now) {
            return Ok(());
        }
        let Some((due, count)) = job.at.last_between(state.seen, now, MOST) else { return Ok(()) };
        if let Some(open) = state.open() {
            tracing::warn!(
                job = job.name,
                run = open.number,
                "a run is skipped: the one before is under way"
            );
            return self.board.change(&job.name, |state| {
                state.pass(Outcome::Skipped, due, count, now);
                (state.seen, state.next) = (due, job.at.after(due));
            });
        }
        // Where the clock, or the machine, stood still for long, what it slept over was missed.
        if now - due > LATE {
            return self.missed(job, due, count);
        }
        self.spawn(job, Begun { due, by: BegunBy::Time, attempts: 0, missed: 0 })
    }

    /// Notes what was missed, and makes it good where that is wanted.
    fn missed(self: &Arc<Self>, job: &Job, due: i64, count: u64) -> Result<(), JobsError> {
        tracing::warn!(job = job.name, count, "runs were missed, as nothing ran then");
        if job.catch_up {
            return self.spawn(job, Begun { due, by: BegunBy::Missed, attempts: 0, missed: count });
        }
        self.board.change(&job.name, |state| {
            state.pass(Outcome::Missed, due, count, now_ms());
            (state.seen, state.next) = (due, job.at.after(due));
        })
    }

    fn spawn(self: &Arc<Self>, job: &Job, begun: Begun) -> Result<(), JobsError> {
        if self.note(job, &begun)?.is_none() {
            return Ok(());
        }
        let (own, job) = (self.clone(), job.clone());
        let through = move || told(&job, see_through(&job, &own.board, &own.way, &own.stop));
        let spawned = std::thread::Builder::new().name("job".into()).spawn(through);
        let run = spawned.map_err(JobsError::io("start a thread for", &self.folder.jobs()))?;
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        Ok(())
    }

    /// Notes that a run begins, and that all times up to it are seen to, in one: wherever this is broken off, either is known or
    /// none. Says its number; none where a run is under way.
    fn note(&self, job: &Job, begun: &Begun) -> Result<Option<u64>, JobsError> {
        let Begun { due, by, attempts, missed } = *begun;
        let (mut number, now) = (None, now_ms());
        self.board.change(&job.name, |state| {
            if state.open().is_some() {
                return;
            }
            if missed > 0 {
                let last = job.at.last_between(state.seen, now, MOST).map_or(due, |(last, _)| last);
                state.pass(Outcome::Missed, last, missed, now);
                state.seen = last;
            }
            if by == BegunBy::Time {
                state.seen = due;
            }
            state.next = job.at.after(state.seen);
            state.begin(due, by, attempts + 1, now);
            number = Some(state.runs);
        })?;
        Ok(number)
    }
}

fn told(job: &Job, done: Result<(), JobsError>) {
    if let Err(error) = done {
        tracing::error!(job = job.name, %error, "a job was not begun, or what became of it was not noted");
    }
}

/// The newest run, where it was broken off and nothing was tried since. One that somebody asked for is theirs to ask again.
fn broken_off(state: &JobState) -> Option<Run> {
    let last = state.last().filter(|run| run.outcome == Outcome::BrokenOff)?;
    Some(last.clone()).filter(|run| run.begun_by != BegunBy::Command)
}
