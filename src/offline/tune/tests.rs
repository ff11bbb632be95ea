//! Tuning on a log whose answer is planted, and what bounds it.

use super::*;
use crate::config::Config;
use crate::offline::test_log::{Line, log};

/// Sixty members of two tastes, who play five items of their taste one after the other; and who all click, far more often,
/// on items of the other one, at random. Clicks say the wrong thing, and the config says that they weigh most.
fn planted() -> (Config, LiveSet) {
    let config = Config::parse(
        "[train]\nrank = 4\niterations = 4\nlambda = 0.05\nalpha0 = 0.05\n[kinds.click]\nweight = 4\nseen = \"no\"",
        "planted",
    )
    .unwrap();
    let mut lines: Vec<(String, String, &str, i64)> = Vec::new();
    let mut state = 5u64;
    for member in 0..60 {
        for step in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let taste = member % 2;
            let played = (member / 2 * 5 + step) % 40;
            lines.push((format!("m{member:02}"), format!("t{taste}-{played:02}"), "play", 10 * step + 1));
            let clicked = (state >> 33) % 40;
            lines.push((format!("m{member:02}"), format!("t{}-{clicked:02}", 1 - taste), "click", 10 * step));
        }
    }
    let lines: Vec<Line<'_>> = lines
        .iter()
        .map(|(member, item, kind, at)| (member.as_str(), item.as_str(), *kind, *at, 1.0))
        .collect();
    let live = log(&config, &lines);
    (config, live)
}

fn options(config: &Config, trials: usize) -> TuneOptions {
    TuneOptions {
        train: config.train.clone(),
        protocol: Protocol::default(),
        hold_back: true,
        searched: vec![Searched::Lambda, Searched::Alpha0, Searched::Nu, Searched::Weights],
        max_rank: 8,
        patience: None,
        trials: Some(trials),
        until: None,
    }
}

fn found(live: &LiveSet, config: &Config, options: &TuneOptions) -> Tuned {
    tune(live, &config.kinds, options, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// The trials, without how long they took.
fn trials(tuned: &Tuned) -> Vec<Trial> {
    tuned.trials.iter().map(|trial| Trial { seconds: 0.0, ..trial.clone() }).collect()
}

#[test]
fn a_weight_that_is_wrong_by_far_is_found_to_be() {
    let (config, live) = planted();
    let tuned = found(&live, &config, &options(&config, 40));
    let kinds: Vec<&str> = tuned.settings.weights.keys().map(String::as_str).collect();
    assert_eq!(kinds.len(), 1, "of two kinds one is what the other is measured by");
    let first = tuned.trials[0].ndcg_20.unwrap();
    let best = tuned.trials[tuned.best - 1].ndcg_20.unwrap();
    assert!(best > 1.1 * first, "{best} of {first}: {:?}", tuned.settings);
    let table = tuned.settings.table(&config.kinds);
    let weight = |name: &str| table.kinds.rule(table.number(name).unwrap()).weight as f64;
    assert!(weight("click") / weight("play") < 2.0, "it began at 4: {:?}", tuned.settings);
    let held_back = tuned.held_back.unwrap();
    assert!(held_back.best > held_back.first, "{held_back:?}");
    assert!(tuned.trials.iter().all(|trial| trial.ndcg_20.is_none_or(|figure| figure <= best)));
}

#[test]
fn the_same_seed_gives_the_same_trials_and_fewer_are_their_beginning() {
    let (config, live) = planted();
    let ten = found(&live, &config, &options(&config, 10));
    assert_eq!(trials(&ten), trials(&found(&live, &config, &options(&config, 10))));
    let six = found(&live, &config, &options(&config, 6));
    assert_eq!((ten.trials.len(), six.trials.len()), (10, 6));
    assert_eq!(trials(&ten)[..6], trials(&six));
    let mut other = options(&config, 6);
    other.train.seed = 2;
    assert_ne!(trials(&found(&live, &config, &other))[1..], trials(&six)[1..]);
}

#[test]
fn time_that_is_over_leaves_the_first_trial_and_an_interrupt_what_was_found() {
    let (config, live) = planted();
    let late = TuneOptions { until: Some(Instant::now()), trials: None, ..options(&config, 0) };
    assert_eq!(found(&live, &config, &late).trials.len(), 1);
    let mut ended = 0;
    let tuned = tune(&live, &config.kinds, &options(&config, 10), &mut |news| {
        ended += usize::from(matches!(news, News::Ended(_)));
        if ended == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let tuned = tuned.unwrap();
    assert_eq!(tuned.trials.len(), 3);
    assert!(tuned.held_back.is_none() && tuned.trials[tuned.best - 1].best);
}

#[test]
fn only_what_is_searched_for_changes_and_the_number_of_iterations_where_it_stops_early() {
    let (config, live) = planted();
    let only = TuneOptions {
        searched: vec![Searched::Rank],
        patience: Some(2),
        protocol: Protocol::Members { seed: 1 },
        ..options(&config, 10)
    };
    let tuned = found(&live, &config, &only);
    // Rank 4, from the config, and no other choice up to 8.
    assert_eq!(tuned.trials.len(), 1);
    let only = TuneOptions { max_rank: 32, ..only };
    let tuned = found(&live, &config, &only);
    let mut ranks: Vec<usize> = tuned.trials.iter().map(|trial| trial.settings.rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [4, 16, 32]);
    for Trial { settings, .. } in &tuned.trials {
        assert_eq!((settings.alpha0, settings.lambda, settings.nu), (0.05, 0.05, 0.5));
        assert!((1..=4).contains(&settings.iterations) && settings.weights.is_empty());
    }
}

#[test]
fn a_config_that_gives_no_model_is_searched_from_all_the_same() {
    let (mut config, live) = planted();
    config.train.lambda = 1e5;
    let tuned = found(&live, &config, &options(&config, 12));
    assert!(tuned.trials[0].failure.is_some(), "{:?}", tuned.trials[0]);
    let first = tuned.trials.iter().find(|trial| trial.failure.is_none()).unwrap();
    assert_eq!((tuned.first, &first.gain), (first.number, &None));
    assert!(tuned.trials[first.number..].iter().all(|trial| trial.gain.is_some() == trial.ndcg_20.is_some()));
    assert!(tuned.best >= tuned.first && tuned.settings.lambda < 1e4, "{tuned:?}");
    // nu alone does not help.
    let only = TuneOptions { searched: vec![Searched::Nu], ..options(&config, 3) };
    let error =
        tune(&live, &config.kinds, &only, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(
        error.contains("shrinks to nothing, in each of 3 trials; begin with a smaller lambda"),
        "{error}"
    );
}

#[test]
fn one_list_for_everybody_is_known_by_what_lists_share() {
    let (mut config, live) = planted();
    let mut shared = |rank| {
        config.train.rank = rank;
        found(&live, &config, &options(&config, 1)).trials[0].shared.unwrap()
    };
    // Of one dimension there is one order of items.
    let (one, four) = (shared(1), shared(4));
    assert!(one.nearly_one() && !four.nearly_one(), "{one:?}, {four:?}");
    assert_eq!(one.popularity, four.popularity);
}
