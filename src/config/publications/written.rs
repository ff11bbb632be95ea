//! Publications as they are written in the config.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::settings::Setting;
use super::super::span::Span;

/// Where publications lie, who is told of them and how long they are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Publications {
    /// The repository: a folder, file:///FOLDER, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER or
    /// cassandra://HOST:PORT/KEYSPACE. Without one `--to` and `--from` say where.
    pub repository: String,
    /// How many versions of a publication are kept at least.
    pub keep: u32,
    /// For how long versions are kept at least, besides.
    pub keep_for: Span,
    /// What is younger is never taken out: a publication may be under way.
    pub grace: Span,
    /// How often subscribers look into a folder.
    pub poll_folder: Span,
    /// How often subscribers look into a bucket of S3.
    pub poll_s3: Span,
    /// For how long somebody who does not answer is told of a publication again, before the letter is left.
    pub retry_for: Span,
    /// Who is told of each publication, by a name of your own.
    pub notify: BTreeMap<String, Notify>,
}

impl Default for Publications {
    fn default() -> Self {
        Publications {
            repository: String::new(),
            keep: 5,
            keep_for: Span::hours(7 * 24),
            grace: Span::hours(24),
            poll_folder: Span::millis(20),
            poll_s3: Span::seconds(1),
            retry_for: Span::seconds(60),
            notify: BTreeMap::new(),
        }
    }
}

/// Who is told: a webhook, or a topic of Kafka.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// The address of a webhook.
    pub url: Option<String>,
    /// What its messages are signed with, at least 16 bytes: a text, in which `${NAME}` is a variable of the environment,
    /// or { file = "PATH" }.
    pub secret: Option<Setting>,
    /// A topic: kafka://HOST:PORT/TOPIC.
    pub topic: Option<String>,
}

/// A publication that a running pipeline follows.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Subscription {
    /// What it is used as.
    #[serde(rename = "use")]
    pub used: Use,
    /// Its repository, where it is another one.
    pub repository: Option<String>,
}

/// What a publication is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Nothing: it is watched, and told of.
    #[default]
    Watch,
    /// The live model.
    Model,
    /// The lists that stand in for fresh ones.
    Lists,
    /// Records of items.
    Catalogue,
    /// The centres that members are found among.
    Centres,
}

/// When to raise an alarm about a publication that this pipeline follows, or about one of its jobs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alert {
    /// Which publication.
    pub publication: Option<String>,
    /// Or which job.
    pub job: Option<String>,
    /// Raise it when the last attempt to publish it, or to take it over, failed; when a job failed, also the last time that
    /// it was tried.
    pub failed: bool,
    /// Raise it when no version was published for this long; when a run of a job takes longer than this.
    pub late: Option<Span>,
    /// Raise it when what is in use was published longer ago than this; when no run of a job ended well for this long.
    pub stale: Option<Span>,
    /// Raise it when a run of a job was missed, as nothing ran then.
    pub missed: bool,
    /// The address of the webhook.
    pub url: String,
    /// What its messages are signed with, as above.
    pub secret: Option<Setting>,
}
