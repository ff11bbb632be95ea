//! Alerts: a publication or a job that failed, is late, or is stale. Each is sent once when it is raised and once when all is well
//! again, and what is raised is kept in `alerts.json` of the data folder, so that a restart sends nothing twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::board::{Board, Followed};
use super::letters::message;
use super::now_ms;
use super::webhook::Sender;
use crate::config::Span;
use crate::config::publications::{About, Alert};
use crate::jobs;
use crate::jobs::history::JobState;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// After how long a message that did not arrive is sent again; each time twice as long, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// An alert that is raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Raised {
    /// The alert, by its name.
    pub alert: String,
    /// Which publication it is about,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    /// or which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What is wrong.
    pub why: String,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
    /// Whether the message of it has arrived.
    pub told: bool,
}

impl Raised {
    /// The name of what it is about.
    pub fn about(&self) -> &str {
        self.publication.as_deref().or(self.job.as_deref()).unwrap_or_default()
    }

    fn is_about(&self, about: &About) -> bool {
        match about {
            About::Publication(name) => self.publication.as_ref() == Some(name),
            About::Job(name) => self.job.as_ref() == Some(name),
        }
    }
}

/// Why an alert about a publication is to be raised; none where all is well.
pub fn wrong(alert: &Alert, followed: &Followed, now: i64) -> Option<String> {
    if alert.failed {
        if let Some(failed) = &followed.publish_failure {
            return Some(format!("publishing failed: {}", failed.why));
        }
        if let Some(failed) = &followed.failure {
            return Some(format!("it cannot be taken over: {}", failed.why));
        }
    }
    let older = |at: Option<i64>, limit: Option<Span>| {
        let limit = limit?;
        (now - at.unwrap_or(followed.since) > limit.ms()).then_some(limit)
    };
    let published = followed.newest.as_ref().map(|newest| newest.published_at);
    if let Some(limit) = older(published, alert.late) {
        return Some(format!("no version was published for {limit}"));
    }
    let used = followed.in_use.as_ref().map(|used| used.published_at);
    // What is only watched is in use nowhere here.
    let stale = alert.stale.filter(|_| followed.used != "watch");
    let limit = older(used, stale)?;
    Some(match used {
        Some(_) => format!("what is in use was published more than {limit} ago"),
        None => format!("nothing is in use, for {limit}"),
    })
}

/// Watches for alerts, until this goes.
pub struct Alerts {
    stop: Arc<AtomicBool>,
    raised: Arc<Mutex<BTreeMap<String, Raised>>>,
    thread: Option<JoinHandle<()>>,
}

impl Alerts {
    /// Begins to watch; `file` is where what is raised is kept.
    pub fn start(
        alerts: &[Alert],
        board: &Arc<Board>,
        jobs: Option<&Arc<jobs::board::Board>>,
        file: PathBuf,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let kept = kept(&file).into_iter().map(|raised| (raised.alert.clone(), raised)).collect();
        let raised: Arc<Mutex<BTreeMap<String, Raised>>> = Arc::new(Mutex::new(kept));
        let (alerts, board, jobs) = (alerts.to_vec(), board.clone(), jobs.cloned());
        let watch = Watch { alerts, board, jobs, raised: raised.clone(), file };
        let stopped = stop.clone();
        let thread = if watch.alerts.is_empty() {
            // What was raised by alerts that are gone is of nobody's concern.
            watch.forget_others();
            None
        } else {
            Some(std::thread::Builder::new().name("alerts".into()).spawn(move || watch.run(&stopped))?)
        };
        Ok(Alerts { stop, raised, thread })
    }

    /// What is raised now.
    pub fn raised(&self) -> RaisedNow {
        RaisedNow(self.raised.clone())
    }
}

/// A view of what is raised.
#[derive(Debug, Clone, Default)]
pub struct RaisedNow(Arc<Mutex<BTreeMap<String, Raised>>>);

impl RaisedNow {
    /// All of it, by the alerts' names.
    pub fn all(&self) -> Vec<Raised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // One that panicked watches nothing any more.
            let _ = thread.join();
        }
    }
}

/// What a file says is raised.
pub fn kept(file: &Path) -> Vec<Raised> {
    let bytes = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

struct Watch {
    alerts: Vec<Alert>,
    board: Arc<Board>,
    /// None where no jobs are done.
    jobs: Option<Arc<jobs::board::Board>>,
    raised: Arc<Mutex<BTreeMap<String, Raised>>>,
    file: PathBuf,
}

/// How many times a job was missed when an alert looked last.
type Missed<'a> = BTreeMap<&'a str, u64>;

impl Watch {
    fn run(&self, stop: &AtomicBool) {
        self.forget_others();
        let sender = Sender::default();
        // When each may be sent again.
        let mut waits: BTreeMap<&str, (Instant, Duration)> = BTreeMap::new();
        let mut missed = Missed::new();
        while !stop.load(Ordering::Relaxed) {
            for alert in &self.alerts {
                if waits.get(&*alert.name).is_some_and(|(until, _)| *until > Instant::now()) {
                    continue;
                }
                let Some(why) = self.why(alert, &mut missed) else { continue };
                match self.look(alert, why, &sender) {
                    Ok(()) => drop(waits.remove(&*alert.name)),
                    Err(why) => {
                        let pause =
                            waits.get(&*alert.name).map_or(AGAIN, |(_, pause)| (2 * *pause).min(LONGEST));
                        tracing::warn!(
                            alert = alert.name,
                            why,
                            "an alert did not arrive; sent again in {pause:?}"
                        );
                        waits.insert(&alert.name, (Instant::now() + pause, pause));
                    }
                }
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// What is wrong, if something is; none where nothing is known of what an alert is about.
    fn why<'a>(&'a self, alert: &'a Alert, missed: &mut Missed<'a>) -> Option<Option<String>> {
        match &alert.about {
            About::Publication(name) => Some(wrong(alert, &self.board.get(name)?, now_ms())),
            About::Job(name) => {
                let job = self.jobs.as_ref()?.get(name)?;
                Some(jobs::alerts::wrong(alert, &job, now_ms()).or_else(|| made_good(alert, &job, missed)))
            }
        }
    }

    /// Raises an alert or says that all is well again. What is raised is noted before it is sent, so that it is the same
    /// message however often it is sent.
    fn look(&self, alert: &Alert, why: Option<String>, sender: &Sender) -> Result<(), String> {
        let now = now_ms();
        let before = self.raised.lock().unwrap_or_else(PoisonError::into_inner).get(&alert.name).cloned();
        match (why, before) {
            (None, None) => Ok(()),
            (Some(_), Some(Raised { told: true, .. })) => Ok(()),
            (Some(_), Some(raised)) => self.say_raised(alert, raised, sender),
            (Some(why), None) => {
                let (publication, job) = match alert.about.clone() {
                    About::Publication(name) => (Some(name), None),
                    About::Job(name) => (None, Some(name)),
                };
                let raised =
                    Raised { alert: alert.name.clone(), publication, job, why, since: now, told: false };
                self.note(&alert.name, Some(raised.clone()));
                self.say_raised(alert, raised, sender)
            }
            (None, Some(raised)) => {
                // Of what nobody was told nobody need be told that it is over.
                if raised.told {
                    send("alert.resolved", now, alert, &raised, sender)?;
                }
                self.note(&alert.name, None);
                Ok(())
            }
        }
    }

    fn say_raised(&self, alert: &Alert, raised: Raised, sender: &Sender) -> Result<(), String> {
        send("alert.raised", raised.since, alert, &raised, sender)?;
        self.note(&alert.name, Some(Raised { told: true, ..raised }));
        Ok(())
    }

    fn note(&self, name: &str, raised: Option<Raised>) {
        let mut all = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        match raised {
            Some(raised) => drop(all.insert(name.to_owned(), raised)),
            None => drop(all.remove(name)),
        }
        self.keep(&all);
    }

    /// Alerts that the config has no more.
    fn forget_others(&self) {
        let mut all = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|name, raised| {
            self.alerts.iter().any(|alert| alert.name == *name && raised.is_about(&alert.about))
        });
        if all.len() != before {
            self.keep(&all);
        }
    }

    fn keep(&self, all: &BTreeMap<String, Raised>) {
        let all: Vec<&Raised> = all.values().collect();
        if let Err(error) = crate::folder::replace(&self.file, &super::json(&all)) {
            tracing::warn!(%error, file = %self.file.display(), "what is raised cannot be kept");
        }
    }
}

/// A run that was missed is made good at once, before anybody looked: it is told all the same, and then that it is over.
fn made_good<'a>(alert: &'a Alert, job: &JobState, missed: &mut Missed<'a>) -> Option<String> {
    let before = missed.insert(&alert.name, job.missed).unwrap_or(job.missed_before);
    let times = job.missed - before.min(job.missed);
    (alert.missed && times > 0)
        .then(|| format!("{times} runs were missed, as nothing ran then, and were made good since"))
}

/// Sends what is to be said of an alert.
fn send(kind: &str, at: i64, alert: &Alert, raised: &Raised, sender: &Sender) -> Result<(), String> {
    let Raised { alert: name, why, since, .. } = raised;
    let id = blake3::hash(format!("{kind} {name} {} {since}", raised.about()).as_bytes()).to_hex();
    let data = match &raised.job {
        Some(job) => serde_json::json!({ "alert": name, "job": job, "why": why, "since": since }),
        None => {
            serde_json::json!({ "alert": name, "publication": raised.about(), "why": why, "since": since })
        }
    };
    let sent =
        sender.send(&alert.webhook, &format!("msg_{}", &id[..32]), &message(kind, at, &data).to_string());
    sent.map_err(|undelivered| undelivered.why)
}

#[cfg(test)]
mod tests {
    use super::super::board::{Newest, Used};
    use super::super::failed::Failed;
    use super::super::manifest::Kind;
    use super::*;
    use crate::config::publications::Webhook;

    #[test]
    fn an_alert_is_raised_by_what_it_says_and_nothing_else() {
        let webhook = Webhook { url: "http://x".into(), secret: None };
        let alert = |failed, late, stale| Alert {
            name: "a".into(),
            about: About::Publication("films".into()),
            failed,
            late,
            stale,
            missed: false,
            webhook: webhook.clone(),
        };
        let newest = |published_at| Newest {
            version: "v".into(),
            kind: Kind::Model,
            made_at: 0,
            published_at,
            model: None,
            size: 0,
        };
        let well = Followed {
            publication: "films".into(),
            used: "model".into(),
            repository: "/r".into(),
            since: 0,
            newest: Some(newest(90_000)),
            in_use: Some(Used { version: "v".into(), published_at: 90_000, since: 90_000 }),
            failure: None,
            failures: 0,
            publish_failure: None,
        };
        let minute = Some(Span::seconds(60));
        let failed = Some(Failed { at: 0, why: "no disk".into() });
        let said = |alert: &Alert, followed: &Followed| wrong(alert, followed, 100_000);
        for alert in [alert(true, None, None), alert(false, minute, None), alert(false, None, minute)] {
            assert_eq!(said(&alert, &well), None);
        }
        let unpublished = Followed { publish_failure: failed.clone(), ..well.clone() };
        assert!(said(&alert(true, None, None), &unpublished).unwrap().contains("no disk"));
        assert_eq!(said(&alert(false, minute, minute), &unpublished), None);
        let not_taken = Followed { failure: failed, ..well.clone() };
        assert!(said(&alert(true, None, None), &not_taken).unwrap().contains("taken over"));
        let old = Followed { newest: Some(newest(30_000)), ..well.clone() };
        assert!(said(&alert(false, minute, None), &old).unwrap().contains("for 1m"));
        let never = Followed { newest: None, in_use: None, ..well.clone() };
        assert!(said(&alert(false, minute, None), &never).is_some());
        assert!(said(&alert(false, None, minute), &never).unwrap().contains("nothing is in use"));
        let watched = Followed { used: "watch".into(), in_use: None, ..well };
        assert_eq!(said(&alert(false, None, minute), &watched), None);
    }
}
