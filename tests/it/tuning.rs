//! `nearline tune` as a person types it: the trials, the config that it leaves, and what an end in the middle leaves.

use std::process::Stdio;
use std::time::Duration;

use nearline::config::Config;
use serde_json::Value;

use crate::support::{Home, until};

fn with_log() -> Home {
    let home = Home::new();
    home.ok(&["bench-log", "events.jsonl", "--events", "20000", "--members", "800", "--items", "300"]);
    home.write(
        "nearline.toml",
        "# My own.\nrating_scale = 10.0\n\n[train]\nrank = 8 # small\niterations = 3\nseed = 7\n",
    );
    home
}

fn config(home: &Home, name: &str) -> (String, Config) {
    let text = std::fs::read_to_string(home.path(name)).unwrap();
    let config = Config::parse(&text, name).unwrap();
    (text, config)
}

const TUNE: [&str; 4] = ["tune", "events.jsonl", "--max-rank", "16"];

#[test]
fn each_trial_is_shown_and_the_best_config_is_saved_over_ones_own() {
    let home = with_log();
    let said = home.ok(&[&TUNE[..], &["--out", "tuned.toml", "--trials", "12"]].concat());
    let trials: Vec<&str> = said.lines().filter(|line| line.starts_with("trial ")).collect();
    assert_eq!(trials.len(), 12, "{said}");
    assert!(trials[0].contains("rank 8, 3 iterations, alpha0 0.2, lambda 0.2, nu 0.5, log1p"), "{said}");
    assert!(trials[0].ends_with("best so far") && trials[0].contains(" ± "), "{said}");
    assert!(said.contains("it is in tuned.toml: nearline --config tuned.toml train"), "{said}");
    let (text, tuned) = config(&home, "tuned.toml");
    assert!(
        text.starts_with("# My own.\nrating_scale = 10.0\n\n[train]\n") && text.contains("# small"),
        "{text}"
    );
    assert_eq!(tuned.train.seed, 7);
    // The numbers of the last line that was the best are those of the file.
    let best = trials.iter().rfind(|line| line.ends_with("best so far")).unwrap();
    let Config { train, .. } = &tuned;
    let numbers = format!(
        "rank {}, {} iterations, alpha0 {}, lambda {}, nu {}",
        train.rank, train.iterations, train.alpha0, train.lambda, train.nu
    );
    assert!(best.contains(&numbers), "{numbers} in {best}");
    home.ok(&["--config", "tuned.toml", "train", "events.jsonl", "--out", "model"]);
    assert!(home.say(&[&TUNE[..], &["--out", "tuned.toml"]].concat()).ended(2).contains("is there already"));
    assert!(
        home.say(&[&TUNE[..], &["--out", "no/such/folder.toml"]].concat()).ended(2).contains("cannot write")
    );
}

#[test]
fn as_json_it_is_the_same_every_time_but_for_the_clock() {
    let home = with_log();
    let run = |out: &str| {
        let mut answer =
            home.json(&[&TUNE[..], &["--out", out, "--trials", "5", "--validation", "members"]].concat());
        for trial in answer["tuned"]["trials"].as_array_mut().unwrap() {
            trial.as_object_mut().unwrap().remove("seconds");
        }
        assert_eq!(answer["config"], *out);
        answer["tuned"].take()
    };
    let first: Value = run("one.toml");
    assert_eq!(first["trials"].as_array().unwrap().len(), 5);
    assert_eq!(first, run("two.toml"));
    assert_eq!(config(&home, "one.toml").0, config(&home, "two.toml").0);
    let best = first["best"].as_u64().unwrap() as usize - 1;
    assert_eq!(first["settings"], first["trials"][best]["settings"]);
}

#[test]
fn killed_in_the_middle_it_leaves_the_best_config_so_far_and_interrupted_it_says_so() {
    let home = with_log();
    for (signal, out) in [("-KILL", "killed.toml"), ("-INT", "interrupted.toml")] {
        let args = [&TUNE[..], &["--out", out, "--trials", "100000"]].concat();
        let mut command = home.command(&args);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("the first trial is saved", || home.path(out).exists());
        std::thread::sleep(Duration::from_millis(150));
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let tuned = config(&home, out).1;
        let own = config(&home, "nearline.toml").1;
        assert_eq!((tuned.train.seed, tuned.train.iterations), (7, 3));
        assert_eq!((tuned.kinds.names, tuned.lists), (own.kinds.names, own.lists));
        home.ok(&["--config", out, "train", "events.jsonl", "--out", &format!("{out}.model")]);
        if signal == "-INT" {
            assert_eq!(output.status.code(), Some(0));
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.contains("it is in interrupted.toml"), "{said}");
        }
    }
}

#[test]
fn it_warns_where_the_best_trial_gives_everybody_nearly_the_same_list() {
    let home = with_log();
    let one = |rank: &str, out: &str| {
        let said = home.ok(&[&TUNE[..], &["--out", out, "--trials", "1", "--rank", rank]].concat());
        let trial = said.lines().find(|line| line.starts_with("trial ")).unwrap().to_owned();
        (trial.contains("nearly one list"), said.contains("beware: it gives everybody nearly the same list"))
    };
    // Of one dimension there is one order of items.
    assert_eq!((one("1", "one.toml"), one("8", "eight.toml")), ((true, true), (false, false)));
}

#[test]
fn time_bounds_a_search() {
    let home = with_log();
    let said = home.ok(&[&TUNE[..], &["--out", "tuned.toml", "--minutes", "0.01"]].concat());
    assert!(said.contains("trial   1") && said.lines().count() < 1_000, "{said}");
    config(&home, "tuned.toml");
}
