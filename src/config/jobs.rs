//! Jobs in the config: what a running pipeline does by itself at certain times; checked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::number::{KeyError, within};
use super::publications::{Publications, plain};
use super::span::Span;
use super::written;

/// Commands that are no jobs, and why.
const NO_JOBS: [(&str, &str); 12] = [
    ("run", "it has no end"),
    ("serve", "it has no end"),
    ("subscribe", "it has no end; [subscriptions] in the config follow publications"),
    ("jobs", "jobs begin no jobs"),
    ("replay", "it wants the folder for itself"),
    ("restore", "it wants the folder for itself"),
    ("demo", "it is to be looked at"),
    ("get", "its answer would go to nobody"),
    ("history", "its answer would go to nobody"),
    ("why", "its answer would go to nobody"),
    ("similar", "its answer would go to nobody"),
    ("config", "its answer would go to nobody"),
];

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What it is called.
    pub name: String,
    /// When it is done.
    pub at: Schedule,
    /// The command, without `nearline`.
    pub command: Vec<String>,
    /// What it publishes.
    pub publication: Option<String>,
    /// How often it is tried again where it fails.
    pub retries: u32,
    /// How long it is waited for that.
    pub retry_after: Span,
    /// How long an attempt may take.
    pub timeout: Option<Span>,
    /// Whether a run that was missed is made good.
    pub catch_up: bool,
}

impl Job {
    /// The arguments of `nearline`, with the publication where the command does not name it.
    pub fn arguments(&self) -> Vec<String> {
        let mut all = self.command.clone();
        let publishes = ["train", "batch", "query", "cluster"].contains(&all[0].as_str());
        if let Some(name) = self.publication.as_ref().filter(|_| publishes && !self.says("--publish")) {
            all.extend(["--publish".to_owned(), name.clone()]);
        }
        all
    }

    fn says(&self, flag: &str) -> bool {
        let with_value = format!("{flag}=");
        self.command.iter().any(|given| given == flag || given.starts_with(&with_value))
    }

    /// The repository that the command itself names.
    pub fn repository(&self) -> Option<&str> {
        let place = self.command.iter().position(|one| one == "--to" || one.starts_with("--to="))?;
        match self.command[place].strip_prefix("--to=") {
            Some(url) => Some(url),
            None => self.command.get(place + 1).map(String::as_str),
        }
    }
}

/// The times of a job.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: croner::Cron,
    zone: TimeZone,
    text: String,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Schedule {
    /// Five fields of cron, or six with seconds before them, by the clock of a zone.
    fn new(at: &str, zone: &str) -> Result<Schedule, (&'static str, String)> {
        let wanted = "give five fields, minute, hour, day of the month, month and day of the week, as in \"0 3 * * *\" for \
                      three in the night, or six with the second before them";
        if !matches!(at.split_whitespace().count(), 5 | 6) {
            return Err(("at", format!("{at:?} is no time of cron: {wanted}")));
        }
        let cron: croner::Cron =
            at.parse().map_err(|error| ("at", format!("{at:?} is no time of cron ({error}): {wanted}")))?;
        let zone_known = TimeZone::get(zone).map_err(|_| {
            let wanted = "give its name, such as \"Europe/Berlin\" or \"UTC\"";
            ("zone", format!("{zone:?} is no time zone that is known here: {wanted}"))
        })?;
        let schedule = Schedule { cron, zone: zone_known, text: format!("{} {zone}", at.trim()) };
        match schedule.after(Timestamp::now().as_millisecond()) {
            Some(_) => Ok(schedule),
            None => Err(("at", format!("{at:?} never comes"))),
        }
    }

    /// As it is written, with its zone.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after a moment, in milliseconds since 1970.
    pub fn after(&self, moment: i64) -> Option<i64> {
        let from = Timestamp::from_millisecond(moment).ok()?.to_zoned(self.zone.clone());
        let found = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(found.timestamp().as_second() * 1000)
    }

    /// The last time up to a moment, and how many there were since another: at most `most` are counted.
    pub fn last_between(&self, since: i64, until: i64, most: u64) -> Option<(i64, u64)> {
        let (mut last, mut count) = (self.after(since).filter(|at| *at <= until)?, 1);
        while let Some(next) = self.after(last).filter(|next| *next <= until) {
            (last, count) = (next, count + 1);
            if count == most {
                let now = Timestamp::from_millisecond(until).ok()?.to_zoned(self.zone.clone());
                let found = self.cron.find_previous_occurrence(&now, true).ok()?;
                return Some((found.timestamp().as_second() * 1000, count));
            }
        }
        Some((last, count))
    }
}

pub(super) fn jobs(
    written: BTreeMap<String, written::Job>,
    publications: &Publications,
) -> Result<Vec<Job>, KeyError> {
    written.into_iter().map(|(name, written)| job(name, written, publications)).collect()
}

fn job(name: String, written: written::Job, publications: &Publications) -> Result<Job, KeyError> {
    let refuse = |key: &str, why: String| Err(KeyError::new(&["jobs", &name, key], why));
    plain(&name).map_err(|wanted| KeyError::new(&["jobs", &name], wanted))?;
    let written::Job { at, zone, command, publication, retries, retry_after, timeout, catch_up } = written;
    let at = Schedule::new(&at, &zone).map_err(|(key, why)| KeyError::new(&["jobs", &name, key], why))?;
    match command.first() {
        None => {
            return refuse(
                "command",
                "give the command, without `nearline`: [\"train\", \"--publish\", …]".into(),
            );
        }
        Some(first) => {
            if let Some((_, why)) = NO_JOBS.iter().find(|(known, _)| known == first) {
                return refuse("command", format!("`{first}` cannot be a job: {why}"));
            }
        }
    }
    let retries = within(&["jobs", &name, "retries"], retries.into(), 0, 100)? as u32;
    let job = Job { name: name.clone(), at, command, publication, retries, retry_after, timeout, catch_up };
    if let Some(publication) = &job.publication {
        plain(publication).map_err(|wanted| KeyError::new(&["jobs", &name, "publication"], wanted))?;
        if publications.repository.is_none() && job.repository().is_none() {
            let wanted = "needs a repository: publications.repository for all, or --to in the command";
            return refuse("publication", wanted.into());
        }
    }
    if job.timeout.is_some_and(|timeout| timeout.ms() == 0) {
        return refuse("timeout", "must be above 0".into());
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const MIDNIGHT: i64 = 1_767_225_600_000; // 2026-01-01T00:00:00Z

    fn refused(text: &str) -> String {
        Config::parse(text, "test.toml").unwrap_err().to_string()
    }

    #[test]
    fn a_job_is_done_when_the_clock_of_its_zone_says_so() {
        let at = |at: &str, zone: &str| Schedule::new(at, zone).unwrap();
        let hour = 3_600_000;
        assert_eq!(at("0 3 * * *", "UTC").after(MIDNIGHT), Some(MIDNIGHT + 3 * hour));
        assert_eq!(at("0 3 * * *", "Europe/Berlin").after(MIDNIGHT), Some(MIDNIGHT + 2 * hour));
        // In summer the clocks there are two hours ahead.
        let summer = MIDNIGHT + 180 * 24 * hour;
        assert_eq!(at("0 3 * * *", "Europe/Berlin").after(summer), Some(summer + hour));
        assert_eq!(at("*/5 * * * * *", "UTC").after(MIDNIGHT), Some(MIDNIGHT + 5_000));
        assert_eq!(at("0 0 L * *", "UTC").after(MIDNIGHT), Some(MIDNIGHT + 30 * 24 * hour));
    }

    #[test]
    fn a_time_that_a_change_of_clocks_leaves_out_comes_in_the_same_night() {
        let nightly = Schedule::new("30 2 * * *", "Europe/Berlin").unwrap();
        // 2026-03-29T01:00:00Z: two in the night becomes three.
        let change = 1_774_746_000_000;
        let found = nightly.after(change - 12 * 3_600_000).unwrap();
        assert!((change..=change + 1_800_000).contains(&found), "{found}");
    }

    #[test]
    fn the_runs_of_a_time_are_counted_up_to_its_end() {
        let hourly = Schedule::new("0 * * * *", "UTC").unwrap();
        let hour = 3_600_000;
        assert_eq!(hourly.last_between(MIDNIGHT, MIDNIGHT + hour - 1, 100), None);
        assert_eq!(hourly.last_between(MIDNIGHT, MIDNIGHT + hour, 100), Some((MIDNIGHT + hour, 1)));
        assert_eq!(
            hourly.last_between(MIDNIGHT, MIDNIGHT + 7 * hour + 5, 100),
            Some((MIDNIGHT + 7 * hour, 7))
        );
        assert_eq!(hourly.last_between(MIDNIGHT, MIDNIGHT + 7 * hour + 5, 3), Some((MIDNIGHT + 7 * hour, 3)));
    }

    #[test]
    fn what_is_no_job_is_refused_with_its_key() {
        let job = |rest: &str| refused(&format!("[jobs.a]\n{rest}"));
        for (text, said) in [
            (
                "at = \"tomorrow\"\ncommand = [\"batch\"]",
                "line 2: `jobs.a.at`: \"tomorrow\" is no time of cron",
            ),
            ("at = \"61 3 * * *\"\ncommand = [\"batch\"]", "`jobs.a.at`"),
            ("at = \"0 0 30 2 *\"\ncommand = [\"batch\"]", "`jobs.a.at`: \"0 0 30 2 *\" never comes"),
            ("at = \"0 3 * * *\"\nzone = \"Berlin\"\ncommand = [\"batch\"]", "line 3: `jobs.a.zone`"),
            ("at = \"0 3 * * *\"", "`jobs.a.command`: give the command"),
            ("at = \"0 3 * * *\"\ncommand = [\"serve\"]", "cannot be a job: it has no end"),
            ("at = \"0 3 * * *\"\ncommand = [\"batch\"]\nretries = 101", "`jobs.a.retries`"),
            ("at = \"0 3 * * *\"\ncommand = [\"batch\"]\npublication = \"picks\"", "publications.repository"),
            ("at = \"0 3 * * *\"\ncommand = [\"batch\"]\nwhen = 3", "unknown field `when`"),
        ] {
            assert!(job(text).contains(said), "{text}: {}", job(text));
        }
    }

    #[test]
    fn what_a_job_publishes_is_said_to_the_command_that_takes_it() {
        let arguments = |command: &str| {
            let text = format!(
                "[publications]\nrepository = \"/r\"\n[jobs.a]\nat = \"0 3 * * *\"\npublication = \"picks\"\ncommand = {command}"
            );
            Config::parse(&text, "test.toml").unwrap().jobs[0].arguments().join(" ")
        };
        assert_eq!(arguments("[\"batch\"]"), "batch --publish picks");
        assert_eq!(arguments("[\"batch\", \"--publish=picks\"]"), "batch --publish=picks");
        assert_eq!(arguments("[\"publish\", \"picks\", \"--lists\"]"), "publish picks --lists");
    }
}
