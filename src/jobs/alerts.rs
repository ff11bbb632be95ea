//! When somebody is to look at a job.

use super::history::{JobState, Outcome};
use crate::config::publications::Alert;

/// Why an alert about a job is to be raised; none where all is well. What is raised is over when the next run is good.
pub fn wrong(alert: &Alert, job: &JobState, now: i64) -> Option<String> {
    let since_good = |at: i64| job.last_good.is_none_or(|good| good < at);
    if alert.failed {
        let failed = job.history.iter().rev().find(|run| run.outcome == Outcome::Failed);
        if let Some(run) = failed.filter(|run| since_good(run.began)) {
            let why = run.why.as_deref().unwrap_or("it failed");
            let said = run.said.last().map_or(String::new(), |said| format!(": {said}"));
            return Some(format!("it failed, tried {} times: {why}{said}", run.attempts));
        }
    }
    if alert.missed
        && let Some(at) = job.missed_at
    {
        let moment = jiff::Timestamp::from_millisecond(at).map_or(at.to_string(), |at| at.to_string());
        return Some(format!("the run of {moment} was missed, as nothing ran then"));
    }
    if let (Some(limit), Some(run)) = (alert.late, job.open())
        && now - run.began > limit.ms()
    {
        return Some(format!("a run takes longer than {limit}"));
    }
    let limit = alert.stale?;
    let stale = now - job.last_good.unwrap_or(job.since) > limit.ms();
    stale.then(|| format!("no run ended well for {limit}"))
}

#[cfg(test)]
mod tests {
    use super::super::history::BegunBy;
    use super::*;
    use crate::config::Span;
    use crate::config::publications::{About, Webhook};

    fn alert() -> Alert {
        Alert {
            name: "a".into(),
            about: About::Job("j".into()),
            failed: false,
            late: None,
            stale: None,
            missed: false,
            webhook: Webhook { url: "http://x".into(), secret: None },
        }
    }

    /// A job with a run that began at 1,000 and has this outcome.
    fn job(outcome: Outcome) -> JobState {
        let mut job = JobState { since: 0, ..JobState::default() };
        job.begin(1_000, BegunBy::Time, 3, 1_000);
        let run = job.open_mut().unwrap();
        (run.outcome, run.why) = (outcome, Some("it ended with exit code 3".into()));
        run.said = vec!["the disk is full".into()];
        job
    }

    #[test]
    fn a_failure_is_raised_after_the_last_attempt_until_a_run_is_good() {
        let alert = Alert { failed: true, ..alert() };
        assert_eq!(wrong(&alert, &job(Outcome::Waiting), 5_000), None);
        let mut job = job(Outcome::Failed);
        let why = wrong(&alert, &job, 5_000).unwrap();
        assert!(why.contains("tried 3 times") && why.contains("exit code 3: the disk is full"), "{why}");
        job.begin(6_000, BegunBy::Time, 1, 6_000);
        assert!(wrong(&alert, &job, 6_500).is_some(), "a run that is under way is not good yet");
        job.last_good = Some(7_000);
        assert_eq!(wrong(&alert, &job, 7_500), None);
    }

    #[test]
    fn missed_late_and_stale_are_raised_by_what_they_say() {
        let missed = Alert { missed: true, ..alert() };
        let mut state = job(Outcome::Good);
        assert_eq!(wrong(&missed, &state, 5_000), None);
        state.pass(Outcome::Missed, 86_400_000, 1, 90_000_000);
        assert!(wrong(&missed, &state, 90_000_000).unwrap().contains("1970-01-02T00:00:00Z"));
        let late = Alert { late: Some(Span::seconds(10)), ..alert() };
        assert_eq!(wrong(&late, &job(Outcome::UnderWay), 11_000), None);
        assert!(wrong(&late, &job(Outcome::UnderWay), 11_001).unwrap().contains("10s"));
        assert_eq!(wrong(&late, &job(Outcome::Good), 99_000), None);
        let stale = Alert { stale: Some(Span::seconds(10)), ..alert() };
        let good = JobState { last_good: Some(2_000), ..job(Outcome::Good) };
        assert_eq!(wrong(&stale, &good, 12_000), None);
        assert!(wrong(&stale, &good, 12_001).is_some());
        assert!(wrong(&stale, &job(Outcome::Failed), 10_001).is_some(), "it was never good");
    }
}
