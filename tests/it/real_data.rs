//! Real logs, where `NEARLINE_TRIAL_DATA` names the folder that they lie in: loaded by the maps of `docs/recipes/`,
//! with the counts that these promise.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::retraction::a_tenth_taken_out;
use crate::support::{Home, arg, shuffled};

macro_rules! on_real_data {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            if let Some(data) = data() {
                on::$name(&data);
            }
        })*

        #[test]
        fn what_is_skipped_without_the_data_is_said() {
            if data().is_none() {
                let names = [$(stringify!($name)),*];
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = format!(
                    "\nskipped {} tests, as NEARLINE_TRIAL_DATA names no folder of real logs: {}\n",
                    names.len(),
                    names.join(", "),
                );
                std::io::stderr().write_all(said.as_bytes()).unwrap();
            }
        }
    };
}

on_real_data! {
    a_part_of_movielens_ends_in_one_digest_however_it_comes_in
    movielens_loads_whole
    movietweetings_loads_whole
    online_retail_loads_whole_and_what_was_cancelled_leaves_no_signal
    a_tenth_of_movielens_taken_out_leaves_the_world_without_it
    a_tenth_of_movietweetings_taken_out_leaves_the_world_without_it
    a_tenth_of_online_retail_taken_out_leaves_the_world_without_it
}

fn data() -> Option<PathBuf> {
    std::env::var_os("NEARLINE_TRIAL_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// The column maps of a recipe, in their order: what follows `--map` in quotation marks.
fn maps(recipe: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes").join(recipe);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("--map \"").skip(1).map(|rest| rest.split_once('"').unwrap().0.to_owned()).collect()
}

fn count_of(answer: &Value, path: &str) -> u64 {
    answer.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {answer}"))
}

/// Items that have events of a kind.
fn items_with(home: &Home, kind: &str) -> usize {
    let answer = home.json(&["popular", "--kind", kind, "--window", "all", "--limit", "1000000"]);
    answer["items"].as_array().unwrap().len()
}

/// The catalogue, as exported.
fn catalogue(home: &Home) -> Vec<Value> {
    let export = home.ok(&["export", "--without-key"]);
    let items = export.lines().filter(|line| line.contains(r#""type":"item""#));
    items.map(|line| serde_json::from_str(line).unwrap()).collect()
}

mod on {
    use super::*;

    pub fn a_part_of_movielens_ends_in_one_digest_however_it_comes_in(data: &Path) {
        let ratings = std::fs::read_to_string(data.join("ml-latest-small/ratings.csv")).unwrap();
        let (header, rest) = ratings.split_once('\n').unwrap();
        let part: String = rest.lines().take(5_000).flat_map(|line| [line, "\n"]).collect();
        let home = Home::new();
        home.write("part.csv", &format!("{header}\n{part}"));
        let map = &maps("movielens.md")[0];
        let map = ["--map", map.as_str()];
        let fit = ["--rank", "8", "--iterations", "3", "--seed", "1"];
        home.ok(&[&["train", "part.csv", "--out", "model"], &map[..], &fit].concat());

        let with = |command: &'static str, more: &[&'static str], data: &'static str| {
            [&["--data", data, command, "--model", "model", "-"], &map[..], more].concat().to_vec()
        };
        let each = with("run", &["--epoch-records", "1", "--workers", "1"], "each");
        let shuffled = format!("{header}\n{}", shuffled(&part, 7));
        let whole = format!("{header}\n{part}");
        home.ok_pipe(&each, &whole);
        home.ok_pipe(&with("run", &["--workers", "3"], "shuffled"), &shuffled);
        home.ok_pipe(&with("replay", &["--workers", "1"], "bulk"), &whole);
        home.ok_pipe(&with("replay", &["--workers", "3"], "bulk-shuffled"), &shuffled);

        let digest = home.verified("each");
        for other in ["shuffled", "bulk", "bulk-shuffled"] {
            assert_eq!(home.verified(other), digest, "{other}");
        }
        let status = home.json(&["--data", "each", "status"]);
        assert_eq!(count_of(&status, "/counts/live_events"), 5_000);
        assert!(count_of(&status, "/epoch") >= 5_000, "one event an epoch");
    }

    pub fn movielens_loads_whole(data: &Path) {
        let home = Home::new();
        let folder = data.join("ml-latest-small");
        let maps = maps("movielens.md");
        home.ok(&["replay", arg(&folder.join("ratings.csv")), "--map", &maps[0]]);
        home.ok(&["replay", arg(&folder.join("movies.csv")), "--map", &maps[1]]);
        let status = home.json(&["status"]);
        assert_eq!(count_of(&status, "/counts/live_events"), 100_836);
        assert_eq!(count_of(&status, "/counts/members"), 610);
        assert_eq!(count_of(&status, "/counts/rejected"), 0);
        assert_eq!(items_with(&home, "rate"), 9_724);
        let catalogue = catalogue(&home);
        let without_genres = catalogue.iter().filter(|item| item.get("genres").is_none()).count();
        assert_eq!((catalogue.len(), without_genres), (9_742, 34));
        home.verified("nearline-data");
    }

    pub fn movietweetings_loads_whole(data: &Path) {
        let home = Home::new();
        let folder = data.join("movietweetings");
        let maps = maps("movietweetings.md");
        home.write("nearline.toml", "rating_scale = 10.0\n");
        home.ok(&["replay", arg(&folder.join("ratings.dat")), "--map", &maps[0]]);
        home.ok(&["replay", arg(&folder.join("movies.dat")), "--map", &maps[1]]);
        let status = home.json(&["status"]);
        assert_eq!(count_of(&status, "/counts/live_events"), 141_695);
        assert_eq!(count_of(&status, "/counts/members"), 21_081);
        assert_eq!(count_of(&status, "/counts/rejected"), 0);
        assert_eq!(items_with(&home, "rate"), 12_611);
        let catalogue = catalogue(&home);
        let without_genres = catalogue.iter().filter(|item| item.get("genres").is_none()).count();
        assert_eq!((catalogue.len(), without_genres), (12_611, 91));
        home.verified("nearline-data");
    }

    pub fn online_retail_loads_whole_and_what_was_cancelled_leaves_no_signal(data: &Path) {
        let home = Home::new();
        let map = &maps("online-retail.md")[0];
        home.ok(&["replay", arg(&data.join("online-retail/online_retail.csv.gz")), "--map", map]);
        let status = home.json(&["status"]);
        assert_eq!(count_of(&status, "/counts/rejected"), 135_080);
        assert_eq!(count_of(&status, "/rejected/missing-field"), 135_080);
        assert_eq!(count_of(&status, "/counts/accepted"), 406_829);
        assert_eq!(count_of(&status, "/counts/without_effect"), 406_829 - 401_549);
        assert_eq!(count_of(&status, "/counts/live_events"), 401_549);
        assert_eq!(count_of(&status, "/counts/members"), 4_372);
        assert_eq!(items_with(&home, "buy"), 3_684);

        home.ok(&["train", "--out", "model", "--rank", "4", "--iterations", "1"]);
        home.ok_pipe(&["run", "--model", "model", "-"], "");
        let (cancelled, bought) = pairs(&home.ok(&["export", "--without-key"]));
        assert!(cancelled.len() > 100, "{} purchases were cancelled in full", cancelled.len());
        let seen = "the member has seen the item";
        let kept_out = |(member, item): &(String, String)| {
            let answer = home.json(&["why", member, item]);
            answer["kept_out"].as_array().unwrap().iter().any(|rule| rule == seen)
        };
        for pair in cancelled.iter().step_by(cancelled.len() / 5) {
            assert!(!kept_out(pair), "{pair:?}");
            let history = home.json(&["history", &pair.0]);
            let events =
                history["events"].as_array().unwrap().iter().filter(|event| event["item"] == *pair.1);
            let weights: Vec<f64> = events.map(|event| event["weight"].as_f64().unwrap()).collect();
            assert!(weights.len() >= 2 && weights.iter().sum::<f64>() == 0.0, "{pair:?}: {weights:?}");
            // What has no signal adds nothing to any score.
            let parts = home.json(&["why", &pair.0, &pair.1]);
            assert!(parts["parts"].as_array().unwrap().iter().all(|part| part["item"] != *pair.1));
        }
        assert!(kept_out(&bought), "{bought:?}");
        home.verified("nearline-data");
    }

    pub fn a_tenth_of_movielens_taken_out_leaves_the_world_without_it(data: &Path) {
        a_tenth_taken_out(&data.join("ml-latest-small/ratings.csv"), &maps("movielens.md")[0], "", 2);
    }

    pub fn a_tenth_of_movietweetings_taken_out_leaves_the_world_without_it(data: &Path) {
        let config = "rating_scale = 10.0\n";
        a_tenth_taken_out(&data.join("movietweetings/ratings.dat"), &maps("movietweetings.md")[0], config, 2);
    }

    pub fn a_tenth_of_online_retail_taken_out_leaves_the_world_without_it(data: &Path) {
        let log = data.join("online-retail/online_retail.csv.gz");
        // An id is that of an invoice of some twenty events.
        a_tenth_taken_out(&log, &maps("online-retail.md")[0], "", 16);
    }

    type Pair = (String, String);

    /// Members with items that they bought and cancelled in full, and one who kept what was bought.
    fn pairs(export: &str) -> (Vec<Pair>, Pair) {
        let mut sums: BTreeMap<Pair, (i64, bool)> = BTreeMap::new();
        for line in export.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let (Some(member), Some(item)) = (record["member"].as_str(), record["item"].as_str()) else {
                continue;
            };
            let value = record.get("value").map_or(1, |value| value.as_i64().unwrap());
            let sum = sums.entry((member.to_owned(), item.to_owned())).or_default();
            *sum = (sum.0 + value, sum.1 || value > 0);
        }
        let bought = sums.iter().find(|(_, (sum, _))| *sum > 0).unwrap().0.clone();
        (sums.into_iter().filter(|(_, sum)| *sum == (0, true)).map(|(pair, _)| pair).collect(), bought)
    }
}
