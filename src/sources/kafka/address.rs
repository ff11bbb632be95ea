//! `kafka://HOST:PORT/TOPIC`: brokers and topics as they are named on the command line.

use super::KafkaError;

/// How an address begins.
pub const SCHEME: &str = "kafka://";
/// Where a broker listens unless it is said.
const PORT: u16 = 9092;
/// The longest name that Kafka allows a topic.
const LONGEST: usize = 249;

/// Brokers and topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As it was given.
    pub given: String,
    /// The brokers to ask first, as `HOST:PORT`, separated by commas.
    pub brokers: String,
    /// The topics, each once.
    pub topics: Vec<String>,
}

impl Address {
    /// Reads `kafka://HOST:PORT[,HOST:PORT…]/TOPIC[,TOPIC…]`.
    pub fn parse(given: &str) -> Result<Address, KafkaError> {
        let refuse = |problem: String| KafkaError::Address { given: shown(given), problem };
        let rest = given.strip_prefix(SCHEME).unwrap_or(given);
        if rest.contains('@') {
            return Err(refuse("names and passwords belong into [kafka.settings] of the config".into()));
        }
        let (brokers, topics) = rest
            .split_once('/')
            .ok_or_else(|| refuse("it names no topic, as in kafka://localhost:9092/events".into()))?;
        let brokers: Vec<String> =
            brokers.split(',').map(broker).collect::<Result<_, _>>().map_err(&refuse)?;
        let mut named: Vec<String> = Vec::new();
        for topic in topics.split(',') {
            if !is_topic(topic) {
                return Err(refuse(format!(
                    "`{topic}` is no name of a topic: letters, digits, `.`, `_` and `-`, at most {LONGEST} of them"
                )));
            }
            if !named.iter().any(|known| known == topic) {
                named.push(topic.to_owned());
            }
        }
        Ok(Address { given: given.to_owned(), brokers: brokers.join(","), topics: named })
    }
}

/// The address without what may be a password.
fn shown(given: &str) -> String {
    match given.rsplit_once('@') {
        Some((_, behind)) => format!("{SCHEME}…@{behind}"),
        None => given.to_owned(),
    }
}

fn broker(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no broker: give HOST:PORT");
    // An address of IP version 6 has colons of its own, and stands in brackets.
    let bare = text.starts_with('[') && text.ends_with(']');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !bare => (host, port.parse::<u16>().map_err(|_| wrong())?),
        _ => (text, PORT),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || ":/?#[]".contains(c));
    if port == 0 || !(bracketed || plain) {
        return Err(wrong());
    }
    Ok(format!("{host}:{port}"))
}

fn is_topic(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed) && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_and_topics_are_read_and_what_is_left_out_is_filled_in() {
        let address = Address::parse("kafka://one:9093,two,[::1]:9094/plays,ratings,plays").unwrap();
        assert_eq!(address.brokers, "one:9093,two:9092,[::1]:9094");
        assert_eq!(address.topics, ["plays", "ratings"]);
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_wrong_and_no_password_is_repeated() {
        for (given, said) in [
            ("kafka://one:9092", "names no topic"),
            ("kafka://one:9092/", "no name of a topic"),
            ("kafka://one:9092/a/b", "no name of a topic"),
            ("kafka://one:port/a", "no broker"),
            ("kafka:///a", "no broker"),
            ("kafka://me:hunter2@one:9092/a", "[kafka.settings]"),
        ] {
            let error = Address::parse(given).unwrap_err().to_string();
            assert!(error.contains(said), "{given}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
