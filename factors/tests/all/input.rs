//! What is turned away at the door, and what is said about it.

use std::ops::ControlFlow;

use nearline_factors::{
    Bitmap, Factors, FactorsError, Matrix, MatrixError, Pair, Regularisation, RegularisationError, Solve,
    TrainError, TrainOptions, train,
};

use crate::data::regularisation;

#[test]
fn factors_that_are_none_are_refused_by_row() {
    assert_eq!(Factors::new(0, vec![]), Err(FactorsError::RankZero));
    assert_eq!(Factors::new(3, vec![0.0; 7]), Err(FactorsError::Length { length: 7, rank: 3 }));
    let mut data = vec![1.0; 12];
    data[7] = f32::NAN;
    let refused = Factors::new(3, data).unwrap_err();
    assert_eq!(refused, FactorsError::NotFinite { row: 2 });
    assert!(refused.to_string().contains("row 2"));
    assert_eq!(Factors::new(3, vec![]).unwrap().rows(), 0);
}

#[test]
fn regularisation_out_of_range_is_refused() {
    assert_eq!(Regularisation::new(-1.0, 1.0, 1.0), Err(RegularisationError::Alpha0(-1.0)));
    assert_eq!(Regularisation::new(0.0, 0.0, 1.0), Err(RegularisationError::Lambda(0.0)));
    assert_eq!(Regularisation::new(0.0, 1.0, f32::INFINITY), Err(RegularisationError::Nu(f32::INFINITY)));
    assert!(Regularisation::new(f32::NAN, 1.0, 1.0).is_err());
    assert!(Regularisation::new(0.0, f32::NAN, 1.0).is_err());
}

#[test]
fn rows_that_are_no_matrix_are_refused() {
    let build =
        |offsets: &[usize], entries: &[(u32, f32)]| Matrix::from_rows(3, offsets.to_vec(), entries.to_vec());
    assert_eq!(build(&[], &[]), Err(MatrixError::Offsets { at: 0 }));
    assert_eq!(build(&[1], &[(0, 1.0)]), Err(MatrixError::Offsets { at: 0 }));
    assert_eq!(build(&[0, 2, 1], &[(0, 1.0)]), Err(MatrixError::Offsets { at: 2 }));
    assert_eq!(build(&[0, 1], &[(0, 1.0), (1, 1.0)]), Err(MatrixError::Offsets { at: 1 }));
    assert_eq!(build(&[0, 0, 1], &[(3, 1.0)]), Err(MatrixError::Item { member: 1, item: 3 }));
    assert_eq!(build(&[0, 2], &[(1, 1.0), (1, 1.0)]), Err(MatrixError::Order { member: 0, item: 1 }));
    assert!(matches!(build(&[0, 1], &[(1, 0.0)]), Err(MatrixError::Weight { member: 0, item: 1, .. })));
    assert!(matches!(build(&[0, 1], &[(1, f32::NAN)]), Err(MatrixError::Weight { .. })));
    assert_eq!(build(&[0], &[]).unwrap().members(), 0);
}

#[test]
fn training_on_nothing_or_with_nothing_is_refused() {
    let matrix = Matrix::from_rows(2, vec![0, 1], vec![(1, 1.0)]).unwrap();
    let empty = Matrix::from_rows(2, vec![0, 0], vec![]).unwrap();
    let options = TrainOptions {
        rank: 2,
        iterations: 1,
        regularisation: regularisation(),
        seed: 0,
        threads: 1,
        solve: Solve::default(),
    };
    let refusal = |matrix: &Matrix, options: TrainOptions| {
        train(matrix, &options, &mut |_| ControlFlow::Continue(())).unwrap_err()
    };
    assert_eq!(refusal(&matrix, TrainOptions { rank: 0, ..options.clone() }), TrainError::Zero("rank"));
    assert_eq!(
        refusal(&matrix, TrainOptions { iterations: 0, ..options.clone() }),
        TrainError::Zero("iterations")
    );
    assert_eq!(refusal(&matrix, TrainOptions { threads: 0, ..options.clone() }), TrainError::Zero("threads"));
    assert_eq!(refusal(&empty, options.clone()), TrainError::NoPairs);
    let mut loose = regularisation();
    loose.lambda = 0.0;
    let refused = refusal(&matrix, TrainOptions { regularisation: loose, ..options });
    assert_eq!(refused, TrainError::Regularisation(RegularisationError::Lambda(0.0)));
}

#[test]
fn a_signed_weight_becomes_a_pair() {
    assert_eq!(Pair::from_signed(3, 2.0), Pair { item: 3, a: 2.0, b: 2.0 });
    assert_eq!(Pair::from_signed(3, -2.0), Pair { item: 3, a: 2.0, b: 0.0 });
}

#[test]
fn a_bitmap_holds_what_was_set() {
    for length in [0, 1, 63, 64, 65, 130] {
        assert_eq!(Bitmap::full(length).count(), length);
        assert!(!Bitmap::full(length).contains(length as u32));
    }
    let mut some = Bitmap::empty(70);
    some.set(3, true);
    some.set(69, true);
    some.set(3, false);
    assert_eq!((some.count(), some.len(), some.contains(69), some.contains(3)), (1, 70, true, false));
}
