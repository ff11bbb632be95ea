//! The search, on functions whose best point is known.

use super::*;
use crate::config::{Config, Transform};
use crate::offline::tune::shape::Shape;
use crate::offline::tune::space::Dimension;

fn space(dimensions: Vec<Dimension>) -> Space {
    let config = Config::default();
    let live = crate::offline::test_log::log(
        &config,
        &[("a", "x", "like", 1, 1.0), ("a", "y", "like", 2, 1.0), ("b", "y", "play", 3, 1.0)],
    );
    let (kinds, linear) = (&config.kinds, nearline_dataflows::transform::Transform::Linear);
    let data = crate::offline::dataset::Dataset::new(&live, &kinds.kinds, linear, |_, _| true);
    let base = Settings::of(&config.train, kinds, ["like"]);
    let shape = Shape::of(&data);
    assert_eq!(shape.weight, 5.0 / 3.0);
    Space::new(
        dimensions,
        Settings { transform: Transform::Linear, ..base },
        vec![(Transform::Linear, shape.clone()), (Transform::Log1p, shape)],
    )
}

fn all() -> Vec<Dimension> {
    vec![
        Dimension::Ridge,
        Dimension::Alpha0,
        Dimension::Nu,
        Dimension::Rank(vec![16, 32, 64]),
        Dimension::Transform(vec![Transform::Linear, Transform::Log1p]),
        Dimension::Weight("like".into()),
    ]
}

/// Searches for so long, or until it has settled; what was tried, and the best of it.
fn searched(
    seed: u64,
    trials: usize,
    figure: &dyn Fn(&Settings) -> Option<f64>,
) -> (Vec<Settings>, Settings) {
    let mut search = Search::new(space(all()), seed);
    let (mut tried, mut best) = (Vec::new(), None);
    while tried.len() < trials {
        let Some(settings) = search.next() else { break };
        if search.tell(figure(&settings)) {
            best = Some(settings.clone());
        }
        tried.push(settings);
    }
    (tried, best.unwrap())
}

/// Best at alpha0 0.02, lambda 0.5, nu 0.4, rank 32, log1p and a weight of 5; the more so the nearer.
fn hill(settings: &Settings) -> Option<f64> {
    let far = |is: f64, best: f64| (is / best).log2().powi(2);
    let weight = far(settings.weights["like"], 5.0) + far(settings.rank as f64, 32.0);
    let choice = if settings.transform == Transform::Log1p { 0.0 } else { 2.0 };
    let nu = 20.0 * (settings.nu - 0.4).powi(2);
    Some(-far(settings.alpha0, 0.02) - far(settings.lambda, 0.5) - nu - weight - choice)
}

#[test]
fn the_first_trial_is_what_the_search_began_with_and_nothing_is_tried_twice() {
    let (tried, _) = searched(1, 500, &hill);
    let Settings { alpha0, lambda, nu, rank, .. } = tried[0];
    assert_eq!((alpha0, lambda, nu, rank), (0.2, 0.2, 0.5, 64));
    for (place, settings) in tried.iter().enumerate() {
        assert!(!tried[..place].contains(settings), "{settings:?}");
    }
    assert!(tried.len() < 500, "it settles");
}

#[test]
fn the_best_point_of_a_hill_is_found_from_any_seed() {
    for seed in 0..20 {
        let (tried, best) = searched(seed, 300, &hill);
        assert_eq!((best.rank, best.transform), (32, Transform::Log1p), "{best:?}");
        assert!(hill(&best).unwrap() > -0.5, "seed {seed}, {} trials: {best:?}", tried.len());
    }
}

#[test]
fn a_search_is_the_beginning_of_a_longer_one_and_another_seed_is_another() {
    let (long, _) = searched(3, 60, &hill);
    assert_eq!(searched(3, 25, &hill).0, long[..25]);
    assert_ne!(searched(4, 25, &hill).0, long[..25]);
}

#[test]
fn what_gives_no_model_is_no_more_than_not_the_best() {
    let figure = |settings: &Settings| if settings.rank == 16 { None } else { hill(settings) };
    assert_eq!(searched(1, 300, &figure).1.rank, 32);
}

#[test]
fn the_same_ridge_is_another_lambda_at_another_nu() {
    let space = space(vec![Dimension::Ridge, Dimension::Nu, Dimension::Alpha0]);
    let base = space.base();
    let settings = |nu: f64, alpha0: f64| space.settings(&vec![base[0], nu, alpha0]);
    // Two members with 2 and 1 pairs against 2 items, two items with 1 and 2 pairs against 2 members.
    let mean = |nu: f64, alpha0: f64| ((2.0 + 2.0 * alpha0).powf(nu) + (1.0 + 2.0 * alpha0).powf(nu)) / 2.0;
    let ridge = 0.2 * mean(0.5, 0.2);
    for (nu, alpha0) in [(1.0, 0.18), (0.0, 0.18), (0.5, 0.006)] {
        let found = settings(nu, alpha0);
        assert_eq!(found.nu, nu);
        assert!((found.alpha0 - alpha0 * 5.0 / 3.0).abs() < 0.01 * found.alpha0, "{found:?}");
        let expected = ridge / mean(nu, found.alpha0);
        assert!((found.lambda / expected - 1.0).abs() < 0.01, "{found:?}, expected lambda {expected}");
    }
}
