//! Training as a person types it: progress, checkpoints, and what is left of a training that was broken off.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Home, until};

/// Long enough to be killed in the middle of.
const FIT: [&str; 4] = ["--rank", "40", "--iterations", "40"];

fn with_log() -> Home {
    let home = Home::new();
    home.ok(&["bench-log", "events.jsonl", "--events", "60000", "--members", "4000", "--items", "1500"]);
    home
}

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "events.jsonl", "--out", out], &FIT[..], more].concat()
}

fn version(home: &Home, model: &str) -> String {
    let text = std::fs::read_to_string(home.path(model).join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["version"].as_str().unwrap().to_owned()
}

/// The newest whole checkpoint's iteration, 0 where there is none.
fn newest(home: &Home) -> usize {
    let entries = std::fs::read_dir(home.path("kept")).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("iteration-").and_then(|number| number.parse().ok());
    entries.filter_map(|entry| number(entry.file_name().to_str().unwrap())).max().unwrap_or(0)
}

/// Starts a training and waits until a checkpoint of a later iteration is there; whether it was still at it then.
fn killed(home: &Home, args: &[&str], signal: &str, then: Duration) -> (bool, String) {
    let begun = newest(home);
    let mut child = home
        .command(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ended = false;
    until("a checkpoint is saved", || {
        ended = child.try_wait().unwrap().is_some();
        ended || newest(home) > begun
    });
    std::thread::sleep(then);
    ended |= child.try_wait().unwrap().is_some();
    std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    (!ended, format!("{:?} {}", output.status.code(), String::from_utf8(output.stderr).unwrap()))
}

/// How often a kill is tried anew that came only after the end: the machine has other things to do, and this thread
/// may not have been woken in time.
const ATTEMPTS: usize = 30;

/// Takes away what was trained and saved.
fn began_anew(home: &Home) {
    for folder in ["model", "kept"] {
        let _ = std::fs::remove_dir_all(home.path(folder));
    }
}

#[test]
fn a_training_killed_again_and_again_ends_in_the_version_of_one_that_was_not() {
    let home = with_log();
    home.ok(&train("whole", &[]));
    let resume = train("model", &["--checkpoint", "kept", "--resume"]);
    let (mut in_the_middle, mut attempts) = (0, 0);
    while in_the_middle < 2 {
        assert!(attempts < ATTEMPTS, "the kills came too late to show anything");
        let pause = Duration::from_millis([0, 3, 17, 41][attempts % 4]);
        attempts += 1;
        if killed(&home, &resume, "-KILL", pause).0 && newest(&home) < 40 {
            assert!(!home.path("model").exists());
            in_the_middle += 1;
        } else {
            // It came to its end, or next to it: begun anew.
            in_the_middle = 0;
            began_anew(&home);
        }
    }
    let said = home.say(&resume);
    assert!(said.err.contains("going on from iteration"), "{said:?}");
    said.ok();
    assert_eq!(version(&home, "model"), version(&home, "whole"));
    let losses = |model: &str| std::fs::read_to_string(home.path(model).join("manifest.json")).unwrap();
    let loss = |text: String| text.lines().find(|line| line.contains("\"loss\"")).map(str::to_owned);
    assert_eq!(loss(losses("model")), loss(losses("whole")));
    // From the last checkpoint of a training that came to its end, the model is there at once.
    home.ok(&train("again", &["--checkpoint", "kept", "--resume"]));
    assert_eq!(version(&home, "again"), version(&home, "whole"));
}

#[test]
fn an_interrupt_says_where_training_stopped_and_saves_what_is_done() {
    let home = with_log();
    let resume = train("model", &["--checkpoint", "kept", "--checkpoint-every", "3", "--resume"]);
    let mut attempts = 0;
    let said = loop {
        let (in_the_middle, said) = killed(&home, &resume, "-INT", Duration::from_millis(40));
        // Where the last iteration was under way it ended well.
        if in_the_middle && !home.path("model").exists() {
            break said;
        }
        attempts += 1;
        assert!(attempts < ATTEMPTS, "the interrupt came too late to show anything: {said}");
        began_anew(&home);
    };
    let stopped = format!("training stopped after iteration {}", newest(&home));
    assert!(said.starts_with("Some(130)") && said.contains(&stopped) && said.contains("--resume"), "{said}");
    home.ok(&resume);
    home.ok(&train("whole", &[]));
    assert_eq!(version(&home, "model"), version(&home, "whole"));
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let home = with_log();
    let short = |more: &[&'static str]| {
        [&["train", "events.jsonl", "--out", "model", "--checkpoint", "kept", "--rank", "4"], more].concat()
    };
    home.ok(&short(&["--iterations", "2"]));
    let said = home.say(&short(&["--iterations", "3"])).ended(2);
    assert!(said.contains("holds a checkpoint of iteration 2: --resume goes on"), "{said}");
    let refused = |more: &[&'static str], reason: &str| {
        let said = home.say(&short(&[more, &["--resume"]].concat())).ended(2);
        assert!(said.contains("kept/iteration-0002") || said.contains("iteration 2 of 1"), "{said}");
        assert!(said.contains(reason), "{said}");
    };
    refused(&["--iterations", "3", "--seed", "2"], "it was made with seed 1, and now it is 2");
    refused(&["--iterations", "3", "--lambda", "2"], "lambda");
    refused(&["--iterations", "1"], "give at least 2 iterations");
    home.write("nearline.toml", "[kinds.like]\nweight = 5\n");
    refused(&["--iterations", "3"], "the kind `like`");
    std::fs::remove_file(home.path("nearline.toml")).unwrap();
    let whole = std::fs::read_to_string(home.path("events.jsonl")).unwrap();
    home.append("events.jsonl", r#"{"member":"late","item":"i1","kind":"like","at":10}"#);
    refused(&["--iterations", "3"], "made from another log");
    home.write("events.jsonl", &whole);
    let newest: PathBuf = home.path("kept/iteration-0002");
    let mut bytes = std::fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    refused(&["--iterations", "3"], "remove the file to go on from iteration 1");
    std::fs::remove_file(newest).unwrap();
    let said = home.say(&short(&["--iterations", "3", "--resume"])).ended(2);
    assert!(said.contains("holds something else"), "going on ends in another model: {said}");
    std::fs::remove_dir_all(home.path("model")).unwrap();
    home.ok(&short(&["--iterations", "3", "--resume"]));
}

#[test]
fn progress_elsewhere_than_on_a_terminal_is_a_line_for_each_iteration() {
    let home = with_log();
    let train = ["train", "events.jsonl", "--out", "model", "--rank", "4", "--iterations", "3"];
    let said = home.say(&train);
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert!(lines[0].starts_with("iteration 1 of 3, loss ") && lines[0].ends_with(" left"), "{said:?}");
    assert!(lines[2].starts_with("iteration 3 of 3, loss ") && !lines[2].contains("left"), "{said:?}");
    assert_eq!(home.say(&[&train[..], &["--json"]].concat()).err, "");
}

#[test]
fn stopping_early_trains_everything_for_as_many_iterations_as_were_best_on_a_part() {
    let home = with_log();
    let train = |out: &str, more: &[&str]| {
        let fit = ["train", "events.jsonl", "--out", out, "--rank", "6", "--iterations", "12"];
        home.say(&[&fit[..], more].concat())
    };
    for validation in ["time", "members"] {
        let out = format!("early-{validation}");
        let early = train(&out, &["--stop-early=2", "--validation", validation]);
        assert_eq!(early.code, 0, "{early:?}");
        let best = early.err.lines().find(|line| line.contains(" iterations are best: NDCG@20 ")).unwrap();
        let count = best.split_whitespace().next().unwrap();
        let measured: Vec<&str> =
            early.err.lines().filter(|line| line.contains("loss") && line.contains("NDCG@20")).collect();
        let last = measured.iter().rposition(|line| line.contains("the best so far")).unwrap() + 1;
        assert_eq!(last.to_string(), count, "{early:?}");
        assert!(measured.len() == last + 2 || measured.len() == 12, "{early:?}");
        let told = ["train", "events.jsonl", "--out", "told", "--rank", "6", "--iterations", count];
        home.ok(&told);
        assert_eq!(version(&home, &out), version(&home, "told"));
        std::fs::remove_dir_all(home.path("told")).unwrap();
        // A checkpoint is of the training on everything; what is searched for is found again.
        let kept = format!("kept-{validation}");
        let with = ["--stop-early=2", "--validation", validation, "--checkpoint", &kept, "--resume"];
        train(&format!("first-{validation}"), &with).ok();
        let again = train(&format!("second-{validation}"), &with);
        assert!(again.err.contains(&format!("going on from iteration {count} of {count}")), "{again:?}");
        assert_eq!(version(&home, &format!("second-{validation}")), version(&home, &out));
    }
}

/// Three events a member on 16,000 items: a ridge in proportion to the catalogue is more than there is to be learnt.
#[test]
fn a_sparse_log_gives_a_model_with_the_defaults_and_none_where_the_ridge_is_in_proportion_to_its_size() {
    let home = Home::new();
    home.ok(&["bench-log", "sparse.jsonl", "--events", "100000", "--members", "30000", "--items", "20000"]);
    let train = ["train", "sparse.jsonl", "--out", "model", "--rank", "8", "--iterations", "8"];
    let said = home.say(&[&train[..], &["--lambda", "0.005", "--nu", "1"]].concat()).ended(2);
    assert!(said.contains("every factor shrinks to nothing"), "{said}");
    home.ok(&train);
}
