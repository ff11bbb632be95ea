//! Agreement with implicit's own solver, in its convention: what it made of some members is stored beside the program
//! that made it, in `tests/fixtures`.

use nearline_factors::{Bitmap, Factors, ItemSide, Matrix, Pair, Regularisation, Scored, Scratch};

const STORED: &str = include_str!("../fixtures/implicit.txt");

struct Member {
    row: Vec<(u32, f32)>,
    factor: Vec<f32>,
    list: Vec<(u32, f32)>,
}

fn stored() -> (ItemSide, Vec<Member>) {
    let numbers = |text: &str| -> Vec<f32> { text.split(' ').map(|x| x.parse().unwrap()).collect() };
    let named = |text: &str| -> Vec<(u32, f32)> {
        let one = |pair: &str| {
            let (item, number) = pair.split_once(':').unwrap();
            (item.parse().unwrap(), number.parse().unwrap())
        };
        text.split(' ').map(one).collect()
    };
    let (mut lambda, mut items, mut rank, mut members) = (0.0, Vec::new(), 0, Vec::new());
    for line in STORED.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ').unwrap() {
            ("lambda", number) => lambda = number.parse().unwrap(),
            ("item", row) => {
                let row = numbers(row);
                rank = row.len();
                items.extend(row);
            }
            ("row", row) => members.push(Member { row: named(row), factor: Vec::new(), list: Vec::new() }),
            ("factor", factor) => members.last_mut().unwrap().factor = numbers(factor),
            ("list", list) => members.last_mut().unwrap().list = named(list),
            (other, _) => panic!("{other}"),
        }
    }
    let regularisation = Regularisation::new(1.0, lambda, 0.0).unwrap();
    (ItemSide::new(Factors::new(rank, items).unwrap(), regularisation), members)
}

#[test]
fn members_have_the_scores_and_lists_of_implicit() {
    let (side, members) = stored();
    let (items, available) = (side.items().rows(), Bitmap::full(side.items().rows()));
    assert_eq!(members.len(), 60);
    let sizes: Vec<usize> = members.iter().map(|member| member.row.len()).collect();
    assert!(sizes.iter().any(|&n| n < 20) && sizes.iter().any(|&n| n > 60), "both forms of the solve");
    let mut disliked = 0;
    for member in &members {
        let matrix = Matrix::from_confidences(items, vec![0, member.row.len()], member.row.clone()).unwrap();
        let pairs: Vec<Pair> = matrix.row(0).iter().map(|&entry| matrix.pair(entry)).collect();
        disliked += pairs.iter().filter(|pair| pair.b == 0.0).count();
        let mut factor = vec![0.0; side.items().rank()];
        side.fold_in(&pairs, &mut Scratch::new(), &mut factor);
        for item in 0..items as u32 {
            let theirs = side.score(&member.factor, item);
            let ours = side.score(&factor, item);
            assert!((ours - theirs).abs() <= 1e-4, "{ours} is not {theirs}");
        }
        let seen: Vec<u32> = member.row.iter().map(|&(item, _)| item).collect();
        let mut lists = Vec::new();
        side.select(&factor, &[&seen], &available, member.list.len(), &mut lists);
        assert_eq!(lists[0].len(), member.list.len());
        for (Scored { item, score }, (their_item, their_score)) in lists[0].iter().zip(&member.list) {
            assert!((score - their_score).abs() <= 1e-4, "{score} is not {their_score}");
            // Another item may stand here only where the two tie but for rounding.
            let tie = (side.score(&factor, *their_item) - score).abs() <= 2e-6;
            assert!(item == their_item || tie, "{item} is not {their_item}");
        }
    }
    assert!(disliked > 50, "{disliked}");
}
