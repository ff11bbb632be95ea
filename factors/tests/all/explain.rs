//! Explaining: the parts make up the whole.

use nearline_factors::{ItemSide, Pair, Scratch};

use crate::data::{Random, factors, pairs, regularisation};

#[test]
fn what_each_pair_adds_sums_to_the_score() {
    let mut random = Random(1);
    for rank in [3, 16, 50] {
        let side = ItemSide::new(factors(2, 200, rank), regularisation());
        for count in [1, 12, 150] {
            let pairs = pairs(&mut random, 200, count);
            let mut factor = vec![0.0; rank];
            side.fold_in(&pairs, &mut Scratch::new(), &mut factor);
            for item in [0, 57, 199] {
                let parts = side.explain(&pairs, item);
                assert_eq!(parts.len(), pairs.len());
                let (sum, score) = (parts.iter().sum::<f32>(), side.score(&factor, item));
                assert!((sum - score).abs() <= 1e-4, "{sum} is not {score}");
            }
        }
    }
}

#[test]
fn large_weights_lose_nothing_of_it() {
    let mut random = Random(5);
    let side = ItemSide::new(factors(2, 200, 16), regularisation());
    let heavy: Vec<Pair> = pairs(&mut random, 200, 30)
        .into_iter()
        .map(|pair| Pair { a: 80_000.0 * pair.a, b: 80_000.0 * pair.b, ..pair })
        .collect();
    let mut factor = vec![0.0; 16];
    side.fold_in(&heavy, &mut Scratch::new(), &mut factor);
    for item in [0, 57, 199] {
        let sum: f64 = side.explain(&heavy, item).iter().map(|&part| f64::from(part)).sum();
        let score = f64::from(side.score(&factor, item));
        assert!((sum - score).abs() <= 1e-4, "{sum} is not {score}");
    }
}

#[test]
fn an_item_explains_itself_most_and_a_disliked_one_adds_nothing() {
    let side = ItemSide::new(factors(3, 100, 16), regularisation());
    let pairs = [Pair::preferred(4, 1.0), Pair::disliked(30, 1.0), Pair::preferred(77, 1.0)];
    let parts = side.explain(&pairs, 77);
    assert!(parts[2] > parts[0].abs());
    assert_eq!(parts[1], 0.0);
    assert!(side.explain(&[], 5).is_empty());
}
