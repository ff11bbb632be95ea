//! Selecting: exact, with ties, exclusions and odd numbers.

use nearline_factors::{Bitmap, Factors, ItemSide, Scored};
use proptest::prelude::*;

use crate::data::{Random, factors, regularisation};
use crate::naive;

fn select_one(
    side: &ItemSide,
    member: &[f32],
    excluded: &[u32],
    available: &Bitmap,
    k: usize,
) -> Vec<Scored> {
    let mut lists = vec![vec![Scored { item: 9, score: 9.0 }]; 3];
    side.select(member, &[excluded], available, k, &mut lists);
    assert_eq!(lists.len(), 1);
    lists.remove(0)
}

/// Items of rank 1 whose score, for the member [1], is their factor.
fn line(scores: &[f32]) -> ItemSide {
    ItemSide::new(Factors::new(1, scores.to_vec()).unwrap(), regularisation())
}

fn items(list: &[Scored]) -> Vec<u32> {
    list.iter().map(|entry| entry.item).collect()
}

#[test]
fn a_score_is_the_product_of_the_reference_and_the_chain_to_the_bit() {
    let model = factors(1, 100, 37);
    let side = ItemSide::new(model.clone(), regularisation());
    let member = factors(2, 1, 37);
    for item in 0..100 {
        let score = side.score(member.row(0), item);
        let chain =
            member.row(0).iter().zip(model.row(item as usize)).fold(0.0f32, |s, (x, y)| x.mul_add(*y, s));
        assert_eq!(score.to_bits(), chain.to_bits());
        assert!((f64::from(score) - naive::dot(member.row(0), model.row(item as usize))).abs() < 1e-5);
    }
}

#[test]
fn a_listed_score_is_the_score_of_that_item_to_the_bit() {
    let side = ItemSide::new(factors(3, 1_000, 20), regularisation());
    let members = factors(4, 70, 20);
    let mut lists = Vec::new();
    side.select(members.as_slice(), &vec![&[][..]; 70], &Bitmap::full(1_000), 30, &mut lists);
    for (member, list) in lists.iter().enumerate() {
        assert_eq!(list.len(), 30);
        for entry in list {
            assert_eq!(entry.score.to_bits(), side.score(members.row(member), entry.item).to_bits());
        }
    }
}

#[test]
fn ties_go_to_the_smaller_index() {
    let mut scores = vec![0.5; 200];
    scores[150] = 0.75;
    let list = select_one(&line(&scores), &[1.0], &[], &Bitmap::full(200), 4);
    assert_eq!(items(&list), [150, 0, 1, 2]);
}

#[test]
fn zeros_of_either_sign_tie() {
    let side = line(&[0.0, -0.0, -1.0, 0.0]);
    for member in [1.0, -0.0] {
        let list = select_one(&side, &[member], &[], &Bitmap::full(4), 4);
        assert_eq!(items(&list)[..2], [0, 1]);
        assert!(list.iter().all(|entry| entry.score != 0.0 || entry.score.is_sign_positive()));
    }
    // A product too small for f32 rounds to -0.
    let tiny = line(&[-1e-30, 1e-30]);
    let list = select_one(&tiny, &[1e-30], &[], &Bitmap::full(2), 2);
    assert_eq!(items(&list), [0, 1]);
    assert_eq!(tiny.score(&[1e-30], 0).to_bits(), 0);
}

#[test]
fn excluded_and_unavailable_items_are_never_listed() {
    let side = line(&(0..300).map(|i| i as f32).collect::<Vec<_>>());
    let excluded: Vec<u32> = (0..300).filter(|i| i % 3 == 0).collect();
    let mut available = Bitmap::full(300);
    (0..300).filter(|i| i % 2 == 0).for_each(|i| available.set(i, false));
    let list = select_one(&side, &[1.0], &excluded, &available, 20);
    let want: Vec<u32> = (0..300).rev().filter(|i| i % 3 != 0 && i % 2 != 0).take(20).collect();
    assert_eq!(items(&list), want);
}

#[test]
fn a_list_is_shorter_where_nothing_is_left() {
    let side = line(&[3.0, 2.0, 1.0]);
    let all = Bitmap::full(3);
    assert_eq!(items(&select_one(&side, &[1.0], &[1], &all, 10)), [0, 2]);
    assert_eq!(items(&select_one(&side, &[1.0], &[], &all, usize::MAX)), [0, 1, 2]);
    assert!(select_one(&side, &[1.0], &[0, 1, 2], &all, 2).is_empty());
    assert!(select_one(&side, &[1.0], &[], &Bitmap::empty(3), 2).is_empty());
    assert!(select_one(&side, &[1.0], &[], &all, 0).is_empty());
    // A bitmap of another length neither hides what it has nor invents what is not there.
    assert_eq!(items(&select_one(&side, &[1.0], &[], &Bitmap::full(2), 9)), [0, 1]);
    assert_eq!(items(&select_one(&side, &[1.0], &[], &Bitmap::full(64), 9)), [0, 1, 2]);
}

#[test]
fn nan_is_never_listed_and_infinities_are_in_order() {
    let side = line(&[1.0, 0.0, -1.0, 2.0]);
    assert!(select_one(&side, &[f32::NAN], &[], &Bitmap::full(4), 4).is_empty());
    let list = select_one(&side, &[f32::INFINITY], &[], &Bitmap::full(4), 4);
    assert_eq!(items(&list), [0, 3, 2]);
    assert_eq!(list[2].score, f32::NEG_INFINITY);
    assert_eq!(items(&select_one(&side, &[f32::INFINITY], &[], &Bitmap::full(4), 1)), [0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_list_is_the_head_of_a_full_sort(
        seed in any::<u64>(),
        rows in 0usize..400,
        members in 0usize..10,
        rank in 1usize..20,
        k in 0usize..60,
        coarse in any::<bool>(),
    ) {
        let mut random = Random(seed);
        // Coarse factors make many equal scores.
        let mut table = |rows: usize| -> Vec<f32> {
            let number = |x: f64| if coarse { (x * 3.0).floor() as f32 - 1.0 } else { (x * 2.0 - 1.0) as f32 };
            (0..rows * rank).map(|_| number(random.uniform())).collect()
        };
        let (model, factors) = (table(rows), table(members));
        let side = ItemSide::new(Factors::new(rank, model).unwrap(), regularisation());
        let mut available = Bitmap::full(rows);
        (0..rows).filter(|_| random.below(5) == 0).for_each(|item| available.set(item as u32, false));
        let excluded: Vec<Vec<u32>> = (0..members)
            .map(|_| (0..rows as u32).filter(|_| random.below(4) == 0).collect())
            .collect();
        let slices: Vec<&[u32]> = excluded.iter().map(Vec::as_slice).collect();
        let mut lists = Vec::new();
        side.select(&factors, &slices, &available, k, &mut lists);
        for (member, list) in lists.iter().enumerate() {
            let factor = &factors[member * rank..][..rank];
            let scores: Vec<f32> = (0..rows as u32).map(|item| side.score(factor, item)).collect();
            prop_assert_eq!(list, &naive::select(&scores, &excluded[member], |i| available.contains(i), k));
        }
    }
}
