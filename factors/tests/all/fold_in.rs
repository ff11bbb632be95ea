//! Folding in: right, finite, and the same alone as in any batch.

use nearline_factors::{ItemSide, Pair, Regularisation, Scratch};

use crate::data::{Random, bits, factors, pairs, regularisation};
use crate::naive;

fn fold_in(side: &ItemSide, pairs: &[Pair]) -> Vec<f32> {
    let mut out = vec![7.0; side.items().rank()];
    side.fold_in(pairs, &mut Scratch::new(), &mut out);
    out
}

fn assert_close(got: &[f32], want: &[f64], tolerance: f64) {
    let size = want.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (got, want) in got.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() <= tolerance * size, "{got} is not {want}, of size {size}");
    }
}

#[test]
fn the_gram_matrix_is_that_of_the_reference() {
    for (rows, rank) in [(0, 3), (1, 1), (255, 16), (257, 17), (20_000, 5), (700, 40)] {
        let items = factors(1, rows, rank);
        let want = naive::gram(&items);
        let got = ItemSide::new(items, regularisation()).gram();
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= 1e-9 * (1.0 + rows as f64), "{got} is not {want}");
        }
    }
}

#[test]
fn a_factor_is_the_solution_of_the_reference() {
    let mut random = Random(2);
    for rank in [1, 2, 3, 15, 16, 17, 31, 48, 64, 65, 100] {
        let items = factors(rank as u64, 300, rank);
        let side = ItemSide::new(items.clone(), regularisation());
        for count in [1, 2, 31, 32, 33, 400, 2_000] {
            let pairs = pairs(&mut random, 300, count);
            if pairs.iter().any(|pair| pair.b > 0.0) {
                assert_close(
                    &fold_in(&side, &pairs),
                    &naive::fold_in(&items, regularisation(), &pairs),
                    2e-5,
                );
            }
        }
    }
}

#[test]
fn a_member_has_the_same_factor_and_list_alone_first_and_last_in_any_batch() {
    let side = ItemSide::new(factors(3, 500, 24), regularisation());
    let mut random = Random(4);
    let own = pairs(&mut random, 500, 60);
    let seen: Vec<u32> = own.iter().map(|pair| pair.item).collect();
    let available = nearline_factors::Bitmap::full(500);
    let alone = fold_in(&side, &own);
    let mut list = Vec::new();
    side.select(&alone, &[&seen], &available, 20, &mut list);
    for size in [1, 7, 4_000] {
        for place in [0, size - 1] {
            let (mut offsets, mut all) = (vec![0], Vec::new());
            for member in 0..size {
                let count = random.below(40);
                all.extend(if member == place { own.clone() } else { pairs(&mut random, 500, count) });
                offsets.push(all.len());
            }
            let mut batch = Vec::new();
            side.fold_in_batch(&offsets, &all, &mut batch);
            assert_eq!(bits(&batch[place * 24..][..24]), bits(&alone));
            let excluded: Vec<&[u32]> =
                (0..size).map(|member| if member == place { &seen[..] } else { &[] }).collect();
            let mut lists = Vec::new();
            side.select(&batch, &excluded, &available, 20, &mut lists);
            assert_eq!(lists[place], list[0]);
        }
    }
}

#[test]
fn a_member_without_a_positive_pair_gets_zeros() {
    let side = ItemSide::new(factors(5, 50, 8), regularisation());
    assert_eq!(fold_in(&side, &[]), vec![0.0; 8]);
    assert_eq!(fold_in(&side, &[Pair::disliked(3, 2.0), Pair::disliked(9, 1.0)]), vec![0.0; 8]);
}

#[test]
fn where_f32_loses_the_pivots_the_f64_answer_is_right() {
    // Two pairs span two of 32 dimensions; a ridge of 1e-9 beside them is below what f32 can hold.
    let items = factors(6, 40, 32);
    let reg = Regularisation::new(0.0, 1e-9, 0.0).unwrap();
    let side = ItemSide::new(items.clone(), reg);
    let pairs = [Pair::preferred(4, 1.0), Pair::preferred(11, 2.0)];
    let got = fold_in(&side, &pairs);
    assert!(got.iter().any(|&x| x != 0.0));
    assert_close(&got, &naive::fold_in(&items, reg, &pairs), 1e-4);
}

#[test]
fn a_pivot_of_little_more_than_rounding_is_not_believed() {
    // With one pair all pivots but the first are the ridge, as far as f32 can tell.
    for seed in 0..200 {
        let items = factors(seed, 3, 4);
        for lambda in [3e-8, 3e-7, 3e-6, 3e-5] {
            let reg = Regularisation::new(0.0, lambda, 0.0).unwrap();
            let side = ItemSide::new(items.clone(), reg);
            let pairs = [Pair::preferred(1, 1.0)];
            assert_close(&fold_in(&side, &pairs), &naive::fold_in(&items, reg, &pairs), 2e-2);
        }
    }
}

#[test]
fn a_hopeless_system_gives_zeros_and_no_panic() {
    let items = factors(7, 40, 32);
    let reg = Regularisation::new(0.0, f32::from_bits(1), 0.0).unwrap();
    let tiny = fold_in(&ItemSide::new(items.clone(), reg), &[Pair::preferred(4, 1.0)]);
    assert!(tiny.iter().all(|x| x.is_finite()));
    let side = ItemSide::new(items, regularisation());
    for weight in [f32::NAN, f32::INFINITY, f32::MAX] {
        let got = fold_in(&side, &[Pair { item: 1, a: weight, b: weight }, Pair::preferred(5, 1.0)]);
        assert!(got.iter().all(|x| x.is_finite()));
    }
    let huge = Regularisation::new(1.0, f32::MAX, 40.0).unwrap();
    let got = fold_in(&ItemSide::new(factors(8, 40, 32), huge), &[Pair::preferred(4, 1.0)]);
    assert!(got.iter().all(|x| x.is_finite()));
}

#[test]
fn scratch_carries_nothing_over() {
    let mut random = Random(9);
    let (small, large) = (
        ItemSide::new(factors(1, 60, 5), regularisation()),
        ItemSide::new(factors(2, 60, 33), regularisation()),
    );
    let mut scratch = Scratch::new();
    for count in [30, 3, 50] {
        for side in [&small, &large] {
            let pairs = pairs(&mut random, 60, count);
            let mut out = vec![0.0; side.items().rank()];
            side.fold_in(&pairs, &mut scratch, &mut out);
            assert_eq!(bits(&out), bits(&fold_in(side, &pairs)));
        }
    }
}
