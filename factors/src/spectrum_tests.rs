//! The spectrum against the matrix it is of, and against itself made the plain way.

use super::*;

/// A symmetric matrix of numbers between −1 and 1.
fn some(rank: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut matrix = vec![0.0; rank * rank];
    for i in 0..rank {
        for j in 0..=i {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let x = (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            (matrix[i * rank + j], matrix[j * rank + i]) = (x, x);
        }
    }
    matrix
}

fn check(rank: usize, matrix: &[f64]) {
    let size = matrix.iter().fold(1e-300, |size: f64, x| size.max(x.abs()));
    let Spectrum { values, vectors } = Spectrum::of(Level::best(), 2, rank, |i, j| matrix[i * rank + j]);
    assert!(values.is_sorted_by(|x, y| x >= y));
    for i in 0..rank {
        for j in 0..rank {
            let of = |weight: &dyn Fn(usize) -> f64| -> f64 {
                (0..rank).map(|e| weight(e) * vectors[e * rank + i] * vectors[e * rank + j]).sum()
            };
            let (got, one) = (of(&|e| values[e]), of(&|_| 1.0));
            assert!((got - matrix[i * rank + j]).abs() <= 1e-12 * size * rank as f64, "{got} at {i}, {j}");
            assert!((one - f64::from(i == j)).abs() <= 1e-12, "{one} at {i}, {j}");
        }
    }
}

#[test]
fn the_spectrum_gives_the_matrix_again() {
    for rank in [1, 2, 3, 5, 16, 33, 64, 100] {
        check(rank, &some(rank, rank as u64));
    }
}

#[test]
fn zeros_repeated_and_far_apart_values_are_no_trouble() {
    check(8, &[0.0; 64]);
    let diagonal = |values: &[f64]| -> Vec<f64> {
        let rank = values.len();
        (0..rank * rank).map(|at| if at % (rank + 1) == 0 { values[at / rank] } else { 0.0 }).collect()
    };
    check(4, &diagonal(&[1.0, 1.0, 1.0, 1.0]));
    check(5, &diagonal(&[1e-30, 1e30, 0.0, 1.0, 1e15]));
    let ones = vec![1.0; 49];
    check(7, &ones);
}

/// The same, row by row and one thing after the other: what strips and threads must give to the bit.
mod plain {
    use super::{STEPS, Spectrum};

    pub fn spectrum(rank: usize, matrix: &[f64]) -> Spectrum {
        let mut matrix = matrix.to_vec();
        let mut vectors = vec![0.0; rank * rank];
        vectors.iter_mut().step_by(rank + 1).for_each(|x| *x = 1.0);
        let mut beside = reduce(rank, &mut matrix, &mut vectors);
        let mut values: Vec<f64> = matrix.iter().copied().step_by(rank + 1).collect();
        iterate(rank, &mut values, &mut beside, &mut vectors);
        let mut order: Vec<usize> = (0..rank).collect();
        order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
        Spectrum {
            values: order.iter().map(|&i| values[i]).collect(),
            vectors: order.iter().flat_map(|&i| &vectors[i * rank..][..rank]).copied().collect(),
        }
    }

    /// Turns the matrix into one of three diagonals, and `vectors` with it; returns what stands beside the diagonal.
    fn reduce(rank: usize, matrix: &mut [f64], vectors: &mut [f64]) -> Vec<f64> {
        let mut beside = vec![0.0; rank];
        let (mut v, mut p, mut t) = (vec![0.0; rank], vec![0.0; rank], vec![0.0; rank]);
        for k in 0..rank.saturating_sub(1) {
            let row = &matrix[k * rank..][..rank];
            let square: f64 = row[k + 1..].iter().map(|x| x * x).sum();
            let head = row[k + 1];
            let norm = square.sqrt();
            if square - head * head <= 0.0 || !norm.is_finite() {
                beside[k] = head;
                continue;
            }
            // v = x ± |x| e, of which H = I − beta v vᵀ takes x to ∓|x| e.
            let end = if head > 0.0 { -norm } else { norm };
            v[..=k].fill(0.0);
            v[k + 1..].copy_from_slice(&row[k + 1..]);
            v[k + 1] = head - end;
            let beta = 1.0 / (norm * (norm + head.abs()));
            beside[k] = end;

            // A ← H A H = A − v wᵀ − w vᵀ with w = p − (beta ÷ 2)(pᵀ v) v and p = beta A v.
            p[k + 1..].fill(0.0);
            for j in k + 1..rank {
                add(&mut p[k + 1..], beta * v[j], &matrix[j * rank + k + 1..][..rank - k - 1]);
            }
            let half: f64 = 0.5 * beta * p[k + 1..].iter().zip(&v[k + 1..]).map(|(x, y)| x * y).sum::<f64>();
            add(&mut p[k + 1..], -half, &v[k + 1..]);
            for i in k + 1..rank {
                let row = &mut matrix[i * rank + k + 1..][..rank - k - 1];
                add(row, -v[i], &p[k + 1..]);
                add(row, -p[i], &v[k + 1..]);
            }
            // V ← H V.
            t.fill(0.0);
            for i in k + 1..rank {
                add(&mut t, beta * v[i], &vectors[i * rank..][..rank]);
            }
            for i in k + 1..rank {
                add(&mut vectors[i * rank..][..rank], -v[i], &t);
            }
        }
        beside
    }

    /// Adds `x * y` to `to`.
    fn add(to: &mut [f64], x: f64, y: &[f64]) {
        for (to, y) in to.iter_mut().zip(y) {
            *to += x * y;
        }
    }

    /// QL iteration until nothing stands beside the diagonal; each rotation turns two rows of `vectors`.
    fn iterate(rank: usize, values: &mut [f64], beside: &mut [f64], vectors: &mut [f64]) {
        for l in 0..rank {
            for _ in 0..STEPS {
                let small =
                    |m: &usize| beside[*m].abs() <= f64::EPSILON * (values[*m].abs() + values[*m + 1].abs());
                let m = (l..rank - 1).find(small).unwrap_or(rank - 1);
                if m == l {
                    break;
                }
                step(rank, (l, m), values, beside, vectors);
            }
        }
    }

    /// One sweep of rotations from row m up to row l.
    fn step(
        rank: usize,
        (l, m): (usize, usize),
        values: &mut [f64],
        beside: &mut [f64],
        vectors: &mut [f64],
    ) {
        let shift = (values[l + 1] - values[l]) / (2.0 * beside[l]);
        let root = (shift * shift + 1.0).sqrt();
        let mut g = values[m] - values[l] + beside[l] / (shift + if shift < 0.0 { -root } else { root });
        let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
        for i in (l..m).rev() {
            let (f, b) = (s * beside[i], c * beside[i]);
            let root = (f * f + g * g).sqrt();
            beside[i + 1] = root;
            if root == 0.0 {
                values[i + 1] -= p;
                beside[m] = 0.0;
                return;
            }
            (s, c) = (f / root, g / root);
            g = values[i + 1] - p;
            let r = (values[i] - g) * s + 2.0 * c * b;
            p = s * r;
            values[i + 1] = g + p;
            g = c * r - b;
            let (first, second) = vectors[i * rank..][..2 * rank].split_at_mut(rank);
            for (x, y) in first.iter_mut().zip(second) {
                (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
            }
        }
        values[l] -= p;
        beside[l] = g;
        beside[m] = 0.0;
    }
}

#[test]
fn strips_and_threads_and_levels_give_the_bits_of_the_plain_way() {
    let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for rank in [1, 2, 3, 15, 16, 17, 40, 64, 129] {
        let mut matrix = some(rank, 7 + rank as u64);
        // Rows without anything beside the diagonal, for which there is no mirror.
        for gap in (4..rank).step_by(5) {
            (0..rank)
                .filter(|j| *j != gap)
                .for_each(|j| (matrix[gap * rank + j], matrix[j * rank + gap]) = (0.0, 0.0));
        }
        let plain = plain::spectrum(rank, &matrix);
        for level in Level::all() {
            for threads in [1, 3] {
                let by = (level, threads);
                let found = Spectrum::by(by, rank, |i, j| matrix[i * rank + j]);
                assert_eq!(bits(&found.values), bits(&plain.values), "{rank}, {by:?}");
                assert_eq!(bits(&found.vectors), bits(&plain.vectors), "{rank}, {by:?}");
            }
        }
    }
}
