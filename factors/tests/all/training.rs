//! Training: it lowers the loss it says, and its result depends on the matrix, the options and nothing else.

use std::ops::ControlFlow;

use nearline_factors::{
    Factors, ItemSide, Matrix, Progress, Regularisation, Scratch, Solve, State, Step, TrainError,
    TrainOptions, Trained, Trainer, loss, train,
};

use crate::data::{bits, factors, matrix, regularisation, row_pairs};
use crate::naive;

fn options(rank: usize, iterations: usize, threads: usize) -> TrainOptions {
    TrainOptions {
        rank,
        iterations,
        regularisation: regularisation(),
        seed: 17,
        threads,
        solve: Solve::default(),
    }
}

fn trained(matrix: &Matrix, options: &TrainOptions) -> Trained {
    train(matrix, options, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_loss_is_that_of_the_reference() {
    for (alpha0, nu) in [(0.0, 0.0), (0.3, 1.0), (1.0, 0.5)] {
        let reg = Regularisation::new(alpha0, 0.02, nu).unwrap();
        let (matrix, members, items) = (matrix(1, 300, 70), factors(2, 300, 19), factors(3, 70, 19));
        let (got, want) = (loss(&matrix, &members, &items, reg), naive::loss(&matrix, &members, &items, reg));
        // Scores are summed in f32.
        assert!((got - want).abs() <= 1e-8 * want, "{got} is not {want}");
    }
}

#[test]
fn the_loss_falls_with_every_iteration() {
    let trained = trained(&matrix(4, 400, 90), &options(12, 8, 2));
    assert_eq!(trained.losses.len(), 8);
    for pair in trained.losses.windows(2) {
        assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{} after {}", pair[1], pair[0]);
    }
    assert!(trained.losses[7] < 0.98 * trained.losses[0]);
}

#[test]
fn a_reported_loss_is_that_of_the_factors_and_the_last_half_step_lowers_it() {
    let matrix = matrix(5, 200, 50);
    let trained = trained(&matrix, &options(9, 3, 1));
    let end = loss(&matrix, &trained.members, &trained.items, regularisation());
    assert!(end < trained.losses[2] && end > 0.9 * trained.losses[2]);
}

#[test]
fn no_small_change_of_a_trained_member_lowers_the_loss() {
    let matrix = matrix(6, 30, 25);
    let Trained { members, items, .. } = trained(&matrix, &options(4, 5, 1));
    let best = naive::loss(&matrix, &members, &items, regularisation());
    for at in 0..members.as_slice().len() {
        for step in [-0.01, 0.01] {
            let mut moved = members.as_slice().to_vec();
            moved[at] += step;
            let moved = Factors::new(4, moved).unwrap();
            assert!(naive::loss(&matrix, &moved, &items, regularisation()) > best);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let matrix = matrix(7, 900, 300);
    // Solved exactly, and by descents.
    for rank in [17, 48] {
        let one = trained(&matrix, &options(rank, 2, 1));
        for threads in [2, 3, 5] {
            let other = trained(&matrix, &options(rank, 2, threads));
            assert_eq!(bits(one.members.as_slice()), bits(other.members.as_slice()));
            assert_eq!(bits(one.items.as_slice()), bits(other.items.as_slice()));
            assert_eq!(one.losses, other.losses);
        }
    }
}

#[test]
fn descents_lower_the_loss_as_exact_solves_do_and_end_with_one() {
    // One weight in eleven is up to thousands of times as large as the others.
    let even = matrix(18, 600, 200);
    let mut entries: Vec<(u32, f32)> = (0..600).flat_map(|member| even.row(member)).copied().collect();
    entries
        .iter_mut()
        .step_by(11)
        .enumerate()
        .for_each(|(n, (_, weight))| *weight *= 10f32.powi(n as i32 % 5));
    let mut offsets = vec![0];
    (0..600).for_each(|member| offsets.push(offsets[member] + even.row(member).len()));
    let heavy = Matrix::from_rows(200, offsets, entries).unwrap();

    let settings = [(1.0, 0.01, 0.0), (0.05, 0.003, 1.0), (0.001, 1e-5, 0.5), (0.0, 1e-4, 0.0)];
    for (matrix, (alpha0, lambda, nu)) in [&even, &heavy].into_iter().flat_map(|m| settings.map(|s| (m, s))) {
        let regularisation = Regularisation::new(alpha0, lambda, nu).unwrap();
        let options = TrainOptions { regularisation, ..options(40, 6, 2) };
        let quickest = trained(matrix, &options);
        let exact = trained(matrix, &TrainOptions { solve: Solve::Exact, ..options });
        // Not the same run, so that this says something.
        assert_ne!(bits(quickest.items.as_slice()), bits(exact.items.as_slice()));
        for (got, want) in quickest.losses.iter().zip(&exact.losses).skip(2) {
            // Without alpha0 there is nothing to condition the systems by.
            let near = if alpha0 == 0.0 { 5e-2 } else { 5e-3 };
            assert!((got - want).abs() <= near * want, "{got} is not {want} at alpha0 {alpha0}");
        }
        let side = ItemSide::new(quickest.items, regularisation);
        for member in [0, 5, 299, 598] {
            let mut out = vec![0.0; 40];
            side.fold_in(&row_pairs(matrix, member), &mut Scratch::new(), &mut out);
            assert_eq!(bits(&out), bits(quickest.members.row(member)));
        }
    }
}

#[test]
fn fold_in_of_a_trained_member_is_its_trained_factor_to_the_bit() {
    // More than 256 items, so that the Gram matrix has several blocks; the first member has nearly all of them.
    let matrix = matrix(8, 150, 600);
    let trained = trained(&matrix, &options(20, 2, 2));
    let side = ItemSide::new(trained.items, regularisation());
    for member in 0..150 {
        let mut out = vec![0.0; 20];
        side.fold_in(&row_pairs(&matrix, member), &mut Scratch::new(), &mut out);
        assert_eq!(bits(&out), bits(trained.members.row(member)));
    }
    assert!(trained.members.row(149).iter().all(|&x| x == 0.0));
}

#[test]
fn a_transposed_matrix_has_the_same_weights_and_back_again() {
    let matrix = matrix(9, 40, 30);
    let across = matrix.transpose();
    assert_eq!((across.members(), across.items(), across.nnz()), (30, 40, matrix.nnz()));
    for item in 0..30 {
        for &(member, weight) in across.row(item) {
            assert!(matrix.row(member as usize).contains(&(item as u32, weight)));
        }
    }
    assert_eq!(across.transpose(), matrix);
}

#[test]
fn two_tastes_are_told_apart() {
    // Even members like even items, odd members odd ones; each has left out one that it should then be offered.
    let (mut offsets, mut entries) = (vec![0], Vec::new());
    for member in 0..20u32 {
        let liked = (0..20u32).filter(|item| item % 2 == member % 2 && *item != (member + 2) % 20);
        entries.extend(liked.map(|item| (item, 1.0)));
        offsets.push(entries.len());
    }
    let matrix = Matrix::from_rows(20, offsets, entries).unwrap();
    let trained = trained(&matrix, &options(4, 10, 1));
    let side = ItemSide::new(trained.items.clone(), regularisation());
    for member in 0..20 {
        let seen: Vec<u32> = matrix.row(member).iter().map(|&(item, _)| item).collect();
        let mut lists = Vec::new();
        let available = nearline_factors::Bitmap::full(20);
        side.select(trained.members.row(member), &[&seen], &available, 1, &mut lists);
        assert_eq!(lists[0][0].item, (member as u32 + 2) % 20);
    }
}

#[test]
fn progress_tells_every_step_and_can_break_off() {
    let matrix = matrix(10, 200, 50);
    let mut ends = Vec::new();
    let mut iterations = 0;
    train(&matrix, &options(3, 2, 2), &mut |progress| {
        match progress {
            Progress::Rows { iteration, step, done, total } => {
                assert!(done <= total);
                if done == total {
                    ends.push((*iteration, *step));
                }
            }
            Progress::Iteration(end) => {
                iterations += 1;
                assert_eq!(end.iteration, iterations);
            }
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(
        ends,
        [(1, Step::Members), (1, Step::Items), (2, Step::Members), (2, Step::Items), (2, Step::LastMembers)]
    );
    assert_eq!(iterations, 2);
    let stopped = train(&matrix, &options(3, 2, 2), &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped, Err(TrainError::Stopped));
}

#[test]
fn a_run_resumed_after_any_iteration_gives_the_bits_of_one_never_stopped() {
    let matrix = matrix(11, 300, 120);
    let through = trained(&matrix, &options(10, 4, 1));
    for at in 0..=4 {
        let mut trainer = Trainer::new(&matrix, &options(10, 4, 1 + at % 3)).unwrap();
        let mut losses: Vec<f64> = (0..at).map(|_| trainer.step(&mut on).unwrap().loss).collect();
        assert_eq!(trainer.iteration(), at);
        let mut resumed = Trainer::resume(&matrix, &options(10, 4, 3 - at % 3), state(&trainer)).unwrap();
        while resumed.iteration() < 4 {
            losses.push(resumed.step(&mut on).unwrap().loss);
        }
        let end = resumed.finish(&mut on).unwrap();
        assert_eq!(bits(end.members.as_slice()), bits(through.members.as_slice()), "resumed after {at}");
        assert_eq!(bits(end.items.as_slice()), bits(through.items.as_slice()), "resumed after {at}");
        assert_eq!((losses, &end.losses[..]), (through.losses.clone(), &through.losses[at..]));
    }
}

#[test]
fn a_run_finished_early_is_a_run_of_fewer_iterations() {
    let matrix = matrix(12, 100, 40);
    let mut trainer = Trainer::new(&matrix, &options(5, 9, 1)).unwrap();
    trainer.step(&mut on).unwrap();
    trainer.step(&mut on).unwrap();
    assert_eq!(trainer.finish(&mut on).unwrap(), trained(&matrix, &options(5, 2, 1)));
}

#[test]
fn a_state_that_does_not_fit_is_refused_with_the_reason() {
    let matrix = matrix(13, 60, 30);
    let mut trainer = Trainer::new(&matrix, &options(4, 3, 1)).unwrap();
    trainer.step(&mut on).unwrap();
    let refused = |options: &TrainOptions, change: &dyn Fn(&mut State)| {
        let mut state = state(&trainer);
        change(&mut state);
        Trainer::resume(&matrix, options, state).err().unwrap().to_string()
    };
    let asked = options(4, 3, 1);
    let short = refused(&asked, &|state| state.members = factors(1, 59, 4));
    assert!(short.contains("59 member factors of rank 4, and there should be 60 of rank 4"), "{short}");
    let long = refused(&asked, &|state| state.items = factors(1, 31, 4));
    assert!(long.contains("31 item factors"), "{long}");
    assert!(refused(&options(5, 3, 1), &|_| ()).contains("of rank 5"));
    let far = refused(&asked, &|state| state.iteration = 4);
    assert!(far.contains("iteration 4 of 3"), "{far}");
    assert!(refused(&options(0, 3, 1), &|_| ()).contains("rank = 0"));
}

#[test]
fn a_step_broken_off_cannot_be_gone_on_from_and_one_at_its_end_can() {
    let matrix = matrix(14, 200, 50);
    let options = options(3, 2, 1);
    let mut trainer = Trainer::new(&matrix, &options).unwrap();
    let at_the_end = &mut |progress: &Progress| match progress {
        Progress::Iteration(_) => ControlFlow::Break(()),
        Progress::Rows { .. } => ControlFlow::Continue(()),
    };
    assert_eq!(trainer.step(at_the_end), Err(TrainError::Stopped));
    assert_eq!(trainer.iteration(), 1);
    assert_eq!(trainer.step(&mut on).unwrap().iteration, 2);
    assert_eq!(trainer.step(&mut |_| ControlFlow::Break(())), Err(TrainError::Stopped));
    assert_eq!(trainer.step(&mut on), Err(TrainError::Stopped));
    assert_eq!(trainer.finish(&mut on), Err(TrainError::Stopped));
}

#[test]
fn a_row_of_very_many_pairs_is_shared_out_and_still_what_one_thread_and_fold_in_make_of_it() {
    // One item that all of 40,000 members have, and one member who has all of 300 items.
    let (members, items) = (40_000, 300);
    let row = |member: usize| match member {
        0 => (0..items as u32).map(|item| (item, 1.0)).collect(),
        _ => vec![
            (0, 1.0 + (member % 7) as f32),
            (1 + (member % (items - 1)) as u32, -0.5 - (member % 3) as f32),
        ],
    };
    let mut entries: Vec<(u32, f32)> = Vec::new();
    let mut offsets = vec![0];
    for member in 0..members {
        entries.extend(row(member));
        offsets.push(entries.len());
    }
    let matrix = Matrix::from_rows(items, offsets, entries).unwrap();
    let one = trained(&matrix, &options(20, 2, 1));
    assert_eq!(trained(&matrix, &options(20, 2, 3)), one);
    let by_item = matrix.transpose();
    let again = ItemSide::new(one.members.clone(), regularisation());
    let mut factor = vec![0.0; 20];
    again.fold_in(&row_pairs(&by_item, 0), &mut Scratch::new(), &mut factor);
    let want = naive::fold_in(&one.members, regularisation(), &row_pairs(&by_item, 0));
    let size = want.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (x, y) in factor.iter().zip(&want) {
        assert!((f64::from(*x) - y).abs() <= 2e-5 * size, "{x} is not {y}, of size {size}");
    }
}

fn on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn state(trainer: &Trainer<'_>) -> State {
    let (members, items) = (trainer.members().clone(), trainer.items().clone());
    State { iteration: trainer.iteration(), members, items }
}
