//! Selecting: exact, with ties, exclusions and odd numbers.

use nearline_factors::{Bitmap, Factors, ItemSide, Level, Scored, Way};
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
    for way in [Way::Full, Way::Pruned] {
        let mut other = Vec::new();
        side.select_by(way, member, &[excluded], available, k, &mut other);
        assert_eq!(other, lists, "{way:?}");
    }
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
    assert_eq!(items(&select_one(&line(&[-3.0, -2.0]), &[1.0], &[], &Bitmap::full(64), 9)), [1, 0]);
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
        for way in [Way::Best, Way::Full, Way::Pruned] {
            side.select_by(way, &factors, &slices, &available, k, &mut lists);
            for (member, list) in lists.iter().enumerate() {
                let factor = &factors[member * rank..][..rank];
                let scores: Vec<f32> = (0..rows as u32).map(|item| side.score(factor, item)).collect();
                let want = naive::select(&scores, &excluded[member], |i| available.contains(i), k);
                prop_assert_eq!(list, &want, "{:?}", way);
            }
        }
    }
}

/// Items of very different norms, many of them equal, as training makes them, and odd ones among them.
fn uneven(seed: u64, rows: usize, rank: usize) -> Factors {
    let mut random = Random(seed);
    let mut data: Vec<f32> = Vec::with_capacity(rows * rank);
    for row in 0..rows {
        let size = (random.uniform() * 9.0 - 7.0).exp() as f32;
        match random.below(12) {
            0 => data.extend(vec![0.0; rank]),
            1 if row > 3 => {
                let copied = data[(row - 1 - random.below(3)) * rank..][..rank].to_vec();
                data.extend(copied);
            }
            _ => data.extend((0..rank).map(|_| size * (random.uniform() * 2.0 - 1.0) as f32)),
        }
    }
    Factors::new(rank, data).unwrap()
}

#[test]
fn pruning_gives_the_list_of_the_full_scan_at_every_level_and_in_batches_of_any_size() {
    let mut random = Random(77);
    for (rows, rank) in [(5_000, 64), (3_000, 50), (2_000, 7), (4_000, 130), (1_500, 1)] {
        let (items, members) = (uneven(rank as u64, rows, rank), uneven(99, 70, rank));
        let available = {
            let mut available = Bitmap::full(rows);
            (0..rows).filter(|_| random.below(9) == 0).for_each(|item| available.set(item as u32, false));
            available
        };
        let excluded: Vec<Vec<u32>> = (0..70)
            .map(|member| (0..rows as u32).filter(|_| random.below(4 + 40 * member) == 0).collect())
            .collect();
        for level in Level::all() {
            let side = ItemSide::with_level(items.clone(), regularisation(), level);
            for (first, batch) in [(0, 1), (1, 2), (3, 5), (0, 70)] {
                let slices: Vec<&[u32]> = excluded[first..first + batch].iter().map(Vec::as_slice).collect();
                let own = &members.as_slice()[first * rank..][..batch * rank];
                for k in [1, 10, 100] {
                    let lists = [Way::Full, Way::Pruned, Way::Best].map(|way| {
                        let mut lists = Vec::new();
                        side.select_by(way, own, &slices, &available, k, &mut lists);
                        lists
                    });
                    assert!(lists[1] == lists[0], "pruned, {rows} × {rank}, {k} of {batch}, {level:?}");
                    assert!(lists[2] == lists[0], "best, {rows} × {rank}, {k} of {batch}, {level:?}");
                }
            }
        }
    }
}

#[test]
fn a_filter_that_leaves_few_items_gives_the_same_list() {
    let side = ItemSide::new(uneven(5, 3_000, 20), regularisation());
    let member = factors(6, 1, 20);
    let mut genre = Bitmap::empty(3_000);
    (0..3_000).step_by(61).for_each(|item| genre.set(item, true));
    let mut country = Bitmap::full(3_000);
    (0..3_000).step_by(2).for_each(|item| country.set(item, false));
    country.intersect(&genre);
    let list = select_one(&side, member.row(0), &[61, 183], &country, 9);
    assert!(list.len() == 9 && list.iter().all(|entry| entry.item % 61 == 0 && entry.item % 2 == 1));
    assert!(!items(&list).contains(&61) && !items(&list).contains(&183));
    country.unite(&Bitmap::full(9_000));
    assert_eq!(country, Bitmap::full(3_000));
}

#[test]
fn similar_items_are_those_at_the_smallest_angle_whatever_their_length() {
    let rows = vec![1.0, 0.0, 10.0, 1.0, 0.0, 3.0, -1.0, 0.0, 0.5, 0.5, 0.0, 0.0, 2.0, 0.0];
    let side = ItemSide::new(Factors::new(2, rows).unwrap(), regularisation());
    let all = Bitmap::full(7);
    let list = side.similar(0, &all, 4);
    assert_eq!(items(&list), [6, 1, 4, 2]);
    assert!((list[0].score - 1.0).abs() < 1e-6 && (list[2].score - 0.5f32.sqrt()).abs() < 1e-6);
    assert_eq!(items(&side.similar(0, &all, 99)), [6, 1, 4, 2, 5, 3]);
    assert!(side.similar(5, &all, 4).is_empty());
    let mut some = all;
    some.set(6, false);
    assert_eq!(items(&side.similar(0, &some, 2)), [1, 4]);
}
