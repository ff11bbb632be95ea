//! Publications in the config: repositories, who is told, what a pipeline follows, and alerts; checked.

pub(super) mod written;

use std::collections::BTreeMap;

pub use written::Use;

use super::jobs::Job;
use super::number::{KeyError, within};
use super::settings::{Setting, SettingError};
use super::span::Span;

/// The longest name: it goes into the names of objects and into labels of metrics.
const MAX_NAME: usize = 64;
/// A secret that can be guessed is none.
const SHORTEST_SECRET: usize = 16;

/// Where publications lie, who is told of them and how long they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Publications {
    /// The repository, where one is given.
    pub repository: Option<String>,
    /// How long versions are kept.
    pub retention: Retention,
    /// How often subscribers look.
    pub poll: Poll,
    /// For how long somebody who does not answer is told again.
    pub retry_for: Span,
    /// Who is told, by name.
    pub notify: Vec<(String, Notify)>,
}

/// How long versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many versions at least.
    pub keep: usize,
    /// For so long at least.
    pub keep_for: Span,
    /// What is younger is never taken out.
    pub grace: Span,
}

/// How often subscribers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Into a folder.
    pub folder: Span,
    /// Into a bucket.
    pub s3: Span,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notify {
    /// A webhook.
    Webhook(Webhook),
    /// A topic: kafka://HOST:PORT/TOPIC.
    Topic(String),
}

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its address.
    pub url: String,
    /// What its messages are signed with; where there is nothing they are not.
    pub secret: Option<Setting>,
}

impl Webhook {
    /// The secret, read from where it lies.
    pub fn secret(&self) -> Result<Option<String>, SettingError> {
        let Some(secret) = &self.secret else { return Ok(None) };
        let secret = secret.value("secret")?;
        if secret.len() < SHORTEST_SECRET {
            let problem = format!("must have at least {SHORTEST_SECRET} bytes");
            return Err(SettingError { key: "secret".to_owned(), problem });
        }
        Ok(Some(secret))
    }
}

/// A publication that a running pipeline follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The publication.
    pub name: String,
    /// What it is used as.
    pub used: Use,
    /// Its repository.
    pub repository: String,
}

/// When to raise an alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What it is called.
    pub name: String,
    /// What it is about.
    pub about: About,
    /// When the last attempt failed.
    pub failed: bool,
    /// When there was no version for so long, or a run takes so long.
    pub late: Option<Span>,
    /// When what is in use was published longer ago, or the last good run was.
    pub stale: Option<Span>,
    /// When a run was missed.
    pub missed: bool,
    /// Where it is sent.
    pub webhook: Webhook,
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A publication that is followed.
    Publication(String),
    /// A job.
    Job(String),
}

pub(super) fn publications(written: written::Publications) -> Result<Publications, KeyError> {
    let at_least = |key, span: Span, least: Span| {
        let wanted = format!("must be at least {least}");
        if span < least { Err(KeyError::new(&["publications", key], wanted)) } else { Ok(span) }
    };
    let notify =
        written.notify.into_iter().map(|(name, written)| Ok((name.clone(), notify(&name, written)?)));
    Ok(Publications {
        repository: Some(written.repository).filter(|url| !url.is_empty()),
        retention: Retention {
            keep: within(&["publications", "keep"], written.keep.into(), 1, 1_000_000)? as usize,
            keep_for: written.keep_for,
            grace: at_least("grace", written.grace, Span::seconds(1))?,
        },
        poll: Poll {
            folder: at_least("poll_folder", written.poll_folder, Span::millis(1))?,
            s3: at_least("poll_s3", written.poll_s3, Span::millis(10))?,
        },
        retry_for: written.retry_for,
        notify: notify.collect::<Result<_, _>>()?,
    })
}

fn notify(name: &str, written: written::Notify) -> Result<Notify, KeyError> {
    let key = |key| ["publications", "notify", name, key];
    plain(name).map_err(|wanted| KeyError::new(&["publications", "notify", name], wanted))?;
    match written {
        written::Notify { url: Some(url), secret, topic: None } => {
            Ok(Notify::Webhook(webhook(url, secret, &key("url"))?))
        }
        written::Notify { url: None, secret: None, topic: Some(topic) } => {
            if !topic.starts_with(crate::sources::kafka::SCHEME) {
                return Err(KeyError::new(&key("topic"), "must be kafka://HOST:PORT/TOPIC"));
            }
            Ok(Notify::Topic(topic))
        }
        _ => {
            let wanted = "give the url of a webhook, with its secret, or a topic";
            Err(KeyError::new(&["publications", "notify", name], wanted))
        }
    }
}

fn webhook(url: String, secret: Option<Setting>, key: &[&str]) -> Result<Webhook, KeyError> {
    let after = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if after.is_none_or(str::is_empty) {
        return Err(KeyError::new(
            key,
            "must be the address of a webhook, such as \"https://example.org/hook\"",
        ));
    }
    Ok(Webhook { url, secret })
}

pub(super) fn subscriptions(
    written: BTreeMap<String, written::Subscription>,
    repository: Option<&str>,
) -> Result<Vec<Subscription>, KeyError> {
    let one = |(name, written): (String, written::Subscription)| {
        let key = ["subscriptions", name.as_str()];
        plain(&name).map_err(|wanted| KeyError::new(&key, wanted))?;
        let given = written.repository.filter(|url| !url.is_empty());
        let repository = given.or_else(|| repository.map(str::to_owned)).ok_or_else(|| {
            KeyError::new(&key, "needs a repository: its own, or publications.repository for all")
        })?;
        Ok(Subscription { name: name.clone(), used: written.used, repository })
    };
    let all = written.into_iter().map(one).collect::<Result<Vec<_>, KeyError>>()?;
    for used in [Use::Model, Use::Lists] {
        let mut same = all.iter().filter(|subscription| subscription.used == used);
        if let (Some(one), Some(other)) = (same.next(), same.next()) {
            let wanted = format!("there can be one live of its kind, and {} is used so already", one.name);
            return Err(KeyError::new(&["subscriptions", &other.name, "use"], wanted));
        }
    }
    Ok(all)
}

pub(super) fn alerts(
    written: BTreeMap<String, written::Alert>,
    subscriptions: &[Subscription],
    jobs: &[Job],
) -> Result<Vec<Alert>, KeyError> {
    let one = |(name, written): (String, written::Alert)| {
        let written::Alert { publication, job, failed, late, stale, missed, url, secret } = written;
        let refuse = |key: &str, wanted: &str| Err(KeyError::new(&["alerts", &name, key], wanted));
        plain(&name).map_err(|wanted| KeyError::new(&["alerts", &name], wanted))?;
        let about = match (publication, job) {
            (Some(publication), None) => {
                if !subscriptions.iter().any(|subscription| subscription.name == publication) {
                    let wanted = "must be one that is followed: give it a table [subscriptions.NAME]";
                    return refuse("publication", wanted);
                }
                About::Publication(publication)
            }
            (None, Some(job)) => {
                if !jobs.iter().any(|known| known.name == job) {
                    return refuse("job", "must be one of the jobs: give it a table [jobs.NAME]");
                }
                About::Job(job)
            }
            _ => return Err(KeyError::new(&["alerts", &name], "must name a publication or a job")),
        };
        if missed && matches!(about, About::Publication(_)) {
            return refuse("missed", "is about runs of jobs, and this alert is about a publication");
        }
        if !failed && !missed && late.is_none() && stale.is_none() {
            let wanted = "must say when: failed, late or stale, or missed of a job";
            return Err(KeyError::new(&["alerts", &name], wanted));
        }
        let webhook = webhook(url, secret, &["alerts", &name, "url"])?;
        Ok(Alert { name, about, failed, late, stale, missed, webhook })
    };
    written.into_iter().map(one).collect()
}

/// Whether a text can be the name of a publication, or says what a name is.
pub fn plain(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(format!("a name has 1 to {MAX_NAME} letters, digits, `-` and `_`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text, "test.toml").unwrap_err().to_string()
    }

    #[test]
    fn what_is_followed_has_a_repository_and_what_is_live_is_one() {
        let text = "[publications]\nrepository = \"/r\"\n[subscriptions.films]\nuse = \"model\"\n\
                    [subscriptions.a]\nrepository = \"s3://b\"";
        let config = Config::parse(text, "test.toml").unwrap();
        let all: Vec<_> =
            config.subscriptions.iter().map(|one| (&*one.name, one.used, &*one.repository)).collect();
        assert_eq!(all, [("a", Use::Watch, "s3://b"), ("films", Use::Model, "/r")]);
        let said = refused("[subscriptions.films]\nuse = \"model\"");
        assert!(said.contains("line 1") && said.contains("publications.repository"), "{said}");
        let said = refused(&(text.to_owned() + "\nuse = \"model\""));
        assert!(
            said.contains("`subscriptions.films.use`") && said.contains("a is used so already"),
            "{said}"
        );
        assert!(refused("[subscriptions.\"a/b\"]\nrepository = \"/r\"").contains("letters, digits"));
    }

    #[test]
    fn somebody_who_is_told_is_a_webhook_or_a_topic() {
        for (text, said) in [
            ("[publications.notify.a]", "url of a webhook"),
            ("[publications.notify.a]\nurl = \"ftp://x\"", "address of a webhook"),
            ("[publications.notify.a]\ntopic = \"events\"", "kafka://HOST:PORT/TOPIC"),
            ("[publications.notify.a]\nurl = \"http://x\"\ntopic = \"kafka://x/y\"", "or a topic"),
        ] {
            assert!(refused(text).contains(said), "{text}: {}", refused(text));
        }
        let webhook = |secret: &str| {
            let secret = Setting::Text(secret.to_owned());
            Webhook { url: "http://x".to_owned(), secret: Some(secret) }.secret()
        };
        assert!(webhook("too short").unwrap_err().to_string().contains("16 bytes"));
        assert_eq!(webhook("long enough a secret").unwrap().as_deref(), Some("long enough a secret"));
    }

    #[test]
    fn an_alert_says_when_and_of_what() {
        let films = "[subscriptions.films]\nrepository = \"/r\"\n[alerts.a]\nurl = \"http://x\"\n";
        assert!(refused(&format!("{films}publication = \"films\"")).contains("failed, late or stale"));
        assert!(
            refused(&format!("{films}failed = true\npublication = \"b\"")).contains("[subscriptions.NAME]")
        );
        let config =
            Config::parse(&format!("{films}publication = \"films\"\nlate = \"26h\""), "test.toml").unwrap();
        assert_eq!(config.alerts[0].late, Some(Span::hours(26)));
        assert!(refused(&format!("{films}missed = true\npublication = \"films\"")).contains("runs of jobs"));
        assert!(refused(&format!("{films}missed = true\njob = \"b\"")).contains("[jobs.NAME]"));
        assert!(refused(&format!("{films}failed = true")).contains("a publication or a job"));
        let job = "[jobs.b]\nat = \"0 3 * * *\"\ncommand = [\"batch\"]\n";
        let config =
            Config::parse(&format!("{films}missed = true\njob = \"b\"\n{job}"), "test.toml").unwrap();
        assert_eq!(config.alerts[0].about, About::Job("b".into()));
    }
}
