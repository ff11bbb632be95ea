//! Golden cases, `cases/*.txt`: records in, answers out, in a form that a person can check.
//!
//! A case is blocks parted by empty lines. `model` gives the item factors, `config` the config, `records` JSON
//! Lines in epochs parted by a line `epoch`; any other block is a command line, `----`, and what it prints, with
//! what depends on the clock or on how epochs were cut struck out. Each case is run by one process straight
//! through, by a new process for every epoch, and in bulk, and each time must end in the same answers and the same
//! digest. `NEARLINE_REWRITE=1` rewrites what is printed.

use std::path::{Path, PathBuf};

use nearline::engine::socket;

use crate::support::{Home, Running, model};

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_case_in_the_folder_is_run() {
            let mut files: Vec<String> = std::fs::read_dir(folder())
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            files.sort();
            let mut run = vec![$(stringify!($name).to_owned()),*];
            run.sort();
            assert_eq!(run, files);
        }
    };
}

cases! {
    a_dislike_is_never_listed
    a_hidden_item_leaves_every_list
    a_late_event_after_a_forget_stays_out
    a_purchase_fully_cancelled_leaves_no_signal_and_is_not_seen
    a_retraction_works_before_and_after_its_event
    a_trim_is_a_forget_for_everyone
    a_withdrawn_item_leaves_every_list
    an_unknown_kind_is_counted_and_weighs_nothing
    an_unknown_member_gets_trending_with_the_reason
    continue_watching_goes_by_the_newest_play
    now_moves_back_when_its_event_is_retracted
    plays_lead_to_top_picks
    the_last_writer_wins_an_item
    what_is_new_is_in_the_order_of_the_catalogue
    what_is_watched_together_stands_in_for_a_model
    what_was_shown_is_counted_by_list_position_variant_and_day
    windows_count_by_kind_and_country
}

/// How the records of a case come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// One process takes every epoch.
    Straight,
    /// Every epoch is taken by a process of its own.
    Resumed,
    /// Every `records` block is replayed in bulk by a process of its own.
    InBulk,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases")
}

fn check(name: &str) {
    let file = folder().join(name).with_extension("txt");
    let text = std::fs::read_to_string(&file).unwrap();
    let (straight, digest) = run(&text, How::Straight);
    if std::env::var_os("NEARLINE_REWRITE").is_some() {
        std::fs::write(&file, &straight).unwrap();
    } else {
        assert!(straight == text, "{name} printed other than written:\n{straight}");
    }
    for how in [How::Resumed, How::InBulk] {
        let (printed, again) = run(&text, how);
        assert!(printed == straight, "{name} printed {how:?}:\n{printed}\nand straight through:\n{straight}");
        assert_eq!(again, digest, "{name}, {how:?}");
    }
}

/// Runs a case; what it is with its output as it is now, and the digest it ended in.
fn run(text: &str, how: How) -> (String, String) {
    let mut case = Case { home: Home::new(), how, with_model: false, version: None, process: None };
    let blocks: Vec<String> = text.split("\n\n").map(|block| case.block(block.trim_end())).collect();
    if let Some(process) = case.process.take() {
        process.finish().ok();
    }
    (blocks.join("\n\n") + "\n", case.home.verified("nearline-data"))
}

struct Case {
    home: Home,
    how: How,
    with_model: bool,
    version: Option<String>,
    process: Option<Running>,
}

impl Case {
    /// Does what a block says, and writes it anew.
    fn block(&mut self, block: &str) -> String {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        match first {
            _ if first.starts_with('#') => block.to_owned(),
            "model" => {
                self.model(rest);
                block.to_owned()
            }
            "config" => {
                self.home.write("nearline.toml", rest);
                block.to_owned()
            }
            "records" => {
                self.records(rest);
                block.to_owned()
            }
            command => {
                let words: Vec<&str> = command.split(' ').collect();
                let said = self.home.say(&words);
                let exit = if said.code == 0 { String::new() } else { format!("exit {}\n", said.code) };
                let printed = self.struck_out(&(said.out + &said.err + &exit));
                format!("{command}\n----\n{}", printed.trim_end())
            }
        }
    }

    fn model(&mut self, rows: &str) {
        let rows: Vec<(&str, Vec<f32>)> = rows
            .lines()
            .map(|row| {
                let mut words = row.split_whitespace();
                (words.next().unwrap(), words.map(|word| word.parse().unwrap()).collect())
            })
            .collect();
        let model = model(&rows);
        model.save(&self.home.path("model")).unwrap();
        self.version = Some(model.manifest.version[..12].to_owned());
        self.with_model = true;
    }

    fn records(&mut self, text: &str) {
        let epochs: Vec<String> =
            text.split("\nepoch\n").map(|epoch| format!("{}\n", epoch.trim_end())).collect();
        let model: &[&str] = if self.with_model { &["--model", "model"] } else { &[] };
        let said = match self.how {
            How::Straight => {
                let run = [&["run"], model, &["-"]].concat();
                self.process.get_or_insert_with(|| self.home.start(&run));
                let socket = self.home.path("nearline-data/nearline.sock");
                for epoch in epochs {
                    let answer = socket::send(&socket, &epoch).unwrap().unwrap();
                    assert_eq!((answer.error, answer.rejected), (None, Vec::new()), "of {epoch}");
                }
                return;
            }
            How::Resumed => {
                let run = [&["run"], model, &["-"]].concat();
                epochs.iter().map(|epoch| self.home.pipe(&run, epoch)).collect()
            }
            How::InBulk => {
                let replay = [&["replay"], model, &["-"]].concat();
                vec![self.home.pipe(&replay, &epochs.concat())]
            }
        };
        for said in said {
            assert!(!said.err.contains("rejected"), "{}", said.err);
            said.ok();
        }
    }

    /// Strikes out the epoch, the age, the model's version and the folder.
    fn struck_out(&self, printed: &str) -> String {
        let mut out = String::new();
        for line in printed.lines() {
            let mut line = line.to_owned();
            if let Some((head, tail)) = line.split_once("epoch ") {
                line = format!("{head}epoch …{}", tail.trim_start_matches(|c: char| c.is_ascii_digit()));
            }
            if let Some((head, tail)) = line.split_once(" ago)")
                && let Some((head, _)) = head.rsplit_once(" (")
            {
                line = format!("{head}{tail}");
            }
            if let Some(version) = &self.version {
                line = line.replace(version, "…");
            }
            out += &line.replace(self.home.path("").to_str().unwrap(), "");
            out.push('\n');
        }
        out
    }
}
