//! Cases worked by hand, and the measures again, written the slow way.

use proptest::prelude::*;

use super::*;

fn hits(list: &[u32], wanted: &[u32]) -> Hits {
    Hits::of(list, wanted).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn recall_is_hits_by_what_could_be_hit() {
    let list = [1, 2, 3, 4, 5];
    assert_eq!(Measure::Recall(3).of(&hits(&list, &[2, 4, 9])), 1.0 / 3.0);
    // Of four items to be found two places can hold but two.
    assert_eq!(Measure::Recall(2).of(&hits(&list, &[1, 2, 3, 4])), 1.0);
    assert_eq!(Measure::Recall(5).of(&hits(&list, &[9])), 0.0);
    assert_eq!(Measure::Recall(5).of(&hits(&[], &[9])), 0.0);
}

#[test]
fn recall_of_all_is_hits_by_all_that_was_to_be_found() {
    let list = [1, 2, 3, 4, 5];
    assert_eq!(Measure::RecallOfAll(2).of(&hits(&list, &[1, 2, 3, 4])), 0.5);
    assert_eq!(Measure::RecallOfAll(20).of(&hits(&list, &[5, 6])), 0.5);
}

#[test]
fn ndcg_is_the_number_worked_out_by_hand() {
    // Hits at places 1 and 3 of three to be found: (1 + 1/2) / (1 + 1/log₂3 + 1/2).
    let found = hits(&[7, 1, 8, 2], &[7, 8, 9]);
    assert!(close(Measure::Ndcg(4).of(&found), 1.5 / (1.0 + 1.0 / 3f64.log2() + 0.5)));
    // Cut at 2: the hit at place 3 is not seen, and the best list has two places.
    assert!(close(Measure::Ndcg(2).of(&found), 1.0 / (1.0 + 1.0 / 3f64.log2())));
    assert_eq!(Measure::Ndcg(4).of(&hits(&[7, 1, 8, 2], &[1, 2, 7, 8])), 1.0);
}

#[test]
fn with_one_item_to_be_found_it_is_the_ndcg_of_the_ncf_paper() {
    for place in 0..10 {
        let published = 2f64.ln() / ((place + 2) as f64).ln();
        assert!(close(Measure::Ndcg(10).of(&Hits::of_one(Some(place))), published), "place {place}");
        assert_eq!(Measure::HitRate(10).of(&Hits::of_one(Some(place))), 1.0);
    }
    for nowhere in [Hits::of_one(Some(10)), Hits::of_one(None)] {
        assert_eq!((Measure::HitRate(10).of(&nowhere), Measure::Ndcg(10).of(&nowhere)), (0.0, 0.0));
    }
}

#[test]
fn a_list_shorter_than_k_has_nothing_at_the_places_that_are_missing() {
    // Both items there are stand first; of the third place nobody takes notice but the best list.
    let found = hits(&[1, 2], &[1, 2, 3]);
    assert_eq!(Measure::Recall(20).of(&found), 2.0 / 3.0);
    let best = 1.0 + 1.0 / 3f64.log2() + 0.5;
    assert!(close(Measure::Ndcg(20).of(&found), (best - 0.5) / best));
}

#[test]
fn where_nothing_is_to_be_found_there_is_no_measure() {
    assert_eq!(Hits::of(&[1, 2, 3], &[]), None);
    assert_eq!(Hits::with_missing(&[1], &[], 2).map(|hits| Measure::Recall(1).of(&hits)), Some(0.0));
}

#[test]
fn items_that_no_list_can_have_are_missed() {
    let found = Hits::with_missing(&[1, 2], &[1], 1).unwrap();
    assert_eq!(Measure::RecallOfAll(20).of(&found), 0.5);
    assert!(close(Measure::Ndcg(20).of(&found), 1.0 / (1.0 + 1.0 / 3f64.log2())));
}

#[test]
fn ties_count_against_the_item_to_be_found() {
    assert_eq!(place_among(0.5, [0.9, 0.5, 0.4]), 2);
    assert_eq!(place_among(0.0, [0.0; 99]), 99);
    assert_eq!(place_among(0.9, [0.5, 0.4]), 0);
    assert_eq!(place_among(0.9, []), 0);
    // What is no number is not below anything, and nothing is below it.
    assert_eq!(place_among(0.9, [f32::NAN]), 1);
    assert_eq!(place_among(f32::NAN, [0.1, 0.2]), 2);
}

/// recall, recall of all, NDCG and hit rate, by the letter of their definitions.
fn slowly(list: &[u32], wanted: &[u32], k: usize) -> [f64; 4] {
    let mut hit = 0.0;
    let mut gained = 0.0;
    for place in 1..=k {
        if place <= list.len() && wanted.iter().any(|item| *item == list[place - 1]) {
            hit += 1.0;
            gained += 1.0 / (place as f64 + 1.0).log2();
        }
    }
    let mut best = 0.0;
    for place in 1..=k {
        if place <= wanted.len() {
            best += 1.0 / (place as f64 + 1.0).log2();
        }
    }
    let could = if wanted.len() < k { wanted.len() } else { k } as f64;
    [hit / could, hit / wanted.len() as f64, gained / best, if hit > 0.0 { 1.0 } else { 0.0 }]
}

proptest! {
    #[test]
    fn measures_are_what_their_definitions_say(
        list in Just((0..40u32).collect::<Vec<_>>()).prop_shuffle(),
        length in 0usize..=40,
        wanted in proptest::collection::btree_set(0u32..60, 1..30),
        k in 1usize..50,
    ) {
        let list = &list[..length];
        let wanted: Vec<u32> = wanted.into_iter().collect();
        let found = hits(list, &wanted);
        let all = [Measure::Recall(k), Measure::RecallOfAll(k), Measure::Ndcg(k), Measure::HitRate(k)];
        for (measure, slow) in all.into_iter().zip(slowly(list, &wanted, k)) {
            let quick = measure.of(&found);
            prop_assert!(close(quick, slow) && (0.0..=1.0 + 1e-12).contains(&quick), "{measure}: {quick}, {slow}");
        }
    }

    #[test]
    fn a_place_is_how_many_would_stand_before(score in 0u8..6, others in proptest::collection::vec(0u8..6, 0..30)) {
        // Sorted by score, the item to be found behind those of the same score.
        let mut sorted: Vec<(u8, bool)> = others.iter().map(|other| (*other, false)).collect();
        sorted.push((score, true));
        sorted.sort_by_key(|(score, own)| (std::cmp::Reverse(*score), *own));
        let place = sorted.iter().position(|(_, own)| *own).unwrap();
        prop_assert_eq!(place_among(f32::from(score), others.into_iter().map(f32::from)), place);
    }
}
