//! The HTTP server of a real process: lists, records, models, changes, and who may ask for what.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, Server, agent, answered, arg, items_of, model, until};

/// Items a to h with genres, and a member m who has played a.
fn world() -> Home {
    let home = Home::new();
    let items: String = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .iter()
        .enumerate()
        .map(|(place, item)| {
            let genre = if place % 2 == 0 { "Even" } else { "Odd" };
            format!(
                "{{\"type\":\"item\",\"item\":\"{item}\",\"at\":1,\"title\":\"Title {item}\",\"genres\":[\"{genre}\"]}}\n"
            )
        })
        .collect();
    home.write("items.jsonl", &items);
    home.write("events.jsonl", &event("m", "a", "play", 1_700_000_000_000));
    save_model(&home, "model", 1.0);
    config(&home, "");
    home
}

/// A config in which a busy machine is no reason for a list from a lower rung.
fn config(home: &Home, more: &str) {
    home.write("nearline.toml", &format!("[serve]\ndeadline_ms = 20000\n{more}"));
}

/// A model in which the first items are the best for everybody, or with `-1.0` the last ones.
fn save_model(home: &Home, name: &str, sign: f32) {
    let items = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rows =
        items.iter().zip(0u8..).map(|(item, place)| (*item, vec![1.0 - sign * f32::from(place) * 0.01, 0.1]));
    model(&rows.collect::<Vec<_>>()).save(&home.path(name)).unwrap();
}

fn event(member: &str, item: &str, kind: &str, at: i64) -> String {
    format!("{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"{kind}\",\"at\":{at}}}\n")
}

fn serving(home: &Home) -> Server {
    home.ok(&["replay", "--model", "model", "items.jsonl", "events.jsonl"]);
    home.serve(&["run", "--model", "model"])
}

#[test]
fn a_list_over_http_is_what_get_prints() {
    let home = world();
    let server = serving(&home);
    for list in ["top_picks", "continue_watching", "because_you_watched", "trending"] {
        for member in ["m", "nobody"] {
            let mut over_http = server.ok(&format!("/v1/members/{member}/lists/{list}?limit=3"));
            let mut printed = home.json(&["get", member, "--list", list, "--limit", "3"]);
            for answer in [&mut over_http, &mut printed] {
                assert!(answer["age_ms"].take().is_i64());
            }
            assert_eq!(over_http, printed, "{list} of {member}");
        }
    }
    let answer = server.ok("/v1/members/m/lists/top_picks?limit=2&offset=1");
    assert_eq!(items_of(&answer), items_of(&server.ok("/v1/members/m/lists/top_picks"))[1..3]);
    assert_eq!(answer["items"][0]["title"], "Title c");
    assert_eq!(server.ok("/v1/members/m/history")["events"][0]["kind"], "play");
    let why = server.ok("/v1/members/m/why/b");
    assert!(why["score"].as_f64().unwrap() > 0.0 && why["parts"][0]["item"] == "a", "{why}");
    assert_eq!(server.ok("/v1/popular?kind=play&window=all")["items"][0]["item"], "a");
    assert_eq!(server.items("/v1/items/a/similar?limit=1"), ["b"]);
    assert_eq!(server.ok("/v1/members?query=m")["members"], json!([{"member": "m"}]));
    assert_eq!(server.ok("/v1/items?query=title%20G")["items"][0]["item"], "g");
    assert_eq!(server.ok("/v1/items/a/counts")["counts"][0]["count"], 1);
}

#[test]
fn what_was_posted_is_in_the_answer_that_waits_for_its_epoch() {
    let home = world();
    let server = serving(&home);
    for (item, next) in [("b", "c"), ("c", "d"), ("d", "e")] {
        let (status, posted) = server.post("/v1/events", event("m", item, "play", 1_700_000_001_000));
        assert_eq!((status, &posted["accepted"]), (200, &json!(1)), "{posted}");
        let path = format!("/v1/members/m/lists/top_picks?deadline_ms=10000&after={}", posted["epoch"]);
        let answer = server.ok(&path);
        assert!(answer["epoch"].as_u64() >= posted["epoch"].as_u64());
        assert_eq!(items_of(&answer)[0], next, "{item} is seen");
    }
    // An epoch that does not come: an answer all the same, in time, that says so.
    let began = Instant::now();
    let answer = server.ok("/v1/members/m/lists/top_picks?after=1000000&deadline_ms=200");
    assert_eq!(answer["reason"], "epoch 1000000 cannot be read yet");
    assert_eq!(items_of(&answer)[0], "e");
    assert!(began.elapsed() < Duration::from_secs(5));
    // What was acknowledged is there after a kill.
    let (_, posted) = server.post("/v1/events", event("n", "a", "like", 1_700_000_002_000));
    assert_eq!(posted["accepted"], 1);
    server.kill();
    assert_eq!(home.json(&["history", "n"])["events"][0]["item"], "a");
    home.verified("nearline-data");
}

#[test]
fn records_come_as_lines_an_array_or_gzip_and_what_cannot_be_taken_is_told_line_by_line() {
    let home = world();
    let server = serving(&home);
    let lines = format!(
        "{}no record\n{}",
        event("m", "b", "play", 5),
        "{\"member\":\"\",\"item\":\"b\",\"kind\":\"play\",\"at\":5}\n"
    );
    let (status, posted) = server.post("/v1/events", &lines);
    assert_eq!((status, &posted["accepted"]), (200, &json!(1)));
    let told: Vec<u64> =
        posted["rejected"].as_array().unwrap().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(told, [2, 3], "{posted}");
    let array = "[\n{\"member\":\"m\",\n\"item\":\"c\",\"kind\":\"play\",\"at\":6},\n 7, {\"member\":\"m\",\"item\":\"d\\n\",\"kind\":\"play\",\"at\":6}]";
    let (_, posted) = server.post("/v1/events", array);
    assert_eq!((&posted["accepted"], &posted["rejected"][0]["line"]), (&json!(2), &json!(2)), "{posted}");
    let mut zipped = flate2_of(event("m", "e", "play", 7).as_bytes());
    let url = format!("{}/v1/events", server.address);
    let send = |body: &[u8]| answered(agent().post(&url).header("content-encoding", "gzip").send(body));
    assert_eq!(send(&zipped).1["accepted"], 1);
    zipped.truncate(zipped.len() / 2);
    assert_eq!(send(&zipped).0, 400);
    // A few bytes that become more than a body may have.
    let (status, problem) = send(&flate2_of(&vec![b' '; 8_000_100]));
    assert_eq!((status, &problem["title"]), (413, &json!("the body is too large")));
    assert_eq!(server.post("/v1/events", vec![b' '; 8_000_100]).0, 413);
    assert_eq!(server.post("/v1/members/m/rank", vec![b' '; 8_000_100]).1["status"], 413);
    assert_eq!(server.post("/v1/events", "[1, 2").0, 400);
    assert_eq!(server.post("/v1/events", "").0, 400);
    assert_eq!(server.post("/v1/events", "\n").1["accepted"], 0);
    let rejected = std::fs::read_to_string(home.path("nearline-data/rejected.jsonl")).unwrap();
    assert_eq!(rejected.lines().count(), 3);
    assert!(rejected.lines().all(|line| line.contains("\"http\"")));
}

fn flate2_of(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

#[test]
fn posts_that_come_together_share_commits_and_each_is_acknowledged() {
    const CLIENTS: usize = 16;
    const EACH: usize = 40;
    let home = world();
    let server = serving(&home);
    let epochs: BTreeSet<u64> = std::thread::scope(|scope| {
        let client = |client: usize| {
            let server = &server;
            scope.spawn(move || {
                let post = |at: usize| {
                    let (status, posted) =
                        server.post("/v1/events", event(&format!("c{client}"), "a", "play", at as i64));
                    assert_eq!((status, &posted["accepted"]), (200, &json!(1)), "{posted}");
                    posted["epoch"].as_u64().unwrap()
                };
                (0..EACH).map(post).collect::<BTreeSet<u64>>()
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(epochs.len() < CLIENTS * EACH, "{} epochs", epochs.len());
    let (first, last) = (epochs.first().unwrap(), epochs.last().unwrap());
    assert_eq!(epochs.len() as u64, last - first + 1, "there are no others");
    let counts = server.ok("/v1/status")["counts"].clone();
    assert_eq!(counts["live_events"], 1 + CLIENTS * EACH);
}

#[test]
fn filters_and_exclusions_refill_a_list_from_further_down() {
    let home = world();
    config(&home, "[lists]\nlength = 2\n");
    let server = serving(&home);
    let path = |more: &str| format!("/v1/members/m/lists/top_picks?limit=2{more}");
    let answer = server.ok(&path(""));
    assert_eq!((items_of(&answer), &answer["source"]), (vec!["b".into(), "c".into()], &json!("nearline")));
    let answer = server.ok(&path("&genre=Even"));
    assert_eq!(items_of(&answer), ["c", "e"]);
    assert_eq!(answer["source"], "online");
    assert_eq!(server.items(&path("&exclude=b,c,d")), ["e", "f"]);
    assert_eq!(server.items(&path("&offset=4")), ["f", "g"]);
    assert_eq!(server.items(&path("&genre=None")), [""; 0]);
    let page = server.ok("/v1/members/m/page?limit=2");
    let of_page: Vec<String> = page["rows"].as_array().unwrap().iter().flat_map(items_of).collect();
    let once: BTreeSet<&String> = of_page.iter().collect();
    assert_eq!(once.len(), of_page.len(), "no item twice: {page}");
}

#[test]
fn items_are_ranked_with_what_was_done_a_moment_ago() {
    let home = world();
    let server = serving(&home);
    let rank = |body: Value| server.post("/v1/members/m/rank", body.to_string());
    let (_, plain) = rank(json!({}));
    let stored = server.ok("/v1/members/m/lists/top_picks");
    assert_eq!((&plain["items"], &plain["source"]), (&stored["items"], &json!("online")), "to the bit");
    let (_, played) =
        rank(json!({"session": [{"item": "b", "kind": "play"}, {"item": "c", "kind": "dislike"}]}));
    assert_eq!(items_of(&played)[0], "d", "b is seen and c is disliked");
    assert_eq!(items_of(&rank(json!({"candidates": ["h", "g", "zzz"]})).1), ["g", "h"]);
    assert_eq!(items_of(&rank(json!({"genre": "Odd", "exclude": ["b"], "limit": 1})).1), ["d"]);
    let (_, nobody) =
        server.post("/v1/members/nobody/rank", "{\"session\":[{\"item\":\"a\",\"kind\":\"play\"}]}");
    assert_eq!(
        (&nobody["source"], items_of(&nobody)[0].as_str()),
        (&json!("online"), "b"),
        "by the session alone"
    );
    let (_, unknown) = server.post("/v1/members/nobody/rank", "{}");
    assert_eq!((&unknown["source"], &unknown["reason"]), (&json!("trending"), &json!("unknown member")));
    assert_eq!(server.ok("/v1/members/m/history")["live_events"], 1, "nothing of it is kept");
    for body in [
        "{",
        "{\"other\":1}",
        "{\"limit\":-1}",
        "{\"session\":[{\"item\":\"\",\"kind\":\"play\"}]}",
        "{\"session\":[{\"item\":\"a\",\"kind\":\"play\",\"value\":1e300}]}",
    ] {
        let (status, problem) = server.post("/v1/members/m/rank", body);
        assert_eq!(status, 400, "{body}: {problem}");
    }
}

#[test]
fn problems_are_told_as_rfc_9457_says() {
    let home = world();
    let server = serving(&home);
    for (path, status) in [
        ("/v1/members/m/lists/tops", 404),
        ("/v1/members/m/lists/top_picks?limit=many", 400),
        ("/v1/members/m/lists/top_picks?limit=10001", 400),
        ("/v1/members/m/lists/top_picks?deadline_ms=0", 400),
        ("/v1/members/m/lists/top_picks?unknown=1", 400),
        ("/v1/popular?window=soon", 400),
        ("/nowhere", 404),
        (&format!("/v1/members/{}/history", "x".repeat(257)), 400),
    ] {
        let url = format!("{}{path}", server.address);
        let mut answer = agent().get(&url).header("x-request-id", "mine").call().unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.headers()["x-request-id"], "mine");
        let problem: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert_eq!(
            (answer.status().as_u16(), &problem["status"]),
            (status, &json!(status)),
            "{path}: {problem}"
        );
        for key in ["type", "title", "detail"] {
            assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "{path}: {problem}");
        }
    }
    assert_eq!(server.delete("/v1/status").0, 405);
}

#[test]
fn a_model_takes_over_and_back_over_http() {
    let home = world();
    save_model(&home, "other", -1.0);
    let server = serving(&home);
    let live = || server.ok("/v1/models")["live"].as_str().unwrap().to_owned();
    let before = live();
    let first = server.items("/v1/members/m/lists/top_picks");
    let (status, changed) = server.post("/v1/models", json!({"use": home.path("other")}).to_string());
    assert_eq!(status, 200, "{changed}");
    assert_ne!(live(), before);
    assert_eq!(live(), changed["model"].as_str().unwrap());
    let answer =
        server.ok(&format!("/v1/members/m/lists/top_picks?after={}&deadline_ms=10000", changed["epoch"]));
    assert_eq!(answer["model"], changed["model"]);
    assert_ne!(items_of(&answer), first);
    let models = server.ok("/v1/models");
    assert_eq!(models["standby"]["ready"], true);
    assert_eq!(models["models"].as_array().unwrap().len(), 2);
    let (status, back) = server.post("/v1/models", "{\"roll_back\":true}");
    assert_eq!((status, &back["model"]), (200, &json!(before)), "{back}");
    assert_eq!(
        server.items(&format!("/v1/members/m/lists/top_picks?after={}&deadline_ms=10000", back["epoch"])),
        first
    );
    let version = changed["model"].as_str().unwrap();
    assert_eq!(server.post("/v1/models", json!({"promote": version}).to_string()).0, 200);
    assert_eq!(live(), version);
    for (body, wanted) in [
        ("{}", 400),
        ("{\"use\":\"nowhere\"}", 400),
        ("{\"promote\":\"../model\"}", 400),
        ("{\"use\":\"a\",\"roll_back\":true}", 400),
    ] {
        assert_eq!(server.post("/v1/models", body).0, wanted, "{body}");
    }
}

#[test]
fn a_member_who_is_forgotten_over_http_is_gone() {
    let home = world();
    let server = serving(&home);
    let (status, receipt) = server.delete("/v1/members/m");
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(receipt["members"][0]["removed"]["events"], 1, "{receipt}");
    assert_eq!(server.ok("/v1/members/m/history")["live_events"], 0);
    assert_eq!(server.ok("/v1/members/m/lists/top_picks")["reason"], "unknown member");
    let (_, again) = server.post("/v1/events", event("m", "a", "play", 1_700_000_000_000));
    assert_eq!(again["accepted"], 1, "it is taken, and changes nothing");
    assert_eq!(server.ok("/v1/members/m/history")["live_events"], 0);
}

/// Reads server-sent events: name and data.
fn changes(server: &Server, path: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let host = server.address.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    // The head has come, so whoever listens hears what is committed from here on.
    assert!(lines.next().unwrap().contains("200"));
    let mut name = String::new();
    lines.filter_map(move |line| {
        if let Some(own) = line.strip_prefix("event: ") {
            name = own.to_owned();
        }
        line.strip_prefix("data: ").map(|data| (name.clone(), serde_json::from_str(data).unwrap()))
    })
}

#[test]
fn changes_are_told_as_they_are_committed() {
    let home = world();
    let server = serving(&home);
    let mut all = changes(&server, "/v1/changes");
    let mut own = changes(&server, "/v1/changes?member=m");
    let (_, other) = server.post("/v1/events", event("n", "a", "like", 1_700_000_003_000));
    let (_, posted) = server.post("/v1/events", event("m", "b", "play", 1_700_000_003_000));
    let (name, change) = all.next().unwrap();
    assert_eq!(
        (name.as_str(), &change["epoch"], &change["members"]),
        ("commit", &other["epoch"], &json!(["n"]))
    );
    assert_eq!(all.next().unwrap().1["epoch"], posted["epoch"]);
    let (_, change) = own.next().unwrap();
    assert_eq!((&change["epoch"], &change["records"]), (&posted["epoch"], &json!(1)));
}

#[test]
fn a_replica_follows_what_another_process_writes_and_takes_no_changes() {
    let home = world();
    let replica = home.serve_soon(&["serve"]);
    assert_eq!(replica.get("/health/ready").0, 503, "there is nothing yet");
    assert_eq!(replica.get("/v1/status").0, 503);
    let server = serving(&home);
    until("the replica is ready", || replica.get("/health/ready").0 == 200);
    let (_, posted) = server.post("/v1/events", event("m", "b", "play", 1_700_000_004_000));
    let path = format!("/v1/members/m/lists/top_picks?after={}&deadline_ms=30000", posted["epoch"]);
    assert_eq!(replica.items(&path), server.items(&path));
    assert_eq!(replica.post("/v1/events", "").0, 403);
    assert_eq!(replica.delete("/v1/members/m").0, 403);
    assert_eq!(replica.post("/v1/models", "{\"roll_back\":true}").0, 403);
    assert_eq!(replica.ok("/v1/status")["read_only"], true);
    assert_eq!(replica.interrupt().code, 0);
}

#[test]
fn an_interrupt_lets_what_was_acknowledged_be_kept_and_ends_listeners() {
    let home = world();
    let server = serving(&home);
    let mut listening = changes(&server, "/v1/changes");
    assert_eq!(server.post("/v1/events", event("z", "a", "like", 1_700_000_005_000)).0, 200);
    listening.next().unwrap();
    let began = Instant::now();
    let said = server.interrupt();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(home.json(&["history", "z"])["live_events"], 1);
}

#[test]
fn elsewhere_than_at_loopback_there_must_be_a_token() {
    let home = world();
    let said = home.say(&["run", "--listen", "0.0.0.0:0"]).ended(2);
    assert!(said.contains("[serve.tokens]") && said.contains("--open"), "{said}");
    let said = home.say(&["run", "--listen", "nowhere"]).ended(2);
    assert!(said.contains("127.0.0.1:7070"), "{said}");
    config(&home, "[serve.tokens.app]\ntoken = \"short\"\nscopes = [\"read\"]\n");
    let said = home.say(&["config"]).ended(0) + &home.say(&["run"]).ended(2);
    assert!(said.contains("serve.tokens.app.token"), "{said}");
    config(&home, "[serve.tokens.app]\ntoken = \"0123456789abcdef\"\nscopes = [\"read\"]\n");
    home.ok(&["replay", "items.jsonl", "events.jsonl"]);
    let server = home.serve(&["run"]);
    let url = format!("{}/v1/status", server.address);
    let mut refused = agent().get(&url).call().unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
    assert!(refused.body_mut().read_to_string().unwrap().contains("Authorization: Bearer"));
    let with =
        |token: &str| answered(agent().get(&url).header("authorization", format!("Bearer {token}")).call()).0;
    assert_eq!((with("0123456789abcdef"), with("0123456789abcdeg")), (200, 401));
    assert_eq!(server.get("/health/ready").0, 200);
}

#[test]
fn answers_go_over_tls_where_there_is_a_certificate() {
    let home = world();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = home.write("certificate.pem", &made.cert.pem());
    let key = home.write("key.pem", &made.signing_key.serialize_pem());
    let tls = |key: &str| format!("certificate = {:?}\nkey = {key:?}\n", arg(&certificate));
    config(&home, &tls(arg(&key)));
    home.ok(&["replay", "items.jsonl", "events.jsonl"]);
    let server = home.serve(&["run"]);
    assert!(server.address.starts_with("https://"), "{}", server.address);
    assert_eq!(server.ok("/v1/members/m/history")["live_events"], 1);
    drop(server);
    config(&home, &tls(arg(&certificate)));
    let said = home.say(&["run", "--listen", "127.0.0.1:0"]).ended(2);
    assert!(said.contains("certificate.pem"), "{said}");
}

#[test]
fn a_client_that_sends_its_head_slowly_is_let_go_and_one_too_many_is_closed() {
    let home = world();
    config(&home, "head_within = \"300ms\"\nconnections = 2\n");
    home.ok(&["replay", "items.jsonl", "events.jsonl"]);
    let server = home.serve(&["run"]);
    let host = server.address.strip_prefix("http://").unwrap();
    let connect = || {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    };
    let mut slow = connect();
    slow.write_all(b"GET /v1/status HTTP/1.1\r\nhost: ").unwrap();
    let mut said = String::new();
    let _ = slow.read_to_string(&mut said);
    assert!(!said.contains(" 200 "), "{said}");
    until("places are free again", || {
        let mut held = [connect(), connect()];
        for stream in &mut held {
            let _ = write!(stream, "GET /health/live HTTP/1.1\r\nhost: {host}\r\n\r\n");
        }
        let answered = |stream: &mut TcpStream| matches!(stream.read(&mut [0; 64]), Ok(read) if read > 0);
        if !held.iter_mut().all(answered) {
            return false;
        }
        let mut third = connect();
        let _ = write!(third, "GET /health/live HTTP/1.1\r\nhost: {host}\r\n\r\n");
        !answered(&mut third)
    });
}

#[test]
fn the_server_describes_itself_and_counts_what_it_does() {
    let home = world();
    let server = serving(&home);
    server.ok("/v1/members/m/lists/top_picks");
    server.post("/v1/events", event("m", "b", "play", 1_700_000_006_000));
    let description = server.ok("/openapi.json");
    assert_eq!(description, serde_json::to_value(nearline::serving::http::openapi()).unwrap());
    let url = format!("{}/metrics", server.address);
    let text = agent().get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    for line in [
        "nearline_requests_total{route=\"/v1/members/{member}/lists/{list}\",status=\"200\"} 1",
        "nearline_answers_total{rung=\"nearline\",reason=\"\"} 1",
        "nearline_posted_total{source=\"http\",outcome=\"Accepted\"} 1",
        "nearline_refreshes_total 1",
        "nearline_commit_seconds_count 1",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
}
