//! With librdkafka's mock cluster: brokers that live in this process and hold what they are sent in memory.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::Offset;

use super::{Sender, digest_of, event, home, interrupt, live, log, partitions, reported, sum};
use crate::support::{Home, Running, until};

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(brokers: i32, topics: &[(&str, i32)]) -> (Cluster, String) {
    let cluster = MockCluster::new(brokers).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, brokers).unwrap();
    }
    let servers = cluster.bootstrap_servers();
    (cluster, servers)
}

#[test]
fn a_log_that_is_produced_and_replayed_gives_the_digest_of_the_log_from_a_file() {
    let (_cluster, brokers) = cluster(3, &[("plays", 4)]);
    let home = home("");
    let text = log(0, 2_000);
    home.write("log.jsonl", &text);
    let address = format!("kafka://{brokers}/plays");
    let said = home.say(&["produce", "log.jsonl", "--to", &address]);
    assert!(said.err.contains("2,000 records are in"), "{said:?}");
    home.ok(&["replay", &address]);
    assert_eq!(home.verified("nearline-data"), digest_of(&home, &text));
    assert_eq!((sum(&home, "next"), sum(&home, "lag")), (2_000, 0));
    // A member's records are all in one partition.
    let again = home.say(&["replay", &address]);
    assert!(again.err.contains("0 records in"), "what was read is not read again: {again:?}");
}

#[test]
fn several_processes_share_out_the_partitions_and_read_on_after_one_was_killed() {
    let (_cluster, brokers) = cluster(2, &[("plays", 5)]);
    let home = home("");
    let sender = Sender::new(&brokers, "plays", &[]);
    sender.log(&log(0, 700), 5);
    let address = format!("kafka://{brokers}/plays");
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let hosts = listeners.map(|listener| format!("{}\n", listener.local_addr().unwrap()));
    home.write("hosts", &hosts.concat());
    let args = |process: usize| {
        let how = ["run", "--processes", "2", "--hosts", "hosts", "--workers", "1", "--process"];
        let (data, number) = (format!("part{process}"), process.to_string());
        [&["--data", &data], &how[..], &[&number, &address]].concat().into_iter().map(str::to_owned).collect()
    };
    let begin = |process: usize| {
        let args: Vec<String> = args(process);
        Running::begin(home.command(&args.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let status = |part: &str| -> serde_json::Value {
        serde_json::from_str(&home.say(&["--data", part, "status", "--json"]).out).unwrap_or_default()
    };
    let read = || -> u64 {
        let counts =
            ["part0", "part1"].map(|part| status(part)["counts"]["live_events"].as_u64().unwrap_or(0));
        counts.iter().sum()
    };
    let both = [begin(0), begin(1)];
    until("what was there is read", || read() == 700);
    let [one, other] = both;
    one.kill();
    other.wait().ended(3);
    sender.log(&log(700, 300), 5);
    let both = [begin(0), begin(1)];
    until("what came is read", || read() == 1_000);
    let [one, other] = both;
    interrupt(one).ok();
    other.wait().ok();
    let verdict = home.json(&["verify", "part0", "part1"]);
    assert_eq!(verdict["stored"], digest_of(&home, &log(0, 1_000)));
    let partitions = |part: &str| status(part)["sources"].as_array().map_or(0, Vec::len);
    let [one, other] = ["part0", "part1"].map(partitions);
    assert!(one + other == 5 && one.abs_diff(other) == 1, "{one} and {other}");
}

#[test]
fn several_topics_are_followed_and_read_on_after_a_kill() {
    let (_cluster, brokers) = cluster(2, &[("plays", 3), ("more", 2)]);
    let home = home("");
    let (plays, more) = (Sender::new(&brokers, "plays", &[]), Sender::new(&brokers, "more", &[]));
    plays.log(&log(0, 300), 3);
    let address = format!("kafka://{brokers}/plays,more");
    let running = home.start(&["run", &address]);
    until("what was there is read", || live(&home) == 300);
    more.log(&log(300, 200), 2);
    until("what comes is read", || live(&home) == 500);
    running.kill();
    plays.log(&log(500, 100), 3);
    let running = home.start(&["run", &address]);
    until("it goes on where it was", || live(&home) == 600);
    interrupt(running).ok();
    let accepted = home.json(&["status"])["counts"]["accepted"].as_u64().unwrap();
    assert_eq!(accepted, 600, "nothing is read twice after it was committed");
    assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 600)));
}

#[test]
fn messages_that_are_no_records_are_kept_aside_with_partition_and_offset_and_stop_nothing() {
    let (_cluster, brokers) = cluster(1, &[("plays", 2)]);
    let home = home("");
    let sender = Sender::new(&brokers, "plays", &[]);
    let several_lines = event(1).replace(',', ",\n  ");
    for payload in [
        Some(event(0).as_bytes()),
        None,
        Some(b"not JSON".as_slice()),
        Some(b""),
        Some(b"\xff{"),
        Some(several_lines.as_bytes()),
        Some(format!("{}\n", event(2)).as_bytes()),
        Some(format!("{}\n{}", event(3), event(4)).as_bytes()),
        Some(b"[]"),
    ] {
        sender.to(1, payload);
    }
    sender.flush();
    let address = format!("kafka://{brokers}/plays");
    let checked = home.say(&["check", &address]).ended(1);
    assert!(checked.contains("3 records would be taken, 6 lines rejected"), "{checked}");
    assert!(checked.contains("/plays/1, offset 2: "), "{checked}");
    home.ok(&["replay", &address]);
    let rejected = std::fs::read_to_string(home.path("nearline-data/rejected.jsonl")).unwrap();
    let mut lines: Vec<(u64, String)> = rejected
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line["source"].as_str().unwrap().ends_with("/plays/1"), "{line}");
            (line["offset"].as_u64().unwrap(), line["reason"].as_str().unwrap().to_owned())
        })
        .collect();
    lines.sort();
    let reasons: Vec<(u64, &str)> = lines.iter().map(|(offset, reason)| (*offset, reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (1, "no-payload"),
            (2, "not-json"),
            (3, "no-payload"),
            (4, "not-utf8"),
            (7, "not-json"),
            (8, "not-an-object"),
        ]
    );
    let three: String = (0..3).map(|number| event(number) + "\n").collect();
    assert_eq!(home.verified("nearline-data"), digest_of(&home, &three));
}

#[test]
fn a_broker_that_is_away_is_waited_for_and_leaders_may_move() {
    let (cluster, brokers) = cluster(3, &[("plays", 3)]);
    let home = home("\"reconnect.backoff.max.ms\" = 500");
    for partition in 0..3 {
        cluster.partition_leader("plays", partition, Some(1)).unwrap();
    }
    let sender = Sender::new(&brokers, "plays", &[]);
    sender.log(&log(0, 90), 3);
    let running = home.start(&["run", &format!("kafka://{brokers}/plays")]);
    until("what was there is read", || live(&home) == 90);
    drop(sender);
    cluster.broker_down(1).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    cluster.broker_up(1).unwrap();
    // The producer from before waits a minute for an answer that it will not get.
    let sender = Sender::new(&brokers, "plays", &[]);
    sender.log(&log(90, 90), 3);
    until("it reads on when the broker is back", || live(&home) == 180);
    for (partition, broker) in [(0, 2), (1, 3), (2, 2)] {
        cluster.partition_leader("plays", partition, Some(broker)).unwrap();
    }
    sender.log(&log(180, 90), 3);
    until("it follows partitions to their new leaders", || live(&home) == 270);
    interrupt(running).ok();
    assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 270)));
}

#[test]
fn a_replay_from_an_offset_reads_again_and_leaves_out_what_lies_before() {
    let (_cluster, brokers) = cluster(1, &[("plays", 1)]);
    let home = home("");
    Sender::new(&brokers, "plays", &[]).log(&log(0, 100), 1);
    let address = format!("kafka://{brokers}/plays");
    home.ok(&["--data", "late", "replay", &address, "--from", "60"]);
    assert_eq!(home.verified("late"), digest_of(&home, &log(60, 40)));
    home.ok(&["replay", &address]);
    let accepted = |home: &Home| home.json(&["status"])["counts"]["accepted"].as_u64().unwrap();
    home.ok(&["replay", &address, "--from", "90"]);
    assert_eq!(accepted(&home), 110);
    home.ok(&["replay", &address, "--from", "latest"]);
    assert_eq!((accepted(&home), sum(&home, "next")), (110, 100));
    let running = home.start(&["--data", "nearline-data", "run", &address, "--from", "latest"]);
    interrupt(running).ok();
    assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 100)));
}

#[test]
fn a_backfill_that_begins_late_does_not_pass_over_what_was_not_read() {
    let (_cluster, brokers) = cluster(1, &[("plays", 1)]);
    let home = home("");
    let sender = Sender::new(&brokers, "plays", &[]);
    let address = format!("kafka://{brokers}/plays");
    sender.log(&log(0, 50), 1);
    home.ok(&["replay", &address]);
    sender.log(&log(50, 50), 1);
    home.ok(&["replay", &address, "--from", "80"]);
    assert_eq!((live(&home), sum(&home, "next")), (70, 50), "the place is kept");
    home.ok(&["replay", &address]);
    assert_eq!(home.verified("nearline-data"), digest_of(&home, &log(0, 100)));
    assert_eq!(sum(&home, "next"), 100);
}

#[test]
fn offsets_are_reported_to_kafka_after_our_own_commit() {
    let (_cluster, brokers) = cluster(1, &[("plays", 2)]);
    let home = home("\"group.id\" = \"lists\"");
    Sender::new(&brokers, "plays", &[]).log(&log(0, 100), 2);
    let running = home.start(&["run", &format!("kafka://{brokers}/plays")]);
    until("what was there is read", || live(&home) == 100);
    until("Kafka knows", || {
        reported(&brokers, "lists", "plays", 2) == [Offset::Offset(50), Offset::Offset(50)]
    });
    interrupt(running).ok();
    // What Kafka knows of a group is of no consequence.
    let other = Home::new();
    other.write("nearline.toml", "[kafka.settings]\n\"group.id\" = \"lists\"\n");
    other.ok(&["replay", &format!("kafka://{brokers}/plays")]);
    assert_eq!(live(&other), 100);
}

#[test]
fn how_far_behind_it_is_stands_in_status_and_metrics() {
    let (_cluster, brokers) = cluster(1, &[("plays", 2)]);
    let home = home("");
    let sender = Sender::new(&brokers, "plays", &[]);
    sender.log(&log(0, 100), 2);
    let address = format!("kafka://{brokers}/plays");
    let server = home.serve(&["run", &address]);
    let text =
        |server: &crate::support::Server| server.get("/metrics").1.as_str().unwrap_or_default().to_owned();
    until("all is read and said to be", || {
        let text = text(&server);
        [0, 1].iter().all(|partition| {
            let of = format!("{{topic=\"plays\",partition=\"{partition}\"}}");
            [("next", 50), ("end", 50), ("lag", 0), ("resets", 0)]
                .iter()
                .all(|(what, value)| text.contains(&format!("nearline_kafka_{what}{of} {value}\n")))
        })
    });
    let status = server.ok("/v1/status");
    assert_eq!(status["sources"][0]["kafka"]["lag"], 0, "{status}");
    server.interrupt();
    sender.log(&log(100, 20), 2);
    let told = partitions(&home);
    assert_eq!(told[0]["brokers"], brokers.as_str());
    assert_eq!(told[1]["topic"], "plays");
    assert_eq!([&told[1]["partition"], &told[1]["next"], &told[1]["end"], &told[1]["lag"]], [1, 50, 60, 10]);
    let text = home.ok(&["status"]);
    assert!(text.contains(&format!("plays/1 at {brokers}: next offset 50, 10 messages behind")), "{text}");
}

#[test]
fn where_no_broker_answers_status_says_what_it_knows() {
    let home = home("");
    {
        let (_cluster, brokers) = cluster(1, &[("plays", 1)]);
        Sender::new(&brokers, "plays", &[]).log(&log(0, 10), 1);
        home.ok(&["replay", &format!("kafka://{brokers}/plays")]);
    }
    let said = home.say(&["status"]);
    assert!(said.err.contains("how far its topics go is not known: no broker at"), "{said:?}");
    assert!(said.ok().contains("next offset 10, how far behind is not known"));
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do_and_no_password_is_shown() {
    let home = Home::new();
    let address = "kafka://127.0.0.1:1/plays";
    let with = |settings: &str| {
        home.write("nearline.toml", &format!("[kafka]\nwait = \"1s\"\n[kafka.settings]\n{settings}\n"));
    };
    with("");
    let said = home.say(&["run", address]).ended(3);
    assert!(
        said.contains("no broker at 127.0.0.1:1 answers") && said.contains("Connection refused"),
        "{said}"
    );
    let said = home.say(&["produce", "nearline.toml", "--to", address]).ended(3);
    assert!(said.contains("no broker at 127.0.0.1:1 answers"), "{said}");
    with("\"no.such.setting\" = 1");
    let said = home.say(&["replay", address]).ended(2);
    assert!(said.contains("`no.such.setting`"), "{said}");
    with("\"security.protocol\" = \"hunter2\"");
    let said = home.say(&["replay", address]).ended(2);
    assert!(said.contains("`security.protocol`") && !said.contains("hunter2"), "{said}");
    with("\"sasl.password\" = \"${NEARLINE_NO_SUCH_VARIABLE}\"");
    let said = home.say(&["replay", address]).ended(2);
    assert!(said.contains("NEARLINE_NO_SUCH_VARIABLE"), "{said}");
    with("\"enable.auto.commit\" = true");
    let said = home.say(&["replay", address]).ended(2);
    assert!(said.contains("nearline.toml, line 4") && said.contains("cannot be set"), "{said}");
    with("");
    for (args, wanted) in [
        (&["run", "kafka://one:9092"][..], "it names no topic"),
        (&["run", "kafka://me:hunter2@one:9092/plays"], "[kafka.settings]"),
        (&["run", "amqp://one/plays"], "kafka://HOST:PORT/TOPIC"),
        (&["replay", address, "--from", "yesterday"], "no beginning"),
        (&["replay", "nearline.toml", "--from", "earliest"], "--from is for topics"),
        (&["replay", address, "--map", "member=a,item=b,kind=c,at=d"], "messages are JSON"),
        (&["produce", "nearline.toml", "--to", "there"], "kafka://HOST:PORT/TOPIC"),
        (&["produce", "nearline.toml", "--to", "kafka://one/a,b"], "sent to one topic"),
        (&["produce", "--to", address], "at least one log"),
    ] {
        let said = home.say(args).ended(2);
        assert!(said.contains(wanted) && !said.contains("hunter2"), "{args:?}: {said}");
    }
}

#[test]
fn lines_that_cannot_be_sent_are_told_and_the_others_arrive() {
    let (_cluster, brokers) = cluster(1, &[("plays", 2)]);
    let home = home("");
    home.write("log.jsonl", &format!("{}broken\n{}", log(0, 5), log(5, 5)));
    let address = format!("kafka://{brokers}/plays");
    let said = home.say(&["produce", "log.jsonl", "--to", &address]).ended(1);
    assert!(said.contains("log.jsonl, line 6") && said.contains("1 lines were rejected"), "{said}");
    home.ok(&["replay", &address]);
    assert_eq!(live(&home), 10);
    // An export goes through a topic but for what is of one folder alone.
    let export = home.ok(&["export"]);
    home.write("export.jsonl", &export);
    cluster_of_another(&home);
}

/// An export sent to a topic of its own, read into a folder of its own.
fn cluster_of_another(home: &Home) {
    let (_cluster, brokers) = cluster(1, &[("copy", 1)]);
    let address = format!("kafka://{brokers}/copy");
    let said = home.say(&["--json", "produce", "export.jsonl", "--to", &address]);
    let answer: serde_json::Value = serde_json::from_str(&said.ok()).unwrap();
    assert_eq!((&answer["records"], &answer["left_out"]), (&10.into(), &1.into()), "{answer}");
    home.ok(&["--data", "copy", "replay", &address]);
    assert_eq!(home.verified("copy"), home.verified("nearline-data"));
}
