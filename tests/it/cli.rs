//! Commands as a person types them: exit codes, refusals, and what is left on disk.

use serde_json::{Value, json};

use crate::support::{Home, arg};

const EVENT: &str = r#"{"member":"ann","item":"a","kind":"play","at":"2024-03-01T10:00:00Z"}"#;

/// Every command that is shown in the help, with those that stand behind another.
fn commands(home: &Home, behind: &[&str]) -> Vec<Vec<String>> {
    let help = home.ok(&[behind, &["--help"]].concat());
    let Some(list) = help.split("Commands:").nth(1) else { return Vec::new() };
    let list = list.split("\n\n").next().unwrap();
    // A description that goes on in the next line is set in further.
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = list.lines().filter(is_name).map(|line| line.split_whitespace().next().unwrap());
    let mut commands = Vec::new();
    for name in names.filter(|name| *name != "help") {
        let words = [behind, &[name]].concat();
        commands.push(words.iter().map(|word| (*word).to_owned()).collect());
        commands.extend(self::commands(home, &words));
    }
    commands
}

#[test]
fn the_help_of_each_command_has_an_example() {
    let home = Home::new();
    let commands = commands(&home, &[]);
    assert!(commands.len() >= 18, "{commands:?}");
    assert!(commands.contains(&vec!["model".to_owned(), "import".to_owned()]), "{commands:?}");
    for command in &commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = home.ok(&[&words[..], &["--help"]].concat());
        let command = words.join(" ");
        let example = help.split("Example:\n").nth(1).unwrap_or_else(|| panic!("{command}: {help}"));
        assert!(
            example.contains(&format!("nearline {command}")) || example.contains(&format!(" {command} ")),
            "{command}: {help}"
        );
    }
}

#[test]
fn done_is_0_no_is_1_bad_use_is_2_and_a_failure_is_3() {
    let home = Home::new();
    home.write("log.jsonl", &format!("{EVENT}\n"));
    for unread in [&["get", "ann"][..], &["status"], &["verify"], &["export"], &["history", "ann"]] {
        assert!(home.say(unread).ended(3).contains("there is no nearline data"), "{unread:?}");
    }
    home.ok(&["replay", "log.jsonl"]);
    home.ok(&["history", "ann"]);
    home.ok(&["verify"]);
    assert!(home.say(&["history", "bob"]).ended(1).contains("no live event"));
    home.say(&["nonsense"]).ended(2);
    home.say(&["get"]).ended(2);
    home.say(&["replay"]).ended(2);
    home.say(&["replay", "no-such-file.jsonl"]).ended(2);
    home.say(&["popular", "--window", "7 moons"]).ended(2);
    home.say(&["run", "--model", "no-such-model", "log.jsonl"]).ended(2);
    home.say(&["replay", "log.jsonl", "--map", "member=nobody,nonsense"]).ended(2);
    home.write("store-is-a-file", "");
    home.say(&["--data", "store-is-a-file", "replay", "log.jsonl"]).ended(3);
}

#[test]
fn an_unknown_config_key_is_refused_with_its_line() {
    let home = Home::new();
    home.write("nearline.toml", "rating_scale = 5.0\n\n[lists]\nlenght = 10\n");
    let said = home.say(&["status"]).ended(2);
    assert!(said.contains("nearline.toml, line 4") && said.contains("lenght"), "{said}");
    assert!(home.say(&["--config", "missing.toml", "status"]).ended(2).contains("missing.toml"));
}

#[test]
fn the_config_that_is_printed_is_the_default() {
    let home = Home::new();
    let printed = home.ok(&["config"]);
    let read = nearline::config::Config::parse(&printed, "printed").unwrap();
    assert_eq!(read, nearline::config::Config::default());
    home.write("nearline.toml", &printed);
    home.ok_pipe(&["run", "-"], &format!("{EVENT}\n"));
    // A folder made with the printed config is one made with none.
    std::fs::remove_file(home.path("nearline.toml")).unwrap();
    home.verified("nearline-data");
}

#[test]
fn what_was_made_with_another_config_is_not_remade_in_passing() {
    let home = Home::new();
    let events: String =
        ["a", "b", "c"].map(|item| EVENT.replace("\"a\"", &format!("\"{item}\"")) + "\n").concat();
    home.write("log.jsonl", &events);
    home.write("short.toml", "[lists]\nlength = 2\n");
    home.ok(&["--config", "short.toml", "replay", "log.jsonl"]);
    for refused in [&["forget", "ann"][..], &["why", "ann", "a"], &["verify"]] {
        assert!(home.say(refused).ended(2).contains("another config"), "{refused:?}");
    }
    home.ok(&["--config", "short.toml", "verify"]);
    home.ok(&["--config", "short.toml", "forget", "ann"]);
    home.ok(&["--config", "short.toml", "verify"]);
}

#[test]
fn a_number_of_workers_that_would_take_the_machine_down_is_refused() {
    let home = Home::new();
    home.write("log.jsonl", EVENT);
    for number in ["0", "5000", "many"] {
        let said = home.say(&["run", "--workers", number, "log.jsonl"]).ended(2);
        assert!(said.contains("from 1 to 256"), "{said}");
    }
}

#[test]
fn check_goes_on_behind_a_source_that_cannot_be_read() {
    let home = Home::new();
    home.write("good.jsonl", &format!("{EVENT}\n"));
    home.write("bad.csv", "who,what\nann,a\n");
    let said = home.say(&["check", "missing.jsonl", "bad.csv", "good.jsonl"]);
    assert!(said.out.contains("1 records would be taken"), "{}", said.out);
    assert!(said.out.contains("missing.jsonl") && said.out.contains("bad.csv"), "{}", said.out);
    said.ended(2);
}

#[test]
fn the_data_folder_may_be_the_folder_of_the_logs() {
    let home = Home::new();
    std::fs::create_dir(home.path("both")).unwrap();
    home.write("both/log.jsonl", &format!("{EVENT}\nnonsense\n"));
    home.write("nearline.toml", "[subscriptions.films]\nrepository = \"repository\"\n");
    for _ in 0..3 {
        home.ok(&["--data", "both", "run", "both"]);
    }
    let status = home.json(&["--data", "both", "status"]);
    assert_eq!(status["counts"]["rejected"], 1, "{status}");
}

#[test]
fn blanks_around_the_cells_of_a_table_are_layout() {
    let home = Home::new();
    home.write("log.csv", "member, item , kind,at\nann, a , play,1709287200000\n");
    home.ok(&["run", "log.csv"]);
    let line = &home.json(&["history", "ann"])["events"][0];
    assert_eq!((&line["item"], &line["kind"]), (&json!("a"), &json!("play")));
}

#[test]
fn a_column_that_two_columns_are_called_is_asked_about() {
    let home = Home::new();
    home.write("log.csv", "u,u,i,t\nann,bob,a,1709287200000\n");
    let said = home.say(&["check", "log.csv", "--map", "member=u,item=i,at=t,kind=play"]).ended(2);
    assert!(said.contains("two columns"), "{said}");
    home.ok(&["check", "log.csv", "--map", "member=$2,item=i,at=t,kind=play"]);
}

#[test]
fn a_map_that_says_something_else_reads_the_file_again() {
    let home = Home::new();
    home.write("log.csv", "u,i,t\nann,a,1709287200000\n");
    let maps =
        |kind: &str| format!("[maps.mine]\nmember = \"u\"\nitem = \"i\"\nat = \"t\"\nkind = \"'{kind}'\"\n");
    for (kind, events) in [("play", 1), ("play", 1), ("like", 2)] {
        home.write("nearline.toml", &maps(kind));
        home.ok(&["run", "log.csv", "--map", "mine"]);
        assert_eq!(home.json(&["status"])["counts"]["live_events"], events, "{kind}");
    }
}

#[test]
fn a_place_that_takes_no_model_is_refused_before_training() {
    let home = Home::new();
    home.write("log.jsonl", &format!("{EVENT}\n"));
    std::fs::create_dir(home.path("taken")).unwrap();
    home.write("taken/file", "something");
    let said = home.say(&["train", "log.jsonl", "--out", "taken"]).ended(2);
    assert!(said.contains("holds something else") && !said.contains("iteration"), "{said}");
}

const BAD: &str =
    "not json\n{\"member\":\"ann\"}\n{\"member\":\"\",\"item\":\"a\",\"kind\":\"play\",\"at\":1}\n";

#[test]
fn check_names_bad_lines_and_writes_nothing() {
    let home = Home::new();
    home.write("bad.jsonl", &format!("{EVENT}\n{BAD}"));
    let said = home.say(&["check", "bad.jsonl"]).ended(1);
    assert!(said.contains("1 records would be taken, 3 lines rejected"), "{said}");
    assert!(said.contains("bad.jsonl, line 2:"), "{said}");
    assert!(!home.path("nearline-data").exists());
    home.write("good.jsonl", &format!("{EVENT}\n"));
    home.ok(&["check", "good.jsonl"]);
    assert!(!home.path("nearline-data").exists());
}

#[test]
fn rejected_lines_are_kept_aside_and_counted() {
    let home = Home::new();
    let log = home.write("bad.jsonl", &format!("{EVENT}\n{BAD}"));
    home.ok(&["replay", "bad.jsonl"]);
    let kept = std::fs::read_to_string(home.path("nearline-data/rejected.jsonl")).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert_eq!(kept[0]["source"], arg(&log.canonicalize().unwrap()));
    assert_eq!((&kept[0]["line"], &kept[0]["raw"]), (&json!(2), &json!("not json")));
    assert_eq!(kept[0]["offset"], EVENT.len() + 1);
    let status = home.json(&["status"]);
    assert_eq!(status["counts"]["rejected"], 3);
    let by_reason: u64 =
        status["rejected"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(by_reason, 3);
    // The rest went on.
    assert_eq!(status["counts"]["live_events"], 1);
    for line in &kept {
        assert!(status["rejected"][line["reason"].as_str().unwrap()].is_u64(), "{line}");
    }
}

#[test]
fn an_event_far_past_the_clock_is_rejected_so_that_it_cannot_empty_every_window() {
    let home = Home::new();
    let far = EVENT.replace("2024-", "2190-");
    home.ok_pipe(&["run", "-"], &format!("{EVENT}\n{far}\n"));
    let status = home.json(&["status"]);
    assert_eq!((&status["counts"]["live_events"], &status["counts"]["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(status["now"], 1_709_287_200_000_i64);
}

#[test]
fn a_file_that_was_read_is_not_read_again_unless_it_grew() {
    let home = Home::new();
    let log = home.write("log.jsonl", &format!("{EVENT}\n"));
    let accepted = || home.json(&["status"])["counts"]["accepted"].as_u64().unwrap();
    home.ok(&["run", "log.jsonl"]);
    home.ok(&["run", "log.jsonl"]);
    home.ok(&["replay", arg(&log)]);
    assert_eq!(accepted(), 1);
    let more = EVENT.replace("10:00", "11:00");
    home.append("log.jsonl", &format!("{more}\n{}", &more[..20]));
    home.ok(&["run", "log.jsonl"]);
    assert_eq!(accepted(), 2);
    // Half a line at the end was no whole line yet, and is one now.
    std::fs::write(&log, format!("{EVENT}\n{more}\n{}\n", EVENT.replace("10:00", "12:00"))).unwrap();
    home.ok(&["run", "log.jsonl"]);
    assert_eq!(home.json(&["status"])["counts"]["live_events"], 3);
}

#[test]
fn a_file_that_was_replaced_is_read_from_its_start() {
    let home = Home::new();
    home.write("log.jsonl", &format!("{EVENT}\n"));
    home.ok(&["run", "log.jsonl"]);
    let other = EVENT.replace("\"ann\"", "\"bob\"");
    home.write("log.jsonl", &format!("{other}\n{}\n", other.replace("10:00", "11:00")));
    home.ok(&["run", "log.jsonl"]);
    assert_eq!(home.json(&["history", "bob"])["events"].as_array().unwrap().len(), 2);
    assert_eq!(home.json(&["history", "ann"])["events"].as_array().unwrap().len(), 1);
}

#[test]
fn a_folder_of_logs_plain_and_compressed_is_one_source_of_records() {
    let home = Home::new();
    std::fs::create_dir(home.path("logs")).unwrap();
    home.write("logs/1.jsonl", &format!("{EVENT}\n"));
    let second = zstd::encode_all(format!("{}\n", EVENT.replace("ann", "bob")).as_bytes(), 1).unwrap();
    std::fs::write(home.path("logs/2.jsonl.zst"), second).unwrap();
    home.write("logs/3.csv", "member,item,kind,value,at,id\ncem,a,play,0.5,2024-03-01T10:00:00Z,\n");
    home.ok(&["replay", "logs"]);
    assert_eq!(home.json(&["popular", "--window", "all"])["items"][0]["count"], 3);
    assert_eq!(home.json(&["status"])["sources"].as_array().unwrap().len(), 3);
}

#[test]
fn another_config_makes_the_lists_anew_and_verify_says_which_it_wants() {
    let home = Home::new();
    let begun = EVENT.replace("\"at\"", "\"value\":0.5,\"at\"");
    home.ok_pipe(&["run", "-"], &format!("{begun}\n{}\n", begun.replace("\"a\"", "\"b\"")));
    let before = home.verified("nearline-data");
    home.write("nearline.toml", "[lists]\nlength = 1\n");
    assert!(home.say(&["verify"]).ended(2).contains("another config"));
    home.ok_pipe(&["run", "-"], "");
    assert_ne!(home.verified("nearline-data"), before);
    assert_eq!(home.items("ann", "continue_watching").len(), 1);
    std::fs::remove_file(home.path("nearline.toml")).unwrap();
    home.ok_pipe(&["run", "-"], "");
    assert_eq!(home.verified("nearline-data"), before);
}

#[test]
fn a_model_that_is_dropped_in_takes_over_and_an_earlier_one_leaves_no_trace() {
    let home = Home::new();
    let model = |name: &str, first: f32| {
        let rows = [("a", vec![first, 0.0]), ("b", vec![0.5, 0.5]), ("c", vec![0.0, 1.0])];
        crate::support::model(&rows).save(&home.path(name)).unwrap();
    };
    model("one", 1.0);
    model("two", -1.0);
    let log = format!("{EVENT}\n{}\n", EVENT.replace("ann", "bob").replace("\"a\"", "\"c\""));
    home.ok_pipe(&["run", "--model", "one", "-"], &log);
    let first = home.verified("nearline-data");
    home.ok_pipe(&["run", "--model", "two", "-"], "");
    let second = home.verified("nearline-data");
    assert_ne!(first, second);
    home.ok_pipe(&["--data", "other", "run", "--model", "two", "-"], &log);
    assert_eq!(home.verified("other"), second);
    // Without a word of a model the folder keeps its own, even where the folder it came from is gone.
    std::fs::remove_dir_all(home.path("two")).unwrap();
    home.ok_pipe(&["run", "-"], &format!("{}\n", EVENT.replace("10:00", "11:00")));
    assert!(home.json(&["get", "ann"])["model"].is_string());
    home.verified("nearline-data");
}

#[test]
fn a_forget_leaves_nothing_of_the_member_in_the_folder_but_a_digest() {
    let home = Home::new();
    let own = EVENT.replace("ann", "a-member-of-no-other-name");
    home.ok_pipe(&["run", "-"], &format!("{own}\n{EVENT}\n"));
    let receipt = home.json(&["forget", "a-member-of-no-other-name"]);
    let member = &receipt["members"][0];
    assert_eq!(member["removed"]["events"], 1);
    assert_eq!(member["member_digest"].as_str().unwrap().len(), 32);
    let exported = home.ok(&["export"]);
    assert!(!exported.contains("a-member-of-no-other-name") && exported.contains("ann"), "{exported}");
    assert!(exported.contains(member["member_digest"].as_str().unwrap()));
    assert!(!home.ok(&["export", "--without-key"]).contains("tombstone"));
    home.ok_pipe(&["run", "-"], &format!("{own}\n"));
    home.say(&["history", "a-member-of-no-other-name"]).ended(1);
    home.verified("nearline-data");
}
