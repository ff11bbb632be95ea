//! One pipeline in several processes: what it ends in is what one process ends in, whatever is killed on the way.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
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
        args.extend(["--workers", "2"]);
        args.extend(&how[1..]);
        if !how.contains(&"--hosts") {
            args.extend(["--hosts", "hosts"]);
        }
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

#[test]
fn a_process_whose_disk_is_full_says_so_and_the_others_take_nothing_for_committed_that_it_has_not() {
    let (pipeline, digest) = Pipeline::prepared(2);
    let how = ["run", "--model", "model", "log.jsonl"];
    for round in 0..2 {
        // From nothing: of what the round before has left, too little might be to be written for the limit.
        for folder in pipeline.folders() {
            let _ = std::fs::remove_dir_all(pipeline.home.path(&folder));
        }
        let full = pipeline.command(round, &how);
        // No file may grow beyond that, as on a full disk; and nobody is told by a signal.
        let mut limited = Command::new("sh");
        let script = "trap '' XFSZ; ulimit -f 1000; exec \"$@\"";
        limited.args(["-c", script, "sh"]).arg(full.get_program()).args(full.get_args());
        limited.current_dir(full.get_current_dir().unwrap()).env_remove("NEARLINE_DATA");
        let (limited, other) = (Running::begin(limited), Running::begin(pipeline.command(1 - round, &how)));
        let said = limited.wait().ended(3);
        assert!(said.contains("may not grow so large"), "{said}");
        let said = other.wait().ended(3);
        assert!(said.contains(&format!("process {round} of the pipeline")), "{said}");
    }
    pipeline.to_the_end(&how);
    assert_eq!(pipeline.verified(), digest);
}

#[test]
fn a_source_that_cannot_be_read_ends_all_processes_and_is_named() {
    let home = Home::new();
    let pipeline = Pipeline { home, processes: 2 };
    pipeline.new_hosts();
    pipeline.home.write("log.jsonl", "{\"member\":\"m\",\"item\":\"a\",\"kind\":\"play\",\"at\":10}\n");
    let good = Running::begin(pipeline.command(0, &["run", "--follow", "log.jsonl"]));
    let bad = Running::begin(pipeline.command(1, &["run", "--follow", "log.jsom"]));
    let said = bad.wait().ended(2);
    assert!(said.contains("cannot read log.jsom"), "{said}");
    good.wait().ok();
}

#[test]
fn a_forgotten_member_is_in_no_folder_of_the_pipeline() {
    let home = Home::new();
    let pipeline = Pipeline { home, processes: 2 };
    pipeline.new_hosts();
    let owner = Share { process: 0, processes: 2 }.owner("somebody-in-particular");
    let other = 1 - owner;
    let log = concat!(
        r#"{"member":"somebody-in-particular","item":"a","kind":"play","at":10}"#,
        "\n",
        r#"{"member":"else","item":"a","kind":"play","at":11}"#,
        "\n",
        r#"{"member":"somebody-in-particular","item":7,"kind":"play"}"#,
        "\nno record\n"
    );
    pipeline.home.write("log.jsonl", log);
    // Each reads all of it, so each keeps the line aside that cannot be taken.
    let how = ["run", "--own-files", "--listen", "127.0.0.1:0", "log.jsonl"];
    let mut begun: Vec<_> = (0..2).map(|process| Server::begin(pipeline.command(process, &how))).collect();
    let rejected = |process: usize| {
        std::fs::read_to_string(pipeline.home.path(&format!("part{process}/rejected.jsonl")))
            .unwrap_or_default()
    };
    until("both have read it", || (0..2).all(|process| rejected(process).contains("somebody-in-particular")));
    let elsewhere = format!("part{other}");
    let said = pipeline.home.say(&["--data", &elsewhere, "forget", "somebody-in-particular"]).ended(3);
    assert!(said.contains(&format!("belongs to process {owner}")), "{said}");
    let (code, receipt) = begun[other].delete("/v1/members/somebody-in-particular");
    assert_eq!((code, &receipt["members"][0]["removed"]["events"]), (200, &1.into()), "{receipt}");
    begun.pop().unwrap().interrupt().ok();
    begun.pop().unwrap().end().ok();
    for process in 0..2 {
        assert_eq!(rejected(process).lines().count(), 2, "the lines stay, without their text");
        for entry in files(&pipeline.home.path(&format!("part{process}"))) {
            let bytes = std::fs::read(&entry).unwrap();
            let found = bytes.windows(22).any(|bytes| bytes == b"somebody-in-particular");
            assert!(!found, "{}", entry.display());
        }
    }
    pipeline.verified();
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all.extend(files(&entry.path())),
            kind if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}

/// Carries what is sent to an address, each piece some milliseconds later; says where it listens.
fn slow_way(to: String, late: Duration) -> String {
    fn carry(mut from: TcpStream, mut to: TcpStream, late: Duration) {
        let (pieces, waiting) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
        std::thread::spawn(move || {
            let mut piece = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from.read(&mut piece) {
                if pieces.send((Instant::now() + late, piece[..read].to_vec())).is_err() {
                    return;
                }
            }
        });
        std::thread::spawn(move || {
            for (due, piece) in waiting {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&piece).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let Ok(there) = TcpStream::connect(&to) else { continue };
            carry(from.try_clone().unwrap(), there.try_clone().unwrap(), late);
            carry(there, from, late);
        }
    });
    address
}

#[test]
fn over_a_slow_link_all_ends_as_it_does_over_a_quick_one() {
    let (pipeline, digest) = Pipeline::prepared(2);
    let hosts = std::fs::read_to_string(pipeline.home.path("hosts")).unwrap();
    let (first, second) = hosts.trim().split_once('\n').unwrap();
    let slow = slow_way(first.to_owned(), Duration::from_millis(25));
    pipeline.home.write("slow-hosts", &format!("{slow}\n{second}\n"));
    let how = ["run", "--model", "model", "log.jsonl"];
    let quick = Running::begin(pipeline.command(0, &how));
    let over_the_link = Running::begin(pipeline.command(1, &[&how[..], &["--hosts", "slow-hosts"]].concat()));
    quick.finish().ok();
    over_the_link.finish().ok();
    assert_eq!(pipeline.verified(), digest);
}

/// Two network namespaces with a link between them.
struct Link {
    names: [String; 2],
}

impl Link {
    /// None where the system does not let us make them.
    fn new() -> Option<Link> {
        let number = std::process::id();
        let link = Link { names: [format!("nl{number}a"), format!("nl{number}b")] };
        let [one, other] = &link.names;
        let steps = [
            format!("netns add {one}"),
            format!("netns add {other}"),
            format!("link add name {one}0 netns {one} type veth peer name {other}0 netns {other}"),
            format!("-n {one} addr add 10.77.0.1/24 dev {one}0"),
            format!("-n {other} addr add 10.77.0.2/24 dev {other}0"),
            format!("-n {one} link set {one}0 up"),
            format!("-n {other} link set {other}0 up"),
        ];
        steps.iter().all(|step| link.ip(step)).then_some(link)
    }

    fn ip(&self, step: &str) -> bool {
        let said = Command::new("ip").args(step.split(' ')).output();
        said.is_ok_and(|output| output.status.success())
    }

    fn within(&self, process: usize, command: &Command) -> Command {
        let mut within = Command::new("ip");
        within
            .args(["netns", "exec", &self.names[process]])
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            within.current_dir(folder);
        }
        within.env_remove("NEARLINE_DATA");
        within
    }

    fn cut(&self) {
        assert!(self.ip(&format!("-n {0} link set {0}0 down", self.names[0])));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.names {
            self.ip(&format!("netns del {name}"));
        }
    }
}

#[test]
fn where_the_link_is_cut_both_sides_end_and_lose_nothing() {
    let Some(link) = Link::new() else {
        eprintln!("skipped: network namespaces cannot be made here (root, and `ip`)");
        return;
    };
    let (pipeline, digest) = Pipeline::prepared(2);
    pipeline.home.write("hosts", "10.77.0.1:7071\n10.77.0.2:7071\n");
    let follow = ["run", "--follow", "--model", "model", "log.jsonl"];
    let begun: Vec<Running> = (0..2)
        .map(|process| Running::begin(link.within(process, &pipeline.command(process, &follow))))
        .collect();
    until("both have all of the log", || {
        let epochs = [0, 1].map(|process| pipeline.standing(process));
        epochs[0].epoch > 2 && epochs[0].epoch == epochs[1].epoch
    });
    link.cut();
    let cut = Instant::now();
    for process in begun {
        let said = process.wait().ended(3);
        assert!(said.contains("of the pipeline, at 10.77.0."), "{said}");
    }
    // Six seconds of silence, and what it takes to end.
    assert!(cut.elapsed() < Duration::from_secs(30), "{:?}", cut.elapsed());
    pipeline.new_hosts();
    pipeline.to_the_end(&["run", "--model", "model", "log.jsonl"]);
    assert_eq!(pipeline.verified(), digest);
}
