//! A trained model, and that folding in gives what training ended with.

use super::*;
use crate::config::Config;
use crate::offline::test_log::{Line, log};

fn some_log(config: &Config) -> LiveSet {
    let mut lines: Vec<(String, String, &str, i64)> = Vec::new();
    let mut state = 7u64;
    for at in 0..1_500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (member, item) = ((state >> 33) % 60, (state >> 43) % 90);
        let kind = ["play", "like", "click", "dislike", "impression"][at as usize % 5];
        lines.push((format!("m{member}"), format!("i{item}"), kind, at));
    }
    let lines: Vec<Line<'_>> = lines
        .iter()
        .map(|(member, item, kind, at)| (member.as_str(), item.as_str(), *kind, *at, 0.7))
        .collect();
    log(config, &lines)
}

#[test]
fn folding_in_a_trained_member_under_the_reloaded_model_gives_its_trained_factor_to_the_bit() {
    let mut config = Config::default();
    (config.train.rank, config.train.iterations) = (12, 3);
    config.train.transform = config::Transform::Log1p;
    let live = some_log(&config);
    let data = Dataset::new(&live, &config.kinds.kinds, Transform::Log1p, |_, _| true);
    let (model, trained) = train_on(&live, &data, &config.kinds, &config.train, &mut |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    model.save(&folder.path().join("model")).unwrap();
    let side = Model::load(&folder.path().join("model")).unwrap().side();
    let mut factor = Vec::new();
    for place in 0..data.members.len() {
        let pairs = data.pairs_of(place);
        side.fold_in_batch(&[0, pairs.len()], &pairs, &mut factor);
        let bits = |factor: &[f32]| factor.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&factor), bits(trained.members.row(place)), "member {place}");
    }
}

#[test]
fn every_iteration_tells_its_loss_and_the_last_one_is_kept() {
    let mut config = Config::default();
    (config.train.rank, config.train.iterations) = (8, 5);
    let mut told = Vec::new();
    let model = train(&some_log(&config), &config.kinds, &config.train, &mut |now| told.push(now)).unwrap();
    assert_eq!(
        told.iter().map(|now| (now.iteration, now.of)).collect::<Vec<_>>(),
        [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    );
    assert!(told.windows(2).all(|pair| pair[1].loss <= pair[0].loss * (1.0 + 1e-6)), "{told:?}");
    assert_eq!(model.manifest.loss, told.last().map(|now| now.loss));
}

#[test]
fn the_same_events_in_another_order_train_the_same_version() {
    let mut config = Config::default();
    (config.train.rank, config.train.iterations) = (8, 2);
    let mut lines: Vec<Line<'_>> = vec![
        ("b", "y", "like", 1, 1.0),
        ("a", "x", "like", 2, 1.0),
        ("a", "y", "play", 3, 0.9),
        ("c", "z", "play", 4, 0.4),
    ];
    let version = |lines: &[Line<'_>]| {
        train(&log(&config, lines), &config.kinds, &config.train, &mut |_| {}).unwrap().manifest.version
    };
    let first = version(&lines);
    lines.reverse();
    lines.push(lines[0]);
    assert_eq!(version(&lines), first);
    lines.push(("c", "x", "play", 5, 0.4));
    assert_ne!(version(&lines), first);
}

#[test]
fn a_log_without_a_signal_is_refused() {
    let config = Config::default();
    let live = log(&config, &[("a", "x", "browse", 1, 1.0), ("a", "x", "dislike", 2, 1.0)]);
    let error = train(&live, &config.kinds, &config.train, &mut |_| {}).unwrap_err();
    assert!(matches!(error, TrainError::NoSignal { events: 2 }), "{error}");
}

#[test]
fn a_lambda_that_leaves_nothing_of_the_factors_is_refused() {
    let mut config = Config::default();
    (config.train.rank, config.train.iterations, config.train.lambda) = (4, 8, 1_000.0);
    let error = train(&some_log(&config), &config.kinds, &config.train, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("give a smaller `lambda`"), "{error}");
}
