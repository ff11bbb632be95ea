//! Checkpoints: what comes back, what is refused, and that going on from one ends in the same bits.

use std::ops::ControlFlow;

use nearline_factors::ARITHMETIC;

use super::*;
use crate::config::Config;
use crate::offline::dataset::Dataset;
use crate::offline::live::LiveSet;
use crate::offline::test_log::log;
use crate::offline::train::transform;
use crate::offline::training::Training;

fn config(train: &str) -> Config {
    Config::parse(&format!("[train]\nrank = 4\niterations = 6\n{train}"), "test").unwrap()
}

fn live(config: &Config, extra: &str) -> LiveSet {
    let lines = [("a", "x"), ("a", "y"), ("b", "y"), ("b", "z"), ("c", "x"), ("c", extra)];
    log(config, &lines.map(|(member, item)| (member, item, "like", 1, 1.0)))
}

/// What `check` finds of a training on a small log.
fn with<T>(config: &Config, extra: &str, check: impl FnOnce(&Training<'_>) -> T) -> T {
    let live = live(config, extra);
    let data = Dataset::new(&live, &config.kinds.kinds, transform(config.train.transform), |_, _| true);
    check(&Training::new(&live, &data, &config.kinds, &config.train).unwrap())
}

/// Trains for some iterations and saves after each of them.
fn saved(folder: &Path, config: &Config, iterations: usize) {
    with(config, "z", |training| {
        let checkpoints = Checkpoints::open(folder, training.origin()).unwrap();
        let (mut trainer, mut losses) = (training.begin().unwrap(), Vec::new());
        for _ in 0..iterations {
            losses.push(trainer.step(&mut |_| ControlFlow::Continue(())).unwrap().loss);
            let (members, items) = (trainer.members().clone(), trainer.items().clone());
            let state = State { iteration: trainer.iteration(), members, items };
            checkpoints.save(&Checkpoint { losses: losses.clone(), state }).unwrap();
        }
    });
}

fn load(folder: &Path, config: &Config, extra: &str) -> Result<Option<Checkpoint>, String> {
    with(config, extra, |training| {
        let checkpoints = Checkpoints::open(folder, training.origin()).unwrap();
        checkpoints.load().map_err(|error| error.to_string())
    })
}

/// At ranks at which an iteration begins from the last factors of members and at which it does not.
#[test]
fn going_on_from_a_checkpoint_ends_in_the_same_version() {
    for config in [config(""), Config::parse("[train]\nrank = 40\niterations = 6", "test").unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let version = |training: &Training<'_>, mut trainer: nearline_factors::Trainer<'_>| {
            let mut on = |_: &_| ControlFlow::Continue(());
            while trainer.iteration() < training.iterations() {
                trainer.step(&mut on).unwrap();
            }
            training.model(&trainer.finish(&mut on).unwrap().items, None).unwrap().manifest.version
        };
        let whole = with(&config, "z", |training| version(training, training.begin().unwrap()));
        for iterations in 1..=6 {
            saved(folder.path(), &config, iterations);
            let found = load(folder.path(), &config, "z").unwrap().unwrap();
            assert_eq!((found.state.iteration, found.losses.len()), (iterations, iterations));
            let resumed =
                with(&config, "z", |training| version(training, training.go_on(found.state).unwrap()));
            assert_eq!(resumed, whole, "after {iterations} iterations");
        }
    }
}

#[test]
fn the_newest_two_stay_and_a_folder_without_one_has_none() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(""));
    assert_eq!(load(folder.path(), &config, "z"), Ok(None));
    assert_eq!(Checkpoints::newest_in(&folder.path().join("missing")).unwrap(), None);
    saved(folder.path(), &config, 5);
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["iteration-0004", "iteration-0005"]);
}

#[test]
fn every_cut_and_every_changed_byte_is_refused_and_the_one_before_is_named() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(""));
    saved(folder.path(), &config, 2);
    let path = folder.path().join("iteration-0002");
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        fs::write(&path, &whole[..place]).unwrap();
        assert!(load(folder.path(), &config, "z").is_err(), "cut at {place}");
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        let said = load(folder.path(), &config, "z").unwrap_err();
        assert!(said.contains("remove the file to go on from iteration 1"), "{place}: {said}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(load(folder.path(), &config, "z").unwrap().unwrap().state.iteration, 1);
}

#[test]
fn what_is_of_another_training_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &config(""), 2);
    let refused = |train: &str, reason: &str| {
        let said = load(folder.path(), &config(train), "z").unwrap_err();
        assert!(said.contains(reason) && said.contains("begin anew"), "{train}: {said}");
    };
    refused("seed = 2", "seed 1, and now it is 2");
    refused("alpha0 = 0.5", "alpha0");
    refused("lambda = 0.5", "lambda");
    refused("nu = 0.75", "nu");
    refused("transform = \"linear\"", "`transform`");
    refused("[kinds.browse]\nweight = 0.5", "the kind `browse`");
    refused("[kinds.mine]\nweight = 0.5", "the kind `mine`");
    let other_rank = Config::parse("[train]\nrank = 5", "test").unwrap();
    assert!(load(folder.path(), &other_rank, "z").unwrap_err().contains("rank 4, and now it is 5"));
    assert!(load(folder.path(), &config(""), "y").unwrap_err().contains("another log"));
    // How many iterations there are to be may change.
    let more = Config::parse("[train]\nrank = 4\niterations = 60", "test").unwrap();
    assert_eq!(load(folder.path(), &more, "z").unwrap().unwrap().state.iteration, 2);
}

#[test]
fn a_checkpoint_of_another_arithmetic_is_refused() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config(""));
    with(&config, "z", |training| {
        let origin = Origin { arithmetic: ARITHMETIC + 1, ..training.origin() };
        let checkpoints = Checkpoints::open(folder.path(), origin).unwrap();
        let trainer = training.begin().unwrap();
        let (members, items) = (trainer.members().clone(), trainer.items().clone());
        let state = State { iteration: 1, members, items };
        checkpoints.save(&Checkpoint { losses: vec![1.0], state }).unwrap();
    });
    assert!(load(folder.path(), &config, "z").unwrap_err().contains("other bits"));
}
