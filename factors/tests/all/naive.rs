//! The slow reference: the formulas of the documentation, in f64, with no thought for speed.

use nearline_factors::{Factors, Matrix, Pair, Regularisation, Scored};

pub fn dot(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

pub fn gram(items: &Factors) -> Vec<f64> {
    let rank = items.rank();
    let mut gram = vec![0.0; rank * rank];
    for row in 0..items.rows() {
        let y = items.row(row);
        for i in 0..rank {
            for j in 0..rank {
                gram[i * rank + j] += f64::from(y[i]) * f64::from(y[j]);
            }
        }
    }
    gram
}

pub fn ridge(reg: Regularisation, pairs: usize, others: usize) -> f64 {
    f64::from(reg.lambda) * (pairs as f64 + f64::from(reg.alpha0) * others as f64).powf(f64::from(reg.nu))
}

/// Gaussian elimination with pivoting on the normal equations.
pub fn fold_in(items: &Factors, reg: Regularisation, pairs: &[Pair]) -> Vec<f64> {
    let rank = items.rank();
    let mut a: Vec<f64> = gram(items).iter().map(|g| g * f64::from(reg.alpha0)).collect();
    let mut b = vec![0.0; rank];
    for pair in pairs {
        let y = items.row(pair.item as usize);
        for i in 0..rank {
            b[i] += f64::from(pair.b) * f64::from(y[i]);
            for j in 0..rank {
                a[i * rank + j] += f64::from(pair.a) * f64::from(y[i]) * f64::from(y[j]);
            }
        }
    }
    for i in 0..rank {
        a[i * rank + i] += ridge(reg, pairs.len(), items.rows());
    }
    eliminate(&mut a, &mut b);
    b
}

fn eliminate(a: &mut [f64], b: &mut [f64]) {
    let n = b.len();
    for k in 0..n {
        let best = (k..n).max_by(|&i, &j| a[i * n + k].abs().total_cmp(&a[j * n + k].abs())).unwrap();
        for j in 0..n {
            a.swap(k * n + j, best * n + j);
        }
        b.swap(k, best);
        for i in 0..n {
            if i != k {
                let by = a[i * n + k] / a[k * n + k];
                for j in k..n {
                    a[i * n + j] -= by * a[k * n + j];
                }
                b[i] -= by * b[k];
            }
        }
    }
    for k in 0..n {
        b[k] /= a[k * n + k];
    }
}

pub fn loss(matrix: &Matrix, members: &Factors, items: &Factors, reg: Regularisation) -> f64 {
    let mut sum = 0.0;
    let mut columns = vec![0; items.rows()];
    for member in 0..members.rows() {
        for item in 0..items.rows() {
            let score = dot(members.row(member), items.row(item));
            sum += f64::from(reg.alpha0) * score * score;
        }
        for &(item, weight) in matrix.row(member) {
            columns[item as usize] += 1;
            let target = if weight > 0.0 { 1.0 } else { 0.0 };
            let error = dot(members.row(member), items.row(item as usize)) - target;
            sum += f64::from(weight.abs()) * error * error;
        }
        let x = members.row(member);
        sum += ridge(reg, matrix.row(member).len(), items.rows()) * dot(x, x);
    }
    for (item, &count) in columns.iter().enumerate() {
        sum += ridge(reg, count, members.rows()) * dot(items.row(item), items.row(item));
    }
    sum
}

/// A full sort of everything that may be listed, given each item's score.
pub fn select(scores: &[f32], excluded: &[u32], available: impl Fn(u32) -> bool, k: usize) -> Vec<Scored> {
    let mut all: Vec<Scored> = (0..scores.len() as u32)
        .map(|item| Scored { item, score: scores[item as usize] })
        .filter(|entry| !entry.score.is_nan() && !excluded.contains(&entry.item) && available(entry.item))
        .collect();
    all.sort_by(|x, y| y.score.partial_cmp(&x.score).unwrap().then(x.item.cmp(&y.item)));
    all.truncate(k);
    all
}
