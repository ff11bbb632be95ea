//! Files in the papers' formats whose right answer is known.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::offline::test_log::{Line, log};

/// Members of two tastes: each has 12 of the 20 items of its taste, in a ring, without the one at `hole`.
fn taste(member: u32) -> impl Iterator<Item = u32> {
    (0..12).map(move |step| 100 * (member % 2) + (member / 2 + step) % 20)
}

/// The third of a member's items, which the others of its taste have too.
fn hole(member: u32) -> u32 {
    taste(member).nth(2).unwrap()
}

fn without_hole(member: u32) -> impl Iterator<Item = u32> {
    taste(member).filter(move |item| *item != hole(member))
}

fn train() -> Train {
    let mut train = Config::default().train;
    (train.rank, train.iterations, train.alpha0, train.lambda) = (8, 8, 0.1, 0.01);
    train
}

fn folder(files: &[(&str, String)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

/// A line for each member: its number and its items.
fn lines<I: Iterator<Item = u32>>(members: impl Iterator<Item = u32>, items: impl Fn(u32) -> I) -> String {
    let mut text = String::new();
    for member in members {
        write!(text, "{member}").unwrap();
        items(member).for_each(|item| write!(text, " {item}").unwrap());
        text.push('\n');
    }
    text
}

fn lightgcn(train_text: &str, test_text: &str) -> Result<Comparison, EvaluateError> {
    let (_folder, path) = folder(&[("train.txt", train_text.into()), ("test.txt", test_text.into())]);
    evaluate_lightgcn(&path.join("train.txt"), &path.join("test.txt"), &train(), &mut |_| {})
}

fn nearline(found: &Comparison, measure: &str) -> f64 {
    found.figure(measure).unwrap().nearline.mean
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn lightgcn_finds_what_others_of_a_taste_have() {
    let found =
        lightgcn(&lines(0..40, without_hole), &lines(0..40, |member| std::iter::once(hole(member)))).unwrap();
    assert_eq!((found.tested.members, found.tested.wanted, found.trained.counts.members), (40, 40, 40));
    // A member lacks 9 items of its taste: one to be found is among the first 20, whatever their order.
    assert_eq!(nearline(&found, "recall@20"), 1.0);
    let figure = found.figure("NDCG@20").unwrap();
    assert!(figure.gain.mean > 3.0 * figure.gain.standard_error, "{figure:?}");
    assert!(found.table().contains("recall@20"));
}

#[test]
fn lightgcn_counts_by_hand() {
    // One item is left for member 0, two for member 1; lists are these, whatever their scores.
    let found = lightgcn("0 1 2 3\n1 1 2\n2 1 2 3 4\n", "0 4 9\n1 3 4\n2 1\n3\n4 2\n").unwrap();
    let tested = found.tested;
    assert_eq!((tested.members, tested.empty, tested.wanted), (4, 1, 6));
    // 9 was never seen in training; 1 is in the training part of member 2; member 4 has popularity: 1, then 2.
    assert_eq!((tested.not_in_model, tested.folded_in, tested.without_signal), (1, 1, 1));
    assert!(close(nearline(&found, "recall@20"), (0.5 + 1.0 + 0.0 + 1.0) / 4.0));
    let two = 1.0 + 1.0 / 3f64.log2();
    assert!(close(nearline(&found, "NDCG@20"), (1.0 / two + 1.0 + 0.0 + 1.0 / 3f64.log2()) / 4.0));
}

/// Members of `strong`: 20 train, 10 are held out; each of these has two items to be found.
fn mult_vae(part: &str) -> Vec<(String, String)> {
    let pairs = |members: std::ops::Range<u32>, keep: &dyn Fn(usize) -> bool| {
        let mut text = "uid,sid\n".to_owned();
        for member in members {
            for (_, item) in taste(member).enumerate().filter(|(place, _)| keep(*place)) {
                writeln!(text, "{member},{item}").unwrap();
            }
        }
        text
    };
    vec![
        ("train.csv".into(), pairs(0..40, &|_| true)),
        (format!("{part}_tr.csv"), pairs(40..50, &|place| place > 1)),
        (format!("{part}_te.csv"), pairs(40..50, &|place| place <= 1)),
    ]
}

fn strong_in(files: &[(String, String)], part: Part) -> Result<Comparison, EvaluateError> {
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let (_folder, path) = folder(&files);
    evaluate_strong(&path, part, &train(), &mut |_| {})
}

#[test]
fn strong_finds_what_held_out_members_go_on_to() {
    for (name, part) in [("validation", Part::Validation), ("test", Part::Test)] {
        let found = strong_in(&mult_vae(name), part).unwrap();
        assert_eq!((found.tested.members, found.tested.wanted), (10, 20));
        // Ten items are folded in, so ten of the taste are left.
        assert_eq!((nearline(&found, "recall@20"), nearline(&found, "recall@50")), (1.0, 1.0));
        let ndcg = found.figure("NDCG@100").unwrap();
        assert!(ndcg.gain.mean > 0.0, "{ndcg:?}");
    }
}

#[test]
fn strong_refuses_members_that_training_saw_and_files_that_are_not_there() {
    let mut files = mult_vae("test");
    files[1].1 += "3,5\n";
    let said = strong_in(&files, Part::Test).unwrap_err().to_string();
    assert!(said.contains("test_tr.csv, line 102: member 3 is in train.csv too"), "{said}");
    let mut files = mult_vae("test");
    files[2].1 += "3,5\n";
    let said = strong_in(&files, Part::Test).unwrap_err().to_string();
    assert!(said.contains("test_te.csv, line 22: member 3 is in train.csv too"), "{said}");
    let said = strong_in(&mult_vae("test"), Part::Validation).unwrap_err().to_string();
    assert!(said.contains("validation_tr.csv") && said.contains("--part validation"), "{said}");
}

#[test]
fn strong_counts_members_of_one_file_alone() {
    let mut files = mult_vae("test");
    // Member 90 has nothing to be found, and member 91 nothing to be folded in.
    files[1].1 += "90,1\n90,2\n";
    files[2].1 += "91,3\n";
    let tested = strong_in(&files, Part::Test).unwrap().tested;
    assert_eq!((tested.members, tested.empty, tested.without_signal, tested.wanted), (11, 1, 1, 21));
}

#[test]
fn strong_on_a_log_holds_back_a_fifth_of_the_items_of_a_fifth_of_the_members() {
    let config = Config::default();
    let ids: Vec<(String, String)> = (0..100)
        .flat_map(|member| taste(member).map(move |item| (format!("m{member:03}"), format!("i{item:03}"))))
        .collect();
    let mut lines: Vec<Line<'_>> =
        ids.iter().map(|(member, item)| (member.as_str(), item.as_str(), "like", 1, 1.0)).collect();
    lines.extend(["a", "b", "c", "d"].map(|item| ("few", item, "like", 1, 1.0)));
    let live = log(&config, &lines);
    let run = || evaluate_strong_log(&live, &config.kinds, &train(), &mut |_| {}).unwrap();
    let found = run();
    let Cases { members, wanted, empty, .. } = found.tested;
    // Two of twelve items are to be found.
    assert!((10..30).contains(&members) && wanted == 2 * members && empty <= 1, "{:?}", found.tested);
    assert_eq!(found.trained.counts.members as usize, 101 - members - empty);
    assert_eq!(nearline(&found, "recall@20"), 1.0);
    assert_eq!(found, run());
    let back: Comparison = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(back.tested, found.tested);
}

#[test]
fn strong_on_a_log_of_nobody_says_so() {
    let config = Config::default();
    let error = |lines: &[Line<'_>]| {
        let live = log(&config, lines);
        evaluate_strong_log(&live, &config.kinds, &train(), &mut |_| {}).unwrap_err().to_string()
    };
    assert!(error(&[]).contains("more members are needed"));
}

/// Training pairs, the items left out, and the items that each is ranked among.
fn ncf(train_text: String, test_text: String, negative: String) -> Result<Comparison, EvaluateError> {
    let files = [("t.train.rating", train_text), ("t.test.rating", test_text), ("t.test.negative", negative)];
    let (_folder, path) = folder(&files);
    evaluate_ncf(&path, &train(), &mut |_| {})
}

#[test]
fn ncf_ranks_an_item_of_the_taste_above_those_of_the_other() {
    let rated = |pairs: &mut dyn Iterator<Item = (u32, u32)>| {
        pairs.map(|(member, item)| format!("{member}\t{item}\t5\t0\n")).collect::<String>()
    };
    let train_text =
        rated(&mut (0..40).flat_map(|member| without_hole(member).map(move |item| (member, item))));
    let test_text = rated(&mut (0..40).map(|member| (member, hole(member))));
    let others = |member: u32| (0..20).map(move |item| 100 * (1 - member % 2) + item);
    let negative = (0..40).map(|member| {
        let items: String = others(member).map(|item| format!("\t{item}")).collect();
        format!("({member},{}){items}\n", hole(member))
    });
    let found = ncf(train_text, test_text, negative.collect()).unwrap();
    assert_eq!((nearline(&found, "hit rate@10"), nearline(&found, "NDCG@10")), (1.0, 1.0));
    assert!(found.figure("hit rate@10").unwrap().popularity.mean < 1.0);
}

#[test]
fn ncf_lets_ties_and_unknown_items_lose() {
    // 8 and 9 were never seen in training: all of them score 0 for member 0. Member 7 is not in the training part, so
    // that its items stand by popularity: 1 has two members, 2 has one.
    let found =
        ncf("0\t1\t5\n0\t2\t5\n1\t1\t5\n".into(), "0\t8\n7\t1\n".into(), "(0,8)\t9\n(7,1)\t2\t2\n".into())
            .unwrap();
    // The first is at place 2 behind an equal one, the second at place 1.
    assert_eq!(nearline(&found, "hit rate@10"), 1.0);
    assert!(close(nearline(&found, "NDCG@10"), (1.0 / 3f64.log2() + 1.0) / 2.0));
    assert_eq!((found.tested.not_in_model, found.tested.without_signal), (1, 1));
    assert!(found.table().contains("1 of them are not in the model and have score 0"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = evaluate_ncf(Path::new("/nowhere/ml"), &train(), &mut |_| {}).unwrap_err().to_string();
    assert!(said.contains("/nowhere/ml.train.rating") && said.contains("NAME.test.negative"), "{said}");
}
