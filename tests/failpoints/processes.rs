//! Processes of one pipeline that end at narrow places, each in turn: started again, they must end where one process does.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{ABORTED, Fire, Goes, LOG};

/// Within which a process ends of itself whose neighbour has.
const SOON: Duration = Duration::from_secs(30);

/// For an epoch that is on one disk alone.
const TRIES: usize = 20;

/// The log in small files.
const LOGS: &str = "logs";

/// Two processes, with their folders beside the others.
struct Two<'a> {
    fire: &'a Fire,
}

impl Two<'_> {
    fn new(fire: &Fire) -> Two<'_> {
        let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let hosts = listeners.map(|listener| listener.local_addr().unwrap().to_string() + "\n");
        std::fs::write(fire.home.path("hosts"), hosts.concat()).unwrap();
        // Many small files, of which each process reads some, so that how far they are read goes with many epochs.
        std::fs::create_dir(fire.home.path(LOGS)).unwrap();
        let lines: Vec<&str> = fire.world.records.iter().map(|record| &*record.line).collect();
        for (number, some) in lines.chunks(50).enumerate() {
            let name = format!("{LOGS}/{number:03}.jsonl");
            std::fs::write(fire.home.path(&name), some.join("\n") + "\n").unwrap();
        }
        Two { fire }
    }

    fn command(&self, process: usize, how: &[&str]) -> Command {
        let (data, number) = (format!("part{process}"), process.to_string());
        let mut args = vec!["--data", &data, how[0], "--processes", "2", "--process", &number];
        args.extend(["--hosts", "hosts", "--workers", "2"]);
        args.extend(&how[1..]);
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        self.fire.home.command(&args, None)
    }

    fn start(&self, how: &[&str], dies: Option<(usize, &str)>) -> Vec<Goes> {
        let start = |process| {
            let mut command = self.command(process, how);
            if let Some((_, place)) = dies.filter(|(victim, _)| *victim == process) {
                command.env("NEARLINE_FAILPOINT", place);
            }
            Goes(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        };
        (0..2).map(start).collect()
    }

    /// Runs both until the victim comes to a place and ends there; the other one ends of itself.
    fn dies(&self, how: &[&str], victim: usize, place: &str) {
        let mut both = self.start(how, Some((victim, place)));
        let status = ends(&mut both[victim].0, place);
        assert_eq!(status.signal(), Some(ABORTED), "{how:?} of {victim} never came to {place}: {status}");
        let other = ends(&mut both[1 - victim].0, place);
        assert!(matches!(other.code(), Some(0 | 3)), "{place} of {victim}: the other one ended with {other}");
    }

    fn to_the_end(&self, how: &[&str], place: &str) {
        for (process, mut child) in self.start(how, None).into_iter().enumerate() {
            assert_eq!(ends(&mut child.0, place).code(), Some(0), "{process} after {place}");
        }
    }

    fn digest(&self) -> String {
        let verdict = self.fire.home.json(&["verify", "part0", "part1"]).unwrap();
        assert_eq!(verdict["equal"], true, "{verdict}");
        verdict["stored"].as_str().unwrap().to_owned()
    }

    /// The epoch that a process's store has; none where there is no store yet.
    fn epoch(&self, process: usize) -> Option<u64> {
        self.fire.home.json(&["--data", &format!("part{process}"), "status"]).ok()?["epoch"].as_u64()
    }

    /// Tries until one store has ended with an epoch that the other has not. Where a neighbour dies before an epoch of its
    /// own is on disk, a process gives that up too, so that it goes by who is quicker.
    fn until_they_differ(&self, mut dies: impl FnMut()) {
        for _ in 0..TRIES {
            self.away();
            dies();
            if self.epoch(0).unwrap() != self.epoch(1).unwrap() {
                return;
            }
        }
        panic!("one process never had an epoch that the other had not, in {TRIES} tries");
    }

    fn away(&self) {
        for part in ["part0", "part1"] {
            let _ = std::fs::remove_dir_all(self.fire.home.path(part));
        }
    }
}

/// Waits until a process has ended of itself.
fn ends(child: &mut Child, place: &str) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < SOON, "a process hangs after {place}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_of_several_that_ends_at_any_narrow_place_takes_the_others_with_it_and_nothing_is_lost() {
    let fire = Fire::new();
    let two = Two::new(&fire);
    let run = ["run", "--epoch-records", "40", "--model", "model-1", LOGS];
    let load = ["replay", "--model", "model-1", LOGS];
    fire.ok(&["--data", "plain", "run", "--workers", "2", "--model", "model-1", LOG]);
    let plain = fire.digest("plain");
    let live =
        ["part-kept", "parcels-sent=2", "parcels-sent=9", "commit", "commit=9", "committed", "committed=9"];
    let live = live.into_iter().chain(["stored-by-all=3", "stored-by-all=9", "offsets-to-keep"]);
    let bulk =
        ["marked", "load-taken=2", "loaded=2", "before-last-epoch", "end-of-load", "commit=2", "committed=2"];
    let places = live.map(|place| (&run[..], place)).chain(bulk.map(|place| (&load[..], place)));
    for (number, (how, place)) in places.enumerate() {
        for victim in 0..2 {
            two.away();
            two.dies(how, victim, place);
            two.to_the_end(if number % 2 == 0 { &run } else { &load }, place);
            assert_eq!(two.digest(), plain, "{place} of {victim}");
        }
    }
}

#[test]
fn views_that_processes_make_anew_together_are_made_anew_again() {
    let fire = Fire::new();
    let two = Two::new(&fire);
    let run = ["run", "--epoch-records", "40", "--model", "model-1", LOGS];
    fire.ok(&["--data", "plain", "run", "--workers", "2", "--model", "model-1", LOG]);
    let plain = fire.digest("plain");
    for place in
        ["rebuild-marked", "rebuild-cleared", "loaded", "end-of-load", "all-to-be-told", "committed=3"]
    {
        for victim in 0..2 {
            two.until_they_differ(|| two.dies(&run, 1 - victim, "commit=9"));
            two.dies(&run, victim, place);
            two.to_the_end(&run, place);
            assert_eq!(two.digest(), plain, "{place} of {victim}");
        }
    }
}

#[test]
fn what_a_store_has_that_another_lacks_is_told_after_a_crash_also_where_nobody_sends_it_again() {
    let fire = Fire::new();
    let two = Two::new(&fire);
    let follow = ["run", "--follow", "-"];
    let start = |process: usize, place: Option<&str>| {
        let mut command = two.command(process, &follow);
        if let Some(place) = place {
            command.env("NEARLINE_FAILPOINT", place);
        }
        Goes(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    for (victim, again) in [(1, None), (1, Some("all-to-be-told")), (0, Some("commit=2"))] {
        // The second epoch is on one disk alone.
        two.until_they_differ(|| {
            let mut both: Vec<Goes> =
                (0..2).map(|process| start(process, (process == victim).then_some("commit=2"))).collect();
            let mut says = both[1 - victim].0.stdin.take().unwrap();
            writeln!(says, r#"{{"member":"m1","item":"a","kind":"play","at":20}}"#).unwrap();
            let begun = Instant::now();
            while two.epoch(1 - victim).unwrap_or(0) == 0 {
                assert!(begun.elapsed() < SOON, "the first epoch");
                std::thread::sleep(Duration::from_millis(5));
            }
            writeln!(says, r#"{{"type":"item","item":"a","at":30,"withdrawn":true}}"#).unwrap();
            writeln!(says, r#"{{"type":"trim","at":5}}"#).unwrap();
            for (process, child) in both.iter_mut().enumerate() {
                let status = ends(&mut child.0, "commit=2");
                assert_eq!(status.signal().is_some(), process == victim, "{status}");
            }
            drop(both);
        });
        let run = ["run", "-"];
        if let Some(place) = again {
            two.dies(&run, 1 - victim, place);
        }
        two.to_the_end(&run, "the second crash");
        two.digest();
        // The copies of the catalogue are equal, and it is of both whether the item is withdrawn.
        let item =
            |part: &str| fire.ok(&["--data", part, "export", "--without-key"]).contains("withdrawn\":true");
        assert_eq!((item("part0"), item("part1")), (true, true), "{victim} {again:?}");
    }
}
