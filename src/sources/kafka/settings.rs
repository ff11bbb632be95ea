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

/// Settings that a mirror's promises hang on besides.
const OF_MIRRORS: [(&str, &str); 7] = [
    ("enable.idempotence", WHOLE),
    ("acks", WHOLE),
    ("request.required.acks", WHOLE),
    ("transactional.id", "what is written is whole without transactions"),
    ("message.timeout.ms", "a mirror is tried again by itself"),
    ("allow.auto.create.topics", "the topic is made compacted, or not at all"),
    ("isolation.level", "what is written is read back as it is"),
];
const WHOLE: &str = "all replicas are to have what is written, once and in order";

/// The first setting that is not for others to set, and why.
pub fn misplaced(settings: &Settings) -> Option<(&str, &'static str)> {
    first_of(&OURS, settings)
}

/// The same of the settings of a mirror.
pub fn misplaced_in_mirror(settings: &Settings) -> Option<(&str, &'static str)> {
    misplaced(settings).or_else(|| first_of(&OF_MIRRORS, settings))
}

fn first_of<'s>(ours: &[(&str, &'static str)], settings: &'s Settings) -> Option<(&'s str, &'static str)> {
    settings.0.keys().find_map(|key| {
        let (_, why) = ours.iter().find(|(ours, _)| ours == key)?;
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
        let acks = settings("\"acks\" = 0");
        assert_eq!((misplaced(&acks), misplaced_in_mirror(&acks).unwrap().0), (None, "acks"));
        assert_eq!(misplaced_in_mirror(&settings("\"log.queue\" = 1")).unwrap().0, "log.queue");
    }
}
