//! Walks whose every list is known.

use super::super::Estimate;
use super::*;
use crate::config::Config;
use crate::offline::test_log::{Line, log};

const DAY: i64 = 24 * HOUR;

fn options(start: i64) -> PrequentialOptions {
    PrequentialOptions {
        start: Split::At(start),
        refresh_hours: 24,
        retrain_hours: None,
        window_hours: None,
        k: 20,
    }
}

fn train() -> Train {
    let mut train = Config::default().train;
    (train.rank, train.iterations) = (8, 8);
    train
}

fn run(lines: &[Line<'_>], options: &PrequentialOptions) -> Prequential {
    let config = Config::default();
    evaluate_prequential(&log(&config, lines), &config.kinds, options, &train(), &mut |_| {}).unwrap()
}

/// Two tastes that share no item; members of even number have one and odd ones the other. After the start, members 0
/// and 1 change theirs within a day.
fn change_of_taste() -> Vec<(String, String, i64)> {
    let mut lines = Vec::new();
    for member in 0..40 {
        for step in 0..12 {
            let item = (member / 2 + step) % 30;
            lines.push((format!("m{member:02}"), format!("taste{}-{item:02}", member % 2), 1_000 + step));
        }
    }
    for member in 0..2 {
        for step in 0..12 {
            let at = DAY + HOUR * step;
            lines.push((format!("m{member:02}"), format!("taste{}-{step:02}", 1 - member), at));
        }
    }
    lines
}

fn liked(told: &[(String, String, i64)]) -> Vec<Line<'_>> {
    told.iter().map(|(member, item, at)| (member.as_str(), item.as_str(), "like", *at, 1.0)).collect()
}

#[test]
fn what_follows_a_change_of_taste_at_once_beats_what_is_refreshed_daily() {
    let told = change_of_taste();
    let found = run(&liked(&told), &options(DAY));
    let known = found.row(PrequentialGroup::Known).unwrap();
    assert_eq!((known.members, known.events, found.walked.events), (2, 24, 24));
    assert!(known.ndcg.nearline.mean > 1.5 * known.ndcg.refreshed.mean, "{known:?}");
    assert_eq!(found.row(PrequentialGroup::All), Some(known));
    // With a refresh every hour, each event but the one just before is in the refreshed list too: they are one.
    let hourly = run(&liked(&told), &PrequentialOptions { refresh_hours: 1, ..options(DAY) });
    let known = hourly.row(PrequentialGroup::Known).unwrap();
    assert_eq!(known.ndcg.nearline, known.ndcg.refreshed);
    assert_eq!(known.ndcg.gain_over_refreshed, Estimate::default());
}

#[test]
fn popularity_is_by_what_came_before_each_event() {
    // Before the start `b` has two, `a` one and `c` one. Kind `play` marks as seen.
    let lines = [
        ("x", "b", "play", 1, 1.0),
        ("y", "b", "play", 2, 1.0),
        ("x", "a", "play", 3, 1.0),
        ("y", "c", "play", 4, 1.0),
        // Finds b, a, c: c is at place 3.
        ("new", "c", "play", DAY, 1.0),
        // Counts are now b 2, c 2, a 1, and c is seen: a is at place 2.
        ("new", "a", "play", DAY + 1, 1.0),
        // a 2, b 2, c 2, of which `x` has seen a and b: c is at place 1.
        ("x", "c", "play", DAY + 2, 1.0),
        // Nothing has it yet.
        ("y", "d", "play", DAY + 3, 1.0),
        // No discovery, and nothing to be found.
        ("y", "d", "play", DAY + 4, 1.0),
    ];
    let found = run(&lines, &options(DAY));
    let all = found.row(PrequentialGroup::All).unwrap();
    assert_eq!((all.events, all.members, found.walked.not_in_model), (4, 3, 1));
    assert_eq!(all.hit_rate.popularity.mean, 0.75);
    let expected = (0.5 + 1.0 / 3f64.log2() + 1.0) / 4.0;
    assert!((all.ndcg.popularity.mean - expected).abs() < 1e-12, "{all:?}");
    // The first event of `new` finds popularity in every column; the second one a list of its own, but none that was
    // refreshed.
    let group = |group| found.row(group).unwrap();
    let without = group(PrequentialGroup::WithoutSignal);
    assert_eq!((without.events, without.ndcg.nearline.mean, without.ndcg.refreshed.mean), (1, 0.5, 0.5));
    assert_eq!(group(PrequentialGroup::New).events, 1);
    assert_eq!(group(PrequentialGroup::New).ndcg.refreshed, group(PrequentialGroup::New).ndcg.popularity);
    assert_eq!(group(PrequentialGroup::Known).events, 2);
}

#[test]
fn events_of_one_millisecond_know_nothing_of_each_other() {
    let lines = [
        ("x", "a", "play", 1, 1.0),
        ("x", "b", "play", 1, 1.0),
        ("y", "b", "play", 2, 1.0),
        // Both find b, a, each by itself; nobody's count is raised in between.
        ("n1", "a", "play", DAY, 1.0),
        ("n2", "a", "play", DAY, 1.0),
        ("n2", "b", "play", DAY, 1.0),
    ];
    let found = run(&lines, &options(DAY));
    let all = found.row(PrequentialGroup::All).unwrap();
    assert_eq!((all.events, all.hit_rate.popularity.mean), (3, 1.0));
    let second = 1.0 / 3f64.log2();
    assert!((all.ndcg.popularity.mean - (second + second + 1.0) / 3.0).abs() < 1e-12, "{all:?}");
}

#[test]
fn a_new_model_knows_what_came_since_the_first() {
    let mut told = change_of_taste();
    told.retain(|(_, _, at)| *at < DAY);
    // Ten members find an item that is new, and ten more of their taste do a day later.
    for member in 0..20 {
        let at = DAY + i64::from(member) + if member < 10 { 0 } else { DAY };
        told.push((format!("m{:02}", 2 * member), "taste0-new".into(), at));
    }
    let walked =
        |retrain_hours| run(&liked(&told), &PrequentialOptions { retrain_hours, k: 61, ..options(DAY) });
    let rate = |found: &Prequential| found.row(PrequentialGroup::All).unwrap().hit_rate.nearline.mean;
    let (once, daily) = (walked(None), walked(Some(24)));
    assert_eq!((once.trained.len(), once.walked.not_in_model, rate(&once)), (1, 20, 0.0));
    // So long a list has all that the model has.
    assert_eq!((daily.trained.len(), daily.walked.not_in_model, rate(&daily)), (2, 10, 0.5));
    assert_eq!(daily.trained[1].counts.events, once.trained[0].counts.events + 10);
    // Popularity learns from each event: the first one alone misses.
    assert_eq!(once.row(PrequentialGroup::All).unwrap().hit_rate.popularity.mean, 0.95);
}

#[test]
fn windows_cut_time_and_add_up() {
    let told = change_of_taste();
    let ten = run(&liked(&told), &options(DAY));
    let sum = |found: &Prequential| found.windows.iter().map(|window| window.figures.events).sum::<usize>();
    assert!(ten.windows.len() <= 10 && ten.windows.len() > 5);
    assert_eq!(sum(&ten), 24);
    let hours = run(&liked(&told), &PrequentialOptions { window_hours: Some(4), ..options(DAY) });
    assert_eq!((hours.windows.len(), sum(&hours)), (3, 24));
    assert_eq!(hours.windows[0].from, "1970-01-02T00:00:00Z");
    assert_eq!(hours.windows[0].until, hours.windows[1].from);
    assert_eq!((hours.windows[2].figures.events, hours.windows[2].figures.members), (8, 2));
}

#[test]
fn only_the_first_k_are_looked_at() {
    let told = change_of_taste();
    let found = |k| {
        *run(&liked(&told), &PrequentialOptions { k, ..options(DAY) }).row(PrequentialGroup::All).unwrap()
    };
    let (one, many) = (found(1), found(60));
    assert_eq!(one.hit_rate.nearline, one.ndcg.nearline);
    assert!(one.hit_rate.nearline.mean < many.hit_rate.nearline.mean);
    assert_eq!(many.hit_rate.nearline.mean, 1.0);
}

#[test]
fn a_walk_is_the_same_twice_in_any_order_of_the_log_and_comes_back_from_json() {
    let mut told = change_of_taste();
    let found = run(&liked(&told), &options(DAY));
    told.reverse();
    assert_eq!(run(&liked(&told), &options(DAY)), found);
    let back: Prequential = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(back.walked, found.walked);
    assert!(found.table().contains("known at the last refresh: NDCG of nearline is"));
}

#[test]
fn a_walk_past_nothing_says_so() {
    let config = Config::default();
    let live = log(&config, &[("x", "a", "play", 1, 1.0), ("x", "b", "impression", DAY, 1.0)]);
    let error = evaluate_prequential(&live, &config.kinds, &options(DAY), &train(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("start earlier"), "{error}");
}
