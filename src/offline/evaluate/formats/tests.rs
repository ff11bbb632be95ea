//! Good files, and what is said of bad ones.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

fn written(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

/// What is said of a file of this text, without the folder it lies in.
fn problem<T: std::fmt::Debug>(text: &str, read: impl Fn(&Path) -> Result<T, InputError>) -> String {
    let (_folder, path) = written(&[("file", text)]);
    let said = read(&path.join("file")).unwrap_err().to_string();
    said.replace(&format!("{}/", path.display()), "")
}

fn row(line: usize, member: u32, items: &[u32]) -> Row {
    Row { line, member, items: items.to_vec() }
}

#[test]
fn a_lightgcn_file_has_a_member_in_each_line() {
    let (_folder, path) = written(&[("train.txt", "0 3 1 3\n\n2\n1 7\n")]);
    let rows = lightgcn::read(&path.join("train.txt")).unwrap();
    assert_eq!(rows, [row(1, 0, &[1, 3]), row(3, 2, &[]), row(4, 1, &[7])]);
    let (numbers, training) = training(&rows);
    assert_eq!((numbers.of(7), numbers.of(2)), (Some(2), None));
    // In the order of members; member 2 has no pair and no row.
    assert_eq!((training.items, &training.offsets[..]), (3, &[0, 2, 3][..]));
    assert_eq!(training.entries, [(0, 1.0), (1, 1.0), (2, 1.0)]);
}

#[test]
fn a_bad_lightgcn_file_is_refused_with_its_line() {
    let said = |text| problem(text, lightgcn::read);
    assert_eq!(said("0 1\n1 x\n"), "file, line 2: `x` is not a whole number from 0 to 4294967295");
    assert_eq!(said("-1 2\n"), "file, line 1: `-1` is not a whole number from 0 to 4294967295");
    assert_eq!(
        said("0 1\n1 2\n0 3\n"),
        "file, line 3: member 0 has a line already, line 1; put its items into one line"
    );
    assert!(said("").contains("names no item"));
    assert!(said("0\n1\n").contains("names no item"));
    let missing = lightgcn::read(Path::new("/nowhere/train.txt")).unwrap_err().to_string();
    assert!(missing.contains("cannot read /nowhere/train.txt") && missing.contains("train.txt and test.txt"));
}

#[test]
fn marks_carriage_returns_and_blanks_are_no_part_of_any_format() {
    let (_folder, path) = written(&[
        ("lists", "\u{feff}0 3  1 \r\n \r\n1\t7 \r\n2 \r\n3 5"),
        ("pairs.csv", "\u{feff}uid,sid \r\n\r\n5,2\r\n5,1 "),
        ("ml.train.rating", "\u{feff}0\t4\t5\t97\r\n\r\n1\t4\t1"),
        ("ml.test.rating", "\u{feff}0\t7\t4\t99 \r\n"),
        ("ml.test.negative", "\u{feff}(0,7)\t3\t1\t\r\n\r\n"),
    ]);
    let lists = lightgcn::read(&path.join("lists")).unwrap();
    assert_eq!(lists, [row(1, 0, &[1, 3]), row(3, 1, &[7]), row(4, 2, &[]), row(5, 3, &[5])]);
    assert_eq!(mult_vae::read(&path.join("pairs.csv")).unwrap(), [row(3, 5, &[1, 2])]);
    let [train, test, negative] = ncf::files(&path).unwrap();
    assert_eq!(ncf::read_train(&train).unwrap(), [row(1, 0, &[4]), row(3, 1, &[4])]);
    let trials = ncf::read_trials(&test, &negative).unwrap();
    assert_eq!(trials, [ncf::Trial { line: 1, member: 0, item: 7, others: vec![1, 3] }]);
}

#[test]
fn text_that_is_none_is_refused_with_its_line() {
    let (_folder, path) = written(&[]);
    std::fs::write(path.join("file"), b"0 1\n\xff 2\n").unwrap();
    let said = lightgcn::read(&path.join("file")).unwrap_err().to_string();
    assert!(said.ends_with("file, line 2: is not UTF-8 text"), "{said}");
}

#[test]
fn a_mult_vae_file_has_a_pair_in_each_line() {
    let (_folder, path) = written(&[("train.csv", "uid,sid\r\n5,2\r\n1,9\r\n5,1\r\n5,2\r\n")]);
    assert_eq!(mult_vae::read(&path.join("train.csv")).unwrap(), [row(3, 1, &[9]), row(2, 5, &[1, 2])]);
}

#[test]
fn a_bad_mult_vae_file_is_refused_with_its_line() {
    let said = |text| problem(text, mult_vae::read);
    assert_eq!(
        said("userId,movieId\n1,2\n"),
        "file, line 1: the header must be `uid,sid`, and is `userId,movieId`"
    );
    assert!(said("uid,sid\n1;2\n").starts_with("file, line 2: `1;2` is not a pair"));
    assert!(said("uid,sid\n1,2,3\n").starts_with("file, line 2: `2,3` is not a whole number"));
    assert!(said("uid,sid\n").contains("has no pair"));
    assert!(said("").contains("has no pair"));
}

const TRAIN: &str = "0\t4\t5\t97\n0\t2\t0\t98\n1\t4\t1.5\t99\n";

#[test]
fn ncf_files_are_found_by_folder_and_by_the_beginning_of_their_names() {
    let (_folder, path) = written(&[("ml.train.rating", TRAIN)]);
    let expected = ENDS_OF_ML.map(|name| path.join(name));
    for given in [path.clone(), path.join("ml"), path.join("ml.train.rating")] {
        assert_eq!(ncf::files(&given).unwrap(), expected);
    }
    std::fs::write(path.join("other.train.rating"), TRAIN).unwrap();
    assert!(ncf::files(&path).unwrap_err().to_string().contains("holds several: ml, other"));
    let (_folder, empty) = written(&[]);
    assert!(ncf::files(&empty).unwrap_err().to_string().contains("holds no NAME.train.rating"));
}

const ENDS_OF_ML: [&str; 3] = ["ml.train.rating", "ml.test.rating", "ml.test.negative"];

#[test]
fn ncf_ratings_above_zero_are_pairs_and_negatives_are_taken_once() {
    let (_folder, path) = written(&[
        ("ml.train.rating", TRAIN),
        ("ml.test.rating", "0\t7\t4\t99\n1\t2\t5\t99\n"),
        ("ml.test.negative", "(0,7)\t3\t1\t3\t7\n(1,2)\t8\n"),
    ]);
    let [train, test, negative] = ncf::files(&path).unwrap();
    assert_eq!(ncf::read_train(&train).unwrap(), [row(1, 0, &[4]), row(3, 1, &[4])]);
    let trials = ncf::read_trials(&test, &negative).unwrap();
    let trial =
        |line, member, item, others: &[u32]| ncf::Trial { line, member, item, others: others.to_vec() };
    assert_eq!(trials, [trial(1, 0, 7, &[1, 3]), trial(2, 1, 2, &[8])]);
}

#[test]
fn bad_ncf_files_are_refused_with_their_line() {
    let said = |text| problem(text, ncf::read_train);
    assert!(said("0\t1\tgood\n").contains("line 1: the rating `good` is not a number"));
    assert!(said("0,1,2\n").contains("line 1: `0,1,2` is not a whole number"));
    assert!(said("0\t1\n").contains("line 1: `0\t1` has too few fields"));
    assert!(said("0\t1\t0\n").contains("has no rating above zero"));
    let trials = |test: &str, negative: &str| {
        let (_folder, path) = written(&[("test", test), ("negative", negative)]);
        let said = ncf::read_trials(&path.join("test"), &path.join("negative")).unwrap_err().to_string();
        said.replace(&format!("{}/", path.display()), "")
    };
    assert_eq!(
        trials("0\t1\n1\t2\n", "(0,1)\t5\n(1,3)\t5\n"),
        "negative, line 2: it is about (1,3), and line 2 of test about (1,2)"
    );
    assert_eq!(trials("0\t1\n", "(0,1)\t5\n(1,3)\t5\n"), "negative, line 2: test has no line for this one");
    assert_eq!(trials("0\t1\n1\t2\n", "(0,1)\t5\n"), "negative ends before line 2 of test");
    assert!(trials("0\t1\n0\t2\n", "").contains("test, line 2: member 0 has a line already, line 1"));
    assert!(trials("0\t1\n", "(0,1)\t1\n").contains("negative, line 1: it names no item"));
    assert!(trials("", "").contains("test has no line"));
}
