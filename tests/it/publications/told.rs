//! Who is told: webhooks, a topic, and alerts.

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;

use super::hook::Hook;
use super::{FILMS, home, publish, text};
use crate::support::until;

const SECRET: &str = "a secret of sixteen bytes and more";

fn notify(hook: &Hook, retry_for: &str) -> String {
    format!(
        "retry_for = \"{retry_for}\"\n[publications.notify.shop]\nurl = \"{}\"\nsecret = \"${{HOOK_SECRET}}\"\n",
        hook.url
    )
}

#[test]
fn a_webhook_is_told_signed_until_it_answers_and_always_by_the_same_id() {
    let hook = Hook::answering(&[500, 429]);
    let home = home(&notify(&hook, "5m"));
    let mut command = home.command(&["publish", "films", "--model", "a", "--json"]);
    let out = crate::support::said(command.env("HOOK_SECRET", SECRET).output().unwrap()).ok();
    let published: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(published["undelivered"], serde_json::json!([]));
    let messages = hook.messages();
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.id == messages[0].id && message.is_signed_with(SECRET)));
    assert!(!messages[0].is_signed_with("another secret of some length"));
    let told = messages[2].json();
    assert_eq!((&told["type"], &told["data"]["publication"]), (&"publication.ready".into(), &"films".into()));
    assert_eq!(told["data"]["version"], published["version"]);
    // The next publication is another message, and nothing is left of the first.
    let mut command = home.command(&["publish", "films", "--model", "b"]);
    crate::support::said(command.env("HOOK_SECRET", SECRET).output().unwrap()).ok();
    let messages = hook.messages();
    assert!(messages.len() == 4 && messages[3].id != messages[0].id);
}

#[test]
fn letters_that_did_not_arrive_are_kept_shown_and_sent_again_when_it_is_asked_for() {
    let hook = Hook::answering(&[500; 50]);
    let home = home(&notify(&hook, "1ms"));
    // Without its secret nothing is sent at all.
    let said = home.say(&["publish", "films", "--model", "a"]);
    assert!(said.code == 0 && said.err.contains("HOOK_SECRET") && hook.messages().is_empty(), "{said:?}");
    let redeliver = || {
        let mut command = home.command(&["publications", "redeliver"]);
        crate::support::said(command.env("HOOK_SECRET", SECRET).output().unwrap())
    };
    let said = redeliver().ended(1);
    assert!(said.contains("shop was not told") && said.contains("it answered 500"), "{said}");
    let shown = home.ok(&["publications", "films"]);
    assert!(shown.contains("2 attempts") && shown.contains("it answered 500"), "{shown}");
    hook.answer_next(&[]);
    let before = hook.messages();
    assert!(redeliver().ok().contains("1 letter arrived"));
    let after = hook.messages();
    assert_eq!((after.len(), &after[before.len()].id), (before.len() + 1, &before[0].id));
    assert!(redeliver().ok().contains("0 letters arrived"));
    assert_eq!(home.json(&["publications"])[0]["undelivered"], serde_json::json!([]));
}

#[test]
fn a_topic_is_told() {
    let cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext> =
        MockCluster::new(1).unwrap();
    cluster.create_topic("publications", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let home = home(&format!("[publications.notify.events]\ntopic = \"kafka://{brokers}/publications\"\n"));
    let version = publish(&home, "a");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["publications"]).unwrap();
    let mut told = None;
    until("the message is there", || {
        let polled = consumer.poll(std::time::Duration::from_millis(100)).and_then(Result::ok);
        told = polled.map(|message| {
            let payload = serde_json::from_slice::<serde_json::Value>(message.payload().unwrap()).unwrap();
            (message.key().map(<[u8]>::to_vec), payload)
        });
        told.is_some()
    });
    let (key, message) = told.unwrap();
    assert_eq!(key.as_deref(), Some(&b"films"[..]));
    assert_eq!(text(&message["data"]["version"]), version);
}

#[test]
fn an_alert_is_raised_once_and_once_it_is_said_that_all_is_well() {
    let hook = Hook::answering(&[503]);
    let alert = format!("[alerts.films]\npublication = \"films\"\nfailed = true\nurl = \"{}\"\n", hook.url);
    let home = home(&format!("{FILMS}{alert}"));
    home.ok(&["replay", "--model", "a", "log.jsonl"]);
    let server = home.serve(&["run", "--follow"]);
    // A publication that comes to nothing.
    home.say(&["publish", "films", "--model", "nothing"]).ended(2);
    until("it is raised", || hook.messages().len() == 2);
    let messages = hook.messages();
    assert_eq!(messages[0].id, messages[1].id, "what was not taken is sent again");
    let told = messages[1].json();
    assert_eq!((&told["type"], &told["data"]["alert"]), (&"alert.raised".into(), &"films".into()));
    assert!(told["data"]["why"].as_str().unwrap().contains("this is no model"), "{told}");
    until("it is noted", || server.ok("/v1/publications")["alerts"][0]["told"] == true);
    assert!(home.ok(&["status"]).contains("this is no model"));
    assert!(
        server
            .get("/metrics")
            .1
            .as_str()
            .unwrap()
            .contains("alert_raised{alert=\"films\",publication=\"films\"} 1")
    );
    // A restart raises it no second time.
    server.kill();
    let server = home.serve(&["run", "--follow"]);
    let version = publish(&home, "b");
    super::until_used(&server, &version);
    until("it is over", || hook.messages().len() == 3);
    let over = hook.messages()[2].json();
    assert_eq!((&over["type"], &over["data"]["alert"]), (&"alert.resolved".into(), &"films".into()));
    until("it is noted", || server.ok("/v1/publications")["alerts"] == serde_json::json!([]));
}
