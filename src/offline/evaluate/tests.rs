//! Small logs whose right answer is known, and the real ones where they lie at hand.

use std::collections::BTreeSet;

use nearline_dataflows::types::{Item, Member};

use super::moments::moments;
use super::*;
use crate::config::Config;
use crate::offline::test_log::{Line, log};

/// Two tastes that share no item: members of even number like one, odd ones the other, and both take the items of
/// their taste in turn. After the split, members 0 and 1 have changed their taste.
fn two_tastes() -> (Config, LiveSet) {
    let config = Config::default();
    let mut lines: Vec<(String, String, i64)> = Vec::new();
    for member in 0..40 {
        for step in 0..12 {
            let item = (member / 2 + step) % 30;
            lines.push((format!("m{member:02}"), format!("taste{}-{item:02}", member % 2), 1_000 + step));
        }
    }
    for member in 0..2 {
        for step in 0..12 {
            lines.push((format!("m{member:02}"), format!("taste{}-{step:02}", 1 - member), 5_000 + step));
        }
    }
    let lines: Vec<Line<'_>> =
        lines.iter().map(|(member, item, at)| (member.as_str(), item.as_str(), "like", *at, 1.0)).collect();
    let live = log(&config, &lines);
    (config, live)
}

fn options(protocol: Protocol) -> EvaluateOptions {
    let mut train = Config::default().train;
    (train.rank, train.iterations) = (8, 8);
    EvaluateOptions { protocol, train }
}

#[test]
fn lists_that_follow_a_change_of_taste_beat_frozen_ones() {
    let (config, live) = two_tastes();
    let report =
        evaluate(&live, &config.kinds, &options(Protocol::Time(Split::At(5_000))), &mut |_| {}).unwrap();
    let known = report.row(Group::Known).unwrap().by_moment;
    let frozen = known.frozen.unwrap();
    assert_eq!((report.tested.members, report.tested.known, report.tested.moments), (2, 2, 24));
    assert!(known.nearline.ndcg_20 > 1.5 * frozen.ndcg_20, "{known:?}");
    assert!(report.row(Group::All).unwrap().by_member.gain_over_frozen.unwrap().ndcg_20 > 0.0);
}

#[test]
fn a_member_without_a_frozen_list_has_popularity_in_every_column() {
    let config = Config::default();
    let mut lines: Vec<Line<'_>> = vec![("old", "a", "like", 1, 1.0), ("old", "b", "like", 2, 1.0)];
    lines.extend([
        ("new", "a", "like", 10, 1.0),
        ("new", "b", "like", 11, 1.0),
        ("old", "c", "like", 12, 1.0),
    ]);
    let live = log(&config, &lines);
    let split = options(Protocol::Time(Split::At(10)));
    let report = evaluate(&live, &config.kinds, &split, &mut |_| {}).unwrap();
    let others = report.row(Group::Others).unwrap().by_moment;
    assert_eq!(others.nearline, others.popularity);
    assert_eq!(others.frozen, Some(others.popularity));
    assert_eq!((report.tested.known, report.tested.others), (1, 1));
    // `new` takes `a`, then `b`; both are equally popular, `a` is first by id, and then left out as it is not seen
    // but liked: `like` does not mark as seen, so the second moment finds `b` at place 2.
    let expected = (1.0 + 1.0 / 3f64.log2()) / 2.0;
    assert!((others.popularity.ndcg_20 - expected).abs() < 1e-12, "{others:?}");
    // `c` is not in the model and counts as missed.
    assert_eq!(
        (report.tested.not_in_model, report.row(Group::Known).unwrap().by_moment.nearline.recall_20),
        (1, 0.0)
    );
}

#[test]
fn what_new_members_gain_shows_in_a_row_of_its_own_and_in_no_other() {
    // Half of the old members like one taste, half the other; the new ones go through the second taste.
    let config = Config::default();
    let old = (0..40)
        .flat_map(|member| (0..12).map(move |step| (member, member % 2, (member / 2 + step) % 30, step)));
    let new = (40..44)
        .flat_map(|member| (0..12).map(move |step| (member, 1, (7 * member + step) % 30, 5_000 + step)));
    let told: Vec<(String, String, i64)> = old
        .chain(new)
        .map(|(member, taste, item, at)| (format!("m{member:02}"), format!("taste{taste}-{item:02}"), at))
        .collect();
    let lines: Vec<Line<'_>> =
        told.iter().map(|(member, item, at)| (member.as_str(), item.as_str(), "like", *at, 1.0)).collect();
    let split = options(Protocol::Time(Split::At(5_000)));
    let report = evaluate(&log(&config, &lines), &config.kinds, &split, &mut |_| {}).unwrap();
    let columns = |group| report.row(group).unwrap().by_moment;
    let own = columns(Group::OthersFromTheirEvents);
    assert!(own.nearline.ndcg_20 > own.popularity.ndcg_20, "{own:?}");
    for group in [Group::Others, Group::All] {
        assert_eq!(columns(group).nearline, own.popularity, "{group:?}");
        assert_eq!(columns(group).gain_over_frozen, Some(Gain::default()), "{group:?}");
    }
}

#[test]
fn a_moment_is_a_millisecond_and_an_item_is_found_once() {
    let config = Config::default();
    let lines: [Line<'_>; 7] = [
        ("m", "old", "play", 1, 1.0),
        ("m", "shown", "impression", 2, 1.0),
        ("m", "b", "like", 10, 1.0),
        ("m", "a", "like", 10, 1.0),
        // Met before, so no discovery; an impression is not a meeting; a dislike is nothing to find.
        ("m", "old", "like", 11, 1.0),
        ("m", "shown", "like", 12, 1.0),
        ("m", "bad", "dislike", 13, 1.0),
    ];
    let live = log(&config, &lines);
    let events = live.events(Member(0));
    let found: Vec<(usize, BTreeSet<&str>)> = moments(&events, &config.kinds.kinds, 5)
        .iter()
        .map(|moment| {
            let names = moment.relevant.iter().map(|item: &Item| live.items.name(item.0)).collect();
            (moment.before.len(), names)
        })
        .collect();
    assert_eq!(found, [(2, BTreeSet::from(["a", "b"])), (5, BTreeSet::from(["shown"]))]);
}

#[test]
fn members_that_were_held_out_are_found_by_what_they_did() {
    let (config, live) = two_tastes();
    let report =
        evaluate(&live, &config.kinds, &options(Protocol::Members { seed: 1 }), &mut |_| {}).unwrap();
    let row = report.row(Group::HeldOut).unwrap();
    assert!(row.members > 0 && row.by_moment.frozen.is_none());
    assert!(row.by_moment.nearline.ndcg_20 > row.by_moment.popularity.ndcg_20, "{row:?}");
}

#[test]
fn a_report_is_the_same_twice_and_comes_back_from_json() {
    let (config, live) = two_tastes();
    let run = || evaluate(&live, &config.kinds, &options(Protocol::default()), &mut |_| {}).unwrap();
    let report = run();
    assert_eq!(report, run());
    let json = serde_json::to_string(&report).unwrap();
    let back: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(back.tested, report.tested);
    assert!(report.table().contains("NDCG@20"));
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let (config, live) = two_tastes();
    let error =
        |protocol| evaluate(&live, &config.kinds, &options(protocol), &mut |_| {}).unwrap_err().to_string();
    assert!(error(Protocol::Time(Split::At(9_000))).contains("choose an earlier split"));
    assert!(
        error(Protocol::Time(Split::At(0)))
            .contains("no event comes before the split (1970-01-01T00:00:00Z)")
    );
    assert!(error(Protocol::Time(Split::Quantile(1.5))).contains("from 0 to 1"));
}
