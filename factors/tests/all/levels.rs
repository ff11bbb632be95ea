//! Every instruction set gives the same bits. Says nothing on a processor that has the portable level alone.

use std::ops::ControlFlow;

use nearline_factors::{
    Bitmap, ItemSide, Level, Pair, Regularisation, Scratch, Solve, TrainOptions, train_with_level,
};

use crate::data::{Random, bits, factors, matrix, pairs, regularisation};

#[test]
fn all_levels_agree_on_gram_factor_score_and_list() {
    for (rows, rank) in [(3, 1), (333, 7), (600, 16), (301, 33), (700, 64)] {
        let items = factors(rank as u64, rows, rank);
        let mut random = Random(11);
        let members: Vec<Vec<Pair>> = (0..9).map(|m| pairs(&mut random, rows, 5 + 20 * m)).collect();
        let results = Level::all().into_iter().map(|level| {
            let side = ItemSide::with_level(items.clone(), regularisation(), level);
            let mut all = vec![0.0; members.len() * rank];
            for (pairs, factor) in members.iter().zip(all.chunks_mut(rank)) {
                side.fold_in(pairs, &mut Scratch::new(), factor);
            }
            let mut lists = Vec::new();
            side.select(&all, &vec![&[][..]; members.len()], &Bitmap::full(rows), 50, &mut lists);
            let lists: Vec<(u32, u32)> =
                lists.iter().flatten().map(|entry| (entry.item, entry.score.to_bits())).collect();
            let scores: Vec<f32> = (0..rows as u32).map(|item| side.score(&all[..rank], item)).collect();
            let gram: Vec<u64> = side.gram().iter().map(|x| x.to_bits()).collect();
            (gram, bits(&all), bits(&scores), lists)
        });
        assert_all_equal(results);
    }
}

#[test]
fn all_levels_agree_where_f64_steps_in() {
    let items = factors(12, 60, 20);
    let reg = Regularisation::new(0.0, 1e-9, 0.0).unwrap();
    let results = Level::all().into_iter().map(|level| {
        let mut out = vec![0.0; 20];
        let pairs = [Pair::preferred(1, 1.0), Pair::disliked(2, 1.5), Pair::preferred(40, 0.5)];
        ItemSide::with_level(items.clone(), reg, level).fold_in(&pairs, &mut Scratch::new(), &mut out);
        bits(&out)
    });
    assert_all_equal(results);
}

#[test]
fn all_levels_train_the_same_model() {
    let matrix = matrix(13, 80, 60);
    // Solved exactly, and by descents; a whole number of groups and not.
    for rank in [18, 40, 64] {
        let options = TrainOptions {
            rank,
            iterations: 2,
            regularisation: regularisation(),
            seed: 3,
            threads: 1,
            solve: Solve::Quickest,
        };
        let results = Level::all().into_iter().map(|level| {
            let trained =
                train_with_level(&matrix, &options, &mut |_| ControlFlow::Continue(()), level).unwrap();
            let losses: Vec<u64> = trained.losses.iter().map(|x| x.to_bits()).collect();
            (bits(trained.members.as_slice()), bits(trained.items.as_slice()), losses)
        });
        assert_all_equal(results);
    }
}

fn assert_all_equal<T: PartialEq>(results: impl Iterator<Item = T>) {
    let results: Vec<T> = results.collect();
    let last = results.last().unwrap();
    for (level, result) in Level::all().iter().zip(&results) {
        assert!(result == last, "{level:?} differs from the portable level");
    }
}
