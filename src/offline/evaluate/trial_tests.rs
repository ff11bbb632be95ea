//! The real logs: nearline lists must beat frozen and refreshed ones, and popularity of held-out members.
//!
//! They lie where `NEARLINE_TRIAL_DATA` says; without it the test says what it skipped.

use std::path::Path;

use super::*;
use crate::config::Config;
use crate::offline::test_log::{Line, log};

struct Trial {
    file: &'static str,
    delimiter: &'static str,
    header: usize,
    scale: &'static str,
    events: usize,
}

const TRIALS: [Trial; 2] = [
    Trial { file: "ml-latest-small/ratings.csv", delimiter: ",", header: 1, scale: "5.0", events: 100_836 },
    Trial { file: "movietweetings/ratings.dat", delimiter: "::", header: 0, scale: "10.0", events: 141_695 },
];

/// The settings of docs/evaluation.md, at a smaller rank so that the test is quick.
const TRAIN: &str = "[train]\nrank = 32\niterations = 12\nalpha0 = 0.2\nlambda = 0.2\nnu = 0.5";

#[test]
fn on_real_logs_fresh_lists_beat_frozen_and_refreshed_ones_and_popularity() {
    let Some(folder) = std::env::var_os("NEARLINE_TRIAL_DATA") else {
        let files = TRIALS.map(|trial| trial.file).join(" and ");
        eprintln!("skipped 2 evaluations, of {files}: NEARLINE_TRIAL_DATA is not set");
        return;
    };
    for trial in TRIALS {
        let config = Config::parse(&format!("rating_scale = {}\n{TRAIN}", trial.scale), "trial").unwrap();
        let live = read(&Path::new(&folder).join(trial.file), &trial, &config);
        assert_eq!(live.len(), trial.events, "{}", trial.file);
        let options = EvaluateOptions { protocol: Protocol::default(), train: config.train.clone() };
        let report = evaluate(&live, &config.kinds, &options, &mut |_| {}).unwrap();
        for group in [Group::All, Group::Known] {
            let columns = report.row(group).unwrap().by_moment;
            let (frozen, popularity) = (columns.frozen.unwrap().ndcg_20, columns.popularity.ndcg_20);
            assert!(columns.nearline.ndcg_20 > frozen.max(popularity), "{}: {}", trial.file, report.table());
        }
        let strong = evaluate_strong_log(&live, &config.kinds, &config.train, &mut |_| {}).unwrap();
        for figure in &strong.figures {
            assert!(
                figure.gain.mean > 2.0 * figure.gain.standard_error,
                "{}: {}",
                trial.file,
                strong.table()
            );
        }
        let daily = PrequentialOptions {
            start: Split::default(),
            refresh_hours: 24,
            retrain_hours: None,
            window_hours: None,
            k: 20,
        };
        let walk = evaluate_prequential(&live, &config.kinds, &daily, &config.train, &mut |_| {}).unwrap();
        let gain = walk.row(PrequentialGroup::All).unwrap().ndcg.gain_over_refreshed;
        assert!(gain.mean > gain.standard_error, "{}: {}", trial.file, walk.table());
    }
}

fn read(path: &Path, trial: &Trial, config: &Config) -> LiveSet {
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line| -> Line<'_> {
        let fields: Vec<&str> = str::split(line, trial.delimiter).collect();
        (fields[0], fields[1], "rate", fields[3].parse::<i64>().unwrap() * 1_000, fields[2].parse().unwrap())
    };
    let lines: Vec<Line<'_>> = text.lines().skip(trial.header).map(row).collect();
    log(config, &lines)
}
