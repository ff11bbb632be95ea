//! Mirrors in the config, as written and as meant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::{KeyError, within};
use super::publications::plain;
use super::settings::{Setting, Settings};
use super::span::Span;
use crate::sources::kafka;
use crate::stores::mirrored::View;

/// The kinds of servers, with what an address of each looks like.
const KINDS: [(&str, &str); 5] = [
    ("memcached", "memcached://HOST:11211"),
    ("redis", "redis://HOST:6379"),
    ("cassandra", "cassandra://HOST:9042/KEYSPACE"),
    ("mysql", "mysql://HOST:3306/DATABASE"),
    ("kafka", "kafka://HOST:9092/TOPIC"),
];

/// A server that lists and counts are mirrored in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// Its address: memcached://HOST:PORT (several with commas between), redis://HOST:PORT/DATABASE,
    /// cassandra://HOST:PORT,HOST:PORT/KEYSPACE, mysql://HOST:PORT/DATABASE or kafka://HOST:PORT/TOPIC.
    pub url: String,
    /// What is mirrored.
    pub views: Vec<View>,
    /// What stands before the names of keys, messages and tables.
    pub prefix: String,
    /// Who, where the server asks for that.
    pub user: String,
    /// With which password: a text, in which `${NAME}` is a variable of the environment, or { file = "PATH" }.
    pub password: Option<Setting>,
    /// A PEM file with the certificates that the server's is held against; with it connections are encrypted (Cassandra, MySQL).
    pub ca: String,
    /// On how many nodes of Cassandra each entry is, in a keyspace that is made where there is none; 0: the keyspace is there. On how
    /// many brokers of Kafka, in a topic that is made where there is none; 0: as the brokers are set.
    pub replication: u32,
    /// How many partitions a topic of Kafka has that is made where there is none; 0: 4.
    pub partitions: u32,
    /// Settings of librdkafka for a topic of Kafka, as in [kafka.settings], which are not taken here.
    pub settings: Settings,
    /// For how long an entry stays that is not written again; they are written again in time. 0: for ever. Not for MySQL and Kafka.
    pub expiry: Span,
    /// How many changed entries wait for the server at most; with more the mirror is filled anew when it is there again.
    pub queue: u64,
}

impl Default for Written {
    fn default() -> Self {
        Written {
            url: String::new(),
            views: vec![View::TopPicks, View::ContinueWatching, View::Trending],
            prefix: "nearline".to_owned(),
            user: String::new(),
            password: None,
            ca: String::new(),
            replication: 0,
            partitions: 0,
            settings: Settings::default(),
            expiry: Span::seconds(0),
            queue: 1_000_000,
        }
    }
}

/// A mirror that can be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// The server's address.
    pub url: String,
    /// What is mirrored, each view once.
    pub views: Vec<View>,
    /// What stands before names.
    pub prefix: String,
    /// Who.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<Setting>,
    /// A PEM file of certificates.
    pub ca: Option<PathBuf>,
    /// On how many nodes each entry is, of a keyspace or a topic that is to be made.
    pub replication: Option<u32>,
    /// How many partitions a topic has that is to be made.
    pub partitions: Option<u32>,
    /// Settings of librdkafka.
    pub settings: Settings,
    /// For how long an entry stays.
    pub expiry: Option<Span>,
    /// How many entries wait at most.
    pub queue: u64,
}

pub(super) fn mirrors(written: BTreeMap<String, Written>) -> Result<Vec<Mirror>, KeyError> {
    written.into_iter().map(|(name, written)| mirror(name, written)).collect()
}

fn mirror(name: String, written: Written) -> Result<Mirror, KeyError> {
    plain(&name).map_err(|wanted| KeyError::new(&["mirrors", &name], wanted))?;
    let refuse = |key: &str, wanted: &str| Err(KeyError::new(&["mirrors", &name, key], wanted));
    let scheme =
        checked_address(&written.url).map_err(|wanted| KeyError::new(&["mirrors", &name, "url"], wanted))?;
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let prefix = &written.prefix;
    if !prefix.starts_with(|letter: char| letter.is_ascii_lowercase())
        || prefix.len() > 32
        || !prefix.chars().all(fits)
    {
        return refuse("prefix", "must be 1 to 32 small letters, digits and _, with a letter first");
    }
    of_kafka(scheme == "kafka", &name, &written)?;
    let mut views = written.views;
    views.sort_unstable();
    views.dedup();
    if views.is_empty() {
        return refuse("views", "must name one at least: top_picks, continue_watching, trending, popularity");
    }
    let expiry = Some(written.expiry).filter(|expiry| expiry.ms() > 0);
    if expiry.is_some() && scheme == "mysql" {
        return refuse("expiry", "MySQL keeps rows until they are taken out: leave it away");
    }
    if expiry.is_some() && scheme == "kafka" {
        return refuse("expiry", "a compacted topic keeps entries until they are taken out: leave it away");
    }
    if expiry.is_some_and(|expiry| expiry < Span::seconds(10)) {
        return refuse("expiry", "must be at least 10s, or 0 for none");
    }
    if !written.ca.is_empty() && !matches!(scheme, "cassandra" | "mysql") {
        return refuse("ca", "is for Cassandra and MySQL alone");
    }
    if written.replication > 0 && !matches!(scheme, "cassandra" | "kafka") {
        return refuse("replication", "is for Cassandra and Kafka alone");
    }
    if scheme == "memcached" && (!written.user.is_empty() || written.password.is_some()) {
        return refuse("user", "memcached knows no users");
    }
    let queue = within(&["mirrors", &name, "queue"], written.queue, 1_000, 1 << 40)?;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Mirror {
        url: written.url,
        views,
        prefix: written.prefix,
        user: text(written.user),
        password: written.password,
        ca: text(written.ca).map(PathBuf::from),
        replication: Some(written.replication).filter(|nodes| *nodes > 0),
        partitions: Some(written.partitions).filter(|partitions| *partitions > 0),
        settings: written.settings,
        expiry,
        queue,
        name,
    })
}

/// Refuses what is for topics of Kafka alone elsewhere, and there what is not for them.
fn of_kafka(is_kafka: bool, name: &str, written: &Written) -> Result<(), KeyError> {
    let refuse = |key: &str, wanted: &str| Err(KeyError::new(&["mirrors", name, key], wanted));
    if !is_kafka {
        return match written {
            Written { partitions: 1.., .. } => refuse("partitions", "is for Kafka alone"),
            Written { settings, .. } if !settings.0.is_empty() => refuse("settings", "are for Kafka alone"),
            _ => Ok(()),
        };
    }
    if !written.user.is_empty() || written.password.is_some() {
        return refuse("user", "Kafka is told by [mirrors.NAME.settings], such as \"sasl.username\"");
    }
    within(&["mirrors", name, "partitions"], u64::from(written.partitions), 0, 10_000)?;
    within(&["mirrors", name, "replication"], u64::from(written.replication), 0, 1_000)?;
    if let Some((key, why)) = kafka::misplaced_in_mirror(&written.settings) {
        return Err(KeyError::new(&["mirrors", name, "settings", key], format!("cannot be set: {why}")));
    }
    Ok(())
}

/// The kind of server that an address is of, or what is wrong with it.
fn checked_address(url: &str) -> Result<&str, String> {
    let all = || KINDS.map(|(_, example)| example).join(", ");
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("must be one of {}", all()))?;
    let Some((_, example)) = KINDS.iter().find(|(kind, _)| *kind == scheme) else {
        return Err(format!("must be one of {}", all()));
    };
    if rest.contains('@') {
        return Err("must hold no user and no password: there are keys for them".to_owned());
    }
    if scheme == "kafka" {
        return match kafka::Address::parse(url) {
            Ok(address) if address.topics.len() == 1 => Ok(scheme),
            Ok(_) => Err(format!("must name one topic, like {example}")),
            Err(error) => Err(format!("must be like {example}: {error}")),
        };
    }
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_host = |host: &str| {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "1"));
        !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let right = hosts.split(',').all(is_host)
        && path.chars().all(plain)
        && match scheme {
            "memcached" => path.is_empty(),
            "redis" => !hosts.contains(',') && path.parse::<u32>().is_ok() | path.is_empty(),
            "mysql" => !hosts.contains(',') && !path.is_empty(),
            _ => !path.is_empty(),
        };
    if right { Ok(scheme) } else { Err(format!("must be like {example}")) }
}

impl Mirror {
    /// The mirror at an address that can be asked for a list, with what there is besides in the mirror of a config that has
    /// this address.
    pub fn at(url: &str, known: &[Mirror]) -> Result<Mirror, String> {
        let known = known.iter().find(|known| known.url == url || known.name == url);
        let url = known.map_or(url, |known| known.url.as_str());
        let others = || KINDS.iter().filter(|(kind, _)| *kind != "kafka");
        if !others().any(|(kind, _)| url.starts_with(&format!("{kind}://"))) {
            let is_topic = url.starts_with(kafka::SCHEME);
            let why = if is_topic { "a topic of Kafka cannot be asked for a member's list; " } else { "" };
            let examples: Vec<&str> = others().map(|(_, example)| *example).collect();
            return Err(format!("{why}must be one of {}", examples.join(", ")));
        }
        if let Some(known) = known {
            return Ok(known.clone());
        }
        checked_address(url)?;
        mirror("from".to_owned(), Written { url: url.to_owned(), ..Written::default() })
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_with_an_example() {
        for good in [
            "memcached://127.0.0.1:11211",
            "memcached://a:1,b:2",
            "memcached://a",
            "redis://localhost",
            "redis://localhost:6379/2",
            "cassandra://a:9042,b/films",
            "mysql://127.0.0.1:3306/films",
            "kafka://a:9092,[::1]:9092/films.lists",
        ] {
            assert!(checked_address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "films",
            "ftp://a/b",
            "memcached://",
            "memcached://a:0",
            "memcached://a/b",
            "redis://a/b",
            "redis://a,b",
            "cassandra://a",
            "mysql://a",
            "mysql://me:secret@a/b",
            "mysql://a/b`; drop",
            "kafka://a",
            "kafka://a/b,c",
            "kafka://a/b c",
        ] {
            assert!(checked_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_is_said_by_its_key() {
        for (text, key) in [
            ("url = \"x\"", "url"),
            ("url = \"redis://a\"\nprefix = \"A b\"", "prefix"),
            ("url = \"redis://a\"\nviews = []", "views"),
            ("url = \"mysql://a/b\"\nexpiry = \"1h\"", "expiry"),
            ("url = \"redis://a\"\nexpiry = \"1s\"", "expiry"),
            ("url = \"memcached://a\"\nuser = \"me\"", "user"),
            ("url = \"redis://a\"\nca = \"ca.pem\"", "ca"),
            ("url = \"redis://a\"\nreplication = 1", "replication"),
            ("url = \"redis://a\"\nqueue = 1", "queue"),
            ("url = \"redis://a\"\npartitions = 1", "partitions"),
            ("url = \"redis://a\"\nsettings = { acks = 1 }", "settings"),
            ("url = \"kafka://a/b\"\nexpiry = \"1h\"", "expiry"),
            ("url = \"kafka://a/b\"\nuser = \"me\"", "user"),
            ("url = \"kafka://a/b\"\nca = \"ca.pem\"", "ca"),
            ("url = \"kafka://a/b\"\npartitions = 20000", "partitions"),
            ("url = \"kafka://a/b\"\nsettings = { acks = 1 }", "acks"),
        ] {
            let written: Written = toml::from_str(text).unwrap();
            let error = mirror("m".to_owned(), written).unwrap_err();
            assert!(
                error.to_string().contains(key) || format!("{error:?}").contains(key),
                "{text}: {error:?}"
            );
        }
    }
}
