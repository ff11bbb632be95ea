//! The numeric core against plain double precision, against itself on every instruction set, and in every batch.

use std::ops::ControlFlow;

use nearline_factors::{
    Bitmap, Factors, ItemSide, Level, Matrix, Pair, Progress, Regularisation, Scored, Scratch, TrainOptions,
    Trained, loss, train,
};
use proptest::prelude::*;

const REGULARISATION: Regularisation = Regularisation { alpha0: 0.1, lambda: 0.05, nu: 0.5 };
const LEVELS: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

/// A stream of numbers that depends on the seed alone.
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    fn float(&mut self) -> f32 {
        self.below(2_001) as f32 / 1_000.0 - 1.0
    }
}

fn factors(rank: usize, rows: usize, seed: u64) -> Factors {
    let mut draw = Draw(seed);
    Factors::new(rank, (0..rank * rows).map(|_| draw.float()).collect()).expect("whole rows of numbers")
}

fn side(rank: usize, items: usize, level: Level) -> ItemSide {
    ItemSide::with_level(factors(rank, items, 7), REGULARISATION, level)
}

/// Sorted pairs of a member, some of them disliked.
fn pairs(items: usize, count: usize, seed: u64) -> Vec<Pair> {
    let mut draw = Draw(seed);
    let mut chosen: Vec<u32> = (0..count).map(|_| draw.below(items) as u32).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let mut weight = || if draw.below(4) == 0 { -1.5 } else { 0.5 + draw.below(30) as f32 / 10.0 };
    chosen.into_iter().map(|item| Pair::from_signed(item, weight())).collect()
}

fn fold_in(side: &ItemSide, pairs: &[Pair]) -> Vec<f32> {
    let mut out = vec![0.0; side.rank()];
    side.fold_in(pairs, &mut Scratch::default(), &mut out);
    out
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// How far a member's factor is from solving its own normal equations, in double precision.
fn residual(side: &ItemSide, pairs: &[Pair], x: &[f32]) -> f64 {
    let Regularisation { alpha0, lambda, nu } = side.regularisation();
    let items = side.factors();
    let ridge =
        f64::from(lambda) * (pairs.len() as f64 + f64::from(alpha0) * items.rows() as f64).powf(nu.into());
    let mut left: Vec<f64> = x.iter().map(|number| ridge * f64::from(*number)).collect();
    let mut add = |weight: f64, y: &[f32]| {
        left.iter_mut().zip(y).for_each(|(left, y)| *left += weight * f64::from(*y));
    };
    for row in 0..items.rows() {
        add(f64::from(alpha0) * dot(items.row(row), x), items.row(row));
    }
    for pair in pairs {
        let y = items.row(pair.item as usize);
        add(f64::from(pair.a) * dot(y, x) - f64::from(pair.b), y);
    }
    left.iter().map(|rest| rest.abs()).fold(0.0, f64::max)
}

#[test]
fn a_folded_in_factor_solves_its_normal_equations() {
    for (rank, items, count) in [(1, 5, 3), (7, 40, 10), (16, 100, 50), (33, 300, 200), (64, 900, 70)] {
        let side = side(rank, items, Level::detect());
        let pairs = pairs(items, count, rank as u64);
        let x = fold_in(&side, &pairs);
        let rest = residual(&side, &pairs, &x);
        assert!(rest < 2e-3, "rank {rank}: {rest} is left of the equations");
    }
}

#[test]
fn portable_avx2_and_avx512_agree_bit_for_bit() {
    for rank in [3, 16, 40, 64] {
        let items = 700;
        let pairs = pairs(items, 90, 3);
        let made = LEVELS.map(|level| {
            let side = side(rank, items, level);
            let x = fold_in(&side, &pairs);
            let mut best = Vec::new();
            side.select(&x, &[&[]], &Bitmap::full(items), 50, &mut best);
            let scores: Vec<f32> = best[0].iter().map(|entry| entry.score).collect();
            (bits(&x), bits(&scores), best[0].iter().map(|entry| entry.item).collect::<Vec<_>>())
        });
        assert_eq!(made[0], made[1], "rank {rank}");
        assert_eq!(made[0], made[2], "rank {rank}");
    }
}

#[test]
fn a_member_alone_first_and_last_in_batches_of_1_7_and_4000_gets_the_same_bits() {
    let (rank, items) = (12, 60);
    let side = side(rank, items, Level::detect());
    let mine = pairs(items, 20, 1);
    let alone = fold_in(&side, &mine);
    let excluded: Vec<u32> = vec![2, 30];
    let available = Bitmap::full(items);
    let list = |factors: &[f32], place: usize, count: usize| {
        let others: [u32; 0] = [];
        let rows: Vec<&[u32]> =
            (0..count).map(|row| if row == place { &excluded[..] } else { &others[..] }).collect();
        let mut best = Vec::new();
        side.select(factors, &rows, &available, 10, &mut best);
        best.swap_remove(place)
    };
    let wanted = list(&alone, 0, 1);
    for count in [1, 7, 4_000] {
        for place in [0, count - 1] {
            let mut offsets = vec![0];
            let mut all = Vec::new();
            for row in 0..count {
                all.extend(if row == place { mine.clone() } else { pairs(items, row % 40, row as u64) });
                offsets.push(all.len());
            }
            let mut out = Vec::new();
            side.fold_in_batch(&offsets, &all, &mut out);
            assert_eq!(bits(&out[place * rank..(place + 1) * rank]), bits(&alone), "{place} of {count}");
            assert_eq!(list(&out, place, count), wanted, "{place} of {count}");
        }
    }
}

/// The best by scoring everything and sorting.
fn best_by_sorting(
    side: &ItemSide,
    x: &[f32],
    excluded: &[u32],
    available: &Bitmap,
    k: usize,
) -> Vec<Scored> {
    let allowed = |item: &u32| !excluded.contains(item) && available.contains(*item);
    let items = (0..side.items() as u32).filter(allowed);
    let mut all: Vec<Scored> = items.map(|item| Scored { item, score: side.score(x, item) }).collect();
    all.retain(|entry| !entry.score.is_nan());
    all.sort_by(|a, b| b.score.partial_cmp(&a.score).expect("no NaN is left").then(a.item.cmp(&b.item)));
    all.truncate(k);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn selecting_equals_scoring_everything_and_sorting(
        rank in 1..20_usize, items in 1..300_usize, members in 1..9_usize, k in 0..40_usize, seed in any::<u64>(),
    ) {
        // Coarse factors, so that many scores tie.
        let mut draw = Draw(seed);
        let mut coarse = |rows: usize| (0..rows * rank).map(|_| draw.below(3) as f32 - 1.0).collect::<Vec<f32>>();
        let side = ItemSide::new(Factors::new(rank, coarse(items)).expect("whole rows"), REGULARISATION);
        let rows = coarse(members);
        let mut available = Bitmap::full(items);
        (0..items / 7).for_each(|_| available.clear(draw.below(items) as u32));
        let mut excluded: Vec<Vec<u32>> =
            (0..members).map(|_| (0..draw.below(items)).map(|_| draw.below(items) as u32).collect()).collect();
        excluded.iter_mut().for_each(|list| { list.sort_unstable(); list.dedup(); });
        let slices: Vec<&[u32]> = excluded.iter().map(Vec::as_slice).collect();
        let mut best = Vec::new();
        side.select(&rows, &slices, &available, k, &mut best);
        for (member, best) in best.iter().enumerate() {
            let x = &rows[member * rank..(member + 1) * rank];
            prop_assert_eq!(best, &best_by_sorting(&side, x, slices[member], &available, k));
        }
    }
}

#[test]
fn equal_scores_go_to_the_smaller_index_and_fewer_items_than_asked_for_are_all_given() {
    let side = ItemSide::new(Factors::new(1, vec![1.0; 40]).expect("whole rows"), REGULARISATION);
    let mut best = Vec::new();
    side.select(&[2.0], &[&[0, 5]], &Bitmap::full(40), 4, &mut best);
    assert_eq!(best[0].iter().map(|entry| entry.item).collect::<Vec<_>>(), [1, 2, 3, 4]);
    side.select(&[2.0], &[&[0, 5]], &Bitmap::full(40), 100, &mut best);
    assert_eq!(best[0].len(), 38);
}

#[test]
fn a_score_that_is_not_a_number_is_never_selected() {
    let side = ItemSide::new(Factors::new(2, vec![1.0, 0.0, 0.0, 1.0]).expect("whole rows"), REGULARISATION);
    let mut best = Vec::new();
    side.select(&[f32::NAN, 1.0], &[&[]], &Bitmap::full(2), 2, &mut best);
    assert!(best[0].is_empty());
}

/// A skewed matrix, and one member who has everything.
fn matrix(members: usize, items: usize, seed: u64) -> Matrix {
    let mut draw = Draw(seed);
    let (mut offsets, mut entries) = (vec![0], Vec::new());
    for member in 0..members {
        let count = if member == 3 { items } else { 1 + draw.below(6) };
        let mut chosen: Vec<u32> =
            (0..count).map(|_| (draw.below(items) * draw.below(items) / items) as u32).collect();
        if member == 3 {
            chosen = (0..items as u32).collect();
        }
        chosen.sort_unstable();
        chosen.dedup();
        entries.extend(chosen.iter().map(|item| (*item, if draw.below(5) == 0 { -1.0 } else { 1.5 })));
        offsets.push(entries.len());
    }
    Matrix::from_rows(items, offsets, entries).expect("rows are sorted")
}

fn options(threads: usize) -> TrainOptions {
    TrainOptions { rank: 6, iterations: 5, regularisation: REGULARISATION, seed: 42, threads }
}

fn trained(matrix: &Matrix, threads: usize) -> Trained {
    train(matrix, &options(threads), &mut |_| ControlFlow::Continue(()))
        .expect("there is something to train on")
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    let matrix = matrix(300, 50, 5);
    let one = trained(&matrix, 1);
    for threads in [2, 3, 5] {
        assert_eq!(trained(&matrix, threads), one, "{threads} threads");
    }
}

#[test]
fn folding_a_trained_member_in_gives_its_trained_factor_to_the_bit() {
    let matrix = matrix(200, 40, 9);
    let trained = trained(&matrix, 2);
    let side = ItemSide::new(trained.items.clone(), REGULARISATION);
    for member in 0..matrix.members() {
        let pairs: Vec<Pair> =
            matrix.row(member).iter().map(|(item, weight)| Pair::from_signed(*item, *weight)).collect();
        assert_eq!(bits(&fold_in(&side, &pairs)), bits(trained.members.row(member)), "member {member}");
    }
}

#[test]
fn the_loss_falls_with_every_iteration_and_is_the_objective() {
    let matrix = matrix(150, 30, 2);
    let trained = trained(&matrix, 1);
    assert!(trained.losses.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{:?}", trained.losses);
    // The definition, pair by pair over the whole matrix.
    let Regularisation { alpha0, lambda, nu } = REGULARISATION;
    let mut wanted = 0.0;
    let mut of_item = vec![0_u32; matrix.items()];
    for member in 0..matrix.members() {
        let x = trained.members.row(member);
        for (item, pairs_of_item) in of_item.iter_mut().enumerate() {
            let score = dot(x, trained.items.row(item));
            wanted += f64::from(alpha0) * score * score;
            if let Some((_, weight)) = matrix.row(member).iter().find(|(other, _)| *other as usize == item) {
                let target = if *weight > 0.0 { 1.0 } else { 0.0 };
                wanted += f64::from(weight.abs()) * (score - target) * (score - target);
                *pairs_of_item += 1;
            }
        }
        let n = matrix.row(member).len() as f64 + f64::from(alpha0) * matrix.items() as f64;
        wanted += f64::from(lambda) * n.powf(nu.into()) * dot(x, x);
    }
    for (item, pairs) in of_item.iter().enumerate() {
        let y = trained.items.row(item);
        let n = f64::from(*pairs) + f64::from(alpha0) * matrix.members() as f64;
        wanted += f64::from(lambda) * n.powf(nu.into()) * dot(y, y);
    }
    let made = loss(&matrix, &trained.members, &trained.items, REGULARISATION);
    assert!((made - wanted).abs() < 1e-4 * wanted, "{made} against {wanted}");
}

#[test]
fn training_can_be_broken_off_and_says_how_far_it_is() {
    let matrix = matrix(200, 40, 9);
    let mut iterations = 0;
    let stopped = train(&matrix, &options(2), &mut |progress| match progress {
        Progress::Iteration { iteration: 2, .. } => ControlFlow::Break(()),
        Progress::Iteration { .. } => {
            iterations += 1;
            ControlFlow::Continue(())
        }
        Progress::Solved { rows, of, .. } => {
            assert!(rows <= of);
            ControlFlow::Continue(())
        }
    });
    assert_eq!((stopped.err(), iterations), (Some(nearline_factors::TrainError::Stopped), 1));
}

#[test]
fn what_each_pair_adds_sums_to_the_score() {
    let side = side(20, 200, Level::detect());
    let pairs = pairs(200, 40, 8);
    let x = fold_in(&side, &pairs);
    for item in [0, 17, 199] {
        let sum: f32 = side.explain(&pairs, item).iter().sum();
        assert!((sum - side.score(&x, item)).abs() < 1e-4, "item {item}: {sum}");
    }
}

#[test]
fn a_ridge_that_single_precision_cannot_see_still_gives_a_finite_answer() {
    let mut rows = vec![0.0; 8 * 4];
    rows.chunks_exact_mut(4).for_each(|row| row.copy_from_slice(&[3e3, 3e3, 3e3, 3e3]));
    let regularisation = Regularisation { alpha0: 1.0, lambda: 1e-12, nu: 0.0 };
    let side = ItemSide::new(Factors::new(4, rows).expect("whole rows"), regularisation);
    let x = fold_in(&side, &[Pair::preferred(1, 1e3)]);
    assert!(x.iter().all(|number| number.is_finite()), "{x:?}");
    assert!(x.iter().any(|number| *number != 0.0), "{x:?}");
}

#[test]
fn bad_factors_matrices_and_options_are_refused() {
    assert!(Factors::new(0, vec![]).is_err());
    assert!(Factors::new(2, vec![1.0]).is_err());
    assert!(Factors::new(2, vec![1.0, f32::NAN]).is_err());
    assert!(Matrix::from_rows(2, vec![0, 2], vec![(1, 1.0), (0, 1.0)]).is_err());
    assert!(Matrix::from_rows(2, vec![0, 1], vec![(2, 1.0)]).is_err());
    assert!(Matrix::from_rows(2, vec![0, 1], vec![(0, 0.0)]).is_err());
    assert!(Matrix::from_rows(2, vec![0, 2], vec![(0, 1.0)]).is_err());
    let none = Matrix::from_rows(2, vec![0, 0], vec![]).expect("no entries");
    assert!(train(&none, &options(1), &mut |_| ControlFlow::Continue(())).is_err());
    let bad = TrainOptions { regularisation: Regularisation { lambda: 0.0, ..REGULARISATION }, ..options(1) };
    assert!(train(&matrix(10, 5, 1), &bad, &mut |_| ControlFlow::Continue(())).is_err());
}

#[test]
fn a_member_without_a_positive_pair_gets_zeros() {
    let side = side(5, 20, Level::detect());
    assert!(fold_in(&side, &[Pair::disliked(3, 2.0)]).iter().all(|number| *number == 0.0));
}
