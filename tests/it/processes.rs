//! One pipeline in several processes: what it ends in is what one process ends in, whatever is killed on the way.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use nearline::engine::recover::Standing;
use nearline::processes::Share;
use nearline::stores::rocks::RocksStore;

use serde_json::Value;

use crate::support::{Chance, Home, Running, Said, Server, shuffled, until};

/// Within which a process ends whose neighbour was killed.
const SOON: Duration = Duration::from_secs(10);

/// A pipeline of several processes with their folders in one home.
struct Pipeline {
    home: Home,
    processes: usize,
}

impl Pipeline {
    /// With a log, a model of it, and the digest that one process ends in.
    fn prepared(processes: usize) -> (Self, String) {
        let home = Home::new();
        let size = ["--events", "60000", "--members", "2000", "--items", "700"];
        home.ok(&[&["bench-log", "events.jsonl"], &size[..]].concat());
        let item = |item| {
            format!("{{\"type\":\"item\",\"item\":\"i{item}\",\"at\":1,\"withdrawn\":{}}}\n", item % 9 == 0)
        };
        let items: String = (1..=700).map(item).collect();
        let events = std::fs::read_to_string(home.path("events.jsonl")).unwrap();
        let mut gone = String::new();
        for (number, line) in events.lines().enumerate().filter(|(number, _)| number % 97 == 0) {
            if number % 2 == 0 {
                gone += &line.replacen('{', r#"{"type":"retract","#, 1);
                gone.push('\n');
            }
        }
        gone += "{\"type\":\"forget\",\"member\":\"m7\",\"at\":\"2100-01-01T00:00:00Z\"}\n";
        home.write("log.jsonl", &shuffled(&(items + &events + &gone), 5));
        home.ok(&["train", "log.jsonl", "--out", "model", "--rank", "8", "--iterations", "1"]);
        home.ok(&["--data", "whole", "run", "--model", "model", "log.jsonl"]);
        let digest = home.verified("whole");
        let pipeline = Pipeline { home, processes };
        pipeline.new_hosts();
        (pipeline, digest)
    }

    /// Addresses where nobody listens.
    fn new_hosts(&self) {
        let listeners: Vec<TcpListener> =
            (0..self.processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let lines = listeners.iter().map(|listener| format!("{}\n", listener.local_addr().unwrap()));
        self.home.write("hosts", &lines.collect::<String>());
    }

    fn command(&self, process: usize, how: &[&str]) -> Command {
        let (number, of) = (process.to_string(), self.processes.to_string());
        let data = format!("part{process}");
        let mut args = vec!["--data", &data, how[0], "--process", &number, "--processes", &of];
        args.extend(["--hosts", "hosts", "--workers", "2"]);
        args.extend(&how[1..]);
        self.home.command(&args)
    }

    fn start(&self, how: &[&str]) -> Vec<Running> {
        (0..self.processes).map(|process| Running::begin(self.command(process, how))).collect()
    }

    /// All processes to their end.
    fn to_the_end(&self, how: &[&str]) -> Vec<String> {
        let ended = self.start(how).into_iter().map(|process| process.finish().ended(0));
        ended.collect()
    }

    fn folders(&self) -> Vec<String> {
        (0..self.processes).map(|process| format!("part{process}")).collect()
    }

    /// The digest of all stores, which are as their records say.
    fn verified(&self) -> String {
        let folders = self.folders();
        let mut args = vec!["verify"];
        args.extend(folders.iter().map(String::as_str));
        let verdict = self.home.json(&args);
        assert_eq!(verdict["equal"], true, "{verdict}");
        verdict["stored"].as_str().unwrap().to_owned()
    }

    fn standing(&self, process: usize) -> Standing {
        let standing = RocksStore::open_reader(&self.home.path(&format!("part{process}")))
            .and_then(|store| Standing::of(&store));
        standing.unwrap_or_default()
    }
}

#[test]
fn two_processes_and_three_end_where_one_does_live_and_in_bulk() {
    for processes in [2, 3] {
        let (pipeline, digest) = Pipeline::prepared(processes);
        for how in [&["run", "--model", "model", "log.jsonl"], &["replay", "--model", "model", "log.jsonl"]] {
            for folder in pipeline.folders() {
                let _ = std::fs::remove_dir_all(pipeline.home.path(&folder));
            }
            let said = pipeline.to_the_end(how);
            assert_eq!(pipeline.verified(), digest, "{processes} {how:?}");
            assert!(said.iter().all(|said| !said.contains(" 0 records")), "each reads a part: {said:?}");
            // Again, from where reading ended, and with nothing to do.
            let again = pipeline.to_the_end(how);
            assert!(again.iter().all(|said| said.starts_with("0 records")), "{again:?}");
            assert_eq!(pipeline.verified(), digest, "{processes} {how:?}");
        }
    }
}

#[test]
fn killed_at_any_moment_and_started_again_a_pipeline_loses_nothing() {
    for processes in [2, 3] {
        let (pipeline, digest) = Pipeline::prepared(processes);
        let mut chance = Chance(processes as u64);
        for (round, how) in ["run", "replay", "run", "run", "replay", "run"].into_iter().enumerate() {
            let how = [how, "--model", "model", "log.jsonl"];
            let mut running = pipeline.start(&how);
            let begun: Vec<u64> = (0..processes).map(|process| pipeline.standing(process).epoch).collect();
            let victim = chance.below(processes);
            if round % 3 > 0 {
                // Some epochs after the start; else while records are read back.
                until("an epoch is on disk, or all has been read", || {
                    pipeline.standing(victim).epoch > begun[victim] || running[victim].has_ended()
                });
            }
            std::thread::sleep(Duration::from_millis(chance.below(250) as u64));
            running.remove(victim).kill();
            for mut other in running {
                // It ends by itself, and soon: had it come to its end before, well; else it says who is gone. Where they had
                // not met, it goes on waiting.
                let killed = Instant::now();
                while !other.has_ended() && killed.elapsed() < SOON {
                    std::thread::sleep(Duration::from_millis(10));
                }
                let met = other.has_ended();
                if !met {
                    other.interrupt();
                }
                let Said { code, err, .. } = other.wait();
                let says = if met {
                    "of the pipeline, at 127.0.0.1:".to_owned()
                } else {
                    "before all processes were there".to_owned()
                };
                assert!((met && code == 0) || (code > 1 && err.contains(&says)), "met: {met}, {code}: {err}");
            }
        }
        pipeline.to_the_end(&["run", "--model", "model", "log.jsonl"]);
        assert_eq!(pipeline.verified(), digest, "{processes} processes");
    }
}

/// What a server says of a member's list, and of what is popular.
fn answers(server: &Server, member: &str) -> (Value, Value) {
    let list = server.ok(&format!("/v1/members/{member}/lists/top_picks"));
    (list["items"].clone(), server.ok("/v1/popular?window=all")["items"].clone())
}

#[test]
fn any_process_answers_for_any_member_and_takes_events_for_it() {
    let (pipeline, _) = Pipeline::prepared(2);
    let listen = ["run", "--listen", "127.0.0.1:0", "--model", "model", "log.jsonl"];
    let begun: Vec<_> = (0..2).map(|process| Server::begin(pipeline.command(process, &listen))).collect();
    for server in &begun {
        until("it is ready", || server.get("/health/ready").0 == 200);
    }
    let epoch = |server: &Server| server.ok("/v1/trending")["epoch"].as_u64().unwrap();
    until("all of the log is in", || {
        begun.iter().all(|server| epoch(server) == epoch(&begun[0])) && {
            let all = begun[0].ok("/v1/popular?window=all");
            all["items"].as_array().is_some_and(|items| !items.is_empty())
        }
    });
    let share = Share { process: 0, processes: 2 };
    for owner in 0..2 {
        let member = (1..)
            .map(|number| format!("m{number}"))
            .find(|member| share.owner(member) == owner && member != "m7")
            .unwrap();
        for (asked, other) in [(0, 1), (1, 0)] {
            let item = format!("new-{owner}-{asked}");
            let event = format!(
                r#"{{"member":"{member}","item":"{item}","kind":"play","value":0.4,"at":{}}}"#,
                now()
            );
            let (code, said) = begun[asked].post("/v1/events", event);
            assert_eq!(code, 200, "{said}");
            // It was acknowledged: every process shows it.
            for server in [&begun[asked], &begun[other]] {
                let watching = server.ok(&format!("/v1/members/{member}/lists/continue_watching"));
                assert_eq!(watching["items"][0]["item"], *item, "owner {owner}, asked {asked}: {watching}");
            }
        }
        assert_eq!(answers(&begun[0], &member), answers(&begun[1], &member));
    }
    // One that is interrupted has the others end too.
    let mut begun = begun.into_iter();
    let (first, second) = (begun.next().unwrap(), begun.next().unwrap());
    first.interrupt().ok();
    second.end().ok();
    pipeline.verified();
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}
