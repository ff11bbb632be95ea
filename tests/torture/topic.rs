//! A topic of a real broker that a trial feeds its process through.

use std::time::{Duration, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// The longest that a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A topic of a trial's own.
pub struct Topic {
    /// `kafka://HOST:PORT/TOPIC`.
    pub address: String,
    name: String,
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl Topic {
    /// Makes one.
    pub fn new(brokers: &str, seed: u64, partitions: usize) -> Topic {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let name = format!("torture-{seed}-{}", since.as_nanos());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("linger.ms", "0");
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let new = NewTopic::new(&name, partitions as i32, TopicReplication::Fixed(1));
        // Days long past are in the log, and none of them is to be dropped.
        let new = new.set("retention.ms", "-1");
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let made = runtime.block_on(admin.create_topics([&new], &options)).unwrap();
        made[0].as_ref().unwrap();
        Topic { address: format!("kafka://{brokers}/{name}"), name, producer: config.create().unwrap() }
    }

    /// The end of the name that a partition has in `status`.
    pub fn source(&self, partition: usize) -> String {
        format!("/{}/{partition}", self.name)
    }

    /// Sends a line to a partition.
    pub fn send(&self, partition: usize, line: &str) {
        let mut record: BaseRecord<'_, str, str> =
            BaseRecord::to(&self.name).partition(partition as i32).payload(line);
        while let Err((error, back)) = self.producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            std::thread::sleep(Duration::from_millis(5));
            record = back;
        }
    }

    /// Waits until all that was sent has arrived.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}
