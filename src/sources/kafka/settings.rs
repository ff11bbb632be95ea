//! Which of librdkafka's settings are not for others to set.

use crate::config::Settings;

/// Settings that would break what Nearline promises, and why each is not for others to set.
const OURS: [(&str, &str); 8] = [
    ("bootstrap.servers", "the brokers stand in the address, kafka://HOST:PORT/TOPIC"),
    ("metadata.broker.list", "the brokers stand in the address, kafka://HOST:PORT/TOPIC"),
    ("enable.auto.commit", KEPT),
    ("auto.commit.enable", KEPT),
    ("enable.auto.offset.store", KEPT),
    ("auto.offset.reset", "where reading begins is said by --from, and offsets are kept in the data folder"),
    ("enable.partition.eof", "it is how the end of a topic is found"),
    ("log.queue", "it is how messages of the library are told"),
];
const KEPT: &str = "offsets are kept in the data folder, and reported to Kafka once they are there";

/// The first setting that is not for others to set, and why.
pub fn misplaced(settings: &Settings) -> Option<(&str, &'static str)> {
    settings.0.keys().find_map(|key| {
        let (_, why) = OURS.iter().find(|(ours, _)| ours == key)?;
        Some((key.as_str(), *why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nearline_sets_itself_is_not_taken() {
        let settings = |text| toml::from_str::<Settings>(text).unwrap();
        assert_eq!(misplaced(&settings("\"enable.auto.commit\" = true")).unwrap().0, "enable.auto.commit");
        assert_eq!(misplaced(&settings("\"client.id\" = \"me\"")), None);
    }
}
