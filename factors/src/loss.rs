//! The objective that training makes small, as DESIGN.md section 5 has it.

use crate::factors::{Factors, Regularisation};
use crate::matrix::Matrix;

/// Σ_S w (x·y − t)² + α₀ Σ_all (x·y)² + ridge terms of both sides, in double precision, summed in order.
///
/// Σ_all (x·y)² = Σ_kl (XᵀX)_kl (YᵀY)_kl.
pub fn loss(matrix: &Matrix, members: &Factors, items: &Factors, regularisation: Regularisation) -> f64 {
    let mut observed = 0.0;
    let mut ridge = 0.0;
    let mut of_item = vec![0_usize; items.rows()];
    for member in 0..matrix.members() {
        let x = members.row(member);
        for (item, weight) in matrix.row(member) {
            let target = if *weight > 0.0 { 1.0 } else { 0.0 };
            let error = dot(x, items.row(*item as usize)) - target;
            observed += f64::from(weight.abs()) * error * error;
            of_item[*item as usize] += 1;
        }
        let pairs = matrix.row(member).len();
        ridge += f64::from(regularisation.ridge(pairs, items.rows())) * dot(x, x);
    }
    for (item, pairs) in of_item.iter().enumerate() {
        let y = items.row(item);
        ridge += f64::from(regularisation.ridge(*pairs, members.rows())) * dot(y, y);
    }
    let (of_members, of_items) = (gram(members), gram(items));
    let all: f64 = of_members.iter().zip(&of_items).map(|(a, b)| a * b).sum();
    observed + f64::from(regularisation.alpha0) * all + ridge
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn gram(rows: &Factors) -> Vec<f64> {
    let rank = rows.rank();
    let mut gram = vec![0.0; rank * rank];
    for row in 0..rows.rows() {
        let row = rows.row(row);
        for (line, a) in gram.chunks_exact_mut(rank).zip(row) {
            for (sum, b) in line.iter_mut().zip(row) {
                *sum += f64::from(*a) * f64::from(*b);
            }
        }
    }
    gram
}
