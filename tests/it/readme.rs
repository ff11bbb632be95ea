//! The README's commands run: each `$ ` line of its `console` blocks, from top to bottom, in one empty folder.
//!
//! A command must succeed, unless its line ends with `# exit N`. A line without `$ ` is output that the command
//! above it must print; `…` stands for anything. Blocks in other languages are not run.

use std::path::Path;
use std::process::Command;

/// One command of a document and what it is said to do.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    exit: i32,
    output: Vec<String>,
}

#[test]
fn the_commands_of_the_readme_run() {
    let text = include_str!("../../README.md");
    let steps = steps(text);
    assert!(steps.len() > 10, "the README has lost its walk-through: {} commands", steps.len());
    let folder = tempfile::tempdir().expect("a folder for the walk-through");
    for step in &steps {
        run(step, folder.path());
    }
}

#[test]
fn commands_are_read_from_console_blocks_alone() {
    let text = "```sh\n$ no\n```\n```console\n$ one \\\n    more\nfirst line\n$ two  # exit 1\n```\n$ no\n";
    let one = Step { line: 5, command: "one more".into(), exit: 0, output: vec!["first line".into()] };
    let two = Step { line: 8, command: "two".into(), exit: 1, output: Vec::new() };
    assert_eq!(steps(text), [one, two]);
}

/// The commands of a document's `console` blocks.
fn steps(text: &str) -> Vec<Step> {
    let (mut steps, mut inside, mut continued) = (Vec::<Step>::new(), false, false);
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && continued {
            let step = steps.last_mut().expect("a line that goes on has begun");
            continued = add(step, line.trim_start());
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let mut step = Step { line: number, command: String::new(), exit: 0, output: Vec::new() };
            continued = add(&mut step, command);
            steps.push(step);
        } else if inside && !line.trim().is_empty() {
            steps.last_mut().expect("output follows a command").output.push(line.to_owned());
        }
    }
    steps
}

/// Adds a line to a command; whether the command goes on in the next.
fn add(step: &mut Step, line: &str) -> bool {
    if let Some(line) = line.strip_suffix('\\') {
        step.command.push_str(line);
        return true;
    }
    let (command, exit) = line.rsplit_once("# exit ").unwrap_or((line, "0"));
    step.command.push_str(command.trim_end());
    step.exit = exit.trim().parse().expect("an exit code is a number");
    false
}

fn run(step: &Step, folder: &Path) {
    let binary = Path::new(env!("CARGO_BIN_EXE_nearline"));
    let mut path = vec![binary.parent().expect("a binary lies in a folder").to_path_buf()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path).expect("no folder here has a colon in its name");
    let output = Command::new("sh")
        .args(["-c", &step.command])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("sh runs");
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let place = format!("README.md, line {}: `{}`", step.line, step.command);
    assert_eq!(output.status.code(), Some(step.exit), "{place} printed:\n{printed}");
    for shown in &step.output {
        assert!(
            printed.lines().any(|line| fits(line, shown)),
            "{place} has no line `{shown}` in:\n{printed}"
        );
    }
}

/// Whether a printed line is the one shown, in which `…` stands for anything.
fn fits(printed: &str, shown: &str) -> bool {
    let mut rest = printed.trim();
    shown.trim().split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
