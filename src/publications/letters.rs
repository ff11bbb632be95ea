//! Who is told of a publication: a letter for each, written before the version becomes the newest and taken away once it has
//! arrived. So nobody is forgotten where the publisher is killed in between, and who did not answer can be told later.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::manifest::Publication;
use super::webhook::{Sender, Undelivered};
use super::{PublicationError, Publications, json, now_ms, retried};
use crate::config::Settings;
use crate::config::publications::Notify;
use crate::sources::kafka;

/// The first pause before a letter is sent again; each is twice the one before, up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A letter that has not arrived yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// What it is known by; the same however often it is sent.
    pub id: String,
    /// To whom: a name of `[publications.notify]`.
    pub to: String,
    /// The publication.
    pub publication: String,
    /// When the version that it tells of became the newest.
    pub published_at: i64,
    /// What it says.
    pub message: serde_json::Value,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it did not arrive the last time.
    pub why: Option<String>,
}

impl Letter {
    fn is_due(&self, newest_at: Option<i64>) -> bool {
        self.attempts > 0 || newest_at == Some(self.published_at)
    }
}

/// How letters are sent.
#[derive(Debug)]
pub struct Courier<'a> {
    /// To whom, by name.
    pub notify: &'a [(String, Notify)],
    /// For how long it is tried.
    pub retry_for: Duration,
    /// How brokers of Kafka are reached.
    pub kafka: &'a Settings,
}

/// What became of letters.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// How many arrived.
    pub arrived: usize,
    /// The others.
    pub left: Vec<Letter>,
}

/// What a message of a publication says.
pub fn message(kind: &str, at: i64, data: &serde_json::Value) -> serde_json::Value {
    let at = jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string());
    serde_json::json!({ "type": kind, "timestamp": at, "data": data })
}

impl Publications {
    /// Writes the letters that tell of a version.
    pub fn write_letters(
        &self,
        publication: &Publication,
        published_at: i64,
        notify: &[(String, Notify)],
    ) -> Result<Vec<Letter>, PublicationError> {
        let Publication { name, version, kind, counts, epoch, model, made_at, .. } = publication;
        let data = serde_json::json!({
            "publication": name, "version": version, "kind": kind, "counts": counts, "epoch": epoch, "model": model,
            "size": publication.size(), "made_at": made_at, "published_at": published_at,
            "url": self.repository.url_of(&format!("{name}/{version}")),
        });
        let letter = |to: &String| {
            let id = blake3::hash(format!("{} {name} {version} {published_at} {to}", self.url()).as_bytes());
            Letter {
                id: format!("msg_{}", &id.to_hex()[..32]),
                to: to.clone(),
                publication: name.clone(),
                published_at,
                message: message("publication.ready", published_at, &data),
                attempts: 0,
                why: None,
            }
        };
        let letters: Vec<Letter> = notify.iter().map(|(to, _)| letter(to)).collect();
        for letter in &letters {
            self.keep_letter(letter)?;
        }
        Ok(letters)
    }

    /// The letters about a publication that have not arrived.
    pub fn letters(&self, name: &str) -> Result<Vec<Letter>, PublicationError> {
        let mut letters = Vec::new();
        for object in retried(|| Ok(self.repository.list(&format!("{name}/letters"))?))? {
            let bytes = retried(|| Ok(self.repository.get(&object.name)?))?;
            letters.extend(bytes.map(|bytes| self.read(&object.name, &bytes)).transpose()?);
        }
        Ok(letters)
    }

    /// Sends letters, each to its receiver at the same time as the others.
    pub fn deliver(&self, letters: Vec<Letter>, courier: &Courier<'_>) -> Result<Outcome, PublicationError> {
        let (tell, told) = crossbeam_channel::unbounded();
        let (sender, mut outcome) = (Sender::default(), Outcome::default());
        std::thread::scope(|scope| {
            for mut letter in letters {
                let (tell, sender) = (tell.clone(), &sender);
                scope.spawn(move || {
                    let arrived = courier.carry(&mut letter, sender);
                    // Whoever hears of it is there until all are through.
                    let _ = tell.send((letter, arrived));
                });
            }
            drop(tell);
            for (letter, arrived) in told {
                if arrived {
                    outcome.arrived += 1;
                    self.drop_letter(&letter)?;
                } else {
                    self.keep_letter(&letter)?;
                    outcome.left.push(letter);
                }
            }
            Ok(outcome)
        })
    }

    /// The letters that are to be sent: those that were sent before, and those about the newest version. One that was never
    /// sent is about a version that never became the newest, as its publisher was killed before, or is that no more.
    pub fn due_letters(&self, name: &str) -> Result<Vec<Letter>, PublicationError> {
        let (mut letters, newest) = (self.letters(name)?, self.newest_at(name)?);
        letters.retain(|letter| letter.is_due(newest));
        Ok(letters)
    }

    /// Takes out the others, where they are older than `before`.
    pub(super) fn drop_void_letters(&self, name: &str, before: i64) -> Result<(), PublicationError> {
        let newest = self.newest_at(name)?;
        for letter in self.letters(name)? {
            if !letter.is_due(newest) && letter.published_at < before {
                self.drop_letter(&letter)?;
            }
        }
        Ok(())
    }

    /// When the newest version became that.
    fn newest_at(&self, name: &str) -> Result<Option<i64>, PublicationError> {
        Ok(retried(|| self.latest(name))?.map(|latest| latest.published_at))
    }

    fn keep_letter(&self, letter: &Letter) -> Result<(), PublicationError> {
        retried(|| Ok(self.repository.put(&object(letter), json(letter))?))
    }

    fn drop_letter(&self, letter: &Letter) -> Result<(), PublicationError> {
        retried(|| Ok(self.repository.delete(&object(letter))?))
    }
}

fn object(letter: &Letter) -> String {
    format!("{}/letters/{}", letter.publication, letter.id)
}

impl Courier<'_> {
    /// Sends a letter until it arrives, or there is no use in it; says whether it arrived.
    fn carry(&self, letter: &mut Letter, sender: &Sender) -> bool {
        let Some((_, notify)) = self.notify.iter().find(|(name, _)| *name == letter.to) else {
            letter.why = Some(format!("the config has no [publications.notify.{}] any more", letter.to));
            return false;
        };
        let (began, mut pause) = (Instant::now(), PAUSE);
        let body = letter.message.to_string();
        loop {
            letter.attempts += 1;
            let sent = match notify {
                Notify::Webhook(webhook) => sender.send(webhook, &letter.id, &body),
                Notify::Topic(topic) => self.produce(topic, letter, &body),
            };
            let Err(Undelivered { why, passing }) = sent else { return true };
            tracing::debug!(to = letter.to, why, "a letter did not arrive");
            letter.why = Some(why);
            if !passing || began.elapsed() + pause > self.retry_for {
                return false;
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn produce(&self, topic: &str, letter: &Letter, body: &str) -> Result<(), Undelivered> {
        let options = kafka::Options {
            settings: self.kafka.clone(),
            wait: self.retry_for,
            ..kafka::Options::default()
        };
        let sent = kafka::Producer::open(topic, &options).and_then(|mut producer| {
            producer.send_message(Some(&letter.publication), body.as_bytes())?;
            producer.finish()
        });
        // librdkafka has tried for as long as its settings say.
        sent.map(drop).map_err(|error| Undelivered { why: error.to_string(), passing: false })
    }
}

/// When a letter was written that is left, and why, in words.
pub fn said(letter: &Letter) -> String {
    let age = (now_ms() - letter.published_at).max(0) / 1000;
    let why = letter.why.as_deref().unwrap_or("its publisher ended before it was sent");
    format!("{} was not told ({} attempts, {age} s ago): {why}", letter.to, letter.attempts)
}
